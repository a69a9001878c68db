//! One folder of one mailbox: list, fetch, store, settle, wait; for ever, whatever the server does.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::backoff::{Backoff, jitter};
use super::{Shared, clock};
use crate::config::{After, Mailbox};
use crate::imap::{Code, ImapError, Listed, MAX_SET, Session, Settle, Timeouts, Woken};
use crate::ingest::{self, Cursor, Fetched, Reading, Stored};
use crate::store::{ArrivalId, Folder, NewArrival, StoreError, Unsettled, WriterGone};
use crate::ticket::{Impact, Outcome};
use crate::triage::{Arrival, Reason};

/// A batch holds at most so many mails,
const BATCH_MAILS: usize = 200;
/// and so many bytes, or one larger mail.
const BATCH_BYTES: u64 = 16 << 20;
/// How much of a mail over `max_size` is fetched.
const HEAD_BYTES: u32 = 64 << 10;
/// IDLE is renewed before NAT boxes and servers forget it (RFC 2177 says 29 minutes at most).
const IDLE_RENEWAL: Duration = Duration::from_secs(9 * 60);
/// Waits after a failure grow up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A refused login is tried again, slowly: too many tries lock an account.
const AFTER_REFUSAL: Duration = Duration::from_secs(300);
/// A server may keep us from stopping for so long; what was in hand then is redone at the next start.
const PARTING: Duration = Duration::from_secs(5);
/// A mail whose fetch fails when it is fetched alone is set aside at this: after two failures that tell of the mail,
/// or four that may be the network's.
const SUSPICION: u32 = 12;

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

