//! The outbox: attempts are counted before they are made, outcomes noted after (I5).

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::{Result, Tx, at, ms};
use crate::codes::codes;
use crate::policy::Policy;
use crate::site::Site;

codes! {
    /// Where an acknowledgement stands.
    OutboxState {
        /// Waits for its next attempt.
        Due = "due",
        /// Being offered; after an unclean end it is offered once more, unchanged.
        Sending = "sending",
        /// Accepted by the relay.
        Sent = "sent",
        /// Held back for a person.
        Held = "held",
        /// Refused for good.
        Refused = "refused",
        /// Older than `max_age` before it could be sent, or of no use by then: its ticket was answered.
        Expired = "expired",
    }
}

/// A row whose attempt is counted: it may be offered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its row.
    pub id: i64,
    /// The ticket's number.
    pub ticket: i64,
    /// The one recipient.
    pub recipient: String,
    /// The envelope's sender; `None`: `<>`.
    pub sender: Option<String>,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// Our Message-ID.
    pub message_id: String,
    /// Attempts, this one included.
    pub attempts: u32,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Accepted.
    Sent,
    /// Again at this time, for this reason.
    Later(Timestamp, String),
    /// Never, for this reason.
    Refused(String),
}

/// A row as `outbox list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its row.
    pub id: i64,
    /// The ticket's number.
    pub ticket: i64,
    /// Which text.
    pub kind: String,
    /// The one recipient.
    pub to: String,
    /// Its state.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next; only while it waits.
    pub next_attempt: Option<Timestamp>,
    /// What the relay last said.
    pub last_error: Option<String>,
    /// Our Message-ID.
    pub message_id: String,
    /// When the relay took it.
    pub sent: Option<Timestamp>,
}

/// A row that is due, before its attempt.
#[derive(Debug)]
struct Waiting {
    id: i64,
    /// It need not be sent any more: how its promise ended.
    moot: Option<String>,
    /// Its promise passed, and it may still say so.
    is_late: bool,
}

