//! Delivery reports → which addresses, which of our mails, permanent or not.

mod notification;
mod prose;
mod signs;

use std::sync::LazyLock;

use regex::Regex;

use super::header::Header;
use super::identity;
use super::mime::Leaf;
use super::{Address, Bounce, BouncedRecipient, ReturnPath, pattern};

pub(super) use notification::is_complaint;
pub(super) use signs::{has_server_name, is_report_subject};

/// A report names at most this many recipients; the rest is noise or an attack.
const MAX_RECIPIENTS: usize = 100;

/// What tells a delivery report from a mail, besides its parts.
pub(super) struct Evidence<'a> {
    pub header: &'a Header<'a>,
    pub subject: &'a str,
    pub from_local: &'a str,
    pub return_path: &'a ReturnPath,
    pub report_type: Option<&'a str>,
    /// A mail, or its headers, hangs on it.
    pub returns_mail: bool,
    /// The mail's own text.
    pub text: &'a str,
}

/// The delivery report in a mail, when it is one: RFC 3464 by its parts, the older forms by their words.
pub(super) fn read(leaves: &[Leaf], evidence: &Evidence<'_>) -> Option<Bounce> {
    let top = || leaves.iter().filter(|leaf| leaf.nested == 0);
    let (mut recipients, mut envelope_id) = (Vec::new(), None);
    let mut is_report = evidence.report_type == Some("delivery-status");
    for leaf in top().filter(|leaf| is_status(leaf)) {
        is_report = true;
        by_status(leaf.text.as_deref().unwrap_or_default(), &mut recipients, &mut envelope_id);
    }
    if let Some(bounce) = notification::read(evidence) {
        return Some(bounce);
    }
    if !is_report && !signs::reads_like_a_report(evidence) {
        return None;
    }
    if recipients.is_empty() {
        // a scanner on the way hangs the report that it was shown on one of its own
        for leaf in leaves.iter().filter(|leaf| leaf.nested > 0 && is_status(leaf)) {
            by_status(leaf.text.as_deref().unwrap_or_default(), &mut recipients, &mut envelope_id);
        }
    }
    if recipients.is_empty() && evidence.text.contains("Final-Recipient:") {
        by_status(evidence.text, &mut recipients, &mut envelope_id); // the fields stand in the text, as Amazon WorkMail has them
    }
    if recipients.is_empty() {
        recipients = prose::recipients(evidence);
    }
    let original_message_id = original_message_id(leaves, evidence);
    Some(Bounce { recipients, original_message_id, original_envelope_id: envelope_id })
}

fn is_status(leaf: &Leaf) -> bool {
    matches!(leaf.media_type.as_str(), "message/delivery-status" | "message/global-delivery-status")
}

/// RFC 3464 §2.3: groups of fields, one per recipient, after the group on the message.
fn by_status(text: &str, recipients: &mut Vec<BouncedRecipient>, envelope_id: &mut Option<String>) {
    let mut group = Group::default();
    let mut field = String::new();
    let mut lines = text.lines().map(str::trim_end).chain([""]).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with([' ', '\t']) && !field.is_empty() {
            field.push_str(line);
        } else {
            field.clear();
            field.push_str(line.trim_start());
        }
        if lines.peek().is_some_and(|next| next.starts_with([' ', '\t']) && !next.trim().is_empty()) {
            continue;
        }
        if field.is_empty() {
            group.close(recipients);
        } else if let Some((name, value)) = field.split_once(':') {
            match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
                ("original-envelope-id", id) => *envelope_id = Some(id.to_owned()),
                (name, value) => group.field(name, value, recipients),
            }
        }
        field.clear();
    }
    group.close(recipients);
}

#[derive(Default)]
struct Group {
    original: Option<String>,
    last: Option<String>,
    action: Option<String>,
    status: Option<String>,
    diagnostic: Option<String>,
}