/// Watches a folder until the daemon stops.
pub(super) async fn watch(shared: &Shared, mailbox: &Mailbox, folder: &str) {
    let mut watch = Watch {
        shared,
        mailbox,
        folder,
        backoff: Backoff::new(Duration::from_secs(1), LONGEST_WAIT),
        suspects: BTreeMap::new(),
        idle_deaf: false,
    };
    loop {
        let parted = async {
            shared.stop.cancelled().await;
            tokio::time::sleep(PARTING).await;
        };
        let visit = tokio::select! {
            ended = watch.visit() => ended,
            () = parted => Ok(()),
        };
        let wait = match visit {
            Ok(()) => return,
            Err(VisitError::Writer(WriterGone)) => return shared.stop.cancel(),
            Err(VisitError::Imap(error @ ImapError::AuthRefused(_))) => {
                tracing::error!(mailbox = mailbox.name, folder, %error, "the mailbox is paused; other mailboxes go on");
                watch.alert("login_refused", &error.to_string()).await;
                AFTER_REFUSAL.mul_f64(0.5 + jitter() / 2.0)
            }
            Err(error) => {
                let wait = watch.backoff.next(jitter());
                tracing::warn!(mailbox = mailbox.name, folder, %error, wait = ?wait, "the visit broke off; it is tried again");
                watch.alert("mailbox_unreachable", &error.to_string()).await;
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

struct Watch<'a> {
    shared: &'a Shared,
    mailbox: &'a Mailbox,
    folder: &'a str,
    backoff: Backoff,
    /// UIDs whose fetch failed: fetched alone, and set aside at [`SUSPICION`].
    suspects: BTreeMap<u32, u32>,
    /// Mail came that an IDLE never told of: from then on the folder is polled too.
    idle_deaf: bool,
}

/// A stored mail that the server is still to hear of.
struct Done {
    id: ArrivalId,
    uid: u32,
    outcome: Outcome,
    impact: Option<Impact>,
}

/// Mails on their way from the server into the store.
struct Batch {
    mails: Vec<Fetched>,
    uids: BTreeMap<ArrivalId, u32>,
    last_uid: u32,
    /// The server lists them and gave nothing: they are claimed, and asked for once more alone.
    withheld: Vec<Listed>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Watch<'_> {
    /// One connection, from login to its end. `Ok`: the daemon stops.
    async fn visit(&mut self) -> Result<(), VisitError> {
        let shared = self.shared;
        let mut session = tokio::select! {
            session = Session::open(&self.mailbox.server, &shared.trust, Timeouts::default()) => session?,
            () = shared.stop.cancelled() => return Ok(()),
        };
        let selected = match self.mailbox.after {
            After::Keep => session.examine(self.folder).await?,
            _ => session.select(self.folder).await?,
        };
        let (mailbox, name, backlog) =
            (self.mailbox.name.clone(), self.folder.to_owned(), self.mailbox.backlog);
        let mut folder = self
            .store(move |tx, now| {
                tx.folder(&mailbox, &name, selected.uid_validity, selected.uid_next, backlog, now)
            })
            .await?;
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
        let mut woken = Woken::News;
        loop {
            let found = self.pass(&mut session, &mut folder).await?;
            self.backoff.reset();
            self.idle_deaf |= found > 0 && woken == Woken::Timeout && session.idles();
            if shared.stop.is_cancelled() {
                break;
            }
            let poll = self.mailbox.poll.unsigned_abs();
            let at_most = if session.idles() && !self.idle_deaf { IDLE_RENEWAL } else { poll };
            woken = session.wait(at_most, &shared.stop).await?;
            if woken == Woken::Cancelled {
                break;
            }
        }
        session.logout().await;
        Ok(())
    }

    /// Everything that is there to do now. Says how many mails were new.
    async fn pass(&mut self, session: &mut Session, folder: &mut Folder) -> Result<usize, VisitError> {
        self.settle_leftovers(session, folder).await?;
        let mut found = 0;
        let asked = loop {
            self.redo(session, folder).await?;
            let asked = clock::now();
            let listed = session.list_above(folder.last_uid).await?;
            if self.shared.stop.is_cancelled() {
                return Ok(found);
            }
            if listed.is_empty() {
                break asked;
            }
            found += listed.len();
            self.take(session, folder, &listed).await?;
        };
        self.suspects.clear();
        let id = folder.id;
        let (mailbox, name) = (self.mailbox.name.clone(), self.folder.to_owned());
        self.store(move |tx, now| {
            tx.polled(id, asked)?;
            tx.alert_ends(now, "mailbox_unreachable", &subject(&mailbox, &name))?;
            tx.alert_ends(now, "login_refused", &subject(&mailbox, &name))
        })
        .await?;
        tracing::debug!(mailbox = self.mailbox.name, folder = self.folder, found, "pass done");
        Ok(found)
    }

    /// Mails that were claimed and came to no outcome, by an unclean end or because the server withheld them: one by
    /// one, so that one which kills us is found.
    async fn redo(&mut self, session: &mut Session, folder: &mut Folder) -> Result<(), VisitError> {
        let id = folder.id;
        for pending in self.store(move |tx, _| tx.pending(id)).await? {
            if self.shared.stop.is_cancelled() {
                return Ok(());
            }
            let listed = session.list_uids(&[pending.uid]).await?;
            let Some(mail) = listed.first() else {
                self.conclude(pending.id, Reason::Gone).await?;
                continue;
            };
            let deaths = self.store(move |tx, _| tx.claim_alone(pending.id)).await?;
            // Claims go by UID: up to this one every mail has its row, and must not be listed as new.
            folder.last_uid = folder.last_uid.max(pending.uid);
            match self.redo_alone(session, folder, mail, deaths).await {
                Ok(done) => self.settle(session, done).await?,
                Err(error) => {
                    self.store(move |tx, _| tx.unclaim_alone(pending.id)).await?; // no crash: it does not count
                    self.suspect(&listed, &error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn redo_alone(
        &self,
        session: &mut Session,
        folder: &Folder,
        mail: &Listed,
        deaths: u32,
    ) -> Result<Vec<Done>, VisitError> {
        let Some(mut batch) = self.fetch(session, folder, std::slice::from_ref(mail)).await? else {
            return Ok(Vec::new());
        };
        if !batch.withheld.is_empty() {
            self.set_aside(folder, mail).await?;
            return Ok(Vec::new());
        }
        if deaths >= 2 {
            let whole = batch.mails.iter_mut().filter(|mail| mail.reading == Reading::Whole);
            whole.for_each(|mail| mail.reading = Reading::Poison);
        }
        self.ingest(folder, batch).await
    }

    /// Outcomes that were on disk when the server had not heard of them yet.
    async fn settle_leftovers(&mut self, session: &mut Session, folder: &Folder) -> Result<(), VisitError> {
        let id = folder.id;
        let left = self.store(move |tx, _| tx.unsettled(id, 10_000)).await?;
        let done =
            left.into_iter().map(|Unsettled { id, uid, outcome, impact }| Done { id, uid, outcome, impact });
        self.settle(session, done.collect()).await
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
            if self.shared.stop.is_cancelled() {
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
        result?;
        if !self.shared.stop.is_cancelled()
            && let Some(last) = listed.last()
        {
            let (id, uid) = (folder.id, last.uid);
            self.store(move |tx, _| tx.advance(id, uid)).await?; // past mail that was left alone, too
            folder.last_uid = last.uid;
        }
        Ok(())
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

    /// Cuts a listing into batches; suspects and mails over the size limit go alone.
    fn batches(&self, listed: &[Listed]) -> Vec<Vec<Listed>> {
        let mut batches: Vec<Vec<Listed>> = Vec::new();
        let (mut bytes, mut open) = (0_u64, false);
        for mail in listed {
            let alone = self.suspects.contains_key(&mail.uid) || self.is_oversize(mail);
            let full = bytes.saturating_add(mail.size) > BATCH_BYTES;
            match batches.last_mut() {
                Some(batch) if open && !alone && !full && batch.len() < BATCH_MAILS => batch.push(*mail),
                _ => {
                    batches.push(vec![*mail]);
                    bytes = 0;
                }
            }
            bytes = bytes.saturating_add(mail.size);
            open = !alone;
        }
        batches
    }

    fn is_oversize(&self, mail: &Listed) -> bool {
        mail.size > self.shared.config.max_size
    }

    /// Fetches a batch and claims it. `None`: nothing of it is left to do.
    async fn fetch(
        &self,
        session: &mut Session,
        folder: &Folder,
        listed: &[Listed],
    ) -> Result<Option<Batch>, VisitError> {
        let (Some(first), Some(last)) = (listed.first(), listed.last()) else { return Ok(None) };
        if self.suspects.get(&first.uid).is_some_and(|suspicion| *suspicion >= SUSPICION) {
            self.set_aside(folder, first).await?;
            return Ok(None);
        }
        let bytes: u64 = listed.iter().map(|mail| mail.size).sum();
        let oversize = self.is_oversize(first);
        let fetched_bytes = if oversize { u64::from(HEAD_BYTES) } else { bytes };
        let kib = u32::try_from((fetched_bytes >> 10) + 1).unwrap_or(u32::MAX).min(super::ROOM_KIB as u32);
        let room = std::sync::Arc::clone(&self.shared.room).acquire_many_owned(kib).await.ok();
        let uids: Vec<u32> = listed.iter().map(|mail| mail.uid).collect();
        let fetched = if oversize {
            session.fetch_head(first.uid, HEAD_BYTES).await?.into_iter().collect()
        } else {
            // sizes are the server's own word: a little more is no breach
            session.fetch(&uids, bytes.saturating_mul(2).saturating_add(1 << 20)).await?
        };
        let now = clock::now();
        let claims = claims(listed, now);
        let folder_id = folder.id;
        let ids = self.store(move |tx, now| tx.claim(folder_id, &claims, now)).await?;
        let id_of: BTreeMap<u32, ArrivalId> = uids.iter().copied().zip(ids).collect();
        let mut batch = Batch {
            mails: Vec::with_capacity(fetched.len()),
            uids: id_of.iter().map(|(uid, id)| (*id, *uid)).collect(),
            last_uid: last.uid,
            withheld: Vec::new(),
            _room: room,
        };
        let mut missing: BTreeMap<u32, ArrivalId> = id_of.clone();
        for mail in fetched {
            let Some(id) = missing.remove(&mail.uid) else { continue };
            let received = mail.internal_date.map_or(now, |date| date.min(now));
            let arrival = Arrival {
                mailbox: self.mailbox.name.clone(),
                recipient: None,
                received,
                backlog: folder.is_backlog(mail.uid, received),
            };
            let reading = if oversize { Reading::Head } else { Reading::Whole };
            batch.mails.push(Fetched { id, arrival, raw: mail.raw, reading });
        }
        if !missing.is_empty() {
            let uids: Vec<u32> = missing.keys().copied().collect();
            batch.withheld = session.list_uids(&uids).await?;
            for Listed { uid, .. } in &batch.withheld {
                missing.remove(uid);
                tracing::warn!(
                    mailbox = self.mailbox.name,
                    folder = self.folder,
                    uid,
                    "the server did not give a mail that it lists"
                );
            }
            for id in missing.into_values() {
                self.conclude(id, Reason::Gone).await?;
            }
        }
        Ok(Some(batch))
    }

    /// Reads, decides and stores a batch; says what the server is to hear of.
    async fn ingest(&self, folder: &Folder, batch: Batch) -> Result<Vec<Done>, VisitError> {
        let Batch { mails, uids, last_uid, withheld: _, _room } = batch;
        let read = self.shared.readers.read(mails, &self.shared.policy).await.map_err(StoreError::from)?;
        let keep = self.mailbox.after == After::Keep;
        let cursor = Cursor { folder: folder.id, last_uid, keep };
        let (config, policy) = (self.shared.config.clone(), self.shared.policy.clone());
        let stored = self
            .shared
            .writer
            .call(move |store| ingest::batch(store, &read, Some(cursor), &config.site, &policy, clock::now()))
            .await??;
        if stored.iter().any(|mail| mail.decision.as_ref().is_some_and(|decision| decision.ack.send)) {
            self.shared.outbox.notify_one();
        }
        stored.iter().for_each(|mail| self.log(mail));
        let done = stored.into_iter().filter(|mail| !mail.stays).filter_map(|mail| {
            let outcome =
                mail.decision.as_ref().map_or(Outcome::Quarantined, |decision| decision.action.outcome());
            let impact = mail.decision.map(|decision| decision.impact);
            Some(Done { id: mail.id, uid: *uids.get(&mail.id)?, outcome, impact })
        });
        Ok(done.collect())
    }

    /// One line per mail (docs/log.md).
    fn log(&self, mail: &Stored) {
        let decision = mail.decision.as_ref();
        tracing::info!(
            mailbox = self.mailbox.name,
            outcome = decision.map_or("quarantined", |decision| decision.action.outcome().as_str()),
            reason = decision.map_or(Reason::StoreFailed.as_str(), |decision| decision.reason.as_str()),
            ticket = mail.ticket.map(|number| number.0),
            impact = decision.map(|decision| decision.impact.as_str()),
            rule = decision.and_then(|decision| decision.verdict.rule.as_deref()),
            ack = decision.map(|decision| decision.ack.because.as_str()),
            from = mail.from.as_deref().map(shown),
            message_id = mail.message_id.as_deref().map(shown),
            "mail"
        );
    }

    /// Tells the server. A refusal is an alert and no more: the outcomes are on disk, and the next pass tries again.
    async fn settle(&self, session: &mut Session, done: Vec<Done>) -> Result<(), VisitError> {
        if self.mailbox.after == After::Keep && !done.is_empty() {
            // left from before `after` was changed
            return self.store(move |tx, _| tx.settled(done.iter().map(|mail| mail.id))).await;
        }
        let mut places: BTreeMap<Place, Vec<&Done>> = BTreeMap::new();
        for mail in &done {
            places
                .entry(place(&self.mailbox.after, &self.mailbox.quarantine_to, mail))
                .or_default()
                .push(mail);
        }
        for (place, mails) in places {
            let settle = match &place {
                Place::Folder(folder) => Settle::Move(folder.clone()),
                Place::Flagged => Settle::Flag,
                Place::Deleted => Settle::Delete,
            };
            for some in mails.chunks(MAX_SET) {
                let uids: Vec<u32> = some.iter().map(|mail| mail.uid).collect();
                let mut settled = session.settle(&uids, &settle).await;
                if let Err(error @ ImapError::CannotMove) = &settled {
                    tracing::warn!(mailbox = self.mailbox.name, folder = self.folder, %error, "stored mails are flagged in place of moved or deleted");
                    self.alert("cannot_move", &error.to_string()).await;
                    settled = session.settle(&uids, &Settle::Flag).await;
                }
                match settled {
                    Ok(()) => {
                        let ids: Vec<ArrivalId> = some.iter().map(|mail| mail.id).collect();
                        let subject = subject(&self.mailbox.name, self.folder);
                        self.store(move |tx, now| {
                            tx.settled(ids)?;
                            tx.alert_ends(now, "cannot_settle", &subject)
                        })
                        .await?;
                    }
                    Err(error) if error.leaves_session_usable() => {
                        tracing::error!(mailbox = self.mailbox.name, folder = self.folder, %error,
                            "stored mails cannot be settled on the server; the next pass tries again");
                        self.alert("cannot_settle", &error.to_string()).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Remembers which mails a broken fetch was about.
    fn suspect(&mut self, batch: &[Listed], error: &VisitError) {
        let VisitError::Imap(error) = error else { return };
        let weight = match error {
            ImapError::No { code: Code::Unavailable, .. } => return, // the server's own trouble (RFC 5530)
            ImapError::Protocol { .. } | ImapError::No { .. } | ImapError::Bad { .. } => SUSPICION / 2,
            _ => SUSPICION / 4,
        };
        let alone = batch.len() == 1;
        for mail in batch {
            *self.suspects.entry(mail.uid).or_default() += if alone { weight } else { 0 };
        }
    }

    /// Gives up on a mail whose fetch breaks every session; it stays on the server.
    async fn set_aside(&self, folder: &Folder, mail: &Listed) -> Result<(), VisitError> {
        tracing::error!(
            mailbox = self.mailbox.name,
            folder = self.folder,
            uid = mail.uid,
            "a mail cannot be fetched; it is set aside"
        );
        let (claims, id, uid, mailbox) =
            (claims(&[*mail], clock::now()), folder.id, mail.uid, self.mailbox.name.clone());
        self.store(move |tx, now| {
            for arrival in tx.claim(id, &claims, now)? {
                let why = format!("UID {uid} cannot be fetched; it stays on the server");
                tx.quarantine_unread(arrival, &mailbox, Reason::Unfetchable, None, &why, now)?;
                tx.settled([arrival])?;
            }
            tx.advance(id, uid)
        })
        .await
    }

    async fn conclude(&self, arrival: ArrivalId, reason: Reason) -> Result<(), VisitError> {
        self.store(move |tx, _| tx.conclude(arrival, Outcome::Ignored, reason)).await
    }

    async fn alert(&self, kind: &'static str, detail: &str) {
        let (subject, detail) = (subject(&self.mailbox.name, self.folder), detail.to_owned());
        let noted = self.store(move |tx, now| tx.alert(now, kind, &subject, &detail)).await;
        if let Err(error) = noted {
            tracing::error!(%error, "an alert could not be noted");
        }
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

/// What an alert of a folder is about.
fn subject(mailbox: &str, folder: &str) -> String {
    format!("{mailbox}/{folder}")
}

fn claims(listed: &[Listed], now: Timestamp) -> Vec<NewArrival> {
    let claim = |mail: &Listed| NewArrival {
        uid: mail.uid,
        received: mail.internal_date.map_or(now, |date| date.min(now)),
        size: mail.size,
    };
    listed.iter().map(claim).collect()
}

/// Where a stored mail goes on the server.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Folder(String),
    Flagged,
    Deleted,
}

fn place(after: &After, quarantine_to: &str, mail: &Done) -> Place {
    match after {
        After::Flag | After::Keep => Place::Flagged,
        _ if mail.outcome == Outcome::Quarantined => Place::Folder(quarantine_to.to_owned()),
        After::Delete => Place::Deleted,
        After::Move(to) => {
            let is_case = matches!(mail.outcome, Outcome::Opened | Outcome::Appended);
            let queue = match mail.impact.filter(|_| is_case) {
                Some(Impact::High) => "Alto",
                Some(Impact::Medium) => "Medio",
                Some(Impact::Low) => "Bajo",
                None => "Otros",
            };
            Place::Folder(to.replace("{impact}", queue))
        }
    }
}

/// Text of a mail as a log line may show it: short, and without anything that moves a terminal's cursor (I17).
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
