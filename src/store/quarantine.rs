//! Mail set aside for a person: nothing of it is lost (I2), and each leaves by one door, once.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::apply::Incoming;
use super::packed::unpack;
use super::{ArrivalId, MessageId, Packed, Result, Tx, at, claim, ms};
use crate::ticket::Outcome;
use crate::triage::{Arrival, Decision, Reason};

/// A row as `quarantine list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Its row.
    pub id: i64,
    /// Where it was found.
    pub mailbox: String,
    /// Why it is here.
    pub reason: String,
    /// From, if there was a usable one.
    pub from: Option<String>,
    /// Subject.
    pub subject: String,
    /// Bytes.
    pub size: u64,
    /// When.
    pub at: Timestamp,
    /// When and how it left; `None`: it waits for a person.
    pub ended: Option<(Timestamp, String)>,
}

/// A mail in the quarantine, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct SetAside {
    /// The row of the list.
    pub row: QuarantineRow,
    /// The mail that was listed.
    pub arrival: ArrivalId,
    /// Its UID in its mailbox; `None`: it came through a pipe.
    pub uid: Option<u32>,
    /// Its row, when it could be stored with a decision.
    pub message: Option<MessageId>,
    /// The decision on it: after its release, the second.
    pub decision: Option<Decision>,
    /// What failed, where there is no decision.
    pub why: Option<String>,
    /// The exact bytes; `None`: they never came.
    pub raw: Option<Vec<u8>>,
    /// How often it was worked on alone, because the process had died.
    pub alone: u32,
    /// Where and when it came, as far as that is known still.
    pub arrived: Arrival,
    /// The folder that it was found in; `None`: it came through a pipe.
    pub folder: Option<String>,
    /// Its UID names nothing any more: the server counts anew since.
    pub renumbered: bool,
}

/// How a mail leaves the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It took the ordinary path after all.
    Released,
    /// A person wants nothing of it.
    Dropped,
}

impl Ending {
    fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Dropped => "dropped",
        }
    }
}

