//! Delivery reports in prose, as qmail, Exim, Exchange, Gmail and older servers write them.

use std::sync::LazyLock;

use regex::Regex;

use super::super::{Address, BouncedRecipient, ReturnPath, opening, pattern, subject};
use super::{Evidence, MAX_RECIPIENTS, add, is_permanent, status_in};

/// The words that tell a report are looked for in this many bytes.
const OPENING: usize = 1_500;
/// Text forms say what they say at the beginning, before the mail that they return.
const TEXT_READ: usize = 16 * 1024;

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
    "is not accepting",
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
    "mailbox full",
    "quota exceeded",
    "does not exist",
    "was not delivered",
    "casilla",
    "delivery failed",
    "delivery failure",
    "delivery error",
    "could not deliver",
    "undelivered",
];

/// Whether a mail without the parts of RFC 3464 is a delivery report all the same.
pub(super) fn reads_like_a_report(evidence: &Evidence<'_>) -> bool {
    if evidence.header.has("X-Failed-Recipients") {
        return true; // Exim, Gmail
    }
    let local: String = evidence.from_local.chars().filter(|c| c.is_alphanumeric()).collect();
    let daemon = local.starts_with("mailerdaemon") || matches!(local.as_str(), "mdaemon" | "maildaemon");
    let server = daemon
        || matches!(local.as_str(), "postmaster" | "maildeliverysystem" | "mailadministrator" | "mailsystem");
    let null_path = *evidence.return_path == ReturnPath::Null;
    let subject = evidence.subject.to_lowercase();
    let by_subject = SUBJECTS.iter().any(|words| subject.contains(words));
    // A person who asks what a report means sends it on, or answers it; neither is a report.
    let by_person = subject::mark(evidence.subject).is_some();
    if !(server || null_path) {
        return false;
    }
    let opening = opening(evidence.text, OPENING);
    let by_opening = || OPENINGS.iter().any(|words| opening.contains(words));
    let by_certain_opening = || CERTAIN_OPENINGS.iter().any(|words| opening.contains(words));
    if by_person {
        return server && null_path && by_certain_opening();
    }
    daemon
        || (server && (by_subject || by_opening()))
        || (null_path && by_subject && by_opening())
        || by_certain_opening()
}

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}"));

/// Lines after which the returned mail begins.
const RETURNED: &[&str] = &[
    "--- below this line is a copy",
    "------ this is a copy",
    "------ this is the message",
    "--- original message",
    "----- original message",
    "-----original message",
    "---- original message",
    "--- the header of the original",
    "return-path:",
    "received: ",
    "message-id:",
    "----- unsent message",
    "-------- unsent message",
    "your message is below",
    "----- forwarded message",
    "--- undelivered message follows",
    "mime-version:",
    "original message follows",
    "---------- the original",
    "----- message header follows",
    "------ copy of",
    "-------- original message",
    "--- mensaje original",
    "*** original message",
    "the original message headers",
    "original message headers",
    "----- message from",
];

/// The recipients that a report in prose names: `<ana@b.co>:` at the start of a line (qmail, Postfix), an address alone
/// on its line (Exim, Gmail, Exchange), or the X-Failed-Recipients.
pub(super) fn recipients(evidence: &Evidence<'_>) -> Vec<BouncedRecipient> {
    let mut recipients = Vec::new();
    let subject = evidence.subject.to_lowercase();
    let opening = opening(evidence.text, OPENING);
    let delayed = ["delay", "warning", "retraso"].iter().any(|word| subject.contains(word))
        || [
            "will be retried",
            "still trying",
            "warning message only",
            "not been delivered yet",
            "delivery will continue",
            "keep trying",
            "will keep trying",
            "will continue to be attempted",
            "has not yet been delivered",
        ]
        .iter()
        .any(|words| opening.contains(words));
    let action = if delayed { "delayed" } else { "failed" };
    let text = evidence.text.get(..evidence.text.floor_char_boundary(TEXT_READ)).unwrap_or(evidence.text);
    let mut named: Vec<(String, usize)> = Vec::new();
    let mut spoken = String::new(); // what is said after a recipient, until the next
    let close =
        |named: &mut Vec<(String, usize)>, spoken: &mut String, recipients: &mut Vec<BouncedRecipient>| {
            let status = status_in(spoken);
            let permanent = is_permanent(status.as_deref().or_else(|| reply_class(spoken)), Some(action));
            for (recipient, _) in named.drain(..) {
                add(recipients, recipient, status.clone(), Some(action.to_owned()), permanent);
            }
            spoken.clear();
        };
    let own = returned_begins(text).and_then(|at| text.get(..at)).unwrap_or(text);
    for (number, line) in own.lines().enumerate() {
        let line = line.trim();
        if let Some(recipient) = recipient_of(line) {
            if named.last().is_some_and(|(_, last)| last + 1 < number) {
                close(&mut named, &mut spoken, &mut recipients);
            }
            named.push((recipient, number));
        }
        if spoken.len() < 2_000 {
            spoken.push_str(line);
            spoken.push(' ');
        }
    }
    for field in evidence.header.all("X-Failed-Recipients") {
        let failed = super::super::address::list(&field.unfolded()).addresses;
        named.extend(failed.into_iter().map(|address| (address.address, usize::MAX)));
    }
    if recipients.is_empty() && named.is_empty() {
        let in_prose = RECIPIENT_IN_PROSE
            .captures_iter(own)
            .filter_map(|found| usable_recipient(found.get(1)?.as_str()));
        named.extend(in_prose.take(MAX_RECIPIENTS).map(|recipient| (recipient, usize::MAX)));
    }
    close(&mut named, &mut spoken, &mut recipients);
    recipients
}

