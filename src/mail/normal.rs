//! The copy of a mail that the parsers are fed: CRLF throughout, starting at its first header.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

/// The mail with CRLF line ends, without what stands before its headers, and without the folds that mail-parser
/// trips over. Borrows when nothing had to change.
///
/// Dropped in front: a byte order mark, blank lines, mbox `From ` lines, and white space before the first header,
/// which would fold it onto nothing. Bare LF becomes CRLF; bare CR does when
/// the mail has no LF at all. A fold right after the `=` of a `Content-*` parameter is joined (mail-parser 0.11
/// loses such a parameter, and with a boundary the whole structure).
pub(super) fn normalise(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\n', raw).is_none() && memchr(b'\r', raw).is_some() {
        return Cow::Owned(with_crlf(start(&from_bare_cr(raw))).into_owned());
    }
    with_crlf(start(raw))
}

/// Lines that end in CR alone, as some old Macintosh and maildrop exports have them.
fn from_bare_cr(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 32);
    for &byte in raw {
        out.push(byte);
        if byte == b'\r' {
            out.push(b'\n');
        }
    }
    out
}

/// The mail from its first header on.
fn start(raw: &[u8]) -> &[u8] {
    let mut rest = raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw);
    while let Some(end) = memchr(b'\n', rest) {
        let (line, next) = rest.split_at(end + 1);
        // RFC 4155: an mbox entry starts with a "From " line, which has no colon before its first space.
        if line.trim_ascii().is_empty() || line.starts_with(b"From ") || line.starts_with(b">From ") {
            rest = next;
        } else {
            break;
        }
    }
    rest.trim_ascii_start()
}

fn with_crlf(mail: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Vec<u8> = Vec::new();
    let mut copied = 0; // everything before it is in `out`, or needs no change
    let mut line_start = 0;
    let mut in_content_field = false;
    for newline in memchr_iter(b'\n', mail) {
        let line = mail.get(line_start..newline).unwrap_or_default();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if !starts_with_space(line) {
            in_content_field = starts_with_ignoring_case(line, b"content-");
        }
        let next = mail.get(newline + 1..).unwrap_or_default();
        let join = in_content_field && text.ends_with(b"=") && starts_with_space(next);
        if join || text.len() == line.len() {
            out.reserve(if out.is_empty() { mail.len() + mail.len() / 16 } else { 0 });
            out.extend_from_slice(mail.get(copied..line_start + text.len()).unwrap_or_default());
            copied = newline + 1;
            if join {
                copied += next.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            } else {
                out.extend_from_slice(b"\r\n");
            }
        }
        line_start = newline + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(mail);
    }
    out.extend_from_slice(mail.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn starts_with_space(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Whether the line begins with the prefix, whatever the case of ASCII letters.
pub(super) fn starts_with_ignoring_case(line: &[u8], prefix: &[u8]) -> bool {
    line.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crlf_is_borrowed_as_it_stands() {
        let mail = b"Subject: x\r\n\r\nhola\r\n";
        assert!(matches!(normalise(mail), Cow::Borrowed(same) if same == mail));
    }

    #[test]
    fn every_kind_of_line_end_becomes_crlf() {
        let want = b"Subject: x\r\nTo: a@b.co\r\n\r\nhola\r\n";
        for mail in [
            &b"Subject: x\nTo: a@b.co\n\nhola\n"[..],
            b"Subject: x\rTo: a@b.co\r\rhola\r",
            b"Subject: x\r\nTo: a@b.co\n\r\nhola\n",
        ] {
            assert_eq!(normalise(mail), &want[..]);
        }
    }

    #[test]
    fn what_stands_before_the_headers_goes() {
        for mail in [
            &b"\r\n  \r\nSubject: x\r\n\r\n"[..],
            b"\xEF\xBB\xBFSubject: x\r\n\r\n",
            b"From ana@b.co Mon Nov  2 10:00:00 2026\r\nSubject: x\r\n\r\n",
            b"\n>From ana@b.co Mon Nov  2 10:00:00 2026\r\nSubject: x\r\n\r\n",
        ] {
            assert_eq!(normalise(mail), &b"Subject: x\r\n\r\n"[..]);
        }
    }

    #[test]
    fn a_fold_after_the_equals_sign_is_joined_in_content_fields_only() {
        assert_eq!(
            normalise(b"Content-Type: multipart/mixed;\r\n boundary=\r\n\t\"b\"\r\n\r\n"),
            &b"Content-Type: multipart/mixed;\r\n boundary=\"b\"\r\n\r\n"[..]
        );
        let soft_break = b"X: y\r\n\r\na quoted-printable line=\r\n  goes on\r\n";
        assert_eq!(normalise(soft_break), &soft_break[..]);
    }
}
