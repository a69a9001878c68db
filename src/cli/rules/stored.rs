//! `acuse rules …` on stored mail: each is read and judged once more, by the very path that it took when it came.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::context::{self, Context, rfc3339};
use super::super::report::{Done, Failure};
use super::{backtest, learn, stats, unmatched};
use crate::config::{Config, Secrets};
use crate::ingest;
use crate::mail::Message;
use crate::policy::Policy;
use crate::store::{Correction, KeptMail, Store};
use crate::ticket::TicketNumber;

/// The verbs that need a database.
#[derive(Debug, Subcommand)]
pub enum StoredVerb {
    /// Judge stored mail anew: what the present policy, or a candidate, would change. Exits with 1 when a mail that a person
    /// called high would come out as less
    Backtest(backtest::BacktestArgs),
    /// How often each rule decided, and how often a person disagreed
    Stats(Since),
    /// List the tickets that no rule recognises, with the words that tell them from the others
    Unmatched(unmatched::UnmatchedArgs),
    /// Print what would teach the rules a ticket that a person reclassified, ready to paste into a file of local_dir
    Learn(learn::LearnArgs),
}

/// How far back.
#[derive(Debug, Args)]
pub struct Since {
    /// Only mail that arrived since then: 90d, 72h, or a time [default: all]
    #[arg(long, value_name = "SPAN|TIME")]
    since: Option<String>,
}

/// Runs a verb on the database of the configuration.
pub fn stored(context: &Context, verb: &StoredVerb) -> Done {
    let config = context.config(Secrets::Skip)?;
    let policy = context.policy(Some(&config))?;
    let store = context.store(&config)?;
    let past = Past { context, config: &config, policy: &policy, store: &store };
    match verb {
        StoredVerb::Backtest(args) => backtest::backtest(&past, args),
        StoredVerb::Stats(since) => stats::stats(&past, since),
        StoredVerb::Unmatched(args) => unmatched::unmatched(&past, args),
        StoredVerb::Learn(args) => learn::learn(&past, args),
    }
}

/// The stored mail, and the policy in force.
pub struct Past<'a> {
    pub context: &'a Context,
    pub config: &'a Config,
    pub policy: &'a Policy,
    pub store: &'a Store,
}

/// Which of the stored mails: those that arrived since then, the latest so many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which {
    pub since: Option<Timestamp>,
    pub limit: Option<u32>,
}

impl Past<'_> {
    /// A ticket's number as people write it.
    pub fn name(&self, number: TicketNumber) -> String {
        number.with_prefix(&self.config.site.prefix)
    }

    /// When `--since` begins.
    pub fn since(&self, since: &Since) -> Result<Option<Timestamp>, Failure> {
        let zone = self.policy.calendar.zone();
        let now = self.context.now(zone)?;
        since.since.as_deref().map(|text| context::since(text, now, zone)).transpose()
    }

    /// A time as JSON prints it.
    pub fn local(&self, at: Timestamp) -> String {
        rfc3339(&self.policy.calendar.to_local(at))
    }

    /// What people said of tickets.
    pub fn corrections(&self) -> Result<BTreeMap<TicketNumber, Correction>, Failure> {
        Ok(self.store.read(|tx| tx.corrections())?)
    }

    /// Gives every customer's mail to `each`, the latest first.
    pub fn mails(&self, which: Which, mut each: impl FnMut(KeptMail)) -> Result<(), Failure> {
        let progress = Progress::new();
        Ok(self.store.read(|tx| {
            tx.kept(which.since, which.limit, |mail| {
                progress.step();
                each(mail);
                Ok(())
            })
        })?)
    }

    /// Reads those mails again, on all processors, and says what `work` makes of each; and how many could not be read.
    pub fn read<O: Send>(
        &self,
        which: Which,
        work: impl Fn(&KeptMail, &Message) -> O + Sync,
    ) -> Result<(Vec<O>, usize), Failure> {
        let feed = |give: &mut dyn FnMut(KeptMail)| self.mails(which, give);
        let made = ingest::in_parallel(feed, |mail: KeptMail| {
            let message = ingest::read(&mail.raw, ingest::reading_again(&mail.decision));
            work(&mail, &message)
        })?;
        let all = made.len();
        let made: Vec<O> = made.into_iter().flatten().collect();
        let unread = all - made.len();
        Ok((made, unread))
    }
}

/// A line on the terminal that counts, and is gone at the end; elsewhere nothing.
struct Progress {
    done: Cell<usize>,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { done: Cell::new(0), shown: std::io::stderr().is_terminal() }
    }

    fn step(&self) {
        let done = self.done.get() + 1;
        self.done.set(done);
        if self.shown && done.is_multiple_of(100) {
            drop(write!(std::io::stderr(), "\r{done} mails")); // a terminal that is gone needs no count
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            drop(write!(std::io::stderr(), "\r\x1b[K"));
        }
    }
}

/// A person's word as JSON.
pub fn said(word: Option<&Correction>) -> Value {
    word.map_or(Value::Null, |word| json!({ "impact": word.impact, "case": word.case }))
}
