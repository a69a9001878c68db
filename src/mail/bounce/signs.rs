//! Whether a mail without the parts of RFC 3464 is a delivery report: who sends it, and in what words it begins.

use std::sync::LazyLock;

use regex::Regex;

use super::super::header::Header;
use super::super::{ReturnPath, opening, pattern, subject};
use super::{Evidence, prose};

/// The words that tell a report are looked for in this many bytes.
const OPENING: usize = 1_500;

/// Display names of mail servers.
const SERVER_NAMES: &[&str] = &[
    "mail delivery subsystem",
    "mail delivery system",
    "mailer-daemon",
    "mail administrator",
    "mail system",
    "mailer daemon",
    "delivery subsystem",
    "mail delivery service",
];

/// How mail servers begin or end the subject of a report that has no other mark; a person's answer or forward
/// begins otherwise.
const REPORT_SUBJECTS: &[&str] = &[
    "mail delivery failed",
    "mail delivery failure",
    "delivery failure notification",
    "delivery status notification",
    "undelivered mail returned to sender",
    "undeliverable:",
    "undeliverable mail",
    "returned mail: see transcript",
    "failure notice",
    "warning: could not send message",
    "loop alert:",
    "no se puede entregar:",
    "mensaje no entregado",
    "mail could not be delivered",
    "non-delivery:",
    "unzustellbar:",
    "non remis :",
    "non remis:",
    "non recapitabile:",
    "não é possível entregar:",
    "não entregue:",
    "onbestelbaar:",
    "配信不能:",
    "配信できません:",
];

/// Subjects that mail servers give their reports.
const SUBJECTS: &[&str] = &[
    "undeliver",
    "returned mail",
    "failure notice",
    "delivery status notification",
    "delivery failure",
    "mail delivery failed",
    "mail delivery failure",
    "delivery failed",
    "mail could not be delivered",
    "delivery notification",
    "non remis",
    "unzustellbar",
    "no se pudo entregar",
    "no se ha podido entregar",
    "no pudo ser entregado",
    "correo devuelto",
    "mensaje no entregado",
    "error de entrega",
    "aviso de entrega",
    "fallo en la entrega",
    "mail system error",
    "message delivery failure",
    "nondeliverable",
    "non-deliver",
    "undelivered",
    "delivery error",
    "returning message to sender",
    "mail failure",
    "warning: could not send",
    "warning: message",
    "delayed mail",
    "message status - undeliverable",
    "email delivery failure",
    "mail returned",
    "delivery report",
    "returned to sender",
    "failed mail",
    "notificación de estado de entrega",
    "benachrichtung zum",
    "unable to deliver",
    "delivery problem",
    "mail delivery",
    "undeliverable",
    "delivery delayed",
    "mensaje devuelto",
    "entrega fallida",
    "não entregue",
    "could not deliver",
    "user unknown",
    "delivery incomplete",
    "mail not delivered",
    "rejected mail",
    "no se puede entregar",
    "non recapitabile",
    "não é possível entregar",
    "onbestelbaar",
    "配信不能",
    "配信できません",
    "メールエラー通知",
    "error sending",
    "are not member",
    "loop alert",
    "non-delivery",
];

/// Sentences that no person begins a mail with.
const CERTAIN_OPENINGS: &[&str] = &[
    "this is the mail system at host",
    "i'm sorry to have to inform you",
    "this is the qmail-send program",
    "i wasn't able to deliver your message",
    "i'm afraid i wasn't able to deliver",
    "this message was created automatically by mail delivery software",
    "a message that you sent could not be delivered",
    "the original message was received at",
    "this is the dragonfly mail agent",
    "non-delivery report ---",
    "xmail bounce: rcpt=",
];

/// Words in the first lines of a report, which a person may use too.
const OPENINGS: &[&str] = &[
    "the following addresses had permanent fatal errors",
    "delivery has failed to these recipients",
    "your message did not reach some or all of the intended recipients",
    "delivery to the following recipient",
    "your message wasn't delivered to",
    "address not found",
    "message could not be delivered",
    "your message could not be delivered",
    "unable to deliver message to",
    "su mensaje no pudo ser entregado",
    "no se pudo entregar el mensaje",
    "no se ha podido entregar",
    "error al entregar estos destinatarios",
    "the following message to",
    "this is a permanent error",
    "could not be delivered to",
    "the mail system",
    "was undeliverable",
    "permanent delivery failure",
    "delivery of this message",
    "returned mail",
    "transcript of session follows",
    "failed to deliver",
    "cannot be delivered",
    "has been delayed",
    "not been delivered",
    "not delivered",
    "unknown user",
    "user unknown",
    "no such user",
    "mailbox unavailable",
    "undeliverable",
    "unable to deliver",
    "mailbox is full",
    "quota exceeded",
    "was not delivered",
    "delivery failed",
    "delivery failure",
    "delivery error",
    "could not deliver",
    "undelivered",
    "not a valid user",
    "did not reach the following recipient",
    "mail could not be delivered",
    "error de entrega a estos destinatarios",
    "fehler bei der nachrichtenzustellung",
    "konnte nicht zugestellt werden",
    "échec de la remise",
    "n'a pas pu être remis",
    "n'a pas pu etre delivre",
    "recapito non riuscito",
    "impossibile recapitare",
    "falha na entrega",
    "への配信に失敗しました",
    "送信できませんでした",
    "you are not a member of this mailing list",
    "duplicated message-id",
];

