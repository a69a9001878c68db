//! The header block, read by ourselves: the first field wins, names are exact, values decode without loss.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

use super::charset;
use super::mime;

/// More fields than this are not read; the guard refuses such a mail to the parser.
const MAX_FIELDS: usize = 10_000;

/// The fields of a header block in order, and what follows it.
pub(super) struct Header<'a> {
    fields: Vec<Field<'a>>,
    /// The bytes after the blank line.
    pub body: &'a [u8],
}

/// One field as it stands, folds included.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub name: &'a str,
    value: &'a [u8],
    /// Name, value and line ends.
    pub whole: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the block at the start of a CRLF-normalised mail. Lines that are no field are skipped: `Fr om:` is no
    /// From (RFC 5322 §2.2 allows no space within a name).
    pub fn read(mail: &'a [u8]) -> Self {
        let mut fields: Vec<Field<'a>> = Vec::with_capacity(24);
        let mut open: Option<(usize, &'a str, usize)> = None; // start, name, start of the value
        let mut start = 0;
        let mut close = |open: &mut Option<(usize, &'a str, usize)>, end: usize| {
            if let Some((start, name, value)) = open.take().filter(|_| fields.len() < MAX_FIELDS) {
                fields.push(Field {
                    name,
                    value: mail.get(value..end).unwrap_or_default(),
                    whole: mail.get(start..end).unwrap_or_default(),
                });
            }
        };
        let mut body = None;
        for newline in memchr_iter(b'\n', mail).chain([mail.len()]) {
            let line = mail.get(start..newline).unwrap_or_default();
            let next = (newline + 1).min(mail.len());
            if matches!(line.first(), Some(b' ' | b'\t')) {
                start = next; // a fold, even a blank one: RFC 5322 §4.2 obs-FWS
                continue;
            }
            close(&mut open, start);
            if line.trim_ascii().is_empty() {
                body = Some(next);
                break;
            }
            open = field_name(line).map(|(name, value)| (start, name, start + value));
            start = next;
        }
        close(&mut open, mail.len());
        let nothing_but_text = fields.is_empty();
        let body = if nothing_but_text { 0 } else { body.unwrap_or(mail.len()) };
        Self { fields, body: mail.get(body..).unwrap_or_default() }
    }

    /// Every field in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field<'a>> {
        self.fields.iter()
    }

    /// The fields of this name, topmost first.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field<'a>> {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The first field of this name, unfolded, not decoded.
    pub fn first(&self, name: &str) -> Option<Cow<'a, str>> {
        self.all(name).next().map(Field::unfolded)
    }

    /// The first field of this name that is not blank, decoded (RFC 2047), on one line.
    pub fn text(&self, name: &str) -> Option<String> {
        self.all(name).map(|field| neutral(&decode_words(&field.unfolded()))).find(|text| !text.is_empty())
    }
}

impl<'a> Field<'a> {
    /// The value on one line, 8-bit bytes read by sanity, encoded words as they stand.
    pub fn unfolded(&self) -> Cow<'a, str> {
        let text = charset::decode(self.value.trim_ascii(), None).text;
        if memchr(b'\n', text.as_bytes()).is_none() {
            return text;
        }
        Cow::Owned(text.split('\n').fold(String::with_capacity(text.len()), |mut line, part| {
            line.push_str(part.trim_end_matches('\r'));
            line
        }))
    }
}

/// The name of a field line, and where its value begins.
fn field_name(line: &[u8]) -> Option<(&str, usize)> {
    let colon = memchr(b':', line.get(..line.len().min(256))?)?;
    let name = line.get(..colon)?.trim_ascii_end(); // RFC 5322 §4.5: obsolete syntax has blanks before the colon
    let exact = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    Some((std::str::from_utf8(name).ok().filter(|_| exact)?, colon + 1))
}

/// Text on one line that can be shown anywhere: without controls, bidi overrides and doubled blanks (I17).
pub(super) fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|&c| !is_unwanted(c)) {
        if !(c.is_whitespace() || c.is_control()) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Characters that change how the text around them reads, or that show nothing at all.
pub(super) fn is_unwanted(c: char) -> bool {
    matches!(c,
        '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
        | '\u{FEFF}' | '\u{00AD}' | '\u{034F}' | '\u{FFF9}'..='\u{FFFB}')
        || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Decodes the encoded words of RFC 2047. Neighbours of one charset are joined before they are decoded: a
/// character may be split over two.
pub(super) fn decode_words(text: &str) -> Cow<'_, str> {
    if memmem::find(text.as_bytes(), b"=?").is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut pending: Option<(&str, Vec<u8>)> = None;
    let flush = |pending: &mut Option<(&str, Vec<u8>)>, out: &mut String| {
        if let Some((label, bytes)) = pending.take() {
            out.push_str(&charset::decode(&bytes, Some(label)).text);
        }
    };
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        // RFC 2047 §6.2: white space between encoded words is not shown.
        if pending.is_none() || !before.trim().is_empty() {
            flush(&mut pending, &mut out);
            out.push_str(before);
        }
        let Some((word, after)) = EncodedWord::at_start(from) else {
            flush(&mut pending, &mut out);
            out.push_str("=?");
            rest = from.strip_prefix("=?").unwrap_or_default();
            continue;
        };
        match &mut pending {
            // ISO-2022 goes back to ASCII at a word's end (RFC 2047 §3); joined, the escapes would clash
            Some((label, bytes)) if label.eq_ignore_ascii_case(word.label) && !bytes.contains(&0x1B) => {
                bytes.extend(word.bytes);
            }
            _ => {
                flush(&mut pending, &mut out);
                pending = Some((word.label, word.bytes));
            }
        }
        rest = after;
    }
    flush(&mut pending, &mut out);
    out.push_str(rest);
    Cow::Owned(out)
}

