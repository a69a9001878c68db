//! What becomes of an acknowledgement when the relay refuses, is silent or goes away: the real daemon between an IMAP
//! peer and an SMTP peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test, whose mails arrive now"
)]

use std::time::{Duration, Instant};

use acuse::config::read_keys;
use acuse::token::Purpose;
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use support::acuse::{ADDRESS, PASSWORD, Site, SiteBuilder, USER};
use support::eventually;
use support::smtp_peer::{self, Fate, Fault, Mail, Step};
use support::stage::{Stage, mail};

#[path = "../support/mod.rs"]
mod support;

mod breaker;
mod orders;
mod reports;

/// A stage whose relay asks for a login.
fn with_login(set: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Stage {
    let options = smtp_peer::Options { login: Some((USER, PASSWORD)), ..smtp_peer::Options::default() };
    Stage::with_relay(options, |site| {
        set(site.set("smtp.user", USER).set("smtp.password_file", "imap.password"))
    })
}

/// At each step in turn, the relay fails until the row is seen to wait; then it works again and takes it.
fn is_sent_again(stage: &Stage, steps: &[Step], fault: &Fault) {
    for (index, step) in steps.iter().enumerate() {
        let customer = format!("ana@cliente{index}.example");
        stage.smtp.fault_always(*step, fault.clone());
        stage.receive(&customer, "Servidor caído");
        let waiting = stage.row(&customer, "state = 'due' AND last_error != ''");
        let heard = !matches!(step, Step::Connect | Step::Ehlo | Step::Auth);
        assert_eq!(waiting.attempts > 0, heard, "{step:?}: only what the relay heard of counts: {waiting:?}");
        stage.smtp.no_faults();

        let sent = stage.in_state(&customer, "sent");
        assert_eq!((sent.id, &sent.message_id), (waiting.id, &waiting.message_id));
        assert!(sent.next_attempt >= waiting.next_attempt, "{step:?}");
        assert_eq!(sent.attempts as usize, stage.deferrals(&sent) + 1, "{step:?}: {sent:?}");
        assert_eq!(sent.last_error, None);
        let mut copies = stage.smtp.mails();
        copies.retain(|mail| mail.recipients[0].address == customer);
        sent.assert_copies(&copies);
        let accepted = copies.iter().filter(|mail| mail.fate == Fate::Accepted).count();
        assert_eq!(accepted, 1, "{step:?}");
    }
    stage.assert_whole();
}

#[test]
fn a_relay_that_says_later_is_asked_again_with_the_same_bytes() {
    let stage = with_login(|site| site);
    is_sent_again(&stage, &Step::BEFORE_ACCEPTANCE, &Fault::Reply("451 4.3.0 later"));
}

#[test]
fn a_relay_that_takes_its_leave_is_asked_again() {
    let stage = with_login(|site| site);
    is_sent_again(&stage, &Step::BEFORE_ACCEPTANCE, &Fault::Reply("421 4.3.2 shutting down"));
}

#[test]
fn a_dropped_connection_is_opened_again() {
    let stage = with_login(|site| site);
    is_sent_again(&stage, &Step::BEFORE_ACCEPTANCE, &Fault::Drop);
}

#[test]
fn a_silent_relay_is_left_and_asked_again() {
    let stage = with_login(|site| site.set("smtp.timeout", "2s"));
    is_sent_again(&stage, &Step::BEFORE_ACCEPTANCE, &Fault::Silent);
}

#[test]
fn a_no_to_ourselves_says_nothing_of_the_mail() {
    let stage = with_login(|site| site);
    is_sent_again(&stage, &[Step::Connect, Step::Ehlo, Step::Auth], &Fault::Reply("554 5.3.2 not today"));
}

#[test]
fn a_no_to_the_mail_is_final() {
    let stage = Stage::open(|site| site);
    for (step, fault) in [
        (Step::Rcpt, "550 5.1.1 no such user"),
        (Step::Data, "554 5.7.1 no data from you"),
        (Step::Dot, "550 5.7.1 rejected by content"),
    ] {
        let customer = format!("{step:?}@cliente.example").to_lowercase();
        stage.smtp.fault(step, 1, Fault::Reply(fault));
        stage.receive(&customer, "Servidor caído");
        let refused = stage.in_state(&customer, "refused");
        assert_eq!(refused.attempts, 1);
        assert_eq!(refused.last_error.as_deref(), Some(fault));
        assert_eq!(stage.smtp.mails_to(&customer).len(), 0);
    }
    assert_eq!(stage.count("SELECT count(*) FROM event WHERE kind = 'refused' AND ticket IS NOT NULL"), 3);
    // the next one goes out all the same, and nothing of the refused ones is tried again
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.in_state("luis@cliente.example", "sent");
    assert_eq!(stage.smtp.commands().iter().filter(|line| line.starts_with("RCPT")).count(), 4);
    stage.assert_whole();
}

#[test]
fn a_relay_that_refuses_the_null_sender_is_asked_once_more_with_from() {
    let mut stage = Stage::open(|site| site);
    stage.smtp.fault(Step::Mail, 1, Fault::Reply("501 5.1.7 <> is nobody"));
    stage.receive("ana@cliente.example", "Servidor caído");
    let sent = stage.in_state("ana@cliente.example", "sent");
    assert_eq!(sent.attempts, 1, "one attempt, two envelopes");
    let [mail] = &stage.smtp.mails()[..] else { panic!("one mail") };
    assert_eq!(mail.sender, ADDRESS);
    assert_eq!(mail.recipients[0].parameters, ["NOTIFY=FAILURE"]);
    sent.assert_copies(std::slice::from_ref(mail));
    assert_eq!(
        stage.count("SELECT count(*) FROM alert WHERE kind = 'null_sender_refused' AND ended IS NULL"),
        1
    );

    // who refuses From as well has refused the mail
    stage.smtp.fault(Step::Mail, 1, Fault::Reply("550 5.7.1 nobody of yours"));
    stage.receive("luis@cliente.example", "Servidor caído");
    assert_eq!(stage.in_state("luis@cliente.example", "refused").attempts, 1);
    let senders = stage.smtp.commands().into_iter().filter(|line| line.starts_with("MAIL"));
    let senders: Vec<_> = senders.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
    let from = format!("FROM:<{ADDRESS}>");
    assert_eq!(senders, ["FROM:<>", &from, &from], "the relay's mind is known by now");

    // the next run asks anew
    assert!(stage.site.stop().success());
    stage.restart();
    stage.receive("eva@cliente.example", "Servidor caído");
    stage
        .wait_for_count(0, "SELECT count(*) FROM alert WHERE kind = 'null_sender_refused' AND ended IS NULL");
}

#[test]
fn a_relay_that_refuses_every_sender_does_not_mean_the_null_one() {
    let stage = Stage::open(|site| site);
    for nth in [1, 2] {
        stage.smtp.fault(Step::Mail, nth, Fault::Reply("550 5.7.1 nobody of yours"));
    }
    stage.receive("ana@cliente.example", "Servidor caído");
    assert_eq!(stage.in_state("ana@cliente.example", "refused").attempts, 1);
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'null_sender_refused'"), 0);
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_refused' AND ended IS NULL"), 1);
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.in_state("luis@cliente.example", "sent");
    assert_eq!(stage.smtp.mails()[0].sender, "", "it is asked anew");
}

#[test]
fn a_dead_relay_delays_no_ingestion() {
    let stage = with_login(|site| site); // and its time-outs are minutes
    for (round, step) in Step::BEFORE_ACCEPTANCE.into_iter().enumerate() {
        stage.smtp.fault_always(step, Fault::Silent);
        let connections = stage.smtp.connections();
        for number in 0..3 {
            stage.receive(&format!("ana{number}@cliente{round}.example"), "Servidor caído");
        }
        eventually("the relay is called", || (stage.smtp.connections() > connections).then_some(()));
        stage.wait_for_tickets(3 * (round as i64 + 1));
        stage.imap.wait_for_mails(USER, "INBOX", 0);
        stage.smtp.no_faults();
        stage.smtp.drop_connections();
        for number in 0..3 {
            stage.in_state(&format!("ana{number}@cliente{round}.example"), "sent");
        }
    }
    assert_eq!(stage.site.outbox().len(), 3 * Step::BEFORE_ACCEPTANCE.len());
    stage.assert_whole();
}

#[test]
fn an_acknowledgement_says_on_the_wire_what_it_is() {
    let stage = Stage::open(|site| site.set("smtp.reply_to", "soporte+{token}@mihost.example"));
    let mut raw = b"Reply-To: <evil@elsewhere.example>\r\nReferences: <older@mua.example>\r\n".to_vec();
    raw.extend(mail("\"Ana María\" <ana@cliente.example>", "Servidor caído"));
    stage.imap.deliver(USER, "INBOX", &raw, Timestamp::now());
    let sent = stage.in_state("ana@cliente.example", "sent");
    let [mail] = &stage.smtp.mails()[..] else { panic!("one mail to one address (I6)") };
    let header = |name| mail.header(name).unwrap_or_else(|| panic!("no {name}"));

    assert_eq!(mail.sender, "");
    assert!(mail.sender_parameters.contains(&"RET=HDRS".to_owned()));
    assert_eq!(mail.recipients.len(), 1);
    assert_eq!(mail.recipients[0].address, "ana@cliente.example");
    assert_eq!(mail.recipients[0].parameters, ["NOTIFY=NEVER"]);

    assert_eq!(header("Auto-Submitted"), "auto-replied");
    assert_eq!(header("X-Auto-Response-Suppress"), "OOF, AutoReply, RN, NRN");
    assert_eq!(header("Precedence"), "bulk");
    assert_eq!(acuse::mail::parse(&mail.raw).subject, "Re: Servidor caído");
    assert_eq!(header("To").trim_matches(['<', '>']), "ana@cliente.example");
    assert!(header("From").contains(ADDRESS));
    let original = acuse::mail::parse(&raw).message_id.unwrap();
    assert_eq!(header("In-Reply-To"), format!("<{original}>"));
    assert_eq!(header("References"), format!("<older@mua.example> <{original}>"));
    for copy in ["Cc", "Bcc", "Return-Path", "Disposition-Notification-To", "Return-Receipt-To"] {
        assert_eq!(mail.header(copy), None);
    }

    let keys = read_keys(&stage.site.state_dir()).unwrap();
    let ticket = keys.verify(Purpose::Loop, &header("X-Acuse-Loop")).expect("our own signature").ticket;
    assert_eq!(stage.count("SELECT ticket FROM outbox"), ticket);
    sent.assert_copies(std::slice::from_ref(mail));
    let id = mail.message_id().unwrap();
    let (local, domain) = id.split_once('@').unwrap();
    assert_eq!((keys.verify(Purpose::MessageId, local).unwrap().ticket, domain), (ticket, "mihost.example"));
    let reply_to = header("Reply-To").trim_matches(['<', '>']).to_owned();
    let tag = reply_to.strip_prefix("soporte+").and_then(|rest| rest.strip_suffix("@mihost.example"));
    assert_eq!(keys.verify(Purpose::ReplyAddress, tag.unwrap()).unwrap().ticket, ticket);
    stage.assert_whole();
}

#[test]
fn what_comes_through_a_pipe_is_acknowledged_at_once() {
    let stage = Stage::open(|site| site);
    let file = stage.site.directory().join("mail.eml");
    for number in 0..2 {
        let customer = format!("ana{number}@cliente.example");
        std::fs::write(&file, mail(&customer, "Servidor caído")).unwrap();
        let began = Instant::now();
        stage.site.text(&["ingest", file.to_str().unwrap()]);
        stage.in_state(&customer, "sent");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[test]
fn a_tagged_envelope_asks_for_failures_and_ties_them_to_their_row() {
    let stage = Stage::open(|site| site.set("smtp.envelope_from", "rebotes+{token}@mihost.example"));
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.in_state("ana@cliente.example", "sent");
    let mail = &stage.smtp.mails()[0];
    let tag = mail.sender.strip_prefix("rebotes+").and_then(|rest| rest.strip_suffix("@mihost.example"));
    let keys = read_keys(&stage.site.state_dir()).unwrap();
    assert_eq!(keys.verify(Purpose::Envelope, tag.unwrap()).unwrap().ticket, 1);
    assert_eq!(mail.recipients[0].parameters, ["NOTIFY=FAILURE"]);
}

#[test]
fn from_as_the_envelope_asks_for_failures_and_a_relay_without_dsn_is_asked_for_nothing() {
    let from = |site: SiteBuilder| site.set("smtp.envelope_from", "from");
    let stage = Stage::open(from);
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.in_state("ana@cliente.example", "sent");
    let mail = &stage.smtp.mails()[0];
    assert_eq!(mail.sender, ADDRESS);
    assert_eq!(mail.recipients[0].parameters, ["NOTIFY=FAILURE"]);

    let plain = smtp_peer::Options { extensions: vec!["8BITMIME"], ..smtp_peer::Options::default() };
    let stage = Stage::with_relay(plain, |site| site);
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.in_state("ana@cliente.example", "sent");
    let mail = &stage.smtp.mails()[0];
    assert_eq!(mail.sender, "");
    assert!(mail.recipients[0].parameters.is_empty());
    assert!(!mail.sender_parameters.iter().any(|word| word.starts_with("RET")));
}

/// The text of a mail's plain part.
fn text(mail: &Mail) -> String {
    acuse::mail::parse(&mail.raw).text
}

/// A person has answered.
const PROMISE_IS_MET: &str = "UPDATE promise SET ended = 2000, ended_by = 'answered' WHERE ended IS NULL";

/// The running promise's hour has come.
const PROMISE_PASSES: &str = "UPDATE promise SET due_by = 1000 WHERE ended IS NULL";

#[test]
fn a_promise_that_passes_before_the_first_offer_is_told_late() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
    stage.receive("ana@cliente.example", "Servidor caído");
    let waiting = stage.deferred("ana@cliente.example");
    assert_eq!(waiting.kind, "ack");
    stage.database().execute(PROMISE_PASSES, []).unwrap();
    stage.smtp.no_faults();

    let sent = stage.in_state("ana@cliente.example", "sent");
    assert_eq!(sent.kind, "late");
    assert_eq!(sent.message_id, waiting.message_id, "another text, the same mail");
    let [mail] = &stage.smtp.mails()[..] else { panic!("one mail") };
    sent.assert_copies(std::slice::from_ref(mail));
    assert_ne!(mail.raw, waiting.bytes);
    assert!(text(mail).contains("ACU-1"));
}

/// A person was faster than the relay: the customer needs no promise any more.
#[test]
fn a_promise_that_was_met_before_the_first_offer_is_not_mailed() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.deferred("ana@cliente.example");
    stage.database().execute_batch(&format!("{PROMISE_PASSES}; {PROMISE_IS_MET}")).unwrap();
    stage.smtp.no_faults();
    stage.in_state("ana@cliente.example", "expired");
    let why = "SELECT count(*) FROM event WHERE kind = 'expired' AND ticket = 1 AND detail ->> 'because' = 'answered'";
    assert_eq!(stage.count(why), 1);
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_expired'"), 0, "nothing is amiss");
    assert_eq!(stage.smtp.mails_to("ana@cliente.example").len(), 0);
}

/// Two acknowledgements wait, and the later one replaces the promise of the first: only that one is mailed.
#[test]
fn a_promise_that_was_replaced_before_the_first_offer_is_not_mailed() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
    stage.receive("ana@cliente.example", "Tengo una pregunta");
    let first = stage.deferred("ana@cliente.example");
    stage.database().execute("UPDATE ticket SET impact = 'low'", []).unwrap();
    stage.receive("ana@cliente.example", "Re: [ACU-1] Servidor caído");
    stage.row("ana@cliente.example", "kind = 'raised' AND state = 'due' AND attempts > 0");
    stage.row("ana@cliente.example", "kind = 'ack' AND state = 'expired'");
    stage.smtp.no_faults();
    let sent = stage.in_state("ana@cliente.example", "sent");
    assert_ne!(sent.id, first.id);
    let [mail] = &stage.smtp.mails()[..] else { panic!("one mail") };
    sent.assert_copies(std::slice::from_ref(mail));
}

