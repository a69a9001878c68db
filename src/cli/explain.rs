//! `acuse explain`: the whole decision, and why.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::{Context, for_people, read, rfc3339, shown, time};
use super::report::{Code, Done, Failure};
use super::sla::{self, plain};
use crate::config::{Config, Secrets};
use crate::ingest::{self, Reading};
use crate::mail::Message;
use crate::plan::Promise;
use crate::policy::Policy;
use crate::reply::words;
use crate::rules::{Field, Match, SetAside, Shadow};
use crate::site::Site;
use crate::store::Entry;
use crate::ticket::{Impact, TicketNumber};
use crate::triage::{Arrival, CustomerFacts, Decision, Facts, PlanBecause, classify, triage};

mod now;

use now::Now;

/// `acuse explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A mail's file, `-` for standard input, or a ticket's number
    #[arg(value_name = "FILE|CASE", required_unless_present = "text", conflicts_with = "text")]
    what: Option<String>,
    /// A customer's words
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// When it arrives [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The sender's support level, such as n2
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
}

/// A decision with all that it was made of.
pub struct Explained {
    /// Where the mail came from; `None` for words on the command line.
    pub file: Option<String>,
    /// What was read.
    pub message: Message,
    /// What was decided.
    pub decision: Decision,
    /// The name by which the directory has its sender greeted, as it stands now.
    pub customer_name: Option<String>,
    /// When its promise was mailed.
    pub mailed_at: Option<Timestamp>,
    /// The policy that explains it now.
    pub policy: Policy,
    /// Why nobody looked the sender up; `None`: somebody did.
    pub unasked: Option<Unasked>,
    /// Who we are.
    pub site: Site,
    /// Of a ticket: what came after.
    pub now: Option<Now>,
}

/// Why the customer directory was not asked for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// Words on the command line are nobody's.
    NoSender,
    /// No configuration with a database was named.
    NoDirectory,
}

impl Unasked {
    /// What a person reads in the place of the reason for the default plan.
    fn meaning(self) -> &'static str {
        match self {
            Self::NoSender => "Words have no sender: the default of plans.toml; --plan tries another.",
            Self::NoDirectory => {
                "The directory was not asked: the default of plans.toml; --config FILE names one that is."
            }
        }
    }
}

/// Explains a mail, a ticket or a text.
pub fn explain(context: &Context, args: &ExplainArgs) -> Done {
    let explained = match (&args.what, &args.text) {
        (Some(what), _) if !Path::new(what).exists() && what != "-" => of_ticket(context, what)?,
        (Some(what), _) => of_mail(context, &read(Path::new(what))?, Some(what.clone()), args)?,
        (None, Some(text)) => of_mail(context, &as_mail("", text), None, args)?,
        (None, None) => return Err(Failure::new(Code::Usage, "name a file, a ticket or --text")),
    };
    if context.json { context.json(&document(&explained)) } else { context.line(page(context, &explained)) }
}

/// Decides on a mail as if it arrived now, and writes nothing.
pub fn of_mail(
    context: &Context,
    raw: &[u8],
    file: Option<String>,
    args: &ExplainArgs,
) -> Result<Explained, Failure> {
    let config = context.named_config()?;
    let policy = context.policy(config.as_ref())?;
    let site = context.site(config.as_ref());
    let zone = policy.calendar.zone();
    let now = match &args.at {
        Some(text) => time(text, zone)?,
        None => context.now(zone)?,
    };
    let unasked = match &config {
        _ if file.is_none() => Some(Unasked::NoSender),
        Some(config) if config.has_database() => None,
        _ => Some(Unasked::NoDirectory),
    };
    let message = ingest::read(raw, Reading::Whole);
    let arrival = Arrival { mailbox: "explain".to_owned(), recipient: None, received: now, backlog: false };
    let mut facts = known_facts(context, config.as_ref(), &message, &arrival, &site, &policy, now)?;
    if let Some(id) = &args.plan {
        let plan = sla::plan(&policy.plans, id)?.id.clone();
        let by = PlanBecause::CommandLine;
        facts.customer = Some(match facts.customer {
            Some(customer) => CustomerFacts { plan, by, ..customer },
            None => CustomerFacts { id: 0, name: None, language: None, plan, by },
        });
    }
    let verdict = classify(&message, &policy);
    let decision = triage(&message, &verdict, &arrival, &facts, &site, &policy, now);
    let customer_name = facts.customer.and_then(|customer| customer.name);
    Ok(Explained {
        file,
        message,
        decision,
        customer_name,
        mailed_at: None,
        now: None,
        policy,
        unasked,
        site,
    })
}

