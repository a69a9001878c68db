//! `acuse outbox`: the acknowledgements and notifications, where they stand, and what a person does about them.

use std::io::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::context::{Context, for_people, rfc3339, shown, shown_lines, table};
use super::login;
use super::report::{Code, Done, Failure};
use super::tickets::promise;
use crate::config::{Config, Secrets};
use crate::mail::Message;
use crate::policy::Policy;
use crate::store::{Order, OutboxPage, OutboxRow, OutboxState, Refusal, Store};
use crate::ticket::TicketNumber;

/// `acuse outbox …`
#[derive(Debug, Subcommand)]
pub enum OutboxVerb {
    /// List every acknowledgement and notification, newest first
    List {
        /// Only those that are due, sending, sent, held, refused or expired
        #[arg(long)]
        state: Option<OutboxState>,
    },
    /// Show an acknowledgement whole: its promise, its history, and the mail as it is sent
    Show {
        /// Its id in `outbox list`, or the number of a ticket that has one
        id: String,
        /// Print the exact bytes of the mail
        #[arg(long, conflicts_with = "json")]
        eml: bool,
    },
    /// Offer acknowledgements now that were refused, expired, are held or wait
    Retry {
        /// Their ids in `outbox list`
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Never send acknowledgements that wait, are held or were refused
    Drop {
        /// Their ids in `outbox list`
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Let acknowledgements go that are held
    Release(ReleaseArgs),
    /// Sign in to the relay of [smtp] by OAuth 2.0: shows a code to type on any device, and waits
    Login,
}

/// `acuse outbox release`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ReleaseArgs {
    /// Their ids in `outbox list`
    ids: Vec<i64>,
    /// Every one that is held
    #[arg(long)]
    all: bool,
}

/// Lists, shows and orders acknowledgements.
pub fn outbox(context: &Context, verb: &OutboxVerb) -> Done {
    if let OutboxVerb::Login = verb {
        return login::sign_in(context, "the relay of [smtp]", &context.config(Secrets::Read)?.smtp);
    }
    let config = context.config(Secrets::Skip)?;
    let desk =
        Desk { context, policy: context.policy_for_view(&config)?, store: context.store(&config)?, config };
    match verb {
        OutboxVerb::List { state } => {
            let rows = desk.store.read(|tx| tx.outbox(*state))?;
            desk.list(&rows)
        }
        OutboxVerb::Show { id, eml } => {
            let id = desk.row(id)?;
            let page = desk.store.read(|tx| tx.outbox_page(id))?;
            let page = page.ok_or_else(|| refused(&Refusal::Unknown(id)))?;
            match eml {
                true => Ok(std::io::stdout().lock().write_all(&page.bytes)?),
                false => desk.show(&page),
            }
        }
        OutboxVerb::Retry { ids } => desk.order(Order::Retry, Some(ids)),
        OutboxVerb::Drop { ids } => desk.order(Order::Drop, Some(ids)),
        OutboxVerb::Login => Ok(()), // done above
        OutboxVerb::Release(args) => desk.order(Order::Release, Some(&args.ids).filter(|_| !args.all)),
    }
}

/// What every verb needs.
struct Desk<'a> {
    context: &'a Context,
    config: Config,
    policy: Policy,
    store: Store,
}

