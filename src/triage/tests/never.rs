//! Whatever else is true of a mail: one of these, and there is no acknowledgement (I6, I7, I18).

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Fields that a mail may have besides; none takes another's meaning away.
const FIELDS: &[&str] = &[
    "Auto-Submitted: auto-generated",
    "Cc: luis@cliente.example, soporte@mihost.example",
    "In-Reply-To: <earlier@mua.example>",
    "List-Id: <equipo.mihost.example>",
    "Precedence: bulk",
    "Received: from evil (evil [203.0.113.9]) by mx.mihost.example",
    "References: <earlier@mua.example>",
    "Reply-To: luis@cliente.example",
    "Return-Path: <ana@cliente.example>",
    "X-OTRS-Loop: 1",
    "X-Spam-Flag: YES",
];

const SENDERS: &[&str] = &[
    "Ana <ana@cliente.example>",
    "ana@gmail.com",
    "web@mihost.example",
    "noreply@mihost.example",
    "monitor@cliente.example",
    "\"Soporte\" <soporte@cliente.example>",
];

prop_compose! {
    fn tickets()(tickets in proptest::collection::vec(one_ticket(), 0..3)) -> Vec<TicketFacts> {
        tickets
    }
}

prop_compose! {
    fn one_ticket()(
        number in 1..20_i64,
        state in select(vec![TicketState::Open, TicketState::Answered, TicketState::Closed]),
        impact in select(Impact::ALL.to_vec()),
        closed_for in 0..1_000_i64,
        due_in in proptest::option::of(-600..600_i64),
        participant in any::<bool>(),
    ) -> TicketFacts {
        let trial = Trial::new("");
        TicketFacts {
            number: TicketNumber(number),
            state,
            closed_at: (state == TicketState::Closed).then(|| trial.ago(closed_for)),
            impact,
            due_by: due_in.map(|minutes| trial.later(minutes)),
            participant,
            ..ticket()
        }
    }
}

prop_compose! {
    fn anything()(
        fields in subsequence(FIELDS.to_vec(), 0..4),
        from in select(SENDERS.to_vec()),
        subject in select(vec!["Consulta", "Re: Consulta", "RV: ACU-12 caída", ""]),
        body in select(vec![OUTAGE, FIREWALL, PASSWORD, NOTHING, ""]),
        by_token in tickets(),
        by_reference in tickets(),
        by_number in proptest::option::of(one_ticket()),
        is_customer in any::<bool>(),
        released in any::<bool>(),
        joins in proptest::option::of(Just(TicketNumber(3))),
        minutes_ago in 0..360_i64,
    ) -> Trial {
        let mut trial = Trial::new(body);
        trial.from = from.to_owned();
        trial.subject = subject.to_owned();
        trial.arrival.received = trial.later(-minutes_ago);
        trial.facts = Facts { by_token, by_reference, by_number, released, joins, ..Facts::default() };
        trial.facts.customer = is_customer.then(customer);
        fields.into_iter().fold(trial, Trial::with)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_decision_agrees_with_itself(trial in anything()) {
        let decision = trial.decide();
        let joins = matches!(decision.action, Action::Append | Action::Note);
        prop_assert_eq!(decision.ticket.is_some(), joins);
        prop_assert_eq!(decision.ack.kind.is_some(), decision.ack.send);
        if decision.action == Action::Open {
            prop_assert!(decision.promise.is_some(), "every ticket has a promise");
        }
        if decision.ack.send {
            prop_assert!(decision.promise.is_some(), "an ack tells of one");
            prop_assert!(matches!(decision.action, Action::Open | Action::Append));
            prop_assert!(requester(&trial.message(), &trial.site).is_some());
        }
        prop_assert!(!(trial.facts.released && decision.action == Action::Quarantine), "released for good");
        let read: Decision = serde_json::from_str(&serde_json::to_string(&decision).unwrap()).unwrap();
        prop_assert_eq!(read, decision, "stored, it reads the same (I15)");
    }

    #[test]
    fn any_bytes_are_decided(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
        let decision = Trial::new("").decide_on(&crate::mail::parse(&raw));
        prop_assert!(matches!(decision.action, Action::Open | Action::Ignore | Action::Quarantine));
    }
}

macro_rules! never {
    ($($name:ident: |$trial:ident| $change:expr;)+) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(48))]
            $(#[test]
            fn $name($trial in anything()) {
                let changed: Trial = $change;
                let decision = changed.decide();
                prop_assert!(!decision.ack.send, "{:?} {:?}", decision.action, decision.reason);
            })+
        }
    };
}

fn changed(mut trial: Trial, change: impl FnOnce(&mut Trial)) -> Trial {
    change(&mut trial);
    trial
}

