//! A corpus of mails that nobody of this project wrote, laid into a real Dovecot and drained by the real daemon.
//!
//! `ACUSE_CORPUS` names its directory: `manifest.jsonl` with a row a mail (`path`, `format`, `expect.must_not_ack`),
//! and the mails. Without it the test says so and proves nothing.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use acuse::mail::ContentHash;
use acuse::store::{Store, TicketFilter, open};
use serde_json::Value;
use support::acuse::{Site, USER};
use support::dovecot::Dovecot;
use support::smtp_peer::{self, SmtpPeer};
use support::within;

mod support;

/// A mail of the corpus.
struct Row {
    path: String,
    raw: Vec<u8>,
    hash: ContentHash,
    must_not_ack: Option<bool>,
    is_spam: bool,
    is_forward: bool,
}

fn corpus() -> Option<Vec<Row>> {
    #[allow(clippy::disallowed_methods, reason = "where the corpus lies is the runner's to say")]
    let Ok(directory) = std::env::var("ACUSE_CORPUS") else {
        println!("ACUSE_CORPUS is not set: no corpus was read, nothing is proved here");
        return None;
    };
    let directory = PathBuf::from(directory);
    let manifest = std::fs::read_to_string(directory.join("manifest.jsonl")).expect("the manifest");
    let rows = manifest.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row"));
    Some(rows.filter(|row| row["format"] == "rfc822").filter_map(|row| read(&directory, &row)).collect())
}

fn read(directory: &Path, row: &Value) -> Option<Row> {
    let path = row["path"].as_str()?.to_owned();
    let raw = as_delivered(&std::fs::read(directory.join(&path)).expect("a mail of the manifest"));
    let message = acuse::mail::parse(&raw);
    let expect = &row["expect"];
    let is_spam = expect["is_spam"] == true;
    let (hash, is_forward) = (message.content_hash, message.is_forward());
    Some(Row { path, raw, hash, must_not_ack: expect["must_not_ack"].as_bool(), is_spam, is_forward })
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
