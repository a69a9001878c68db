//! Far more acknowledgements than usual: customers are answered, strangers wait.

use crate::support::stage::{Stage, mail};

const KNOWN: &str = "ana@cliente.example";
const HELD: &str = "SELECT count(*) FROM outbox WHERE state = 'held' AND held_by = 'breaker'";
const STANDS: &str = "SELECT count(*) FROM alert WHERE kind = 'breaker' AND ended IS NULL";

/// A daemon with a flood of six strangers and one customer before it, whose floor is five in an hour.
fn flooded() -> Stage {
    let mut stage = Stage::open(|site| site.set("limits.breaker_floor", 5));
    assert!(stage.site.stop().success());
    stage.site.text(&["customers", "set", KNOWN, "--plan", "n3"]);
    let file = stage.site.directory().join("mail.eml");
    let strangers = (0..6).map(|number| format!("x{number}@x{number}.example"));
    for from in strangers.chain([KNOWN.to_owned()]) {
        std::fs::write(&file, mail(&from, "Servidor caído")).unwrap();
        stage.site.text(&["ingest", file.to_str().unwrap()]);
    }
    stage.restart();
    stage.wait_for_count(6, HELD);
    stage
}

/// The flood is over: its hour has passed.
fn ebb(stage: &Stage) {
    stage.database().execute("UPDATE outbox SET created = created - 7200000", []).unwrap();
}

#[test]
fn a_flood_holds_up_strangers_alone_until_it_is_over() {
    let stage = flooded();
    stage.in_state(KNOWN, "sent");
    assert_eq!((stage.smtp.mails().len(), stage.count(STANDS)), (1, 1));
    assert_eq!(
        stage.count("SELECT count(*) FROM event WHERE kind = 'held' AND detail ->> 'because' = 'breaker'"),
        6
    );
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_held'"), 0, "one alert for all");
    assert!(stage.site.log().contains("far more acknowledgements than usual"));

    // who comes meanwhile waits too, unless they are known
    stage.receive("x7@x7.example", "Servidor caído");
    stage.wait_for_count(7, HELD);
    stage.receive(KNOWN, "Otro servidor caído");
    stage.wait_for_count(2, "SELECT count(*) FROM outbox WHERE state = 'sent'");

    // a promise of theirs passes
    stage.database().execute("UPDATE promise SET due_by = 1000 WHERE ticket = 1", []).unwrap();
    ebb(&stage);
    stage.wait_for_count(9, "SELECT count(*) FROM outbox WHERE state = 'sent'");
    assert_eq!(stage.in_state("x0@x0.example", "sent").kind, "late");
    assert_eq!(stage.in_state("x1@x1.example", "sent").kind, "ack");
    assert_eq!(
        (stage.count(STANDS), stage.count("SELECT count(*) FROM event WHERE kind = 'released'")),
        (0, 7)
    );
    assert!(stage.site.log().contains("the rate of acknowledgements fell"));
    stage.assert_whole();
}

#[test]
fn a_person_may_let_one_go_and_a_restart_holds_the_others() {
    let mut stage = flooded();
    let id = stage.in_state("x3@x3.example", "held").id.to_string();
    stage.site.text(&["outbox", "release", &id]);
    stage.in_state("x3@x3.example", "sent");
    assert!(stage.site.stop().success());
    stage.restart();
    stage.receive("x7@x7.example", "Servidor caído");
    stage.wait_for_count(6, HELD);
    assert_eq!((stage.smtp.mails_to("x3@x3.example").len(), stage.smtp.mails().len()), (1, 2));
    assert_eq!(stage.count("SELECT count FROM alert WHERE kind = 'breaker'"), 1, "said once");
}

#[test]
fn what_is_held_too_long_expires_with_one_alert_for_all() {
    let stage = flooded();
    stage.database().execute("UPDATE outbox SET expires = 1000 WHERE state = 'held'", []).unwrap();
    stage.wait_for_count(6, "SELECT count(*) FROM outbox WHERE state = 'expired'");
    assert_eq!(stage.count("SELECT count(*) FROM event WHERE kind = 'expired'"), 6);
    let alerts =
        "SELECT count(*) FROM alert WHERE kind = 'ack_expired' AND subject = 'breaker' AND count = 6";
    assert_eq!(stage.count(alerts), 1);
    ebb(&stage);
    stage.wait_for_count(0, STANDS);
    assert_eq!(stage.smtp.mails().len(), 1);
}