#[test]
fn bytes_that_were_offered_once_are_frozen() {
    let stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Dot, Fault::Reply("451 4.2.0 later"));
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.deferred("ana@cliente.example");
    stage.database().execute(PROMISE_PASSES, []).unwrap();
    stage.smtp.no_faults();
    let sent = stage.in_state("ana@cliente.example", "sent");
    assert_eq!(sent.kind, "ack");
    let mails = stage.smtp.mails();
    assert!(mails.len() >= 2);
    sent.assert_copies(&mails);
}

#[test]
fn what_arrived_too_long_ago_is_late_or_silent() {
    let stage = Stage::open(|site| site.set("ack.max_age", "6h"));
    let ago = |hours| Timestamp::now() - SignedDuration::from_hours(hours);
    stage.receive_at("old@cliente.example", "Servidor caído", ago(7));
    stage.receive_at("late@cliente.example", "Servidor caído", ago(5)); // level 1, high impact: one hour
    let sent = stage.in_state("late@cliente.example", "sent");
    assert_eq!(sent.kind, "late");
    stage.wait_for_tickets(2);
    assert_eq!(stage.site.outbox().len(), 1);
    let why = "SELECT count(*) FROM event JOIN ticket ON ticket.id = event.ticket
               WHERE requester = 'old@cliente.example' AND kind = 'silent' AND detail ->> 'because' = 'too_old'";
    assert_eq!(stage.count(why), 1);
    stage.assert_whole();
}

