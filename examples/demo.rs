//! `cargo demo`: the real daemon on a dozen mails, with mail servers of its own on loopback.
//!
//! No root, no configuration, no network. It starts an IMAP and an SMTP server in this process, a site in a
//! temporary directory and `acuse run` on it; delivers `fixtures/mail/`; and shows what came of it. `--stay`
//! leaves everything running and says how to send a mail of one's own.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it delivers mail now")]
#![allow(clippy::indexing_slicing, reason = "of JSON alone, where what is absent is null")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::iter;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;

use support::acuse::{ADDRESS, PASSWORD, Site, USER};
use support::imap_peer::{self, ImapPeer};
use support::smtp_peer::{self, Mail, SmtpPeer};
use support::{PATIENCE, fixture, header, within};

#[path = "../tests/support/mod.rs"]
mod support;

/// Mails from customers and machines, as they would come in on a weekday.
const MORNING: [&str; 12] = [
    "outage-es.eml",
    "firewall-es.eml",
    "password-reset-en.eml",
    "payment-new-es.eml",
    "payment-reactivation-es.eml",
    "payment-renewal-es.eml",
    "nothing-matches-es.eml",
    "wrong-charset-es.eml",
    "forwarded-outlook-es.eml",
    "html-only-es.eml",
    "newsletter-es.eml",
    "monitor-alert-en.eml",
];

/// The customers whose plan is not the one that every service includes: address or domain, plan, name.
const CUSTOMERS: [(&str, &str, &str); 3] = [
    ("maria.perez@laespiga.example", "n2", "María Pérez"),
    ("eltornillo.example", "n2", "Ferretería El Tornillo"),
    ("clinicasonrisa.example", "n3", "Clínica Sonrisa"),
];

/// Mails that answer an acknowledgement, and the address it had gone to.
const ANSWERS: [(&str, &str); 3] = [
    ("reply-to-ack-es.eml", "maria.perez@laespiga.example"),
    ("vacation-es.eml", "carlos.rincon@eltornillo.example"),
    ("bounce-mailbox-unknown.eml", "jorge@tallerandino.example"),
];

/// The acknowledgement that is shown in full.
const SHOWN: &str = "maria.perez@laespiga.example";

/// What the answers in `fixtures/mail/` have in place of what only a run can tell.
const ACK_PLACEHOLDER: &str = "the-ack@placeholder.example";
const CASE_PLACEHOLDER: &str = "ACU-0";

/// The word in front of the arguments when this program plays `acuse`.
const AS_ACUSE: &str = "--as-acuse";

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // The daemon is a process of its own, as in life; cargo builds no binary for an example, so this
        // program is also the one it starts.
        [AS_ACUSE, ..] => Ok(acuse(&args)),
        [] => demo(false),
        ["--stay"] => demo(true),
        other => anyhow::bail!("usage: cargo demo [--stay], not {}", other.join(" ")),
    }
}

fn demo(stay: bool) -> anyhow::Result<ExitCode> {
    let imap = Arc::new(ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD));
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let mailbox = imap.clone();
    smtp.on_mail(move |mail| take_in(&mailbox, mail));
    let mut site = Site::builder(imap.address(), smtp.address())
        .set("auth.authserv_id", "mx.mihost.example")
        .program(std::env::current_exe().context("this program's own path")?, &[AS_ACUSE])
        .init();
    for (key, plan, name) in CUSTOMERS {
        site.text(&["customers", "set", key, "--plan", plan, "--name", name]);
    }
    site.run();
    imap.wait_for_idle(USER, "INBOX"); // the first pass is over: what comes now is answered

    let mut delivered = Vec::new();
    for name in MORNING {
        delivered.push(deliver(&imap, name, fixture(name)));
    }
    settle(&site, &imap, delivered.len())?;
    for (name, address) in ANSWERS {
        delivered.push(deliver(&imap, name, answer(&site, &smtp, name, address)));
    }
    settle(&site, &imap, delivered.len())?;

    println!("{} mails came in. What `acuse tickets list` shows of them:\n", delivered.len());
    println!("{}", site.text(&["tickets", "list"]));
    show_acknowledgement(&site, &smtp)?;
    show_silent(&site, &smtp, &delivered)?;
    if stay {
        keep_open(&site, &smtp)?;
    }
    let ended = site.stop();
    anyhow::ensure!(ended.success(), "acuse run ended with {ended}; its log:\n{}", site.log());
    Ok(ExitCode::SUCCESS)
}