impl Desk<'_> {
    /// The row that a person means: by its id, or by a ticket that has one.
    fn row(&self, written: &str) -> Result<i64, Failure> {
        if let Ok(id) = written.parse() {
            return Ok(id);
        }
        let prefix = &self.config.site.prefix;
        let wrong = |message: String| Failure::new(Code::Usage, message);
        let Some(ticket) = TicketNumber::parse(written, prefix) else {
            return Err(wrong(format!("neither an id nor a ticket's number: `{}`", shown(written)))
                .hint("acuse outbox list shows the ids"));
        };
        let acks = self.store.read(|tx| tx.acks_of(ticket.0))?;
        let name = ticket.with_prefix(prefix);
        match acks.as_slice() {
            [] => Err(wrong(format!("{name} has no acknowledgement"))
                .hint(format!("acuse explain {name} says why"))),
            [(row, _)] => Ok(row.id),
            [.., (last, _)] => {
                let ids: Vec<String> = acks.iter().map(|(row, _)| row.id.to_string()).collect();
                Err(wrong(format!("{name} has several acknowledgements: {}", ids.join(", ")))
                    .hint(format!("acuse outbox show {}", last.id)))
            }
        }
    }

    /// Carries out an order on all these, or on none; `None`: on all that are held.
    fn order(mut self, order: Order, ids: Option<&Vec<i64>>) -> Done {
        let (max_age, now) = (self.config.site.max_age, self.context.now(self.policy.calendar.zone())?);
        let ordered = self.store.transaction(|tx| {
            let ids = ids.map_or_else(|| tx.held(), |ids| Ok(ids.clone()))?;
            Ok(tx.order(order, &ids, max_age, now)?.map(|()| ids))
        })?;
        let ids = ordered.map_err(|refusal| refused(&refusal))?;
        self.list(&self.store.read(|tx| tx.acks(&ids))?) // once it is committed: the worker need not wait for it
    }

    fn list(&self, rows: &[OutboxRow]) -> Done {
        if self.context.json {
            return self.context.json(&rows.iter().map(|row| self.document(row)).collect::<Vec<_>>());
        }
        let mut lines =
            table(&["id", "ticket", "kind", "to", "state", "tries", "next try", "report", "last error"]);
        for row in rows {
            let holder = row.held_by.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default();
            lines.add_row([
                row.id.to_string(),
                self.number(row.ticket).unwrap_or_default(),
                row.kind.clone(),
                shown(&row.to),
                row.state.as_str().to_owned() + &holder,
                row.attempts.to_string(),
                row.next_attempt.map(|at| self.local(at)).unwrap_or_default(),
                shown(row.report.as_deref().unwrap_or_default()),
                shown(row.last_error.as_deref().unwrap_or_default()),
            ]);
        }
        self.context.line(lines.to_string())
    }

    fn number(&self, ticket: Option<i64>) -> Option<String> {
        ticket.map(|ticket| TicketNumber(ticket).with_prefix(&self.config.site.prefix))
    }

    fn local(&self, at: jiff::Timestamp) -> String {
        for_people(&self.policy.calendar.to_local(at))
    }

    fn time(&self, at: Option<jiff::Timestamp>) -> Option<String> {
        at.map(|at| rfc3339(&self.policy.calendar.to_local(at)))
    }

    fn document(&self, row: &OutboxRow) -> Map<String, Value> {
        let document = json!({
            "id": row.id, "ticket": self.number(row.ticket), "kind": row.kind, "to": row.to, "state": row.state,
            "attempts": row.attempts, "next_attempt": self.time(row.next_attempt), "last_error": row.last_error,
            "message_id": row.message_id, "sent": self.time(row.sent), "held_by": row.held_by,
            "report": row.report, "reported": self.time(row.reported),
        });
        document.as_object().cloned().unwrap_or_default()
    }

    fn show(&self, page: &OutboxPage) -> Done {
        let mail = crate::mail::parse(&page.bytes);
        if self.context.json {
            return self.context.json(&self.whole(page, &mail));
        }
        let row = &page.row;
        let number = self.number(row.ticket).unwrap_or_else(|| "notification".to_owned());
        let title = format!("{}  {number}  {}", row.id, shown(&row.to));
        let mut lines = vec![self.context.strong(&title)];
        let holder = row.held_by.as_ref().map(|holder| format!(", by {holder}")).unwrap_or_default();
        let frozen = if page.offered { ", frozen: it was offered" } else { "" };
        let waits = matches!(row.state, OutboxState::Due | OutboxState::Held);
        let report = row.report.as_ref().zip(row.reported);
        let promise = page.promise.as_ref().map(|promise| {
            let ended = promise.ended_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
            let bound = if promise.window.strict { "before" } else { "by" };
            format!("{bound} {}{ended}", self.local(promise.due_by))
        });
        let sender = shown(page.sender.as_deref().unwrap_or_default());
        for (name, value) in [
            ("state", Some(row.state.as_str().to_owned() + &holder)),
            ("text", Some(row.kind.clone() + frozen)),
            ("attempts", Some(row.attempts.to_string())),
            ("composed", Some(self.local(page.created))),
            ("next try", row.next_attempt.map(|at| self.local(at))),
            ("expires", Some(self.local(page.expires)).filter(|_| waits)),
            ("sent", row.sent.map(|at| self.local(at))),
            ("last error", row.last_error.as_deref().map(shown)),
            ("report", report.map(|(report, at)| format!("{} ({})", shown(report), self.local(at)))),
            ("promise", promise),
            ("envelope", Some(format!("<{sender}> → <{}>", shown(&row.to)))),
        ] {
            lines.extend(value.map(|value| format!("{name:<14}{value}")));
        }
        lines.push("\nhistory".to_owned());
        for event in &page.events {
            lines.push(format!(
                "  {}  {}  {}",
                self.local(event.at),
                event.kind,
                shown(&event.detail.to_string())
            ));
        }
        lines.push(String::new());
        for (name, value) in headers(&mail) {
            lines.extend(value.map(|value| format!("{name}: {}", shown(&value))));
        }
        lines.push(format!("\n{}", shown_lines(mail.text.trim_end())));
        self.context.line(lines.join("\n"))
    }

    fn whole(&self, page: &OutboxPage, mail: &Message) -> Map<String, Value> {
        let mut document = self.document(&page.row);
        let events: Vec<Value> = page
            .events
            .iter()
            .map(|event| json!({ "at": self.time(Some(event.at)), "kind": event.kind, "detail": event.detail }))
            .collect();
        let headers: Map<String, Value> = headers(mail)
            .map(|(name, value)| (name.to_lowercase().replace('-', "_"), json!(value)))
            .collect();
        document.extend([
            ("sender".to_owned(), json!(page.sender)),
            ("created".to_owned(), json!(self.time(Some(page.created)))),
            ("expires".to_owned(), json!(self.time(Some(page.expires)))),
            ("offered".to_owned(), json!(page.offered)),
            (
                "promise".to_owned(),
                page.promise.as_ref().map_or(Value::Null, |row| promise(row, &self.policy)),
            ),
            ("events".to_owned(), json!(events)),
            ("headers".to_owned(), json!(headers)),
            ("text".to_owned(), json!(mail.text)),
        ]);
        document
    }
}

