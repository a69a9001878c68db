//! The walk from raw bytes to a [`Message`]: normalise, guard, parse, then ask each part of this module.

use super::address::{self, Address};
use super::automation;
use super::body::{self, Body, Place};
use super::bounce;
use super::guard;
use super::header::Header;
use super::identity::{self, MAX_REFERENCES};
use super::language;
use super::mime::{self, Bytes, Structure};
use super::normal::normalise;
use super::opened;
use super::own_words;
use super::{Attachment, Automation, Defect, Message, ReturnPath, Trace};
use crate::ticket::Language;

/// So much of a mail is looked at when only its headers are read.
const HEAD: usize = 1024 * 1024;
/// So much of its text is shown then.
const HEAD_TEXT: usize = 64 * 1024;
/// A mail with fewer own words than this, and another mail attached, is a forward.
const LITTLE_TEXT: usize = 200;

/// Reads a mail. Pure and total: what cannot be read becomes a [`Defect`].
///
/// Runs the limits of docs/mail.md before any parser; a mail over one of them, or one that the parser panics at, is
/// read by [`from_headers`]. The parser is not ours and may recurse: a thread that reads mails of strangers wants a
/// stack of 16 MiB.
pub fn parse(raw: &[u8]) -> Message {
    let mail = normalise(raw);
    let header = Header::read(&mail);
    if header.fields().next().is_none() {
        return assemble(&mail, as_plain_text(&header), None);
    }
    match guard::check(&mail) {
        Ok(()) => match opened::structure(&mail, Bytes::Drop) {
            Some(structure) => assemble(&mail, structure, None),
            None => head(&mail, Defect::Unreadable),
        },
        Err(defect) => head(&mail, defect),
    }
}

/// The attachments of a mail with their decoded bytes, as [`Message::attachments`] lists them; none of a mail that is
/// read from its headers alone.
pub fn files(raw: &[u8]) -> Vec<(Attachment, Vec<u8>)> {
    let mail = normalise(raw);
    let structure = guard::check(&mail).ok().and_then(|()| opened::structure(&mail, Bytes::Keep));
    let Some(mut structure) = structure else { return Vec::new() };
    let body = body::read(&structure.leaves, is_report(&structure));
    let bytes = |place| match place {
        Place::Leaf(index) => structure.leaves.get_mut(index).map(|leaf| std::mem::take(&mut leaf.bytes)),
        Place::Text(bytes) => Some(bytes),
    };
    body.attachments.into_iter().zip(body.attached.into_iter().filter_map(bytes)).collect()
}

/// The first HTML part of a mail, decoded; `None` also of a mail that is read from its headers alone.
pub fn html(raw: &[u8]) -> Option<String> {
    let mail = normalise(raw);
    let structure = guard::check(&mail).ok().and_then(|()| opened::structure(&mail, Bytes::Drop))?;
    structure.leaves.into_iter().find(|leaf| leaf.media_type == "text/html")?.text
}

/// Whether it reports on a mail, so that what hangs on it is that mail's.
fn is_report(structure: &Structure) -> bool {
    let is_status = |leaf: &mime::Leaf| leaf.nested == 0 && leaf.media_type == "message/delivery-status";
    structure.report_type.is_some() || structure.leaves.iter().any(is_status)
}

/// Reads a mail from its headers alone, and the first of its text when that is cheap. `defect` says why: the parser
/// panicked, a limit, or only the head of the mail was fetched.
pub fn from_headers(raw: &[u8], defect: Defect) -> Message {
    head(&normalise(raw), defect)
}

fn head(mail: &[u8], defect: Defect) -> Message {
    let hash = identity::content_hash(&Header::read(mail));
    let mail = mail.get(..HEAD).unwrap_or(mail);
    let header = Header::read(mail);
    let body_start = mail.len() - header.body.len();
    let short = mail.get(..body_start + HEAD_TEXT).unwrap_or(mail);
    // The parser that has failed on this mail is not asked again.
    let structure = match defect {
        Defect::Unreadable => None,
        _ => guard::check(short).ok().and_then(|()| opened::structure(short, Bytes::Drop)),
    };
    let mut message = assemble(short, structure.unwrap_or_else(|| as_plain_text(&header)), Some(defect));
    message.attachments.clear(); // what was cut off would give a wrong size
    message.content_hash = hash;
    message
}

