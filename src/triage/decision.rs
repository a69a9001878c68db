//! A decision as plain data: what becomes of a mail, and why. Nothing is done by making one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes::codes;
use crate::mail::Address;
use crate::plan::Promise;
use crate::policy::Policy;
use crate::reply::ReplyKind;
use crate::rules::{Case, Verdict};
use crate::ticket::{Impact, Language, Outcome, PlanId, TicketNumber, TicketState};

/// How a mail came to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The `[[mailbox]]` it was found in, or `stdin`.
    pub mailbox: String,
    /// The envelope's recipient, when the intake knows it.
    pub recipient: Option<Address>,
    /// When it arrived at our server: `min(INTERNALDATE, now)`; never the sender's Date.
    pub received: Timestamp,
    /// From before enrolment, a UIDVALIDITY change or a restore: never an ack (I18).
    pub backlog: bool,
}

/// What the store knows that bears on a mail; empty where there is no store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The same content is stored already.
    pub seen: Option<Seen>,
    /// A person lets it out of the quarantine: what sets a mail aside does so no more.
    pub released: bool,
    /// Tickets that a signed token names, in the order of the tokens.
    pub by_token: Vec<TicketFacts>,
    /// Tickets that hold a message which In-Reply-To or References names, most recent first.
    pub by_reference: Vec<TicketFacts>,
    /// The ticket whose number stands in the subject.
    pub by_number: Option<TicketFacts>,
    /// The customer that the requester's address belongs to.
    pub customer: Option<CustomerFacts>,
    /// The requester's address bounced lately.
    pub undeliverable: bool,
    /// Acks made out lately.
    pub acks: AckCounts,
    /// The ticket of another ticket system's mail like this one, once three came within 60 minutes.
    pub joins: Option<TicketNumber>,
}

/// A message with the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its row.
    pub message: i64,
    /// The ticket it went to.
    pub ticket: Option<TicketNumber>,
}

/// What a thread decision needs to know of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketFacts {
    /// Its number.
    pub number: TicketNumber,
    /// Its state.
    pub state: TicketState,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Its impact.
    pub impact: Impact,
    /// Its case.
    pub case: Option<String>,
    /// No rule has recognised it, and no person has said what it is.
    pub unclassified: bool,
    /// Its plan.
    pub plan: PlanId,
    /// The deadline of the promise that runs.
    pub due_by: Option<Timestamp>,
    /// The sender is a participant: by address, or as the same customer.
    pub participant: bool,
}

/// The directory's row for a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerFacts {
    /// The customer's row.
    pub id: i64,
    /// The name that greets them.
    pub name: Option<String>,
    /// The language they asked for.
    pub language: Option<Language>,
    /// The plan.
    pub plan: PlanId,
    /// By which kind of row.
    pub by: PlanBecause,
}

/// Acks made out to the requester's address and domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AckCounts {
    /// To the address, in the last hour.
    pub address_hour: u32,
    /// To the address, in the last day.
    pub address_day: u32,
    /// To the domain, in the last hour.
    pub domain_hour: u32,
}

/// What becomes of a mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The version of this form, so that old decisions stay readable (I15).
    pub version: u32,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The ticket it joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketNumber>,
    /// What happens to that ticket's state.
    #[serde(default)]
    pub effect: Effect,
    /// A ticket that the mail named without a right to it, or too late: linked, never quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<TicketNumber>,
    /// Whom a new ticket is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Address>,
    /// Addresses that gain a voice in the ticket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<Address>,
    /// What the rules said.
    pub verdict: Verdict,
    /// The impact that applies, after the default; for a follow-up, the ticket's afterwards.
    pub impact: Impact,
    /// The case that applies; for a follow-up, the ticket's afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The plan that applies.
    pub plan: Plan,
    /// The promise made, if one was.
    pub promise: Option<Promise>,
    /// Whether an acknowledgement goes out.
    pub ack: Ack,
    /// What a person should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The hash of the policy that decided.
    pub policy: String,
    /// The hash of the site that decided.
    pub site: String,
}

impl Decision {
    /// The case as an acknowledgement names it. An unclassified ticket may have one of less impact than it is handled with.
    pub fn named_case<'p>(&self, policy: &'p Policy) -> Option<&'p Case> {
        let case = self.case.as_deref().and_then(|id| policy.rules.case(id));
        case.filter(|case| case.impact == self.impact)
    }
}