impl Tx<'_> {
    pub(super) fn quarantine_message(
        &self,
        arrival: ArrivalId,
        message: i64,
        mail: Incoming<'_>,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO quarantine (arrival, message, raw, mailbox, reason, sender, subject, size, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                arrival.0,
                message,
                &mail.raw.hash[..],
                mail.arrival.mailbox,
                decision.reason.as_str(),
                mail.message.from.as_ref().map(|from| from.address.as_str()),
                mail.message.subject,
                mail.raw.bytes(),
                ms(now),
            ])?;
        Ok(())
    }

    /// Sets a mail aside that could not be stored with a decision; its bytes are kept where they came, and the row names them.
    pub fn quarantine_unread(
        &self,
        arrival: ArrivalId,
        mailbox: &str,
        reason: Reason,
        raw: Option<&Packed>,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        raw.map_or(Ok(()), |raw| self.keep(raw))?;
        self.connection.execute(
            "UPDATE arrival SET outcome = ?2, reason = ?3 WHERE id = ?1",
            params![arrival.0, Outcome::Quarantined.as_str(), reason.as_str()],
        )?;
        let row: i64 = self.connection.query_row(
            "INSERT INTO quarantine (arrival, raw, mailbox, reason, subject, size, at)
             SELECT id, ?5, ?2, ?3, '', size, ?4 FROM arrival WHERE id = ?1 RETURNING id",
            params![arrival.0, mailbox, reason.as_str(), ms(now), raw.map(|raw| &raw.hash[..])],
            |row| row.get(0),
        )?;
        let detail = json!({ "reason": reason, "mailbox": mailbox, "quarantine": row, "why": why });
        self.event(now, None, None, "quarantine", &detail)?;
        self.alert(now, "quarantined", mailbox, why)
    }

    /// What waits for a person, newest first; with `ended`, what left as well.
    pub fn quarantine(&self, ended: bool) -> Result<Vec<QuarantineRow>> {
        let mut rows = self.connection.prepare(&format!(
            "SELECT {COLUMNS} FROM quarantine WHERE ended IS NULL OR ?1 ORDER BY id DESC"
        ))?;
        Ok(rows.query_map([ended], quarantine_row)?.collect::<rusqlite::Result<_>>()?)
    }

    /// A mail in the quarantine whole, whether it waits or left; `None` when there is no such row.
    pub fn set_aside(&self, id: i64) -> Result<Option<SetAside>> {
        let sql = format!("SELECT {COLUMNS}, arrival, message FROM quarantine WHERE id = ?1");
        let found = self.connection.query_row(&sql, [id], |row| {
            Ok((quarantine_row(row)?, row.get(9)?, row.get::<_, Option<i64>>(10)?))
        });
        let Some((row, arrival, message)) = found.optional()? else { return Ok(None) };
        let arrival = ArrivalId(arrival);
        let (uid, received, alone, folder) = self.connection.query_row(
            "SELECT uid, received, alone, folder FROM arrival WHERE id = ?1",
            [arrival.0],
            |row| {
                Ok((
                    row.get::<_, Option<u32>>(0)?,
                    at(row.get(1)?),
                    row.get(2)?,
                    row.get::<_, Option<i64>>(3)?,
                ))
            },
        )?;
        let decision = self.text("SELECT decision FROM message WHERE id = ?1", message)?;
        let decision = decision.map(|text| super::tickets::decision(&text)).transpose()?;
        let why =
            "SELECT detail ->> 'why' FROM event WHERE kind = 'quarantine' AND detail ->> 'quarantine' = ?1";
        let why = self.text(why, Some(id))?;
        let (backlog, renumbered) = match folder.zip(uid) {
            Some((folder, uid)) => self.backlog_in(folder, uid, received)?,
            None => (self.is_from_before_a_restore(received)?, false),
        };
        let arrived = Arrival { mailbox: row.mailbox.clone(), recipient: None, received, backlog };
        let raw = self.raw_of_quarantined(id)?;
        let folder = self.text("SELECT name FROM folder WHERE id = ?1", folder)?;
        Ok(Some(SetAside {
            row,
            arrival,
            uid,
            message: message.map(MessageId),
            decision,
            why,
            raw,
            alone,
            arrived,
            folder,
            renumbered,
        }))
    }

    /// The one text that a query on a row yields, if there is one.
    fn text(&self, sql: &str, row: Option<i64>) -> Result<Option<String>> {
        Ok(self.connection.query_row(sql, [row], |row| row.get(0)).optional()?.flatten())
    }

    fn raw_of_quarantined(&self, id: i64) -> Result<Option<Vec<u8>>> {
        let packed = self.connection.query_row(
            "SELECT raw.zstd, raw.size FROM quarantine JOIN raw ON raw.hash = quarantine.raw WHERE id = ?1",
            [id],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)),
        );
        packed.optional()?.map(|(packed, size)| unpack(&packed, size)).transpose()
    }

    /// Whether a mail of a folder is from before our time (I18), and whether its UID is from before a new UIDVALIDITY.
    fn backlog_in(&self, folder: i64, uid: u32, received: Timestamp) -> Result<(bool, bool)> {
        Ok(self.connection.query_row(
            "SELECT id, last_uid, enrolled_uidnext, backlog_before, silent_before,
                    EXISTS (SELECT 1 FROM folder AS older WHERE older.mailbox = folder.mailbox
                            AND older.name = folder.name AND older.id < folder.id),
                    EXISTS (SELECT 1 FROM folder AS newer WHERE newer.mailbox = folder.mailbox
                            AND newer.name = folder.name AND newer.id > folder.id)
             FROM folder WHERE id = ?1",
            [folder],
            |row| Ok((claim::folder(row, row.get(5)?, false)?.is_backlog(uid, received), row.get(6)?)),
        )?)
    }

    /// What came through a pipe has no folder to ask: it may have been let out and answered before the restore (I18).
    fn is_from_before_a_restore(&self, received: Timestamp) -> Result<bool> {
        let mut query =
            self.connection.prepare("SELECT 1 FROM event WHERE kind = 'restored' AND at > ?1 LIMIT 1")?;
        Ok(query.exists([ms(received)])?)
    }

    /// Whether a row of the quarantine still waits for a person.
    pub fn waits(&self, id: i64) -> Result<bool> {
        let mut query =
            self.connection.prepare("SELECT 1 FROM quarantine WHERE id = ?1 AND ended IS NULL")?;
        Ok(query.exists([id])?)
    }

    /// Notes that a row of the quarantine ended so. `false`: it had ended before, and nothing is changed.
    pub fn end_quarantine(&self, id: i64, ending: Ending, now: Timestamp) -> Result<bool> {
        let sql = "UPDATE quarantine SET ended = ?2, ended_by = ?3,
                          message = coalesce(message, (SELECT message FROM arrival WHERE id = arrival))
                   WHERE id = ?1 AND ended IS NULL RETURNING message, mailbox";
        let ended = self.connection.query_row(sql, params![id, ms(now), ending.as_str()], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, String>(1)?))
        });
        let Some((message, mailbox)) = ended.optional()? else { return Ok(false) };
        let ticket = match message {
            Some(message) => {
                let sql = "SELECT ticket FROM message WHERE id = ?1";
                self.connection.query_row(sql, [message], |row| row.get(0))?
            }
            None => None,
        };
        self.event(now, ticket, message, ending.as_str(), &json!({ "quarantine": id }))?;
        let waits = "SELECT 1 FROM quarantine WHERE mailbox = ?1 AND message IS NULL AND ended IS NULL";
        if !self.connection.prepare(waits)?.exists([&mailbox])? {
            self.alert_ends(now, "quarantined", &mailbox)?;
        }
        Ok(true)
    }

    /// Makes a mail whose bytes never came one that is still to be worked on: it is fetched again, alone.
    pub fn fetch_again(&self, arrival: ArrivalId) -> Result<()> {
        self.connection.execute(
            "UPDATE arrival SET outcome = NULL, reason = NULL, settled = 0 WHERE id = ?1",
            [arrival.0],
        )?;
        Ok(())
    }
}

/// What [`quarantine_row`] reads.
const COLUMNS: &str = "id, mailbox, reason, sender, subject, size, at, ended, ended_by";

fn quarantine_row(row: &Row<'_>) -> rusqlite::Result<QuarantineRow> {
    Ok(QuarantineRow {
        id: row.get(0)?,
        mailbox: row.get(1)?,
        reason: row.get(2)?,
        from: row.get(3)?,
        subject: row.get(4)?,
        size: row.get::<_, i64>(5)?.unsigned_abs(),
        at: at(row.get(6)?),
        ended: row.get::<_, Option<i64>>(7)?.map(at).zip(row.get(8)?),
    })
}