struct EncodedWord<'a> {
    label: &'a str,
    bytes: Vec<u8>,
}

impl<'a> EncodedWord<'a> {
    /// `=?charset*language?Q|B?text?=`, with blanks inside tolerated, and what follows it.
    fn at_start(text: &'a str) -> Option<(Self, &'a str)> {
        let window = text.get(2..)?;
        let (label, window) = window.split_once('?').filter(|(label, _)| label.len() <= 64)?;
        let (encoding, window) = window.split_once('?').filter(|(encoding, _)| encoding.len() == 1)?;
        // Words have no more than 75 characters by RFC 2047 §2; real ones have more, hostile ones no end.
        let end = memmem::find(window.as_bytes().get(..window.len().min(4096))?, b"?=")?;
        let (payload, after) = window.split_at_checked(end)?;
        let label = label.split('*').next().unwrap_or(label); // RFC 2231 §5: language
        let bytes = if encoding.eq_ignore_ascii_case("b") {
            let compact: Vec<u8> = payload.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            mime::decode_base64(&compact)?
        } else if encoding.eq_ignore_ascii_case("q") {
            decode_q(payload.as_bytes())
        } else {
            return None;
        };
        Some((Self { label, bytes }, after.strip_prefix("?=")?))
    }
}

/// RFC 2047 §4.2: quoted-printable with `_` for a blank.
fn decode_q(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut bytes = payload.iter().copied();
    while let Some(byte) = bytes.next() {
        let escaped = match byte {
            b'_' => Some((b' ', 0)),
            b'=' => {
                let mut ahead = bytes.clone();
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                digit(ahead.next())
                    .zip(digit(ahead.next()))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok().map(|decoded| (decoded, 2)))
            }
            _ => None,
        };
        let (decoded, used) = escaped.unwrap_or((byte, 0));
        out.push(decoded);
        for _ in 0..used {
            bytes.next();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unfolded_and_the_first_wins() {
        let header = Header::read(b"Subject: uno\r\n  dos\r\nSUBJECT : tres\r\n\r\ncuerpo");
        assert_eq!(header.first("subject").unwrap(), "uno  dos");
        assert_eq!(header.all("Subject").count(), 2);
        assert_eq!(header.text("subject").unwrap(), "uno dos");
        assert_eq!(header.body, b"cuerpo");
    }

    #[test]
    fn a_blank_within_a_name_makes_it_no_field() {
        let header = Header::read(b"Fr om: evil@b.co\r\nFrom: ana@b.co\r\nno colon here\r\n\r\n");
        assert_eq!(header.fields().count(), 1);
        assert_eq!(header.first("From").unwrap(), "ana@b.co");
    }

    #[test]
    fn a_text_without_any_header_is_all_body() {
        let header = Header::read(b"hola\r\n\r\nmundo");
        assert_eq!(header.body, b"hola\r\n\r\nmundo");
        assert_eq!(Header::read(b"").body, b"");
        assert_eq!(Header::read(b"Subject: x").first("subject").unwrap(), "x");
    }

    #[test]
    fn raw_eight_bit_headers_are_read_by_sanity() {
        let header = Header::read(b"Subject: ca\xEDda\r\nFrom: Andr\xC3\xA9s <a@b.co>\r\n\r\n");
        assert_eq!(header.text("subject").unwrap(), "caída");
        assert_eq!(header.first("from").unwrap(), "Andrés <a@b.co>");
    }

    #[test]
    fn encoded_words_decode() {
        for (written, want) in [
            ("=?UTF-8?Q?Servidor_ca=C3=ADdo?=", "Servidor caído"),
            ("=?utf-8?B?U2Vydmlkb3IgY2HDrWRv?=", "Servidor caído"),
            ("Re: =?iso-8859-1?q?ca=EDda?= total", "Re: caída total"),
            ("=?utf-8?q?uno?= =?utf-8?q?dos?=", "unodos"),
            ("=?utf-8*es?q?uno?=", "uno"),
            ("=?utf-8?q?con blanco?=", "con blanco"),
            ("=?utf-8?x?nada?= y =?", "=?utf-8?x?nada?= y =?"),
            ("50=?", "50=?"),
        ] {
            assert_eq!(decode_words(written), want, "{written}");
        }
    }

    #[test]
    fn a_character_split_over_two_words_is_whole_again() {
        assert_eq!(decode_words("=?UTF-8?Q?ca=C3?= =?utf-8?Q?=ADda?="), "caída");
        assert_eq!(decode_words("=?UTF-8?B?Y2HD?=\r\n =?UTF-8?B?rWRh?="), "caída");
    }

    #[test]
    fn words_with_shifts_of_their_own_stand_alone() {
        let word = "=?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=";
        assert_eq!(decode_words(&format!("{word} {word}")), "テストテスト");
    }

    #[test]
    fn neutral_text_has_no_controls_and_no_bidi() {
        assert_eq!(neutral("a\r\nBcc: x\u{202E}y\0 \t z "), "a Bcc: xy z");
    }
}
