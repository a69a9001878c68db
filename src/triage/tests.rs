//! Decisions on small mails under the shipped policy: the table of DESIGN section 7, threads, and what is never answered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::LazyLock;

use jiff::SignedDuration;

use super::*;
use crate::policy::PolicyFiles;
use crate::ticket::{TicketNumber, TicketState};
use crate::token::{Claim, Keyring, Purpose};

mod never;
mod table;
mod threads;

static POLICY: LazyLock<Policy> =
    LazyLock::new(|| Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy"));

/// A Wednesday morning in Bogotá.
const NOW: &str = "2026-09-16T15:00:00Z";

const OUTAGE: &str = "El servidor está caído y mi página no carga.";
const FIREWALL: &str = "El firewall bloquea mi dirección IP.";
const PASSWORD: &str = "Necesito restablecer la contraseña de mi correo.";
const NOTHING: &str = "Cordial saludo.";

/// A mail and everything its decision depends on; a test changes what it is about.
#[derive(Debug, Clone)]
struct Trial {
    /// Fields on top of all others, each with its line end.
    on_top: String,
    from: String,
    to: String,
    subject: String,
    media_type: String,
    body: String,
    arrival: Arrival,
    facts: Facts,
    site: Site,
    now: Timestamp,
}

impl Trial {
    /// Ana, whom nobody knows yet, writes to us now.
    fn new(body: &str) -> Self {
        let now = NOW.parse().unwrap();
        Self {
            on_top: String::new(),
            from: "Ana <ana@cliente.example>".to_owned(),
            to: "soporte@mihost.example".to_owned(),
            subject: "Consulta".to_owned(),
            media_type: "text/plain; charset=utf-8".to_owned(),
            body: body.to_owned(),
            arrival: Arrival {
                mailbox: "soporte".to_owned(),
                recipient: None,
                received: now,
                backlog: false,
            },
            facts: Facts::default(),
            site: site(),
            now,
        }
    }

    /// Puts a field on top.
    fn with(mut self, field: &str) -> Self {
        self.on_top.insert_str(0, &format!("{field}\r\n"));
        self
    }

    fn message(&self) -> Message {
        let Self { on_top, from, to, subject, media_type, body, .. } = self;
        let raw = format!(
            "{on_top}From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <1@mua.example>\r\n\
             MIME-Version: 1.0\r\nContent-Type: {media_type}\r\n\r\n{body}\r\n"
        );
        crate::mail::parse(raw.as_bytes())
    }

    fn decide(&self) -> Decision {
        self.decide_on(&self.message())
    }

    /// The decision on another mail, all else the same.
    fn decide_on(&self, message: &Message) -> Decision {
        let verdict = classify(message, &POLICY);
        triage(message, &verdict, &self.arrival, &self.facts, &self.site, &POLICY, self.now)
    }

    /// Action, reason, and why there is an ack or none.
    fn outcome(&self) -> (Action, Reason, AckBecause) {
        let decision = self.decide();
        (decision.action, decision.reason, decision.ack.because)
    }

    fn ago(&self, hours: i64) -> Timestamp {
        self.now - SignedDuration::from_hours(hours)
    }

    fn later(&self, minutes: i64) -> Timestamp {
        self.now + SignedDuration::from_mins(minutes)
    }

    fn sign(&self, purpose: Purpose) -> String {
        self.site.keys.sign(purpose, Claim { ticket: 12, serial: 7 })
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn site() -> Site {
    Site {
        addresses: vec![address("soporte@mihost.example")],
        staff: vec![address("eva@mihost.example")],
        forms: vec![address("web@mihost.example"), address("noreply@mihost.example")],
        lists: vec!["equipo.mihost.example".to_owned()],
        reply_to: Some("soporte+{token}@mihost.example".to_owned()),
        envelope_from: crate::site::EnvelopeFrom::Tagged("rebotes+{token}@mihost.example".to_owned()),
        authserv_id: Some("mx.mihost.example".to_owned()),
        keys: Keyring::new(vec![("1".to_owned(), [7; 32])]),
        ..Site::nobody()
    }
}

/// ACU-12: open, of medium impact, of a customer of level 2, due in three hours; the sender is a participant.
fn ticket() -> TicketFacts {
    TicketFacts {
        number: TicketNumber(12),
        state: TicketState::Open,
        closed_at: None,
        impact: Impact::Medium,
        case: Some("firewall-block".to_owned()),
        unclassified: false,
        plan: PlanId("n2".to_owned()),
        due_by: Some("2026-09-16T18:00:00Z".parse().unwrap()),
        participant: true,
    }
}

/// A customer of level 3.
fn customer() -> CustomerFacts {
    CustomerFacts {
        id: 1,
        name: Some("Ana María".to_owned()),
        language: None,
        plan: PlanId("n3".to_owned()),
        by: PlanBecause::AddressRow,
    }
}

/// Our own server's word that the sender's authentication failed.
const DMARC_FAILS: &str = "Authentication-Results: mx.mihost.example; dmarc=fail header.from=cliente.example";
