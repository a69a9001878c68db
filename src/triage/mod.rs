//! Message × Arrival × Facts × Site × Policy → [`Decision`]: the table of docs/mail.md, row by row.

use jiff::Timestamp;

use self::class::{Row, Silence};
use crate::mail::{Address, Defect, Message};
use crate::plan::Promise;
use crate::policy::Policy;
use crate::reply::ReplyKind;
use crate::rules::{Text, Verdict};
use crate::site::Site;
use crate::ticket::{Impact, Language, PlanId};

pub mod authentication;
mod class;
pub mod decision;
pub mod silence;
pub mod thread;

pub use authentication::Authentication;
pub use decision::{
    Ack, AckBecause, AckCounts, Action, Arrival, CustomerFacts, DECISION_VERSION, Decision, Effect, Facts,
    Flag, Plan, PlanBecause, Reason, Seen, TicketFacts,
};
pub use thread::{Hints, Thread, hints};

/// The impact of a mail that no rule recognises: the manual has no default, and low would let an outage wait.
pub const DEFAULT_IMPACT: Impact = Impact::Medium;

/// The `case` that a mail counts as when no rule recognises it.
pub const UNCLASSIFIED: &str = "unclassified";

/// What the rules say of a mail; the costly part of a decision, and it needs no facts.
pub fn classify(message: &Message, policy: &Policy) -> Verdict {
    with_text(message, |text| policy.rules.evaluate(text))
}

/// Shows what rules read in a mail.
pub fn with_text<T>(message: &Message, read: impl FnOnce(&Text<'_>) -> T) -> T {
    let attachments: Vec<&str> = message.attachments.iter().map(|file| file.name.as_str()).collect();
    read(&Text {
        subject: (!message.is_reply()).then_some(&message.subject),
        own_text: &message.own_text,
        attachments: &attachments,
    })
}

/// Decides what becomes of a mail whose text was classified. Pure and total: whatever it says, nothing is done yet.
pub fn triage(
    message: &Message,
    verdict: &Verdict,
    arrival: &Arrival,
    facts: &Facts,
    site: &Site,
    policy: &Policy,
    now: Timestamp,
) -> Decision {
    let case = Case::new(message, verdict, arrival, facts, site, policy, now);
    match facts.seen {
        Some(seen) => Decision { ticket: seen.ticket, ..case.drop(Action::Duplicate, Reason::SameContent) },
        None => case.decide(),
    }
}

/// The requester of a mail: From, or for a site form its single Reply-To (I9).
pub fn requester<'a>(message: &'a Message, site: &Site) -> Option<&'a Address> {
    let from = message.from.as_ref()?;
    Some(behind_form(message, site).unwrap_or(from))
}

/// The person for whom one of our web forms wrote: its single Reply-To.
fn behind_form<'a>(message: &'a Message, site: &Site) -> Option<&'a Address> {
    match message.reply_to.as_slice() {
        [person] if is_form(message, site) && !site.is_ours(person) => Some(person),
        _ => None,
    }
}

/// Whether one of our web forms wrote for a person.
fn is_form(message: &Message, site: &Site) -> bool {
    let listed = message.from.as_ref().is_some_and(|from| site.forms.contains(from));
    listed && authentication::of(message, site.authserv_id.as_deref()) != Authentication::Failed
}

/// One mail on its way to a decision.
struct Case<'a> {
    message: &'a Message,
    arrival: &'a Arrival,
    facts: &'a Facts,
    site: &'a Site,
    policy: &'a Policy,
    now: Timestamp,
    authentication: Authentication,
    verdict: &'a Verdict,
    flags: Vec<Flag>,
}

impl<'a> Case<'a> {
    fn new(
        message: &'a Message,
        verdict: &'a Verdict,
        arrival: &'a Arrival,
        facts: &'a Facts,
        site: &'a Site,
        policy: &'a Policy,
        now: Timestamp,
    ) -> Self {
        let authentication = authentication::of(message, site.authserv_id.as_deref());
        let mut flags = Vec::new();
        if authentication == Authentication::Failed {
            flags.push(Flag::AuthenticationFailed);
        }
        if hints(message, arrival, site).bad_token {
            flags.push(Flag::BadToken);
        }
        for (defect, flag) in [
            (Defect::Oversize, Flag::Oversize),
            (Defect::Imitation, Flag::Imitation),
            (Defect::Encrypted, Flag::Encrypted),
        ] {
            if message.defects.contains(&defect) {
                flags.push(flag);
            }
        }
        if facts.released {
            flags.push(Flag::Released);
        }
        Self { message, arrival, facts, site, policy, now, authentication, verdict, flags }
    }

