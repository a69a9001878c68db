//! Erases a ticket: of its mails the hashes alone stay, so that none of them opens it anew (I4).

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Result, Tx};
use crate::ticket::TicketNumber;

/// What belongs to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Its subject.
    pub subject: String,
    /// Mails received, notes and staff's answers included.
    pub messages: u64,
    /// Acknowledgements, sent or not.
    pub acks: u64,
    /// Of these, still to be sent: they never will be.
    pub unsent: u64,
    /// What was recorded of it.
    pub events: u64,
}

/// How erasing a ticket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasure {
    /// Nothing of it is left.
    Done(Erased),
    /// An acknowledgement of it is being sent: whether it arrives is not known yet. Nothing was changed.
    Sending,
    /// There is no such ticket.
    Missing,
}

/// Rows of `message`, by the ticket ?1.
const MESSAGES: &str = "SELECT id FROM message WHERE ticket = ?1";
/// Rows of `arrival` that brought them, or brought them again.
const ARRIVALS: &str =
    "SELECT arrival.id FROM arrival JOIN message ON message.id = arrival.message WHERE ticket = ?1";

/// Rows of `news` that name the ticket ?1, or whom it is for.
const NEWS: &str = "SELECT id FROM news WHERE ticket = ?1 OR (alert GLOB 'ack_*' AND subject IN (
    SELECT requester FROM ticket WHERE id = ?1 UNION SELECT recipient FROM outbox WHERE ticket = ?1))";

impl Tx<'_> {
    /// What erasing a ticket would erase; `None` when there is no such ticket.
    pub fn erasable(&self, number: TicketNumber) -> Result<Option<Erased>> {
        let found = self.connection.query_row(
            "SELECT subject, (SELECT count(*) FROM message WHERE ticket = ?1),
                    (SELECT count(*) FROM outbox WHERE ticket = ?1),
                    (SELECT count(*) FROM outbox WHERE ticket = ?1 AND state IN ('due', 'held')),
                    (SELECT count(*) FROM event WHERE ticket = ?1)
             FROM ticket WHERE id = ?1",
            [number.0],
            |row| {
                let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                Ok(Erased {
                    subject: row.get(0)?,
                    messages: count(1)?,
                    acks: count(2)?,
                    unsent: count(3)?,
                    events: count(4)?,
                })
            },
        );
        Ok(found.optional()?)
    }

    /// Erases a ticket with its promises, participants, acknowledgements, events, and the content of its mails.
    pub fn erase(&self, number: TicketNumber, now: Timestamp) -> Result<Erasure> {
        let Some(erased) = self.erasable(number)? else { return Ok(Erasure::Missing) };
        let sending = "SELECT 1 FROM outbox WHERE ticket = ?1 AND state = 'sending'";
        if self.connection.prepare(sending)?.exists([number.0])? {
            return Ok(Erasure::Sending); // the worker has yet to note how it ended
        }
        let run = |sql: &str| self.connection.execute(sql, [number.0]).map(drop);
        let told = self.mails_that_tell_of(number)?;
        let mut in_hand =
            self.connection.prepare("SELECT 1 FROM outbox WHERE id = ?1 AND state = 'sending'")?;
        for mail in &told {
            if in_hand.exists([mail])? {
                return Ok(Erasure::Sending);
            }
        }
        // one that waits is made anew without it: nobody has heard of the rest
        for sql in [
            "DELETE FROM outbox WHERE id = ?1 AND state IN ('due', 'held')",
            "UPDATE letter SET bytes = x'' WHERE outbox = ?1",
        ] {
            told.iter().try_for_each(|mail| self.connection.execute(sql, [mail]).map(drop))?;
        }
        run(&format!("DELETE FROM news WHERE id IN ({NEWS})"))?;
        let raws = self.raws_of(number)?;
        run(&format!("DELETE FROM message_text WHERE rowid IN ({MESSAGES})"))?;
        // what was recorded of its mails before they had a ticket: in the quarantine
        run(&format!(
            "DELETE FROM event WHERE ticket IS NULL AND (message IN ({MESSAGES})
                OR detail ->> 'quarantine' IN (SELECT id FROM quarantine WHERE arrival IN ({ARRIVALS})))"
        ))?;
        run(&format!("DELETE FROM quarantine WHERE arrival IN ({ARRIVALS})"))?;
        // what the administrator was told of its acknowledgements, by the address that nobody else has
        run("DELETE FROM alert WHERE kind GLOB 'ack_*' AND subject IN
                (SELECT requester FROM ticket WHERE id = ?1 UNION SELECT recipient FROM outbox WHERE ticket = ?1)
             AND NOT EXISTS (SELECT 1 FROM ticket WHERE id != ?1 AND requester = subject)
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE ticket != ?1 AND recipient = subject)")?;
        run("DELETE FROM outbox WHERE ticket = ?1")?;
        run("DELETE FROM promise WHERE ticket = ?1")?;
        run("DELETE FROM correction WHERE ticket = ?1")?;
        run("DELETE FROM participant WHERE ticket = ?1")?;
        run("DELETE FROM event WHERE ticket = ?1")?;
        run("UPDATE ticket SET mentions = NULL WHERE mentions = ?1")?;
        self.connection.execute(
            "UPDATE message SET erased = ?2, raw = NULL, decision = NULL, message_id = NULL, sender = NULL, subject = '',
                                sent = NULL, ticket = NULL, role = NULL
             WHERE ticket = ?1",
            params![number.0, super::ms(now)],
        )?;
        run("DELETE FROM ticket WHERE id = ?1")?;
        let mut forget = self.connection.prepare(
            "DELETE FROM raw WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE raw = ?1)
                                AND NOT EXISTS (SELECT 1 FROM quarantine WHERE raw = ?1)",
        )?;
        raws.iter().try_for_each(|hash| forget.execute([hash]).map(drop))?;
        let detail = json!({ "messages": erased.messages, "acks": erased.acks, "events": erased.events });
        self.event(now, Some(number.0), None, "deleted", &detail)?;
        Ok(Erasure::Done(erased))
    }

    /// The notifications that name a ticket, or whom it is for.
    fn mails_that_tell_of(&self, number: TicketNumber) -> Result<Vec<i64>> {
        let mut rows = self.connection.prepare(&format!(
            "SELECT DISTINCT notified.outbox FROM notified JOIN ({NEWS}) AS named ON named.id <= notified.upto
             WHERE notified.outbox IS NOT NULL AND named.id > (
                SELECT coalesce(max(upto), 0) FROM notified AS before
                WHERE before.address = notified.address AND before.upto < notified.upto)"
        ))?;
        Ok(rows.query_map([number.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// The exact bytes that a ticket's mails are kept as.
    fn raws_of(&self, number: TicketNumber) -> Result<Vec<Vec<u8>>> {
        let mut rows = self.connection.prepare(&format!(
            "SELECT raw FROM message WHERE ticket = ?1 AND raw IS NOT NULL
             UNION SELECT raw FROM quarantine WHERE raw IS NOT NULL AND arrival IN ({ARRIVALS})"
        ))?;
        Ok(rows.query_map([number.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}