#[test]
fn an_acknowledgement_expires_with_an_event_and_an_alert() {
    let mut stage = Stage::open(|site| site);
    stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.deferred("ana@cliente.example");
    let span =
        "SELECT outbox.expires - message.received FROM outbox JOIN message ON message.id = outbox.message";
    assert_eq!(stage.count(span), 6 * 60 * 60 * 1000, "[ack] max_age");
    stage.database().execute("UPDATE outbox SET expires = 1000", []).unwrap();
    stage.in_state("ana@cliente.example", "expired");
    assert_eq!(stage.count("SELECT count(*) FROM event WHERE kind = 'expired' AND ticket = 1"), 1);
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_expired' AND ended IS NULL"), 1);
    stage.smtp.no_faults();
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.in_state("luis@cliente.example", "sent");
    assert!(stage.site.stop().success());
    assert!(stage.site.log().contains("they expired expired=1"));
    assert_eq!(stage.smtp.mails_to("ana@cliente.example").len(), 0);
}

#[test]
fn beyond_a_cap_tickets_go_on_without_acknowledgements() {
    let stage = Stage::open(|site| site.set("limits.per_address_hour", 2).set("limits.per_domain_hour", 4));
    for number in 0..3 {
        stage.receive("ana@cliente.example", &format!("Servidor {number} caído"));
        stage.wait_for_tickets(number + 1);
    }
    for number in 0..3 {
        stage.receive(&format!("luis{number}@cliente.example"), "Servidor caído");
        stage.wait_for_tickets(number + 4);
    }
    stage.receive("eva@otra.example", "Servidor caído");
    stage.in_state("eva@otra.example", "sent");
    assert_eq!(stage.smtp.mails_to("ana@cliente.example").len(), 2);
    assert_eq!(stage.smtp.mails().len(), 5);
    let withheld = |why: &str| {
        stage.count(&format!(
            "SELECT count(*) FROM event WHERE kind = 'silent' AND detail ->> 'because' = '{why}'"
        ))
    };
    assert_eq!((withheld("cap_address_hour"), withheld("cap_domain_hour")), (1, 1));
    stage.assert_whole();
}

