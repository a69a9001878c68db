//! The doors out of the quarantine, and tickets that do not come back: nothing is lost, and nothing is sent twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::disallowed_methods, reason = "it delivers mail now")]

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};
use support::acuse::{ADDRESS, Site, USER};
use support::imap_peer::Fault;
use support::outage;
use support::stage::{Stage, mail};

mod support;

const FINDINGS: i32 = 1;
const USAGE: i32 = 64;
const IO: i32 = 74;
const TRY_AGAIN: i32 = 75;

const ANA: &str = "ana@cliente.example";

/// Ana's mail of low impact, which a filter took for spam.
fn spam() -> Vec<u8> {
    with_field("X-Spam-Flag: YES")
}

fn with_field(field: &str) -> Vec<u8> {
    format!(
        "{field}\r\nFrom: {ANA}\r\nTo: {ADDRESS}\r\nSubject: Mi clave\r\nMessage-ID: <clave@cliente.example>\r\n\r\n\
         Necesito restablecer la contraseña de mi correo.\r\n"
    )
    .into_bytes()
}

/// A site without a daemon, whose servers nobody asks.
fn site() -> Site {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    Site::builder(nobody, nobody).init()
}

/// What `acuse ingest` made of a mail.
fn ingested(site: &Site, raw: &[u8]) -> Value {
    let mut command = site.command(&["ingest", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(raw).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words) && said.contains("hint: "), "no `{words}` in:\n{said}");
}

impl Stage {
    fn deliver(&self, raw: &[u8]) {
        self.imap.deliver(USER, "INBOX", raw, Timestamp::now());
    }

    /// Waits until so many arrivals have this outcome.
    fn wait_for_outcomes(&self, number: i64, outcome: &str) {
        self.wait_for_count(number, &format!("SELECT count(*) FROM arrival WHERE outcome = '{outcome}'"));
    }
}

#[test]
fn a_released_mail_is_a_ticket_and_is_acknowledged_once() {
    let stage = Stage::open(|site| site);
    stage.deliver(&spam());
    stage.wait_for_outcomes(1, "quarantined");
    let shown = stage.site.json(&["quarantine", "show", "1"]);
    assert_eq!((&shown["reason"], &shown["from"]), (&json!("spam"), &json!(ANA)));
    assert_eq!(shown["why"], "Marked as spam by our own filter. A spam filter's verdict.");
    assert_eq!(shown["own_text"], "Necesito restablecer la contraseña de mi correo.");
    assert_eq!((&shown["decision"]["action"], &shown["ended_by"]), (&json!("quarantine"), &Value::Null));
    let text = stage.site.text(&["quarantine", "show", "1"]);
    assert!(text.contains("Mi clave") && text.contains("restablecer la contraseña"), "{text}");

    let released = stage.site.json(&["quarantine", "release", "1"]);
    assert_eq!(
        released,
        json!({ "id": 1, "outcome": "opened", "reason": "new_mail", "ticket": "ACU-1",
                "ack": { "send": true, "because": "new_case" } })
    );
    stage.in_state(ANA, "sent");
    let sent = stage.smtp.mails_to(ANA);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("In-Reply-To").as_deref(), Some("<clave@cliente.example>"));

    refused(&stage.site.acuse(&["quarantine", "release", "1"]), USAGE, "was released already");
    refused(&stage.site.acuse(&["quarantine", "drop", "1"]), USAGE, "was released already");
    assert_eq!(stage.site.json(&["quarantine", "list"]), json!([]));
    let all = stage.site.json(&["quarantine", "list", "--all"]);
    assert_eq!(all[0]["ended_by"], "released");
    assert_eq!(stage.site.json(&["explain", "ACU-1"])["flags"], json!(["released"]));
    let ticket = stage.site.json(&["tickets", "show", "ACU-1"]);
    let kinds: Vec<_> = ticket["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["open", "released", "acknowledged"]);

    // the same mail from another mailbox of ours, or laid back
    stage.deliver(&spam());
    stage.wait_for_outcomes(1, "duplicate");
    assert_eq!(stage.smtp.mails().len(), 1);
    stage.assert_whole();
}

#[test]
fn what_is_dropped_stays_dropped_and_keeps_its_bytes() {
    let stage = Stage::open(|site| site);
    stage.deliver(&spam());
    stage.wait_for_outcomes(1, "quarantined");
    stage.site.text(&["quarantine", "drop", "1"]);
    refused(&stage.site.acuse(&["quarantine", "release", "1"]), USAGE, "was dropped already");
    refused(&stage.site.acuse(&["quarantine", "drop", "7"]), USAGE, "there is no mail `7`");
    assert_eq!(stage.site.json(&["quarantine", "list"]), json!([]));

    stage.deliver(&spam());
    stage.wait_for_outcomes(1, "duplicate");
    let file = stage.site.directory().join("spam.eml");
    let export = ["quarantine", "export", "1", file.to_str().unwrap()];
    stage.site.text(&export);
    assert_eq!(fs::read(&file).unwrap(), spam());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&file, "mine").unwrap();
    refused(&stage.site.acuse(&export), IO, "cannot create");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(stage.site.acuse(&["quarantine", "export", "1"]).stdout, spam());
    assert_eq!((stage.site.tickets().len(), stage.smtp.mails().len()), (0, 0));
    stage.assert_whole();
}

