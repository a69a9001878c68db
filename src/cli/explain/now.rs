//! What the policy in force would say today of the mail that opened a ticket, what it stands at,
//! and what a person said.

use serde_json::{Map, Value, json};

use super::super::context::{Context, for_people, shown};
use super::super::tickets::{case_of, correction};
use crate::mail::Message;
use crate::policy::Policy;
use crate::rules::Verdict;
use crate::store::TicketRow;
use crate::triage::{DEFAULT_IMPACT, Decision, UNCLASSIFIED, classify};

/// What came after the decision on a ticket's first mail.
pub struct Now {
    verdict: Verdict,
    ticket: TicketRow,
}

impl Now {
    /// Asks the policy in force.
    pub fn of(message: &Message, policy: &Policy, ticket: TicketRow) -> Self {
        Self { verdict: classify(message, policy), ticket }
    }

    /// What the ticket stands at, where that is no longer what was decided on its first mail.
    pub fn today(&self, context: &Context, then: &Decision, policy: &Policy) -> Option<String> {
        let Self { ticket, .. } = self;
        let due_then = then.promise.as_ref().map(|promise| promise.due_by);
        let same = ticket.corrected.is_none()
            && (ticket.impact.as_str(), &ticket.case) == (then.impact.as_str(), &then.verdict.case)
            && (ticket.due_by.is_none() || ticket.due_by == due_then);
        let due = |at| format!(", due by {}", for_people(&policy.calendar.to_local(at)));
        (!same).then(|| {
            let due = ticket.due_by.map(due).unwrap_or_default();
            format!("{}, {}{due}", context.strong(&ticket.impact), case_of(ticket))
        })
    }

    /// The keys `now` and `corrected` of docs/json.md.
    pub fn add_to(&self, document: &mut Map<String, Value>, policy: &Policy) {
        let impact = self.verdict.impact.unwrap_or(DEFAULT_IMPACT);
        document.insert(
            "now".to_owned(),
            json!({ "verdict": self.verdict, "impact": impact, "policy": policy.hash }),
        );
        let corrected = self.ticket.corrected.as_ref().map(|word| correction(word, policy));
        document.insert("corrected".to_owned(), json!(corrected));
    }

    /// The rows of the page, each with its name.
    pub fn rows(&self, context: &Context, then: &Decision, policy: &Policy) -> Vec<(&'static str, String)> {
        let called = |impact: &str, case: Option<&str>| {
            format!("{}, {}", context.strong(impact), case.unwrap_or(UNCLASSIFIED))
        };
        let verdict = &self.verdict;
        let impact = verdict.impact.unwrap_or(DEFAULT_IMPACT);
        let is = called(impact.as_str(), verdict.case.as_deref());
        let by =
            |rule: Option<&str>| rule.map_or_else(|| "no rule".to_owned(), |rule| format!("the rule {rule}"));
        let mut rows = Vec::new();
        let same = (verdict.impact, &verdict.case, &verdict.rule)
            == (then.verdict.impact, &then.verdict.case, &then.verdict.rule);
        if same {
            rows.push(("now", format!("the same: {is}, by {}", by(verdict.rule.as_deref()))));
        } else {
            let was = called(then.impact.as_str(), then.verdict.case.as_deref());
            let (was_by, is_by) = (by(then.verdict.rule.as_deref()), by(verdict.rule.as_deref()));
            rows.push(("was", format!("{was}, by {was_by}")));
            rows.push(("now", format!("{is}, by {is_by}")));
            for found in &verdict.matches {
                rows.push(("", format!("«{}»  [{}: {}]", shown(&found.text), found.rule, found.phrase)));
            }
            for aside in &verdict.set_aside {
                rows.push(("", format!("{} is set aside: {}", aside.rule, shown(&aside.because))));
            }
        }
        if then.policy != policy.hash {
            rows.push(("", format!("policy was {}, is now {}", then.policy, policy.hash)));
        }
        if let Some(word) = &self.ticket.corrected {
            let said = word.case.as_deref().map_or_else(String::new, |case| format!(", {case}"));
            let said = format!("{}{said}", context.strong(word.impact.as_str()));
            rows.push(("person", format!("{said}, says {}: {}", shown(&word.by), shown(&word.because))));
        }
        rows
    }
}
