//! A batch of mails on its way from the server into the store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::settle::Done;
use super::{VisitError, Watch};
use crate::config::After;
use crate::daemon::clock;
use crate::imap::{Code, ImapError, Listed, Session};
use crate::ingest::{self, Cursor, Fetched, Reading, Stored};
use crate::store::{ArrivalId, Folder, NewArrival, StoreError};
use crate::ticket::Outcome;
use crate::triage::{Arrival, Reason};

/// A batch holds at most so many mails,
const BATCH_MAILS: usize = 200;
/// and so many bytes, or one larger mail.
const BATCH_BYTES: u64 = 16 << 20;
/// How much of a mail over `max_size` is fetched.
const HEAD_BYTES: u32 = 64 << 10;
/// A mail whose fetch fails when it is fetched alone is set aside at this: after two failures that tell of the mail,
/// or four that may be the network's.
pub(super) const SUSPICION: u32 = 12;

/// Mails on their way from the server into the store.
pub(super) struct Batch {
    pub(super) mails: Vec<Fetched>,
    pub(super) uids: BTreeMap<ArrivalId, u32>,
    pub(super) last_uid: u32,
    /// The server lists them and gave nothing: they are claimed, and asked for once more alone.
    pub(super) withheld: Vec<Listed>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Watch<'_> {
    /// Cuts a listing into batches; suspects and mails over the size limit go alone.
    pub(super) fn batches(&self, listed: &[Listed]) -> Vec<Vec<Listed>> {
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

    /// Whether less came of a mail than the server lists, where nothing but what came would be left of it. Sizes
    /// should be exact (RFC 3501 §2.3.4); of a server that estimates them, such a mail is kept rather than deleted.
    fn is_short(&self, mail: &crate::imap::Fetched, listed: &[Listed]) -> bool {
        let size = listed.iter().find(|it| it.uid == mail.uid).map_or(0, |it| it.size);
        let short = self.mailbox.after == After::Delete && (mail.raw.len() as u64) < size;
        if short {
            tracing::warn!(
                mailbox = self.mailbox.name,
                folder = self.folder,
                uid = mail.uid,
                listed = size,
                came = mail.raw.len(),
                "less came of a mail than the server lists; it is not deleted"
            );
        }
        short
    }

    /// Fetches a batch and claims it. `None`: nothing of it is left to do.
    pub(super) async fn fetch(
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
        let room = self.shared.room.take(fetched_bytes).await;
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
            let stays = oversize || self.is_short(&mail, listed);
            batch.mails.push(Fetched { id, arrival, raw: mail.raw, reading, stays });
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
    pub(super) async fn ingest(&self, folder: &Folder, batch: Batch) -> Result<Vec<Done>, VisitError> {
        let Batch { mails, uids, last_uid, withheld: _, _room } = batch;
        let policy = self.shared.in_force.policy();
        let read = self.shared.readers.read(mails, &policy).await.map_err(StoreError::from)?;
        let keep = self.again || self.mailbox.after == After::Keep;
        let cursor = Cursor { folder: folder.id, last_uid: self.cursor(last_uid), keep };
        let config = self.shared.config.clone();
        let stored = self
            .shared
            .writer
            .call(move |store| ingest::batch(store, &read, Some(cursor), &config.site, &policy, clock::now()))
            .await??;
        self.shared.outbox.notify_one(); // an acknowledgement, or an address that can be reached again
        stored.iter().for_each(|mail| self.log(mail));
        let done = stored.into_iter().filter(|mail| !mail.stays).filter_map(|mail| {
            let outcome =
                mail.decision.as_ref().map_or(Outcome::Quarantined, |decision| decision.action.outcome());
            let impact = mail.decision.map(|decision| decision.impact);
            Some(Done { id: mail.id, uid: *uids.get(&mail.id)?, outcome, impact })
        });
        Ok(done.collect())
    }

    /// How far a folder was read that was read up to `uid`: where mail is listed again, there is no such thing.
    fn cursor(&self, uid: u32) -> u32 {
        if self.again { 0 } else { uid }
    }

    /// One line per mail (docs/log.md).
    fn log(&self, mail: &Stored) {
        let decision = mail.decision.as_ref();
        tracing::info!(
            mailbox = self.mailbox.name,
            outcome = decision.map_or("quarantined", |decision| decision.action.outcome().as_str()),
            reason = mail.reason.as_str(),
            ticket = mail.ticket.map(|number| number.0),
            impact = decision.map(|decision| decision.impact.as_str()),
            rule = decision.and_then(|decision| decision.verdict.rule.as_deref()),
            ack = decision.map(|decision| decision.ack.because.as_str()),
            from = mail.from.as_deref().map(shown),
            message_id = mail.message_id.as_deref().map(shown),
            "mail"
        );
    }

    /// Remembers which mails a broken fetch was about.
    pub(super) fn suspect(&mut self, batch: &[Listed], error: &VisitError) {
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
    pub(super) async fn set_aside(&self, folder: &Folder, mail: &Listed) -> Result<(), VisitError> {
        tracing::error!(
            mailbox = self.mailbox.name,
            folder = self.folder,
            uid = mail.uid,
            "a mail cannot be fetched; it is set aside"
        );
        let (claims, id, uid, mailbox) =
            (claims(&[*mail], clock::now()), folder.id, mail.uid, self.mailbox.name.clone());
        let cursor = self.cursor(uid);
        self.store(move |tx, now| {
            for arrival in tx.claim(id, &claims, now)? {
                let why = format!("UID {uid} cannot be fetched; it stays on the server");
                tx.quarantine_unread(arrival, &mailbox, Reason::Unfetchable, None, &why, now)?;
                tx.settled([arrival])?;
            }
            tx.advance(id, cursor)
        })
        .await
    }
}

pub(super) fn claims(listed: &[Listed], now: Timestamp) -> Vec<NewArrival> {
    let claim = |mail: &Listed| NewArrival {
        uid: mail.uid,
        received: mail.internal_date.map_or(now, |date| date.min(now)),
        size: mail.size,
    };
    listed.iter().map(claim).collect()
}

/// Text of a mail as a log line may show it: short, and without anything that moves a terminal's cursor (I17).
fn shown(text: &str) -> String {
    crate::reply::header::HeaderText::new(text, 200).as_str().to_owned()
}
