//! Tickets as people see them, and what people do to them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::packed::unpack;
use super::{Correction, Generation, Result, Tx, at, ms, word};
use crate::mail::ContentHash;
use crate::plan::Promise;
use crate::ticket::{PlanId, TicketNumber, TicketState};
use crate::triage::Decision;

/// A ticket as `tickets list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// Its number.
    pub number: TicketNumber,
    /// Its subject.
    pub subject: String,
    /// Whose it is.
    pub requester: Option<String>,
    /// The plan's id.
    pub plan: String,
    /// Why that plan.
    pub plan_because: String,
    /// The impact that applies.
    pub impact: String,
    /// The case's id; `None`: unclassified.
    pub case: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Its state.
    pub state: TicketState,
    /// What a person should know, as words.
    pub flags: Vec<String>,
    /// A ticket it named without a right to it.
    pub mentions: Option<TicketNumber>,
    /// When its first mail arrived.
    pub opened: Timestamp,
    /// The deadline of the promise that runs, else of the last one.
    pub due_by: Option<Timestamp>,
    /// Mails received, notes and staff's answers included.
    pub messages: u32,
    /// What a person said of the mail that opened it; `None`: nobody has.
    pub corrected: Option<Correction>,
}

/// Which tickets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TicketFilter {
    /// Only of this state.
    pub state: Option<TicketState>,
    /// Only this one.
    pub number: Option<TicketNumber>,
}

/// A ticket whole, as `tickets show` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketPage {
    /// The row of the list.
    pub ticket: TicketRow,
    /// The policy that gave it its impact and its rule.
    pub policy: Generation,
    /// Its mails, oldest first.
    pub messages: Vec<MessageRow>,
    /// What happened, oldest first.
    pub events: Vec<EventRow>,
    /// The promise that runs, else the last one.
    pub promise: Option<PromiseRow>,
    /// Who has a voice in it.
    pub participants: Vec<String>,
}

/// A mail of a ticket, received or sent.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRow {
    /// Its exact bytes.
    pub raw: Vec<u8>,
    /// From us?
    pub is_ours: bool,
    /// Its author.
    pub from: Option<String>,
    /// When it arrived, or was sent; `None`: ours, and not sent yet.
    pub at: Option<Timestamp>,
    /// The Date that its sender claims.
    pub date: Option<Timestamp>,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// What became of it: an outcome, or the outbox's state.
    pub outcome: String,
    /// Why, or which text.
    pub reason: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: String,
    /// The rest.
    pub detail: Value,
}

/// A promise as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromiseRow {
    /// The plan that promises.
    pub plan: String,
    /// For which impact.
    pub impact: String,
    /// The window.
    pub window: crate::plan::Window,
    /// When the mail arrived.
    pub received: Timestamp,
    /// When the clock started.
    pub clock_starts: Timestamp,
    /// The lower bound, when the manual has one.
    pub expected_from: Option<Timestamp>,
    /// The deadline.
    pub due_by: Timestamp,
    /// When it was mailed; `None`: not yet, or never.
    pub mailed_at: Option<Timestamp>,
    /// How it ended; `None`: it runs.
    pub ended_by: Option<String>,
}

impl PromiseRow {
    /// The promise as it was made.
    pub(super) fn made(&self) -> Result<Promise> {
        Ok(Promise {
            plan: PlanId(self.plan.clone()),
            impact: word("promise.impact", &self.impact)?,
            window: self.window,
            received: self.received,
            clock_starts: self.clock_starts,
            expected_from: self.expected_from,
            due_by: self.due_by,
        })
    }
}

