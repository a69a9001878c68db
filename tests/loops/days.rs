//! Acuse and a peer over simulated days: the post takes half a minute each way.

use std::collections::VecDeque;
use std::sync::{LazyLock, Once};

use acuse::ingest::{self, Read, Reading};
use acuse::mail::Address;
use acuse::policy::{Policy, PolicyFiles};
use acuse::site::{Limits, Site};
use acuse::store::{self, Delivery, Intake, Only, Store};
use acuse::token::Keyring;
use acuse::triage::{Arrival, silence};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::support::header;

/// Our support address.
pub const US: &str = "soporte@mihost.example";
/// How long a mail is on its way, and how often a worker looks.
const STEP: SignedDuration = SignedDuration::from_secs(30);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

static POLICY: LazyLock<Policy> =
    LazyLock::new(|| Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy"));

/// Whoever is at the other end.
pub trait Peer {
    /// Takes a mail of ours, and answers at once or not at all.
    fn hear(&mut self, mail: &[u8], now: Timestamp) -> Vec<Vec<u8>>;
}

impl<F: FnMut(&[u8]) -> Vec<Vec<u8>>> Peer for F {
    fn hear(&mut self, mail: &[u8], _: Timestamp) -> Vec<Vec<u8>> {
        self(mail)
    }
}

/// Acuse without its wires: ingestion and the outbox's worker on a real database, at whatever time it is told.
pub struct Acuse {
    store: Store,
    site: Site,
    _directory: TempDir,
}

/// A mail that left.
pub struct Sent {
    pub at: Timestamp,
    pub to: Address,
    pub bytes: Vec<u8>,
}

impl Acuse {
    /// One that answers from this address, with a key of its own.
    pub fn at(address: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let from = Address::parse(address).expect("an address");
        let mut key = [0; 32];
        key.iter_mut().zip(address.bytes()).for_each(|(key, byte)| *key = byte);
        let site = Site {
            addresses: vec![from.clone()],
            from,
            keys: Keyring::new(vec![("a".to_owned(), key)]),
            ..Site::nobody()
        };
        Self { store: store::create(directory.path()).expect("a database"), site, _directory: directory }
    }

    /// A mail arrives.
    pub fn take(&mut self, raw: &[u8], now: Timestamp) {
        let read = Read::new(raw, Reading::Whole, &POLICY).expect("a mail is always read");
        let arrival =
            Arrival { mailbox: "soporte".to_owned(), recipient: None, received: now, backlog: false };
        ingest::unlisted(&mut self.store, Intake::Stdin, &read, &arrival, &self.site, &POLICY, now)
            .expect("it is stored");
    }

    /// What the outbox's worker does in one look, before a relay that takes everything.
    pub fn send(&mut self, now: Timestamp) -> Vec<Sent> {
        let Limits { breaker_floor, per_hour, .. } = self.site.limits;
        let (site, mut sent) = (&self.site, Vec::new());
        let done = self.store.transaction(|tx| {
            let breaker = tx.mind_breaker(breaker_floor, now)?.holds();
            tx.tend(DAY, true, now)?;
            while tx.tried_since(now - HOUR)?.len() < per_hour as usize
                && let Some(row) = tx.first_ready(site, &POLICY, breaker, Only::Anything, now)?.first
            {
                let due = tx.take(row)?;
                tx.delivered(due.id, &Delivery::Sent, true, now)?;
                let to = Address::parse(&due.recipient).expect("an address");
                sent.push(Sent { at: now, to, bytes: due.bytes });
            }
            Ok(())
        });
        done.expect("the outbox");
        sent
    }

    /// How many mails arrived and how many tickets stand, once it is sure that every mail has its one outcome (I1).
    fn account(&mut self) -> (u64, u64) {
        let account = self.store.read(|tx| tx.account()).expect("the account");
        assert_eq!((account.problems, account.pending), (Vec::new(), 0));
        assert_eq!(account.by_outcome.iter().sum::<u64>(), account.listed);
        (account.listed, account.by_outcome[0])
    }
}

impl Peer for Acuse {
    fn hear(&mut self, mail: &[u8], now: Timestamp) -> Vec<Vec<u8>> {
        self.take(mail, now);
        self.send(now).into_iter().map(|sent| sent.bytes).collect()
    }
}

/// What became of it.
pub struct Course {
    pub mails_in: u64,
    pub tickets: u64,
    pub sent: Vec<Sent>,
}

impl Course {
    /// The most that went within such a span to those that `of` says are the same.
    fn most_within(&self, span: SignedDuration, of: impl Fn(&Sent) -> Option<String>) -> usize {
        let of_each = self.sent.iter().map(|sent| (sent.at, of(sent))).collect::<Vec<_>>();
        let upto = |(at, who): &(Timestamp, Option<String>)| {
            let within = |(other, whom): &&(_, Option<String>)| {
                whom == who && *other <= *at && at.duration_since(*other) < span
            };
            if who.is_some() { of_each.iter().filter(within).count() } else { 0 }
        };
        of_each.iter().map(upto).max().unwrap_or(0)
    }

    /// Asserts the caps of `[limits]`, by what left (I7).
    fn assert_capped(&self, limits: Limits) {
        let address = |sent: &Sent| Some(sent.to.without_tag().0);
        let domain = |sent: &Sent| {
            let domain = sent.to.domain();
            (!silence::is_public_mail_domain(domain)).then(|| domain.to_owned())
        };
        assert!(self.most_within(HOUR, address) <= limits.per_address_hour as usize);
        assert!(self.most_within(DAY, address) <= limits.per_address_day as usize);
        assert!(self.most_within(HOUR, domain) <= limits.per_domain_hour as usize);
        assert!(self.most_within(HOUR, |_| Some(String::new())) <= limits.per_hour as usize);
    }
}

/// The peer's first mails, each after so many minutes, and then the post between the two for so many hours. Prints a line,
/// and asserts what holds whatever the peer.
pub fn play(name: &str, peer: &mut dyn Peer, first: Vec<(i64, Vec<u8>)>, hours: i64) -> Course {
    static HEAD: Once = Once::new();
    HEAD.call_once(|| {
        println!("| peer | hours | mails in | tickets | mails out | most in an hour | last after |");
        println!("|---|--:|--:|--:|--:|--:|--:|");
    });
    let start: Timestamp = "2026-09-16T15:00:00Z".parse().expect("a time");
    let (end, mut now) = (start + SignedDuration::from_hours(hours), start);
    let mut to_us: VecDeque<(Timestamp, Vec<u8>)> =
        first.into_iter().map(|(minutes, mail)| (start + SignedDuration::from_mins(minutes), mail)).collect();
    let (mut acuse, mut sent, mut put) = (Acuse::at(US), Vec::<Sent>::new(), 0);
    while now < end {
        while let Some((_, mail)) = to_us.pop_front_if(|(at, _)| *at <= now) {
            acuse.take(&mail, now);
            put += 1;
        }
        let leaving = acuse.send(now);
        now += STEP;
        let answers = leaving.iter().flat_map(|mail| peer.hear(&mail.bytes, now)).collect::<Vec<_>>();
        to_us.extend(answers.into_iter().map(|answer| (now + STEP, answer)));
        to_us.make_contiguous().sort_by_key(|(at, _)| *at);
        sent.extend(leaving);
    }
    let (mails_in, tickets) = acuse.account();
    assert_eq!(mails_in, put, "{name}: every mail has its outcome");
    let course = Course { mails_in, tickets, sent };
    let last = course.sent.last().map(|sent| sent.at.duration_since(start).as_mins());
    let in_an_hour = course.most_within(HOUR, |_| Some(String::new()));
    println!(
        "| {name} | {hours} | {mails_in} | {tickets} | {} | {in_an_hour} | {} |",
        course.sent.len(),
        last.map_or("–".to_owned(), |minutes| format!("{}:{:02} h", minutes / 60, minutes % 60)),
    );
    course.assert_capped(acuse.site.limits);
    course
}

/// The single value that a mail of ours must have.
pub fn field(mail: &[u8], name: &str) -> String {
    header(mail, name).unwrap_or_else(|| panic!("no {name} in an acknowledgement"))
}
