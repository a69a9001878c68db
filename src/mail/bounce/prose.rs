//! Delivery reports in prose, as qmail, Exim, Exchange, Gmail and older servers write them.

use std::sync::LazyLock;

use regex::Regex;

use super::super::{Address, BouncedRecipient, opening, pattern};
use super::{Evidence, MAX_RECIPIENTS, add, is_permanent, status_in};

/// The words that tell a delay are looked for in this many bytes.
const OPENING: usize = 1_500;
/// Text forms say what they say at the beginning, before the mail that they return.
const TEXT_READ: usize = 16 * 1024;

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
            "delivery attempts will continue",
            "delayed for more than",
            "will retry for",
            "seguirá intentándolo",
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
    let introduced = INTRODUCTION.find(own).map_or(0, |found| found.end());
    let listed =
        own.get(introduced..).filter(|listed| listed.lines().any(|line| recipient_of(line.trim()).is_some()));
    for (number, line) in listed.unwrap_or(own).lines().enumerate() {
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
    if let [only] = recipients.as_mut_slice()
        && only.status.is_none()
    {
        only.status = status_in(own); // the reason may stand above the recipient
        let class = only.status.as_deref().or_else(|| reply_class(own));
        only.permanent = only.permanent.or_else(|| is_permanent(class, Some(action)));
    }
    recipients
}

/// What announces the recipients: what stands above it, such as the To of the mail that failed, is none.
static INTRODUCTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:the\sfollowing|these)\s(?:recipient|address)|was\snot\sdelivered\sto:|estos\sdestinatarios",
    )
});

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
        r"(?ix) \b (?: (?:e?-?mail|message|mensaje|delivered|deliver|delivery|entregar|entregado) [^@\n]{0,40}? \b (?:to|for|a)
            | recipient | userid | attempts | full | violation\sfor | was\saddressed | destinatario | address
            | (?:permanent|temporary)\serrors | casilla | buz[oó]n | rcpt )
          [\s:,\[(<'\x22=-]+ (?:smtp:)? <? ([a-z0-9.!\#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9.-]{1,190})",
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
            | "error-for"
            | "failed address"
    );
    let ends = after.is_empty()
        || after.starts_with([':', '(', '-', ','])
        || after.starts_with("on ")
        || after.to_ascii_lowercase().starts_with("mailto:")
        || after.starts_with("<mailto:")
        || after.starts_with("...")
        || after.to_ascii_lowercase().contains("error_code");
    let stands_first = before.is_empty() && (ends || line.starts_with('<'));
    if !(stands_first || labelled) {
        return None;
    }
    usable_recipient(found.as_str())
}

fn usable_recipient(address: &str) -> Option<String> {
    let address = address.trim_start_matches(['\'', '`', '=']).trim_end_matches(['.', '-']);
    let local = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    if matches!(local.as_str(), "postmaster" | "mailer-daemon") {
        return None; // "contact postmaster@…"
    }
    Address::parse(address).map(|address| address.address)
}

static REPLY_CODE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(?:^|[:>\])]\s*|<<<\s*|\bcode,?\s*|said\s+|returned\s+)([45])[0-5][0-9](?:[\s,-]|$)")
});

/// The class of a basic SMTP reply (RFC 5321 §4.2.1), in a report that has no enhanced code.
fn reply_class(text: &str) -> Option<&'static str> {
    match REPLY_CODE.captures(text)?.get(1)?.as_str() {
        "5" => Some("5"),
        _ => Some("4"),
    }
}
