//! Cheap structural limits, checked over the bytes before any parser runs (docs/mail.md, I12).

use memchr::{memchr, memchr_iter, memmem};

use super::Defect;
use super::mime;
use super::normal::starts_with_ignoring_case;

/// A header field may be this long, in bytes.
const HEADER_FIELD: usize = 64 * 1024;
/// A `Content-*` field inside the body may be this long: mail-parser is quadratic in it.
const PART_FIELD: usize = 8 * 1024;
/// A mail may have this many lines that could be a boundary.
const BOUNDARY_LINES: usize = 10_000;
/// A header block may have this many lines.
const HEADER_LINES: usize = 10_000;
/// All header blocks together may have this many lines, where there can be several.
const ALL_HEADER_LINES: usize = 100_000;
/// A mail may have this many parts that are mails: mail-parser recurses on them, and dropping recurses again.
const NESTED_MAILS: usize = 64;
/// Of those, this many may be base64 or quoted-printable, which hides their structure from this scan.
const ENCODED_MAILS: usize = 8;
/// Such a hidden mail may itself hide one, this deep.
const ENCODED_DEPTH: usize = 3;

/// Whether the parser may see this mail (CRLF-normalised); linear in its length.
pub(super) fn check(mail: &[u8]) -> Result<(), Defect> {
    check_to(mail, ENCODED_DEPTH)
}

fn check_to(mail: &[u8], depth: usize) -> Result<(), Defect> {
    let mut scan = Scan { in_block: true, ..Scan::default() };
    let mut start = 0;
    for newline in memchr_iter(b'\n', mail).chain([mail.len()]) {
        let line = mail.get(start..newline).unwrap_or_default();
        scan.line(line, mail.get(newline..).unwrap_or_default(), depth)?;
        start = newline + 1;
    }
    // A dump of a database pasted into a mail has thousands of "-- " lines, and no boundary.
    let has_boundary = || memmem::find(&mail.to_ascii_lowercase(), b"boundary").is_some();
    let many = scan.boundary_lines > BOUNDARY_LINES || scan.header_lines > ALL_HEADER_LINES;
    if many && (scan.nested > 0 || has_boundary()) {
        return Err(Defect::TooManyParts);
    }
    Ok(())
}

#[derive(Default)]
struct Scan {
    past_header: bool,
    /// Between a boundary, or the start of a mail, and the next blank line.
    in_block: bool,
    header_lines: usize,
    boundary_lines: usize,
    nested: usize,
    encoded: usize,
    /// The field being read: its length, and the start of its text without white space, lower case.
    field: Field,
    /// What the block of header lines being read has said so far.
    is_mail: bool,
    encoding: Encoding,
}

#[derive(Default)]
struct Field {
    /// It has a colon, so that a line after it that begins with a blank belongs to it.
    open: bool,
    length: usize,
    content: bool,
    start: Vec<u8>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Encoding {
    #[default]
    Plain,
    Encoded,
}

impl Scan {
    fn line(&mut self, line: &[u8], rest: &[u8], depth: usize) -> Result<(), Defect> {
        let folded = self.field.open && matches!(line.first(), Some(b' ' | b'\t'));
        let text = line.trim_ascii();
        if folded {
            self.field.length += line.len();
            if self.field.content && self.field.start.len() < 128 {
                compact(text, &mut self.field.start);
            }
        } else {
            self.end_of_field()?;
            // mail-parser takes " :Con tent-Type:" for that field, so blanks and colons are no hiding place.
            let colons = text.iter().take_while(|&&byte| byte == b':' || byte.is_ascii_whitespace()).count();
            let name = text.get(colons..).unwrap_or_default();
            self.field.open = memchr(b':', name).is_some();
            self.field.length = line.len();
            self.field.content = begins_content_field(name);
            self.field.start.clear();
            if self.field.content {
                compact(name, &mut self.field.start);
            }
        }
        if !self.past_header && self.field.length > HEADER_FIELD
            || self.field.content && self.past_header && self.field.length > PART_FIELD
        {
            return Err(Defect::HeaderTooLong);
        }
        self.header_lines += usize::from(self.in_block);
        if !self.past_header && self.header_lines > HEADER_LINES {
            return Err(Defect::HeaderTooLong);
        }
        if text.is_empty() && !folded {
            self.past_header = true;
            self.in_block = self.is_mail;
            if self.is_mail && self.encoding == Encoding::Encoded {
                self.hidden_mail(rest, depth)?;
            }
            self.is_mail = false;
            self.encoding = Encoding::Plain;
        } else if text.len() > 2 && line.starts_with(b"--") {
            self.field.open = false;
            self.boundary_lines += 1;
            self.in_block = true;
            self.is_mail = false;
            self.encoding = Encoding::Plain;
        }
        Ok(())
    }

    /// Looks at a whole `Content-*` field: is a mail inside, and does an encoding hide it?
    fn end_of_field(&mut self) -> Result<(), Defect> {
        if !self.field.content {
            return Ok(());
        }
        self.field.content = false;
        let field = &self.field.start;
        if field.starts_with(b"content-type:") {
            let media_type = field.split(|&byte| byte == b';').next().unwrap_or_default();
            let is_mail = [&b"message"[..], b"digest", b"rfc822", b"global"]
                .iter()
                .any(|word| memmem::find(media_type, word).is_some());
            let reads_as_text = memmem::find(media_type, b"delivery-status").is_some();
            if is_mail && !reads_as_text {
                self.is_mail = true;
                self.nested += 1;
            }
        } else if let Some(encoding) = field.strip_prefix(b"content-transfer-encoding:") {
            self.encoding = match encoding {
                b"7bit" | b"8bit" | b"binary" => Encoding::Plain,
                _ => Encoding::Encoded,
            };
        }
        if self.nested > NESTED_MAILS { Err(Defect::TooDeep) } else { Ok(()) }
    }

