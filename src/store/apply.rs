//! Writes a decision: message, ticket, promise, event and acknowledgement, all or none (I1–I5).

use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;

use super::{ArrivalId, Packed, Result, StoreError, Tx, ms};
use crate::mail::{Address, Message};
use crate::plan::Promise;
use crate::policy::Policy;
use crate::site::Site;
use crate::ticket::TicketNumber;
use crate::triage::{Action, Arrival, Decision, Effect, Facts, Flag, PlanBecause};

/// Random bytes, fresh for each mail: they make a Message-ID of ours unique even after a restore.
#[derive(Debug, Clone, Copy)]
pub struct Fresh(pub u64);

/// The row of a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(pub(super) i64);

/// A mail on its way into the store.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The exact bytes (I2).
    pub raw: &'a Packed,
    /// What was read in them.
    pub message: &'a Message,
    /// Where and when it came.
    pub arrival: &'a Arrival,
    /// What was known when it was decided.
    pub facts: &'a Facts,
    /// By which door.
    pub entry: Entry,
}

/// How a mail comes to be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It arrived.
    Arrived,
    /// A person lets it out of the quarantine; with its row, if it could be stored when it was set aside.
    Released(Option<MessageId>),
}

impl Entry {
    /// The row that stands for it already.
    pub(super) fn stored(self) -> Option<MessageId> {
        match self {
            Self::Arrived => None,
            Self::Released(row) => row,
        }
    }
}

/// What a decision is written with.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Who we are.
    pub site: &'a Site,
    /// What the operator's files say.
    pub policy: &'a Policy,
    /// Random bytes.
    pub fresh: Fresh,
    /// The time of writing.
    pub now: Timestamp,
}

