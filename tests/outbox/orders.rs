//! What a person may do to an acknowledgement, and what nobody may.

use serde_json::Value;

use crate::support::acuse::ADDRESS;
use crate::support::smtp_peer::{Fault, Step};
use crate::support::stage::Stage;
use crate::{PROMISE_IS_MET, PROMISE_PASSES};

const ANA: &str = "ana@cliente.example";
const LATER: Fault = Fault::Reply("451 4.2.0 later");

/// The message of an order that is refused: with 64, and nothing is changed.
fn refused(stage: &Stage, args: &[&str]) -> String {
    let rows = || {
        let database = stage.database();
        let sql = "SELECT group_concat(id || state || next_attempt || expires || coalesce(last_error, '')) FROM outbox";
        database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let before = rows();
    let output = stage.site.acuse(&[&["outbox"], args].concat());
    assert_eq!(output.status.code(), Some(64), "{args:?}");
    assert_eq!(rows(), before, "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn events(stage: &Stage, kind: &str) -> i64 {
    let sql = "SELECT count(*) FROM event JOIN outbox ON outbox.id = detail ->> 'outbox' AND outbox.ticket = event.ticket";
    stage.count(&format!("{sql} WHERE event.kind = '{kind}'"))
}

fn alerts(stage: &Stage, kind: &str) -> i64 {
    stage.count(&format!("SELECT count(*) FROM alert WHERE kind = '{kind}' AND ended IS NULL"))
}

#[test]
fn what_was_refused_is_offered_again_at_once_and_the_daemon_notices() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault(Step::Rcpt, 1, Fault::Reply("550 5.7.1 not today"));
    stage.receive(ANA, "Servidor caído");
    let row = stage.in_state(ANA, "refused");
    assert_eq!(alerts(&stage, "ack_refused"), 1);
    let rows = stage.site.json(&["outbox", "retry", &row.id.to_string()]);
    assert_eq!(rows[0]["id"], row.id);
    let sent = stage.in_state(ANA, "sent");
    assert_eq!((sent.id, sent.attempts, sent.last_error), (row.id, 2, None), "attempts are counted on");
    assert_eq!((events(&stage, "retried"), alerts(&stage, "ack_refused")), (1, 0));
    assert_eq!(stage.smtp.mails_to(ANA).len(), 1);
    stage.assert_whole();
}

/// The relay's no made the address undeliverable, which holds every row to it but the one that a person asks for.
#[test]
fn what_was_refused_for_its_address_is_offered_again_all_the_same() {
    let stage = Stage::open(|site| site);
    let nobody = || stage.smtp.fault(Step::Rcpt, 1, Fault::Reply("550 5.1.1 no such user"));
    nobody();
    stage.receive(ANA, "Servidor caído");
    let row = stage.in_state(ANA, "refused");
    assert_eq!(stage.count("SELECT count(*) FROM suppression"), 1);
    nobody();
    stage.site.text(&["outbox", "retry", &row.id.to_string()]);
    stage.row(ANA, "state = 'refused' AND attempts = 2");
    stage.site.text(&["outbox", "retry", &row.id.to_string()]);
    let sent = stage.in_state(ANA, "sent");
    assert_eq!((sent.id, sent.attempts, events(&stage, "held")), (row.id, 3, 0));
    assert_eq!(stage.smtp.mails_to(ANA).len(), 1);
}

#[test]
fn what_expired_unoffered_gets_time_again_and_the_late_text() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, LATER);
    stage.receive(ANA, "Servidor caído");
    stage.deferred(ANA);
    stage.database().execute("UPDATE outbox SET expires = 1000", []).unwrap();
    let expired = stage.in_state(ANA, "expired");
    stage.database().execute(PROMISE_PASSES, []).unwrap();
    stage.smtp.no_faults();
    stage.site.text(&["outbox", "retry", &expired.id.to_string()]);
    let sent = stage.in_state(ANA, "sent");
    assert_eq!((sent.kind.as_str(), alerts(&stage, "ack_expired")), ("late", 0));
    let span = stage.count("SELECT expires - sent FROM outbox");
    assert!((5 * 3_600_000..=6 * 3_600_000).contains(&span), "max_age from then on: {span} ms");
}