/// The headers that matter to whoever reads it.
fn headers(mail: &Message) -> impl Iterator<Item = (&'static str, Option<String>)> {
    let address = |address: &crate::mail::Address| match address.name.as_str() {
        "" => address.address.clone(),
        name => format!("{name} <{}>", address.address),
    };
    let list = |addresses: &[crate::mail::Address]| {
        let list = addresses.iter().map(address).collect::<Vec<_>>().join(", ");
        Some(list).filter(|list| !list.is_empty())
    };
    [
        ("From", mail.from.as_ref().map(address)),
        ("To", list(&mail.to)),
        ("Reply-To", list(&mail.reply_to)),
        ("Subject", Some(mail.subject.clone())),
        ("Message-ID", mail.message_id.as_ref().map(|id| format!("<{id}>"))),
        ("In-Reply-To", mail.in_reply_to.first().map(|id| format!("<{id}>"))),
    ]
    .into_iter()
}

/// What an order that cannot be carried out comes to.
fn refused(refusal: &Refusal) -> Failure {
    let hint = match refusal {
        Refusal::Unknown(_) => "`acuse outbox list` shows them all",
        Refusal::Sent(_) => "to say more to the customer, answer the ticket",
        Refusal::Sending(_) => "look again in a moment",
        Refusal::Expired(_) => "`acuse outbox retry` sends it all the same",
        Refusal::NotHeld(..) => "`acuse outbox list --state held` shows those that are",
        Refusal::Moot(..) => "nothing needs to be done",
    };
    Failure::new(Code::Usage, format!("{refusal}; nothing was changed")).hint(hint)
}