impl Tx<'_> {
    /// Writes a decision and the arrival's outcome. Says which ticket the mail went to, and the row that is still to be
    /// [indexed](Self::index), unless the mail was stored before.
    pub fn apply(
        &self,
        id: ArrivalId,
        mail: Incoming<'_>,
        decision: &Decision,
        setting: Setting<'_>,
    ) -> Result<(Option<TicketNumber>, Option<MessageId>)> {
        if let Some(seen) = mail.facts.seen {
            self.conclude_stored(id, decision, Some(seen.message))?;
            if let Some(ticket) = seen.ticket {
                let detail = json!({ "mailbox": mail.arrival.mailbox });
                self.event(setting.now, Some(ticket.0), Some(seen.message), "seen_again", &detail)?;
            }
            return Ok((seen.ticket, None));
        }
        let ticket = match decision.action {
            Action::Open => Some(self.open_ticket(mail, decision, setting)?),
            _ => decision.ticket.map(|number| number.0),
        };
        let message = self.write_message(mail, decision, ticket, setting)?;
        let to_index = mail.entry.stored().is_none().then_some(MessageId(message));
        self.conclude_stored(id, decision, Some(message))?;
        let from = mail.message.from.as_ref().map(|from| from.address.as_str());
        let detail = json!({ "reason": decision.reason, "from": from, "rule": decision.verdict.rule,
                             "impact": decision.impact, "mailbox": mail.arrival.mailbox });
        self.event(setting.now, ticket, Some(message), decision.action.as_str(), &detail)?;
        if decision.action == Action::Quarantine {
            self.quarantine_message(id, message, mail, decision, setting.now)?;
        }
        let Some(number) = ticket else { return Ok((None, to_index)) };
        self.let_in(number, &decision.participants)?;
        let topic = self.newsworthy(number, decision)?;
        if decision.action == Action::Append {
            self.continue_ticket(number, decision, mail.arrival.received, setting)?;
        }
        let promise = decision
            .promise
            .as_ref()
            .map(|promise| self.make_promise(number, promise, setting))
            .transpose()?;
        topic.map_or(Ok(()), |topic| self.news_of(number, topic, setting.now))?;
        self.mind_reachability(message, mail, decision, setting)?;
        if decision.ack.send {
            self.put_ack(number, message, promise, mail, decision, setting)?;
        } else if decision.action == Action::Open {
            let detail = json!({ "because": decision.ack.because });
            self.event(setting.now, ticket, Some(message), "silent", &detail)?;
        }
        Ok((Some(TicketNumber(number)), to_index))
    }

    /// Makes a message's words findable. FTS5 writes out what it gathered at every savepoint, so this comes after those
    /// that a batch may need.
    pub fn index(&self, id: MessageId, message: &Message) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO message_text (rowid, subject, text) VALUES (?1, ?2, ?3)")?
            .execute(params![id.0, message.subject, message.text])?;
        Ok(())
    }

    fn open_ticket(&self, mail: Incoming<'_>, decision: &Decision, setting: Setting<'_>) -> Result<i64> {
        let flags: Vec<&str> = decision.flags.iter().map(|flag| flag.as_str()).collect();
        let number = self
            .connection
            .prepare_cached(
                "INSERT INTO ticket (subject, requester, customer, plan, plan_because, impact, case_id, rule, policy, language,
                                     state, flags, mentions, opened, changed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?13, ?9, 'open', ?10, ?11, ?12, ?12) RETURNING id",
            )?
            .query_row(
                params![
                    mail.message.subject,
                    decision.requester.as_ref().map(|address| address.address.as_str()),
                    mail.facts.customer.as_ref().filter(|_| decision.plan.because != PlanBecause::Unverified).map(|c| c.id),
                    decision.plan.id.as_str(),
                    decision.plan.because.as_str(),
                    decision.impact.as_str(),
                    decision.case,
                    decision.verdict.rule,
                    decision.ack.language.as_str(),
                    flags.join(" "),
                    decision.mentions.map(|number| number.0),
                    ms(mail.arrival.received),
                    self.generation_of(setting)?,
                ],
                |row| row.get(0),
            )?;
        if let Some(mentioned) = decision.mentions {
            let detail = json!({ "by": number });
            self.event(setting.now, Some(mentioned.0), None, "mentioned", &detail)?;
        }
        Ok(number)
    }

    /// Writes a message's row; of one that was stored before, what was decided anew.
    fn write_message(
        &self,
        mail: Incoming<'_>,
        decision: &Decision,
        ticket: Option<i64>,
        setting: Setting<'_>,
    ) -> Result<i64> {
        let role = ticket.map(|_| match (decision.action, decision.effect) {
            (Action::Note, _) => "note",
            (_, Effect::Answers) => "staff",
            _ => "message",
        });
        let decided = serde_json::to_string(decision)
            .map_err(|error| StoreError::Unreadable { what: "decision", why: error.to_string() })?;
        let (outcome, reason) = (decision.action.outcome().as_str(), decision.reason.as_str());
        let policy = self.generation_of(setting)?;
        if let Some(MessageId(id)) = mail.entry.stored() {
            self.connection.execute(
                "UPDATE message SET outcome = ?2, reason = ?3, decision = ?4, ticket = ?5, role = ?6, policy = ?7
                 WHERE id = ?1",
                params![id, outcome, reason, decided, ticket, role, policy],
            )?;
            return Ok(id);
        }
        self.keep(mail.raw)?;
        let message = mail.message;
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO message (content_hash, raw, message_id, sender, subject, sent, received, size, outcome,
                                      reason, decision, ticket, role, stored, policy)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) RETURNING id",
            )?
            .query_row(
                params![
                    &message.content_hash.0[..],
                    &mail.raw.hash[..],
                    message.message_id,
                    message.from.as_ref().map(|from| from.address.as_str()),
                    message.subject,
                    message.date.map(ms),
                    ms(mail.arrival.received),
                    mail.raw.bytes(),
                    outcome,
                    reason,
                    decided,
                    ticket,
                    role,
                    ms(setting.now),
                    policy,
                ],
                |row| row.get(0),
            )?;
        Ok(id)
    }

    fn conclude_stored(&self, id: ArrivalId, decision: &Decision, message: Option<i64>) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE arrival SET outcome = ?2, reason = ?3, message = ?4 WHERE id = ?1")?
            .execute(params![id.0, decision.action.outcome().as_str(), decision.reason.as_str(), message])?;
        Ok(())
    }

    fn let_in(&self, ticket: i64, voices: &[Address]) -> Result<()> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO participant (ticket, address) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?;
        voices.iter().try_for_each(|voice| Ok(insert.execute(params![ticket, voice.address]).map(drop)?))
    }

    /// What a message does to the ticket it joins.
    fn continue_ticket(
        &self,
        ticket: i64,
        decision: &Decision,
        received: Timestamp,
        setting: Setting<'_>,
    ) -> Result<()> {
        let now = ms(received);
        let run = |sql: &str, row: &[&dyn rusqlite::ToSql]| {
            self.connection.prepare_cached(sql)?.execute(row).map(drop)
        };
        for flag in &decision.flags {
            run(
                "UPDATE ticket SET flags = trim(flags || ' ' || ?2)
                 WHERE id = ?1 AND instr(' ' || flags || ' ', ' ' || ?2 || ' ') = 0",
                params![ticket, flag.as_str()],
            )?;
        }
        match decision.effect {
            Effect::None => run("UPDATE ticket SET changed = ?2 WHERE id = ?1", params![ticket, now])?,
            Effect::Answers => {
                run(
                    "UPDATE ticket SET changed = ?2, answered_at = ?2, state = 'answered' WHERE id = ?1 AND state != 'closed'",
                    params![ticket, now],
                )?;
                self.end_promise(ticket, received, "answered")?;
            }
            Effect::Recognises | Effect::Raises | Effect::Continues | Effect::Reopens => {
                run(
                    "UPDATE ticket SET changed = ?2, state = 'open', closed_at = NULL WHERE id = ?1",
                    params![ticket, now],
                )?;
                self.recognise(ticket, decision, setting)?;
            }
        }
        Ok(())
    }

    /// Gives a ticket the impact and the case that a follow-up leaves it with; where they are others than before, by the
    /// follow-up's rule and policy.
    fn recognise(&self, ticket: i64, decision: &Decision, setting: Setting<'_>) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE ticket SET impact = ?2, case_id = ?3, rule = ?4, policy = ?5,
                        flags = trim(replace(' ' || flags || ' ', ' ' || ?6 || ' ', ' '))
                 WHERE id = ?1 AND (impact != ?2 OR case_id IS NOT ?3)",
            )?
            .execute(params![
                ticket,
                decision.impact.as_str(),
                decision.case,
                decision.verdict.rule,
                self.generation_of(setting)?,
                Flag::Unclassified.as_str(),
            ])?;
        Ok(())
    }

    pub(super) fn end_promise(&self, ticket: i64, at: Timestamp, by: &str) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE promise SET ended = ?2, ended_by = ?3 WHERE ticket = ?1 AND ended IS NULL",
            )?
            .execute(params![ticket, ms(at), by])?;
        Ok(())
    }

    pub(super) fn make_promise(&self, ticket: i64, promise: &Promise, setting: Setting<'_>) -> Result<i64> {
        self.end_promise(ticket, promise.received, "superseded")?;
        let window = serde_json::to_string(&promise.window)
            .map_err(|error| StoreError::Unreadable { what: "window", why: error.to_string() })?;
        Ok(self
            .connection
            .prepare_cached(
                "INSERT INTO promise (ticket, plan, impact, window, received, clock_starts, expected_from, due_by,
                                      policy, made)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING id",
            )?
            .query_row(
                params![
                    ticket,
                    promise.plan.as_str(),
                    promise.impact.as_str(),
                    window,
                    ms(promise.received),
                    ms(promise.clock_starts),
                    promise.expected_from.map(ms),
                    ms(promise.due_by),
                    self.generation_of(setting)?,
                    ms(setting.now),
                ],
                |row| row.get(0),
            )?)
    }
}
