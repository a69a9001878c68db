//! How fast a full mailbox is drained: from a real Dovecot, with rules, tickets, index, acknowledgements and MOVE, beside
//! the bare pipeline ([`bare`]) in the same run; `just bench drain`. Beside it, each asked for by name (`just bench drain -- growth`):
//! `latency` from a server's EXISTS to the committed ticket, `acks` on one connection when nothing else is to do, and
//! `growth`, the rate as more and more tickets are stored.
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
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use mails::mails;
use sink::Sink;
use support::acuse::{PASSWORD, Site, SiteBuilder, USER};
use support::dovecot::{self, Dovecot};
use support::imap_peer::{self, ImapPeer};
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
    match arguments.first().map(String::as_str) {
        None => drain(&mails),
        Some("latency") => latency(&mails),
        Some("acks") => acks(&mails),
        Some("growth") => growth(&mails),
        Some(other) => panic!("there is no bench `{other}`: latency, acks or growth"),
    }
}

/// A full mailbox, round by round, after the bare pipeline has drained the same.
fn drain(mails: &[Vec<u8>]) {
    println!(
        "{:12} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>9}",
        "", "stored/s", "moved/s", "acks", "done/s", "CPU ms", "peak MiB", "fsync ms"
    );
    let server = Dovecot::start();
    let sink = Sink::start();
    let mut ratios: Vec<f64> = (1..=ROUNDS)
        .map(|round| {
            let bare = bare(&server, &sink, round, mails);
            let whole = acuse(&server, &sink, round, mails);
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
    let (mut site, database) = enrolled(server, sink, &user);
    let holds = |sql: &str| holds(&database, sql);
    server.lay_into_inbox(&user, mails.iter().cloned());
    let disk = fsync(&site.state_dir());
    let acks = sink.taken();
    site.run_with(&AS_USUAL);
    let start = Instant::now();
    let last = format!("SELECT 1 FROM folder WHERE last_uid >= {}", mails.len());
    let took = [last.as_str(), SETTLED, SENT].map(|done| {
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

const SETTLED: &str = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM arrival WHERE settled = 0)";
const SENT: &str = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE state IN ('due', 'sending'))";

/// A site whose limits hold nothing back.
fn raised(mut site: SiteBuilder) -> SiteBuilder {
    for limit in ["per_address_hour", "per_address_day", "per_domain_hour", "per_hour", "breaker_floor"] {
        site = site.set(&format!("limits.{limit}"), 100_000_000);
    }
    site.set("support.addresses", toml::Value::from(vec!["soporte@mihost.example", "soporte@ayuda.test"]))
}

/// A site that has seen its empty folder, so that what comes now is acknowledged, and is stopped; with its database.
fn enrolled(server: &Dovecot, sink: &Sink, user: &str) -> (Site, Connection) {
    server.client(user).select("INBOX");
    let site = Site::builder(server.imap(), sink.address).set("mailbox.0.user", user);
    let mut site = raised(site).init();
    site.run_with(&AS_USUAL);
    let database = database(&site);
    until("the first pass", || holds(&database, "SELECT 1 FROM folder"));
    assert!(site.stop().success(), "{}", site.log());
    (site, database)
}

fn database(site: &Site) -> Connection {
    let path = site.state_dir().join("acuse.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database")
}

fn holds(database: &Connection, sql: &str) -> bool {
    database.prepare_cached(sql).and_then(|mut query| query.exists([])).expect("a query")
}

/// From the moment a server says EXISTS to the ticket on the disk, mail by mail.
fn latency(mails: &[Vec<u8>]) {
    const MAILS: usize = 500;
    let imap = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
    let sink = Sink::start();
    let mut site = raised(Site::builder(imap.address(), sink.address)).init();
    site.run_with(&AS_USUAL);
    let database = database(&site);
    let mut count = database.prepare("SELECT count(*) FROM message").expect("a query");
    let mut stored = || count.query_row([], |row| row.get::<_, i64>(0)).expect("a count") as usize;
    let mut times: Vec<Duration> = mails
        .iter()
        .take(MAILS)
        .enumerate()
        .map(|(before, raw)| {
            imap.wait_for_idle(USER, "INBOX");
            let start = Instant::now();
            imap.deliver(USER, "INBOX", raw, Timestamp::now());
            while stored() <= before {
                assert!(start.elapsed() < PATIENCE, "{}", site.log());
                thread::sleep(Duration::from_micros(100));
            }
            start.elapsed()
        })
        .collect();
    let disk = fsync(&site.state_dir());
    times.sort_unstable();
    let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    println!(
        "EXISTS to ticket, {} mails: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; fsync {:.2} ms",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        disk.as_secs_f64() * 1e3
    );
    assert!(site.stop().success(), "{}", site.log());
}

/// What waits in the outbox, sent by a daemon that has nothing else to do.
fn acks(mails: &[Vec<u8>]) {
    let (server, sink) = (Dovecot::start(), Sink::closed());
    let (mut site, database) = enrolled(&server, &sink, "acuse");
    server.lay_into_inbox("acuse", mails.iter().cloned());
    site.run_with(&AS_USUAL);
    let last = format!("SELECT 1 FROM folder WHERE last_uid >= {}", mails.len());
    for done in [last.as_str(), SETTLED] {
        until(done, || holds(&database, done));
    }
    assert!(site.stop().success(), "{}", site.log());
    sink.open();
    let disk = fsync(&site.state_dir());
    let start = Instant::now();
    site.run_with(&AS_USUAL);
    until(SENT, || holds(&database, SENT));
    let (took, acks) = (start.elapsed().as_secs_f64(), sink.taken() as f64);
    let cpu = Usage::of(&site.pid().to_string()).cpu.as_secs_f64() * 1e3 / acks;
    println!(
        "{acks} acknowledgements on one connection, the start included: {:.0}/s, {cpu:.3} ms of CPU each; fsync {:.2} ms",
        acks / took,
        disk.as_secs_f64() * 1e3
    );
    assert!(site.stop().success(), "{}", site.log());
}

/// The same mails again and again, as new ones, into one database. Where they are moved to is emptied each time: Dovecot
/// looks through a whole Maildir whenever something is moved into it, which would be measured in our place.
fn growth(mails: &[Vec<u8>]) {
    const TIMES: usize = 10;
    let (server, sink) = (Dovecot::start(), Sink::start());
    let (mut site, database) = enrolled(&server, &sink, "acuse");
    println!(
        "{:>9} {:>9} {:>8} {:>8} {:>8} {:>9}",
        "messages", "tickets", "stored/s", "done/s", "CPU ms", "fsync ms"
    );
    for time in 1..=TIMES {
        let before = |sql| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
        let (messages, tickets) =
            (before("SELECT count(*) FROM message"), before("SELECT count(*) FROM ticket"));
        server.lay_into_inbox("acuse", mails.iter().map(|raw| anew(raw, time)));
        let disk = fsync(&site.state_dir());
        site.run_with(&AS_USUAL);
        let start = Instant::now();
        let last = format!("SELECT 1 FROM folder WHERE last_uid >= {}", time * mails.len());
        let [stored, _, done] = [last.as_str(), SETTLED, SENT].map(|done| {
            until(done, || holds(&database, done));
            mails.len() as f64 / start.elapsed().as_secs_f64()
        });
        let cpu = Usage::of(&site.pid().to_string()).cpu.as_secs_f64() * 1e3 / mails.len() as f64;
        println!(
            "{messages:9} {tickets:9} {stored:8.0} {done:8.0} {cpu:8.3} {:9.2}",
            disk.as_secs_f64() * 1e3
        );
        server.doveadm(&["expunge", "-u", "acuse", "mailbox", "Acuse*", "all"]);
        assert!(site.stop().success(), "{}", site.log());
    }
    let check = site.assert_conserved();
    assert_eq!(check["listed"], TIMES * mails.len());
    assert_eq!(check["duplicate"], 0, "they are new mails");
}

/// The mail as another that says the same.
fn anew(raw: &[u8], time: usize) -> Vec<u8> {
    let mut mail = format!("X-Time: {time}\r\n").into_bytes();
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        match line.get(..13) {
            Some(name) if name.eq_ignore_ascii_case(b"message-id: <") => {
                mail.extend(format!("Message-ID: <{time}.").bytes().chain(line[13..].iter().copied()));
            }
            _ => mail.extend(line),
        }
    }
    mail
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
