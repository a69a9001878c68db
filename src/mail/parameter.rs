//! The parameters of a MIME header field, in the forms of RFC 2231 and in those that programs write instead.

use super::charset;
use super::header::decode_words;

/// A value in so many pieces is nobody's file name.
const MOST_PIECES: usize = 100;

/// One `name*0*=value`, or the whole in `name*=value`.
struct Piece {
    number: usize,
    /// Whether it is percent-encoded.
    is_encoded: bool,
    value: String,
}

/// A parameter of a field's value, decoded. Where it stands there twice the encoded form wins (RFC 6266 §4.3), then the
/// one in pieces; comments (RFC 822 §3.1.4) between the parameters are skipped, and encoded words, which RFC 2047 §5 does not allow there, are decoded as every reader does.
pub(super) fn parameter(field: &[u8], name: &str) -> Option<String> {
    let text = charset::decode(field, None).text.replace(['\r', '\n'], "");
    let (mut plain, mut extended) = (None, None);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = after_semicolon(&text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.starts_with('(') {
            rest = after_comment(rest);
            continue;
        }
        let Some((key, after)) = rest.split_once('=') else { break };
        let (value, after) = value(after);
        rest = after;
        let key = key.rsplit(';').next().unwrap_or(key).trim().to_ascii_lowercase();
        let Some(suffix) = key.strip_prefix(name) else { continue };
        match suffix.strip_prefix('*') {
            None if suffix.is_empty() => plain = plain.or(Some(value)),
            None => {}
            Some("") => extended = extended.or(Some(Piece { number: 0, is_encoded: true, value })),
            Some(suffix) if pieces.len() < MOST_PIECES => {
                let (number, is_encoded) = (suffix.trim_end_matches('*'), suffix.ends_with('*'));
                pieces.extend(number.parse().map(|number| Piece { number, is_encoded, value }));
            }
            Some(_) => {}
        }
    }
    if let Some(extended) = extended {
        return Some(joined(&[extended]));
    }
    pieces.sort_by_key(|piece| piece.number);
    if pieces.is_empty() { plain.map(|plain| whole(&plain)) } else { Some(joined(&pieces)) }
}

/// What follows the next semicolon that is not in a comment; nothing when there is none.
fn after_semicolon(mut text: &str) -> &str {
    while let Some(at) = text.find([';', '(']) {
        text = text.get(at..).unwrap_or_default();
        match text.strip_prefix(';') {
            Some(after) => return after,
            None => text = after_comment(text),
        }
    }
    ""
}

/// What follows the comment that a text begins with; nothing when it has no end.
fn after_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return text.get(at + 1..).unwrap_or_default(),
            ')' => depth -= 1,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    ""
}

/// A value, quoted or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            // a backslash before anything else is a path's, as Windows programs write it
            '\\' => {
                value.push(chars.next_if(|(_, next)| matches!(next, '"' | '\\')).map_or(c, |(_, next)| next))
            }
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                return (value, after_semicolon(rest));
            }
            _ => value.push(c),
        }
    }
    (value, "")
}

/// A value in one piece; some programs leave out the star that says how it is encoded.
fn whole(value: &str) -> String {
    match value.get(..7).filter(|head| head.eq_ignore_ascii_case("utf-8''")) {
        Some(_) => joined(&[Piece { number: 0, is_encoded: true, value: value.to_owned() }]),
        None => decode_words(value).into_owned(),
    }
}

/// RFC 2231 §3 and §4: the pieces in order, of which the first may name the charset.
fn joined(pieces: &[Piece]) -> String {
    if pieces.iter().all(|piece| !piece.is_encoded) {
        let text: String = pieces.iter().map(|piece| piece.value.as_str()).collect();
        return decode_words(&text).into_owned();
    }
    let mut label = None;
    let mut bytes = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let mut value = piece.value.as_str();
        if index == 0
            && let Some((charset, after)) = value.split_once('\'')
            && let Some((_, text)) = after.split_once('\'')
        {
            label = Some(charset);
            value = text;
        }
        if piece.is_encoded {
            bytes.extend(percent_decoded(value));
        } else {
            bytes.extend(value.as_bytes());
        }
    }
    decode_words(&charset::decode(&bytes, label).text).into_owned() // some programs do both
}

