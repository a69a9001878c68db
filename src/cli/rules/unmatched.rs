//! `acuse rules unmatched`: the tickets that no rule recognises, and the words that tell them from the others.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::context::{for_people, shown, table};
use super::super::report::{Done, Failure};
use super::stored::{Past, Since, Which, said};
use crate::mail::Message;
use crate::rules::{Heap, TellingWord, WordCounts, content_words};
use crate::store::{TicketFilter, TicketRow};
use crate::ticket::{TicketNumber, TicketState};
use crate::triage::{Action, classify};

/// `acuse rules unmatched`
#[derive(Debug, Args)]
pub struct UnmatchedArgs {
    #[command(flatten)]
    since: Since,
    /// Show so many tickets; with --json, all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// So many words tell what a mail is about.
const WORDS_OF_A_MAIL: usize = 6;
/// So many tell what is missing among the rules.
const WORDS_OF_ALL: usize = 25;

/// A mail, and whether a rule of the present policy recognises it.
struct Mail {
    ticket: TicketNumber,
    opened: bool,
    matched: bool,
    received: Timestamp,
    words: BTreeSet<String>,
}

/// The words of a mail that rules read.
pub fn words_of(message: &Message) -> BTreeSet<String> {
    let subject = if message.is_reply() { "" } else { message.subject.as_str() };
    content_words(&format!("{subject}\n\n{}", message.own_text))
}

/// Lists the tickets that no rule of the present policy recognises: open ones first, the latest first.
pub fn unmatched(past: &Past<'_>, args: &UnmatchedArgs) -> Done {
    let which = Which { since: past.since(&args.since)?, limit: None };
    let (mails, _) = past.read(which, |mail, message| Mail {
        ticket: mail.ticket,
        opened: mail.decision.action == Action::Open,
        matched: classify(message, past.policy).impact.is_some(),
        received: mail.received,
        words: words_of(message),
    })?;
    let mut counts = WordCounts::default();
    for mail in mails.iter().filter(|mail| mail.matched || mail.opened) {
        counts.add(&mail.words, if mail.matched { Heap::There } else { Heap::Here });
    }
    let tickets = tickets(past)?;
    let mut found: Vec<(&Mail, &TicketRow)> = mails
        .iter()
        .filter(|mail| mail.opened && !mail.matched)
        .filter_map(|mail| Some((mail, tickets.get(&mail.ticket)?)))
        .collect();
    found.sort_by_key(|(mail, ticket)| (ticket.state != TicketState::Open, std::cmp::Reverse(mail.received)));
    let classified = mails.iter().filter(|mail| mail.matched).count();
    let telling = counts.telling(None, WORDS_OF_ALL);
    if past.context.json {
        let rows: Vec<Value> = found
            .iter()
            .map(|(mail, ticket)| {
                let words = counts.telling(Some(&mail.words), WORDS_OF_A_MAIL);
                json!({ "number": past.name(ticket.number), "subject": ticket.subject, "state": ticket.state,
                        "received": past.local(mail.received), "corrected": said(ticket.corrected.as_ref()),
                        "words": words.into_iter().map(|word| word.word).collect::<Vec<_>>() })
            })
            .collect();
        let words: Vec<Value> = telling
            .iter()
            .map(|word| json!({ "word": word.word, "unmatched": word.here, "classified": word.there }))
            .collect();
        return past.context.json(&json!({
            "unmatched": rows.len(), "classified": classified, "mails": rows, "words": words
        }));
    }
    if found.is_empty() {
        return past.context.line(match which.since {
            _ if classified > 0 => format!("every ticket is recognised by a rule ({classified} mails)"),
            Some(since) => {
                format!("no mail since {}", for_people(&past.policy.calendar.to_local(since)))
            }
            None => "no mail has come yet".to_owned(),
        });
    }
    let mut lines = table(&["ticket", "state", "received", "a person said", "telling words", "subject"]);
    for (mail, ticket) in found.iter().take(args.limit) {
        let word = ticket.corrected.as_ref();
        let said = word.map(|word| word.case.clone().unwrap_or_else(|| word.impact.as_str().to_owned()));
        let words = counts.telling(Some(&mail.words), WORDS_OF_A_MAIL);
        lines.add_row([
            past.name(ticket.number),
            ticket.state.as_str().to_owned(),
            for_people(&past.policy.calendar.to_local(mail.received)),
            said.unwrap_or_else(|| "-".to_owned()),
            words.into_iter().map(|word| word.word).collect::<Vec<_>>().join(" "),
            shown(&ticket.subject),
        ]);
    }
    let word = |word: &TellingWord| format!("{} ({}:{})", word.word, word.here, word.there);
    let more = match found.len().saturating_sub(args.limit) {
        0 => String::new(),
        more => format!("\nand {more} more: --limit shows them"),
    };
    let next =
        "next: `acuse tickets reclassify NUMBER --case … --because …`, then `acuse rules learn NUMBER`";
    past.context.line(format!(
        "{} tickets that no rule recognises, beside {classified} mails that one does\n\n{lines}{more}\n\n\
         words that tell them from the others (mails here : there)\n{}\n\n{next}",
        found.len(),
        telling.iter().map(word).collect::<Vec<_>>().join(", ")
    ))
}

fn tickets(past: &Past<'_>) -> Result<BTreeMap<TicketNumber, TicketRow>, Failure> {
    let rows = past.store.read(|tx| tx.tickets(TicketFilter::default()))?;
    Ok(rows.into_iter().map(|ticket| (ticket.number, ticket)).collect())
}