#[test]
fn released_mass_mail_is_a_ticket_in_silence() {
    let site = site();
    let hops = "Received: from a by b; Wed, 16 Sep 2026 10:00:00 -0500\r\n".repeat(101);
    let mails = [with_field("Precedence: bulk"), with_field(hops.trim_end())];
    for (raw, reason) in mails.iter().zip(["bulk", "too_many_hops"]) {
        let raw = String::from_utf8_lossy(raw).replace("Mi clave", reason);
        assert_eq!(ingested(&site, raw.as_bytes())["reason"], reason);
    }
    let released = site.text(&["quarantine", "release", "1", "2"]);
    assert_eq!(released.matches("no acknowledgement (not_a_person)").count(), 2, "{released}");
    let flags = site.tickets().into_iter().map(|ticket| ticket["flags"].clone());
    assert_eq!(flags.collect::<Vec<_>>(), [json!(["bulk", "released"]), json!(["released"])]);
    assert_eq!(site.outbox(), [Value::Null; 0]);
    site.assert_conserved();
}

#[test]
fn what_came_before_our_time_is_released_in_silence() {
    let mut stage = Stage::open(|site| site);
    stage.site.stop();
    stage.deliver(&spam());
    stage.imap.change_uidvalidity(USER, "INBOX");
    stage.site.run();
    stage.wait_for_outcomes(1, "quarantined");
    // what a restore says of every mail that came before it
    stage.database().execute("UPDATE folder SET silent_before = unixepoch() * 1000 + 60000", []).unwrap();
    let released = stage.site.json(&["quarantine", "release", "1"]);
    assert_eq!(released["ack"], json!({ "send": false, "because": "backlog" }), "{released}");

    // a pipe has no folder that knows
    assert_eq!(ingested(&stage.site, &with_field("X-Spam-Flag: true"))["outcome"], "duplicate");
    let other = String::from_utf8(spam()).unwrap().replace("Mi clave", "Otra clave");
    assert_eq!(ingested(&stage.site, other.as_bytes())["outcome"], "quarantined");
    let restored =
        "INSERT INTO event (at, kind, detail) VALUES (unixepoch() * 1000 + 60000, 'restored', '{}')";
    stage.database().execute(restored, []).unwrap();
    let released = stage.site.json(&["quarantine", "release", "2"]);
    assert_eq!(released["ack"], json!({ "send": false, "because": "backlog" }), "{released}");
    assert_eq!(stage.smtp.mails().len(), 0);
    stage.assert_whole();
}

#[test]
fn what_was_never_fetched_is_fetched_again() {
    let stage = Stage::open(|site| site);
    stage.imap.fault_always("UID FETCH 1 (UID INTERNALDATE BODY.PEEK[]", Fault::No("it is broken"));
    stage.deliver(&mail(ANA, "Servidor caído"));
    stage.wait_for_outcomes(1, "quarantined");
    refused(&stage.site.acuse(&["quarantine", "export", "1"]), FINDINGS, "the bytes of mail `1` never came");
    assert!(stage.site.text(&["quarantine", "show", "1"]).contains("UID 1 cannot be fetched"));

    stage.imap.no_faults();
    stage.site.text(&["quarantine", "release", "1"]);
    stage.receive("luis@cliente.example", "Servidor caído"); // the mailbox is looked at
    stage.wait_for_tickets(2);
    stage.in_state(ANA, "sent");
    refused(&stage.site.acuse(&["quarantine", "release", "1"]), USAGE, "was released already");
    stage.assert_whole();
}

#[test]
fn uids_of_another_time_are_not_fetched_again() {
    let mut stage = Stage::open(|site| site);
    stage.imap.fault_always("UID FETCH 1 (UID INTERNALDATE BODY.PEEK[]", Fault::No("it is broken"));
    stage.deliver(&mail(ANA, "Servidor caído"));
    stage.wait_for_outcomes(1, "quarantined");
    stage.site.stop();
    stage.imap.no_faults();
    stage.imap.change_uidvalidity(USER, "INBOX");
    stage.site.run();
    stage.wait_for_tickets(1); // listed again, and fetched
    refused(&stage.site.acuse(&["quarantine", "release", "1"]), FINDINGS, "has new UIDs since");
    stage.site.text(&["quarantine", "drop", "1"]);
    stage.assert_whole();
}

#[test]
fn what_could_not_be_stored_is_stored_when_it_is_released() {
    let stage = Stage::open(|site| site);
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'refused'); END";
    stage.database().execute_batch(refuse).unwrap();
    stage.deliver(&outage(1));
    stage.wait_for_outcomes(1, "quarantined");
    assert!(stage.site.json(&["quarantine", "show", "1"])["why"].as_str().unwrap().contains("refused"));
    let failed = stage.site.acuse(&["quarantine", "release", "1"]);
    assert!(!failed.status.success());
    assert_eq!(stage.site.json(&["quarantine", "list"])[0]["id"], 1, "it waits still");

    stage.database().execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(stage.site.json(&["quarantine", "release", "1"])["outcome"], "opened");
    stage.in_state(&support::customer(1), "sent");
    assert_eq!(stage.count("SELECT count(*) FROM message_text WHERE message_text MATCH 'pagina'"), 1);
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'quarantined' AND ended IS NULL"), 0);
    stage.assert_whole();
}

