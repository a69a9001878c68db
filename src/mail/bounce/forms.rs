//! Tests: the forms in which servers report without RFC 3464, each with what its reader would take from it.

use super::super::parse;

/// One form a paragraph: `=== server; kind status permanent`, its From and Subject, and its text on ana@b.co.
const FORMS: &str = include_str!("forms.txt");

#[test]
fn a_report_is_read_in_the_form_that_its_server_writes() {
    let mut wrong = Vec::new();
    for form in FORMS.split("=== ").skip(1) {
        let (head, mail) = form.split_once('\n').unwrap();
        let (server, want) = head.split_once("; ").unwrap();
        let mail = format!(
            "Return-Path: <>\nTo: soporte@mihost.example\nContent-Type: text/plain; charset=utf-8\n{mail}\
             ----- Original message -----\nMessage-ID: <ack.7@mihost.example>\nTo: otra@c.co\nSubject: Hola 5.9.9\n"
        );
        let message = parse(mail.as_bytes());
        let recipients = message.bounce.map(|bounce| bounce.recipients).unwrap_or_default();
        let said = recipients.iter().map(|it| {
            let permanent = match it.permanent {
                Some(true) => "permanent",
                Some(false) => "temporary",
                None => "unsaid",
            };
            let only = if it.recipient == "ana@b.co" { "" } else { &it.recipient };
            format!(" {only}{} {permanent}", it.status.as_deref().unwrap_or("-"))
        });
        let found = format!("{}{}", message.automation.kind.as_str(), said.collect::<String>());
        if found != want {
            wrong.push(format!("{server}: want {want}, have {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
