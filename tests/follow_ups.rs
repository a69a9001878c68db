//! What a follow-up does to its ticket, and what the customer then reads: mails one after another, without a daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test"
)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::acuse::{ADDRESS, Site};

mod support;

const OUTAGE: &str = "Mi página no carga, el servidor está caído.";
const FIREWALL: &str = "El firewall bloquea mi dirección IP.";
const PASSWORD: &str = "Necesito cambiar la contraseña de cPanel, por favor.";
/// What no shipped rule knows.
const PRINTER: &str = "Buenos días. La impresora fiscal ya no imprime las tirillas. Gracias.";

/// A Wednesday within business hours.
const MORNING: &str = "2026-09-16T09:15:00-05:00";

struct Desk {
    site: Site,
}

impl Desk {
    fn new() -> Self {
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        Self { site: Site::builder(nobody, nobody).init() }
    }

    /// A mail of a customer that arrives at a time, as `acuse ingest` takes it in; its ticket.
    fn receive(&self, from: &str, subject: &str, text: &str, at: &str) -> String {
        let mail = format!(
            "From: {from}@cliente.example\r\nTo: {ADDRESS}\r\nCc: luis@cliente.example\r\nSubject: {subject}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        );
        let mut command = self.site.command(&["ingest", "--json", "--now", at]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
        let told: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        told["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// ACU-1 of Ana, and her follow-up.
    fn follow_up(&self, first: (&str, &str), then: (&str, &str)) {
        let number = self.receive("ana", "Consulta", first.0, first.1);
        assert_eq!(self.receive("ana", &format!("Re: [{number}] Consulta"), then.0, then.1), number);
    }

    fn database(&self) -> Connection {
        Connection::open(self.site.state_dir().join("acuse.db")).unwrap()
    }

    fn close(&self) {
        self.database()
            .execute_batch(
                "UPDATE ticket SET state = 'closed', closed_at = changed;
                 UPDATE promise SET ended = received, ended_by = 'closed'",
            )
            .unwrap();
    }

    fn ticket(&self) -> Value {
        self.site.json(&["tickets", "show", "ACU-1"])
    }

    /// The kind of an acknowledgement, and its text on one line.
    fn ack(&self, id: &str) -> (String, String) {
        let ack = self.site.json(&["outbox", "show", id]);
        let text = ack["text"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        (ack["kind"].as_str().unwrap().to_owned(), text)
    }
}

#[test]
fn a_reopened_ticket_is_acknowledged_with_the_case_whose_impact_it_has() {
    let desk = Desk::new();
    let number = desk.receive("ana", "Caída", OUTAGE, MORNING);
    desk.close();
    desk.receive("ana", &format!("Re: [{number}] Caída"), PASSWORD, "2026-09-17T09:15:00-05:00");
    let (kind, text) = desk.ack("2");
    assert_eq!(kind, "reopened");
    assert!(text.contains("impacto alto, caída") && !text.contains("contraseña o acceso"), "{text}");
    desk.site.assert_conserved();
}

#[test]
fn a_raise_that_a_person_takes_back_before_it_is_told_is_no_raise() {
    let desk = Desk::new();
    desk.follow_up((PASSWORD, MORNING), (OUTAGE, "2026-09-16T09:20:00-05:00"));
    assert_eq!(desk.ack("2").0, "raised");
    let correct = |impact| {
        let why = ["--because", "falsa alarma", "--now", "2026-09-16T09:25:00-05:00"];
        desk.site.text(&[&["tickets", "reclassify", "ACU-1", "--impact", impact][..], &why].concat())
    };
    correct("low");
    let (kind, text) = desk.ack("2");
    assert_eq!(kind, "ack");
    assert!(text.contains("impacto bajo") && !text.contains("cambia la urgencia"), "{text}");
    desk.site.assert_conserved();
}

#[test]
fn a_follow_up_that_a_rule_recognises_says_what_an_unclassified_ticket_is() {
    for (text, case) in [(FIREWALL, "firewall-block"), (PASSWORD, "access")] {
        let desk = Desk::new();
        desk.follow_up((PRINTER, MORNING), (text, "2026-09-16T09:20:00-05:00"));
        let ticket = desk.ticket();
        assert_eq!((&ticket["impact"], &ticket["case"]), (&json!("medium"), &json!(case)));
        assert!(ticket["rule"].is_string());
        assert_eq!(ticket["flags"], json!([]));
        assert_eq!(desk.site.json(&["outbox", "list"]).as_array().unwrap().len(), 1, "its promise stays");
        desk.site.assert_conserved();
    }
    let raised = Desk::new();
    raised.follow_up((PRINTER, MORNING), (OUTAGE, "2026-09-16T09:20:00-05:00"));
    assert_eq!((&raised.ticket()["case"], &raised.ticket()["flags"]), (&json!("outage"), &json!([])));
}

#[test]
fn an_unclassified_ticket_of_a_lesser_case_is_acknowledged_by_its_impact_alone() {
    let desk = Desk::new();
    desk.follow_up((PRINTER, MORNING), (PASSWORD, "2026-09-16T09:20:00-05:00"));
    desk.close();
    desk.receive("ana", "Re: [ACU-1] Consulta", "Sigue igual, quedo atenta.", "2026-09-17T09:15:00-05:00");
    let (kind, text) = desk.ack("2");
    assert_eq!(kind, "reopened");
    assert!(text.contains("impacto medio Nivel de soporte"), "medium is no password: {text}");
}

#[test]
fn whoever_goes_on_in_a_customers_ticket_is_not_told_that_they_are_unknown() {
    let desk = Desk::new();
    desk.site.text(&["customers", "set", "ana@cliente.example", "--plan", "n2"]);
    let number = desk.receive("ana", "Clave", PASSWORD, MORNING);
    let subject = format!("Re: [{number}] Clave");
    assert_eq!(desk.receive("luis", &subject, OUTAGE, "2026-09-16T09:20:00-05:00"), number);
    let (kind, text) = desk.ack("2");
    assert_eq!(kind, "raised");
    assert!(text.contains("Nivel de soporte: Nivel 2") && !text.contains("No encontramos"), "{text}");
    desk.receive("eva", "Clave", PASSWORD, MORNING);
    assert!(desk.ack("3").1.contains("No encontramos esta dirección"));
}

#[test]
fn a_raise_of_an_overdue_ticket_says_what_changed_and_promises_no_past_instant() {
    let desk = Desk::new();
    desk.follow_up((FIREWALL, MORNING), (OUTAGE, "2026-09-16T16:00:00-05:00"));
    let (kind, text) = desk.ack("2");
    assert_eq!(kind, "raised");
    assert!(
        text.contains("cambia la urgencia del caso ACU-1: ahora lo atendemos como impacto alto"),
        "{text}"
    );
    assert!(
        text.contains("cuanto antes. El plazo de su caso ya pasó") && !text.contains("A más tardar"),
        "{text}"
    );
    assert!(!text.contains("Le escribimos más tarde"), "we did not: {text}");
    // a person's word does not make another text of it
    desk.site.text(&[
        "tickets",
        "reclassify",
        "ACU-1",
        "--case",
        "attack",
        "--because",
        "x",
        "--now",
        "2026-09-16T16:01:00-05:00",
    ]);
    let (kind, text) = desk.ack("2");
    assert!(
        kind == "raised" && text.contains("cambia la urgencia") && text.contains("cuanto antes"),
        "{text}"
    );
}
