//! Tells the server what is stored: moved, flagged, deleted or kept.

use std::collections::BTreeMap;

use super::{VisitError, Watch};
use crate::config::{After, folder_for};
use crate::imap::{ImapError, MAX_SET, Session, Settle};
use crate::store::{ArrivalId, Folder, Unsettled, folder_subject};
use crate::ticket::{Impact, Outcome};

impl Watch<'_> {
    /// Outcomes that were on disk when the server had not heard of them yet.
    pub(super) async fn settle_leftovers(
        &mut self,
        session: &mut Session,
        folder: &Folder,
    ) -> Result<(), VisitError> {
        let id = folder.id;
        let left = self.store(move |tx, _| tx.unsettled(id, 10_000)).await?;
        let done =
            left.into_iter().map(|Unsettled { id, uid, outcome, impact }| Done { id, uid, outcome, impact });
        self.settle(session, done.collect()).await
    }

    /// Tells the server. A refusal is an alert and no more: the outcomes are on disk, and the next pass tries again.
    pub(super) async fn settle(&self, session: &mut Session, done: Vec<Done>) -> Result<(), VisitError> {
        if self.mailbox.after == After::Keep && !done.is_empty() {
            // left from before `after` was changed
            return self.store(move |tx, _| tx.settled(done.iter().map(|mail| mail.id))).await;
        }
        if session.is_read_only() {
            return Ok(()); // the next visit to which the folder is open settles them
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
                        let subject = folder_subject(&self.mailbox.name, self.folder);
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
}

/// A stored mail that the server is still to hear of.
pub(super) struct Done {
    pub(super) id: ArrivalId,
    pub(super) uid: u32,
    pub(super) outcome: Outcome,
    pub(super) impact: Option<Impact>,
}

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
            Place::Folder(folder_for(to, mail.impact.filter(|_| is_case)))
        }
    }
}
