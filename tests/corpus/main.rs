//! A corpus of mails that nobody of this project wrote: laid into a real Dovecot and drained by the real daemon,
//! decided one by one by the table alone, and read as those expect who collected it.
//!
//! `ACUSE_CORPUS` names its directory: `manifest.jsonl` with a row a mail (`path`, `format`, `category`, `source`,
//! `expect.must_not_ack`, `expect.is_spam`), and the mails. Without it the tests say so and prove nothing.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use acuse::mail::{ContentHash, Message, Sign};
use acuse::policy::{Policy, PolicyFiles};
use acuse::store::{Store, TicketFilter, open};
use acuse::triage::{Arrival, Decision, Facts, Reason, classify, triage};
use serde_json::Value;
use support::acuse::{Site, USER};
use support::dovecot::Dovecot;
use support::smtp_peer::{self, SmtpPeer};
use support::within;

mod reading;
#[path = "../support/mod.rs"]
mod support;

/// A mail of the corpus.
struct Row {
    path: String,
    category: String,
    source: String,
    raw: Vec<u8>,
    hash: ContentHash,
    must_not_ack: Option<bool>,
    is_spam: bool,
    is_forward: bool,
}

/// The rows of the manifest, and the bytes of each mail.
fn manifest() -> Option<impl Iterator<Item = (Value, Vec<u8>)>> {
    #[allow(clippy::disallowed_methods, reason = "where the corpus lies is the runner's to say")]
    let Ok(directory) = std::env::var("ACUSE_CORPUS") else {
        println!("ACUSE_CORPUS is not set: no corpus was read, nothing is proved here");
        return None;
    };
    let directory = PathBuf::from(directory);
    let manifest = std::fs::read_to_string(directory.join("manifest.jsonl")).expect("the manifest");
    let rows: Vec<Value> = manifest.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    Some(rows.into_iter().map(move |row| {
        let path = directory.join(row["path"].as_str().expect("a path"));
        let bytes = std::fs::read(path).expect("a mail of the manifest");
        (row, bytes)
    }))
}

/// A string of a row.
fn word(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

fn corpus() -> Option<Vec<Row>> {
    let rows = manifest()?.filter(|(row, _)| row["format"] == "rfc822");
    Some(rows.map(|(row, bytes)| read(&row, &bytes)).collect())
}

fn read(row: &Value, bytes: &[u8]) -> Row {
    let raw = as_delivered(bytes);
    let message = acuse::mail::parse(&raw);
    let expect = &row["expect"];
    Row {
        path: word(row, "path"),
        category: word(row, "category"),
        source: word(row, "source"),
        hash: message.content_hash,
        is_forward: message.is_forward(),
        must_not_ack: expect["must_not_ack"].as_bool(),
        is_spam: expect["is_spam"] == true,
        raw,
    }
}

/// With CRLF line ends and without NUL, as an MTA would have delivered it: IMAP takes nothing else.
fn as_delivered(raw: &[u8]) -> Vec<u8> {
    let mut mail = Vec::with_capacity(raw.len() + raw.len() / 40);
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let length = text.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
        mail.extend(text[..length].iter().map(|byte| if *byte == 0 { b'?' } else { *byte }));
        mail.extend_from_slice(b"\r\n");
    }
    mail
}

/// Which contents were acknowledged, and how many tickets there are.
fn acknowledged(store: &Store) -> (BTreeSet<ContentHash>, usize) {
    let tickets = store.read(|tx| tx.tickets(TicketFilter::default())).expect("tickets");
    let acked = store.read(|tx| tx.acknowledged_contents()).expect("the outbox");
    (acked.into_iter().map(ContentHash).collect(), tickets.len())
}