#[test]
fn the_pace_of_all_delays_and_loses_nothing() {
    let mut stage = Stage::open(|site| site.set("limits.per_hour", 1));
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.in_state("ana@cliente.example", "sent");
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.wait_for_tickets(2);
    assert!(stage.site.stop().success());
    assert_eq!(stage.in_state("luis@cliente.example", "due").attempts, 0);
    assert_eq!(stage.smtp.mails().len(), 1);

    // a new run goes on in the same hour
    let sent = |stage: &Stage| stage.count("SELECT count(*) FROM outbox WHERE state = 'sent'");
    stage.restart();
    stage.receive("eva@otra.example", "Servidor caído");
    stage.wait_for_tickets(3);
    assert!(stage.site.stop().success());
    assert_eq!((sent(&stage), stage.smtp.mails().len()), (1, 1));
    // and in the next one the oldest is first
    stage.database().execute("UPDATE outbox SET tried = tried - 3600000", []).unwrap();
    stage.restart();
    stage.in_state("luis@cliente.example", "sent");
    assert_eq!(stage.in_state("eva@otra.example", "due").attempts, 0);
    stage.assert_whole();
}

#[test]
fn a_silent_relay_does_not_delay_the_end() {
    let mut stage = Stage::open(|site| site); // and its time-outs are minutes
    stage.smtp.fault_always(Step::Dot, Fault::Silent);
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.smtp.wait_for_mails(1);
    stage.imap.wait_for_mails(USER, "INBOX", 0);
    assert!(stage.site.stop().success());
    stage.in_state("ana@cliente.example", "sending");
    stage.restart();
    stage.in_state("ana@cliente.example", "sent").assert_copies(&stage.smtp.wait_for_mails(2));
    stage.assert_whole();
}

