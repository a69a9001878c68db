//! `acuse ingest`: one mail from an MTA's pipe, through the same path as all others.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::context::{Context, read_up_to, time};
use super::report::{Code, Done, Failure};
use crate::config::Secrets;
use crate::daemon::{self, clock, disk};
use crate::ingest::{self, Read, Reading};
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
    let mut config = context.config(Secrets::Skip)?;
    crate::daemon::require_key(&mut config)?;
    let policy = context.policy(Some(&config))?;
    let (raw, is_whole) = read_up_to(&args.file, config.max_size)?;
    if raw.trim_ascii().is_empty() {
        // a transport that broke before it wrote: it still has the mail
        return Err(Failure::new(Code::TryAgain, "there is no mail: the input is empty")
            .hint("pipe one mail in, headers first, or name its file"));
    }
    let now = context.now(policy.calendar.zone())?;
    let received = args.received.as_deref().map(|text| time(text, policy.calendar.zone())).transpose()?;
    if let Some(received) = received.filter(|received| *received > now) {
        return Err(Failure::new(Code::Usage, format!("--received {received} is in the future"))
            .hint("leave it out for mail that arrives now"));
    }
    let arrival = Arrival {
        mailbox: "stdin".to_owned(),
        recipient: args.recipient.as_deref().and_then(Address::parse),
        received: received.unwrap_or(now),
        backlog: false,
    };
    if context.now.is_none() {
        clock::plausible(now)?;
    }
    if let Ok(Some(low)) = disk::look(&config.state_dir, config.min_free, false) {
        return Err(low.into()); // what else is wrong with the directory, the database says
    }
    let mut store = context.store(&config)?;
    if daemon::is_restored(&config.state_dir, &store)? {
        // the numbers and the acknowledgements of what was lost are the daemon's to mind (I18)
        return Err(Failure::new(
            Code::TryAgain,
            "the database was restored, and no daemon has run on it since",
        )
        .hint("start `acuse run`; until then the mail transport keeps the mail"));
    }
    // too large is no reason to say 75: the MTA would offer it for days and then return it
    let reading = if is_whole { Reading::Whole } else { Reading::Head };
    let read = Read::new(&raw, reading, &policy)?;
    // whoever is told of high impact hears of this mail too, though no daemon has run yet
    let people = config.notify.iter().flat_map(|notify| &notify.mail);
    store.transaction(|tx| tx.enrol_notified(people, now))?;
    let stored = ingest::unlisted(&mut store, Intake::Stdin, &read, &arrival, &config.site, &policy, now);
    let concluded = stored?;
    let number = concluded.ticket.map(|number| number.with_prefix(&config.site.prefix));
    let (outcome, reason) = (concluded.outcome().as_str(), concluded.reason);
    let told = if context.json {
        context.json(&json!({
            "outcome": outcome,
            "reason": reason,
            "ticket": number,
            "message_id": read.content.and_then(|content| content.message.message_id),
        }))
    } else {
        let number = number.map(|number| format!(" {number}")).unwrap_or_default();
        context.line(format!("{outcome}{number} ({})", reason.as_str()))
    };
    drop(told); // the mail is on disk: that nobody can be told is no reason to deliver it again
    Ok(())
}