/// Words of reports and of complaints alike: they count beside the subject of a report.
const LOOSE_OPENINGS: &[&str] = &["is not accepting", "mailbox full", "does not exist", "casilla"];

/// How people begin a mail in which they say what a server told them.
const GREETINGS: &[&str] = &["hola", "buen", "estimad", "cordial", "saludos", "hi", "hello", "dear", "good "];

/// A reply of a server with its enhanced code (RFC 2034 §4), in whatever language the words around it are.
static REPLY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|[^0-9])[45][0-9]{2}[ -]\#?[45]\.[0-9]{1,3}\.[0-9]{1,3}"));

/// Whether a mail without the parts of RFC 3464 is a delivery report all the same.
pub(super) fn reads_like_a_report(evidence: &Evidence<'_>) -> bool {
    let header = evidence.header;
    if header.has("X-Failed-Recipients") {
        return true; // Exim, Gmail
    }
    if evidence.report_type == Some("disposition-notification") {
        return false; // what a receipt says of a mail (RFC 8098), though a server wrote it
    }
    let local: String = evidence.from_local.chars().filter(|c| c.is_alphanumeric()).collect();
    let daemon = local.starts_with("mailerdaemon") || matches!(local.as_str(), "mdaemon" | "maildaemon");
    let server = daemon
        || header.first("From").is_some_and(|from| from.trim() == "<>")
        || matches!(local.as_str(), "postmaster" | "maildeliverysystem" | "mailadministrator" | "mailsystem")
        || has_server_name(header);
    let null_path = *evidence.return_path == ReturnPath::Null;
    let subject = evidence.subject.to_lowercase();
    let by_subject = SUBJECTS.iter().any(|words| subject.contains(words));
    let opening = opening(evidence.text, OPENING);
    let says = |phrases: &[&str]| phrases.iter().any(|words| opening.contains(words));
    let by_opening = says(OPENINGS) || by_subject && says(LOOSE_OPENINGS);
    let by_certain_opening = says(CERTAIN_OPENINGS);
    // A person who asks what a report means sends it on, or answers it; neither is a report.
    if subject::mark(evidence.subject).is_some() {
        return server && null_path && by_certain_opening;
    }
    if daemon || null_path && by_certain_opening {
        return true;
    }
    let by_words = by_subject || by_opening || REPLY.is_match(&opening);
    if null_path || is_auto_submitted(header) {
        return server && (by_words || by_certain_opening)
            || by_opening && (by_subject || evidence.returns_mail);
    }
    // A customer may write as postmaster, and a form as noreply: words alone do not make a report of theirs.
    let claims =
        server && by_words || by_opening && by_subject && (is_bulk(header) || local.starts_with("noreply"));
    (claims || server && by_certain_opening) && !greets(&opening) && !prose::recipients(evidence).is_empty()
}

/// Whether a program says of itself that it wrote the mail (RFC 3834 §5), not for the writer of a form, and not for
/// the one whose mail it forwards.
fn is_auto_submitted(header: &Header<'_>) -> bool {
    let said = header.first("Auto-Submitted").unwrap_or_default().trim().to_ascii_lowercase();
    said.starts_with("auto-") && !said.starts_with("auto-forwarded") && !header.has("Reply-To")
}

fn is_bulk(header: &Header<'_>) -> bool {
    let precedence = header.first("Precedence").unwrap_or_default().trim().to_ascii_lowercase();
    ["bulk", "junk", "list"].iter().any(|word| precedence.starts_with(word))
}

/// Whether the text begins or asks as people do.
fn greets(opening: &str) -> bool {
    let start = opening.trim_start().trim_start_matches('¡');
    opening.contains('¿') || GREETINGS.iter().any(|greeting| start.starts_with(greeting))
}

/// Whether the display name of From is a mail server's.
pub(in super::super) fn has_server_name(header: &Header<'_>) -> bool {
    let from = header.first("From").unwrap_or_default().to_lowercase();
    let name = from.split('<').next().unwrap_or_default().trim().trim_matches('"');
    SERVER_NAMES.contains(&name)
}

/// Whether a subject begins or ends as mail servers write it.
pub(in super::super) fn is_report_subject(subject: &str) -> bool {
    let subject = subject.to_lowercase();
    REPORT_SUBJECTS.iter().any(|start| subject.starts_with(start)) || subject.ends_with("(delivery failed)")
}
