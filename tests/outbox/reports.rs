//! Delivery reports come back, and each finds the acknowledgement that it answers.

use jiff::Timestamp;

use crate::support::acuse::{ADDRESS, SiteBuilder, USER};
use crate::support::smtp_peer::{Fault, Mail, Step};
use crate::support::stage::Stage;

const ANA: &str = "ana@cliente.example";
const LUIS: &str = "luis@otra.example";

fn tagged(site: SiteBuilder) -> SiteBuilder {
    site.set("smtp.envelope_from", "rebotes+{token}@mihost.example")
}

fn untagged(site: SiteBuilder) -> SiteBuilder {
    site.set("smtp.envelope_from", "from")
}

/// A report of an MTA.
struct Report<'a> {
    to: &'a str,
    recipient: &'a str,
    action: &'a str,
    status: &'a str,
    envelope_id: Option<&'a str>,
    message_id: Option<&'a str>,
}

impl Report<'_> {
    fn arrive(&self, stage: &Stage) {
        let Self { to, recipient, action, status, .. } = self;
        let envid = self.envelope_id.map(|id| format!("Original-Envelope-Id: {id}\r\n")).unwrap_or_default();
        let headers = self
            .message_id
            .map(|id| format!("--z\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{id}>\r\n\r\n"));
        let raw = format!(
            "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: <{to}>\r\nSubject: Delivery report\r\n\
             Message-ID: <{action}.{status}.{recipient}.{to}>\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=z\r\n\r\n\
             --z\r\nContent-Type: text/plain\r\n\r\nAbout your mail.\r\n\
             --z\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n{envid}\r\n\
             Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n{}--z--\r\n",
            headers.unwrap_or_default()
        );
        stage.imap.deliver(USER, "INBOX", raw.as_bytes(), Timestamp::now());
    }
}

/// A report on a mail, addressed to its envelope's sender.
fn report<'a>(mail: &'a Mail, recipient: &'a str, action: &'a str, status: &'a str) -> Report<'a> {
    Report { to: &mail.sender, recipient, action, status, envelope_id: None, message_id: None }
}

/// What a customer's only acknowledgement was sent as.
fn acknowledged(stage: &Stage, customer: &str) -> Mail {
    stage.receive(customer, "Servidor caído");
    stage.in_state(customer, "sent");
    stage.smtp.mails_to(customer).remove(0)
}

fn said(stage: &Stage, id: i64) -> String {
    let sql = "SELECT coalesce(report, '') || CASE WHEN reported IS NULL THEN ' never' ELSE '' END FROM outbox WHERE id = ?1";
    stage.database().query_row(sql, [id], |row| row.get(0)).unwrap()
}

fn events(stage: &Stage, kind: &str) -> i64 {
    stage.count(&format!("SELECT count(*) FROM event WHERE kind = '{kind}' AND ticket IS NOT NULL"))
}

const SUPPRESSED: &str = "SELECT count(*) FROM suppression";
const NOTES: &str = "SELECT count(*) FROM message WHERE role = 'note'";