/// What the database knows, where a configuration with one was named.
fn known_facts(
    context: &Context,
    config: Option<&Config>,
    message: &Message,
    arrival: &Arrival,
    site: &Site,
    policy: &Policy,
    now: Timestamp,
) -> Result<Facts, Failure> {
    let Some(config) = config.filter(|config| config.has_database()) else {
        return Ok(Facts::default());
    };
    Ok(context
        .store(config)?
        .read(|tx| tx.facts(message, arrival, Entry::Arrived, site, &policy.plans, now))?)
}

/// The decision that opened a ticket, as it was stored.
fn of_ticket(context: &Context, what: &str) -> Result<Explained, Failure> {
    let nothing = || {
        Failure::new(Code::Usage, format!("`{what}` is neither a file nor a ticket"))
            .hint("name a mail's file, a ticket such as ACU-12, or --text \"…\"")
    };
    if TicketNumber::parse(what, "ACU").is_none() && context.config.is_none() {
        return Err(nothing());
    }
    let config = context.config(Secrets::Skip)?;
    let number = TicketNumber::parse(what, &config.site.prefix).ok_or_else(nothing)?;
    let policy = context.policy(Some(&config))?;
    let store = context.store(&config)?;
    let (decision, raw) = store.read(|tx| tx.opening_of(number))?.ok_or_else(|| {
        Failure::new(Code::Usage, format!("there is no ticket {}", number.with_prefix(&config.site.prefix)))
    })?;
    let page = store.read(|tx| tx.ticket_page(number))?;
    let (promise, ticket) = page.map(|page| (page.promise, page.ticket)).unzip();
    let mailed_at = promise.flatten().and_then(|promise| promise.mailed_at);
    let message = ingest::read(&raw, ingest::reading_again(&decision));
    let now = ticket.map(|ticket| Now::of(&message, &policy, ticket));
    Ok(Explained {
        file: None,
        message,
        decision,
        customer_name: None,
        mailed_at,
        policy,
        unasked: None,
        site: config.site,
        now,
    })
}