/// A body whose structure is unknown, shown as it stands when it can be read so.
fn as_plain_text(header: &Header<'_>) -> Structure {
    let said = |name: &str| header.first(name).unwrap_or_default().to_ascii_lowercase();
    let (content_type, encoding) = (said("Content-Type"), said("Content-Transfer-Encoding"));
    let plain = content_type.is_empty() || content_type.starts_with("text/plain");
    if !plain || matches!(encoding.as_str(), "base64" | "quoted-printable") {
        return Structure::default();
    }
    let text = header.body.get(..HEAD_TEXT).unwrap_or(header.body);
    let leaf = mime::Leaf {
        media_type: "text/plain".to_owned(),
        text: Some(super::charset::decode(text, None).text.into_owned()),
        ..mime::Leaf::default()
    };
    Structure { leaves: vec![leaf], report_type: None }
}

fn assemble(mail: &[u8], structure: Structure, defect: Option<Defect>) -> Message {
    let header = Header::read(mail);
    let mut defects = Vec::from_iter(defect);
    let top: Vec<&str> = structure
        .leaves
        .iter()
        .filter(|leaf| leaf.nested == 0)
        .map(|leaf| leaf.media_type.as_str())
        .collect();
    let is_report = is_report(&structure);
    let body = body::read(&structure.leaves, is_report);
    if body.mislabelled {
        defects.push(Defect::WrongCharset);
    }
    if body.encrypted {
        defects.push(Defect::Encrypted);
    }
    let is_tnef = |file: &Attachment| {
        matches!(file.media_type.as_str(), "application/ms-tnef" | "application/vnd.ms-tnef")
    };
    if body.text.is_empty() && body.attachments.iter().any(is_tnef) {
        defects.push(Defect::Tnef);
    }
    let from = author(&header, &mut defects);
    if from.as_ref().is_some_and(Address::imitates) {
        defects.push(Defect::Imitation);
    }
    let subject = header.text("Subject").unwrap_or_default();
    let message_id = header.all("Message-ID").find_map(|field| identity::message_id(&field.unfolded()));
    if message_id.is_none() {
        defects.push(Defect::NoMessageId);
    }
    let date = header.all("Date").find_map(|field| mime::date(&field.unfolded()));
    if date.is_none() && header.has("Date") {
        defects.push(Defect::UnreadableDate);
    }
    if body.text.is_empty() && body.forwarded.is_empty() && body.attachments.is_empty() && subject.is_empty()
    {
        defects.push(Defect::Empty);
    }
    let return_path = return_path(&header);
    let from_local = sender_word(&header);
    let from_local = from_local.as_str();
    let bounce = bounce::read(
        &structure.leaves,
        &bounce::Evidence {
            header: &header,
            subject: &subject,
            from_local,
            return_path: &return_path,
            report_type: structure.report_type.as_deref(),
            returns_mail: structure.leaves.iter().any(returned),
            text: &body.text,
        },
    );
    let suppresses_auto_reply = automation::suppresses_auto_reply(&header);
    let file_names: Vec<&str> = body.attachments.iter().map(|it| it.name.as_str()).collect();
    let automation = automation::recognise(&automation::Evidence {
        header: &header,
        subject: &subject,
        from_local,
        text: &body.text,
        return_path: &return_path,
        suppresses_auto_reply,
        report_type: structure.report_type.as_deref(),
        media_types: &top,
        file_names: &file_names,
        bounce: bounce.as_ref(),
        calendar_method: body.calendar_method.as_deref(),
    });
    let mut message = Message {
        message_id,
        in_reply_to: ids(&header, "In-Reply-To"),
        references: ids(&header, "References"),
        from,
        reply_to: addresses(&header, &["Reply-To"]),
        to: addresses(&header, &["To"]),
        cc: addresses(&header, &["Cc"]),
        delivered_to: addresses(&header, &["Delivered-To", "X-Original-To", "Envelope-To"]),
        subject,
        date,
        text: String::new(),
        own_text: String::new(),
        language: Language::default(),
        automation: Automation::default(),
        bounce,
        attachments: Vec::new(),
        defects,
        return_path,
        suppresses_auto_reply,
        loop_header: header.first("X-Acuse-Loop").map(|value| value.trim().to_owned()),
        list_id: list_id(&header),
        calendar_method: body.calendar_method.clone(),
        trace: trace(&header),
        content_hash: identity::content_hash(&header),
    };
    message.automation = automation;
    add_text(&mut message, body);
    message
}

