//! The outbox as people see it: every acknowledgement and notification, where it stands and what came back on it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::{EventRow, PromiseRow, Result, Tx, at, word};
use crate::codes::codes;

mod breaker;
mod order;
mod queue;

pub use breaker::{Breaker, Rate};
pub use order::{Order, Refusal};
pub use queue::{Delivery, Due, Only, Ready};

codes! {
    /// Where an acknowledgement stands.
    OutboxState {
        /// Waits for its next attempt.
        Due = "due",
        /// Being offered; after an unclean end it is offered once more, unchanged.
        Sending = "sending",
        /// Accepted by the relay.
        Sent = "sent",
        /// Held back; it expires like one that waits.
        Held = "held",
        /// Refused for good.
        Refused = "refused",
        /// Older than `max_age` before it could be sent, of no use by then, or dropped by hand.
        Expired = "expired",
    }
}

codes! {
    /// Who holds an acknowledgement back.
    HeldBy {
        /// Far more were made in an hour than usual, and its addressee is not in the customer directory.
        Breaker = "breaker",
        /// Its address bounced lately; it goes out when somebody writes from there.
        Undeliverable = "undeliverable",
        /// The database was restored: nobody knows whether it was sent.
        Restored = "restored",
        /// Its promise passed, and the late text could not be written.
        Unwritable = "unwritable",
        /// It was sent whole twice, and the relay answered neither time: it may have it.
        Unanswered = "unanswered",
        /// Nobody: a person had it tried again, and what a person asked for is offered, whatever is known of its address.
        Person = "person",
    }
}

impl std::str::FromStr for OutboxState {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.iter().find(|state| state.as_str() == text).copied();
        found.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|state| state.as_str()).collect();
            format!("`{text}` is none of {}", words.join(", "))
        })
    }
}

/// A row as `outbox list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its row.
    pub id: i64,
    /// The ticket's number; `None`: a notification to staff.
    pub ticket: Option<i64>,
    /// Which text.
    pub kind: String,
    /// The one recipient.
    pub to: String,
    /// Its state.
    pub state: OutboxState,
    /// Attempts that the relay heard of.
    pub attempts: u32,
    /// When it is tried next; only while it waits.
    pub next_attempt: Option<Timestamp>,
    /// What the relay last said.
    pub last_error: Option<String>,
    /// Our Message-ID.
    pub message_id: String,
    /// When the relay took it.
    pub sent: Option<Timestamp>,
    /// A word of [`HeldBy`]; only while it is held.
    pub held_by: Option<String>,
    /// What the last delivery report on it said, such as `failed 5.1.1`.
    pub report: Option<String>,
    /// When that report came.
    pub reported: Option<Timestamp>,
}

/// An acknowledgement whole, as `outbox show` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxPage {
    /// The row of the list.
    pub row: OutboxRow,
    /// The envelope's sender; `None`: `<>`.
    pub sender: Option<String>,
    /// When it was composed.
    pub created: Timestamp,
    /// When it is of no use any more.
    pub expires: Timestamp,
    /// DATA was begun once: its bytes are frozen (I5).
    pub offered: bool,
    /// What is sent, or was.
    pub bytes: Vec<u8>,
    /// The promise that it makes.
    pub promise: Option<PromiseRow>,
    /// What happened to it, oldest first.
    pub events: Vec<EventRow>,
}

impl Tx<'_> {
    /// Keeps what a new row sends.
    pub(super) fn put_letter(&self, row: i64, bytes: &[u8]) -> Result<()> {
        let mut insert =
            self.connection.prepare_cached("INSERT INTO letter (outbox, bytes) VALUES (?1, ?2)")?;
        insert.execute(params![row, bytes])?;
        Ok(())
    }

    /// The outbox, newest first; of one state, or all.
    pub fn outbox(&self, state: Option<OutboxState>) -> Result<Vec<OutboxRow>> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE ?1 IS NULL OR state = ?1 ORDER BY id DESC");
        let mut rows = self.connection.prepare(&sql)?;
        let mut rows = rows.query([state.map(OutboxState::as_str)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(outbox_row(row)?);
        }
        Ok(found)
    }

    /// These rows, each once, newest first.
    pub fn acks(&self, ids: &[i64]) -> Result<Vec<OutboxRow>> {
        let mut row = self.connection.prepare(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"))?;
        let mut found = Vec::new();
        for id in ids.iter().copied().collect::<BTreeSet<i64>>().into_iter().rev() {
            found.extend(row.query([id])?.next()?.map(outbox_row).transpose()?);
        }
        Ok(found)
    }

    /// An acknowledgement whole; `None` when there is none of that id.
    pub fn outbox_page(&self, id: i64) -> Result<Option<OutboxPage>> {
        let sql = format!(
            "SELECT {COLUMNS}, sender, created, expires, offered, {BYTES}, promise FROM outbox WHERE id = ?1"
        );
        let mut rows = self.connection.prepare(&sql)?;
        let mut rows = rows.query([id])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let promise: Option<i64> = row.get(18)?;
        let found = outbox_row(row)?;
        Ok(Some(OutboxPage {
            sender: row.get(13)?,
            created: at(row.get(14)?),
            expires: at(row.get(15)?),
            offered: row.get(16)?,
            bytes: row.get(17)?,
            promise: promise.map(|promise| self.promise(promise)).transpose()?.flatten(),
            events: self.events_of_ack(found.ticket, id)?,
            row: found,
        }))
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
        let sql = format!("SELECT {COLUMNS}, {BYTES} FROM outbox WHERE ticket = ?1 ORDER BY id");
        let mut rows = self.connection.prepare(&sql)?;
        let mut rows = rows.query([ticket])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((outbox_row(row)?, row.get(13)?));
        }
        Ok(found)
    }

    /// The state of a row and its recipient; `None` when there is none of that id.
    fn state_of(&self, id: i64) -> Result<Option<(OutboxState, String)>> {
        let mut query =
            self.connection.prepare_cached("SELECT state, recipient FROM outbox WHERE id = ?1")?;
        let found: Option<(String, String)> =
            query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        found.map(|(state, recipient)| Ok((word("outbox.state", &state)?, recipient))).transpose()
    }
}

/// What [`outbox_row`] reads.
const COLUMNS: &str = "id, ticket, kind, recipient, state, attempts,
    CASE WHEN state IN ('due', 'sending') THEN next_attempt END, last_error, message_id, sent,
    CASE WHEN state = 'held' THEN held_by END, report, reported";

/// What a row of the outbox sends.
const BYTES: &str = "(SELECT bytes FROM letter WHERE outbox = id)";

fn outbox_row(row: &Row<'_>) -> Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.get(0)?,
        ticket: row.get(1)?,
        kind: row.get(2)?,
        to: row.get(3)?,
        state: word("outbox.state", &row.get::<_, String>(4)?)?,
        attempts: row.get(5)?,
        next_attempt: row.get::<_, Option<i64>>(6)?.map(at),
        last_error: row.get(7)?,
        message_id: row.get(8)?,
        sent: row.get::<_, Option<i64>>(9)?.map(at),
        held_by: row.get(10)?,
        report: row.get(11)?,
        reported: row.get::<_, Option<i64>>(12)?.map(at),
    })
}

#[cfg(test)]
mod tests;
