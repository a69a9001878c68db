//! Puts a new policy in force while mail goes on: its files are read, compiled and tried first, and wrong ones change
//! nothing (I15).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{DaemonError, Shared, clock, tell_systemd};
use crate::config::ConfigError;
use crate::policy::Policy;
use crate::problem::summary;
use crate::store::{Generation, Origin, Reloaded, Store, StoreError, Tx};

/// The database does not answer: the policy is read again after this.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The policy in force, and the last row of those who ask for another.
#[derive(Debug)]
pub(super) struct InForce {
    policy: watch::Sender<Arc<Policy>>,
    asked: watch::Sender<Option<i64>>,
}

impl InForce {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy: watch::Sender::new(Arc::new(policy)), asked: watch::Sender::default() }
    }

    /// The policy in force at this moment. Whoever decides takes it once, and decides all of a mail by it.
    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Lets the files be read anew for everybody who asked up to this row.
    pub(super) fn ask(&self, row: Option<i64>) {
        self.asked.send_if_modified(|known| {
            let is_new = row > *known;
            *known = row.max(*known);
            is_new
        });
    }
}

/// Reads the policy anew as often as a command or SIGHUP asks for it, until the daemon stops.
pub(super) async fn run(shared: Shared, hangup: Arc<Notify>) {
    let (mut asked, mut answered) = (shared.in_force.asked.subscribe(), None);
    loop {
        let by = tokio::select! {
            () = hangup.notified() => Origin::Signal,
            row = asked.wait_for(|row| *row > answered) => {
                answered = row.map_or(answered, |row| *row);
                Origin::Reload
            }
            () = shared.stop.cancelled() => return,
        };
        while let Err(error) = reload(&shared, by, answered).await {
            if matches!(error, DaemonError::Writer(_)) {
                return shared.stop.cancel();
            }
            tracing::error!(%error, "the policy could not be put in force; it is tried again");
            tokio::select! {
                () = tokio::time::sleep(AFTER_FAILURE) => {}
                () = shared.stop.cancelled() => return,
            }
        }
    }
}

/// Reads the files and puts them in force, or says why not, to everybody who asked up to `row`.
async fn reload(shared: &Shared, by: Origin, row: Option<i64>) -> Result<(), DaemonError> {
    let config = Arc::clone(&shared.config);
    let read = tokio::task::spawn_blocking(move || config.policy()).await;
    let answer = match read {
        Ok(Ok(policy)) => Reloaded::InForce(enact(shared, policy, by).await?),
        Ok(Err(error)) => refuse(shared, &error).await?,
        Err(panicked) => {
            let why = std::io::Error::other(panicked.to_string());
            refuse(shared, &ConfigError::UnreadablePolicy { path: "the policy".to_owned(), why }).await?
        }
    };
    write(shared, move |tx, now| tx.answer_reload(row, &answer, now)).await
}

/// The generation is on disk before the first decision names it, and whoever asked hears of it after that.
async fn enact(shared: &Shared, policy: Policy, by: Origin) -> Result<Generation, DaemonError> {
    let (hash, was) = (policy.hash.clone(), shared.in_force.policy().hash.clone());
    let generation = write(shared, move |tx, now| {
        tx.policy_accepted(now)?;
        tx.enact(&hash, by, now)
    })
    .await?;
    let (number, hash) = (generation.number, generation.hash.as_str());
    if hash == was {
        tracing::info!(generation = number, hash, "the policy's files say what is in force already");
        return Ok(generation);
    }
    tell_status(&generation, &policy);
    shared.in_force.policy.send_replace(Arc::new(policy));
    tracing::info!(generation = number, hash, by = by.as_str(), "a new policy is in force");
    Ok(generation)
}

async fn refuse(shared: &Shared, error: &ConfigError) -> Result<Reloaded, DaemonError> {
    let (found, report) = (error.summary(), error.report());
    tracing::error!(found, "the policy's files are wrong; the policy in force stays");
    write(shared, move |tx, now| tx.policy_refused(&found, now)).await?;
    Ok(Reloaded::Refused(report))
}

async fn write<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Tx<'_>, Timestamp) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, DaemonError> {
    let work = |store: &mut Store| store.transaction(|tx| work(tx, clock::now()));
    Ok(shared.writer.call(work).await??)
}

/// What is wrong with the policy at the start, in one line: a daemon whose rules miss their own examples is better than
/// none, but no reload would take them.
pub(super) fn examples_missed(policy: &Policy) -> Option<String> {
    let failures: Vec<_> = policy.rules.run_examples().into_iter().map(|failure| failure.problem).collect();
    let found = (!failures.is_empty()).then(|| summary(&failures))?;
    tracing::warn!(found, "yes or no lines of the policy come out otherwise; a reload would refuse them");
    Some(found)
}

/// What `systemctl status` shows.
pub(super) fn tell_status(generation: &Generation, policy: &Policy) {
    let Generation { number, hash, since, .. } = generation;
    let since = policy.calendar.to_local(*since).strftime("%Y-%m-%d %H:%M");
    tell_systemd(&[sd_notify::NotifyState::Status(&format!("policy {number} ({hash}) since {since}"))]);
}
