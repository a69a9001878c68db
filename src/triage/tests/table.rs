//! The table's rows in their order, each at its edges.

use super::*;
use AckBecause as Ack;

fn report(kind: &str, part: &str) -> (String, String) {
    let media_type = format!("multipart/report; report-type={kind}; boundary=b");
    let body = format!("--b\r\nContent-Type: text/plain\r\n\r\nsee below\r\n--b\r\n{part}\r\n--b--");
    (media_type, body)
}

fn delivery(action: &str) -> (String, String) {
    let part = format!(
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; ana@cliente.example\r\nAction: {action}\r\nStatus: 5.1.1"
    );
    report("delivery-status", &part)
}

fn of((media_type, body): (String, String)) -> Trial {
    Trial { media_type, body, from: "postmaster@mx.example".to_owned(), ..Trial::new("") }
}

fn known(mut trial: Trial) -> Trial {
    trial.facts.by_token = vec![ticket()];
    trial
}

#[test]
fn a_person_with_something_new_is_acknowledged() {
    assert_eq!(Trial::new(OUTAGE).outcome(), (Action::Open, Reason::NewMail, Ack::NewCase));
}

#[test]
fn the_same_content_again_is_a_duplicate() {
    let mut trial = Trial::new(OUTAGE);
    trial.facts.seen = Some(Seen { message: 1, ticket: Some(TicketNumber(12)) });
    assert_eq!(trial.outcome(), (Action::Duplicate, Reason::SameContent, Ack::NoTicket));
    assert_eq!(trial.decide().ticket, Some(TicketNumber(12)));
}

#[test]
fn our_own_mail_is_ignored_by_its_loop_header_and_by_its_message_id() {
    let trial = Trial::new(OUTAGE);
    let ours = (Action::Ignore, Reason::OwnMail, Ack::NoTicket);
    let loop_header = format!("X-Acuse-Loop: {}", trial.sign(Purpose::Loop));
    assert_eq!(trial.clone().with(&loop_header).outcome(), ours);
    assert_eq!(known(trial.clone().with(&loop_header)).outcome(), ours, "whatever it belongs to");
    let message_id = format!("Message-ID: <{}@mihost.example>", trial.sign(Purpose::MessageId));
    assert_eq!(trial.clone().with(&message_id).outcome(), ours);
    // a token for another purpose is none of ours
    let copied = format!("X-Acuse-Loop: {}", trial.sign(Purpose::ReplyAddress));
    assert_ne!(trial.with(&copied).decide().reason, Reason::OwnMail);
}

#[test]
fn two_acuses_do_not_talk_to_each_other() {
    let robot = Trial::new(OUTAGE).with("X-Acuse-Loop: m.h.1.aaaa").with("Auto-Submitted: auto-replied");
    assert_eq!(robot.outcome(), (Action::Ignore, Reason::AutoReply, Ack::NoTicket));
    assert_eq!(known(robot).outcome(), (Action::Note, Reason::AutoReply, Ack::NotAPerson));
    let unsigned = Trial::new(OUTAGE).with("X-Acuse-Loop: yes");
    assert!(!unsigned.decide().ack.send);
}

#[test]
fn a_colleague_answers_the_ticket_he_writes_to() {
    for from in ["Eva <eva@mihost.example>", "soporte@mihost.example", "soporte+eva@mihost.example"] {
        let mut trial = Trial { from: from.to_owned(), ..Trial::new(OUTAGE) };
        assert_eq!(trial.outcome(), (Action::Open, Reason::Staff, Ack::StaffMail));
        assert_eq!(trial.decide().flags, [Flag::Staff]);
        trial.facts.by_number = Some(TicketFacts { participant: false, ..ticket() });
        let decision = trial.decide();
        assert_eq!(trial.outcome(), (Action::Append, Reason::StaffAnswer, Ack::StaffMail));
        assert_eq!((decision.effect, decision.ticket), (Effect::Answers, Some(TicketNumber(12))));
        assert_eq!((decision.impact, decision.promise), (Impact::Medium, None), "an answer raises nothing");

        let forged = trial.with(DMARC_FAILS);
        assert_eq!(forged.outcome(), (Action::Open, Reason::Staff, Ack::StaffMail));
    }
    let mut vacation = Trial { from: "eva@mihost.example".to_owned(), ..Trial::new("") };
    vacation.facts.by_reference = vec![ticket()];
    let vacation = vacation.with("Auto-Submitted: auto-replied");
    assert_eq!(vacation.decide().effect, Effect::None, "a vacation notice answers nothing");
}