never! {
    our_loop_header: |trial| { let token = trial.sign(Purpose::Loop); trial.with(&format!("X-Acuse-Loop: {token}")) };
    our_message_id: |trial| {
        let token = trial.sign(Purpose::MessageId);
        trial.with(&format!("Message-ID: <{token}@mihost.example>"))
    };
    another_acuse: |trial| trial.with("X-Acuse-Loop: a.b.c.d");
    staff: |trial| changed(trial, |trial| trial.from = "eva@mihost.example".to_owned());
    ourselves: |trial| changed(trial, |trial| trial.from = "soporte+caso@mihost.example".to_owned());
    too_many_hops: |trial| changed(trial, |trial| trial.on_top += &"Received: from a by b\r\n".repeat(101));
    bounce_text: |trial| changed(trial, |trial| {
        trial.from = "mailer-daemon@mx.example".to_owned();
        trial.subject = "Undelivered Mail Returned to Sender".to_owned();
    });
    delivery_report: |trial| changed(trial, |trial| {
        trial.media_type = "multipart/report; report-type=delivery-status; boundary=b".to_owned();
        trial.body = "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.example\r\n\r\n\
                      Final-Recipient: rfc822; b@a.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--".to_owned();
    });
    feedback_report: |trial| changed(trial, |trial| {
        trial.media_type = "multipart/report; report-type=feedback-report; boundary=b".to_owned();
    });
    tls_report: |trial| trial.with("TLS-Report-Domain: mihost.example");
    dmarc_report: |trial| changed(trial, |trial| {
        trial.subject = "Report Domain: mihost.example Submitter: mx.example Report-ID: <1>".to_owned();
    });
    read_receipt: |trial| changed(trial, |trial| {
        trial.media_type = "multipart/report; report-type=disposition-notification; boundary=b".to_owned();
    });
    vacation: |trial| trial.with("Auto-Submitted: auto-replied");
    vacation_by_subject: |trial| changed(trial, |trial| trial.subject = "Automatic reply: Consulta".to_owned());
    precedence_auto_reply: |trial| changed(trial, |trial| {
        trial.on_top = format!("Precedence: auto_reply\r\n{}", trial.on_top);
    });
    // but of a form, which writes for a person
    auto_generated: |trial| changed(trial.with("Auto-Submitted: auto-generated"), |trial| {
        if trial.from.ends_with("@mihost.example") {
            trial.from = "Ana <ana@cliente.example>".to_owned();
        }
    });
    noreply_sender: |trial| changed(trial, |trial| trial.from = "no-reply@cliente.example".to_owned());
    ticket_system: |trial| trial.with("X-RT-Ticket: rt #1");
    foreign_list: |trial| trial.with("List-Id: <anuncios.otra.example>");
    one_click_unsubscribe: |trial| trial.with("List-Unsubscribe-Post: List-Unsubscribe=One-Click");
    bulk: |trial| changed(trial, |trial| {
        trial.on_top = trial.on_top.replace("List-Id: <equipo.mihost.example>\r\n", "");
        trial.on_top.insert_str(0, "Precedence: bulk\r\n");
    });
    // but what a person took out of the quarantine
    spam: |trial| changed(trial.with("X-Spam-Flag: YES"), |trial| trial.facts.released = false);
    calendar_answer: |trial| changed(trial, |trial| {
        trial.on_top = trial.on_top.replace("List-Id: <equipo.mihost.example>\r\n", "");
        trial.media_type = "text/calendar; method=REPLY; charset=utf-8".to_owned();
        trial.body = "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nEND:VCALENDAR".to_owned();
    });
    two_authors: |trial| trial.with("From: luis@cliente.example");
    no_author: |trial| changed(trial, |trial| trial.from = "Ana María".to_owned());
    over_the_limits: |trial| trial.with(&format!("X-Long: {}", "x".repeat(70_000)));
    null_return_path: |trial| changed(trial, |trial| {
        trial.on_top = trial.on_top.replace("Return-Path: <ana@cliente.example>\r\n", "");
        trial.on_top.insert_str(0, "Return-Path: <>\r\n");
    });
    asked_not_to: |trial| trial.with("X-Auto-Response-Suppress: All");
    seen_before: |trial| changed(trial, |trial| trial.facts.seen = Some(Seen { message: 1, ticket: None }));
    backlog: |trial| changed(trial, |trial| trial.arrival.backlog = true);
    too_old: |trial| changed(trial, |trial| trial.arrival.received = trial.ago(7));
    failed_authentication: |trial| trial.with(DMARC_FAILS);
    no_participant: |trial| changed(trial, |trial| {
        trial.facts.by_token = vec![TicketFacts { participant: false, ..ticket() }];
    });
    undeliverable: |trial| changed(trial, |trial| trial.facts.undeliverable = true);
    address_hour: |trial| changed(trial, |trial| trial.facts.acks.address_hour = 5);
    address_day: |trial| changed(trial, |trial| trial.facts.acks.address_day = 20);
    domain_hour: |trial| changed(trial, |trial| {
        trial.facts.acks.domain_hour = 30;
        trial.from = "ana@cliente.example".to_owned();
    });
}
