//! `acuse db`: does everything add up, and a copy of it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::report::{Done, Failure};
use crate::config::{Secrets, THREAD_KEY};
use crate::daemon::clock;
use crate::store::{self, Account};
use crate::ticket::Outcome;

/// `acuse db …`
#[derive(Debug, Subcommand)]
pub enum DbVerb {
    /// Prove that every mail has one outcome and that the tables agree
    Check,
    /// Copy the database while it is in use; thread.key is not in it
    Backup {
        /// Where the copy goes
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Put it in the place of a file that is there
        #[arg(long)]
        replace: bool,
    },
}

/// Works on the database as a whole.
pub fn db(context: &Context, verb: &DbVerb) -> Done {
    match verb {
        DbVerb::Check => check(context),
        DbVerb::Backup { file, replace } => backup(context, file, *replace),
    }
}

/// Copies the database, and says what is not in the copy. What does not add up is copied as it is, and makes the exit
/// code 1: an old backup would hold less.
fn backup(context: &Context, file: &Path, replace: bool) -> Done {
    let config = context.config(Secrets::Skip)?;
    let store = context.store(&config)?;
    let copied = store::backup(&store, &config.state_dir, file, replace, clock::now())?;
    let key = config.state_dir.join(THREAD_KEY);
    let ok = copied.problems.is_empty();
    if context.json {
        context.json(
            &json!({ "file": file, "bytes": copied.bytes, "mails": copied.mails, "tickets": copied.tickets,
                              "thread_key": key, "problems": copied.problems }),
        )?;
    } else {
        let (mails, tickets, bytes) = (copied.mails, copied.tickets, copied.bytes);
        context.line(format!("{}: {mails} mails, {tickets} tickets, {bytes} bytes", file.display()))?;
        context.line(format!("{} is not in it: keep a copy of that too, in another place", key.display()))?;
        copied.problems.iter().try_for_each(|problem| context.line(format!("problem: {problem}")))?;
    }
    if ok { Ok(()) } else { Err(Failure::findings()) }
}

/// Checks the database; findings make the exit code 1.
fn check(context: &Context) -> Done {
    let config = context.config(Secrets::Skip)?;
    let account = context.store(&config)?.read(|tx| {
        let account = tx.account()?;
        Ok(Account { problems: [account.problems, tx.unsound()?].concat(), ..account })
    })?;
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