/// The two hexadecimal digits that these bytes begin with.
pub(super) fn hex_digits(bytes: &[u8]) -> Option<&str> {
    let digits = bytes.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    std::str::from_utf8(digits).ok()
}

/// What is no escape stays as it stands.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = hex_digits(after).filter(|_| byte == b'%');
        let decoded = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_in_every_form() {
        for (field, want) in [
            ("attachment; filename=factura.pdf", "factura.pdf"),
            ("attachment; filename=\"mi factura; mayo.pdf\"", "mi factura; mayo.pdf"),
            ("attachment; filename=mi factura.pdf; size=3", "mi factura.pdf"),
            ("attachment; FileName = \"a\\\"b.pdf\"", "a\"b.pdf"),
            ("attachment; filename=\"C:\\tmp\\a.pdf\"", "C:\\tmp\\a.pdf"),
            ("attachment;\r\n filename=\r\n \"a.pdf\"", "a.pdf"),
            ("attachment; filename=\"sin fin.pdf", "sin fin.pdf"),
            ("attachment; filename*=utf-8'es'cami%C3%B3n.pdf", "camión.pdf"),
            ("attachment; filename*=\"UTF-8''cami%C3%B3n.pdf\"", "camión.pdf"),
            ("attachment; filename*=iso-8859-1''cami%F3n.pdf", "camión.pdf"),
            ("attachment; filename*=utf-8''=?utf-8?q?cami=C3=B3n=2Epdf?=", "camión.pdf"),
            ("attachment; filename*=100%.pdf", "100%.pdf"),
            ("attachment; filename*=100%+1.pdf", "100%+1.pdf"),
            ("attachment; filename=\"UTF-8''cami%C3%B3n.pdf\"", "camión.pdf"),
            ("attachment; filename=\"=?utf-8?q?cami=C3=B3n=2Epdf?=\"", "camión.pdf"),
            ("attachment; filename=\"x.pdf\"; filename*=utf-8''y.pdf", "y.pdf"),
            ("attachment; filename=\"a7.pdf\"; filename*0*=utf-8''a; filename*1*=%37.pdf", "a7.pdf"),
            ("attachment; filename*1=\"b.pdf\"; filename*0=\"a\"", "ab.pdf"),
            ("attachment; filename*0*=utf-8''cami%C3; filename*1*=%B3n; filename*2=\".pdf\"", "camión.pdf"),
            ("attachment; filename*0=\"=?utf-8?q?cam\"; filename*1=\"i=C3=B3n.pdf?=\"", "camión.pdf"),
            ("attachment; filename=cami\u{F3}n.pdf", "camión.pdf"),
            ("attachment; foo; filename=\"fac.pdf\"", "fac.pdf"),
            ("attachment; filename*=utf-8''y.pdf; filename*0=\"y\"; filename*1=\".pdf\"", "y.pdf"),
            ("attachment; filename*0=\"x\"; filename*1=\".pdf\"; filename*=utf-8''y.pdf", "y.pdf"),
            ("attachment (nota=1; filename=z.exe); filename=q.pdf", "q.pdf"),
            ("attachment; (a (b) \\) filename=z.exe;) filename=q.pdf", "q.pdf"),
            ("attachment; size=\"3\" (; filename=z.exe); filename=\"q.pdf\"", "q.pdf"),
            ("attachment; filename=factura (1).pdf", "factura (1).pdf"),
            ("attachment; filename=\"factura (1; 2).pdf\"", "factura (1; 2).pdf"),
        ] {
            assert_eq!(parameter(field.as_bytes(), "filename").as_deref(), Some(want), "{field}");
        }
        for field in ["attachment", "attachment; size=3", "attachment; filenames=x", "attachment; filename"] {
            assert_eq!(parameter(field.as_bytes(), "filename"), None, "{field}");
        }
    }

    #[test]
    fn hostile_parameters_take_one_pass() {
        for unit in ["; filename*1=x", ";=", "\"", "; filename*0*=%", "\\", ";(", "; x=\"\" (", "()"] {
            parameter(unit.repeat(8_000).as_bytes(), "filename");
        }
    }
}
