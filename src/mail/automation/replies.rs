//! Answers that no person wrote: vacation notices, and challenges to prove being a person.

use super::super::{AutomationKind, ReturnPath, Sign, opening};
use super::{Evidence, Row, auto_submitted, row as sign_row};

/// Header fields that only an auto-responder writes, and values that deny it.
const AUTO_REPLY_FIELDS: [&str; 10] = [
    "X-Bluebottle-Request",
    "X-Autoreply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Autoreply-From",
    "X-Mail-Autoreply",
    "X-Auto-Reply",
    "X-Vacation",
    "X-Challenge",
    "X-Autorespond-To",
];

/// How programs begin the subject of a vacation notice, before a colon, the answered subject or nothing.
const AUTO_REPLY_SUBJECTS: &[&str] = &[
    "automatic reply",
    "auto reply",
    "autoreply",
    "auto-reply",
    "auto response",
    "auto-response",
    "autoresponse",
    "automated reply",
    "automatic response",
    "out of office",
    "out of the office",
    "out of office reply",
    "out of office autoreply",
    "out of office response",
    "out of office notification",
    "vacation reply",
    "holiday reply",
    "away from my mail",
    "respuesta automática",
    "respuesta automatica",
    "autorespuesta",
    "auto respuesta",
    "fuera de la oficina",
    "fuera de oficina",
    "ausencia de la oficina",
    "ausente",
    "réponse automatique",
    "automatische antwort",
    "abwesenheitsnotiz",
    "resposta automática",
    "resposta automatica",
    "fora do escritório",
    "ausência temporária",
    "risposta automatica",
    "fuori sede",
    "fuori ufficio",
    "absent du bureau",
    "absence du bureau",
    "message d'absence",
    "automatisch antwoord",
    "automatiskt svar",
    "automatisk svar",
    "odpowiedź automatyczna",
    "автоматический ответ",
    "自動応答",
    "自动答复",
    "자동 회신",
    "ooo",
];

/// Whether a subject begins so, or ends so in brackets; "Out of office does not work" does neither.
fn is_auto_reply_subject(subject: &str) -> bool {
    let subject = subject.to_lowercase();
    let ends = subject
        .strip_suffix([')', ']'])
        .and_then(|subject| subject.rsplit_once(['(', '[']))
        .is_some_and(|(_, said)| AUTO_REPLY_SUBJECTS.contains(&said));
    let subject = subject.trim_start_matches(['[', '(', '*', '"', ' ']);
    let begins = AUTO_REPLY_SUBJECTS.iter().filter_map(|start| subject.strip_prefix(start)).any(|rest| {
        let rest = rest.trim_start();
        rest.is_empty()
            || rest.starts_with([':', '：', '-', '(', ')', ']', '"', '*', '!', '.'])
            || rest.starts_with("re:")
    });
    begins || ends && super::super::subject::mark(subject).is_none()
}

/// What a vacation notice says at its beginning. A person says it too: it counts in a mail that wants no answer.
const ABSENCES: &[&str] = &[
    "out of the office",
    "out of office",
    "on vacation",
    "on annual leave",
    "fuera de la oficina",
    "fuera de oficina",
    "estoy de vacaciones",
    "me encuentro de vacaciones",
    "fora do escritório",
    "estou de férias",
    "nicht im büro",
    "absent du bureau",
    "fuori ufficio",
];

/// The texts of challenge-response systems, which ask the sender to prove being a person.
const CHALLENGES: &[&str] = &[
    "boxbe.com",
    "your message has been held until",
    "to confirm that you are a real person",
    "verify your email address so your message",
    "please click the link below to complete the verification",
    "click the link below to verify",
    "click on the link below to verify",
    "to verify that you are a human",
    "mail delivery software (tmda)",
    "i just switched to spam arrest",
    "protecting myself from junk mail",
    "protecting myself from spam",
    "para que su correo sea entregado, confirme",
    "para que seu e-mail seja entregue",
];

/// The sign of an answer that no person wrote.
pub(super) fn row(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    let auto_reply = |holds, sign| sign_row(holds, AutomationKind::AutoReply, sign);
    let auto_submitted = auto_submitted(header);
    auto_reply(auto_submitted.as_deref() == Some("auto-replied"), Sign::AutoReplied)
        .or_else(|| {
            let field = AUTO_REPLY_FIELDS
                .iter()
                .any(|name| header.first(name).is_some_and(|value| !value.eq_ignore_ascii_case("no")));
            let delivered = header
                .all("Delivered-To")
                .any(|field| field.unfolded().eq_ignore_ascii_case("autoresponder"));
            auto_reply(field || delivered, Sign::AutoReplyHeader)
        })
        .or_else(|| {
            let precedence = ["Precedence", "X-Precedence"].iter().filter_map(|name| header.first(name));
            let auto = precedence.into_iter().any(|value| {
                matches!(value.to_ascii_lowercase().replace('_', "-").as_str(), "auto-reply" | "auto-replied")
            });
            auto_reply(auto, Sign::PrecedenceAutoReply)
        })
        .or_else(|| {
            let class = header.first("X-POST-MessageClass").unwrap_or_default().to_ascii_lowercase();
            let exchange = class.contains("autoresponder") || class.contains("oof");
            auto_reply(exchange, Sign::AutoReplyHeader)
        })
        .or_else(|| auto_reply(is_auto_reply_subject(evidence.subject), Sign::AutoReplySubject))
        .or_else(|| {
            let text = opening(evidence.text, 1_500);
            auto_reply(CHALLENGES.iter().any(|words| text.contains(words)), Sign::Challenge)
        })
        .or_else(|| {
            let wants_no_answer = *evidence.return_path == ReturnPath::Null || evidence.suppresses_auto_reply;
            let text = opening(evidence.text, 300);
            let absent = || ABSENCES.iter().any(|words| text.contains(words));
            auto_reply(wants_no_answer && absent(), Sign::AutoReplyText)
        })
}