/// The present [`Decision::version`].
pub const DECISION_VERSION: u32 = 1;

/// What is done with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A new ticket.
    Open,
    /// A message more in a ticket.
    Append,
    /// A note in a ticket: neither reopens it nor stops its clock.
    Note,
    /// Nothing.
    Ignore,
    /// Set aside for a person.
    Quarantine,
    /// Stored before.
    Duplicate,
}

impl Action {
    /// The outcome that it leads to.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Open => Outcome::Opened,
            Self::Append | Self::Note => Outcome::Appended,
            Self::Ignore => Outcome::Ignored,
            Self::Quarantine => Outcome::Quarantined,
            Self::Duplicate => Outcome::Duplicate,
        }
    }

    /// The word of the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Append => "append",
            Self::Note => "note",
            Self::Ignore => "ignore",
            Self::Quarantine => "quarantine",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What a mail does to the state of the ticket it joins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing.
    #[default]
    None,
    /// A rule recognises what none did before; the impact stays.
    Recognises,
    /// The impact rises: a new promise, the earlier deadline.
    Raises,
    /// An answered ticket is open again: a new promise.
    Continues,
    /// A closed ticket is open again: a new promise.
    Reopens,
    /// A person of ours answered: the promise is met.
    Answers,
}

codes! {
    /// Why a mail had its outcome.
    Reason {
        /// A person wrote something new.
        NewMail = "new_mail",
        /// One of our web forms wrote for a person: its Reply-To is the requester.
        SiteForm = "site_form",
        /// A ticket was named by somebody who is no participant of it: a new ticket, linked.
        NotParticipant = "not_participant",
        /// A reply to a ticket that was closed longer ago than `reopen_days`: a new ticket, linked.
        ClosedLongAgo = "closed_long_ago",
        /// A reply that carries one of our signed tokens.
        Token = "token",
        /// A reply whose In-Reply-To or References names a message of a ticket, by a participant of it.
        Reference = "reference",
        /// The ticket's number stands in the subject, written by a participant of it.
        SubjectNumber = "subject_number",
        /// A colleague's answer.
        StaffAnswer = "staff_answer",
        /// A colleague's mail that belongs to no ticket.
        Staff = "staff",
        /// A machine's mail, such as a monitor's: it may be an outage.
        AutoGenerated = "auto_generated",
        /// Another ticket system's mail.
        TicketSystem = "ticket_system",
        /// The same ticket system sent three alike within 60 minutes: they join the first.
        TicketSystemRepeat = "ticket_system_repeat",
        /// A mailing list's mail that names us in To or Cc.
        List = "list",
        /// A mailing list's mail that names us nowhere.
        ListNotToUs = "list_not_to_us",
        /// A calendar request.
        CalendarRequest = "calendar_request",
        /// A calendar answer, update or cancellation.
        Calendar = "calendar",
        /// No single usable From: nobody's identity.
        NoSingleFrom = "no_single_from",
        /// Structure over the limits, or unreadable: a ticket from the headers alone.
        HeadersOnly = "headers_only",
        /// Mass mail, but from a customer, or of high impact.
        BulkKept = "bulk_kept",
        /// Mass mail.
        Bulk = "bulk",
        /// Marked as spam by our own filter.
        Spam = "spam",
        /// Mass mail, or a mail that goes round in circles, which a person let out of the quarantine.
        Released = "released",
        /// A delivery report on a mail of ours: it failed.
        Bounce = "bounce",
        /// A delivery report on a mail of ours: delayed, relayed, expanded or delivered.
        DelayReport = "delay_report",
        /// A delivery report on a mail that is not ours.
        Backscatter = "backscatter",
        /// A read receipt.
        Receipt = "receipt",
        /// A vacation notice or a challenge.
        AutoReply = "auto_reply",
        /// A DMARC aggregate report.
        DmarcReport = "dmarc_report",
        /// A TLS report.
        TlsReport = "tls_report",
        /// An abuse report.
        FeedbackReport = "feedback_report",
        /// A mail that we sent.
        OwnMail = "own_mail",
        /// More than 100 Received: it goes round in circles.
        TooManyHops = "too_many_hops",
        /// The same content was stored before.
        SameContent = "same_content",
        /// It was gone from the server before it was fetched.
        Gone = "gone",
        /// It was older than `backlog` when the folder was enrolled; left in place.
        Backlog = "backlog",
        /// Fetching it broke the session twice.
        Unfetchable = "unfetchable",
        /// Storing it failed; the others of its batch were stored.
        StoreFailed = "store_failed",
        /// Not even its headers could be read; its bytes are kept.
        Unreadable = "unreadable",
    }
}