/// Forgotten, it would be offered once more at the next start: a second acknowledgement.
#[test]
fn what_was_accepted_is_noted_before_the_end_although_the_database_fails() {
    let mut stage = Stage::open(|site| site);
    let fails = "CREATE TRIGGER fails BEFORE UPDATE ON outbox WHEN new.state = 'sent'
                 BEGIN SELECT raise(ABORT, 'no room'); END";
    stage.database().execute_batch(fails).unwrap();
    stage.receive("ana@cliente.example", "Servidor caído");
    let failures = |stage: &Stage| stage.site.log().matches("no room").count();
    eventually("the outcome is not noted", || (failures(&stage) > 0).then_some(()));
    let before = failures(&stage);
    stage.site.signal(Signal::TERM);
    eventually("it is tried again while the daemon ends", || (failures(&stage) > before).then_some(()));
    stage.database().execute_batch("DROP TRIGGER fails").unwrap();
    assert!(stage.site.wait_for_end().success());
    assert_eq!(stage.in_state("ana@cliente.example", "sent").attempts, 1);
    assert_eq!(stage.smtp.mails().len(), 1);
}

#[test]
fn one_connection_carries_what_waits() {
    let stage = with_login(|site| site);
    stage.smtp.fault(Step::Data, 1, Fault::Silent); // the others gather behind the first
    stage.receive("ana0@cliente0.example", "Servidor caído");
    stage.smtp.wait_for("DATA", 1);
    for number in 1..20 {
        stage.receive(&format!("ana{number}@cliente{number}.example"), "Servidor caído");
    }
    stage.wait_for_tickets(20);
    stage.smtp.drop_connections();
    let mails = stage.smtp.wait_for_mails(20);
    assert_eq!(mails.iter().filter(|mail| mail.connection == 2).count(), 19);
    stage.wait_for_count(20, "SELECT count(*) FROM outbox WHERE state = 'sent'");
    stage.assert_whole();
}

