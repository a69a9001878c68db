//! `acuse tickets`: what came of the mail.

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::{Context, for_people, rfc3339, shown, shown_lines, table};
use super::report::{Code, Done, Failure};
use super::sla::plain;
use crate::config::{Config, Secrets};
use crate::ingest::{self, Reading};
use crate::policy::Policy;
use crate::reply::words;
use crate::store::{
    Correction, Erased, Erasure, Generation, PromiseRow, Store, TicketFilter, TicketPage, TicketRow,
};
use crate::ticket::{Language, TicketNumber, TicketState};

mod reclassify;

/// `acuse tickets …`
#[derive(Debug, Subcommand)]
pub enum TicketsVerb {
    /// List tickets
    List {
        /// Only open, answered or closed ones
        #[arg(long)]
        state: Option<TicketState>,
    },
    /// Show a ticket whole
    Show {
        /// Its number, such as ACU-12
        number: String,
    },
    /// Say what a ticket really is, where the rules had it wrong or found nothing; it is remembered for `acuse rules`
    Reclassify(reclassify::ReclassifyArgs),
    /// Delete a ticket with its mails; of these the hashes stay, so that none comes back
    Delete {
        /// Its number, such as ACU-12
        number: String,
        /// Really: there is no way back
        #[arg(long)]
        yes: bool,
    },
}

/// Lists or shows tickets.
pub fn tickets(context: &Context, verb: &TicketsVerb) -> Done {
    let config = context.config(Secrets::Skip)?;
    let policy = match verb {
        TicketsVerb::Reclassify(_) => context.policy(Some(&config))?, // it names a case, and may write a promise
        _ => context.policy_for_view(&config)?,
    };
    let mut store = context.store(&config)?;
    match verb {
        TicketsVerb::List { state } => {
            let filter = TicketFilter { state: *state, ..TicketFilter::default() };
            let rows = store.read(|tx| tx.tickets(filter))?;
            if context.json {
                let rows: Vec<Value> = rows.iter().map(|ticket| document(ticket, &config, &policy)).collect();
                return context.json(&rows);
            }
            context.line(list(&rows, &config, &policy))
        }
        TicketsVerb::Show { number } => {
            let number = parse(number, &config)?;
            let page = store.read(|tx| tx.ticket_page(number))?.ok_or_else(|| missing(number, &config))?;
            if context.json {
                return context.json(&whole(&page, &config, &policy));
            }
            context.line(show(context, &page, &config, &policy))
        }
        TicketsVerb::Reclassify(args) => reclassify::reclassify(context, args, &mut store, &config, &policy),
        TicketsVerb::Delete { number, yes } => {
            let number = parse(number, &config)?;
            let now = context.now(policy.calendar.zone())?;
            delete(context, &mut store, number, *yes, &config, now)
        }
    }
}

fn parse(number: &str, config: &Config) -> Result<TicketNumber, Failure> {
    TicketNumber::parse(number, &config.site.prefix).ok_or_else(|| {
        Failure::new(Code::Usage, format!("not a ticket's number: `{}`", shown(number)))
            .hint(format!("such as {}-12", config.site.prefix))
    })
}

fn missing(number: TicketNumber, config: &Config) -> Failure {
    Failure::new(Code::Usage, format!("there is no ticket `{}`", number.with_prefix(&config.site.prefix)))
}