codes! {
    /// Why an acknowledgement is sent, or is not.
    AckBecause {
        /// A person's new case: the promise is sent.
        NewCase = "new_case",
        /// The follow-up raised the impact.
        Raised = "raised",
        /// The follow-up reopened the case.
        Reopened = "reopened",
        /// A follow-up that changes nothing.
        FollowUp = "follow_up",
        /// A colleague's mail.
        StaffMail = "staff_mail",
        /// No ticket, so nothing to acknowledge.
        NoTicket = "no_ticket",
        /// No person wrote it.
        NotAPerson = "not_a_person",
        /// No single usable From to send it to.
        NoAddressee = "no_addressee",
        /// The mail could not be read whole.
        NotReadable = "not_readable",
        /// The sender asks for no automatic answer: null Return-Path or X-Auto-Response-Suppress.
        AskedNotTo = "asked_not_to",
        /// From before enrolment, a UIDVALIDITY change or a restore.
        BacklogMail = "backlog",
        /// Older than `max_age`.
        TooOld = "too_old",
        /// The sender's authentication failed.
        AuthenticationFailed = "authentication_failed",
        /// The follow-up's sender is no participant of the ticket.
        NoParticipant = "no_participant",
        /// The address bounced lately.
        Undeliverable = "undeliverable",
        /// `[limits] per_address_hour` is reached.
        CapAddressHour = "cap_address_hour",
        /// `[limits] per_address_day` is reached.
        CapAddressDay = "cap_address_day",
        /// `[limits] per_domain_hour` is reached.
        CapDomainHour = "cap_domain_hour",
    }
}

codes! {
    /// What a person should know about a ticket.
    Flag {
        /// No rule matched yet: handled as medium until a person has read it.
        Unclassified = "unclassified",
        /// The sender's authentication failed: plan n1.
        AuthenticationFailed = "authentication_failed",
        /// Something that looks like a token of ours did not verify.
        BadToken = "bad_token",
        /// Appended on the strength of a token by somebody who was no participant.
        NewVoice = "new_voice",
        /// The sender's address may pass for another: mixed alphabets, or a name that is an address.
        Imitation = "imitation",
        /// Its text, or a part of it, is encrypted or sealed: nobody can read it here.
        Encrypted = "encrypted",
        /// A colleague's mail.
        Staff = "staff",
        /// A machine wrote it.
        Automatic = "automatic",
        /// Mass or spam-flagged mail that was kept.
        Bulk = "bulk",
        /// Read from its headers alone.
        HeadersOnly = "headers_only",
        /// Over `max_size`: only its head was taken in; the mail of a mailbox is whole on the server.
        Oversize = "oversize",
        /// No single usable From.
        NoSingleFrom = "no_single_from",
        /// A person let it out of the quarantine.
        Released = "released",
    }
}

codes! {
    /// Why a plan applies.
    PlanBecause {
        /// The customer directory has a row for the address.
        AddressRow = "address_row",
        /// The customer directory has a row for the domain.
        DomainRow = "domain_row",
        /// The ticket has it already.
        Ticket = "ticket",
        /// Nobody knows the address: the default of plans.toml.
        Default = "default",
        /// The sender's authentication failed: the default of plans.toml.
        Unverified = "authentication_failed",
        /// Named on the command line.
        CommandLine = "command_line",
    }
}

/// A plan, and why it applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The plan.
    pub id: PlanId,
    /// Why.
    pub because: PlanBecause,
}

/// Whether an acknowledgement goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Whether.
    pub send: bool,
    /// Why, or why not.
    pub because: AckBecause,
    /// In which language.
    pub language: Language,
    /// Which text, when it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ReplyKind>,
}
