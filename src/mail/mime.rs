//! The MIME structure, flattened: the only file that knows mail-parser.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use jiff::Timestamp;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{
    ContentType, Encoding, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders,
    PartType,
};

use super::charset;
use super::header::neutral;
use super::parameter::{hex_digits, parameter};

/// The text of a part is read up to this many bytes: no person wrote more, and each copy counts (I12).
const TEXT: usize = 1024 * 1024;
/// Multiparts within multiparts are followed this deep; what lies deeper is left alone.
const DEPTH: usize = 100;

static PARSER: LazyLock<MessageParser> =
    LazyLock::new(|| MessageParser::new().with_mime_headers().default_header_ignore());

/// One leaf of the structure, in the order of the mail.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// `type/subtype`, lower case.
    pub media_type: String,
    /// File name, decoded, on one line; may be empty.
    pub name: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// What Content-Disposition says.
    pub disposition: Disposition,
    /// The text, for `text/*`, reports and attached headers.
    pub text: Option<String>,
    /// The text's charset label was missing or wrong.
    pub mislabelled: bool,
    /// `format=flowed`, and whether `delsp=yes` (RFC 3676).
    pub flowed: Option<DelSp>,
    /// `method` of a calendar part, upper case.
    pub method: Option<String>,
    /// How many attached mails this leaf is inside of.
    pub nested: usize,
    /// Another part of the same `multipart/alternative` is shown in its place, or the root of its
    /// `multipart/related` is.
    pub aside: bool,
    /// The header block, for an attached mail.
    pub header: Option<Vec<u8>>,
    /// The decoded bytes, when they were asked for.
    pub bytes: Vec<u8>,
}

/// Whether the leaves are to have their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    Drop,
    Keep,
}

/// What Content-Disposition says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    #[default]
    Unsaid,
    Inline,
    Attachment,
}

/// RFC 3676 §4: whether the blank at a soft line end goes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DelSp {
    No,
    Yes,
}

/// The leaves of a mail, and what its top says about it.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// Every leaf.
    pub leaves: Vec<Leaf>,
    /// `report-type` of a `multipart/report`, lower case; empty when that parameter is missing.
    pub report_type: Option<String>,
}

/// Whether a leaf can have a text and files inside, so that its bytes are wanted.
pub(super) fn may_be_opened(leaf: &Leaf) -> bool {
    is_tnef(leaf) || matches!(leaf.media_type.as_str(), "application/pkcs7-mime" | "application/x-pkcs7-mime")
}

/// Outlook's rich text ([MS-OXTNEF]), by its type or its usual name.
pub(super) fn is_tnef(leaf: &Leaf) -> bool {
    matches!(leaf.media_type.as_str(), "application/ms-tnef" | "application/vnd.ms-tnef")
        || leaf.media_type == "application/octet-stream" && leaf.name.eq_ignore_ascii_case("winmail.dat")
}

/// Reads the structure of a normalised mail that has passed the guard; `None` when mail-parser gives up or panics, as
/// 0.11.9 asserts in debug builds at a mail directly within an attached mail.
pub(super) fn structure(mail: &[u8], bytes: Bytes) -> Option<Structure> {
    catch_unwind(AssertUnwindSafe(|| parts(mail, bytes))).ok().flatten()
}

fn parts(mail: &[u8], bytes: Bytes) -> Option<Structure> {
    let message = PARSER.parse(mail)?;
    let report_type = message.parts.first().and_then(MimeHeaders::content_type).and_then(|content_type| {
        let is_report = content_type.ctype() == "multipart" && content_type.subtype() == Some("report");
        is_report.then(|| content_type.attribute("report-type").unwrap_or_default().to_ascii_lowercase())
    });
    let mut walk = Walk { message: &message, bytes, nested: 0, leaves: Vec::new() };
    walk.part(0, 0);
    Some(Structure { leaves: walk.leaves, report_type })
}

struct Walk<'m, 'x> {
    message: &'m Message<'x>,
    bytes: Bytes,
    nested: usize,
    leaves: Vec<Leaf>,
}