/// Erases a ticket, or says what that would erase.
fn delete(
    context: &Context,
    store: &mut Store,
    number: TicketNumber,
    yes: bool,
    config: &Config,
    now: Timestamp,
) -> Done {
    let name = number.with_prefix(&config.site.prefix);
    let words = |erased: &Erased| {
        let Erased { subject, messages, acks, unsent, events } = erased;
        format!(
            "{name} «{}»: {messages} received, {acks} acknowledgements ({unsent} not sent yet), {events} events",
            shown(subject)
        )
    };
    if !yes {
        let erased = store.read(|tx| tx.erasable(number))?.ok_or_else(|| missing(number, config))?;
        return Err(Failure::new(Code::Usage, format!("nothing is deleted yet of {}", words(&erased)))
            .hint("say --yes to delete it for good; its mails are not taken in again, wherever they lie"));
    }
    match store.transaction(|tx| tx.erase(number, now))? {
        Erasure::Done(erased) if context.json => context.json(&json!({
            "number": name, "messages": erased.messages, "acks": erased.acks, "events": erased.events
        })),
        Erasure::Done(erased) => context.line(format!("deleted {}", words(&erased))),
        Erasure::Missing => Err(missing(number, config)),
        Erasure::Sending => Err(Failure::new(
            Code::TryAgain,
            format!("an acknowledgement of {name} is being sent at this moment"),
        )
        .hint("try again; where the daemon does not run, start it: it has to find out how that ended")),
    }
}

/// The table of `tickets list`.
pub fn list(rows: &[TicketRow], config: &Config, policy: &Policy) -> String {
    let mut lines = table(&["ticket", "impact", "case", "plan", "state", "due by", "from", "subject"]);
    for ticket in rows {
        lines.add_row([
            ticket.number.with_prefix(&config.site.prefix),
            ticket.impact.clone(),
            case_of(ticket).to_owned(),
            ticket.plan.clone(),
            ticket.state.as_str().to_owned(),
            ticket.due_by.map(|at| for_people(&policy.calendar.to_local(at))).unwrap_or_default(),
            shown(ticket.requester.as_deref().unwrap_or("-")),
            shown(&ticket.subject),
        ]);
    }
    lines.to_string()
}

/// What a ticket's case is called: where a person named the impact alone, nothing.
pub(super) fn case_of(ticket: &TicketRow) -> &str {
    let unnamed = if ticket.corrected.is_some() { "-" } else { crate::triage::UNCLASSIFIED };
    ticket.case.as_deref().unwrap_or(unnamed)
}

fn document(ticket: &TicketRow, config: &Config, policy: &Policy) -> Value {
    let local = |at| rfc3339(&policy.calendar.to_local(at));
    json!({
        "number": ticket.number.with_prefix(&config.site.prefix),
        "subject": ticket.subject,
        "requester": ticket.requester,
        "plan": ticket.plan,
        "impact": ticket.impact,
        "case": ticket.case,
        "rule": ticket.rule,
        "state": ticket.state,
        "opened": local(ticket.opened),
        "due_by": ticket.due_by.map(local),
        "messages": ticket.messages,
        "flags": ticket.flags,
        "mentions": ticket.mentions.map(|number| number.with_prefix(&config.site.prefix)),
        "corrected": ticket.corrected.as_ref().map(|word| correction(word, policy)),
    })
}

fn whole(page: &TicketPage, config: &Config, policy: &Policy) -> Value {
    let local = |at| rfc3339(&policy.calendar.to_local(at));
    let mut document = document(&page.ticket, config, policy);
    let messages: Vec<Value> = page
        .messages
        .iter()
        .map(|row| {
            let message = ingest::read(&row.raw, Reading::Whole);
            json!({
                "direction": if row.is_ours { "out" } else { "in" },
                "from": message.from.map(|from| from.address),
                "received": row.at.map(local),
                "date": row.date.or(message.date).map(local),
                "message_id": row.message_id,
                "own_text": message.own_text,
                "outcome": row.outcome,
                "reason": row.reason,
            })
        })
        .collect();
    let events: Vec<Value> = page
        .events
        .iter()
        .map(|event| json!({ "at": local(event.at), "kind": event.kind, "detail": event.detail }))
        .collect();
    if let Some(object) = document.as_object_mut() {
        let Generation { number, hash, since, by } = &page.policy;
        let decided = json!({ "generation": number, "hash": hash, "since": local(*since), "by": by });
        object.insert("policy".to_owned(), decided);
        object.insert("messages".to_owned(), json!(messages));
        object.insert("message_count".to_owned(), json!(page.ticket.messages));
        object.insert("events".to_owned(), json!(events));
        object.insert(
            "promise".to_owned(),
            page.promise.as_ref().map_or(Value::Null, |row| promise(row, policy)),
        );
        object.insert("participants".to_owned(), json!(page.participants));
    }
    document
}