#[test]
fn a_failure_finds_its_row_and_the_address_gets_no_more_until_it_writes() {
    let stage = Stage::open(tagged);
    let first = acknowledged(&stage, ANA);
    let id = stage.in_state(ANA, "sent").id;
    acknowledged(&stage, LUIS);
    report(&first, ANA, "failed", "5.1.1").arrive(&stage);
    stage.wait_for_count(1, NOTES);
    assert_eq!(
        (said(&stage, id), said(&stage, stage.in_state(LUIS, "sent").id)),
        ("failed 5.1.1".into(), " never".into())
    );
    let row = stage.site.json(&["outbox", "show", &id.to_string()]);
    assert_eq!((&row["state"], &row["report"]), (&"sent".into(), &"failed 5.1.1".into()));
    let bounced = row["events"].as_array().unwrap().last().unwrap();
    assert_eq!((&bounced["kind"], &bounced["detail"]["recipient"]), (&"bounced".into(), &ANA.into()));
    assert!(row["reported"].is_string());
    let ticket = stage.site.json(&["tickets", "show", "ACU-1"]);
    assert!(ticket["events"].as_array().unwrap().contains(bounced), "the ticket tells of it as well");
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_bounced' AND ended IS NULL"), 1);
    let days = "SELECT count(*) FROM suppression JOIN outbox ON recipient = address
                WHERE until - reported = 30 * 86400000 AND because = 'failed 5.1.1'";
    assert_eq!(stage.count(days), 1);

    // a mail from there lifts it
    stage.receive(ANA, "Otra caída");
    stage.wait_for_count(0, SUPPRESSED);
    stage.wait_for_count(
        2,
        &format!("SELECT count(*) FROM outbox WHERE recipient = '{ANA}' AND state = 'sent'"),
    );
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_bounced' AND ended IS NULL"), 0);
    stage.assert_whole();
}

#[test]
fn what_waits_for_an_address_that_bounced_is_held_until_somebody_writes_from_there() {
    let stage = Stage::open(tagged);
    let first = acknowledged(&stage, ANA);
    stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
    stage.receive(ANA, "Otra caída");
    stage.deferred(ANA);
    report(&first, ANA, "failed", "5.1.1").arrive(&stage);
    let held = stage.in_state(ANA, "held");
    assert_eq!(stage.site.json(&["outbox", "list", "--state", "held"])[0]["held_by"], "undeliverable");
    stage.smtp.no_faults();
    stage.receive(ANA, "¿Siguen ahí?");
    stage.row(ANA, &format!("id = {} AND state = 'sent'", held.id));
    assert_eq!(events(&stage, "released"), 1);
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'ack_held' AND ended IS NULL"), 0);
    stage.assert_whole();
}

#[test]
fn without_a_tag_the_returned_headers_or_the_envelope_id_name_the_row() {
    let stage = Stage::open(untagged);
    let mails = [ANA, LUIS].map(|customer| acknowledged(&stage, customer));
    let envid = |mail: &Mail| {
        let word = mail.sender_parameters.iter().find_map(|word| word.strip_prefix("ENVID="));
        word.expect("RFC 3461 §4.4").to_owned()
    };
    let (id, envelope_id) = (mails[0].message_id().unwrap(), envid(&mails[1]));
    Report { message_id: Some(&id), ..report(&mails[0], ANA, "failed", "5.1.1") }.arrive(&stage);
    Report { envelope_id: Some(&envelope_id), ..report(&mails[1], LUIS, "failed", "5.1.10") }.arrive(&stage);
    stage.wait_for_count(2, NOTES);
    assert_eq!(said(&stage, stage.in_state(ANA, "sent").id), "failed 5.1.1");
    assert_eq!(said(&stage, stage.in_state(LUIS, "sent").id), "failed 5.1.10");
    assert_eq!(stage.count(SUPPRESSED), 2);
    stage.assert_whole();
}

/// One ticket, two acknowledgements of it: the report is on the second.
#[test]
fn of_two_acknowledgements_of_a_ticket_the_right_one_is_marked() {
    let stage = Stage::open(tagged);
    acknowledged(&stage, ANA);
    stage.database().execute("UPDATE ticket SET impact = 'low'", []).unwrap();
    stage.receive(ANA, "Re: [ACU-1] Servidor caído");
    let raised = stage.row(ANA, "kind = 'raised' AND state = 'sent'");
    report(&stage.smtp.mails_to(ANA)[1], ANA, "failed", "5.4.4").arrive(&stage);
    stage.wait_for_count(1, NOTES);
    assert_eq!(said(&stage, raised.id), "failed 5.4.4");
    assert_eq!(said(&stage, stage.row(ANA, "kind = 'ack'").id), " never");
    assert_eq!(stage.count("SELECT ticket FROM outbox WHERE report IS NOT NULL"), 1);
}

