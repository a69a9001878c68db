//! `acuse db`: does everything add up?

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::report::{Done, Failure};
use crate::config::Secrets;
use crate::ticket::Outcome;

/// `acuse db …`
#[derive(Debug, Subcommand)]
pub enum DbVerb {
    /// Prove that every mail has one outcome and that the tables agree
    Check,
}

/// Checks the database; findings make the exit code 1.
pub fn db(context: &Context, verb: &DbVerb) -> Done {
    let DbVerb::Check = verb;
    let config = context.config(Secrets::Skip)?;
    let account = context.store(&config)?.read(|tx| tx.account())?;
    let ok = account.problems.is_empty();
    if context.json {
        let mut document = json!({ "ok": ok, "listed": account.listed, "pending": account.pending,
                                   "problems": account.problems });
        if let Some(object) = document.as_object_mut() {
            for (outcome, count) in Outcome::ALL.iter().zip(account.by_outcome) {
                object.insert(outcome.as_str().to_owned(), count.into());
            }
        }
        context.json(&document)?;
    } else {
        let counts = Outcome::ALL.iter().zip(account.by_outcome);
        let counts: Vec<String> =
            counts.map(|(outcome, count)| format!("{count} {}", outcome.as_str())).collect();
        context.line(format!(
            "{} listed = {} + {} pending",
            account.listed,
            counts.join(" + "),
            account.pending
        ))?;
        account.problems.iter().try_for_each(|problem| context.line(format!("problem: {problem}")))?;
        if ok {
            context.line("every mail has one outcome; the tables agree")?;
        }
    }
    if ok { Ok(()) } else { Err(Failure::findings()) }
}
