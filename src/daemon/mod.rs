//! The daemon: one task per folder, one for the outbox, and the few that keep house. The only module that spawns.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Mailbox};
use crate::imap::tls::Trust;
use crate::ingest::Readers;
use crate::policy::Policy;
use crate::store::{self, OpenError, Origin, RESERVED_NUMBERS, Store, StoreError, Tx, Writer, WriterGone};

pub mod backoff;
pub mod clock;
pub mod disk;
mod lock;
mod orders;
mod poll;
mod reload;
mod send;

use orders::Orders;
use reload::InForce;

pub use lock::{CounterError, LockError, StateLock, is_held, is_restored, rescan_since};

/// Why the daemon did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory is somebody else's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The clock was never set.
    #[error(transparent)]
    Clock(#[from] clock::ClockUnset),
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
    /// There may be one, and it cannot be read.
    #[error("cannot read the thread key {path}: {why}")]
    Key {
        /// The file.
        path: String,
        /// The system's own words.
        why: std::io::Error,
    },
    /// A thread or a signal handler could not be had.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
    /// The writer stopped.
    #[error(transparent)]
    Writer(#[from] WriterGone),
    /// A task panicked; its own words are on stderr.
    #[error("a task of the daemon panicked")]
    Panicked,
}

/// What all tasks share.
#[derive(Debug, Clone)]
struct Shared {
    config: Arc<Config>,
    in_force: Arc<InForce>,
    writer: Writer,
    readers: Readers,
    trust: Arc<Trust>,
    room: Room,
    disk: Arc<disk::Disk>,
    orders: Arc<Orders>,
    /// Rung when an acknowledgement may have been put into the outbox, or there is something to notify a person of.
    outbox: Arc<Notify>,
    stop: CancellationToken,
}

impl Shared {
    /// Waits until the daemon is to stop, and then for as long as a server may keep it from that.
    async fn parted(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(PARTING).await;
    }

    /// Notes what the administrator should know; nothing waits for it. Without the writer there is no daemon.
    async fn note(&self, alert: impl FnOnce(&Tx<'_>, Timestamp) -> Result<(), StoreError> + Send + 'static) {
        let noted = self.writer.call(|store| store.transaction(|tx| alert(tx, clock::now()))).await;
        match noted {
            Ok(Ok(())) => self.outbox.notify_one(), // somebody may have to be told
            Ok(Err(error)) => tracing::error!(%error, "an alert could not be noted"),
            Err(WriterGone) => self.stop.cancel(),
        }
    }
}

/// KiB of mail that may be in flight over all mailboxes (I12). A semaphore serves in turn: with a room of their own, small
/// batches never wait behind a large one whose server may be dead (I11).
#[derive(Debug, Clone)]
struct Room {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Room {
    const SMALL_KIB: u32 = 16 << 10;
    const LARGE_KIB: u32 = 48 << 10;
    /// A batch of more is large.
    const MOST_KIB: u32 = 4 << 10;

    fn new() -> Self {
        let of = |kib: u32| Arc::new(Semaphore::new(usize::try_from(kib).unwrap_or(usize::MAX)));
        Self { small: of(Self::SMALL_KIB), large: of(Self::LARGE_KIB) }
    }

    /// Waits for room for so many bytes; what is larger than all room takes all of it.
    async fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from((bytes >> 10) + 1).unwrap_or(u32::MAX).min(Self::LARGE_KIB);
        let room = if kib > Self::MOST_KIB { &self.large } else { &self.small };
        Arc::clone(room).acquire_many_owned(kib).await.ok()
    }
}

/// A server may keep us from stopping for so long; what was in hand then is redone at the next start.
const PARTING: Duration = Duration::from_secs(5);
/// How long the tasks may take to finish what they have in hand.
const GRACE: Duration = Duration::from_secs(30);
/// How often the house is kept: closing silent tickets, checkpoints, the counter of I18.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Runs until `stop`: every batch in hand is finished, nothing new is begun. As often as `hangup` is rung, the policy is
/// read anew.
pub async fn run(
    mut config: Config,
    policy: Policy,
    stop: CancellationToken,
    hangup: Arc<Notify>,
) -> Result<(), DaemonError> {
    let now = clock::now();
    clock::plausible(now)?;
    let state_dir = config.state_dir.clone();
    if !matches!(state_dir.join(store::DATABASE).try_exists(), Ok(true)) {
        store::open(&state_dir)?; // it has the words for it; no lock is left where a disk may be missing
    }
    let _lock = StateLock::take(&state_dir)?;
    let mut database = store::open(&state_dir)?;
    store::verify(&state_dir)?;
    require_key(&mut config)?;
    let counted = lock::count_up(&state_dir, &mut database, &config.mailboxes, RESERVED_NUMBERS, now)?;
    if counted.was_restored {
        tracing::warn!("the database was restored: nothing that arrived until now is acknowledged");
    }
    tell_of_the_clock(now, counted.clock_behind);
    let disk = disk::Disk::new(state_dir.clone(), config.min_free);
    let missed = reload::examples_missed(&policy);
    let (again, orders, generation) = database.transaction(|tx| {
        tx.alert_ends(now, "disk_low", &disk.subject())?; // of an earlier run; the first look says whether it stands
        match &missed {
            Some(found) => tx.policy_refused(found, now)?,
            None => tx.policy_accepted(now)?,
        }
        tx.enrol_notified(config.notify.iter().flat_map(|notify| &notify.mail), now)?;
        Ok((tx.reoffer(now)?, tx.orders()?, tx.enact(&policy.hash, Origin::Start, now)?))
    })?;
    if again > 0 {
        tracing::info!(again, "acknowledgements whose end is unknown are offered once more, unchanged");
    }
    let (writer, thread) = Writer::start(database)?;
    reload::tell_status(&generation, &policy);
    let shared = Shared {
        readers: Readers::start(std::thread::available_parallelism().map_or(2, usize::from))?,
        config: Arc::new(config),
        in_force: Arc::new(InForce::new(policy)),
        writer,
        trust: Arc::new(Trust::default()),
        room: Room::new(),
        disk: Arc::new(disk),
        orders: Arc::new(Orders::new(&orders)),
        outbox: Arc::new(Notify::new()),
        stop: stop.clone(),
    };
    let mut tasks = JoinSet::new();
    for mailbox in &shared.config.mailboxes {
        for folder in &mailbox.folders {
            let (shared, mailbox, folder) = (shared.clone(), mailbox.clone(), folder.clone());
            tasks.spawn(async move { poll::watch(&shared, &mailbox, &folder).await });
        }
        let (shared, mailbox) = (shared.clone(), mailbox.clone());
        tasks.spawn(async move { poll::rescan(&shared, &mailbox).await });
    }
    let ending = CancellationToken::new();
    tasks.spawn(send::run(shared.clone()));
    tasks.spawn(orders::notice(shared.clone()));
    tasks.spawn(reload::run(shared.clone(), hangup));
    tasks.spawn(keep_house(shared.clone(), counted.clock_behind.is_some()));
    tasks.spawn(watchdog(shared.clone(), ending.clone()));
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    let (mailboxes, policy) = (shared.config.mailboxes.len(), generation.hash);
    tracing::info!(mailboxes, policy, generation = generation.number, "ready");
    let mut panicked = false;
    tokio::select! {
        () = stop.cancelled() => {}
        () = all_ended(&mut tasks, &mut panicked, &stop) => {}
    }
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    ending.cancel();
    if tokio::time::timeout(GRACE, all_ended(&mut tasks, &mut panicked, &stop)).await.is_err() {
        tracing::warn!(
            "some tasks did not finish in time; what they had in hand is redone at the next start"
        );
    }
    let (writer, mailboxes) = (shared.writer.clone(), shared.config.mailboxes.clone());
    drop(shared);
    drop(tasks); // ends those that are left
    close(writer, thread, state_dir, mailboxes).await?;
    if panicked {
        return Err(DaemonError::Panicked);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Waits until every task has ended. One that panics ends them all: a daemon without it would only seem alive.
async fn all_ended(tasks: &mut JoinSet<()>, panicked: &mut bool, stop: &CancellationToken) {
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err_and(|error| error.is_panic()) {
            tracing::error!("a task panicked; the daemon ends, to be started anew");
            *panicked = true;
            stop.cancel();
        }
    }
}

/// Makes the last commit, and waits until it is on disk.
async fn close(
    writer: Writer,
    thread: JoinHandle<()>,
    state_dir: PathBuf,
    mailboxes: Vec<Mailbox>,
) -> Result<(), WriterGone> {
    // whatever is a copy of the database until here is now behind (I18)
    let count_up = move |store: &mut Store| lock::count_up(&state_dir, store, &mailboxes, 0, clock::now());
    let counted = writer.call(count_up).await?;
    if let Err(error) = counted {
        tracing::error!(%error, "the counter could not be written; a database restored from before may go unnoticed");
    }
    drop(writer);
    // not `join`: who still holds the writer, in spite of the end of all tasks, must not keep the process alive
    let ended = async {
        while !thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PARTING, ended).await {
        Ok(()) => thread.join().map_err(|_| WriterGone),
        Err(_) => Ok(()), // the last commit was answered
    }
}

/// Moves the WAL into the database, counts up, and closes what stayed silent after an answer. The count comes after the
/// WAL is moved, so that a database which loses its WAL falls behind the counter as well.
async fn keep_house(shared: Shared, mut clock_was_behind: bool) {
    let close_after = shared.config.site.close_after;
    loop {
        let now = clock::now();
        let before = now.saturating_sub(close_after).unwrap_or(now);
        let config = shared.config.clone();
        let kept = shared
            .writer
            .call(move |store| {
                store.checkpoint()?;
                let counted =
                    lock::count_up(&config.state_dir, store, &config.mailboxes, RESERVED_NUMBERS, now)?;
                let closed = store.transaction(|tx| tx.close_answered(before, now))?;
                Ok::<_, CounterError>((counted.clock_behind, closed))
            })
            .await;
        match kept {
            Ok(Ok((clock_behind, closed))) => {
                if !clock_was_behind {
                    tell_of_the_clock(now, clock_behind);
                }
                clock_was_behind = clock_behind.is_some();
                if closed > 0 {
                    tracing::info!(closed, "tickets closed after silence");
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "housekeeping failed; it is tried again"),
            Err(WriterGone) => return shared.stop.cancel(),
        }
        tokio::select! {
            () = tokio::time::sleep(HOUSEKEEPING) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

fn tell_of_the_clock(now: Timestamp, newest: Option<Timestamp>) {
    if let Some(newest) = newest {
        tracing::warn!(%now, %newest, "the clock is behind what the database knows; acuse goes on");
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

/// Makes sure of a thread key. The configuration does without one that cannot be read; here its absence is told from a
/// failing disk, which may be better at the next start.
pub fn require_key(config: &mut Config) -> Result<(), DaemonError> {
    if config.site.keys.is_empty() {
        let path = config.state_dir.join(crate::config::THREAD_KEY);
        match crate::config::read_keys(&config.state_dir) {
            Ok(keys) => config.site.keys = keys,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => return Err(DaemonError::Key { path: path.display().to_string(), why }),
        }
    }
    if config.site.keys.is_empty() {
        return Err(DaemonError::NoKey(config.state_dir.display().to_string()));
    }
    Ok(())
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
    sync_names(state_dir)?;
    Ok(())
}

/// Puts a text into the place of a file, whole or not at all; it is on the disk then. A new file has this mode, another
/// keeps its own.
pub fn replace_file(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    let permissions = std::fs::metadata(path)
        .map_or_else(|_| std::fs::Permissions::from_mode(mode), |there| there.permissions());
    file.set_permissions(permissions)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), sync_names)
}

/// Brings the names in a directory to the disk: syncing a file brings only what is in it (fsync(2)).
fn sync_names(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_one_task_ends_all() {
        let (mut tasks, mut panicked, stop) = (JoinSet::new(), false, CancellationToken::new());
        tasks.spawn(stop.clone().cancelled_owned());
        tasks.spawn(async { panic!("a task") });
        all_ended(&mut tasks, &mut panicked, &stop).await;
        assert!(panicked && stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_of_the_writer_is_no_clean_end() {
        let directory = tempfile::tempdir().unwrap();
        let start = || Writer::start(store::open(directory.path()).unwrap()).unwrap();
        store::create(directory.path()).unwrap();
        let (writer, thread) = start();
        assert_eq!(close(writer, thread, directory.path().to_owned(), Vec::new()).await, Ok(()));
        let (writer, thread) = start();
        assert_eq!(writer.call(|_| panic!("a poisoned job")).await, Err::<(), _>(WriterGone));
        assert_eq!(close(writer, thread, directory.path().to_owned(), Vec::new()).await, Err(WriterGone));
    }
}