#[test]
fn a_row_that_cannot_be_told_late_is_held_and_holds_up_nobody() {
    for (damage, says) in [
        ("UPDATE message SET decision = '{}'", "cannot read message.decision"),
        ("UPDATE promise SET window = '{}'", "cannot read promise.window"),
        ("UPDATE message SET raw = NULL", "the mail that is acknowledged is not there"),
    ] {
        let stage = Stage::open(|site| site);
        stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
        stage.receive("ana@cliente.example", "Servidor caído");
        stage.deferred("ana@cliente.example");
        stage.database().execute_batch(damage).unwrap();
        stage.database().execute(PROMISE_PASSES, []).unwrap();
        let held = stage.in_state("ana@cliente.example", "held");
        assert!(held.last_error.as_ref().is_some_and(|error| error.contains(says)), "{held:?}");
        assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_held' AND ended IS NULL"), 1);
        stage.smtp.no_faults();
        stage.receive("luis@cliente.example", "Servidor caído");
        stage.in_state("luis@cliente.example", "sent");
        assert_eq!(stage.smtp.mails_to("ana@cliente.example").len(), 0, "no promise is made that has passed");
        assert_eq!(stage.site.log().matches("were held back held=1").count(), 1);
    }
}

#[test]
fn waits_of_no_time_and_empty_schedules_are_refused() {
    let nobody = "127.0.0.1:9".parse().unwrap();
    let check = |key: &str, value: toml::Value| {
        let output = Site::builder(nobody, nobody).set(key, value).write().acuse(&["check"]);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let list = |waits: &[&str]| toml::Value::from(waits.to_vec());
    for (key, value, says) in [
        ("smtp.retry", list(&[]), "[smtp] retry names no wait"),
        ("smtp.retry", list(&["1m", "0s"]), "a wait of no time at all"),
        ("smtp.retry", list(&["soon"]), "`soon` is no span of time"),
        ("smtp.timeout", "0m".into(), "a wait of no time at all"),
        ("mailbox.0.poll", "0s".into(), "a wait of no time at all"),
    ] {
        let (passes, text) = check(key, value);
        assert!(!passes && text.contains(says), "{text}");
    }
}
