//! What a person says that the rules had wrong: the ticket follows, and it is kept for those who tune the rules.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use super::{Result, Setting, TicketFilter, Tx, at, ms, word};
use crate::notify::Topic;
use crate::plan::Promise;
use crate::reply::ReplyKind;
use crate::ticket::{Impact, PlanId, TicketNumber};
use crate::triage::Flag;

/// A person's word on the mail that opened a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The impact that it has.
    pub impact: Impact,
    /// Its case; `None`: the impact alone was said.
    pub case: Option<String>,
    /// The user who said so.
    pub by: String,
    /// Why.
    pub because: String,
    /// When.
    pub at: Timestamp,
}

/// What a correction came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrected {
    /// The ticket's impact until then.
    pub was_impact: String,
    /// Its case until then.
    pub was_case: Option<String>,
    /// Its case from then on.
    pub case: Option<String>,
    /// What became of the promise.
    pub promise: PromiseAfter,
}

/// What becomes of the promise of a ticket that is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromiseAfter {
    /// None runs: the ticket is answered or closed.
    None,
    /// It stays: the customer has it, or the impact is the same (I10).
    Stays {
        /// Until when.
        due_by: Timestamp,
        /// The customer has heard of it, or may have.
        told: bool,
        /// It is too late to keep it.
        overdue: bool,
    },
    /// Nobody has heard of it: that of the new impact stands in its place, from the same instant.
    Replaced {
        /// Until when.
        due_by: Timestamp,
        /// It is too late to keep it.
        overdue: bool,
    },
}

impl PromiseAfter {
    /// The word of the event and of the JSON.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Stays { .. } => Some("stays"),
            Self::Replaced { .. } => Some("replaced"),
        }
    }

    /// Until when it runs.
    pub fn due_by(self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::Stays { due_by, .. } | Self::Replaced { due_by, .. } => Some(due_by),
        }
    }

    /// Whether it is too late to keep it.
    pub fn is_overdue(self) -> bool {
        matches!(self, Self::Stays { overdue: true, .. } | Self::Replaced { overdue: true, .. })
    }
}

/// The promise that runs, and whether its customer may have heard of it.
struct Running {
    id: i64,
    promise: Promise,
    told: bool,
}

/// Whether the customer of a row of `promise` may have heard of it: an acknowledgement that is on its way may arrive.
const TOLD: &str = "EXISTS (SELECT 1 FROM outbox WHERE promise = promise.id
                            AND (offered = 1 OR state IN ('sending', 'sent')))";

