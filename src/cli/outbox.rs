//! `acuse outbox`: the acknowledgements and where they stand.

use clap::Subcommand;
use serde_json::json;

use super::context::{Context, for_people, rfc3339, shown, table};
use super::report::Done;
use crate::config::Secrets;
use crate::ticket::TicketNumber;

/// `acuse outbox …`
#[derive(Debug, Subcommand)]
pub enum OutboxVerb {
    /// List every acknowledgement, newest first
    List,
}

/// Lists the outbox, newest first.
pub fn outbox(context: &Context, verb: &OutboxVerb) -> Done {
    let OutboxVerb::List = verb;
    let config = context.config(Secrets::Skip)?;
    let policy = context.policy(Some(&config))?;
    let rows = context.store(&config)?.read(|tx| tx.outbox())?;
    let number = |ticket| TicketNumber(ticket).with_prefix(&config.site.prefix);
    let local = |at| policy.calendar.to_local(at);
    if context.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({ "id": row.id, "ticket": number(row.ticket), "kind": row.kind, "to": row.to, "state": row.state,
                        "attempts": row.attempts, "next_attempt": row.next_attempt.map(|at| rfc3339(&local(at))),
                        "last_error": row.last_error, "message_id": row.message_id })
            })
            .collect();
        return context.json(&rows);
    }
    let mut lines = table(&["id", "ticket", "kind", "to", "state", "tries", "next try", "last error"]);
    for row in &rows {
        lines.add_row([
            row.id.to_string(),
            number(row.ticket),
            row.kind.clone(),
            shown(&row.to),
            row.state.clone(),
            row.attempts.to_string(),
            row.next_attempt.map(|at| for_people(&local(at))).unwrap_or_default(),
            shown(row.last_error.as_deref().unwrap_or_default()),
        ]);
    }
    context.line(lines.to_string())
}