    fn decide(mut self) -> Decision {
        match self.row() {
            Row::Ticket(reason, silence) => self.ticket(reason, silence),
            Row::Staff => self.staff(),
            Row::Note(reason) => match thread::find_for_note(self.facts) {
                Some(ticket) => Decision {
                    ticket: Some(ticket.number),
                    impact: ticket.impact,
                    case: ticket.case.clone(),
                    ..self.drop(Action::Note, reason)
                },
                None => self.drop(Action::Ignore, reason),
            },
            Row::Ignore(reason) => self.drop(Action::Ignore, reason),
            Row::Quarantine(reason) => self.drop(Action::Quarantine, reason),
        }
    }

    /// A colleague's mail answers the ticket that it belongs to; alone it is a ticket, flagged.
    fn staff(mut self) -> Decision {
        let trusted = self.authentication != Authentication::Failed;
        let numbered = self.facts.by_reference.iter().chain(&self.facts.by_number).filter(|_| trusted);
        if let Some(ticket) = self.facts.by_token.iter().chain(numbered).next().filter(|_| trusted) {
            return Decision {
                ticket: Some(ticket.number),
                effect: Effect::Answers,
                impact: ticket.impact,
                case: ticket.case.clone(),
                plan: Plan { id: ticket.plan.clone(), because: PlanBecause::Ticket },
                ack: self.silent(AckBecause::StaffMail),
                ..self.drop(Action::Append, Reason::StaffAnswer)
            };
        }
        self.flags.push(Flag::Staff);
        self.open(Reason::Staff, Some(AckBecause::StaffMail))
    }

    /// A mail that is worth a ticket: in its thread, or on its own.
    fn ticket(mut self, reason: Reason, silence: Silence) -> Decision {
        if reason == Reason::TicketSystemRepeat {
            return Decision { ticket: self.facts.joins, ..self.drop(Action::Append, reason) };
        }
        let trusted = self.authentication != Authentication::Failed;
        match thread::find(self.facts, trusted, self.arrival.received, self.site) {
            Thread::In(ticket, proof) => self.append(ticket, proof, silence),
            Thread::Mentions(ticket, why) => {
                let reason = if reason == Reason::NewMail { why } else { reason };
                let mentions = Some(ticket.number);
                Decision { mentions, ..self.open(reason, silence) }
            }
            Thread::New => {
                self.flags.sort_unstable();
                self.open(reason, silence)
            }
        }
    }

    fn append(mut self, ticket: &TicketFacts, proof: Reason, silence: Silence) -> Decision {
        if !ticket.participant {
            self.flags.push(Flag::NewVoice);
        }
        let impact = self.verdict.impact.map_or(ticket.impact, |impact| impact.max(ticket.impact));
        let raised = impact > ticket.impact;
        let recognised = raised || ticket.unclassified && self.verdict.case.is_some();
        let effect = match ticket.state {
            crate::ticket::TicketState::Closed => Effect::Reopens,
            crate::ticket::TicketState::Answered => Effect::Continues,
            crate::ticket::TicketState::Open if raised => Effect::Raises,
            crate::ticket::TicketState::Open if recognised => Effect::Recognises,
            crate::ticket::TicketState::Open => Effect::None,
        };
        let promise = match effect {
            Effect::Raises => {
                // a raise never makes anybody wait longer
                Some(self.promise(&ticket.plan, impact).no_later_than(ticket.due_by))
            }
            Effect::Continues | Effect::Reopens => Some(self.promise(&ticket.plan, impact)),
            Effect::None | Effect::Recognises | Effect::Answers => None,
        };
        let ack = match (effect, raised) {
            (Effect::Reopens, _) => {
                self.ack(silence, AckBecause::Reopened, promise.as_ref(), ticket.participant)
            }
            (_, true) => self.ack(silence, AckBecause::Raised, promise.as_ref(), ticket.participant),
            _ => self.silent(AckBecause::FollowUp),
        };
        Decision {
            ticket: Some(ticket.number),
            effect,
            impact,
            case: if recognised { self.verdict.case.clone() } else { ticket.case.clone() },
            plan: Plan { id: ticket.plan.clone(), because: PlanBecause::Ticket },
            promise,
            ack,
            participants: self.voices(ticket.participant),
            ..self.drop(Action::Append, proof)
        }
    }