impl Walk<'_, '_> {
    fn part(&mut self, id: usize, depth: usize) {
        let Some(part) = self.message.parts.get(id).filter(|_| depth < DEPTH) else { return };
        match &part.body {
            PartType::Multipart(children) => {
                let children: Vec<usize> = children
                    .iter()
                    .filter_map(|&child| usize::try_from(child).ok())
                    .filter(|&c| c != id)
                    .collect();
                self.multipart(subtype(part), &children, depth);
            }
            PartType::Message(inner) => {
                let mut leaf = self.leaf(part);
                let raw = slice(&self.message.raw_message, part.raw_body_offset(), part.raw_end_offset());
                leaf.size = raw.len() as u64;
                leaf.bytes = self.kept(raw);
                leaf.header = inner.parts.first().map(|root| {
                    slice(&inner.raw_message, root.raw_header_offset(), root.raw_body_offset()).to_vec()
                });
                self.leaves.push(leaf);
                let nested = self.nested + 1;
                let mut walk = Walk { message: inner, bytes: self.bytes, nested, leaves: Vec::new() };
                walk.part(0, depth + 1);
                self.leaves.append(&mut walk.leaves);
            }
            _ => {
                let leaf = self.leaf(part);
                self.leaves.push(leaf);
            }
        }
    }

    fn multipart(&mut self, kind: Option<&str>, children: &[usize], depth: usize) {
        let mut branches = Vec::with_capacity(children.len());
        for &child in children {
            let from = self.leaves.len();
            self.part(child, depth + 1);
            branches.push(from..self.leaves.len());
        }
        let nested = self.nested;
        let has_text = |leaves: &[Leaf], media_type: &str| {
            leaves.iter().any(|leaf| {
                leaf.nested == nested
                    && leaf.media_type == media_type
                    && leaf.text.as_deref().is_some_and(|text| !text.trim().is_empty())
            })
        };
        let chosen = match kind {
            // RFC 2046 §5.1.4: one of them. The plain text keeps quotes as the writer's program marked them.
            Some("alternative") => ["text/plain", "text/html"].iter().find_map(|wanted| {
                branches.iter().position(|range| {
                    self.leaves.get(range.clone()).is_some_and(|leaves| has_text(leaves, wanted))
                })
            }),
            // RFC 2387: the root, then what it shows.
            Some("related") => Some(0),
            _ => return,
        };
        let Some(chosen) = chosen else { return };
        for (branch, range) in branches.into_iter().enumerate().filter(|(branch, _)| *branch != chosen) {
            debug_assert_ne!(branch, chosen);
            for leaf in self.leaves.get_mut(range).into_iter().flatten() {
                leaf.aside = true;
            }
        }
    }

    fn kept(&self, bytes: &[u8]) -> Vec<u8> {
        if self.bytes == Bytes::Keep { bytes.to_vec() } else { Vec::new() }
    }

    fn leaf(&self, part: &MessagePart<'_>) -> Leaf {
        let content_type = part.content_type();
        let attribute = |name| content_type.and_then(|content_type| content_type.attribute(name));
        let media_type = media_type(content_type, part);
        let mut leaf = Leaf {
            name: self.name(part),
            size: part.contents().len() as u64,
            bytes: Vec::new(),
            disposition: match part.content_disposition() {
                Some(said) if said.is_attachment() => Disposition::Attachment,
                Some(said) if said.is_inline() => Disposition::Inline,
                _ => Disposition::Unsaid,
            },
            method: attribute("method").map(str::to_ascii_uppercase),
            flowed: attribute("format").filter(|format| format.eq_ignore_ascii_case("flowed")).map(|_| {
                match attribute("delsp") {
                    Some(delsp) if delsp.eq_ignore_ascii_case("yes") => DelSp::Yes,
                    _ => DelSp::No,
                }
            }),
            nested: self.nested,
            ..Leaf::default()
        };
        match &part.body {
            PartType::Text(text) | PartType::Html(text) => {
                let (text, mislabelled) = self.text(part, text, attribute("charset"));
                leaf.text = Some(text);
                leaf.mislabelled = mislabelled;
            }
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) if reads_as_text(&media_type) => {
                leaf.text = Some(charset::decode(bytes, attribute("charset")).text.into_owned());
            }
            _ => {}
        }
        leaf.media_type = media_type;
        leaf.bytes = if may_be_opened(&leaf) { part.contents().to_vec() } else { self.kept(part.contents()) };
        leaf
    }

    /// The file name, from the disposition or the type.
    fn name(&self, part: &MessagePart<'_>) -> String {
        let said = |field: &HeaderName<'_>, name: &str| {
            let field = part.headers.iter().find(|header| header.name == *field)?;
            parameter(slice(&self.message.raw_message, field.offset_start, field.offset_end), name)
        };
        let name = said(&HeaderName::ContentDisposition, "filename")
            .or_else(|| said(&HeaderName::ContentType, "name"));
        name.map(|name| neutral(&name)).unwrap_or_default()
    }

    /// mail-parser has decoded the text by its label and put U+FFFD where that failed. Where that can be wrong, the
    /// bytes are decoded again, by sanity.
    fn text(&self, part: &MessagePart<'_>, text: &str, label: Option<&str>) -> (String, bool) {
        let is_utf8 = label.is_some_and(|label| label.trim().eq_ignore_ascii_case("utf-8"));
        let stateful = text.contains('\x1B') || label.is_some_and(|label| label.starts_with(['u', 'U']));
        let damaged = part.is_encoding_problem && says_quoted_printable(part);
        if text.is_ascii() && !stateful && !damaged || is_utf8 && !text.contains('\u{FFFD}') {
            return (text.get(..text.floor_char_boundary(TEXT)).unwrap_or(text).to_owned(), false);
        }
        let bytes = slice(&self.message.raw_message, part.raw_body_offset(), part.raw_end_offset());
        let bytes = match part.encoding {
            Encoding::Base64 => base64_decode(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned),
            Encoding::QuotedPrintable => {
                quoted_printable_decode(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned)
            }
            Encoding::None if damaged => Cow::Owned(mend_quoted_printable(bytes)),
            Encoding::None => Cow::Borrowed(bytes),
        };
        let decoded = charset::decode(bytes.get(..TEXT).unwrap_or(&bytes), label);
        (decoded.text.into_owned(), decoded.mislabelled)
    }
}

