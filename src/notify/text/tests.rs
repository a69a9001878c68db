//! What the mails say, in both languages, alone and in a storm.

use super::*;
use crate::policy::{Policy, PolicyFiles};
use crate::ticket::Impact;
use crate::ticket::Language::En;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ticket(number: i64, topic: Topic) -> News {
    let high = topic == Topic::HighImpact;
    News::Ticket(TicketNews {
        number: format!("ACU-{number}"),
        topic,
        impact: if high { Impact::High } else { Impact::Medium },
        case: high.then(|| "caída de servicio".to_owned()),
        plan: "Nivel 1".to_owned(),
        requester: Some("ana@cliente.example".to_owned()),
        due: Some(time("2026-09-16T15:15:00Z")),
    })
}

fn alert(ended: Option<&str>) -> News {
    News::Alert(AlertNews {
        kind: "login_refused".to_owned(),
        subject: "soporte/INBOX".to_owned(),
        detail: "NO [AUTHENTICATIONFAILED]\r\nBcc: evil@elsewhere.example \u{202e}".to_owned(),
        since: time("2026-09-16T14:00:00Z"),
        ended: ended.map(time),
    })
}

/// What a reader sees, and the mail itself.
fn written(news: &[News], language: Language) -> (crate::mail::Message, String) {
    let policy = Policy::compile(&PolicyFiles::shipped()).0.unwrap();
    let to = Address::parse("guardia@mihost.example").unwrap();
    let notice = Notice {
        to: &to,
        language,
        news,
        message_id: "a.b.c@mihost.example",
        loop_token: "token",
        calendar: &policy.calendar,
        now: time("2026-09-16T14:15:00Z"),
    };
    let bytes = compose(&notice, &Site::nobody());
    (crate::mail::parse(&bytes), String::from_utf8(bytes).unwrap())
}

#[test]
fn one_ticket_is_told_in_the_subject() {
    let (es, raw) = written(&[ticket(12, Topic::HighImpact)], Es);
    assert_eq!(es.subject, "[ACU-12] impacto alto: caída de servicio — vence 10:15");
    assert_eq!(
        es.text.replace("\r\n", "\n").trim_end(),
        "ACU-12  impacto alto: caída de servicio\n  plan         Nivel 1\n  solicitante  ana@cliente.example\n  \
         vence        miércoles 16 de septiembre de 2026 a las 10:15 a. m.\n  ver          acuse tickets show ACU-12\n\n\
         Este aviso lo escribe acuse. No lo responda: el cliente no recibiría nada."
    );
    for line in
        ["Auto-Submitted: auto-generated\r\n", "X-Acuse-Loop: token\r\n", "To: guardia@mihost.example\r\n"]
    {
        assert!(raw.contains(line), "{raw}");
    }
    assert!(raw.is_ascii() && raw.lines().all(|line| line.len() <= 78), "{raw}");
    let (en, _) = written(&[ticket(13, Topic::Unclassified)], En);
    assert_eq!(en.subject, "[ACU-13] medium impact: unclassified — due 10:15");
}

#[test]
fn a_storm_is_counted_and_only_its_first_are_told_one_by_one() {
    let mut news = vec![alert(None), ticket(1, Topic::Unclassified)];
    news.extend((2..=50).map(|number| ticket(number, Topic::HighImpact)));
    let (mail, _) = written(&news, Es);
    assert_eq!(mail.subject, "[acuse] 51 avisos: 49 urgentes, 1 sin clasificar, 1 del sistema");
    assert!(mail.text.starts_with("ACU-2  impacto alto"), "{}", mail.text);
    assert!(mail.text.contains("ACU-41 ") && !mail.text.contains("ACU-42 "), "{}", mail.text);
    assert!(mail.text.contains("Y otros 11: acuse tickets list"), "{}", mail.text);
}

#[test]
fn an_alert_is_told_when_it_stands_and_when_it_is_over() {
    let (mail, raw) = written(&[alert(None)], Es);
    assert_eq!(mail.subject, "[acuse] inicio de sesión rechazado: soporte/INBOX");
    assert!(
        mail.text.contains("detalle      NO [AUTHENTICATIONFAILED] Bcc: evil@elsewhere.example"),
        "{}",
        mail.text
    );
    assert!(mail.text.contains("acuse mailbox list"), "{}", mail.text);
    assert!(!raw.contains("\r\nBcc:") && !mail.text.contains('\u{202e}'), "{raw}");
    let (mail, _) = written(&[alert(Some("2026-09-16T14:10:00Z"))], Es);
    assert!(mail.text.starts_with("Se resolvió: inicio de sesión rechazado: soporte/INBOX"), "{}", mail.text);
    assert!(mail.text.contains("a las 9:10 a. m."), "{}", mail.text);
}
