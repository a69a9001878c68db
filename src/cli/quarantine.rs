//! `acuse quarantine`: what was set aside for a person.

use clap::Subcommand;
use serde_json::json;

use super::context::{Context, for_people, rfc3339, shown, table};
use super::report::Done;
use crate::config::Secrets;

/// `acuse quarantine …`
#[derive(Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List what waits
    List,
}

/// Lists the quarantine, newest first.
pub fn quarantine(context: &Context, verb: &QuarantineVerb) -> Done {
    let QuarantineVerb::List = verb;
    let config = context.config(Secrets::Skip)?;
    let policy = context.policy(Some(&config))?;
    let rows = context.store(&config)?.read(|tx| tx.quarantine())?;
    let local = |at| policy.calendar.to_local(at);
    if context.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({ "id": row.id, "mailbox": row.mailbox, "reason": row.reason, "from": row.from,
                        "subject": row.subject, "size": row.size, "at": rfc3339(&local(row.at)) })
            })
            .collect();
        return context.json(&rows);
    }
    let mut lines = table(&["id", "mailbox", "reason", "from", "subject", "bytes", "at"]);
    for row in &rows {
        lines.add_row([
            row.id.to_string(),
            shown(&row.mailbox),
            row.reason.clone(),
            shown(row.from.as_deref().unwrap_or("-")),
            shown(&row.subject),
            row.size.to_string(),
            for_people(&local(row.at)),
        ]);
    }
    context.line(lines.to_string())
}