impl Tx<'_> {
    /// Every ticket that a person corrected, with their last word on it.
    pub fn corrections(&self) -> Result<BTreeMap<TicketNumber, Correction>> {
        let mut rows = self
            .connection
            .prepare("SELECT ticket, impact, case_id, by, because, at FROM correction ORDER BY ticket")?;
        let mut rows = rows.query([])?;
        let mut found = BTreeMap::new();
        while let Some(row) = rows.next()? {
            found.insert(TicketNumber(row.get(0)?), correction(row, 1)?);
        }
        Ok(found)
    }

    /// Puts a ticket right. A promise that was mailed stays as it is, and nothing new is mailed; one that nobody has heard
    /// of is replaced, and its acknowledgement with it. `None`: there is no such ticket.
    pub fn correct(
        &self,
        number: TicketNumber,
        word: &Correction,
        setting: Setting<'_>,
    ) -> Result<Option<Corrected>> {
        let filter = TicketFilter { number: Some(number), ..TicketFilter::default() };
        let Some(ticket) = self.tickets(filter)?.pop() else { return Ok(None) };
        let same_impact = ticket.impact == word.impact.as_str();
        // who confirms the impact alone says nothing against the case
        let case = word.case.clone().or_else(|| ticket.case.clone().filter(|_| same_impact));
        let unchanged = same_impact && ticket.case == case;
        let flags: Vec<_> = ticket
            .flags
            .iter()
            .map(String::as_str)
            .filter(|flag| *flag != Flag::Unclassified.as_str())
            .collect();
        self.connection.execute(
            "UPDATE ticket SET impact = ?2, case_id = ?3, rule = CASE WHEN ?4 THEN rule END, flags = ?5 WHERE id = ?1",
            params![number.0, word.impact.as_str(), case, unchanged, flags.join(" ")],
        )?;
        self.connection.execute(
            "INSERT INTO correction (ticket, impact, case_id, by, because, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET impact = ?2, case_id = ?3, by = ?4, because = ?5, at = ?6",
            params![number.0, word.impact.as_str(), case, word.by, word.because, ms(word.at)],
        )?;
        let promise = self.correct_promise(number.0, word.impact, setting)?;
        if word.impact == Impact::High && ticket.impact != Impact::High.as_str() {
            self.news_of(number.0, Topic::HighImpact, setting.now)?;
        }
        let detail = json!({
            "by": word.by, "because": word.because, "promise": promise.as_str(),
            "from": { "impact": ticket.impact, "case": ticket.case },
            "to": { "impact": word.impact, "case": case },
        });
        self.event(word.at, Some(number.0), None, "reclassified", &detail)?;
        Ok(Some(Corrected { was_impact: ticket.impact, was_case: ticket.case, case, promise }))
    }

    fn correct_promise(&self, ticket: i64, impact: Impact, setting: Setting<'_>) -> Result<PromiseAfter> {
        let Some(running) = self.running(ticket)? else { return Ok(PromiseAfter::None) };
        let Running { id, promise, told } = running;
        let stays =
            PromiseAfter::Stays { due_by: promise.due_by, told, overdue: promise.is_past(setting.now) };
        if told {
            return Ok(stays);
        }
        if promise.impact == impact {
            self.rewrite_unsent(id, id, &promise, setting)?;
            return Ok(stays);
        }
        let promise = self.promise_instead(ticket, &promise, impact, setting)?;
        let new = self.make_promise(ticket, &promise, setting)?;
        self.rewrite_unsent(id, new, &promise, setting)?;
        Ok(PromiseAfter::Replaced { due_by: promise.due_by, overdue: promise.is_past(setting.now) })
    }

    fn running(&self, ticket: i64) -> Result<Option<Running>> {
        let found: Option<(i64, bool)> = self
            .connection
            .query_row(
                &format!("SELECT id, {TOLD} FROM promise WHERE ticket = ?1 AND ended IS NULL"),
                [ticket],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((id, told)) = found else { return Ok(None) };
        let promise = self.promise(id)?.map(|row| row.made()).transpose()?;
        Ok(promise.map(|promise| Running { id, promise, told }))
    }

    /// The promise of another impact from the same instant; never later than one that the customer still has.
    fn promise_instead(
        &self,
        ticket: i64,
        old: &Promise,
        impact: Impact,
        setting: Setting<'_>,
    ) -> Result<Promise> {
        let policy = setting.policy;
        let plan: &PlanId = &old.plan;
        let promise = policy.calendar.promise(policy.plans.plan_or_default(plan), impact, old.received);
        let told: Option<i64> = self.connection.query_row(
            &format!(
                "SELECT min(due_by) FROM promise WHERE ticket = ?1 AND ended_by = 'superseded' AND {TOLD}
                 AND id > coalesce((SELECT max(id) FROM promise WHERE ticket = ?1 AND ended_by != 'superseded'), 0)"
            ),
            [ticket],
            |row| row.get(0),
        )?;
        Ok(promise.no_later_than(told.map(at)))
    }

    /// Whether a promise is of more impact than the one before `old`.
    fn raises(&self, old: i64, promise: &Promise) -> Result<bool> {
        let sql =
            "SELECT before.impact FROM promise AS old JOIN promise AS before ON before.ticket = old.ticket
                   WHERE old.id = ?1 AND before.id < ?1 ORDER BY before.id DESC LIMIT 1";
        let before: Option<String> = self.connection.query_row(sql, [old], |row| row.get(0)).optional()?;
        let before = before.map(|impact| word::<Impact>("promise.impact", &impact)).transpose()?;
        Ok(before.is_none_or(|before| promise.impact > before))
    }

    /// The acknowledgements of a promise that still wait say what is true now.
    fn rewrite_unsent(&self, old: i64, new: i64, promise: &Promise, setting: Setting<'_>) -> Result<()> {
        let mut waiting = self.connection.prepare(
            "UPDATE outbox SET promise = ?2 WHERE promise = ?1 AND state IN ('due', 'held') AND offered = 0
             RETURNING id, kind",
        )?;
        let waiting = waiting
            .query_map([old, new], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        for (row, kind) in waiting {
            let is_kind = |kind_of: &ReplyKind| kind_of.as_str() == kind;
            let kind = match [ReplyKind::Raised, ReplyKind::Reopened].into_iter().find(is_kind) {
                Some(ReplyKind::Raised) if !self.raises(old, promise)? => ReplyKind::Ack,
                kind => kind.unwrap_or(ReplyKind::Ack),
            };
            let kind = if promise.is_past(setting.now) { kind.overdue() } else { kind };
            self.rewrite(row, kind, setting.site, setting.policy, setting.now)?;
        }
        Ok(())
    }
}

/// Reads a correction from the columns `impact, case_id, by, because, at`, the first of which is `first`.
pub(super) fn correction(row: &Row<'_>, first: usize) -> Result<Correction> {
    Ok(Correction {
        impact: word("correction.impact", &row.get::<_, String>(first)?)?,
        case: row.get(first + 1)?,
        by: row.get(first + 2)?,
        because: row.get(first + 3)?,
        at: at(row.get(first + 4)?),
    })
}