    /// Checks what the parser will find once it has decoded a mail inside this one.
    fn hidden_mail(&mut self, rest: &[u8], depth: usize) -> Result<(), Defect> {
        self.encoded += 1;
        if depth == 0 || self.encoded > ENCODED_MAILS {
            return Err(Defect::TooDeep);
        }
        let base64 = memmem::find(rest, b"\r\n--").map_or(rest, |end| rest.get(..end).unwrap_or_default());
        for hidden in [mime::decode_base64(base64), mime::decode_quoted_printable(rest)].into_iter().flatten()
        {
            check_to(&hidden, depth - 1)?;
        }
        Ok(())
    }
}

/// Whether a line begins a `Content-*` field, white space in the name notwithstanding.
fn begins_content_field(line: &[u8]) -> bool {
    if starts_with_ignoring_case(line, b"content-") {
        return true;
    }
    if !matches!(line.first(), Some(b'c' | b'C')) {
        return false;
    }
    let mut name = line.iter().filter(|byte| !byte.is_ascii_whitespace());
    b"content-".iter().all(|want| name.next().is_some_and(|byte| byte.eq_ignore_ascii_case(want)))
}

fn compact(line: &[u8], into: &mut Vec<u8>) {
    into.extend(line.iter().take(512).filter(|byte| !byte.is_ascii_whitespace()).map(u8::to_ascii_lowercase));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_mail_passes() {
        let mail =
            b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhola\r\n--b--\r\n";
        assert_eq!(check(mail), Ok(()));
    }

    #[test]
    fn a_header_field_has_a_limit_and_a_folded_one_counts_whole() {
        let long = format!("Subject: {}\r\n\r\n", "x".repeat(70_000));
        assert_eq!(check(long.as_bytes()), Err(Defect::HeaderTooLong));
        let folded = format!("To: a@b.co{}\r\n\r\n", ",\r\n  a@b.co".repeat(7_000));
        assert_eq!(check(folded.as_bytes()), Err(Defect::HeaderTooLong));
        let body = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(70_000));
        assert_eq!(check(body.as_bytes()), Ok(()), "a long line of text is no header");
    }

    #[test]
    fn a_content_field_inside_a_part_has_a_smaller_limit() {
        for name in ["Content-Type", "Con tent-Type", "CONTENT-disposition"] {
            let mail = format!("Subject: x\r\n\r\n--b\r\n{name}: text/plain; {}\r\n", "x=y; ".repeat(2_000));
            assert_eq!(check(mail.as_bytes()), Err(Defect::HeaderTooLong), "{name}");
        }
    }

    #[test]
    fn boundaries_have_a_limit_where_there_can_be_any() {
        let lines = "-- a line\r\n".repeat(10_001);
        assert_eq!(check(format!("Subject: dump\r\n\r\n{lines}").as_bytes()), Ok(()));
        let mail = format!("Content-Type: multipart/mixed; Boundary=\" a line\"\r\n\r\n{lines}");
        assert_eq!(check(mail.as_bytes()), Err(Defect::TooManyParts));
    }

    #[test]
    fn header_lines_have_a_limit() {
        let lines = "a:\r\n".repeat(200_000);
        assert_eq!(check(lines.as_bytes()), Err(Defect::HeaderTooLong));
        let part = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{lines}");
        assert_eq!(check(part.as_bytes()), Err(Defect::TooManyParts));
        assert_eq!(check(format!("Subject: x\r\n\r\n{lines}").as_bytes()), Ok(()));
    }

    #[test]
    fn nested_mails_have_a_limit() {
        let nested = |times| "Content-Type: message/rfc822\r\n\r\n".repeat(times);
        assert_eq!(check(nested(64).as_bytes()), Ok(()));
        assert_eq!(check(nested(65).as_bytes()), Err(Defect::TooDeep));
        for unit in [
            "Content-Type:\r\n message / RFC822\r\n\r\n",
            " Content-Type: message/rfc822\r\n\r\n",
            "no field\r\n\tContent-Type: message/rfc822\r\n\r\n",
            " : C ontent-Type: message/rfc822\r\n\r\n",
            "X: y\r\n \r\nContent-Type: message/rfc822\r\n\r\n",
        ] {
            assert_eq!(check(unit.repeat(65).as_bytes()), Err(Defect::TooDeep), "{unit:?}");
        }
    }

    #[test]
    fn an_encoding_does_not_hide_nested_mails() {
        use base64::Engine as _;
        let bomb = "Content-Type: message/rfc822\r\n\r\n".repeat(1_000);
        let hidden = base64::engine::general_purpose::STANDARD.encode(bomb);
        let mail =
            format!("Content-Transfer-Encoding: base64\r\nContent-Type: message/rfc822\r\n\r\n{hidden}\r\n");
        assert_eq!(check(mail.as_bytes()), Err(Defect::TooDeep));
    }
}