#[test]
fn the_corpus_is_drained_from_a_real_server_and_only_people_are_acknowledged() {
    let Some(rows) = corpus() else { return };
    assert!(rows.len() >= 500, "{} mails are no corpus", rows.len());
    let server = Dovecot::start();
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let mut site = Site::builder(server.imap(), smtp.address())
        .set("limits.per_address_hour", 100_000)
        .set("limits.per_address_day", 100_000)
        .set("limits.per_domain_hour", 100_000)
        .set("limits.per_hour", 1_000_000)
        .set("limits.breaker_floor", 1_000_000)
        .set("mailbox.0.poll", "1s")
        .init();
    site.run();
    support::eventually("the enrolment", || site.log().contains("enrolled").then_some(()));

    let mut client = server.client(USER);
    for row in &rows {
        client.append("INBOX", &row.raw, None);
    }
    let drained = |site: &Site, listed: usize| {
        let patience = std::time::Duration::from_secs(240);
        within(patience, || {
            let account = open(&site.state_dir()).ok()?.read(|tx| tx.account()).ok()?;
            (account.listed as usize >= listed && account.pending == 0).then_some(account)
        })
        .unwrap_or_else(|| panic!("not drained; the log ends:\n{}", tail(&site.log())))
    };
    let account = drained(&site, rows.len());
    assert_eq!(account.problems, Vec::<String>::new());
    assert_eq!(account.listed, rows.len() as u64);
    assert_eq!(account.by_outcome.iter().sum::<u64>(), account.listed, "every mail has one outcome (I1)");
    site.wait_until_sent();
    assert!(!site.log().contains("panicked"), "{}", tail(&site.log()));

    let status = std::fs::read_to_string(format!("/proc/{}/status", site.pid())).expect("procfs");
    let memory: Vec<&str> =
        status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")).collect();
    println!("the daemon's memory after the drain: {memory:?}");
    let store = open(&site.state_dir()).expect("the database");
    let (acked, tickets) = acknowledged(&store);
    let mut seen = BTreeSet::new();
    let first: Vec<&Row> = rows.iter().filter(|row| seen.insert(row.hash)).collect(); // copies are duplicates
    let wrongly: Vec<&str> = first
        .iter()
        // of a report that a person forwards, the expectation speaks of the report
        .filter(|row| row.must_not_ack == Some(true) && !row.is_forward && acked.contains(&row.hash))
        .map(|row| row.path.as_str())
        .collect();
    let people: Vec<&&Row> =
        first.iter().filter(|row| row.must_not_ack == Some(false) && !row.is_spam).collect();
    let withheld: Vec<&str> =
        people.iter().filter(|row| !acked.contains(&row.hash)).map(|row| row.path.as_str()).collect();
    println!(
        "{} mails, {} contents, {tickets} tickets, {} acknowledged",
        rows.len(),
        first.len(),
        acked.len()
    );
    println!("outcomes {:?}", account.by_outcome);
    println!("people's mails {}, acknowledged {}", people.len(), people.len() - withheld.len());
    println!("acknowledged though must_not_ack: {wrongly:#?}");
    println!("withheld from people: {:#?}", by_reason(&store, &people, &acked));
    assert_eq!(wrongly, Vec::<&str>::new(), "machines were acknowledged");
    assert!(people.len() - withheld.len() > people.len() * 3 / 4, "people were not acknowledged");

    // Laid back under a new UIDVALIDITY: nothing is new, nothing goes out.
    let sent = smtp.mails().len();
    site.stop();
    server.new_uidvalidity(USER, "INBOX");
    for row in &rows {
        client.append("INBOX", &row.raw, None);
    }
    site.run();
    let again = drained(&site, 2 * rows.len());
    assert_eq!(again.problems, Vec::<String>::new());
    assert_eq!(again.by_outcome[2], account.by_outcome[2] + rows.len() as u64, "each is a duplicate");
    assert_eq!(acknowledged(&store).1, tickets, "no new ticket");
    assert_eq!(smtp.mails().len(), sent, "no acknowledgement");
    println!("laid back: {} duplicates, no new ticket, no acknowledgement", rows.len());
}

/// Why people's mails got no acknowledgement.
fn by_reason(
    store: &Store,
    people: &[&&Row],
    acked: &BTreeSet<ContentHash>,
) -> BTreeMap<String, Vec<String>> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in people.iter().filter(|row| !acked.contains(&row.hash)) {
        let decision = store.read(|tx| tx.decision_on(&row.hash)).expect("a decision");
        let why = decision
            .map(|decision| format!("{} / {}", decision.reason.as_str(), decision.ack.because.as_str()));
        reasons.entry(why.unwrap_or_else(|| "not stored".to_owned())).or_default().push(row.path.clone());
    }
    reasons
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

// ── the table alone ───────────────────────────────────────────────────────────────────────────────────────

/// The share of people's mail that may go without an acknowledgement: one in two hundred.
const WITHHELD_AT_MOST: f64 = 0.005;

/// Whether the manifest says that a person wrote it to somebody: it may be answered, and is no spam.
fn is_a_persons(row: &Row) -> bool {
    row.must_not_ack == Some(false) && !row.is_spam && row.category != "spam"
}

