//! The only way text from outside enters a header: cleaned, cut, and encoded as the standards ask (I8, I17).

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use crate::mail::{Address, Message};
use crate::ticket::Language;

/// The longest subject that we write, in characters, `Re: ` included.
const SUBJECT_CHARS: usize = 120;
/// The longest message-id that we repeat, in bytes: in brackets beside `In-Reply-To: ` it keeps a line within the 998
/// of RFC 5322 §2.1.1.
const MESSAGE_ID_BYTES: usize = 980;
/// The most message-ids in References.
const REFERENCES: usize = 20;
/// RFC 5322 §2.1.1: lines should not exceed 78; RFC 2047 §2: nor 76 where an encoded word stands.
const LINE: usize = 76;

/// Writes a header whose value is our own or the operator's: printable ASCII, on one line, never encoded.
pub fn write_field(name: &str, value: &str, out: &mut String) {
    let printable: String = value.chars().filter(|c| matches!(c, ' '..='~')).collect();
    let _ = write!(out, "{name}: {}\r\n", printable.trim());
}

/// One line of text without control, bidi and zero-width characters: safe in a header, a terminal, a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderText(String);

impl HeaderText {
    /// Cleans a text and cuts it to `limit` characters.
    pub fn new(text: &str, limit: usize) -> Self {
        Self(cut(&clean(text), limit))
    }

    /// `Re: ` and their subject: reply prefixes folded into one, URLs cut out, at most 120 characters (I8).
    pub fn reply_subject(theirs: &str, language: Language) -> Self {
        let without_urls = URL.replace_all(&clean(theirs), " ").into_owned();
        let tidy =
            EMPTY_BRACKETS.replace_all(&without_urls, " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let bare = REPLY_PREFIXES.replace(&tidy, "");
        let subject = match (bare.is_empty(), language) {
            (false, _) => &*bare,
            (true, Language::Es) => "su mensaje",
            (true, Language::En) => "your message",
        };
        Self(cut(&format!("Re: {subject}"), SUBJECT_CHARS))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes `Name: text`, encoded where it must be and folded.
    pub fn write(&self, name: &str, out: &mut String) {
        let start = name.len() + 2;
        // Plain text that looks like an encoded word would be decoded by its reader.
        let plain =
            self.0.is_ascii() && !self.0.contains("=?") && self.0.split(' ').all(|word| word.len() <= 60);
        let words = if plain { fold(start, self.0.split(' ')) } else { encoded_words(start, &self.0) };
        let _ = write!(out, "{name}: {words}\r\n");
    }
}

/// A message-id that is safe to repeat, without its angle brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId(String);

impl MessageId {
    /// Takes `left@right` of printable ASCII, at most 980 bytes, with or without angle brackets around it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
        let (left, right) = bare.split_once('@')?;
        let printable = bare.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'));
        (printable && !left.is_empty() && !right.is_empty() && bare.len() <= MESSAGE_ID_BYTES)
            .then(|| Self(bare.to_owned()))
    }

    /// The id, without angle brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 5322 §3.6.4: what stands before their Message-ID in our References: theirs, or without any their In-Reply-To,
/// when it is a single id.
pub fn ancestors(message: &Message) -> &[String] {
    match (message.references.as_slice(), message.in_reply_to.as_slice()) {
        ([], parent @ [_]) => parent,
        (references, _) => references,
    }
}

/// RFC 5322 §3.6.4: their References and their Message-ID, unusable ones left out; of a long thread the first and
/// the last ones, at most 20.
pub fn thread(references: &[String], in_reply_to: Option<&MessageId>) -> Vec<MessageId> {
    let mut ids: Vec<MessageId> = references.iter().filter_map(|id| MessageId::new(id)).collect();
    if let Some(parent) = in_reply_to {
        ids.retain(|id| id != parent);
        ids.push(parent.clone());
    }
    if ids.len() > REFERENCES {
        ids.drain(1..=ids.len() - REFERENCES);
    }
    ids
}

/// Writes a header of message-ids, folded between them; nothing for none.
pub fn write_ids(name: &str, ids: &[MessageId], out: &mut String) {
    if !ids.is_empty() {
        let bracketed: Vec<String> = ids.iter().map(|id| format!("<{}>", id.0)).collect();
        let _ = write!(out, "{name}: {}\r\n", fold(name.len() + 2, bracketed.iter().map(String::as_str)));
    }
}

/// Writes a header of one mailbox, with its display name or bare (RFC 5322 §3.4).
pub fn write_mailbox(name: &str, display: Option<&str>, address: &Address, out: &mut String) {
    let spec = addr_spec(address);
    let display =
        display.map(|display| HeaderText::new(display, SUBJECT_CHARS)).filter(|text| !text.0.is_empty());
    let _ = match display {
        None => write!(out, "{name}: {spec}\r\n"),
        Some(HeaderText(text)) => {
            let start = name.len() + 2;
            let phrase = if !text.is_ascii() || text.contains("=?") {
                encoded_words(start, &text)
            } else if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ') {
                text
            } else {
                quoted(&text)
            };
            let column = phrase.rsplit("\r\n").next().map_or(0, str::len) + start;
            let gap = if column + 1 + spec.len() + 2 > LINE { "\r\n " } else { " " };
            write!(out, "{name}: {phrase}{gap}<{spec}>\r\n")
        }
    };
}

/// The address as a header takes it: a local part that is no dot-atom is quoted, so that a comma or a parenthesis
/// never makes two addressees of one (I6).
fn addr_spec(address: &Address) -> String {
    let (local, domain) = (clean(address.local()), clean(address.domain()));
    let atext =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let dot_atom = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(atext));
    let unquoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match (dot_atom, unquoted) {
        (true, _) => format!("{local}@{domain}"),
        (false, Some(inner)) => format!("{}@{domain}", quoted(&inner.replace('\\', ""))),
        (false, None) => format!("{}@{domain}", quoted(&local)),
    }
}

