//! The cursor of each folder, and who is being worked on: claims, outcomes, settling (ARCHITECTURE.md).

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

use super::{Result, Tx, at, ms, word};
use crate::ticket::{Impact, Outcome};
use crate::triage::Reason;

/// The row of a folder under one UIDVALIDITY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderId(pub(super) i64);

/// The row of one listed mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArrivalId(pub(super) i64);

/// A folder and how far it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its row.
    pub id: FolderId,
    /// Every UID up to this one has its arrival row.
    pub last_uid: u32,
    /// What has a UID below was there at enrolment, or when UIDVALIDITY changed.
    pub enrolled_uidnext: u32,
    /// What of that arrived before is ignored and left in place.
    pub backlog_before: Timestamp,
    /// What arrived before gets no ack (I18).
    pub silent_before: Timestamp,
    /// It was read under another UIDVALIDITY before, so that its UIDs do not tell what is older than our time.
    pub renumbered: bool,
    /// This call enrolled it.
    pub is_new: bool,
}

impl Folder {
    /// Whether a mail is too old to become a ticket. What came in after enrolment never is, whatever its date: a
    /// colleague may move an old mail here on purpose.
    pub fn is_left_alone(&self, uid: u32, received: Timestamp) -> bool {
        uid < self.enrolled_uidnext && received < self.backlog_before
    }

    /// Whether a mail is from before our time: a ticket perhaps, never an ack (I18).
    pub fn is_backlog(&self, uid: u32, received: Timestamp) -> bool {
        received < self.silent_before || (uid < self.enrolled_uidnext && !self.renumbered)
    }
}

/// How a mail came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// From a mailbox.
    Imap,
    /// From standard input.
    Stdin,
}

impl Intake {
    fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Stdin => "stdin",
        }
    }
}

/// A listed mail that is about to be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewArrival {
    /// Its UID.
    pub uid: u32,
    /// `min(INTERNALDATE, now)`.
    pub received: Timestamp,
    /// RFC822.SIZE, bytes.
    pub size: u64,
}

/// A mail that was claimed and has no outcome: an unclean end came between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Its row.
    pub id: ArrivalId,
    /// Its UID.
    pub uid: u32,
    /// When it arrived.
    pub received: Timestamp,
}

/// A mail whose outcome is on disk, and whose flag or move on the server is not noted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    /// Its row.
    pub id: ArrivalId,
    /// Its UID.
    pub uid: u32,
    /// Its outcome.
    pub outcome: Outcome,
    /// The impact of its decision, for folders by impact.
    pub impact: Option<Impact>,
}