#[test]
fn what_goes_in_circles_is_set_aside() {
    let hops = "Received: from a by b; Wed, 16 Sep 2026 10:00:00 -0500\r\n";
    let mut trial = Trial::new(OUTAGE);
    trial.on_top = hops.repeat(100);
    assert_eq!(trial.outcome(), (Action::Open, Reason::NewMail, Ack::NewCase));
    trial.on_top = hops.repeat(101);
    assert_eq!(trial.outcome(), (Action::Quarantine, Reason::TooManyHops, Ack::NoTicket));
}

#[test]
fn reports_on_our_mail_are_notes_and_others_are_backscatter() {
    for (action, reason) in [
        ("failed", Reason::Bounce),
        ("delayed", Reason::DelayReport),
        ("delivered", Reason::DelayReport),
        ("relayed", Reason::DelayReport),
        ("expanded", Reason::DelayReport),
    ] {
        let trial = of(delivery(action));
        assert_eq!(trial.outcome(), (Action::Ignore, Reason::Backscatter, Ack::NoTicket), "{action}");
        let note = known(trial).decide();
        assert_eq!((note.action, note.reason), (Action::Note, reason), "{action}");
        assert_eq!((note.effect, note.promise, note.ack.send), (Effect::None, None, false));
    }
}

#[test]
fn machines_reports_are_ignored_even_beside_a_ticket() {
    let feedback = "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1";
    let tls = "Content-Type: application/tlsrpt+json\r\n\r\n{}";
    let mut dmarc = of(("text/plain".to_owned(), String::new()));
    dmarc.subject = "Report Domain: mihost.example Submitter: mx.example Report-ID: 1".to_owned();
    for (trial, reason) in [
        (of(report("feedback-report", feedback)), Reason::FeedbackReport),
        (of(report("tlsrpt", tls)), Reason::TlsReport),
        (dmarc, Reason::DmarcReport),
    ] {
        assert_eq!(trial.outcome(), (Action::Ignore, reason, Ack::NoTicket));
        assert_eq!(known(trial).outcome(), (Action::Ignore, reason, Ack::NoTicket));
    }
}

#[test]
fn receipts_and_vacation_notices_are_notes_or_nothing() {
    let read = "Content-Type: message/disposition-notification\r\n\r\nDisposition: manual-action/MDN-sent; displayed";
    let mut trials = vec![(of(report("disposition-notification", read)), Reason::Receipt)];
    for field in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-replied (vacation); owner-email=\"a@b.example\"",
        "X-Autoreply: yes",
        "X-Autorespond: yes",
        "Precedence: auto_reply",
        "X-Vacation: yes",
    ] {
        trials.push((Trial::new(OUTAGE).with(field), Reason::AutoReply));
    }
    let subject = "Respuesta automática: Consulta".to_owned();
    trials.push((Trial { subject, ..Trial::new(OUTAGE) }, Reason::AutoReply));
    for (trial, reason) in trials {
        assert_eq!(trial.outcome(), (Action::Ignore, reason, Ack::NoTicket), "{}", trial.on_top);
        let mut closed = known(trial);
        closed.facts.by_token[0].state = TicketState::Closed;
        let note = closed.decide();
        assert_eq!((note.action, note.reason, note.effect), (Action::Note, reason, Effect::None));
        assert_eq!(note.promise, None, "its clock neither stops nor starts");
    }
}