#[test]
fn only_a_bad_address_of_its_own_is_held_against_anybody() {
    let stage = Stage::open(tagged);
    let mail = acknowledged(&stage, ANA);
    let id = stage.in_state(ANA, "sent").id;
    for (number, (recipient, action, status, want)) in [
        (ANA, "delayed", "4.4.7", "delayed 4.4.7"),
        (ANA, "relayed", "2.1.9", "relayed 2.1.9"),
        (ANA, "delivered", "2.1.5", "delivered 2.1.5"),
        (ANA, "failed", "5.2.2", "failed 5.2.2"), // a full mailbox
        (ANA, "failed", "5.7.1", "failed 5.7.1"), // a filter
        (ANA, "failed", "5.1.8", "failed 5.1.8"), // it is our address that they do not like
        (LUIS, "failed", "5.1.1", "failed 5.1.1 (luis@otra.example)"), // anybody can be named in a report
    ]
    .into_iter()
    .enumerate()
    {
        report(&mail, recipient, action, status).arrive(&stage);
        stage.wait_for_count(number as i64 + 1, NOTES);
        assert_eq!(said(&stage, id), want);
    }
    assert_eq!(stage.count(SUPPRESSED), 0);
    assert_eq!(["delayed", "delivered", "bounced"].map(|kind| events(&stage, kind)), [1, 2, 4]);
    let standing = "SELECT count(*) FROM alert WHERE kind = 'ack_bounced' AND ended IS NULL";
    assert_eq!(stage.count(standing), 1);
    stage.receive(ANA, "Aquí estoy");
    stage.wait_for_count(0, standing);
    stage.assert_whole();
}

#[test]
fn a_report_without_a_token_of_ours_changes_nothing() {
    let stage = Stage::open(tagged);
    let mail = acknowledged(&stage, ANA);
    let id = stage.in_state(ANA, "sent").id;
    let (message_id, to) = (mail.message_id().unwrap(), mail.sender.clone());
    let spoilt = |text: &str| text.replacen('@', "a@", 1);
    let (other_id, other_to) = (spoilt(&message_id), spoilt(&to));
    let forged = |to, message_id, envelope_id| Report {
        envelope_id,
        message_id,
        ..Report { to, ..report(&mail, ANA, "failed", "5.1.1") }
    };
    forged(ADDRESS, None, None).arrive(&stage);
    forged(ADDRESS, Some("ack@mihost.example"), Some("1.2.3.4")).arrive(&stage);
    forged(&other_to, Some(&other_id), None).arrive(&stage);
    let backscatter = "SELECT count(*) FROM message WHERE outcome = 'ignored' AND reason = 'backscatter'";
    stage.wait_for_count(3, backscatter);
    assert_eq!((said(&stage, id), stage.count(SUPPRESSED)), (" never".to_owned(), 0));
    assert_eq!((events(&stage, "bounced"), stage.count(NOTES)), (0, 0));
    assert_eq!(stage.count("SELECT count(*) FROM alert"), 0);
    stage.assert_whole();
}

#[test]
fn an_address_that_the_relay_refuses_at_once_is_undeliverable_too() {
    let stage = Stage::open(tagged);
    stage.smtp.fault(Step::Rcpt, 1, Fault::Reply("550 5.1.1 no such user"));
    stage.receive(ANA, "Servidor caído");
    stage.in_state(ANA, "refused");
    assert_eq!(stage.count(&format!("SELECT count(*) FROM suppression WHERE address = '{ANA}'")), 1);
    stage.smtp.fault(Step::Rcpt, 1, Fault::Reply("550 5.7.1 not today"));
    stage.receive(LUIS, "Servidor caído");
    stage.in_state(LUIS, "refused");
    assert_eq!(stage.count("SELECT count(*) FROM suppression"), 1, "a policy says nothing of the address");
}