/// Whether a leaf is a mail, or the headers of one.
fn returned(leaf: &mime::Leaf) -> bool {
    leaf.header.is_some() || matches!(leaf.media_type.as_str(), "text/rfc822-headers" | "text/rfc822-header")
}

/// Fills in the texts, which depend on what kind of mail it is.
fn add_text(message: &mut Message, body: Body) {
    let kind = match (message.is_forward(), message.is_reply()) {
        (true, _) => own_words::Kind::Forward,
        (_, true) => own_words::Kind::Reply,
        _ => own_words::Kind::New,
    };
    let Body { mut text, forwarded, attachments, .. } = body;
    text.truncate(text.trim_end().len());
    let mut own_text = own_words::strip(&text, kind);
    if !forwarded.is_empty() {
        let is_forward = match kind {
            own_words::Kind::Forward => true,
            own_words::Kind::Reply => false,
            own_words::Kind::New => own_text.len() < LITTLE_TEXT,
        };
        append(&mut text, &forwarded);
        if is_forward {
            append(&mut own_text, forwarded.trim());
        }
    }
    message.language = language::of(&message.subject, &own_text);
    message.text = text;
    message.own_text = own_text;
    message.attachments = attachments;
}

fn append(text: &mut String, more: &str) {
    if !(text.is_empty() || more.is_empty()) {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

/// The author, only when there is exactly one From with exactly one address (I9).
fn author(header: &Header<'_>, defects: &mut Vec<Defect>) -> Option<Address> {
    let mut fields = header.all("From").map(|field| field.unfolded());
    let Some(first) = fields.next().filter(|value| !value.is_empty()) else {
        defects.push(Defect::NoFrom);
        return None;
    };
    let list = address::list(&first);
    let mut addresses = list.addresses.into_iter();
    match (addresses.next(), addresses.next(), list.unusable, fields.next()) {
        (Some(author), None, 0, None) => return Some(author),
        (None, ..) => defects.push(Defect::UnusableFrom),
        _ => defects.push(Defect::SeveralFrom),
    }
    None
}

/// The local part of the sender, usable or not: `MAILER-DAEMON <>` speaks for itself.
fn sender_word(header: &Header<'_>) -> String {
    let value = header.first("From").unwrap_or_default();
    match address::list(&value).addresses.first() {
        Some(address) => address.local().to_owned(),
        None => value
            .trim_start_matches('"')
            .split(['<', '@', '"', '('])
            .next()
            .unwrap_or_default()
            .to_lowercase(),
    }
}

/// The addresses of all fields of these names, in order, each once.
fn addresses(header: &Header<'_>, names: &[&str]) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for field in
        header.fields().filter(|field| names.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
    {
        let new = address::list(&field.unfolded()).addresses;
        found.extend(new.into_iter().filter(|address| seen.insert(address.address.clone())));
    }
    found
}

fn ids(header: &Header<'_>, name: &str) -> Vec<String> {
    header.first(name).map(|value| identity::ids(&value, MAX_REFERENCES)).unwrap_or_default()
}

fn return_path(header: &Header<'_>) -> ReturnPath {
    let Some(value) = header.first("Return-Path") else { return ReturnPath::Absent };
    match address::list(&value).addresses.into_iter().next() {
        Some(address) => ReturnPath::Address(address),
        None if value.trim().is_empty() || value.replace(' ', "").starts_with("<>") => ReturnPath::Null,
        None => ReturnPath::Absent,
    }
}

/// RFC 2919 §3: the part inside the angle brackets, else the last word.
fn list_id(header: &Header<'_>) -> Option<String> {
    let value = header.first("List-Id")?;
    let inside = value.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(id, _)| id);
    let id = inside.or_else(|| value.split_whitespace().last())?.trim().to_lowercase();
    (!id.is_empty()).then_some(id)
}

fn trace(header: &Header<'_>) -> Vec<Trace> {
    let kept = header.fields().filter_map(|field| {
        if field.name.eq_ignore_ascii_case("Received") {
            Some(Trace::Received(field.unfolded().into_owned()))
        } else if field.name.eq_ignore_ascii_case("Authentication-Results") {
            Some(Trace::AuthenticationResults(field.unfolded().into_owned()))
        } else {
            None
        }
    });
    kept.take(200).collect()
}

#[cfg(test)]
mod tests;
