//! Reports as the common servers write them, in our own words.

use super::super::{AutomationKind, Message, parse};
use super::*;

fn report(status: &str) -> Message {
    parse(
        format!(
            "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nSubject: Undelivered Mail Returned to Sender\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=z\n\n\
             --z\n\nNo pudo entregarse.\n\n--z\nContent-Type: message/delivery-status\n\n{status}\n\
             --z\nContent-Type: message/rfc822\n\nMessage-ID: <ack.7@mihost.example>\nSubject: caída\n\nTexto devuelto.\n--z--\n"
        )
        .as_bytes(),
    )
}

fn text_report(from: &str, subject: &str, text: &str) -> Message {
    parse(format!("Return-Path: <>\nFrom: {from}\nSubject: {subject}\n\n{text}\n").as_bytes())
}

fn only(message: &Message) -> BouncedRecipient {
    let bounce = message.bounce.as_ref().expect("a report");
    assert_eq!(bounce.recipients.len(), 1, "{bounce:?}");
    bounce.recipients[0].clone()
}

#[test]
fn an_rfc_3464_report_is_read_whole() {
    let message = report(
        "Original-Envelope-Id: b.c.1.mac\nReporting-MTA: dns; mx.example\n\nOriginal-Recipient: rfc822;alias@b.co\nFinal-Recipient: rfc822; Ana@B.co\n\
         Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1\n  no such user\n\n\
         Final-Recipient: rfc822; luis@b.co\nAction: Failed\nStatus: 4.2.2 (full)\n",
    );
    assert_eq!(message.automation.kind, AutomationKind::Bounce);
    let bounce = message.bounce.unwrap();
    assert_eq!(bounce.original_message_id.as_deref(), Some("ack.7@mihost.example"));
    assert_eq!(bounce.original_envelope_id.as_deref(), Some("b.c.1.mac"));
    let want = |recipient: &str, status: &str, permanent| BouncedRecipient {
        recipient: recipient.to_owned(),
        status: Some(status.to_owned()),
        action: Some("failed".to_owned()),
        permanent: Some(permanent),
    };
    assert_eq!(bounce.recipients, [want("ana@b.co", "5.1.1", true), want("luis@b.co", "4.2.2", false)]);
    assert!(!message.text.contains("Texto devuelto"), "what came back is not said anew");
}

#[test]
fn the_action_tells_a_failure_from_a_delay() {
    for (action, kind, permanent) in [
        ("failed", AutomationKind::Bounce, Some(true)),
        ("delayed", AutomationKind::DelayReport, Some(false)),
        ("relayed", AutomationKind::DelayReport, None),
        ("delivered", AutomationKind::DelayReport, None),
    ] {
        let message = report(&format!("\nFinal-Recipient: rfc822;a@b.co\nAction: {action}\nStatus: 5.0.0\n"));
        assert_eq!(message.automation.kind, kind, "{action}");
        assert_eq!(only(&message).permanent, permanent, "{action}");
    }
}

#[test]
fn a_vague_status_gives_way_to_the_diagnostic() {
    let message = report(
        "\nFinal-Recipient: rfc822;a@b.co\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.1 unknown\n",
    );
    assert_eq!(only(&message).status.as_deref(), Some("5.1.1"));
    assert_eq!(status_in("host 10.5.1.1 said no"), None, "an address is no status");
    assert_eq!(status_in("550-5.7.26 blocked").as_deref(), Some("5.7.26"));
}

#[test]
fn the_class_of_the_status_says_whether_it_is_permanent() {
    for (status, action, permanent) in [
        ("5.2.2", "failed", Some(true)),
        ("4.2.2", "failed", Some(false)),
        ("5.1.1", "delayed", Some(false)),
        ("2.1.5", "delivered", None),
    ] {
        assert_eq!(is_permanent(Some(status), Some(action)), permanent, "{status} {action}");
    }
}

#[test]
fn common_servers_are_understood_in_prose() {
    for (from, subject, text) in [
        (
            "MAILER-DAEMON@qmail.example",
            "failure notice",
            "Hi. This is the qmail-send program at qmail.example.\n\n<ana@b.co>:\n1.2.3.4 does not like recipient.\n\
          Remote host said: 550 5.1.1 unknown\n\n--- Below this line is a copy of the message.\n\n\
          Message-ID: <ack.7@mihost.example>\nTo: otra@c.co\n",
        ),
        (
            "Mail Delivery System <Mailer-Daemon@exim.example>",
            "Mail delivery failed: returning message to sender",
            "This message was created automatically by mail delivery software.\n\nThe following address failed:\n\n  \
          ana@b.co\n    SMTP error from remote mail server after RCPT TO:<ana@b.co>:\n    550 5.1.1 unknown\n\n\
          ------ This is a copy of the message ------\nMessage-ID: <ack.7@mihost.example>\nTo: otra@c.co\n",
        ),
        (
            "MAILER-DAEMON@postfix.example (Mail Delivery System)",
            "Undelivered Mail Returned to Sender",
            "This is the mail system at host postfix.example.\n\n<ana@b.co>: host mx.b.co[1.2.3.4] said: 550 5.1.1\n    \
          unknown (in reply to RCPT TO command)\n\nMessage-ID: <ack.7@mihost.example>\n",
        ),
        (
            "Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
            "Delivery Status Notification (Failure)",
            "Delivery to the following recipient failed permanently:\n\n     ana@b.co\n\nTechnical details: 550 5.1.1 \
          unknown\n\n----- Original message -----\nMessage-ID: <ack.7@mihost.example>\n",
        ),
        (
            "postmaster@exchange.example",
            "Undeliverable: Su caso",
            "Delivery has failed to these recipients or groups:\n\nana@b.co<mailto:ana@b.co>\nThe address was not found. \
          #550 5.1.1##\n\nOriginal message headers:\nMessage-ID: <ack.7@mihost.example>\n",
        ),
    ] {
        let message = text_report(from, subject, text);
        assert_eq!(message.automation.kind, AutomationKind::Bounce, "{from}");
        let recipient = only(&message);
        assert_eq!(
            (recipient.recipient.as_str(), recipient.status.as_deref()),
            ("ana@b.co", Some("5.1.1")),
            "{from}"
        );
        let id = message.bounce.unwrap().original_message_id;
        assert_eq!(id.as_deref(), Some("ack.7@mihost.example"), "{from}");
    }
}

#[test]
fn a_customer_who_writes_about_bounces_is_a_person() {
    for (subject, text) in [
        ("Undelivered mail", "Me devuelven los correos: Mail delivery failed."),
        ("Re: Undelivered Mail Returned to Sender", "¿Qué significa esto?"),
        ("RV: Undelivered Mail Returned to Sender", "This is the mail system at host b.co."),
        ("Undelivered Mail Returned to Sender", "This is the mail system at host b.co."),
        ("No puedo enviar", "This is the mail system at host b.co, eso me llega."),
    ] {
        let mail = format!("From: Ana <ana@b.co>\nSubject: {subject}\n\n{text}\n");
        assert_eq!(parse(mail.as_bytes()).bounce, None, "{subject}");
    }
}
