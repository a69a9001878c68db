//! Mail servers that lie, stall, hang up and attack, and the real daemon before them: each script has a mailbox of its
//! own, and beside them is one on a server that behaves. `relays` does the same to the acknowledgements.
//!
//! Whatever happens, no mail is lost and none is a ticket twice (I1, I4), the calm mailbox goes on (I11), nothing is
//! tried without a wait, and memory stays bounded (I12). `just hostile` prints the table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test, whose mails arrive now"
)]

use std::fs;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use support::acuse::{PASSWORD, Site, SiteBuilder, USER};
use support::imap_peer::{Fault, ImapPeer, Options};
use support::smtp_peer::{self, SmtpPeer};
use support::{customer, eventually, outage};

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod folders;
mod relays;
mod sessions;

/// A daemon may take so much memory, whatever it meets (I12): a debug build with one script at each of its mailboxes.
const MOST_MEMORY_MIB: u64 = 128;
/// A visit that finds one mail needs so many commands at most; more would be a server that is asked over and over.
const MOST_COMMANDS: usize = 40;

/// The daemon among its servers.
struct Siege {
    script: &'static str,
    began: Instant,
    calm: ImapPeer,
    hostile: Vec<ImapPeer>,
    smtp: SmtpPeer,
    site: Site,
    /// How many folders are watched at each hostile server.
    folders: usize,
    /// How many mails were delivered that are to become tickets and be acknowledged.
    mails: usize,
}

/// The name of a hostile server's mailbox.
fn mailbox(index: usize) -> String {
    format!("hostil-{index}")
}

impl Siege {
    /// A daemon that watches so many hostile mailboxes, all of them empty and calm yet.
    fn lay(script: &'static str, servers: usize) -> Self {
        Self::lay_with(script, &vec![Options::default(); servers], |site| site, |_| {})
    }

    /// The same with servers of other kinds, another configuration, and what they hold before the daemon comes.
    fn lay_with(
        script: &'static str,
        servers: &[Options],
        adjust: impl FnOnce(SiteBuilder) -> SiteBuilder,
        prepare: impl FnOnce(&[ImapPeer]),
    ) -> Self {
        let siege = Self::prepare(script, servers, adjust, prepare);
        for server in siege.all() {
            server.wait_for_idle(USER, "INBOX");
        }
        siege
    }

    /// The same, and nothing is waited for.
    fn prepare(
        script: &'static str,
        servers: &[Options],
        adjust: impl FnOnce(SiteBuilder) -> SiteBuilder,
        prepare: impl FnOnce(&[ImapPeer]),
    ) -> Self {
        let began = Instant::now();
        let start = |options: &Options| ImapPeer::start(options.clone(), USER, PASSWORD);
        let (calm, hostile) = (start(&Options::default()), servers.iter().map(start).collect::<Vec<_>>());
        let smtp = SmtpPeer::start(smtp_peer::Options::default());
        let mut builder = Site::builder(calm.address(), smtp.address())
            .set("mailbox.0.poll", "1h") // so rare that nothing is found by it
            .set("limits.breaker_floor", 1_000_000);
        for (index, server) in hostile.iter().enumerate() {
            let port = format!("mailbox.{}.port", index + 1);
            builder =
                builder.and_mailbox(&mailbox(index), USER).set(&port, i64::from(server.address().port()));
        }
        let mut site = adjust(builder).init();
        prepare(&hostile);
        site.run();
        Self { script, began, calm, hostile, smtp, site, folders: 1, mails: 0 }
    }

    fn all(&self) -> impl Iterator<Item = &ImapPeer> {
        self.hostile.iter().chain([&self.calm])
    }

    /// Lays the next customer's mail into an INBOX; its UID.
    fn deliver(&mut self, server: Option<usize>) -> u32 {
        self.mails += 1;
        let server = server.map_or(&self.calm, |index| &self.hostile[index]);
        server.deliver(USER, "INBOX", &outage(self.mails), Timestamp::now())
    }

    /// A mail for everybody, each hostile server's clients being thrown out, so that they walk through every state.
    fn strike(&mut self) {
        self.hostile.iter().for_each(ImapPeer::drop_connections);
        (0..self.hostile.len()).for_each(|index| _ = self.deliver(Some(index)));
        self.calm_goes_on();
    }

    /// A mail in the calm mailbox is a ticket, acknowledged and moved, while the others are in trouble.
    fn calm_goes_on(&mut self) {
        self.deliver(None);
        let customer = customer(self.mails);
        eventually("the calm mailbox's acknowledgement", || {
            (!self.smtp.mails_to(&customer).is_empty()).then_some(())
        });
        self.calm.wait_for_mails(USER, "INBOX", 0);
    }