/// A person's word on a ticket as JSON.
pub(super) fn correction(word: &Correction, policy: &Policy) -> Value {
    let at = rfc3339(&policy.calendar.to_local(word.at));
    json!({ "impact": word.impact, "case": word.case, "by": word.by, "because": word.because, "at": at })
}

/// A promise as JSON.
pub(super) fn promise(row: &PromiseRow, policy: &Policy) -> Value {
    let local = |at| rfc3339(&policy.calendar.to_local(at));
    json!({
        "words": plain(&words::promise(row.window, Language::Es)),
        "plan": row.plan,
        "impact": row.impact,
        "received": local(row.received),
        "clock_starts": local(row.clock_starts),
        "due_by": local(row.due_by),
        "strict": row.window.strict,
        "mailed_at": row.mailed_at.map(local),
        "ended_by": row.ended_by,
    })
}

fn show(context: &Context, page: &TicketPage, config: &Config, policy: &Policy) -> String {
    let local = |at| for_people(&policy.calendar.to_local(at));
    let ticket = &page.ticket;
    let number = ticket.number.with_prefix(&config.site.prefix);
    let mut lines = vec![format!("{}  {}", context.strong(&number), shown(&ticket.subject))];
    let mut row = |name: &str, text: String| lines.push(format!("{name:<14}{text}"));
    row("from", shown(ticket.requester.as_deref().unwrap_or("-")));
    row("state", ticket.state.as_str().to_owned());
    row("impact", ticket.impact.clone());
    let rule = ticket.rule.as_ref().map(|rule| format!(" (rule {rule})")).unwrap_or_default();
    row("case", case_of(ticket).to_owned() + &rule);
    if let Some(word) = &ticket.corrected {
        row("corrected", format!("{} by {}: {}", local(word.at), shown(&word.by), shown(&word.because)));
    }
    let Generation { number, hash, since, .. } = &page.policy;
    row("policy", format!("{number} ({hash}), in force since {}", local(*since)));
    row("plan", format!("{} ({})", ticket.plan, ticket.plan_because));
    if let Some(promise) = &page.promise {
        row("promise", plain(&words::promise(promise.window, Language::Es)));
        let bound = if promise.window.strict { "before" } else { "by" };
        row("due", format!("{bound} {}", local(promise.due_by)));
        row("mailed", promise.mailed_at.map_or_else(|| "not yet, or never".to_owned(), local));
    }
    row(
        "participants",
        page.participants.iter().map(|address| shown(address)).collect::<Vec<_>>().join(", "),
    );
    if !ticket.flags.is_empty() {
        row("flags", ticket.flags.join(", "));
    }
    for message in &page.messages {
        let read = ingest::read(&message.raw, Reading::Whole);
        let who = read.from.map(|from| from.address).unwrap_or_default();
        let arrow = if message.is_ours { "→" } else { "←" };
        let at = message.at.map_or_else(|| "not sent yet".to_owned(), local);
        lines.push(format!("\n{arrow} {at}  {}  {} ({})", shown(&who), message.outcome, message.reason));
        // where all of an answer passes for quotation, its own words may be among it
        lines.push(shown_lines(if read.own_text.is_empty() { &read.text } else { &read.own_text }));
    }
    lines.push("\nhistory".to_owned());
    for event in &page.events {
        lines.push(format!("  {}  {}  {}", local(event.at), event.kind, shown(&event.detail.to_string())));
    }
    lines.join("\n")
}
