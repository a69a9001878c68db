//! Mails made to cost their reader all memory or all time (I12): each is read within bounds, and becomes a ticket.
//!
//! `just bombs` tries every size in release; the table says what each cost. Memory is the peak above what the process had,
//! time is CPU time, so that a busy machine changes neither. `scripts/test` and `just bombs` have the allocator give back what
//! is freed: what an earlier bomb left would hide the next one's peak. `mails` makes them, `piped` gives the worst to the program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};

use acuse::ingest::{Read, Reading, STACK};
use acuse::policy::{Policy, PolicyFiles};
use acuse::site::Site;
use acuse::store::{self, Intake, Store};
use acuse::triage::Arrival;
use jiff::Timestamp;
use mails::Generator;
use tempfile::TempDir;

mod mails;
mod piped;
#[path = "../support/mod.rs"]
mod support;

/// I12: at most so much memory and CPU for any mail up to 50 MiB. An unoptimised build is slower, not hungrier.
const MOST_MIB: u64 = 256;
const MOST_SECONDS: f64 = if cfg!(debug_assertions) { 40.0 } else { 2.0 };
const LARGEST: usize = 50 << 20;

/// How many of something: a mail that grows over [`LARGEST`] is not tried.
fn sizes() -> &'static [usize] {
    match std::env::var("ACUSE_BOMBS") {
        Ok(which) if which == "all" => &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        _ => &[1_000, 100_000],
    }
}

/// What the mails are read with; one at a time, or nobody could tell whose memory it is.
struct Bench {
    policy: Policy,
    site: Site,
    store: Store,
    _directory: TempDir,
}

static BENCH: LazyLock<Mutex<Bench>> = LazyLock::new(|| {
    println!("| bomb | count | bytes | CPU ms | peak MiB | becomes |");
    println!("|---|--:|--:|--:|--:|---|");
    let directory = tempfile::tempdir().unwrap();
    let policy = Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy");
    let store = store::create(directory.path()).unwrap();
    Mutex::new(Bench { policy, site: Site::nobody(), store, _directory: directory })
});

/// Reads and stores a bomb of every size, on a stack like a reader's.
fn read_and_stored(name: &'static str, generator: Generator) {
    let run = move || {
        let mut bench = BENCH.lock().unwrap_or_else(PoisonError::into_inner);
        sizes().iter().for_each(|&size| bench.try_one(name, generator, size));
    };
    std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().expect("it did not go off");
}

impl Bench {
    fn try_one(&mut self, name: &str, generator: Generator, size: usize) {
        // each is another content
        let mail = format!("Message-ID: <{size}@cliente.example>\r\nX-Bomb: {name}\r\n{}", generator(size));
        if mail.len() > LARGEST {
            return;
        }
        fs::write("/proc/self/clear_refs", "5").expect("procfs"); // the peak starts anew
        let (memory_before, cpu_before) = (memory("VmRSS"), cpu());
        let read = Read::new(mail.as_bytes(), Reading::Whole, &self.policy).expect("a mail is always read");
        let now = Timestamp::now();
        let arrival =
            Arrival { mailbox: "soporte".to_owned(), recipient: None, received: now, backlog: false };
        let (store, site, policy) = (&mut self.store, &self.site, &self.policy);
        let stored = acuse::ingest::unlisted(store, Intake::Stdin, &read, &arrival, site, policy, now);
        let stored = stored.expect("it is stored");
        let seconds = cpu() - cpu_before;
        let peak = memory("VmHWM").saturating_sub(memory_before);
        let became = stored.reason.as_str();
        println!("| {name} | {size} | {} | {:.0} | {peak} | {became} |", mail.len(), seconds * 1e3);
        assert!(peak <= MOST_MIB, "{name} × {size}: {peak} MiB");
        assert!(seconds <= MOST_SECONDS, "{name} × {size}: {seconds:.1} s of CPU");
        // a mail that went round a hundred servers is set aside; all others are somebody's case
        let set_aside = ["too_many_hops", "backscatter"].contains(&became);
        assert!(stored.ticket.is_some() || set_aside, "{name}: {became}");
    }
}

/// CPU time of this thread, in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// A line of /proc/self/status, MiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    mebibytes(&status, name).expect("a line of that name")
}

/// A line of a process's status, MiB; a process that has ended has none.
fn mebibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
