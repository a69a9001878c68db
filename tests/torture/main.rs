//! Never lose a mail, never send two: kills, power cuts, failing disks, full disks and wrong clocks, as many as there is
//! time for.
//!
//! Each harness is quick by itself; `just torture` makes them long by these variables:
//!
//! | variable | is |
//! |---|---|
//! | `TORTURE_KILLS`, `TORTURE_MAILS` | how often the daemon is killed, and over how many mails |
//! | `TORTURE_CUTS` | how many power cuts are tried |
//! | `TORTURE_FAULTS` | how many faults of the disk are tried; `all`: each kind at each operation |
//! | `TORTURE_SEED` | what all chance is drawn from; every harness prints it |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test, whose mails arrive now"
)]

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};
use support::acuse::{Site, SiteBuilder};
use support::smtp_peer::SmtpPeer;
use support::{PATIENCE, within};

#[path = "../support/mod.rs"]
mod support;

mod clocks;
mod cuts;
mod faults;
mod image;
mod kills;
mod ledger;
mod room;

/// Where mail goes that is done.
const DONE: &str = "Acuse/Procesados";

/// How large a harness is: what the variable says, or this.
fn size(variable: &str, quick: u64) -> u64 {
    std::env::var(variable)
        .map_or(quick, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}` and no number")))
}

/// Prints what a harness did, as a row of the table of `just torture`.
fn report(harness: &str, seed: u64, start: Instant, did: &str) {
    eprintln!("| {harness} | {did} | {:.0} s | TORTURE_SEED={seed} |", start.elapsed().as_secs_f64());
}

/// Chance that can be had again: Marsaglia's xorshift.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    /// The seed of this run.
    fn seed() -> u64 {
        size("TORTURE_SEED", u64::from(std::process::id()))
    }

    /// The same seed and stream, the same rolls.
    fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self((seed ^ stream << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = dice.below(2)); // small seeds differ in few bits at first
        dice
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// Nothing but the test itself is to limit the daemon.
fn unlimited(site: SiteBuilder) -> SiteBuilder {
    site.set("limits.per_hour", 1_000_000)
        .set("limits.breaker_floor", 1_000_000)
        .set("limits.min_free_mib", 0) // a machine may have a small disk
        .set("smtp.retry", vec!["1s"])
}

/// The database as it stands, for reading: after an unclean end it is left for the daemon to recover.
fn peek(state_dir: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(state_dir.join("acuse.db"), flags).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

fn count(state_dir: &Path, sql: &str) -> i64 {
    peek(state_dir).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Mails that are stored and that the server knows to be.
const SETTLED: &str = "SELECT count(*) FROM arrival WHERE settled = 1 AND outcome IS NOT NULL";
const UNSENT: &str = "SELECT count(*) FROM outbox WHERE state IN ('due', 'sending')";

/// What there is to be done by the daemon of a site, for mails of which each is acknowledged.
struct Progress<'a> {
    site: &'a Site,
    smtp: &'a SmtpPeer,
}

impl Progress<'_> {
    /// Waits until so many mails are settled and the outbox is empty, for as long as anything goes forward.
    fn wait_for(&self, mails: i64) {
        let database = peek(&self.site.state_dir());
        let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let mut before = None;
        loop {
            let now = (number(SETTLED), number(UNSENT), self.smtp.connections());
            if now.0 >= mails && now.1 == 0 {
                return;
            }
            let (settled, unsent, _) = now;
            let goes_on = within(PATIENCE, || {
                let now = (number(SETTLED), number(UNSENT), self.smtp.connections());
                (before != Some(now)).then_some(now)
            });
            let Some(now) = goes_on else {
                panic!("{settled} of {mails} mails settled, {unsent} unsent; log:\n{}", self.site.log())
            };
            before = Some(now);
        }
    }
}