/// RFC 5322 §3.2.4.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What mail programs turn into a link: a scheme, `www.`, or a host followed by a path, port or query; brackets that
/// close after it are left.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?ix) (?: [a-z][a-z0-9+.-]* : [/\\]{2} | \b (?: mailto | javascript | data | tel | sms ) : [^\s<>]
              | \b www \. | [\w-]+ (?: \. [\w-]+ )+ (?: [/\\?\#] | : \d ) )
          (?: [^\s<>]* [^\s<>)\]] )?",
    )
});

/// What a cut-out URL leaves behind.
static EMPTY_BRACKETS: LazyLock<Regex> = LazyLock::new(|| regex(r"<\s*>|\(\s*\)|\[\s*\]"));

/// `Re:`, and the same in other mail programs' languages, as often as it stands there.
static REPLY_PREFIXES: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)^(?:(?:re|aw|sv|antw|odp|r)(?:\s*[\[(]\d+[\])])?\s*:\s*)+"));

#[expect(clippy::expect_used, reason = "the patterns are constants, and a test runs each")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern compiles")
}

/// One line: white space folded into single spaces, invisible and direction-changing characters dropped.
pub fn clean(text: &str) -> String {
    let visible: String =
        text.chars().filter(|c| c.is_whitespace() || !(c.is_control() || is_invisible(*c))).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Bidi controls (UAX #9 §2), zero-width and tag characters: what shows nothing but changes what is read.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}'
            | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}'
            | '\u{2060}'..='\u{206f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// At most `limit` characters, with an ellipsis where something is missing; an encoded word that a decoder left
/// standing is dropped whole rather than cut (RFC 3834 §3.1.5).
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    if let Some(open) = kept.rfind("=?")
        && kept.get(open..).is_some_and(|word| word.matches('?').count() < 4)
    {
        kept.truncate(open);
    }
    format!("{}…", kept.trim_end())
}

/// RFC 5322 §2.2.3: joins words by spaces, or by a fold where the line would grow too long.
fn fold<'a>(start: usize, words: impl Iterator<Item = &'a str>) -> String {
    let (mut text, mut column) = (String::new(), start);
    for word in words {
        if text.is_empty() {
            column += word.len();
        } else if column + 1 + word.len() > LINE {
            text.push_str("\r\n ");
            column = 1 + word.len();
        } else {
            text.push(' ');
            column += 1 + word.len();
        }
        text.push_str(word);
    }
    text
}

/// RFC 2047 §4.2: `=?UTF-8?Q?…?=` as often as needed, none over the line, no character split between two.
fn encoded_words(start: usize, text: &str) -> String {
    const OPEN: &str = "=?UTF-8?Q?";
    let mut out = String::from(OPEN);
    let mut column = start + OPEN.len();
    for c in text.chars() {
        let mut bytes = [0; 4];
        let encoded: String = c.encode_utf8(&mut bytes).bytes().map(q_byte).collect();
        if column + encoded.len() + 2 > LINE {
            out.push_str("?=\r\n ");
            out.push_str(OPEN);
            column = 1 + OPEN.len();
        }
        out.push_str(&encoded);
        column += encoded.len();
    }
    out.push_str("?=");
    out
}

/// RFC 2047 §5 (3): the characters that may stand for themselves even in a display name.
fn q_byte(byte: u8) -> String {
    match byte {
        b' ' => "_".to_owned(),
        b'!' | b'*' | b'+' | b'-' | b'/' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("={byte:02X}"),
    }
}

#[cfg(test)]
mod tests;
