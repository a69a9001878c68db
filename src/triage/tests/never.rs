//! Whatever else is true of a mail: one of these, and there is no acknowledgement (I6, I7, I9, I18). What one may
//! say of it (I8) is held by the tests of `reply`.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::mail::{AutomationKind, ReturnPath, Sign};

/// Fields of which each forbids an answer, or may.
const FORBIDDING: &[&str] = &[
    "Auto-Submitted: auto-replied",
    "Content-Type: text/calendar; method=CANCEL",
    "From: luis@cliente.example",
    "List-Id: <anuncios.otra.example>",
    "List-Unsubscribe: <https://otra.example/baja>",
    "Precedence: junk",
    "Return-Path: <>",
    "X-Acuse-Loop: a.b.c.d",
    "X-Auto-Response-Suppress: All",
    "X-Autoreply: yes",
    "X-Failed-Recipients: ana@cliente.example",
    "X-RT-Ticket: rt #1",
    "X-Rspamd-Action: reject",
    DMARC_FAILS,
];

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

/// Who is never answered, whatever the mail.
const NOBODIES: &[&str] = &[
    "eva@mihost.example",
    "EVA@MiHost.example",
    "soporte@mihost.example",
    "soporte+caso@mihost.example",
    "no-reply@cliente.example",
    "root@vps.cliente.example",
    "clientes-request@otra.example",
    "owner-clientes@otra.example",
    "<>",
    "Ana María",
    "",
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

prop_compose! {
    /// Everything at once: what forbids an answer, what withholds it, and what does neither.
    fn anything_at_all()(
        trial in anything(),
        forbidding in proptest::option::weighted(0.3, select(FORBIDDING.to_vec())),
        from in proptest::option::weighted(0.1, select(NOBODIES.to_vec())),
        reply_to in select(vec!["", "luis@cliente.example", "soporte@mihost.example", "a@b.example, c@d.example"]),
        is_new in proptest::bool::weighted(0.7),
        backlog in proptest::bool::weighted(0.1),
        undeliverable in proptest::bool::weighted(0.1),
        hours_ago in proptest::option::weighted(0.2, 0..12_i64),
        acks in proptest::option::weighted(0.2, (0..7_u32, 0..24_u32, 0..40_u32)),
    ) -> Trial {
        let mut trial = forbidding.into_iter().fold(trial, Trial::with);
        if let Some(from) = from {
            trial.from = from.to_owned();
        }
        if !reply_to.is_empty() {
            trial = trial.with(&format!("Reply-To: {reply_to}"));
        }
        if is_new {
            let customer = trial.facts.customer;
            trial.facts = Facts { customer, ..Facts::default() };
        }
        trial.arrival.backlog = backlog;
        trial.arrival.received = hours_ago.map_or(trial.arrival.received, |hours| trial.ago(hours));
        trial.facts.undeliverable = undeliverable;
        let (address_hour, address_day, domain_hour) = acks.unwrap_or_default();
        trial.facts.acks = AckCounts { address_hour, address_day, domain_hour };
        trial
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// All that an acknowledgement needs, told again in other words: whenever one goes out, every condition holds.
    #[test]
    fn an_answer_goes_to_one_person_who_may_have_it(trial in anything_at_all()) {
        let (message, decision) = (trial.message(), trial.decide());
        let authentication = authentication::of(&message, Some("mx.mihost.example"));
        if authentication == Authentication::Failed {
            prop_assert_eq!(decision.participants.len(), 0, "nobody gains a voice (I9)");
            if decision.action == Action::Open {
                prop_assert_eq!(decision.plan.because, PlanBecause::Unverified);
                let promise = decision.promise.as_ref().unwrap();
                prop_assert_eq!((decision.plan.id.as_str(), promise.plan.as_str()), ("n1", "n1"));
            }
            if decision.action == Action::Append && decision.reason != Reason::TicketSystemRepeat {
                prop_assert_eq!(decision.reason, Reason::Token, "From proves nothing");
            }
        }
        if !decision.ack.send {
            return Ok(());
        }
        prop_assert_ne!(authentication, Authentication::Failed);
        let from = message.from.as_ref().unwrap();
        let is_form = trial.site.forms.contains(from);
        let to = requester(&message, &trial.site).unwrap();
        prop_assert!(!trial.site.is_staff(to) && !trial.site.is_ours(to));
        if is_form {
            prop_assert_eq!(std::slice::from_ref(to), message.reply_to.as_slice(), "its one Reply-To");
        } else {
            prop_assert_eq!(to, from, "nobody else's Reply-To counts (I6)");
        }
        if decision.action == Action::Open {
            prop_assert_eq!(decision.requester.as_ref(), Some(to));
        }

        let (kind, because) = match message.automation {
            automation if is_form => automation.behind_machine,
            automation => (automation.kind, automation.because),
        };
        let own_list = message.list_id.as_deref() == Some("equipo.mihost.example");
        let no_spam = trial.facts.released && because == Some(Sign::SpamFlag);
        let allowed = matches!(kind, AutomationKind::None) || (kind == AutomationKind::List && own_list)
            || (kind == AutomationKind::Bulk && no_spam)
            || (kind == AutomationKind::Calendar && message.calendar_method.as_deref() == Some("REQUEST"));
        prop_assert!(allowed, "{kind:?}");
        prop_assert!(!message.automation.spam_flagged || trial.facts.released);
        prop_assert!(!message.suppresses_auto_reply);
        prop_assert!(message.return_path != ReturnPath::Null);

        prop_assert!(!trial.arrival.backlog && !trial.facts.undeliverable);
        prop_assert!(trial.now.duration_since(trial.arrival.received) <= trial.site.max_age);
        let AckCounts { address_hour, address_day, domain_hour } = trial.facts.acks;
        prop_assert!(address_hour < 5 && address_day < 20);
        prop_assert!(domain_hour < 30 || to.domain() == "gmail.com");
        if decision.action == Action::Append {
            let known = [&trial.facts.by_token, &trial.facts.by_reference].into_iter().flatten();
            let mut known = known.chain(&trial.facts.by_number);
            prop_assert!(known.any(|ticket| Some(ticket.number) == decision.ticket && ticket.participant));
            prop_assert!(matches!(decision.ack.because, AckBecause::Raised | AckBecause::Reopened));
        }
    }

    /// A withheld acknowledgement is all that is withheld: the ticket and its promise go on.
    #[test]
    fn what_silences_us_costs_the_ticket_nothing(trial in anything(), which in 0..5_usize) {
        let mut silenced = trial.clone();
        match which {
            0 => silenced.arrival.backlog = true,
            1 => silenced.facts.undeliverable = true,
            2 => silenced.facts.acks.address_hour = 5,
            3 => silenced.facts.acks.address_day = 20,
            _ => silenced.facts.acks.domain_hour = 30,
        }
        let (before, after) = (trial.decide(), silenced.decide());
        prop_assert_eq!(after.clone(), Decision { ack: after.ack, ..before });
    }

    /// Cc grants nothing: neither a ticket nor a plan nor an answer, whoever stands there (I9).
    #[test]
    fn copies_change_no_decision(
        trial in anything(),
        cc in select(vec!["luis@cliente.example", "cliente-grande@otra.example", "eva@mihost.example"]),
    ) {
        let with = Decision { participants: Vec::new(), ..trial.clone().with(&format!("Cc: {cc}")).decide() };
        prop_assert_eq!(with, Decision { participants: Vec::new(), ..trial.decide() });
    }

    /// Only our own server's word above the border counts, for and against (RFC 8601 §5).
    #[test]
    fn nobody_elses_word_on_authentication_changes_anything(
        trial in anything(),
        said in select(vec!["dmarc=fail", "dmarc=pass", "spf=fail", "spf=pass; dkim=pass header.d=cliente.example"]),
        forged_id in any::<bool>(),
        ours_failed in any::<bool>(),
    ) {
        const BORDER: &str = "Received: from evil (evil [203.0.113.9]) by mx.mihost.example";
        let mut trial = if ours_failed { trial.with(BORDER).with(DMARC_FAILS) } else { trial.with(BORDER) };
        let before = trial.decide();
        let theirs = if forged_id { "mx.mihost.example" } else { "mx.otra.example" };
        let field = format!("Authentication-Results: {theirs}; {said}\r\n");
        if forged_id {
            trial.on_top += &field; // below the border: the sender's to forge
        } else {
            trial.on_top.insert_str(0, &field);
        }
        prop_assert_eq!(trial.decide(), before);
    }

    #[test]
    fn who_asks_for_no_answer_gets_none(
        trial in anything(),
        word in select(vec!["All", "ALL", "AutoReply", "autoreply", "OOF, AutoReply", "DR; RN;all", " All "]),
    ) {
        let decision = trial.with(&format!("X-Auto-Response-Suppress: {word}")).decide();
        prop_assert!(!decision.ack.send);
    }

    #[test]
    fn who_asks_for_less_is_not_silenced_by_it(
        trial in anything(),
        word in select(vec!["DR", "RN", "NRN", "OOF", "DR, RN, NRN, OOF", "none", ""]),
    ) {
        let asked = trial.clone().with(&format!("X-Auto-Response-Suppress: {word}"));
        prop_assert_eq!(asked.decide().ack, trial.decide().ack);
    }

    #[test]
    fn a_null_return_path_gets_no_answer(trial in anything(), path in select(vec!["<>", " <> ", "<> (daemon)"])) {
        let mut trial = trial;
        trial.on_top = trial.on_top.replace("Return-Path: <ana@cliente.example>\r\n", "");
        let decision = trial.with(&format!("Return-Path: {path}")).decide();
        prop_assert!(!decision.ack.send);
    }

    #[test]
    fn nobody_is_no_addressee(trial in anything(), from in select(NOBODIES.to_vec())) {
        let mut trial = trial;
        trial.from = from.to_owned();
        prop_assert!(!trial.decide().ack.send);
    }

    #[test]
    fn a_form_without_one_stranger_to_answer_is_not_answered(
        trial in anything(),
        reply_to in select(vec![
            "soporte@mihost.example", "Soporte <SOPORTE+x@mihost.example>", "a@b.example, c@d.example", "nadie", "<>",
        ]),
        form in select(vec!["web@mihost.example", "noreply@mihost.example"]),
    ) {
        let mut trial = trial;
        trial.from = form.to_owned();
        trial.on_top = trial.on_top.replace("Reply-To: luis@cliente.example\r\n", "");
        let decision = trial.with(&format!("Reply-To: {reply_to}")).decide();
        prop_assert!(!decision.ack.send);
    }

    #[test]
    fn a_forged_form_speaks_for_nobody(trial in anything()) {
        let mut trial = trial.with("Reply-To: luis@cliente.example").with(DMARC_FAILS);
        trial.from = "web@mihost.example".to_owned();
        let decision = trial.decide();
        prop_assert!(!decision.ack.send);
        prop_assert!(decision.requester.is_none_or(|requester| requester.address != "luis@cliente.example"));
    }

    #[test]
    fn at_a_cap_and_above_it_nothing_goes_out(trial in anything(), above in 0..1_000_u32, which in 0..3_usize) {
        let mut trial = trial;
        trial.from = "ana@cliente.example".to_owned();
        let counts = &mut trial.facts.acks;
        match which {
            0 => counts.address_hour = 5 + above,
            1 => counts.address_day = 20 + above,
            _ => counts.domain_hour = 30 + above,
        }
        prop_assert!(!trial.decide().ack.send);
    }

    #[test]
    fn old_mail_is_not_answered(trial in anything(), seconds in 1..10_000_000_i64) {
        let mut trial = trial;
        trial.arrival.received = trial.ago(6) - SignedDuration::from_secs(seconds);
        prop_assert!(!trial.decide().ack.send);
    }

    #[test]
    fn a_report_is_not_answered_whatever_it_reports(
        trial in anything(),
        action in select(vec!["failed", "delayed", "delivered", "relayed", "expanded"]),
    ) {
        let mut trial = trial;
        trial.media_type = "multipart/report; report-type=delivery-status; boundary=b".to_owned();
        trial.body = format!(
            "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.example\r\n\r\n\
             Final-Recipient: rfc822; b@a.example\r\nAction: {action}\r\nStatus: 4.0.0\r\n\r\n--b--"
        );
        prop_assert!(!trial.decide().ack.send);
    }

    #[test]
    fn mass_mail_by_any_sign_is_not_answered(
        trial in anything(),
        field in select(vec![
            "Precedence: junk", "Precedence: list", "List-Unsubscribe: <https://otra.example/baja>", "X-Spam-Flag: yes",
            "X-Spam-Status: Yes, score=9", "X-Rspamd-Action: reject", "X-Rspamd-Action: rewrite subject",
            "Mailing-List: contact clientes@otra.example", "X-Mailing-List: clientes@otra.example",
        ]),
    ) {
        let mut trial = trial;
        for ours in ["List-Id: <equipo.mihost.example>\r\n", "Precedence: bulk\r\n"] {
            trial.on_top = trial.on_top.replace(ours, "");
        }
        trial.facts.released &= !field.starts_with("X-Spam") && !field.starts_with("X-Rspamd"); // a person knows better
        prop_assert!(!trial.with(field).decide().ack.send);
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
    outlooks_receipt: |trial| changed(trial, |trial| {
        trial.subject = "Leído: Consulta".to_owned();
        trial.media_type = "application/ms-tnef; name=winmail.dat".to_owned();
    });
    challenge: |trial| changed(trial.with("X-Delivery-Agent: TMDA/1.0"), |trial| {
        trial.body = "To confirm that you are a real person, go on".to_owned();
    });
    bad_own_list: |trial| {
        let trial = trial.with("List-Id: <equipo.mihost.example>").with("X-Spam-Flag: YES");
        changed(trial, |trial| trial.facts.released = false)
    };
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
