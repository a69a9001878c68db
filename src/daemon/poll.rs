//! One folder of one mailbox: list, fetch, store, settle, wait; for ever, whatever the server does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, jitter};
use super::orders::Turn;
use super::{Shared, clock};
use crate::config::{After, Mailbox};
use crate::imap::{ImapError, Listed, MAX_SET, Selected, Session, Timeouts, Woken};
use crate::ingest::Reading;
use crate::store::{ArrivalId, Folder, StoreError, WriterGone, folder_subject};
use crate::ticket::Outcome;
use crate::triage::Reason;

mod batch;
mod rescan;
mod settle;

pub(super) use rescan::rescan;

use batch::{Batch, claims};
use settle::Done;

/// IDLE is renewed before NAT boxes and servers forget it (RFC 2177 says 29 minutes at most).
const IDLE_RENEWAL: Duration = Duration::from_secs(9 * 60);
/// Waits after a failure grow up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// News that turns out to be none is listened to ever more seldom: at first after this, which delays no mail,
const AFTER_FALSE_NEWS: Duration = Duration::from_millis(10);
/// and at last after this.
const LONGEST_DEAFNESS: Duration = Duration::from_secs(60);
/// A refused login is tried again, slowly: too many tries lock an account.
const AFTER_REFUSAL: Duration = Duration::from_secs(300);

/// The kind of the alert that nothing can be settled in a folder, and what is to be done about it.
const READ_ONLY: &str = "folder_read_only";
const SEE_TO_READ_ONLY: &str =
    "the user may not move, flag or delete mail here: give it the right to, or say after = \"keep\"";

/// Why a visit ended.
#[derive(Debug, thiserror::Error)]
enum VisitError {
    #[error(transparent)]
    Imap(#[from] ImapError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Writer(#[from] WriterGone),
}

/// Watches a folder until the daemon stops, whenever its mailbox may be worked on.
pub(super) async fn watch(shared: &Shared, mailbox: &Mailbox, folder: &str) {
    let mut watch = Watch::new(shared, mailbox, folder, false);
    while let Some(turn) = Turn::wait(shared, &mailbox.name).await {
        watch.over = turn.over.clone();
        let wait = match turn.during(shared, &mailbox.name, watch.visit()).await {
            None | Some(Ok(())) => continue,
            Some(Err(VisitError::Writer(WriterGone))) => return shared.stop.cancel(),
            Some(Err(VisitError::Imap(error @ ImapError::AuthRefused(_)))) => {
                tracing::error!(mailbox = mailbox.name, folder, %error, "the mailbox is paused; other mailboxes go on");
                watch.alert("login_refused", &error.to_string()).await;
                AFTER_REFUSAL.mul_f64(0.5 + jitter() / 2.0)
            }
            Some(Err(error)) => {
                let wait = watch.backoff.next(jitter());
                tracing::warn!(mailbox = mailbox.name, folder, %error, wait = ?wait, "the visit broke off; it is tried again");
                watch.alert("mailbox_unreachable", &error.to_string()).await;
                wait
            }
        };
        turn.pause(shared, &mailbox.name, wait).await;
    }
}

struct Watch<'a> {
    shared: &'a Shared,
    mailbox: &'a Mailbox,
    folder: &'a str,
    /// What is here is listed again: nothing is acknowledged, moved or flagged, and there is no cursor.
    again: bool,
    /// Cancelled when nothing new is to be begun.
    over: CancellationToken,
    backoff: Backoff,
    /// UIDs whose fetch failed: fetched alone, and set aside at [`batch::SUSPICION`].
    suspects: BTreeMap<u32, u32>,
    /// Mail came that an IDLE never told of: from then on the folder is polled too.
    idle_deaf: bool,
}

impl<'a> Watch<'a> {
    fn new(shared: &'a Shared, mailbox: &'a Mailbox, folder: &'a str, again: bool) -> Self {
        Self {
            shared,
            mailbox,
            folder,
            again,
            over: CancellationToken::new(),
            backoff: Backoff::new(Duration::from_secs(1), LONGEST_WAIT),
            suspects: BTreeMap::new(),
            idle_deaf: false,
        }
    }