impl Tx<'_> {
    /// The folder's row; enrols it at its first successful SELECT, and anew when UIDVALIDITY changed.
    ///
    /// After a change all is listed again: what arrived before the last successful poll gets no ack, nor what a
    /// restore silenced, and what was too old at enrolment stays so (I18). What the old UIDs still had to wait for is over.
    pub fn folder(
        &self,
        mailbox: &str,
        name: &str,
        uid_validity: u32,
        uid_next: u32,
        backlog: SignedDuration,
        now: Timestamp,
    ) -> Result<Folder> {
        self.forget_other_uids(mailbox, name, uid_validity)?;
        let known = self
            .connection
            .prepare_cached(
                "SELECT id, last_uid, enrolled_uidnext, backlog_before, silent_before,
                        EXISTS (SELECT 1 FROM folder AS older
                                WHERE mailbox = ?1 AND name = ?2 AND older.id < folder.id)
                 FROM folder WHERE mailbox = ?1 AND name = ?2 AND uidvalidity = ?3",
            )?
            .query_row(params![mailbox, name, uid_validity], |row| folder(row, row.get(5)?, false))
            .optional()?;
        if let Some(folder) = known {
            return Ok(folder);
        }
        let before: Option<(i64, i64)> = self.connection.query_row(
            "SELECT min(backlog_before), max(max(last_poll, silent_before)) FROM folder WHERE mailbox = ?1 AND name = ?2",
            params![mailbox, name],
            |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?)),
        )?;
        let (backlog_before, silent_before) = match before {
            // a clock that was ahead must not silence what comes until its time has come
            Some((backlog_before, silent_before)) => (backlog_before, silent_before.min(ms(now))),
            None => (ms(now.saturating_sub(backlog).unwrap_or(now)), 0),
        };
        let enrolled = self.connection.query_row(
            "INSERT INTO folder (mailbox, name, uidvalidity, enrolled_uidnext, backlog_before, silent_before,
                                 enrolled_at, last_poll)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7 - ?7 % 1000) -- whole seconds, as in `polled`
             RETURNING id, last_uid, enrolled_uidnext, backlog_before, silent_before",
            params![mailbox, name, uid_validity, uid_next, backlog_before, silent_before, ms(now)],
            |row| folder(row, before.is_some(), true),
        )?;
        let detail = serde_json::json!({ "mailbox": mailbox, "folder": name, "uidvalidity": uid_validity });
        let kind = if before.is_some() { "uidvalidity_changed" } else { "enrolled" };
        self.event(now, None, None, kind, &detail)?;
        Ok(enrolled)
    }

    /// A server that was put back from a backup may give UIDs anew under the same UIDVALIDITY, which it must not
    /// (RFC 3501 §2.3.1.1). What the cursor and the rows of a folder mean is unknown then, as after a new UIDVALIDITY: its
    /// row is put aside, so that [`Self::folder`] enrols the folder anew. Says whether that was so.
    pub fn put_aside_reused_uids(
        &self,
        mailbox: &str,
        name: &str,
        uid_validity: u32,
        uid_next: u32,
    ) -> Result<bool> {
        let aside = self.connection.execute(
            "UPDATE folder SET uidvalidity = -id
             WHERE mailbox = ?1 AND name = ?2 AND uidvalidity = ?3 AND last_uid >= ?4",
            params![mailbox, name, uid_validity, uid_next],
        )?;
        Ok(aside > 0)
    }

    /// A UID of another UIDVALIDITY names nothing any more: what was claimed by it is listed again by its new one,
    /// what was to be settled is found by its content.
    fn forget_other_uids(&self, mailbox: &str, name: &str, uid_validity: u32) -> Result<()> {
        let others =
            "folder IN (SELECT id FROM folder WHERE mailbox = ?1 AND name = ?2 AND uidvalidity != ?3)";
        for (what, which) in
            [("outcome = 'ignored', reason = 'gone'", "outcome IS NULL"), ("settled = 1", "settled = 0")]
        {
            let sql = format!("UPDATE arrival SET {what} WHERE {which} AND {others}");
            self.connection.prepare_cached(&sql)?.execute(params![mailbox, name, uid_validity])?;
        }
        Ok(())
    }

    /// Where in a folder mail is silent by its age: a rescan may move it.
    pub fn silent_before(&self, folder: FolderId) -> Result<Timestamp> {
        let sql = "SELECT silent_before FROM folder WHERE id = ?1";
        Ok(at(self.connection.query_row(sql, [folder.0], |row| row.get(0))?))
    }

    /// A folder is not there any more, nor what was claimed in it.
    pub fn folder_is_gone(&self, mailbox: &str, name: &str) -> Result<()> {
        self.forget_other_uids(mailbox, name, 0) // RFC 3501 §2.3.1.1: none has the UIDVALIDITY 0
    }

    /// Claims a batch: after a crash, exactly these are redone one by one. Rows that were claimed before are kept.
    pub fn claim(&self, folder: FolderId, batch: &[NewArrival], now: Timestamp) -> Result<Vec<ArrivalId>> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO arrival (folder, uid, intake, listed, received, size) VALUES (?1, ?2, 'imap', ?3, ?4, ?5)
             ON CONFLICT (folder, uid) DO UPDATE SET size = excluded.size RETURNING id",
        )?;
        batch
            .iter()
            .map(|mail| {
                let size = i64::try_from(mail.size).unwrap_or(i64::MAX);
                let row = params![folder.0, mail.uid, ms(now), ms(mail.received), size];
                Ok(ArrivalId(insert.query_row(row, |row| row.get(0))?))
            })
            .collect()
    }

    /// Makes an arrival of a mail that no mailbox listed.
    pub fn claim_unlisted(
        &self,
        intake: Intake,
        received: Timestamp,
        size: usize,
        now: Timestamp,
    ) -> Result<ArrivalId> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let id = self.connection.query_row(
            "INSERT INTO arrival (intake, listed, received, size, settled) VALUES (?1, ?2, ?3, ?4, 1) RETURNING id",
            params![intake.as_str(), ms(now), ms(received), size],
            |row| row.get(0),
        )?;
        Ok(ArrivalId(id))
    }

    /// Notes that a mail is now worked on alone, and says how often that ended uncleanly before.
    pub fn claim_alone(&self, arrival: ArrivalId) -> Result<u32> {
        let sql = "UPDATE arrival SET alone = alone + 1 WHERE id = ?1 RETURNING alone - 1";
        Ok(self.connection.query_row(sql, [arrival.0], |row| row.get(0))?)
    }

    /// Takes [`Self::claim_alone`] back: it ended without an outcome, but not by a crash.
    pub fn unclaim_alone(&self, arrival: ArrivalId) -> Result<()> {
        self.connection
            .execute("UPDATE arrival SET alone = alone - 1 WHERE id = ?1 AND alone > 0", [arrival.0])?;
        Ok(())
    }

    /// The mails of a folder that were claimed and have no outcome, by UID.
    pub fn pending(&self, folder: FolderId) -> Result<Vec<Pending>> {
        let mut rows = self.connection.prepare_cached(
            "SELECT id, uid, received FROM arrival WHERE folder = ?1 AND outcome IS NULL ORDER BY uid",
        )?;
        let rows = rows.query_map([folder.0], |row| {
            Ok(Pending { id: ArrivalId(row.get(0)?), uid: row.get(1)?, received: at(row.get(2)?) })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Gives a mail that is not in the store its one outcome; it is left alone on the server.
    pub fn conclude(&self, arrival: ArrivalId, outcome: Outcome, reason: Reason) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE arrival SET outcome = ?2, reason = ?3, settled = 1 WHERE id = ?1 AND outcome IS NULL",
            )?
            .execute(params![arrival.0, outcome.as_str(), reason.as_str()])?;
        Ok(())
    }

    /// Moves the cursor: every UID up to `uid` has its row.
    pub fn advance(&self, folder: FolderId, uid: u32) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE folder SET last_uid = max(last_uid, ?2) WHERE id = ?1")?
            .execute(params![folder.0, uid])?;
        Ok(())
    }

    /// Notes that everything that was there `at` that time has its row. INTERNALDATE has whole seconds, so this
    /// has too: else a mail that came later in the same second would count as older.
    pub fn polled(&self, folder: FolderId, at: Timestamp) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE folder SET last_poll = max(last_poll, ?2) WHERE id = ?1")?
            .execute(params![folder.0, at.as_second() * 1000])?;
        Ok(())
    }

    /// The mails of a folder that the server does not know to be done yet, by UID, at most `limit`.
    pub fn unsettled(&self, folder: FolderId, limit: u32) -> Result<Vec<Unsettled>> {
        let mut rows = self.connection.prepare_cached(
            "SELECT arrival.id, uid, arrival.outcome, message.decision ->> 'impact'
             FROM arrival LEFT JOIN message ON message.id = arrival.message
             WHERE folder = ?1 AND settled = 0 AND arrival.outcome IS NOT NULL ORDER BY uid LIMIT ?2",
        )?;
        let mut found = Vec::new();
        let mut rows = rows.query(params![folder.0, limit])?;
        while let Some(row) = rows.next()? {
            let impact: Option<String> = row.get(3)?;
            found.push(Unsettled {
                id: ArrivalId(row.get(0)?),
                uid: row.get(1)?,
                outcome: outcome(&row.get::<_, String>(2)?)?,
                impact: impact.map(|text| word("message.decision", &text)).transpose()?,
            });
        }
        Ok(found)
    }

    /// Notes that the server knows.
    pub fn settled(&self, arrivals: impl IntoIterator<Item = ArrivalId>) -> Result<()> {
        let mut update = self.connection.prepare_cached("UPDATE arrival SET settled = 1 WHERE id = ?1")?;
        arrivals.into_iter().try_for_each(|arrival| Ok(update.execute([arrival.0]).map(drop)?))
    }
}

pub(super) fn folder(row: &Row<'_>, renumbered: bool, is_new: bool) -> rusqlite::Result<Folder> {
    Ok(Folder {
        id: FolderId(row.get(0)?),
        last_uid: row.get(1)?,
        enrolled_uidnext: row.get(2)?,
        backlog_before: at(row.get(3)?),
        silent_before: at(row.get(4)?),
        renumbered,
        is_new,
    })
}

/// Reads a stored outcome.
pub(super) fn outcome(text: &str) -> Result<Outcome> {
    Outcome::ALL
        .iter()
        .copied()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| super::StoreError::Unreadable { what: "arrival.outcome", why: format!("`{text}`") })
}
