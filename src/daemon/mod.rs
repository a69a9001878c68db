//! The daemon: one task per folder, one for the outbox, and the few that keep house. The only module that spawns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::imap::tls::Trust;
use crate::ingest::Readers;
use crate::policy::Policy;
use crate::store::{self, OpenError, StoreError, Writer, WriterGone};

pub mod backoff;
pub mod clock;
mod lock;
mod poll;
mod send;

pub use lock::{CounterError, LockError, StateLock};

/// Why the daemon did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory is somebody else's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used (I14).
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Whether the database was restored cannot be told (I18).
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// The database failed while starting.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread key: answers could not be tied to their tickets.
    #[error("there is no thread key in {0}")]
    NoKey(String),
    /// A thread or a signal handler could not be had.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
    /// The writer stopped.
    #[error(transparent)]
    Writer(#[from] WriterGone),
}

/// What all tasks share.
#[derive(Debug, Clone)]
struct Shared {
    config: Arc<Config>,
    policy: Arc<Policy>,
    writer: Writer,
    readers: Readers,
    trust: Arc<Trust>,
    /// KiB of mail that may be in flight over all mailboxes (I12).
    room: Arc<Semaphore>,
    /// Rung when an acknowledgement may have been put into the outbox.
    outbox: Arc<Notify>,
    stop: CancellationToken,
}

/// Bytes of mail in flight over all mailboxes, in KiB (I12).
const ROOM_KIB: usize = 64 << 10;
/// How long the tasks may take to finish what they have in hand.
const GRACE: Duration = Duration::from_secs(30);
/// How often the house is kept: closing silent tickets, checkpoints, the counter of I18.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Runs until `stop`: every batch in hand is finished, nothing new is begun.
pub async fn run(config: Config, policy: Policy, stop: CancellationToken) -> Result<(), DaemonError> {
    let state_dir = config.state_dir.clone();
    let _lock = StateLock::take(&state_dir)?;
    let mut database = store::open(&state_dir)?;
    store::verify(&state_dir)?;
    if config.site.keys.is_empty() {
        return Err(DaemonError::NoKey(state_dir.display().to_string()));
    }
    let now = clock::now();
    if lock::count_up(&state_dir, &mut database, now)? {
        tracing::warn!("the database was restored: nothing that arrived until now is acknowledged");
    }
    let again = database.transaction(|tx| tx.reoffer())?;
    if again > 0 {
        tracing::info!(again, "acknowledgements whose end is unknown are offered once more, unchanged");
    }
    let (writer, thread) = Writer::start(database)?;
    let shared = Shared {
        readers: Readers::start(std::thread::available_parallelism().map_or(2, usize::from))?,
        config: Arc::new(config),
        policy: Arc::new(policy),
        writer,
        trust: Arc::new(Trust::default()),
        room: Arc::new(Semaphore::new(ROOM_KIB)),
        outbox: Arc::new(Notify::new()),
        stop: stop.clone(),
    };
    let tasks = TaskTracker::new();
    for mailbox in &shared.config.mailboxes {
        for folder in &mailbox.folders {
            let (shared, mailbox, folder) = (shared.clone(), mailbox.clone(), folder.clone());
            tasks.spawn(async move { poll::watch(&shared, &mailbox, &folder).await });
        }
    }
    let ending = CancellationToken::new();
    tasks.spawn(send::run(shared.clone()));
    tasks.spawn(keep_house(shared.clone()));
    tasks.spawn(watchdog(shared.clone(), ending.clone()));
    tasks.close();
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    tracing::info!(mailboxes = shared.config.mailboxes.len(), policy = %shared.policy.hash, "ready");
    stop.cancelled().await;
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    ending.cancel();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!(
            "some tasks did not finish in time; what they had in hand is redone at the next start"
        );
    }
    // whatever is a copy of the database until here is now behind (I18)
    let counted = shared.writer.call(move |store| lock::count_up(&state_dir, store, clock::now())).await;
    if let Ok(Err(error)) = counted {
        tracing::error!(%error, "the counter could not be written; a database restored from before may go unnoticed");
    }
    drop(shared);
    let _ = tokio::task::spawn_blocking(move || thread.join()).await; // the last commit is on disk
    tracing::info!("stopped");
    Ok(())
}

/// Counts up, closes what stayed silent after an answer, and moves the WAL into the database.
async fn keep_house(shared: Shared) {
    let close_after = shared.config.site.close_after;
    loop {
        let now = clock::now();
        let before = now.saturating_sub(close_after).unwrap_or(now);
        let state_dir = shared.config.state_dir.clone();
        let kept = shared
            .writer
            .call(move |store| {
                lock::count_up(&state_dir, store, now)?;
                let closed = store.transaction(|tx| tx.close_answered(before, now))?;
                store.checkpoint()?;
                Ok::<_, CounterError>(closed)
            })
            .await;
        match kept {
            Ok(Ok(0)) => {}
            Ok(Ok(closed)) => tracing::info!(closed, "tickets closed after silence"),
            Ok(Err(error)) => tracing::error!(%error, "housekeeping failed; it is tried again"),
            Err(WriterGone) => return shared.stop.cancel(),
        }
        tokio::select! {
            () = tokio::time::sleep(HOUSEKEEPING) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Pings systemd's watchdog, only after the writer has answered.
async fn watchdog(shared: Shared, ending: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval / 3) => {}
            () = ending.cancelled() => return,
        }
        if shared.writer.call(|_| ()).await.is_ok() {
            tell_systemd(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd did not listen");
    }
}

/// Makes a state directory ready: database and thread key.
pub fn init(state_dir: &Path) -> Result<(), DaemonError> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    store::create(state_dir)?;
    let path = state_dir.join(crate::config::THREAD_KEY);
    if !path.exists() {
        let mut key = [0_u8; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut key)
            .map_err(|_| std::io::Error::other("the system has no random numbers"))?;
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "1 {hex}")?;
        file.sync_all()?;
    }
    Ok(())
}