#[test]
fn a_challenge_asks_for_proof_and_gets_none() {
    let words = "Su mensaje espera: please click the link below to complete the verification";
    let asked = Trial::new(words).outcome();
    assert_eq!(asked, (Action::Open, Reason::AutoGenerated, Ack::NotAPerson), "a customer asks what that is");
    let trial = Trial::new(words).with("X-Delivery-Agent: TMDA/1.0");
    assert_eq!(trial.outcome(), (Action::Ignore, Reason::AutoReply, Ack::NoTicket));
    assert_eq!(known(trial).outcome(), (Action::Note, Reason::AutoReply, Ack::NotAPerson));
}

/// What makes a mail one of a row's.
type Makes = fn(&mut Trial);

#[test]
fn the_first_row_that_matches_wins() {
    let rows: [(Reason, Makes); 17] = [
        (Reason::OwnMail, |trial| {
            let field = format!("Message-ID: <{}@mihost.example>", trial.sign(Purpose::MessageId));
            *trial = trial.clone().with(&field);
        }),
        (Reason::TooManyHops, |trial| trial.on_top += &"Received: from a by b\r\n".repeat(101)),
        (Reason::Backscatter, |trial| trial.on_top += "X-Failed-Recipients: ana@cliente.example\r\n"),
        (Reason::TlsReport, |trial| trial.on_top += "TLS-Report-Domain: mihost.example\r\n"),
        (Reason::DmarcReport, |trial| {
            trial.subject = "Report Domain: a.example Submitter: b.example".to_owned()
        }),
        (Reason::Receipt, |trial| {
            trial.media_type =
                "multipart/report; report-type=disposition-notification; boundary=b".to_owned();
        }),
        (Reason::AutoReply, |trial| trial.on_top += "X-Autoreply: yes\r\n"),
        (Reason::Staff, |trial| trial.from = "eva@mihost.example".to_owned()),
        (Reason::TicketSystem, |trial| trial.on_top += "X-RT-Ticket: rt #1\r\n"),
        (Reason::AutoGenerated, |trial| trial.on_top += "Auto-Submitted: auto-generated\r\n"),
        (Reason::Bulk, |trial| trial.on_top += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"),
        (Reason::List, |trial| trial.on_top += "List-Id: <anuncios.otra.example>\r\n"),
        (Reason::Bulk, |trial| trial.on_top += "Precedence: bulk\r\n"),
        (Reason::Spam, |trial| trial.on_top += "X-Spam-Flag: YES\r\n"),
        (Reason::NoSingleFrom, |trial| trial.from = "Ana María".to_owned()),
        (Reason::HeadersOnly, |trial| trial.on_top += &format!("X-Long: {}\r\n", "x".repeat(70_000))),
        (Reason::NewMail, |_| ()),
    ];
    let alone = |row: usize| {
        let mut trial = Trial::new(PASSWORD);
        rows[row].1(&mut trial);
        trial
    };
    for (row, (reason, _)) in rows.iter().enumerate() {
        assert_eq!(alone(row).decide().reason, *reason, "row {row}");
        for (later, (_, makes)) in rows.iter().enumerate().skip(row + 1) {
            // of a mail over the limits no parts are read; there is one From, for staff or for nobody
            if matches!((row, later), (5, 15) | (7, 14)) {
                continue;
            }
            let mut both = alone(row);
            makes(&mut both);
            assert_eq!(both.decide().reason, *reason, "row {row} before row {later}");
        }
    }
}

#[test]
fn an_address_that_is_ours_and_a_form_is_a_form() {
    let mut trial = Trial::new(OUTAGE).with("Reply-To: luis@cliente.example");
    trial.site.forms.push(address("soporte@mihost.example"));
    trial.from = "soporte@mihost.example".to_owned();
    assert_eq!(trial.outcome(), (Action::Open, Reason::SiteForm, Ack::NewCase));
    assert_eq!(trial.decide().requester.unwrap().address, "luis@cliente.example");
}

#[test]
fn a_note_needs_a_proof_as_any_message_does() {
    let mut trial = Trial::new("").with("Auto-Submitted: auto-replied");
    trial.facts.by_number = Some(TicketFacts { participant: false, ..ticket() });
    trial.facts.by_reference = vec![TicketFacts { participant: false, ..ticket() }];
    assert_eq!(trial.decide().action, Action::Ignore);
    trial.facts.by_reference[0].participant = true;
    assert_eq!(trial.decide().action, Action::Note);
}

#[test]
fn a_machine_gets_a_ticket_and_no_answer() {
    let auto = |field: &str| Trial::new(OUTAGE).with(field);
    let from = |from: &str| Trial { from: from.to_owned(), ..Trial::new(OUTAGE) };
    for trial in [
        auto("Auto-Submitted: auto-generated"),
        from("Nagios <nagios@cliente.example>"),
        from("no-reply@cliente.example"),
    ] {
        assert_eq!(trial.outcome(), (Action::Open, Reason::AutoGenerated, Ack::NotAPerson));
        let decision = trial.decide();
        assert_eq!(decision.flags, [Flag::Automatic]);
        assert_eq!(decision.impact, Impact::High, "a monitor's outage is an outage");
        assert!(decision.promise.is_some());
    }
    assert!(auto("Auto-Submitted: no").decide().ack.send);
}

#[test]
fn the_third_alike_of_another_ticket_system_joins_the_first() {
    let mut trial = Trial::new(OUTAGE).with("X-OTRS-Loop: 1");
    assert_eq!(trial.outcome(), (Action::Open, Reason::TicketSystem, Ack::NotAPerson));
    trial.facts.joins = Some(TicketNumber(12));
    assert_eq!(trial.outcome(), (Action::Append, Reason::TicketSystemRepeat, Ack::NotAPerson));
    assert_eq!(trial.decide().ticket, Some(TicketNumber(12)));
}

#[test]
fn a_list_speaks_to_us_only_by_name_unless_it_is_our_own() {
    for field in ["List-Id: Anuncios <anuncios.otra.example>", "List-Post: <mailto:lista@otra.example>"] {
        let to_us = Trial::new(OUTAGE).with(field);
        assert_eq!(to_us.outcome(), (Action::Open, Reason::List, Ack::NotAPerson));
        let mut elsewhere = to_us.clone();
        elsewhere.to = "lista@otra.example".to_owned();
        assert_eq!(elsewhere.outcome(), (Action::Ignore, Reason::ListNotToUs, Ack::NoTicket));
        let in_copy = elsewhere.with("Cc: Soporte <soporte@mihost.example>");
        assert_eq!(in_copy.outcome(), (Action::Open, Reason::List, Ack::NotAPerson));
    }
    let mut own = Trial::new(OUTAGE).with("List-Id: Equipo <equipo.mihost.example>");
    own.to = "equipo@mihost.example".to_owned();
    assert_eq!(own.outcome(), (Action::Open, Reason::NewMail, Ack::NewCase));
    let spam = Trial { body: PASSWORD.to_owned(), ..own.clone() }.with("X-Spam-Flag: YES");
    assert_eq!(spam.outcome(), (Action::Quarantine, Reason::Spam, Ack::NoTicket));
    let urgent = own.with("X-Rspamd-Action: add header");
    assert_eq!(urgent.outcome(), (Action::Open, Reason::BulkKept, Ack::NotAPerson));
}

#[test]
fn mass_mail_is_set_aside_unless_a_customer_wrote_it_or_it_is_urgent() {
    for (field, reason) in [
        ("List-Unsubscribe-Post: List-Unsubscribe=One-Click", Reason::Bulk),
        ("Precedence: bulk", Reason::Bulk),
        ("X-Spam-Flag: YES", Reason::Spam),
        ("X-Rspamd-Action: add header", Reason::Spam),
    ] {
        let mut trial = Trial::new(PASSWORD).with(field);
        assert_eq!(trial.outcome(), (Action::Quarantine, reason, Ack::NoTicket), "{field}");
        trial.facts.customer = Some(customer());
        assert_eq!(trial.outcome(), (Action::Open, Reason::BulkKept, Ack::NotAPerson), "{field}");
        assert_eq!(trial.decide().flags, [Flag::Bulk]);
        let forged = trial.with(DMARC_FAILS);
        assert_eq!(forged.outcome(), (Action::Quarantine, reason, Ack::NoTicket), "{field}");
        let urgent = Trial::new(OUTAGE).with(field);
        assert_eq!(urgent.outcome(), (Action::Open, Reason::BulkKept, Ack::NotAPerson), "{field}");
    }
}

#[test]
fn what_a_person_releases_is_set_aside_no_more() {
    let hops = "Received: from a by b; Wed, 16 Sep 2026 10:00:00 -0500\r\n".repeat(101);
    let mut released = Trial::new(PASSWORD);
    released.facts.released = true;
    let flagged = released.clone().with("X-Spam-Flag: YES");
    assert_eq!(flagged.outcome(), (Action::Open, Reason::NewMail, Ack::NewCase), "a person's, after all");
    assert_eq!(flagged.decide().flags, [Flag::Released]);
    for (field, reason, flags) in [
        ("Precedence: bulk", Reason::Released, &[Flag::Bulk, Flag::Released][..]),
        (
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            Reason::Released,
            &[Flag::Bulk, Flag::Released],
        ),
        (hops.trim_end(), Reason::Released, &[Flag::Released]),
    ] {
        let trial = released.clone().with(field);
        assert_eq!(trial.outcome(), (Action::Open, reason, Ack::NotAPerson), "its class forbids an answer");
        assert_eq!(trial.decide().flags, flags);
    }

    // all else holds as ever
    let late = Trial { now: released.later(7 * 60), ..flagged.clone() };
    assert_eq!(late.outcome().2, Ack::TooOld);
    let mut old = flagged.clone();
    old.arrival.backlog = true;
    assert_eq!(old.outcome().2, Ack::BacklogMail);
    assert_eq!(flagged.clone().with("Return-Path: <>").outcome().2, Ack::AskedNotTo);
    assert_eq!(known(flagged.clone()).outcome(), (Action::Append, Reason::Token, Ack::FollowUp));
    let own = Trial { from: "web@mihost.example".to_owned(), ..flagged.clone() };
    assert_eq!(own.with("Reply-To: ana@cliente.example").outcome().1, Reason::SiteForm);
    let own =
        Trial { to: "equipo@mihost.example".to_owned(), ..flagged }.with("List-Id: <equipo.mihost.example>");
    assert_eq!(own.outcome(), (Action::Open, Reason::NewMail, Ack::NewCase));
}

#[test]
fn an_invitation_is_a_mail_and_an_answer_to_one_is_a_note() {
    let calendar = |method: &str| {
        let body = format!("BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nEND:VCALENDAR");
        let media_type = format!("text/calendar; method={method}; charset=utf-8");
        Trial { media_type, body, ..Trial::new("") }
    };
    assert_eq!(calendar("REQUEST").outcome(), (Action::Open, Reason::CalendarRequest, Ack::NewCase));
    let silent = calendar("REQUEST").with("X-Auto-Response-Suppress: All");
    assert_eq!(silent.outcome(), (Action::Open, Reason::CalendarRequest, Ack::AskedNotTo), "as its sender");
    let forged = calendar("REQUEST").with(DMARC_FAILS);
    assert_eq!(forged.outcome(), (Action::Open, Reason::CalendarRequest, Ack::AuthenticationFailed));
    let colleague = Trial { from: "eva@mihost.example".to_owned(), ..calendar("REQUEST") };
    assert_eq!(colleague.outcome(), (Action::Open, Reason::Staff, Ack::StaffMail));
    for method in ["REPLY", "CANCEL", "PUBLISH", "COUNTER", "DECLINECOUNTER", "REFRESH", "ADD"] {
        assert_eq!(calendar(method).outcome(), (Action::Ignore, Reason::Calendar, Ack::NoTicket));
        assert_eq!(known(calendar(method)).outcome(), (Action::Note, Reason::Calendar, Ack::NotAPerson));
    }
}

#[test]
fn who_wrote_it_is_nobody_when_several_did() {
    for from in ["ana@cliente.example, luis@cliente.example", "Ana María", "<>"] {
        let trial = Trial { from: from.to_owned(), ..Trial::new(OUTAGE) };
        assert_eq!(trial.outcome(), (Action::Open, Reason::NoSingleFrom, Ack::NoAddressee), "{from}");
        let decision = trial.decide();
        assert_eq!((decision.requester, decision.participants), (None, Vec::new()));
        assert!(decision.flags.contains(&Flag::NoSingleFrom));
    }
    let twice = Trial::new(OUTAGE).with("From: luis@cliente.example");
    assert_eq!(twice.outcome(), (Action::Open, Reason::NoSingleFrom, Ack::NoAddressee));
}

#[test]
fn a_structure_over_the_limits_is_read_from_its_headers() {
    let long = Trial::new(OUTAGE).with(&format!("X-Long: {}", "x".repeat(70_000)));
    assert_eq!(long.outcome(), (Action::Open, Reason::HeadersOnly, Ack::NotReadable));
    assert!(long.decide().flags.contains(&Flag::HeadersOnly));
    let message = crate::mail::from_headers(
        b"From: ana@cliente.example\r\nSubject: x\r\n\r\nEl servidor",
        Defect::Unreadable,
    );
    let poison = Trial::new("").decide_on(&message);
    assert_eq!((poison.reason, poison.ack.because), (Reason::HeadersOnly, Ack::NotReadable));
}

#[test]
fn who_asks_for_no_answer_gets_a_ticket_alone() {
    for field in
        ["Return-Path: <>", "X-Auto-Response-Suppress: All", "X-Auto-Response-Suppress: DR, AutoReply"]
    {
        let trial = Trial::new(OUTAGE).with(field);
        assert_eq!(trial.outcome(), (Action::Open, Reason::NewMail, Ack::AskedNotTo), "{field}");
        assert_eq!(trial.decide().flags, []);
        assert_eq!(known(trial).decide().action, Action::Append, "{field}");
    }
    assert!(Trial::new(OUTAGE).with("X-Auto-Response-Suppress: DR, RN").decide().ack.send);
}

#[test]
fn a_web_form_speaks_for_the_one_it_names() {
    let form = Trial { from: "Web <web@mihost.example>".to_owned(), ..Trial::new(OUTAGE) };
    let trial = form.clone().with("Reply-To: Luis <luis@cliente.example>");
    assert_eq!(trial.outcome(), (Action::Open, Reason::SiteForm, Ack::NewCase));
    assert_eq!(trial.decide().requester.unwrap().address, "luis@cliente.example");

    // nobody to write to: none named, several, or ourselves
    let several = form.clone().with("Reply-To: luis@cliente.example, eva@otra.example");
    let ourselves = form.clone().with("Reply-To: soporte@mihost.example");
    for silent in [form, several, ourselves] {
        assert_eq!(silent.outcome(), (Action::Open, Reason::SiteForm, Ack::NoAddressee));
    }
    // its address and its program are a machine's, the person who filled it in is none
    let noreply = Trial { from: "noreply@mihost.example".to_owned(), ..trial.clone() };
    let generated = trial.clone().with("Auto-Submitted: auto-generated");
    for machine in [&noreply, &generated, &noreply.clone().with("Auto-Submitted: auto-generated")] {
        assert_eq!(machine.outcome(), (Action::Open, Reason::SiteForm, Ack::NewCase), "{}", machine.on_top);
        assert_eq!(machine.decide().requester.unwrap().address, "luis@cliente.example");
        assert!(!machine.clone().with(DMARC_FAILS).decide().ack.send);
    }
    let elsewhere = noreply.clone().with("List-Id: <anuncios.otra.example>");
    assert_eq!(elsewhere.outcome(), (Action::Open, Reason::List, Ack::NotAPerson), "other signs still count");
    let spam = Trial { body: PASSWORD.to_owned(), ..noreply }.with("X-Spam-Flag: YES");
    assert_eq!(spam.outcome(), (Action::Quarantine, Reason::Spam, Ack::NoTicket));

    let forged = trial.with(DMARC_FAILS);
    assert_ne!(forged.decide().requester.unwrap().address, "luis@cliente.example");
    assert!(!forged.decide().ack.send);
    // nobody else's Reply-To counts (I6)
    let trial = Trial::new(OUTAGE).with("Reply-To: luis@cliente.example");
    assert_eq!(trial.decide().requester.unwrap().address, "ana@cliente.example");
}

#[test]
fn a_failed_authentication_costs_plan_voice_and_answer() {
    let mut trial = Trial::new(OUTAGE).with("Cc: luis@cliente.example");
    trial.facts.customer = Some(customer());
    let honest = trial.decide();
    assert_eq!((honest.plan.id.as_str(), honest.plan.because), ("n3", PlanBecause::AddressRow));
    assert!(honest.participants.contains(&address("luis@cliente.example")));

    let forged = trial.with(DMARC_FAILS);
    assert_eq!(forged.outcome(), (Action::Open, Reason::NewMail, Ack::AuthenticationFailed));
    let decision = forged.decide();
    assert_eq!((decision.plan.id.as_str(), decision.plan.because), ("n1", PlanBecause::Unverified));
    assert_eq!(decision.promise.unwrap().plan.as_str(), "n1");
    assert_eq!(decision.flags, [Flag::AuthenticationFailed]);
    assert_eq!(decision.participants, []);
}

#[test]
fn an_unknown_case_is_medium_and_says_so() {
    let trial = Trial::new(NOTHING);
    let decision = trial.decide();
    assert_eq!((decision.impact, decision.verdict.impact), (Impact::Medium, None));
    assert_eq!(decision.flags, [Flag::Unclassified]);
    assert_eq!(decision.ack.kind, Some(ReplyKind::Unclassified));
    assert_eq!(Trial::new(PASSWORD).decide().impact, Impact::Low);
    assert_eq!(Trial::new(FIREWALL).decide().impact, Impact::Medium);
}

#[test]
fn a_promise_that_has_passed_is_told_late() {
    let mut trial = Trial::new(OUTAGE);
    trial.arrival.received = trial.ago(5);
    assert_eq!(trial.decide().ack.kind, Some(ReplyKind::Late));
}

/// What withholds an ack that the table allows.
type Withholds = fn(&mut Trial);

#[test]
fn the_first_reason_to_withhold_is_the_one_that_is_told() {
    let in_order: [(Ack, Withholds); 8] = [
        (Ack::BacklogMail, |trial| trial.arrival.backlog = true),
        (Ack::TooOld, |trial| trial.arrival.received = trial.ago(6) - SignedDuration::from_secs(1)),
        (Ack::AuthenticationFailed, |trial| *trial = trial.clone().with(DMARC_FAILS)),
        (Ack::NoParticipant, |trial| trial.facts.by_token[0].participant = false),
        (Ack::Undeliverable, |trial| trial.facts.undeliverable = true),
        (Ack::CapAddressHour, |trial| trial.facts.acks.address_hour = 5),
        (Ack::CapAddressDay, |trial| trial.facts.acks.address_day = 20),
        (Ack::CapDomainHour, |trial| trial.facts.acks.domain_hour = 30),
    ];
    let allowed = known(Trial::new(OUTAGE)); // raises ACU-12
    assert_eq!(allowed.outcome(), (Action::Append, Reason::Token, Ack::Raised));
    for first in 0..in_order.len() {
        let mut trial = allowed.clone();
        in_order[first..].iter().for_each(|(_, withhold)| withhold(&mut trial));
        let decision = trial.decide();
        assert_eq!((decision.ack.send, decision.ack.because), (false, in_order[first].0));
        assert_eq!((decision.action, decision.impact), (Action::Append, Impact::High), "the ticket goes on");
    }
}

#[test]
fn caps_begin_where_they_say() {
    let mut trial = Trial::new(OUTAGE);
    trial.arrival.received = trial.ago(6);
    trial.facts.acks = AckCounts { address_hour: 4, address_day: 19, domain_hour: 29 };
    assert!(trial.decide().ack.send);
    trial.from = "ana@gmail.com".to_owned();
    trial.facts.acks.domain_hour = 1_000;
    assert!(trial.decide().ack.send, "a public mail domain says nothing of who belongs together");
}
