//! Answers that no person wrote: vacation notices, and challenges to prove being a person.

use super::super::{AutomationKind, ReturnPath, Sign, opening, subject};
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

/// How an auto-responder marked a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AutoReplySubject {
    /// Before a colon: the answered subject follows.
    Answering,
    /// Alone, in brackets or before a dash, which is also how a customer names the feature that fails.
    Bare,
}

/// What a subject begins with, or ends with in brackets; "Out of office does not work" does neither.
fn auto_reply_subject(subject: &str) -> Option<AutoReplySubject> {
    let subject = subject.to_lowercase();
    let ends = subject
        .strip_suffix([')', ']'])
        .and_then(|subject| subject.rsplit_once(['(', '[']))
        .is_some_and(|(_, said)| AUTO_REPLY_SUBJECTS.contains(&said));
    let start = subject.trim_start_matches(['[', '(', '*', '"', ' ']);
    let rests = AUTO_REPLY_SUBJECTS.iter().filter_map(|words| start.strip_prefix(words)).map(str::trim_start);
    let answered = |rest: &str| {
        let after = rest.strip_prefix([':', '：']);
        rest.starts_with("re:") || after.is_some_and(|after| !after.trim().is_empty())
    };
    if rests.clone().any(answered) {
        return Some(AutoReplySubject::Answering);
    }
    let marks = [':', '：', '-', '(', ')', ']', '"', '*', '!', '.'];
    let begins = rests.into_iter().any(|rest| rest.is_empty() || rest.starts_with(marks));
    (begins || ends && subject::mark(&subject).is_none()).then_some(AutoReplySubject::Bare)
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
        .or_else(|| {
            let holds = match auto_reply_subject(evidence.subject) {
                Some(AutoReplySubject::Answering) => true,
                Some(AutoReplySubject::Bare) => answers_unattended(evidence),
                None => false,
            };
            auto_reply(holds, Sign::AutoReplySubject)
        })
        .or_else(|| auto_reply(is_challenge(evidence) && answers_unattended(evidence), Sign::Challenge))
        .or_else(|| {
            let text = opening(evidence.text, 300);
            let absent = || ABSENCES.iter().any(|words| text.contains(words));
            auto_reply(wants_no_answer(evidence) && absent(), Sign::AutoReplyText)
        })
}

/// The sign of such an answer in words alone. A customer who asks about them writes them too: a machine's ticket, not
/// an answer to nothing.
pub(super) fn by_words(evidence: &Evidence<'_>) -> Row {
    let generated = |holds, sign| sign_row(holds, AutomationKind::AutoGenerated, sign);
    generated(auto_reply_subject(evidence.subject).is_some(), Sign::AutoReplySubject)
        .or_else(|| generated(is_challenge(evidence), Sign::Challenge))
}

fn is_challenge(evidence: &Evidence<'_>) -> bool {
    let text = opening(evidence.text, 1_500);
    CHALLENGES.iter().any(|words| text.contains(words))
}

fn wants_no_answer(evidence: &Evidence<'_>) -> bool {
    *evidence.return_path == ReturnPath::Null || evidence.suppresses_auto_reply
}

/// Whether a mail answers another, wants no answer itself, or carries the mark of a responder that says neither.
fn answers_unattended(evidence: &Evidence<'_>) -> bool {
    let header = evidence.header;
    let answers = || match subject::mark(evidence.subject) {
        Some(mark) => mark == subject::Mark::Reply,
        None => header.has("In-Reply-To") || header.has("References"),
    };
    let begins = |name: &str, word: &str| {
        header.first(name).is_some_and(|value| value.to_ascii_lowercase().starts_with(word))
    };
    wants_no_answer(evidence)
        || begins("Precedence", "bulk") // vacation(1)
        || begins("Precedence", "junk")
        || begins("X-Delivery-Agent", "tmda")
        || answers()
}