impl Tx<'_> {
    /// Tickets, oldest first.
    pub fn tickets(&self, filter: TicketFilter) -> Result<Vec<TicketRow>> {
        let mut rows = self.connection.prepare_cached(
            "SELECT id, subject, requester, plan, plan_because, ticket.impact, ticket.case_id, rule, state, flags, mentions,
                    opened,
                    (SELECT due_by FROM promise WHERE ticket = ticket.id ORDER BY ended IS NULL DESC, id DESC LIMIT 1),
                    (SELECT count(*) FROM message WHERE ticket = ticket.id),
                    correction.impact, correction.case_id, by, because, at
             FROM ticket LEFT JOIN correction ON correction.ticket = ticket.id
             WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR state = ?3) ORDER BY id",
        )?;
        let (first, last) = filter.number.map_or((0, i64::MAX), |number| (number.0, number.0));
        let mut rows = rows.query(params![first, last, filter.state.map(TicketState::as_str)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(ticket(row)?);
        }
        Ok(found)
    }

    /// A ticket whole; `None` when there is none of that number.
    pub fn ticket_page(&self, number: TicketNumber) -> Result<Option<TicketPage>> {
        let filter = TicketFilter { number: Some(number), ..TicketFilter::default() };
        let Some(ticket) = self.tickets(filter)?.pop() else { return Ok(None) };
        let mut messages = self.messages_of(number)?;
        for (row, raw) in self.acks_of(number.0)? {
            messages.push(MessageRow {
                raw,
                is_ours: true,
                from: None,
                at: row.sent,
                date: None,
                message_id: Some(row.message_id),
                outcome: row.state.as_str().to_owned(),
                reason: row.kind,
            });
        }
        messages.sort_by_key(|message| message.at.unwrap_or(Timestamp::MAX));
        Ok(Some(TicketPage {
            ticket,
            policy: self.policy_of(number)?,
            messages,
            events: self.events_of(number)?,
            promise: self.promise_of(number)?,
            participants: self.participants_of(number)?,
        }))
    }

    fn messages_of(&self, number: TicketNumber) -> Result<Vec<MessageRow>> {
        let mut rows = self.connection.prepare(
            "SELECT zstd, raw.size, sender, received, sent, message_id, outcome, reason
             FROM message JOIN raw ON raw.hash = message.raw WHERE ticket = ?1 ORDER BY message.id",
        )?;
        let mut rows = rows.query([number.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(MessageRow {
                raw: unpack(&row.get::<_, Vec<u8>>(0)?, row.get(1)?)?,
                is_ours: false,
                from: row.get(2)?,
                at: Some(at(row.get(3)?)),
                date: row.get::<_, Option<i64>>(4)?.map(at),
                message_id: row.get(5)?,
                outcome: row.get(6)?,
                reason: row.get(7)?,
            });
        }
        Ok(found)
    }

    fn events_of(&self, number: TicketNumber) -> Result<Vec<EventRow>> {
        self.events_where("ticket = ?1", params![number.0])
    }

    /// What happened to an acknowledgement of a ticket, oldest first.
    pub(super) fn events_of_ack(&self, ticket: Option<i64>, outbox: i64) -> Result<Vec<EventRow>> {
        self.events_where("ticket IS ?1 AND detail ->> 'outbox' = ?2", params![ticket, outbox])
    }

    fn events_where(&self, which: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<EventRow>> {
        let sql = format!("SELECT at, kind, detail FROM event WHERE {which} ORDER BY id");
        let mut rows = self.connection.prepare(&sql)?;
        let rows = rows.query_map(values, |row| {
            let detail: String = row.get(2)?;
            Ok(EventRow {
                at: at(row.get(0)?),
                kind: row.get(1)?,
                detail: serde_json::from_str(&detail).unwrap_or(Value::String(detail)),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The promise that runs, else the last one.
    fn promise_of(&self, number: TicketNumber) -> Result<Option<PromiseRow>> {
        self.promise_where("ticket = ?1 ORDER BY ended IS NULL DESC, id DESC LIMIT 1", number.0)
    }

    /// A promise by its row.
    pub(super) fn promise(&self, id: i64) -> Result<Option<PromiseRow>> {
        self.promise_where("id = ?1", id)
    }

    fn promise_where(&self, which: &str, number: i64) -> Result<Option<PromiseRow>> {
        let mut rows = self.connection.prepare(&format!(
            "SELECT plan, impact, window, received, clock_starts, due_by, ended_by,
                    (SELECT min(sent) FROM outbox WHERE promise = promise.id), expected_from
             FROM promise WHERE {which}"
        ))?;
        let mut rows = rows.query([number])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let window = serde_json::from_str(&row.get::<_, String>(2)?).map_err(|error| {
            super::StoreError::Unreadable { what: "promise.window", why: error.to_string() }
        })?;
        Ok(Some(PromiseRow {
            plan: row.get(0)?,
            impact: row.get(1)?,
            window,
            received: at(row.get(3)?),
            clock_starts: at(row.get(4)?),
            due_by: at(row.get(5)?),
            ended_by: row.get(6)?,
            mailed_at: row.get::<_, Option<i64>>(7)?.map(at),
            expected_from: row.get::<_, Option<i64>>(8)?.map(at),
        }))
    }

    fn participants_of(&self, number: TicketNumber) -> Result<Vec<String>> {
        let mut rows =
            self.connection.prepare("SELECT address FROM participant WHERE ticket = ?1 ORDER BY 1")?;
        Ok(rows.query_map([number.0], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// The decision that opened a ticket, and the mail it was made on.
    pub fn opening_of(&self, number: TicketNumber) -> Result<Option<(Decision, Vec<u8>)>> {
        let found = self
            .connection
            .query_row(
                "SELECT decision, zstd, raw.size FROM message JOIN raw ON raw.hash = message.raw
                 WHERE ticket = ?1 AND outcome = 'opened'",
                [number.0],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?)),
            )
            .optional()?;
        let Some((decision, packed, size)) = found else { return Ok(None) };
        let decision = serde_json::from_str(&decision).map_err(|error| super::StoreError::Unreadable {
            what: "message.decision",
            why: error.to_string(),
        })?;
        Ok(Some((decision, unpack(&packed, size)?)))
    }

    /// The decision on a stored content.
    pub fn decision_on(&self, content: &ContentHash) -> Result<Option<Decision>> {
        let mut query =
            self.connection.prepare_cached("SELECT decision FROM message WHERE content_hash = ?1")?;
        let found: Option<Option<String>> = query.query_row([&content.0[..]], |row| row.get(0)).optional()?;
        found.flatten().map(|text| decision(&text)).transpose()
    }

    /// Closes what was answered before `before` and stayed silent since. Says how many.
    pub fn close_answered(&self, before: Timestamp, now: Timestamp) -> Result<usize> {
        let mut close = self.connection.prepare_cached(
            "UPDATE ticket SET state = 'closed', closed_at = ?2 WHERE state = 'answered' AND changed < ?1 RETURNING id",
        )?;
        let closed: Vec<i64> =
            close.query_map([ms(before), ms(now)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for number in &closed {
            self.end_promise(*number, now, "closed")?;
            self.event(now, Some(*number), None, "closed", &json!({ "because": "silence" }))?;
        }
        Ok(closed.len())
    }
}

/// Reads a stored decision.
pub(super) fn decision(text: &str) -> Result<Decision> {
    serde_json::from_str(text)
        .map_err(|error| super::StoreError::Unreadable { what: "message.decision", why: error.to_string() })
}

fn ticket(row: &Row<'_>) -> Result<TicketRow> {
    Ok(TicketRow {
        number: TicketNumber(row.get(0)?),
        subject: row.get(1)?,
        requester: row.get(2)?,
        plan: row.get(3)?,
        plan_because: row.get(4)?,
        impact: row.get(5)?,
        case: row.get(6)?,
        rule: row.get(7)?,
        state: word("ticket.state", &row.get::<_, String>(8)?)?,
        flags: row.get::<_, String>(9)?.split_whitespace().map(str::to_owned).collect(),
        mentions: row.get::<_, Option<i64>>(10)?.map(TicketNumber),
        opened: at(row.get(11)?),
        due_by: row.get::<_, Option<i64>>(12)?.map(at),
        messages: row.get(13)?,
        corrected: match row.get::<_, Option<String>>(14)? {
            Some(_) => Some(super::correct::correction(row, 14)?),
            None => None,
        },
    })
}