/// A mail that was laid into the mailbox.
struct Delivered {
    name: &'static str,
    message_id: String,
    from: String,
}

fn deliver(imap: &ImapPeer, name: &'static str, raw: Vec<u8>) -> Delivered {
    imap.deliver(USER, "INBOX", &raw, Timestamp::now());
    let field = |name| header(&raw, name).unwrap_or_default();
    let from = field("From");
    let address = from.rsplit_once('<').map_or(from.as_str(), |(_, address)| address);
    Delivered { name, message_id: bare(&field("Message-ID")).to_owned(), from: bare(address).to_owned() }
}

/// Without angle brackets.
fn bare(text: &str) -> &str {
    text.trim_matches(['<', '>'])
}

/// What the host's mail transport does with mail to the support address: into the mailbox with it.
fn take_in(mailbox: &ImapPeer, mail: &Mail) {
    if mail.recipients.iter().any(|recipient| recipient.address.eq_ignore_ascii_case(ADDRESS)) {
        let trace = format!("Return-Path: <{}>\r\nDelivered-To: {ADDRESS}\r\n", mail.sender);
        mailbox.deliver(USER, "INBOX", &[trace.as_bytes(), &mail.raw].concat(), Timestamp::now());
    }
}

/// A fixture that answers the acknowledgement sent to `address`, with that one's Message-ID and case number.
fn answer(site: &Site, smtp: &SmtpPeer, name: &str, address: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(&fixture(name)).into_owned();
    let ack = smtp.mails_to(address).first().and_then(Mail::message_id);
    let tickets = site.tickets();
    let ticket = tickets.iter().find(|ticket| ticket["requester"] == address);
    let case = ticket.and_then(|ticket| ticket["number"].as_str());
    text.replace(ACK_PLACEHOLDER, &ack.unwrap_or_else(|| ACK_PLACEHOLDER.to_owned()))
        .replace(CASE_PLACEHOLDER, case.unwrap_or(CASE_PLACEHOLDER))
        .into_bytes()
}

/// Waits until every mail has its outcome and has left INBOX, and every acknowledgement is out.
fn settle(site: &Site, imap: &ImapPeer, mails: usize) -> anyhow::Result<()> {
    let left = within(PATIENCE, || imap.messages(USER, "INBOX").is_empty().then_some(()));
    left.with_context(|| format!("mails are left after {PATIENCE:?}; the log:\n{}", site.log()))?;
    site.wait_until_sent();
    let check = site.assert_conserved();
    anyhow::ensure!(check["listed"] == mails, "{mails} mails came in, the database says: {check}");
    Ok(())
}

fn show_acknowledgement(site: &Site, smtp: &SmtpPeer) -> anyhow::Result<()> {
    let mails = smtp.mails_to(SHOWN);
    let ack = mails.first().with_context(|| format!("no acknowledgement for {SHOWN}"))?;
    let read = inspect(site, ack)?;
    println!("The acknowledgement that {SHOWN} received:\n");
    for field in ["From", "To", "In-Reply-To", "Message-ID", "Auto-Submitted"] {
        println!("  {field}: {}", ack.header(field).unwrap_or_default());
    }
    println!("  Subject: {}\n", read["subject"].as_str().unwrap_or_default());
    for line in read["text"].as_str().unwrap_or_default().lines() {
        println!("{}", format!("  {line}").trim_end());
    }
    println!();
    Ok(())
}

/// What `acuse inspect` reads in a mail.
fn inspect(site: &Site, mail: &Mail) -> anyhow::Result<Value> {
    let file = site.directory().join("mail.eml");
    fs::write(&file, &mail.raw)?;
    Ok(site.json(&["inspect", &file.display().to_string()]))
}

