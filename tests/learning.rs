//! The learning loop as operators walk it: what nobody recognises, what a person says of it, what that teaches the rules,
//! and what a change would do to the mail that came before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test"
)]

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use acuse::ingest::{self, Fetched, Read, Reading};
use acuse::policy::{Policy, PolicyFiles};
use acuse::store::{self, Intake};
use acuse::triage::Arrival;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use serde_json::{Value, json};
use support::acuse::{ADDRESS, Site};
use support::stage::Stage;

mod support;

const FINDINGS: i32 = 1;
const USAGE: i32 = 64;
/// A Wednesday within business hours.
const NOW: &str = "2026-09-16T09:15:00-05:00";
/// What no shipped rule knows.
const PRINTER: &str = "Buenos días. La impresora fiscal ya no imprime las tirillas. Gracias.";
const OUTAGE: &str = "Mi página no carga desde las ocho.";

/// A site without a daemon, whose servers nobody asks.
fn site() -> Site {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    Site::builder(nobody, nobody).init()
}

fn mail(customer: &str, subject: &str, text: &str) -> Vec<u8> {
    format!(
        "From: Ana Restrepo <{customer}@cliente.example>\r\nTo: {ADDRESS}\r\nSubject: {subject}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

/// `acuse ingest` of a mail at [`NOW`]; its ticket.
fn ticket(site: &Site, customer: &str, subject: &str, text: &str) -> String {
    let mut command = site.command(&["ingest", "--json", "--now", NOW]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&mail(customer, subject, text)).unwrap();
    let told: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    told["ticket"].as_str().expect("a ticket").to_owned()
}

fn reclassify(site: &Site, number: &str, what: &[&str]) -> Value {
    let args = ["tickets", "reclassify", number, "--because", "no pueden facturar", "--now", NOW];
    let output = site.command(&[&args, what, &["--json"]].concat()).env("USER", "luz").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn database(site: &Site) -> Connection {
    Connection::open(site.state_dir().join("acuse.db")).unwrap()
}

/// A directory of the site with one file of rules in it.
fn candidate(site: &Site, name: &str, rules: &str) -> String {
    let directory: PathBuf = site.directory().join(name);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("candidate.toml"), rules).unwrap();
    directory.display().to_string()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
}

/// What a command prints that ends with findings.
#[track_caller]
fn findings(site: &Site, args: &[&str]) -> Value {
    let output = site.acuse(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(FINDINGS), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

// ── a person's word ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_promise_that_nobody_heard_of_follows_a_person_s_word_and_so_does_its_acknowledgement() {
    let site = site();
    let number = ticket(&site, "ana", "Caja", PRINTER);
    let before = site.json(&["tickets", "show", &number]);
    assert_eq!((&before["impact"], &before["flags"]), (&json!("medium"), &json!(["unclassified"])));
    assert_eq!(before["promise"]["due_by"], "2026-09-16T14:15:00-05:00");
    let message_id = site.json(&["outbox", "list"])[0]["message_id"].clone();

    let told = reclassify(&site, &number, &["--case", "outage"]);
    assert_eq!(told["overdue"], false);
    assert_eq!(told["from"], json!({ "impact": "medium", "case": null }));
    assert_eq!(told["to"], json!({ "impact": "high", "case": "outage" }));
    assert_eq!((&told["promise"], &told["by"]), (&json!("replaced"), &json!("luz")));

    let page = site.json(&["tickets", "show", &number]);
    assert_eq!(
        (&page["impact"], &page["case"], &page["rule"]),
        (&json!("high"), &json!("outage"), &Value::Null)
    );
    assert_eq!((&page["flags"], &page["corrected"]["because"]), (&json!([]), &json!("no pueden facturar")));
    assert_eq!(page["promise"]["due_by"], "2026-09-16T10:15:00-05:00");
    let event =
        page["events"].as_array().unwrap().iter().find(|event| event["kind"] == "reclassified").unwrap();
    assert_eq!(
        (&event["detail"]["by"], &event["detail"]["from"]["impact"]),
        (&json!("luz"), &json!("medium"))
    );

    let outbox = site.json(&["outbox", "list"]);
    assert_eq!(
        (outbox.as_array().unwrap().len(), &outbox[0]["message_id"]),
        (1, &message_id),
        "one, the same (I5)"
    );
    let ack = site.json(&["outbox", "show", "1"]);
    assert_eq!(ack["kind"], "ack");
    let text = ack["text"].as_str().unwrap();
    assert!(text.contains("10:15 a. m.") && text.contains("alto"), "{text}");
    site.assert_conserved();
}

#[test]
fn a_promise_that_is_past_by_a_person_s_word_is_acknowledged_as_late() {
    let site = site();
    let number = ticket(&site, "ana", "Caja", PRINTER);
    let later = "2026-09-16T12:00:00-05:00";
    let told = site.text(&[
        "tickets",
        "reclassify",
        &number,
        "--impact",
        "high",
        "--because",
        "caído",
        "--now",
        later,
    ]);
    assert!(told.contains("made anew: 2026-09-16 10:15, and is over: answer now"), "{told}");
    assert_eq!(site.json(&["outbox", "show", "1"])["kind"], "late");
    let listed = site.text(&["tickets", "list"]);
    assert!(!listed.contains("unclassified"), "{listed}");
    site.text(&["tickets", "reclassify", &number, "--impact", "low", "--because", "no", "--now", later]);
    assert_eq!(site.json(&["outbox", "show", "1"])["kind"], "ack", "the promise of low is not past");
    site.assert_conserved();
}

#[test]
fn a_promise_that_was_mailed_stays_and_nothing_more_is_mailed() {
    let stage = Stage::open(|site| site);
    stage.receive("ana@cliente.example", "La impresora fiscal no imprime");
    stage.in_state("ana@cliente.example", "sent");
    let before = stage.site.json(&["tickets", "show", "ACU-1"])["promise"].clone();
    let told =
        stage.site.json(&["tickets", "reclassify", "1", "--impact", "high", "--because", "no facturan"]);
    assert_eq!((&told["promise"], &told["due_by"]), (&json!("stays"), &before["due_by"]));
    assert_eq!(told["overdue"], false);
    let late =
        ["tickets", "reclassify", "1", "--impact", "high", "--because", "x", "--now", "2099-01-01T00:00"];
    let told = stage.site.text(&late);
    assert!(
        told.contains("the promise that was mailed stays: ") && told.ends_with(", and is over: answer now\n")
    );
    let page = stage.site.json(&["tickets", "show", "ACU-1"]);
    assert_eq!((&page["impact"], &page["promise"]), (&json!("high"), &before));
    assert_eq!(stage.count("SELECT count(*) FROM outbox"), 1);
    assert_eq!(stage.count("SELECT count(*) FROM promise"), 1);
    stage.site.assert_conserved();
}

#[test]
fn a_raise_that_is_taken_back_never_makes_anybody_wait_longer_than_they_were_told() {
    for told in ["state = 'sent', offered = 1, attempts = 1, sent = 1", "state = 'sending', attempts = 1"] {
        let site = site();
        let number = ticket(&site, "ana", "Caja", PRINTER);
        database(&site).execute(&format!("UPDATE outbox SET {told}"), []).unwrap();
        assert_eq!(ticket(&site, "ana", &format!("Sobre {number}"), OUTAGE), number);
        let due = || site.json(&["tickets", "show", &number])["promise"]["due_by"].clone();
        assert_eq!(due(), "2026-09-16T10:15:00-05:00", "raised, and not mailed yet: {told}");
        assert_eq!(reclassify(&site, &number, &["--impact", "low"])["promise"], "replaced");
        assert_eq!(due(), "2026-09-16T14:15:00-05:00", "six hours would end at 15:15: {told}");
    }
}

#[test]
fn a_closed_ticket_may_be_put_right_and_keeps_no_promise() {
    let site = site();
    let number = ticket(&site, "ana", "Caja", PRINTER);
    database(&site)
        .execute_batch(
            "UPDATE ticket SET state = 'closed', closed_at = 1; UPDATE promise SET ended = 1, ended_by = 'closed'",
        )
        .unwrap();
    let told = reclassify(&site, &number, &["--impact", "medium"]);
    assert_eq!((&told["promise"], &told["due_by"]), (&Value::Null, &Value::Null));
    assert_eq!(told["from"]["impact"], told["to"]["impact"], "a confirmation is remembered as well");
    let row = &site.json(&["tickets", "list"])[0];
    assert_eq!((&row["state"], &row["corrected"]["impact"]), (&json!("closed"), &json!("medium")));
    site.assert_conserved();
    site.text(&["tickets", "delete", &number, "--yes"]);
    site.assert_conserved();
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_can() {
    let site = site();
    let number = ticket(&site, "ana", "Caja", PRINTER);
    let try_it =
        |args: &[&str]| site.acuse(&[&["tickets", "reclassify"], args, &["--because", "x"]].concat());
    refused(&try_it(&["ACU-9", "--impact", "high"]), USAGE, &["there is no ticket `ACU-9`"]);
    refused(
        &try_it(&["nueve", "--impact", "high"]),
        USAGE,
        &["not a ticket's number", "hint: such as ACU-12"],
    );
    refused(&try_it(&[&number, "--impact", "alto"]), USAGE, &["write high, medium or low"]);
    refused(&try_it(&[&number, "--case", "outege"]), USAGE, &["no case `outege`", "did you mean `outage`?"]);
    let mixed = try_it(&[&number, "--case", "outage", "--impact", "low"]);
    refused(&mixed, USAGE, &["the case `outage` is high, not low", "howto"]);
    refused(&try_it(&[&number]), USAGE, &["--impact"]);
    let blank = ["tickets", "reclassify", &number, "--impact", "high", "--because", " "];
    refused(&site.acuse(&blank), USAGE, &["--because says nothing", "hint: "]);
    assert_eq!(site.json(&["tickets", "show", &number])["corrected"], Value::Null);
}

#[test]
fn an_impact_alone_takes_the_case_away_and_says_so() {
    let site = site();
    let number = ticket(&site, "ana", "Urgente", OUTAGE);
    let low = ["tickets", "reclassify", &number, "--impact", "low", "--because", "era su equipo"];
    let told = site.text(&low);
    assert!(told.contains(" → low, without a case;"), "{told}");
    assert!(site.text(&low).contains("stays low: confirmed"), "there is none to lose any more");
}

#[test]
fn who_confirms_the_impact_alone_leaves_the_case_and_its_rule() {
    let site = site();
    let number = ticket(&site, "ana", "Urgente", OUTAGE);
    let was = site.json(&["tickets", "show", &number]);
    let told = reclassify(&site, &number, &["--impact", "high"]);
    assert_eq!((&told["from"], &told["to"]), (&told["to"], &json!({ "impact": "high", "case": "outage" })));
    let is = site.json(&["tickets", "show", &number]);
    assert_eq!((&is["case"], &is["rule"]), (&was["case"], &was["rule"]));
    assert!(is["rule"].is_string() && is["corrected"]["case"] == "outage", "{is}");
    let text = site.json(&["outbox", "show", "1"])["text"].as_str().unwrap().to_owned();
    assert!(text.contains("impacto alto, caída"), "{text}");
}

#[test]
fn explain_tells_then_now_and_what_a_person_said() {
    let site = site();
    let number = ticket(&site, "ana", "Caja", PRINTER);
    let same = site.json(&["explain", &number]);
    assert_eq!((&same["verdict"]["impact"], &same["now"]["impact"]), (&Value::Null, &json!("medium")));
    assert_eq!(same["corrected"], Value::Null);
    let page = site.text(&["explain", &number]);
    assert!(page.contains("the same: medium, unclassified, by no rule") && !page.contains("today"), "{page}");

    fs::write(
        site.directory().join("rules/caja.toml"),
        "[[rule]]\nid = \"caja\"\ncase = \"outage\"\nany = [\"impresora ..3 no imprime\"]\n\
         yes = [\"la impresora no imprime\"]\n",
    )
    .unwrap();
    reclassify(&site, &number, &["--case", "malfunction"]);
    let told = site.json(&["explain", &number]);
    assert_eq!(
        (&told["verdict"]["impact"], &told["impact"]),
        (&Value::Null, &json!("medium")),
        "as it was decided"
    );
    assert_eq!((&told["now"]["verdict"]["rule"], &told["now"]["impact"]), (&json!("caja"), &json!("high")));
    assert_eq!(told["corrected"]["case"], "malfunction");
    let page = site.text(&["explain", &number]);
    for words in [
        "today    high, malfunction, due by 2026-09-16 10:15\n",
        "at its first mail it was:\nimpact   medium",
        "was      medium, unclassified, by no rule\nnow      high, outage, by the rule caja\n",
        "«impresora fiscal ya no imprime»",
        "says luz: no pueden",
    ] {
        assert!(page.contains(words), "no `{words}` in:\n{page}");
    }
}

// ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────

/// A site that a few kinds of mail came to: three of them no rule knows.
fn busy() -> Site {
    let site = site();
    for n in 0..3 {
        ticket(&site, &format!("a{n}"), "Caja", &format!("{PRINTER} Es la caja {n}."));
        ticket(&site, &format!("b{n}"), "Urgente", &format!("{OUTAGE} Es el {n}."));
        ticket(
            &site,
            &format!("c{n}"),
            "Mi clave",
            &format!("Necesito restablecer la contraseña del correo {n}."),
        );
    }
    site
}

#[test]
fn the_loop_from_what_nobody_knows_to_a_rule_that_does() {
    let site = busy();
    let unknown = site.json(&["rules", "unmatched"]);
    assert_eq!((&unknown["unmatched"], &unknown["classified"]), (&json!(3), &json!(6)));
    let page = site.text(&["rules", "unmatched", "--limit", "1"]);
    assert!(page.contains("and 2 more: --limit") && page.contains("next: `acuse tickets recl"), "{page}");
    let nothing = site.text(&["rules", "unmatched", "--since", "2026-09-17T00:00"]);
    assert_eq!(nothing.trim_end(), "no mail since 2026-09-17 00:00");
    let words: Vec<_> =
        unknown["words"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
    assert!(["impresora", "imprime", "fiscal"].iter().all(|word| words[..5].contains(word)), "{words:?}");
    let first = &unknown["mails"][0];
    assert!(first["words"].as_array().unwrap().contains(&json!("imprime")), "{first}");
    let number = first["number"].as_str().unwrap().to_owned();

    let learn = ["rules", "learn", &number];
    refused(&site.acuse(&learn), USAGE, &["nobody has said yet", "tickets reclassify"]);
    reclassify(&site, &number, &["--impact", "high"]);
    refused(&site.acuse(&learn), USAGE, &["a rule needs a case", "outage|malfunction"]);
    reclassify(&site, &number, &["--case", "outage"]);
    assert!(site.text(&["rules", "unmatched"]).contains("outage"), "what a person said of it stands there");

    let lesson = site.json(&learn);
    assert_eq!((&lesson["passes"], &lesson["failures"]), (&json!(true), &json!([])));
    assert_eq!(lesson["changes"].as_array().unwrap().len(), 3, "{lesson:#}");
    let printed = site.text(&learn);
    assert!(printed.starts_with(&format!("# {number}: no pueden facturar\n[[extend]]\n")), "{printed}");
    assert!(!printed.contains("Restrepo") && !printed.contains("cliente"), "{printed}");

    let candidate = candidate(&site, "next", &printed);
    let report = site.json(&["rules", "backtest", "--with", &candidate]);
    assert_eq!((&report["mails"], &report["changed"]), (&json!(9), &json!(3)));
    assert_eq!(report["changes"], json!({ "none": { "high": 3 } }));
    let recall = |when: &str| report["corrected"][when]["per_impact"]["high"]["recall"].clone();
    assert_eq!((recall("before"), recall("after")), (json!(0.0), json!(1.0)));

    fs::write(site.directory().join("rules/learned.toml"), printed).unwrap();
    site.text(&["rules", "test"]);
    assert_eq!(site.json(&["rules", "unmatched"])["unmatched"], 0);
    let again = site.json(&learn);
    assert_eq!(again["phrase"], Value::Null, "it is known now: a yes line keeps it so");
    assert!(again["toml"].as_str().unwrap().starts_with("[[extend]]\nrule = "), "{again}");
}

#[test]
fn a_rule_that_was_wrong_is_beaten_by_the_one_that_is_learned() {
    let site = busy();
    let number = ticket(&site, "eva", "Mostrador", "Mi página no carga en el mostrador desenchufado.");
    assert_eq!(site.json(&["tickets", "show", &number])["case"], "outage");
    reclassify(&site, &number, &["--case", "howto"]);
    let lesson = site.json(&["rules", "learn", &number]);
    let toml = lesson["toml"].as_str().unwrap();
    assert!(
        toml.starts_with("[[rule]]") && toml.contains("beats = [") && lesson["passes"] == true,
        "{lesson:#}"
    );
    assert_eq!(lesson["changes"][0]["number"], number);
    assert_eq!(lesson["changes"].as_array().unwrap().len(), 1, "{lesson:#}");
}

#[test]
fn stats_count_what_each_rule_did_and_where_people_disagreed() {
    let site = busy();
    let outages: Vec<Value> = site.json(&["tickets", "list"]).as_array().unwrap().clone();
    let outages: Vec<&Value> = outages.iter().filter(|ticket| ticket["case"] == "outage").collect();
    let rule = outages[0]["rule"].as_str().unwrap();
    reclassify(&site, outages[0]["number"].as_str().unwrap(), &["--impact", "low"]);
    reclassify(&site, outages[1]["number"].as_str().unwrap(), &["--case", "outage"]);
    let stats = site.json(&["rules", "stats"]);
    assert_eq!((&stats["mails"], &stats["unclassified"]), (&json!(9), &json!(3)));
    let rules = stats["rules"].as_array().unwrap();
    let record = rules.iter().find(|record| record["rule"] == rule).unwrap();
    assert_eq!((&record["hits"], &record["away"], &record["confirmed"]), (&json!(3), &json!(1), &json!(1)));
    assert_eq!((&record["last"], &record["in_force"]), (&json!(NOW), &json!(true)));
    assert!((record["precision"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    assert!(!stats["never"].as_array().unwrap().contains(&json!(rule)));
    assert!(stats["never"].as_array().unwrap().len() > 5);
    let none = site.json(&["rules", "stats", "--since", "2026-09-17T00:00"]);
    assert_eq!((&none["mails"], &none["since"]), (&json!(0), &json!("2026-09-17T00:00:00-05:00")));
    let page = site.text(&["rules", "stats", "--since", "90d", "--now", NOW]);
    assert!(
        page.contains("9 mails, 3 of them recognised by no rule") && page.contains("never matched: "),
        "{page}"
    );
}

// ── backtest ──────────────────────────────────────────────────────────────────────────────────────────────

/// Takes in so many mails of each kind at once, an hour apart, through the library's own path.
fn take_in(site: &Site, each: usize) -> usize {
    let policy = Policy::compile(&PolicyFiles::shipped()).0.unwrap();
    let ours = acuse::site::Site::nobody();
    let mut store = store::open(&site.state_dir()).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let kinds = [
        ("Urgente", OUTAGE),
        ("Mi clave", "Necesito restablecer la contraseña de mi correo."),
        ("Informe", "¿Me pueden enviar el informe de uso del mes?"),
        ("Caja", PRINTER),
    ];
    let mut mails = Vec::new();
    for n in 0..each {
        for (subject, text) in kinds {
            let raw = mail(&format!("c{n}"), subject, text);
            let received = now - SignedDuration::from_hours(i64::try_from(n).unwrap());
            let arrival = Arrival { mailbox: "soporte".into(), recipient: None, received, backlog: true };
            mails.push((raw, arrival));
        }
    }
    let claim = |tx: &store::Tx<'_>, raw: &[u8], at| tx.claim_unlisted(Intake::Stdin, at, raw.len(), now);
    let ids = store
        .transaction(|tx| mails.iter().map(|(raw, arrival)| claim(tx, raw, arrival.received)).collect())
        .unwrap();
    let ids: Vec<store::ArrivalId> = ids;
    let fetched: Vec<(Fetched, Read)> = ids
        .into_iter()
        .zip(mails)
        .map(|(id, (raw, arrival))| {
            let read = Read::new(&raw, Reading::Whole, &policy).unwrap();
            (Fetched { id, arrival, raw, reading: Reading::Whole, stays: false }, read)
        })
        .collect();
    ingest::batch(&mut store, &fetched, None, &ours, &policy, now).unwrap().len()
}

#[test]
fn a_backtest_over_a_thousand_mails_finds_what_changes_and_what_would_be_missed() {
    let site = site();
    assert_eq!(take_in(&site, 256), 1024);
    let present = site.json(&["rules", "backtest"]);
    assert_eq!(
        (&present["mails"], &present["changed"], &present["unread"]),
        (&json!(1024), &json!(0), &json!(0))
    );
    assert_eq!(present["policy"]["before"], Value::Null);

    let finer = candidate(
        &site,
        "finer",
        "[[rule]]\nid = \"caja\"\ncase = \"outage\"\nany = [\"impresora ..3 no imprime\"]\n\
         yes = [\"la impresora no imprime\"]\n",
    );
    let report = site.json(&["rules", "backtest", "--with", &finer]);
    assert_eq!(report["changes"], json!({ "none": { "high": 256 } }));
    assert_eq!(report["tickets"].as_array().unwrap().len(), 256);
    assert_eq!(
        (&report["tickets"][0]["to"]["rule"], &report["tickets"][0]["opened"]),
        (&json!("caja"), &json!(true))
    );
    assert_ne!(report["policy"]["before"], report["policy"]["after"]);
    let last_day = site.json(&["rules", "backtest", "--with", &finer, "--since", "23h", "--now", NOW]);
    assert_eq!((&last_day["mails"], &last_day["changed"]), (&json!(96), &json!(24)));
    assert_eq!(site.json(&["rules", "backtest", "--limit", "8"])["mails"], 8);

    let outage = site
        .json(&["tickets", "list"])
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["case"] == "outage")
        .cloned();
    let outage = outage.unwrap();
    let number = outage["number"].as_str().unwrap();
    reclassify(&site, number, &["--case", "outage"]);
    let blind = ["site-not-loading", "nothing-named"]
        .map(|rule| format!("[[extend]]\nrule = \"{rule}\"\nunless = [\"desde las ocho\"]\n"));
    let blind = candidate(&site, "blind", &blind.concat());
    let missed = findings(&site, &["rules", "backtest", "--with", &blind]);
    assert_eq!(missed["missed"][0]["number"], number);
    assert_eq!(missed["changes"], json!({ "high": { "none": 256 } }));
    let told = site.acuse(&["rules", "backtest", "--with", &blind, "--limit", "8"]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains(&format!("missed: {number} «Urgente» is high, a person said, and comes out as none")),
        "{told}"
    );
    let recall = |when: &str| missed["corrected"][when]["per_impact"]["high"]["recall"].clone();
    assert_eq!((recall("before"), recall("after")), (json!(1.0), json!(0.0)));
    let page = site.text(&["rules", "backtest", "--with", &finer, "--limit", "300"]);
    for words in
        ["300 mails: 225 come out the same, 75 otherwise by the candidate", "and 25 more: --json", "ACU-4 "]
    {
        assert!(page.contains(words), "no `{words}` in:\n{page}");
    }
    let broken =
        candidate(&site, "broken", "[[rule]]\nid = \"x\"\ncase = \"outege\"\nany = [\"x\"]\nyes = [\"x\"]\n");
    let refusal = site.acuse(&["rules", "backtest", "--with", &broken]);
    refused(&refusal, FINDINGS, &["candidate.toml", "did you mean `outage`?", "a reload would refuse"]);
    let untrue = "[[extend]]\nrule = \"service-down\"\nyes = [\"Hola, buenos días\"]\n";
    let untrue = candidate(&site, "untrue", untrue);
    let refusal = site.acuse(&["rules", "backtest", "--with", &untrue]);
    refused(&refusal, FINDINGS, &["candidate.toml:3:8", "Hola, buenos días", "nothing was compared"]);
    assert!(refusal.stdout.is_empty());
}