impl Tx<'_> {
    /// Takes the next row that is due: expires what is too old, drops what is of no use any more, puts the late text
    /// where the promise passed, counts the attempt. `None`: nothing is due.
    pub fn next_due(&self, site: &Site, policy: &Policy, now: Timestamp) -> Result<Option<Due>> {
        self.expire(now)?;
        while let Some(row) = self.first_due(now)? {
            if let Some(ended_by) = row.moot {
                self.drop_moot(row.id, &ended_by, now)?;
                continue;
            }
            if row.is_late
                && let Err(error) = self.savepoint(|tx| tx.make_late(row.id, site, policy, now))
            {
                if error.is_temporary() {
                    return Err(error);
                }
                // No promise goes out that has passed, and no row holds up the others.
                self.hold(row.id, &error.to_string(), now)?;
                continue;
            }
            return self.take(row.id).map(Some);
        }
        Ok(None)
    }

    /// The row that waits longest. What was never offered is moot when its promise is over: a person answered, the
    /// ticket was closed, or a later promise has a mail of its own, or its hour has passed as well.
    fn first_due(&self, now: Timestamp) -> Result<Option<Waiting>> {
        let mut query = self.connection.prepare_cached(
            "SELECT outbox.id,
                    CASE WHEN offered = 0 AND (ended_by != 'superseded' OR due_by < ?1 OR EXISTS (
                        SELECT 1 FROM outbox AS later WHERE later.ticket = outbox.ticket
                        AND later.promise > outbox.promise AND later.state NOT IN ('refused', 'expired')
                    )) THEN ended_by END,
                    offered = 0 AND kind != 'late' AND coalesce(due_by < ?1, 0)
             FROM outbox LEFT JOIN promise ON promise.id = outbox.promise
             WHERE outbox.state = 'due' AND next_attempt <= ?1 ORDER BY next_attempt, outbox.id LIMIT 1",
        )?;
        let found = query.query_row([ms(now)], |row| {
            Ok(Waiting { id: row.get(0)?, moot: row.get(1)?, is_late: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// Nobody heard of the promise, and nobody needs to any more.
    fn drop_moot(&self, id: i64, ended_by: &str, now: Timestamp) -> Result<()> {
        let ticket: i64 = self.connection.query_row(
            "UPDATE outbox SET state = 'expired' WHERE id = ?1 RETURNING ticket",
            [id],
            |row| row.get(0),
        )?;
        self.event(now, Some(ticket), None, "expired", &json!({ "outbox": id, "because": ended_by }))
    }

    /// Counts an attempt before it is made.
    fn take(&self, id: i64) -> Result<Due> {
        Ok(self
            .connection
            .prepare_cached(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE id = ?1
                 RETURNING id, ticket, recipient, sender, bytes, message_id, attempts",
            )?
            .query_row([id], |row| {
                Ok(Due {
                    id: row.get(0)?,
                    ticket: row.get(1)?,
                    recipient: row.get(2)?,
                    sender: row.get(3)?,
                    bytes: row.get(4)?,
                    message_id: row.get(5)?,
                    attempts: row.get(6)?,
                })
            })?)
    }

    /// Holds a row back for a person.
    fn hold(&self, id: i64, why: &str, now: Timestamp) -> Result<()> {
        let (ticket, recipient): (i64, String) = self.connection.query_row(
            "UPDATE outbox SET state = 'held', held_by = 'unwritable', last_error = ?2 WHERE id = ?1 RETURNING ticket, recipient",
            params![id, why],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.event(now, Some(ticket), None, "held", &json!({ "outbox": id, "error": why }))?;
        self.alert(now, "ack_held", &recipient, why)
    }

    /// Notes what an attempt came to. `offered`: the message itself was begun, so its bytes are frozen.
    pub fn delivered(&self, id: i64, delivery: &Delivery, offered: bool, now: Timestamp) -> Result<()> {
        let (state, next, error) = match delivery {
            Delivery::Sent => ("sent", None, None),
            Delivery::Later(next, error) => ("due", Some(*next), Some(error)),
            Delivery::Refused(error) => ("refused", None, Some(error)),
        };
        let (ticket, attempts): (i64, u32) = self
            .connection
            .prepare_cached(
                "UPDATE outbox SET state = ?2, next_attempt = coalesce(?3, next_attempt), last_error = ?4,
                        sent = CASE WHEN ?2 = 'sent' THEN ?5 END,
                        offered = offered OR ?6
                 WHERE id = ?1 RETURNING ticket, attempts",
            )?
            .query_row(params![id, state, next.map(ms), error, ms(now), offered], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let detail = json!({ "outbox": id, "attempts": attempts, "error": error });
        if state != "due" {
            self.event(
                now,
                Some(ticket),
                None,
                if state == "sent" { "acknowledged" } else { state },
                &detail,
            )?;
        }
        Ok(())
    }

    /// When the next row is due; `None`: the outbox is empty.
    pub fn next_attempt(&self) -> Result<Option<Timestamp>> {
        let sql = "SELECT min(next_attempt) FROM outbox WHERE state = 'due'";
        let next: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(next.map(at))
    }

    /// After a start: what was being offered when the last run ended is due again, its bytes frozen: nobody knows how
    /// far it came.
    pub fn reoffer(&self) -> Result<usize> {
        Ok(self
            .connection
            .execute("UPDATE outbox SET state = 'due', offered = 1 WHERE state = 'sending'", [])?)
    }

    fn expire(&self, now: Timestamp) -> Result<()> {
        let mut update = self.connection.prepare_cached(
            "UPDATE outbox SET state = 'expired' WHERE state = 'due' AND expires <= ?1
             RETURNING id, ticket, recipient",
        )?;
        let expired = update
            .query_map([ms(now)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (id, ticket, recipient) in expired {
            self.event(now, Some(ticket), None, "expired", &json!({ "outbox": id }))?;
            self.alert(now, "ack_expired", &recipient, "an acknowledgement could not be sent in time")?;
        }
        Ok(())
    }

    /// The outbox, newest first.
    pub fn outbox(&self) -> Result<Vec<OutboxRow>> {
        let mut rows = self.connection.prepare(&format!("SELECT {COLUMNS} FROM outbox ORDER BY id DESC"))?;
        Ok(rows.query_map([], outbox_row)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The content hashes of the mails that were answered.
    pub fn acknowledged_contents(&self) -> Result<Vec<[u8; 32]>> {
        let mut rows = self.connection.prepare(
            "SELECT DISTINCT content_hash FROM outbox JOIN message ON message.id = outbox.message ORDER BY 1",
        )?;
        Ok(rows.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// The acknowledgements of a ticket with their bytes, oldest first.
    pub fn acks_of(&self, ticket: i64) -> Result<Vec<(OutboxRow, Vec<u8>)>> {
        let sql = format!("SELECT {COLUMNS}, bytes FROM outbox WHERE ticket = ?1 ORDER BY id");
        let mut rows = self.connection.prepare(&sql)?;
        let rows = rows.query_map([ticket], |row| Ok((outbox_row(row)?, row.get(10)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// What [`outbox_row`] reads.
const COLUMNS: &str = "id, ticket, kind, recipient, state, attempts,
    CASE WHEN state IN ('due', 'sending') THEN next_attempt END, last_error, message_id, sent";

fn outbox_row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.get(0)?,
        ticket: row.get(1)?,
        kind: row.get(2)?,
        to: row.get(3)?,
        state: row.get(4)?,
        attempts: row.get(5)?,
        next_attempt: row.get::<_, Option<i64>>(6)?.map(at),
        last_error: row.get(7)?,
        message_id: row.get(8)?,
        sent: row.get::<_, Option<i64>>(9)?.map(at),
    })
}