#[test]
fn a_deleted_ticket_does_not_come_back() {
    let stage = Stage::open(|site| site);
    let letter = mail(ANA, "Servidor caído");
    stage.deliver(&letter);
    let ack = stage.in_state(ANA, "sent");
    let delete = ["tickets", "delete", "ACU-1"];
    refused(&stage.site.acuse(&delete), USAGE, "ACU-1 «Servidor caído»: 1 received, 1 acknowledgements");
    assert_eq!(stage.site.tickets().len(), 1);
    let deleted = stage.site.json(&[&delete[..], &["--yes"]].concat());
    assert_eq!(
        (&deleted["number"], &deleted["messages"], &deleted["acks"]),
        (&json!("ACU-1"), &json!(1), &json!(1))
    );
    assert_eq!(stage.site.tickets().len(), 0);
    for table in ["promise", "participant", "outbox", "raw", "message_text_docsize"] {
        assert_eq!(stage.count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    let again = stage.site.acuse(&[&delete[..], &["--yes"]].concat());
    assert_eq!(again.status.code(), Some(USAGE));

    // laid back into the mailbox
    stage.deliver(&letter);
    stage.wait_for_outcomes(1, "duplicate");
    // an answer to what was sent proves nothing any more, nor does an answer to what came
    for (number, answered) in [(2, ack.message_id.as_str()), (3, "Servidorcadoanaclienteexample@mua.example")]
    {
        let reply = format!("In-Reply-To: <{answered}>\r\nSubject: Re: [ACU-1] {number}\r\n");
        let reply = [reply.as_bytes(), &mail(ANA, "Sigue igual")].concat();
        stage.deliver(&reply);
        stage.wait_for_tickets(number - 1);
    }
    stage.wait_for_count(2, "SELECT count(*) FROM outbox WHERE state = 'sent'");
    let numbers: Vec<_> = stage.site.tickets().iter().map(|ticket| ticket["number"].clone()).collect();
    assert_eq!(numbers, ["ACU-2", "ACU-3"], "its number is nobody's");
    assert_eq!(stage.smtp.mails().len(), 3, "one for each mail that was new");
    stage.assert_whole();
}

#[test]
fn a_ticket_that_was_released_is_deleted_with_its_quarantine() {
    let site = site();
    assert_eq!(ingested(&site, &spam())["outcome"], "quarantined");
    site.text(&["quarantine", "release", "1"]);
    site.text(&["tickets", "delete", "acu-1", "--yes"]);
    assert_eq!(site.json(&["quarantine", "list", "--all"]), json!([]));
    let database = rusqlite::Connection::open(site.state_dir().join("acuse.db")).unwrap();
    let kinds: String =
        database.query_row("SELECT group_concat(kind || detail) FROM event", [], |row| row.get(0)).unwrap();
    assert_eq!(kinds, r#"deleted{"acks":1,"events":2,"messages":1}"#);
    assert_eq!(ingested(&site, &spam())["outcome"], "duplicate");
    site.assert_conserved();
}

#[test]
fn alerts_about_an_address_go_with_the_last_ticket_that_has_it() {
    let site = site();
    for subject in ["Servidor caído", "Factura de noviembre"] {
        assert_eq!(ingested(&site, &mail(ANA, subject))["outcome"], "opened");
    }
    let database = rusqlite::Connection::open(site.state_dir().join("acuse.db")).unwrap();
    let insert =
        "INSERT INTO alert (kind, subject, detail, first, last) VALUES (?1, ?2, 'no such user', 0, 0)";
    for alert in [["ack_refused", ANA], ["ack_bounced", "luis@cliente.example"], ["cannot_move", ANA]] {
        database.execute(insert, alert).unwrap();
    }
    let left = || database.query_row("SELECT count(*) FROM alert", [], |row| row.get::<_, i64>(0)).unwrap();
    site.text(&["tickets", "delete", "acu-1", "--yes"]);
    assert_eq!(left(), 3, "another ticket has the address");
    site.text(&["tickets", "delete", "acu-2", "--yes"]);
    assert_eq!(left(), 2, "nobody else's, and not that of a mailbox of this name");
}

#[test]
fn a_ticket_whose_acknowledgement_is_being_sent_is_not_deleted() {
    let site = site();
    ingested(&site, &outage(1));
    let database = rusqlite::Connection::open(site.state_dir().join("acuse.db")).unwrap();
    database.execute("UPDATE outbox SET state = 'sending', attempts = 1", []).unwrap();
    refused(&site.acuse(&["tickets", "delete", "ACU-1", "--yes"]), TRY_AGAIN, "is being sent");
    assert_eq!(site.tickets().len(), 1);
}