/// Words on the command line or in a list of examples as the mail of somebody unknown.
pub fn as_mail(subject: &str, text: &str) -> Vec<u8> {
    let subject = subject.replace(['\r', '\n'], " ");
    format!(
        "From: cliente@desconocido.invalid\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

/// The JSON of docs/json.md.
pub fn document(explained: &Explained) -> Value {
    let Explained { file, message, decision, policy, .. } = explained;
    let mut view = json!(message.view());
    if let (Some(object), Some(file)) = (view.as_object_mut(), file) {
        object.insert("file".to_owned(), json!(file));
    }
    let mut document = json!({
        "message": view,
        "action": decision.action,
        "reason": decision.reason,
        "verdict": decision.verdict,
        "now": null,
        "corrected": null,
        "impact": decision.impact,
        "plan": decision.plan,
        "promise": decision.promise.as_ref().map(|promise| {
            self::promise(promise, explained.mailed_at, decision.ack.language, policy)
        }),
        "ack": { "send": decision.ack.send, "because": decision.ack.because, "language": decision.ack.language },
        "flags": decision.flags,
        "policy": decision.policy,
        "site": decision.site,
    });
    if let (Some(object), Some(now)) = (document.as_object_mut(), &explained.now) {
        now.add_to(object, policy);
    }
    document
}

/// A promise as JSON prints it.
pub fn promise(
    promise: &Promise,
    mailed_at: Option<Timestamp>,
    language: crate::ticket::Language,
    policy: &Policy,
) -> Value {
    let local = |at| rfc3339(&policy.calendar.to_local(at));
    json!({
        "words": plain(&words::promise(promise.window, language)),
        "received": local(promise.received),
        "clock_starts": local(promise.clock_starts),
        "due_by": local(promise.due_by),
        "strict": promise.window.strict,
        "mailed_at": mailed_at.map(local),
    })
}

fn page(context: &Context, explained: &Explained) -> String {
    let Explained { message, decision, policy, site, .. } = explained;
    let mut lines = Vec::new();
    let mut row = |name: &str, text: String| lines.push(format!("{name:<9}{text}"));
    if let Some(today) = explained.now.as_ref().and_then(|now| now.today(context, decision, policy)) {
        row("today", today);
        row("", "at its first mail it was:".to_owned());
    }
    let case = decision.verdict.case.as_deref().and_then(|id| policy.rules.case(id));
    let label = case.map_or("aún por revisar", |case| case.label.es.as_str());
    row(
        "impact",
        format!("{} ({}): {label}", context.strong(decision.impact.as_str()), decision.impact.in_spanish()),
    );
    match &decision.verdict.rule {
        Some(rule) => row("because", format!("the rule {} stands", context.strong(rule))),
        None => row("because", format!("no rule stands: {} until a person has read it", decision.impact)),
    }
    for found in &decision.verdict.matches {
        row("", in_context(context, message, found));
    }
    for aside in &decision.verdict.set_aside {
        row("", set_aside(context, aside));
    }
    for mark in &decision.verdict.contexts {
        let words = quoted(context, &mark.text);
        row("context", format!("{}: {words}  [{}]", mark.context, shown(&mark.phrase)));
    }
    for shadow in &decision.verdict.shadow {
        let Shadow { rule, case, impact, .. } = shadow;
        let would = if shadow.decides { "would decide" } else { "would stand and not decide" };
        row("shadow", format!("{rule} ({impact}, {case}) {would}: {}", quoted(context, &shadow.text)));
    }
    for (name, text) in explained.now.iter().flat_map(|now| now.rows(context, decision, policy)) {
        row(name, text);
    }
    let plan = policy.plans.plan_or_default(&decision.plan.id);
    let because = match (decision.plan.because, explained.unasked) {
        (PlanBecause::Default, Some(unasked)) => unasked.meaning(),
        (because, _) => because.meaning(),
    };
    row("plan", format!("{}, {}. {because}", decision.plan.id, plan.name.es));
    if let Some(promise) = &decision.promise {
        let local = |at| for_people(&policy.calendar.to_local(at));
        row("promise", plain(&words::promise(promise.window, decision.ack.language)));
        row(
            "",
            format!("received {}, clock starts {}", local(promise.received), local(promise.clock_starts)),
        );
        let bound = if promise.window.strict { "before" } else { "due by" };
        row("", format!("{bound} {}", context.strong(&local(promise.due_by))));
    }
    row(
        "ticket",
        format!("{} ({}). {}", decision.action.as_str(), decision.reason.as_str(), decision.reason.meaning()),
    );
    if let Some(number) = decision.ticket {
        row("", format!("in {}", number.with_prefix(&site.prefix)));
    }
    if let Some(number) = decision.mentions {
        row("", format!("mentions {}", number.with_prefix(&site.prefix)));
    }
    let language = match decision.ack.language {
        crate::ticket::Language::Es => "Spanish",
        crate::ticket::Language::En => "English",
    };
    let sent = if decision.ack.send { format!("yes, in {language}") } else { "no".to_owned() };
    row("ack", format!("{sent} ({}). {}", decision.ack.because.as_str(), decision.ack.because.meaning()));
    for flag in &decision.flags {
        row("flag", format!("{}. {}", flag.as_str(), flag.meaning()));
    }
    lines.join("\n")
}

/// A rule that does not stand, what it had found, and what set it aside.
fn set_aside(context: &Context, aside: &SetAside) -> String {
    let found = |text: &Option<String>| text.as_ref().map(|text| quoted(context, text));
    let because = shown(&aside.because);
    match (found(&aside.text), found(&aside.by)) {
        (Some(text), Some(by)) => format!("{} {text} is set aside: {because}: {by}", aside.rule),
        (Some(text), None) => format!("{} {text} is set aside: {because}", aside.rule),
        (None, _) => format!("{} is set aside: {because}", aside.rule),
    }
}

/// A customer's words, set off.
fn quoted(context: &Context, text: &str) -> String {
    context.strong(&format!("«{}»", shown(&text.replace('\n', " "))))
}

/// The matched words within their line.
fn in_context(context: &Context, message: &Message, found: &Match) -> String {
    const AROUND: usize = 30;
    let (field, whole) = match found.field {
        Field::Subject => ("subject", message.subject.as_str()),
        Field::OwnText => ("text", message.own_text.as_str()),
        Field::Attachments => ("attachment", found.text.as_str()),
    };
    let start = if found.field == Field::Attachments { 0 } else { found.start };
    let letters = |from: usize, to: usize| -> String {
        whole.chars().skip(from).take(to.saturating_sub(from)).collect::<String>().replace(['\n', '\r'], " ")
    };
    let length = found.end.saturating_sub(found.start);
    let before = letters(start.saturating_sub(AROUND), start);
    let after = letters(start + length, start + length + AROUND);
    let words = quoted(context, &found.text);
    let rule =
        if found.impact == Impact::High { format!("{} (high)", found.rule) } else { found.rule.clone() };
    format!("{field}: {}{words}{}  [{rule}: {}]", shown_part(&before), shown_part(&after), found.phrase)
}

/// Like [`shown`], keeping the blanks at the ends.
fn shown_part(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl ExplainArgs {
    /// Nothing but a time.
    pub fn at(at: Option<String>) -> Self {
        Self { what: None, text: None, at, plan: None }
    }
}
