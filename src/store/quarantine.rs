//! Mail set aside for a person: nothing of it is lost (I2).

use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;

use super::apply::Incoming;
use super::{ArrivalId, Packed, Result, Tx, at, ms};
use crate::ticket::Outcome;
use crate::triage::{Decision, Reason};

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
        self.connection.execute(
            "INSERT INTO quarantine (arrival, raw, mailbox, reason, subject, size, at)
             SELECT id, ?5, ?2, ?3, '', size, ?4 FROM arrival WHERE id = ?1",
            params![arrival.0, mailbox, reason.as_str(), ms(now), raw.map(|raw| &raw.hash[..])],
        )?;
        self.event(
            now,
            None,
            None,
            "quarantine",
            &json!({ "reason": reason, "mailbox": mailbox, "why": why }),
        )?;
        self.alert(now, "quarantined", mailbox, why)
    }

    /// What waits for a person, newest first.
    pub fn quarantine(&self) -> Result<Vec<QuarantineRow>> {
        let mut rows = self.connection.prepare(
            "SELECT id, mailbox, reason, sender, subject, size, at FROM quarantine WHERE ended IS NULL ORDER BY id DESC",
        )?;
        let rows = rows.query_map([], |row| {
            Ok(QuarantineRow {
                id: row.get(0)?,
                mailbox: row.get(1)?,
                reason: row.get(2)?,
                from: row.get(3)?,
                subject: row.get(4)?,
                size: row.get::<_, i64>(5)?.unsigned_abs(),
                at: at(row.get(6)?),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