impl Group {
    fn field(&mut self, name: &str, value: &str, recipients: &mut Vec<BouncedRecipient>) {
        match name {
            "final-recipient" => {
                if self.last.is_some() {
                    self.close(recipients); // the blank line between groups is missing
                }
                self.last = typed_address(value);
            }
            "original-recipient" => self.original = typed_address(value),
            "action" => {
                let action = value.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
                self.action = Some(action.to_ascii_lowercase()).filter(|action| !action.is_empty());
            }
            "status" => self.status = status_in(value),
            "diagnostic-code" => self.diagnostic = Some(value.to_owned()),
            _ => {}
        }
    }

    fn close(&mut self, recipients: &mut Vec<BouncedRecipient>) {
        let group = std::mem::take(self);
        let Some(recipient) = group.last.or(group.original) else { return };
        let spoken = group.diagnostic.as_deref().and_then(status_in);
        // "5.0.0" says only that it failed; the diagnostic often knows more.
        let status = match (group.status, spoken) {
            (Some(status), Some(spoken)) if status.ends_with(".0.0") => Some(spoken),
            (status, spoken) => status.or(spoken),
        };
        let permanent = is_permanent(status.as_deref(), group.action.as_deref());
        add(recipients, recipient, status, group.action, permanent);
    }
}

fn add(
    recipients: &mut Vec<BouncedRecipient>,
    recipient: String,
    status: Option<String>,
    action: Option<String>,
    permanent: Option<bool>,
) {
    if let Some(known) = recipients.iter_mut().find(|known| known.recipient == recipient) {
        if known.status.is_none() {
            known.permanent = permanent.or(known.permanent); // named once in the summary, once in the details
            known.status = status;
        }
        return;
    }
    if recipients.len() >= MAX_RECIPIENTS {
        return;
    }
    recipients.push(BouncedRecipient { recipient, status, action, permanent });
}

/// RFC 3463 §2: class 5 is permanent, 4 is not: of this mail, whatever becomes of the mailbox.
fn is_permanent(status: Option<&str>, action: Option<&str>) -> Option<bool> {
    match (action, status) {
        (Some("delayed"), _) => Some(false),
        (Some("delivered" | "relayed" | "expanded"), _) => None,
        (_, Some(status)) if status.starts_with('5') => Some(true),
        (_, Some(status)) if status.starts_with('4') => Some(false),
        _ => None,
    }
}

/// RFC 3464 §2.1.2: `rfc822; ana@b.co`, with or without the type and angle brackets.
fn typed_address(value: &str) -> Option<String> {
    let address = value.rsplit_once(';').map_or(value, |(_, address)| address).trim();
    let address = address.trim_matches(['<', '>', '"', '\'', ' ']);
    Address::parse(address.split_whitespace().next()?).map(|address| address.address)
}

static STATUS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:^|[^0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[^0-9.]|\.[^0-9]|\.?$)"));

/// The first enhanced status code of a text (RFC 3463), not part of a longer number such as an IP address.
fn status_in(text: &str) -> Option<String> {
    STATUS.captures(text)?.get(1).map(|code| code.as_str().to_owned())
}

/// The Message-ID of the mail that came back: from the returned headers, else from the text.
fn original_message_id(leaves: &[Leaf], evidence: &Evidence<'_>) -> Option<String> {
    let by_header = |block: &[u8]| {
        let block = super::normal::normalise(block);
        Header::read(&block).first("Message-ID").and_then(|value| identity::message_id(&value))
    };
    leaves
        .iter()
        .find_map(|leaf| match leaf.media_type.as_str() {
            "text/rfc822-headers" | "text/rfc822-header" | "message/global-headers" => {
                by_header(leaf.text.as_deref()?.as_bytes())
            }
            _ => by_header(leaf.header.as_deref()?),
        })
        .or_else(|| {
            let field = evidence.text.lines().map(str::trim_start).find(|line| {
                super::normal::starts_with_ignoring_case(
                    line.trim_start_matches(['>', ' ']).as_bytes(),
                    b"message-id:",
                )
            })?;
            identity::message_id(field.split_once(':')?.1)
        })
}

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