#[test]
fn nothing_is_sent_twice_by_an_order() {
    let stage = Stage::open(|site| site.set("smtp.retry", vec!["1h"]));
    stage.receive(ANA, "Servidor caído");
    let sent = stage.in_state(ANA, "sent").id.to_string();
    stage.smtp.fault(Step::Rcpt, 1, LATER);
    stage.receive("luis@otra.example", "Servidor caído");
    let due = stage.deferred("luis@otra.example").id.to_string();
    stage.smtp.fault(Step::Dot, 1, Fault::Silent);
    stage.receive("eva@tercera.example", "Servidor caído");
    let sending = stage.in_state("eva@tercera.example", "sending").id.to_string();

    for verb in ["retry", "drop"] {
        assert!(refused(&stage, &[verb, &due, &sent]).contains(&format!("acknowledgement {sent} was sent")));
        assert!(refused(&stage, &[verb, &due, &sending]).contains("is being offered"));
        assert!(refused(&stage, &[verb, &due, "4711"]).contains("there is no acknowledgement 4711"));
    }
    assert!(refused(&stage, &["release", &due]).contains("is not held, but due"));
    assert!(refused(&stage, &["release"]).contains("--all"));
    assert!(refused(&stage, &["retry"]).contains("<IDS>"));

    stage.site.text(&["outbox", "drop", &due]);
    assert!(refused(&stage, &["drop", &due]).contains("has expired already"));
    // its ticket was answered meanwhile: there is no promise left to tell of
    stage.database().execute(PROMISE_IS_MET, []).unwrap();
    assert!(refused(&stage, &["retry", &due]).contains("its promise is answered"));
}

#[test]
fn what_is_dropped_is_never_sent() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, LATER);
    stage.receive(ANA, "Servidor caído");
    let due = stage.deferred(ANA);
    // between two attempts: the order is refused while one is made
    let drop = || stage.site.acuse(&["outbox", "drop", &due.id.to_string()]).status.success().then_some(());
    crate::support::eventually("it is dropped", drop);
    stage.smtp.no_faults();
    stage.receive("luis@otra.example", "Servidor caído");
    stage.in_state("luis@otra.example", "sent");
    let dropped = stage.in_state(ANA, "expired");
    assert_eq!(dropped.last_error.as_deref(), Some("dropped by hand"));
    assert_eq!((events(&stage, "dropped"), alerts(&stage, "ack_expired")), (1, 0), "no surprise to anybody");
    assert_eq!(stage.smtp.mails_to(ANA).len(), 0);
}

#[test]
fn what_is_held_goes_out_when_it_is_released() {
    let mut stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, LATER);
    for number in 0..3 {
        stage.receive(&format!("ana{number}@cliente{number}.example"), "Servidor caído");
    }
    stage.wait_for_tickets(3);
    assert!(stage.site.stop().success());
    stage.database().execute("UPDATE outbox SET state = 'held', held_by = 'restored'", []).unwrap();
    let held = "INSERT INTO alert (kind, subject, detail, first, last) SELECT 'ack_held', recipient, '', 1, 1 FROM outbox";
    stage.database().execute(held, []).unwrap();
    stage.restart();
    let rows = stage.site.json(&["outbox", "list", "--state", "held"]);
    assert_eq!(rows.as_array().unwrap().len(), 3, "the daemon leaves them alone");
    assert!(rows.as_array().unwrap().iter().all(|row| row["held_by"] == "restored"));

    let first = rows[2]["id"].to_string();
    stage.site.text(&["outbox", "release", &first]);
    let sent = stage.in_state("ana0@cliente0.example", "sent");
    assert_eq!((sent.id.to_string(), alerts(&stage, "ack_held")), (first, 2));
    stage.site.text(&["outbox", "release", "--all"]);
    stage.wait_for_count(3, "SELECT count(*) FROM outbox WHERE state = 'sent'");
    assert_eq!((events(&stage, "released"), alerts(&stage, "ack_held")), (3, 0));
    assert_eq!(stage.site.json(&["outbox", "list"])[0]["held_by"], Value::Null);
}

#[test]
fn show_prints_all_there_is_of_an_acknowledgement() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault(Step::Dot, 1, Fault::Reply("550 5.7.1 \u{1b}[2J rejected"));
    stage.receive(ANA, "Servidor caído");
    let row = stage.in_state(ANA, "refused");
    let id = row.id.to_string();
    let shown = stage.site.json(&["outbox", "show", &id]);
    assert_eq!((&shown["state"], &shown["attempts"]), (&"refused".into(), &1.into()));
    assert_eq!((&shown["offered"], &shown["sender"]), (&true.into(), &Value::Null));
    assert_eq!(shown["headers"]["subject"], "Re: Servidor caído");
    assert_eq!(shown["headers"]["to"], ANA);
    assert!(shown["headers"]["from"].as_str().unwrap().contains(ADDRESS));
    assert!(shown["text"].as_str().unwrap().contains("ACU-1"));
    assert!(shown["promise"]["due_by"].is_string());
    assert_eq!(shown["events"][0]["kind"], "refused");

    let text = stage.site.text(&["outbox", "show", &id]);
    assert_eq!(stage.site.text(&["outbox", "show", "ACU-1"]), text, "its ticket has no other");
    for part in ["ACU-1", ANA, "refused", "frozen", "550 5.7.1", "history", "Subject: Re: Servidor caído"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "I17");
    let eml = stage.site.acuse(&["outbox", "show", &id, "--eml"]);
    assert!(eml.status.success() && eml.stdout == row.bytes, "to the byte");
    assert!(refused(&stage, &["show", "4711"]).contains("there is no acknowledgement 4711"));
    assert!(refused(&stage, &["list", "--state", "lost"]).contains("`lost` is none of due, sending"));
}