/// Every mail that nobody was sent an acknowledgement for, and the reason that was stored with it.
fn show_silent(site: &Site, smtp: &SmtpPeer, delivered: &[Delivered]) -> anyhow::Result<()> {
    let answered: Vec<_> = smtp.mails().iter().filter_map(|mail| mail.header("In-Reply-To")).collect();
    let is_silent = |mail: &&Delivered| !answered.iter().any(|id| bare(id) == mail.message_id);
    let silent: Vec<_> = delivered.iter().filter(is_silent).collect();
    let mut fates = BTreeMap::new();
    for ticket in site.tickets() {
        let alone = ticket["messages"] == 1;
        if alone && !silent.iter().any(|mail| ticket["requester"] == mail.from.as_str()) {
            continue; // its only mail was answered
        }
        let number = ticket["number"].as_str().context("a ticket's number")?;
        let shown = site.json(&["tickets", "show", number]);
        for message in shown["messages"].as_array().into_iter().flatten() {
            let word = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            fates.insert(word("message_id"), format!("{number}, {}: {}", word("outcome"), word("reason")));
        }
    }
    let quarantined = site.json(&["quarantine", "list"]);
    println!("Sent no acknowledgement, and why:\n");
    for mail in silent {
        let in_quarantine = || {
            let is_it = |row: &&Value| row["from"].as_str().is_some_and(|from| from.contains(&mail.from));
            let row = quarantined.as_array()?.iter().find(is_it)?;
            Some(format!("quarantined: {}", row["reason"].as_str()?))
        };
        let fate = fates.get(&mail.message_id).cloned().or_else(in_quarantine);
        println!("  {:<28} {}", mail.name, fate.unwrap_or_else(|| explain(site, mail.name)));
    }
    println!();
    Ok(())
}

/// What the policy says of a mail that left neither ticket nor quarantine row.
fn explain(site: &Site, name: &str) -> String {
    let file = format!("{}/fixtures/mail/{name}", env!("CARGO_MANIFEST_DIR"));
    let decision = site.json(&["explain", &file]);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}: {}", word(&decision["action"]), word(&decision["reason"]))
}

fn keep_open(site: &Site, smtp: &SmtpPeer) -> anyhow::Result<()> {
    let port = smtp.address().port();
    let config = site.config_file();
    println!("Everything stays up. Send a mail of your own:\n");
    println!(
        "  printf 'From: Ana <ana@customer.example>\\nTo: {ADDRESS}\\nSubject: El correo no funciona\\n\\n\\"
    );
    println!("Desde ayer no podemos enviar correos.\\n' | curl --crlf -sS smtp://127.0.0.1:{port} \\");
    println!("    --mail-from ana@customer.example --mail-rcpt {ADDRESS} -T -\n");
    println!("and look at what it became:\n");
    println!("  cargo run -q -- --config {} tickets list\n", config.display());
    let (enter, entered) = mpsc::channel();
    let keyboard = enter.clone();
    if io::stdin().is_terminal() {
        println!("Enter ends it.\n");
        thread::spawn(move || io::stdin().read_line(&mut String::new()).map(|_| keyboard.send(())));
    }
    let mut shown = smtp.mails().len();
    while entered.recv_timeout(Duration::from_millis(100)).is_err() {
        let mails = smtp.mails();
        for mail in mails.iter().skip(shown) {
            let to: Vec<_> = mail.recipients.iter().map(|to| to.address.as_str()).collect();
            let subject = inspect(site, mail)?["subject"].as_str().unwrap_or_default().to_owned();
            println!("{} → {}: {subject}", mail.header("From").unwrap_or_default(), to.join(", "));
        }
        shown = mails.len();
    }
    drop(enter);
    Ok(())
}

/// Plays the `acuse` program; `args` begin with [`AS_ACUSE`].
fn acuse(args: &[String]) -> ExitCode {
    // A demo that is killed must not leave its daemon behind; prctl(2), PR_SET_PDEATHSIG.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    let arguments = iter::once("acuse").chain(args.iter().skip(1).map(String::as_str));
    acuse::cli::main(arguments.map(OsString::from))
}