    fn open(mut self, reason: Reason, silence: Silence) -> Decision {
        let plan = self.plan();
        let impact = self.verdict.impact.unwrap_or(DEFAULT_IMPACT);
        if self.verdict.impact.is_none() {
            self.flags.push(Flag::Unclassified);
        }
        let promise = self.promise(&plan.id, impact);
        let ack = self.ack(silence, AckBecause::NewCase, Some(&promise), true);
        Decision {
            requester: requester(self.message, self.site).cloned(),
            participants: self.voices(true),
            impact,
            plan,
            promise: Some(promise),
            ack,
            ..self.drop(Action::Open, reason)
        }
    }

    /// Cc and other recipients gain a voice only in a mail whose sender did not fail authentication, and only where
    /// the sender has one (I9).
    fn voices(&self, sender_has_one: bool) -> Vec<Address> {
        if self.authentication == Authentication::Failed || !sender_has_one {
            return Vec::new();
        }
        let mut voices: Vec<Address> = Vec::new();
        let others = self.message.to.iter().chain(&self.message.cc);
        for address in requester(self.message, self.site).into_iter().chain(others) {
            if !self.site.is_staff(address) && !voices.contains(address) && voices.len() < MAX_VOICES {
                voices.push(address.clone());
            }
        }
        voices
    }

    fn plan(&self) -> Plan {
        let default = |because| Plan { id: self.policy.plans.default.id.clone(), because };
        match (&self.facts.customer, self.authentication) {
            (_, Authentication::Failed) => default(PlanBecause::Unverified),
            (Some(customer), _) => Plan { id: customer.plan.clone(), because: customer.by },
            (None, _) => default(PlanBecause::Default),
        }
    }

    fn promise(&self, plan: &PlanId, impact: Impact) -> Promise {
        let plans = &self.policy.plans;
        self.policy.calendar.promise(plans.plan_or_default(plan), impact, self.arrival.received)
    }

    fn language(&self) -> Language {
        let asked = self.facts.customer.as_ref().and_then(|customer| customer.language);
        asked.unwrap_or(self.message.language)
    }

    fn silent(&self, because: AckBecause) -> Ack {
        Ack { send: false, because, language: self.language(), kind: None }
    }

    /// The ack that the table allows, unless something withholds it.
    fn ack(
        &self,
        silence: Silence,
        because: AckBecause,
        promise: Option<&Promise>,
        participant: bool,
    ) -> Ack {
        let Some(addressee) = requester(self.message, self.site) else {
            return self.silent(silence.unwrap_or(AckBecause::NoAddressee));
        };
        let withheld = silence.or_else(|| {
            silence::withheld(
                addressee,
                self.arrival,
                self.facts,
                self.authentication,
                participant,
                self.site,
                self.now,
            )
        });
        if let Some(because) = withheld {
            return self.silent(because);
        }
        let kind = match because {
            AckBecause::Raised => ReplyKind::Raised,
            AckBecause::Reopened => ReplyKind::Reopened,
            _ if self.verdict.impact.is_none() => ReplyKind::Unclassified,
            _ => ReplyKind::Ack,
        };
        let is_past = promise.is_some_and(|promise| promise.is_past(self.now));
        let kind = Some(if is_past { kind.overdue() } else { kind });
        Ack { send: true, because, language: self.language(), kind }
    }

    /// A decision in which nothing goes out.
    fn drop(&self, action: Action, reason: Reason) -> Decision {
        Decision {
            version: DECISION_VERSION,
            action,
            reason,
            ticket: None,
            effect: Effect::None,
            mentions: None,
            requester: None,
            participants: Vec::new(),
            impact: self.verdict.impact.unwrap_or(DEFAULT_IMPACT),
            case: self.verdict.case.clone(),
            verdict: self.verdict.clone(),
            plan: self.plan(),
            promise: None,
            ack: self.silent(match action {
                Action::Open | Action::Append | Action::Note => AckBecause::NotAPerson,
                Action::Ignore | Action::Quarantine | Action::Duplicate => AckBecause::NoTicket,
            }),
            flags: self.flags.clone(),
            policy: self.policy.hash.clone(),
            site: self.site.hash(),
        }
    }
}

/// At most so many people gain a voice by one mail.
const MAX_VOICES: usize = 50;

#[cfg(test)]
mod tests;