    /// One connection, from login to its end. `Ok`: the turn is over.
    async fn visit(&mut self) -> Result<(), VisitError> {
        let over = self.over.clone();
        let mut session = tokio::select! {
            session = Session::open(&self.mailbox.server, &self.shared.trust, Timeouts::default()) => session?,
            () = over.cancelled() => return Ok(()),
        };
        let selected = match self.mailbox.after {
            After::Keep => session.examine(self.folder).await?,
            _ => session.select(self.folder).await?,
        };
        let mut folder = self.enrol(&selected).await?;
        if folder.is_new {
            tracing::info!(
                mailbox = self.mailbox.name,
                folder = self.folder,
                uidvalidity = selected.uid_validity,
                renumbered = folder.renumbered,
                "enrolled"
            );
            self.suspects.clear(); // they were UIDs of another UIDVALIDITY
        }
        let mut woken = None;
        let mut false_news = Backoff::new(AFTER_FALSE_NEWS, LONGEST_DEAFNESS);
        loop {
            let found = self.pass(&mut session, &mut folder).await?;
            self.backoff.reset();
            self.show_alert(&mut session);
            self.idle_deaf |= found > 0 && woken == Some(Woken::Timeout) && session.idles();
            if found == 0 && woken == Some(Woken::News) {
                tokio::select! {
                    () = tokio::time::sleep(false_news.next(jitter())) => {}
                    () = over.cancelled() => {}
                }
            } else {
                false_news.reset();
            }
            if over.is_cancelled() {
                break;
            }
            let poll = self.mailbox.poll.unsigned_abs();
            let at_most = if session.idles() && !self.idle_deaf { IDLE_RENEWAL } else { poll };
            woken = Some(session.wait(at_most, &over).await?);
            if woken == Some(Woken::Cancelled) {
                break;
            }
        }
        session.logout().await;
        Ok(())
    }

    /// The folder's row under its UIDVALIDITY.
    async fn enrol(&self, selected: &Selected) -> Result<Folder, VisitError> {
        let (mailbox, name, backlog) =
            (self.mailbox.name.clone(), self.folder.to_owned(), self.mailbox.backlog);
        let Selected { uid_validity, uid_next, tells_uid_next, read_only, .. } = *selected;
        let settles = !self.again && self.mailbox.after != After::Keep;
        let (folder, given_anew) = self
            .store(move |tx, now| {
                let subject = folder_subject(&mailbox, &name);
                match read_only && settles {
                    true => tx.alert(now, READ_ONLY, &subject, SEE_TO_READ_ONLY)?,
                    false => tx.alert_ends(now, READ_ONLY, &subject)?,
                }
                let given_anew =
                    tells_uid_next && tx.put_aside_reused_uids(&mailbox, &name, uid_validity, uid_next)?;
                Ok((tx.folder(&mailbox, &name, uid_validity, uid_next, backlog, now)?, given_anew))
            })
            .await?;
        let (mailbox, name) = (&self.mailbox.name, self.folder);
        if read_only && settles {
            tracing::error!(mailbox, folder = name, "the folder is read-only: stored mails stay as they are");
        }
        if given_anew {
            tracing::warn!(
                mailbox,
                folder = name,
                uid_next,
                "the server gives UIDs anew under an old UIDVALIDITY; the folder is listed again"
            );
        }
        Ok(folder)
    }

    /// RFC 3501 §7.1: an ALERT is for a person.
    fn show_alert(&self, session: &mut Session) {
        if let Some(text) = session.take_alert() {
            tracing::warn!(
                mailbox = self.mailbox.name,
                folder = self.folder,
                text,
                "the server asks that a person reads this"
            );
        }
    }

    /// Whether nothing new is to be begun: the turn is over, or the disk is full, which ends it.
    fn is_over(&self) -> bool {
        if self.shared.disk.low().is_some() {
            self.over.cancel();
        }
        self.over.is_cancelled()
    }

    /// Everything that is there to do now. Says how many mails were new.
    async fn pass(&mut self, session: &mut Session, folder: &mut Folder) -> Result<usize, VisitError> {
        self.settle_leftovers(session, folder).await?;
        let mut found = 0;
        let asked = loop {
            self.redo(session, folder).await?;
            let asked = clock::now();
            let listed = session.list_above(folder.last_uid).await?;
            if self.over.is_cancelled() {
                return Ok(found);
            }
            let Some(last) = listed.last().map(|mail| mail.uid) else { break asked };
            let listed = self.unknown(folder, listed).await?;
            found += listed.len();
            self.take(session, folder, &listed).await?;
            if self.over.is_cancelled() {
                return Ok(found);
            }
            let id = folder.id;
            self.store(move |tx, _| tx.advance(id, last)).await?; // past mail that was left alone, too
            folder.last_uid = last;
        };
        self.suspects.clear();
        let id = folder.id;
        let (mailbox, name) = (self.mailbox.name.clone(), self.folder.to_owned());
        self.store(move |tx, now| {
            tx.polled(id, asked)?;
            tx.alert_ends(now, "mailbox_unreachable", &folder_subject(&mailbox, &name))?;
            tx.alert_ends(now, "login_refused", &folder_subject(&mailbox, &name))
        })
        .await?;
        tracing::debug!(mailbox = self.mailbox.name, folder = self.folder, found, "pass done");
        Ok(found)
    }

    /// Those of a listing that have no outcome yet. Above the cursor that is all, unless a rescan was here before the
    /// folder was watched.
    async fn unknown(&self, folder: &Folder, mut listed: Vec<Listed>) -> Result<Vec<Listed>, VisitError> {
        let (id, uids) = (folder.id, listed.iter().map(|mail| mail.uid).collect::<BTreeSet<_>>());
        let known = self.store(move |tx, _| tx.with_outcome(id, &uids)).await?;
        listed.retain(|mail| !known.contains(&mail.uid));
        Ok(listed)
    }

