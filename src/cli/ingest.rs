//! `acuse ingest`: one mail from an MTA's pipe, through the same path as all others.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::context::{Context, read, time};
use super::report::Done;
use crate::config::Secrets;
use crate::ingest;
use crate::mail::Address;
use crate::store::Intake;
use crate::triage::Arrival;

/// `acuse ingest`
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// The mail; standard input without it
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// When it arrived, in the place of now
    #[arg(long, value_name = "TIME")]
    received: Option<String>,
    /// The envelope's recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
}

/// Stores a mail and answers only when it is on disk. The acknowledgement goes out with the daemon's outbox.
pub fn ingest(context: &Context, args: &IngestArgs) -> Done {
    let config = context.config(Secrets::Skip)?;
    if config.site.keys.is_empty() {
        return Err(crate::daemon::DaemonError::NoKey(config.state_dir.display().to_string()).into());
    }
    let policy = context.policy(Some(&config))?;
    let raw = read(&args.file)?;
    let now = context.now(policy.calendar.zone())?;
    let received = args.received.as_deref().map(|text| time(text, policy.calendar.zone())).transpose()?;
    let arrival = Arrival {
        mailbox: "stdin".to_owned(),
        recipient: args.recipient.as_deref().and_then(Address::parse),
        received: received.unwrap_or(now).min(now),
        backlog: false,
    };
    let mut store = context.store(&config)?;
    let stored = ingest::unlisted(&mut store, Intake::Stdin, &raw, &arrival, &config.site, &policy, now);
    let (message, decision, ticket) = stored?;
    let number = ticket.map(|number| number.with_prefix(&config.site.prefix));
    let outcome = decision.action.outcome().as_str();
    if context.json {
        return context.json(&json!({
            "outcome": outcome,
            "reason": decision.reason,
            "ticket": number,
            "message_id": message.message_id,
        }));
    }
    let number = number.map(|number| format!(" {number}")).unwrap_or_default();
    context.line(format!("{outcome}{number} ({})", decision.reason.as_str()))
}