    /// Every fault has happened, and the servers come to their senses.
    fn recover(&self) {
        for server in &self.hostile {
            server.wait_until_played();
            server.no_faults();
        }
    }

    /// The same where a connection hangs that only its server can end.
    fn recover_and_hang_up(&self) {
        self.recover();
        self.hostile.iter().for_each(ImapPeer::drop_connections);
    }

    /// The waits after the failures of a hostile mailbox, in seconds.
    fn waits(&self, index: usize) -> Vec<f64> {
        let named = format!("mailbox=\"{}\"", mailbox(index));
        let log = self.site.log();
        let lines = log.lines().filter(|line| line.contains("is tried again") && line.contains(&named));
        let wait = |line: &str| {
            let wait = line.rsplit_once("wait=").expect("it says when").1.split_whitespace().next().unwrap();
            match wait.strip_suffix("ms") {
                Some(milliseconds) => milliseconds.parse::<f64>().unwrap() / 1000.0,
                None => wait.trim_end_matches('s').parse().unwrap(),
            }
        };
        lines.map(wait).collect()
    }

    /// All is well again: every mail is a ticket, acknowledged once, and settled.
    fn end(self) -> Value {
        let opened = [("opened", self.mails as u64)];
        self.end_with(&opened)
    }

    /// The same with so many outcomes of each kind; what is not named is 0. Gives the counts of `db check`.
    fn end_with(mut self, outcomes: &[(&str, u64)]) -> Value {
        let all: u64 = outcomes.iter().map(|(_, mails)| mails).sum();
        eventually(&format!("{all} outcomes; log:\n{}", self.site.log()), || {
            let check = self.site.json(&["db", "check"]);
            (check["listed"].as_u64() >= Some(all) && check["pending"] == 0).then_some(())
        });
        self.site.wait_until_sent();
        let check = self.site.assert_conserved();
        for kind in ["opened", "appended", "duplicate", "ignored", "quarantined"] {
            let wanted = outcomes.iter().find(|(name, _)| *name == kind).map_or(0, |(_, mails)| *mails);
            assert_eq!(check[kind], wanted, "{kind}: {check:#}\n{}", self.site.log());
        }
        let opened = check["opened"].as_u64().unwrap();
        let answered = (1..=self.mails).filter(|n| self.smtp.mails_to(&customer(*n)).len() == 1).count();
        assert_eq!((answered as u64, self.smtp.mails().len() as u64), (opened, opened), "one each (I5)");

        let connections: usize = self.hostile.iter().map(ImapPeer::connections).sum();
        for (index, server) in self.hostile.iter().enumerate() {
            let waits = self.waits(index);
            assert!(waits.iter().all(|wait| *wait >= 0.5), "{waits:?}");
            let most = self.folders + waits.len();
            assert!(server.connections() <= most, "each but the first after a wait: {waits:?}");
            let commands = server.commands().len();
            assert!(commands <= MOST_COMMANDS * server.connections(), "{:#?}", server.commands());
            assert_eq!(server.offences(), [""; 0]);
        }
        let log = self.site.log();
        assert!(!log.contains("panicked") && !log.contains('\u{1b}') && !log.contains(PASSWORD), "{log}");
        let peak = peak(&self.site);
        assert!(peak < MOST_MEMORY_MIB, "{peak} MiB");
        assert!(self.site.stop().success());
        let Self { script, began, hostile, .. } = &self;
        let (servers, seconds) = (hostile.len(), began.elapsed().as_secs_f64());
        eprintln!("| {script} | {servers} | {connections} | {seconds:.1} s | {peak} MiB |");
        check
    }
}

/// The most memory that a daemon ever had, MiB.
fn peak(site: &Site) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", site.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// A script in which each server plays one fault, so many times, and is itself again: all mails become tickets.
fn endure(script: &'static str, times: usize, faults: &[(&str, Fault)]) {
    let mut siege = Siege::lay(script, faults.len());
    play(&siege, times, faults);
    siege.strike();
    siege.recover();
    siege.end();
}

/// Each server will play its fault.
fn play(siege: &Siege, times: usize, faults: &[(&str, Fault)]) {
    for (server, (pattern, fault)) in siege.hostile.iter().zip(faults) {
        (1..=times).for_each(|nth| server.fault(pattern, nth, fault.clone()));
    }
}

/// Bytes in the place of an answer, after which the line goes on.
fn raw(bytes: &str) -> Fault {
    Fault::Raw(bytes.as_bytes().to_vec())
}

/// Bytes in front of an answer.
fn also(bytes: &str) -> Fault {
    Fault::Also(bytes.as_bytes().to_vec())
}