    /// Mails that were claimed and came to no outcome, by an unclean end or because the server withheld them: one by
    /// one, so that one which kills us is found.
    async fn redo(&mut self, session: &mut Session, folder: &mut Folder) -> Result<(), VisitError> {
        let id = folder.id;
        let (pending, silent_before) =
            self.store(move |tx, _| Ok((tx.pending(id)?, tx.silent_before(id)?))).await?;
        folder.silent_before = folder.silent_before.max(silent_before);
        for pending in pending {
            if self.is_over() {
                return Ok(());
            }
            let listed = session.list_uids(&[pending.uid]).await?;
            let Some(mail) = listed.first() else {
                self.conclude(pending.id, Reason::Gone).await?;
                continue;
            };
            // Claims go by UID: up to this one every mail has its row, and must not be listed as new.
            folder.last_uid = folder.last_uid.max(pending.uid);
            match self.fetch(session, folder, &listed).await {
                Ok(None) => {}
                Ok(Some(batch)) if !batch.withheld.is_empty() => self.set_aside(folder, mail).await?,
                Ok(Some(batch)) => {
                    let done = self.ingest_alone(folder, pending.id, batch).await?;
                    self.settle(session, done).await?;
                }
                Err(error) => {
                    self.suspect(&listed, &error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Ingests a mail that may have killed us. What ends us while its bytes are still on their way, such as SIGTERM,
    /// is not held against it.
    async fn ingest_alone(
        &self,
        folder: &Folder,
        id: ArrivalId,
        mut batch: Batch,
    ) -> Result<Vec<Done>, VisitError> {
        let deaths = self.store(move |tx, _| tx.claim_alone(id)).await?;
        if deaths >= 2 {
            let whole = batch.mails.iter_mut().filter(|mail| mail.reading == Reading::Whole);
            whole.for_each(|mail| mail.reading = Reading::Poison);
        }
        let done = self.ingest(folder, batch).await;
        if done.is_err() {
            self.store(move |tx, _| tx.unclaim_alone(id)).await?; // no crash: it does not count
        }
        done
    }

    /// Takes listed mails in, batch by batch: the next is fetched while the last is being stored.
    async fn take(
        &mut self,
        session: &mut Session,
        folder: &mut Folder,
        listed: &[Listed],
    ) -> Result<(), VisitError> {
        let (backlog, fresh): (Vec<Listed>, Vec<Listed>) = listed
            .iter()
            .partition(|mail| mail.internal_date.is_some_and(|date| folder.is_left_alone(mail.uid, date)));
        self.leave(folder, &backlog).await?;
        let mut unsettled: Vec<Done> = Vec::new();
        let mut in_hand: Option<Batch> = None;
        let mut result = Ok(());
        for chunk in self.batches(&fresh) {
            if self.is_over() {
                break;
            }
            let storing = in_hand.take();
            let this = &*self;
            let store = async {
                match storing {
                    Some(batch) => this.ingest(folder, batch).await,
                    None => Ok(Vec::new()),
                }
            };
            let (fetched, stored) = tokio::join!(this.fetch(session, folder, &chunk), store);
            unsettled.extend(stored?);
            match fetched {
                Ok(batch) => in_hand = batch,
                Err(error) => {
                    self.suspect(&chunk, &error);
                    result = Err(error);
                    break;
                }
            }
            if unsettled.len() >= MAX_SET {
                self.settle(session, std::mem::take(&mut unsettled)).await?;
            }
        }
        if let Some(batch) = in_hand {
            unsettled.extend(self.ingest(folder, batch).await?);
        }
        let broken = matches!(&result, Err(VisitError::Imap(error)) if !error.leaves_session_usable());
        if !broken {
            self.settle(session, unsettled).await?;
        }
        result
    }

    /// Mail from before our time is accounted for and left in place.
    async fn leave(&self, folder: &Folder, backlog: &[Listed]) -> Result<(), VisitError> {
        for some in backlog.chunks(1000) {
            let claims = claims(some, clock::now());
            let id = folder.id;
            self.store(move |tx, now| {
                for arrival in tx.claim(id, &claims, now)? {
                    tx.conclude(arrival, Outcome::Ignored, Reason::Backlog)?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn conclude(&self, arrival: ArrivalId, reason: Reason) -> Result<(), VisitError> {
        self.store(move |tx, _| tx.conclude(arrival, Outcome::Ignored, reason)).await
    }

    async fn alert(&self, kind: &'static str, detail: &str) {
        let (subject, detail) = (folder_subject(&self.mailbox.name, self.folder), detail.to_owned());
        self.shared.note(move |tx, now| tx.alert(now, kind, &subject, &detail)).await;
    }

    /// Runs `work` in one transaction on the writer's thread.
    async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::store::Tx<'_>, Timestamp) -> crate::store::Result<T> + Send + 'static,
    ) -> Result<T, VisitError> {
        let done =
            self.shared.writer.call(move |store| store.transaction(|tx| work(tx, clock::now()))).await?;
        Ok(done?)
    }
}