/// Where the returned mail begins.
fn returned_begins(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start: String = line.trim_start().chars().take(60).collect::<String>().to_ascii_lowercase();
        if RETURNED.iter().any(|words| start.starts_with(words)) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// An address that a sentence names as the recipient.
static RECIPIENT_IN_PROSE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) \b (?: (?:mail|message|mensaje|delivered|deliver|delivery|entregar) [^@\n]{0,40}? \b (?:to|for|a)
            | recipient | userid | attempts | full | violation\sfor | was\saddressed | destinatario | address )
          [\s:,\[(-]* (?:smtp:)? <? ([a-z0-9.!\#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9.-]{1,190})",
    )
});

/// A line that names a recipient: the address in angle brackets first, alone, or after a label.
fn recipient_of(line: &str) -> Option<String> {
    if line.len() > 400 || !line.contains('@') {
        return None;
    }
    let found = ADDRESS.find(line)?;
    let before = line.get(..found.start())?;
    let after = line.get(found.end()..)?;
    let before = before.trim_end_matches(['<', '"', '\'', '(', '[']).trim();
    let after = after.trim_start_matches(['>', '"', '\'', ')', ']', '.']).trim_start();
    let label = before.trim_end_matches(':').trim().to_ascii_lowercase();
    let labelled = matches!(
        label.as_str(),
        "recipient"
            | "to"
            | "user"
            | "mailbox"
            | "rcpt to"
            | "final-recipient"
            | "user mailbox"
            | "destinatario"
            | "-"
            | "*"
            | "address"
            | "final-recipient: rfc822;"
            | "recipient address"
            | "failed recipient"
            | "for"
            | "|"
            | "recipients"
            | "final-recipient: rfc822"
            | "e-mail"
            | "email"
            | "unknown user"
            | "user unknown"
            | "smtp"
    );
    let ends = after.is_empty()
        || after.starts_with([':', '(', '-', ','])
        || after.starts_with("on ")
        || after.to_ascii_lowercase().starts_with("mailto:")
        || after.starts_with("<mailto:")
        || after.starts_with("...");
    let stands_first = before.is_empty() && (ends || line.starts_with('<'));
    if !(stands_first || labelled) {
        return None;
    }
    usable_recipient(found.as_str())
}

fn usable_recipient(address: &str) -> Option<String> {
    let address = address.trim_end_matches(['.', '-']);
    let local = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    if matches!(local.as_str(), "postmaster" | "mailer-daemon") {
        return None; // "contact postmaster@…"
    }
    Address::parse(address).map(|address| address.address)
}

static REPLY_CODE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(?:^|[:>\])]\s*|\bcode,?\s*|said\s+|returned\s+)([45])[0-5][0-9](?:[\s,-]|$)")
});

/// The class of a basic SMTP reply (RFC 5321 §4.2.1), in a report that has no enhanced code.
fn reply_class(text: &str) -> Option<&'static str> {
    match REPLY_CODE.captures(text)?.get(1)?.as_str() {
        "5" => Some("5"),
        _ => Some("4"),
    }
}
