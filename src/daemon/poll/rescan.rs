//! Lists again where a mailbox puts what is done: what this database does not know becomes a ticket, and nobody hears of
//! it.
//!
//! After a restore, the mails that were stored since the copy was made lie in our own folders, where no pass over a
//! watched folder finds them. Those in the watched folders lie above the restored cursor and are found by the next pass;
//! what lies below it without a row is claimed here, for that pass to redo.

use jiff::Timestamp;

use super::batch::claims;
use super::{AFTER_REFUSAL, Duration, LONGEST_WAIT, VisitError, Watch};
use crate::config::Mailbox;
use crate::daemon::backoff::{Backoff, jitter};
use crate::daemon::orders::Turn;
use crate::daemon::{Shared, clock};
use crate::imap::{ImapError, Listed, Session, Timeouts};
use crate::store::{FolderId, Store, WriterGone};

/// Rescans a mailbox whenever that is asked for, until the daemon stops.
pub(in crate::daemon) async fn rescan(shared: &Shared, mailbox: &Mailbox) {
    let done = mailbox.done_folders();
    let mut rescan = Rescan {
        shared,
        mailbox,
        done: done.iter().map(|folder| Watch::new(shared, mailbox, folder, true)).collect(),
        started: clock::now(),
    };
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_WAIT);
    loop {
        let since = tokio::select! {
            since = shared.orders.rescan(&mailbox.name) => since,
            () = shared.stop.cancelled() => return,
        };
        let Some(turn) = Turn::wait(shared, &mailbox.name).await else { return };
        rescan.started = clock::now();
        let error = match turn.during(shared, &mailbox.name, rescan.run(since, &turn)).await {
            None => continue,
            Some(Ok(())) => {
                backoff.reset();
                continue;
            }
            Some(Err(VisitError::Writer(WriterGone))) => return shared.stop.cancel(),
            Some(Err(error)) => error,
        };
        let wait = match error {
            VisitError::Imap(ImapError::AuthRefused(_)) => AFTER_REFUSAL,
            _ => backoff.next(jitter()),
        };
        tracing::warn!(mailbox = mailbox.name, %error, wait = ?wait, "the rescan broke off; it is tried again");
        rescan.alert(&error).await;
        turn.pause(shared, &mailbox.name, wait).await;
    }
}

struct Rescan<'a> {
    shared: &'a Shared,
    mailbox: &'a Mailbox,
    /// Our own folders; what is suspected of a mail in them outlives a connection.
    done: Vec<Watch<'a>>,
    started: Timestamp,
}

impl Rescan<'_> {
    /// One connection, in which everything is listed that arrived since a time. It may be broken off anywhere: what has
    /// its outcome is not taken in again.
    async fn run(&mut self, since: Timestamp, turn: &Turn) -> Result<(), VisitError> {
        let shared = self.shared;
        let mut session = tokio::select! {
            session = Session::open(&self.mailbox.server, &shared.trust, Timeouts::default()) => session?,
            () = turn.over.cancelled() => return Ok(()),
        };
        let mut folders = Vec::new();
        for watch in &mut self.done {
            watch.over = turn.over.clone();
            folders.extend(watch.list_again(&mut session, since).await?);
        }
        let mut missed = 0;
        for folder in &self.mailbox.folders {
            let watch = Watch { over: turn.over.clone(), ..Watch::new(shared, self.mailbox, folder, true) };
            missed += watch.claim_missed(&mut session, since).await?;
        }
        session.logout().await;
        if !turn.over.is_cancelled() {
            self.end(since, folders, missed).await?;
        }
        if missed > 0 {
            shared.orders.look_again(&self.mailbox.name);
        }
        Ok(())
    }

    async fn end(&self, since: Timestamp, folders: Vec<FolderId>, missed: usize) -> Result<(), VisitError> {
        let (mailbox, started) = (self.mailbox.name.clone(), self.started);
        let ended = move |store: &mut Store| {
            store.transaction(|tx| {
                let now = clock::now();
                tx.alert_ends(now, "rescan_failed", &mailbox)?;
                Ok((tx.rescanned(&mailbox, since, &folders, started, now)?, tx.orders()?))
            })
        };
        let (found, orders) = self.shared.writer.call(ended).await??;
        self.shared.orders.set(&orders);
        let found: Vec<String> =
            found.iter().map(|(outcome, mails)| format!("{mails} {}", outcome.as_str())).collect();
        tracing::info!(
            mailbox = self.mailbox.name,
            %since,
            found = found.join(", "),
            missed,
            "rescanned: what was not known has a ticket, and no acknowledgement"
        );
        Ok(())
    }

    async fn alert(&self, error: &VisitError) {
        let (mailbox, error) = (self.mailbox.name.clone(), error.to_string());
        self.shared.note(move |tx, now| tx.alert(now, "rescan_failed", &mailbox, &error)).await;
    }
}

impl Watch<'_> {
    /// Takes in what one of our own folders holds from a time on, silently, and leaves it there.
    async fn list_again(
        &mut self,
        session: &mut Session,
        since: Timestamp,
    ) -> Result<Option<FolderId>, VisitError> {
        if self.is_over() {
            return Ok(None);
        }
        let (mailbox, name) = (self.mailbox.name.clone(), self.folder.to_owned());
        if !session.has_folder(self.folder).await? {
            self.store(move |tx, _| tx.folder_is_gone(&mailbox, &name)).await?;
            return Ok(None);
        }
        let selected = session.examine(self.folder).await?;
        let mut folder = self.enrol(&selected).await?;
        if folder.is_new {
            self.suspects.clear(); // they were UIDs of another UIDVALIDITY
        }
        // in memory alone: should it ever be watched, its own past is what counts
        (folder.silent_before, folder.backlog_before) = (Timestamp::MAX, Timestamp::MIN);
        self.redo(session, &mut folder).await?;
        let mut above = 0;
        while !self.is_over() {
            let mut listed = session.list_above(above).await?;
            listed.retain(|mail| mail.uid < selected.uid_next); // the others are put there just now
            let Some(last) = listed.last() else { break };
            above = last.uid;
            let listed = self.unknown(&folder, arrived_since(listed, since)).await?;
            self.take(session, &mut folder, &listed).await?;
            self.redo(session, &mut folder).await?; // what the server withheld
        }
        self.suspects.clear();
        Ok(Some(folder.id))
    }

    /// Claims what a watched folder holds from a time on, below its cursor and without a row. Says how many mails.
    async fn claim_missed(&self, session: &mut Session, since: Timestamp) -> Result<usize, VisitError> {
        if self.is_over() || !session.has_folder(self.folder).await? {
            return Ok(0);
        }
        let uid_validity = session.examine(self.folder).await?.uid_validity;
        let (mut above, mut missed) = (0, 0);
        while !self.is_over() {
            let listed = session.list_above(above).await?;
            let Some(last) = listed.last() else { break };
            above = last.uid;
            let claims = claims(&arrived_since(listed, since), clock::now());
            let (mailbox, name) = (self.mailbox.name.clone(), self.folder.to_owned());
            missed += self
                .store(move |tx, now| tx.claim_missed(&mailbox, &name, uid_validity, &claims, now))
                .await?;
        }
        Ok(missed)
    }
}

/// A mail whose date the server cannot tell may have come at any time.
fn arrived_since(mut listed: Vec<Listed>, since: Timestamp) -> Vec<Listed> {
    listed.retain(|mail| mail.internal_date.is_none_or(|date| date >= since));
    listed
}
