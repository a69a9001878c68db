//! How fast a full mailbox is drained: from a real Dovecot, with rules, tickets, index, acknowledgements and MOVE, beside
//! the bare pipeline ([`bare`]) in the same run; `just bench drain`.
//!
//! `ACUSE_BENCH_MAILS` names a directory of mails; without it they are made up. `[limits]` are raised, so that every
//! acknowledgement goes out at once. CPU and memory are the process's own, the servers' apart. A disk's mood changes
//! within minutes: what an fsync takes is shown beside each figure, and only figures of one run compare.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use mails::mails;
use sink::Sink;
use support::acuse::Site;
use support::dovecot::{self, Dovecot};
use support::within;

mod bare;
mod mails;
mod sink;
#[path = "../../tests/support/mod.rs"]
mod support;

/// Tells this program to be the bare pipeline.
const BARE: &str = "--bare";
const ROUNDS: usize = 3;
/// As a daemon is started, and not as a test starts it.
const AS_USUAL: [&str; 2] = ["--log", "info"];
/// Nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, imap, user, directory, count, smtp] = arguments.as_slice()
        && flag == BARE
    {
        let (count, directory) = (count.parse().expect("a number"), Path::new(directory));
        let (imap, smtp) = (imap.parse().expect("an address"), smtp.parse().expect("an address"));
        bare::drain(imap, user, dovecot::PASSWORD, directory, count, smtp);
        let Usage { cpu, peak } = Usage::of("self");
        return println!("{} {peak}", cpu.as_micros());
    }
    let directory = std::env::var_os("ACUSE_BENCH_MAILS").map(PathBuf::from);
    let mails = mails(directory.as_deref(), 10_000);
    let bytes: usize = mails.iter().map(Vec::len).sum();
    println!("{} mails of {} bytes on average; {ROUNDS} rounds", mails.len(), bytes / mails.len());
    println!(
        "{:12} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>9}",
        "", "stored/s", "moved/s", "acks", "done/s", "CPU ms", "peak MiB", "fsync ms"
    );
    let server = Dovecot::start();
    let sink = Sink::start();
    let mut ratios: Vec<f64> = (1..=ROUNDS)
        .map(|round| {
            let bare = bare(&server, &sink, round, &mails);
            let whole = acuse(&server, &sink, round, &mails);
            whole / bare
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    println!("acuse drains {:.2} times as fast as the bare pipeline (median)", ratios[ratios.len() / 2]);
}

/// Drains a mailbox by the bare pipeline; mails a second.
fn bare(server: &Dovecot, sink: &Sink, round: usize, mails: &[Vec<u8>]) -> f64 {
    let (user, directory) = (format!("bare{round}"), tempfile::tempdir().expect("a directory"));
    server.client(&user).select("INBOX");
    server.lay_into_inbox(&user, mails.iter().cloned());
    let disk = fsync(directory.path());
    let (acks, count) = (sink.taken(), mails.len().to_string());
    let (imap, smtp) = (server.imap().to_string(), sink.address.to_string());
    let start = Instant::now();
    let ran = Command::new(std::env::current_exe().expect("this program"))
        .args([BARE, &imap, &user, &directory.path().display().to_string(), &count, &smtp])
        .output()
        .expect("this program runs");
    let took = start.elapsed();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8(ran.stdout).expect("text");
    let (cpu, peak) = said.trim().split_once(' ').expect("two numbers");
    let usage =
        Usage { cpu: Duration::from_micros(cpu.parse().expect("µs")), peak: peak.parse().expect("KiB") };
    row("bare", mails.len(), [took; 3], sink.taken() - acks, &usage, disk)
}

/// Drains a mailbox by the daemon; mails a second.
fn acuse(server: &Dovecot, sink: &Sink, round: usize, mails: &[Vec<u8>]) -> f64 {
    let user = format!("acuse{round}");
    server.client(&user).select("INBOX");
    let mut site = Site::builder(server.imap(), sink.address).set("mailbox.0.user", user.as_str());
    for limit in ["per_address_hour", "per_address_day", "per_domain_hour", "per_hour", "breaker_floor"] {
        site = site.set(&format!("limits.{limit}"), 100_000_000);
    }
    let mut site = site
        .set("support.addresses", toml::Value::from(vec!["soporte@mihost.example", "soporte@ayuda.test"]))
        .init();
    site.run_with(&AS_USUAL); // enrols the empty folder: what comes now is acknowledged
    let database = site.state_dir().join("acuse.db");
    let database =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
    let holds =
        |sql: &str| database.prepare_cached(sql).and_then(|mut query| query.exists([])).expect("a query");
    until("the first pass", || holds("SELECT 1 FROM folder"));
    assert!(site.stop().success(), "{}", site.log());
    server.lay_into_inbox(&user, mails.iter().cloned());
    let disk = fsync(&site.state_dir());
    let acks = sink.taken();
    site.run_with(&AS_USUAL);
    let start = Instant::now();
    let last = format!("SELECT 1 FROM folder WHERE last_uid >= {}", mails.len());
    let took = [
        last.as_str(),
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM arrival WHERE settled = 0)",
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE state IN ('due', 'sending'))",
    ]
    .map(|done| {
        until(done, || holds(done));
        start.elapsed()
    });
    let usage = Usage::of(&site.pid().to_string());
    let made: i64 = database
        .query_row("SELECT count(*) FROM outbox WHERE state = 'sent'", [], |row| row.get(0))
        .expect("a count");
    let sent = sink.taken() - acks;
    assert_eq!(sent as i64, made, "every acknowledgement once");
    assert!(site.stop().success(), "{}", site.log());
    assert_eq!(site.assert_conserved()["listed"], mails.len());
    row("acuse", mails.len(), took, sent, &usage, disk)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    within(PATIENCE, || done().then_some(())).unwrap_or_else(|| panic!("still waiting: {what}"));
}