fn slice(bytes: &[u8], from: u32, to: u32) -> &[u8] {
    let (from, to) = (usize::try_from(from).unwrap_or(usize::MAX), usize::try_from(to).unwrap_or(usize::MAX));
    bytes.get(from..to).unwrap_or_default()
}

fn subtype<'p>(part: &'p MessagePart<'_>) -> Option<&'p str> {
    part.content_type().and_then(ContentType::subtype)
}

fn media_type(content_type: Option<&ContentType<'_>>, part: &MessagePart<'_>) -> String {
    match content_type {
        Some(said) if !said.ctype().is_empty() => match said.subtype() {
            Some(subtype) => neutral(&format!("{}/{subtype}", said.ctype())),
            None if said.ctype() == "text" => "text/plain".to_owned(),
            None => neutral(said.ctype()),
        },
        _ if matches!(part.body, PartType::Message(_)) => "message/rfc822".to_owned(),
        _ => "text/plain".to_owned(), // RFC 2045 §5.2
    }
}

/// Parts of reports: text by nature, whatever their type says.
fn reads_as_text(media_type: &str) -> bool {
    media_type.starts_with("message/")
        || matches!(
            media_type,
            "text/rfc822-headers" | "text/rfc822-header" | "text/calendar" | "application/ics"
        )
}

/// Reads a Date value as tolerantly as real mail needs.
pub(super) fn date(value: &str) -> Option<Timestamp> {
    let line = format!("{value}\r\n");
    match MessageStream::new(line.as_bytes()).parse_date() {
        HeaderValue::DateTime(date) if date.is_valid() && date.day > 0 => {
            Timestamp::from_second(date.to_timestamp()).ok()
        }
        _ => None,
    }
}

/// Decodes base64, blanks tolerated; `None` when it is none.
pub(super) fn decode_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    base64_decode(bytes)
}

/// Decodes quoted-printable; `None` when it is none.
pub(super) fn decode_quoted_printable(bytes: &[u8]) -> Option<Vec<u8>> {
    quoted_printable_decode(bytes)
}

fn says_quoted_printable(part: &MessagePart<'_>) -> bool {
    part.content_transfer_encoding().is_some_and(|said| said.eq_ignore_ascii_case("quoted-printable"))
}

/// RFC 2045 §6.7: of damaged quoted-printable, what is no escape stays as it stands.
fn mend_quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = hex_digits(after).filter(|_| byte == b'=');
        let soft = [&b"=\r\n"[..], b"=\n"].into_iter().find(|end| rest.starts_with(end));
        if let Some(end) = soft {
            rest = rest.get(end.len()..).unwrap_or_default();
        } else if let Some(byte) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

/// Decodes the charsets that the web forgot, such as UTF-7.
pub(super) fn decode_rare_charset(label: &str, bytes: &[u8]) -> Option<String> {
    let label = label.strip_prefix("unicode-1-1-").unwrap_or(label);
    charset_decoder(label.to_ascii_lowercase().as_bytes()).map(|decode| decode(bytes))
}