/// The manifest's `must_not_ack` is mostly a script's reading of Auto-Submitted, Precedence, List-Id and Return-Path.
/// It does not know what these kinds say; each but the last is told from the raw mail, not from what acuse read.
fn beyond_the_manifest(row: &Row, message: &Message, decision: &Decision) -> Option<&'static str> {
    let text = String::from_utf8_lossy(&row.raw).replace("\r\n ", " ").replace("\r\n\t", " ");
    let text = text.trim_start().to_ascii_lowercase();
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let authors: Vec<&str> = head.lines().filter(|line| line.starts_with("from:")).collect();
    let addresses: usize = authors.iter().map(|line| line.matches('@').count()).sum();
    let marked =
        ["x-spam-flag: yes", "x-spam-status: yes", "x-spam: yes"].iter().any(|mark| head.contains(mark));
    let parts = ["report-type=", "message/delivery-status", "\r\nlist-id:"];
    match (decision.reason, message.automation.because) {
        (Reason::NoSingleFrom, _) if (authors.len(), addresses) != (1, 1) => Some("no author, or several"),
        (Reason::HeadersOnly, _) if head.len() > 64 * 1024 => Some("a header over the limit"),
        (_, Some(Sign::SpamFlag)) if marked => Some("a filter on its way marked it as spam"),
        (Reason::Backscatter | Reason::FeedbackReport | Reason::ListNotToUs, _)
            if parts.iter().any(|part| text.contains(part)) =>
        {
            Some("a report or a list's by its structure, below what the manifest looked at")
        }
        (_, Some(Sign::NoReplySender | Sign::MachineSender)) => {
            Some("an address that no person reads: noreply, a monitor's, a server's, a list's")
        }
        _ => None,
    }
}

#[test]
fn the_table_acknowledges_people_alone() {
    let Some(rows) = corpus() else { return };
    let policy = Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy");
    let (site, now) = (acuse::site::Site::nobody(), "2026-09-16T15:00:00Z".parse().expect("a time"));
    let arrival = Arrival { mailbox: "soporte".to_owned(), recipient: None, received: now, backlog: false };
    let mut table: BTreeMap<(&str, &str), [usize; 4]> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut people, mut wrongly, mut withheld) = (0, Vec::new(), Vec::new());
    for row in &rows {
        let message = acuse::mail::parse(&row.raw);
        let verdict = classify(&message, &policy);
        let decision = triage(&message, &verdict, &arrival, &Facts::default(), &site, &policy, now);
        let (forbidden, sent) = (row.must_not_ack == Some(true), decision.ack.send);
        let counts = table.entry((&row.category, &row.source)).or_default();
        counts[usize::from(forbidden) * 2 + usize::from(sent)] += 1;
        let miss = || {
            let sign = message.automation.because.map_or("no sign of a machine", Sign::meaning);
            let Decision { reason, ack, .. } = &decision;
            let class = message.automation.kind.as_str();
            let words = format!("{} {} {sign}", reason.meaning(), ack.because.meaning());
            format!("{} [{class}, {}, {}]: {words}", row.path, reason.as_str(), ack.because.as_str())
        };
        if forbidden && sent {
            // of a report that a person forwards, the expectation speaks of the report
            match row.is_forward {
                true => *kinds.entry("a person's forward of a report").or_default() += 1,
                false => wrongly.push(miss()),
            }
        }
        if is_a_persons(row) {
            match beyond_the_manifest(row, &message, &decision).filter(|_| !sent) {
                Some(kind) => *kinds.entry(kind).or_default() += 1,
                None => people += 1,
            }
            if !sent && beyond_the_manifest(row, &message, &decision).is_none() {
                withheld.push(miss());
            }
        }
    }
    println!("category / source: silent, acknowledged; silent, acknowledged though must_not_ack");
    for ((category, source), [silent, sent, kept, broken]) in &table {
        println!("{category:10} {source:22} {silent:4} {sent:4} {kept:4} {broken:4}");
    }
    println!("not counted, by kind: {kinds:#?}");
    println!("acknowledged though must_not_ack: {wrongly:#?}");
    println!("people's mails {people}, withheld {}: {withheld:#?}", withheld.len());
    assert_eq!(wrongly, [""; 0], "machines would be acknowledged");
    let share = withheld.len() as f64 / f64::from(people);
    assert!(share <= WITHHELD_AT_MOST, "{share:.4} of people's mails would not be acknowledged");
}