/// Says how many mails a second were done with.
fn row(
    name: &str,
    mails: usize,
    [stored, moved, sent]: [Duration; 3],
    acks: usize,
    usage: &Usage,
    fsync: Duration,
) -> f64 {
    let rate = |took: Duration| mails as f64 / took.as_secs_f64();
    let done = rate(stored.max(moved).max(sent));
    println!(
        "{name:12} {:8.0} {:8.0} {acks:8} {done:8.0} {:9.3} {:8.1} {:9.2}",
        rate(stored),
        rate(moved),
        usage.cpu.as_secs_f64() * 1e3 / mails as f64,
        usage.peak as f64 / 1024.0,
        fsync.as_secs_f64() * 1e3
    );
    done
}

/// What a process has used so far.
struct Usage {
    /// User and system time.
    cpu: Duration,
    /// Resident memory at its highest, KiB.
    peak: u64,
}

impl Usage {
    fn of(process: &str) -> Self {
        /// `sysconf(_SC_CLK_TCK)` on Linux.
        const TICK: Duration = Duration::from_millis(10);
        let read = |name| fs::read_to_string(format!("/proc/{process}/{name}")).expect("procfs");
        let (stat, status) = (read("stat"), read("status"));
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u32>().expect("ticks"); // proc(5), counted from `state`
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let peak = peak.trim().trim_end_matches(" kB").parse().expect("KiB");
        Self { cpu: TICK * (ticks(11) + ticks(12)), peak }
    }
}

/// What bringing 12 KiB to the disk takes here and now: the median of fifty.
fn fsync(directory: &Path) -> Duration {
    let path = directory.join("fsync");
    let mut file = File::create(&path).expect("a file");
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            file.write_all(&[7; 12 << 10]).expect("room");
            let start = Instant::now();
            file.sync_data().expect("a disk");
            start.elapsed()
        })
        .collect();
    fs::remove_file(path).expect("a file");
    times.sort_unstable();
    times[times.len() / 2]
}
