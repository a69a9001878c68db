//! Folder names on the wire: modified UTF-7 (RFC 3501 §5.1.3), quoted.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// `Soporte técnico` → `Soporte t&AOk-cnico`. What comes out is printable ASCII, whatever goes in.
pub(super) fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut shifted = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            unshift(&mut wire, &mut shifted);
            wire.push(c);
            if c == '&' {
                wire.push('-');
            }
        } else {
            shifted.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    unshift(&mut wire, &mut shifted);
    wire
}

fn unshift(wire: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        wire.push('&');
        BASE64.encode_string(&*shifted, wire);
        wire.push('-');
        shifted.clear();
    }
}

/// Puts printable ASCII between quotes (RFC 3501 §4.3).
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Takes the backslashes of a quoted string away, which imap-proto leaves in.
pub(super) fn unescape(quoted: &str) -> String {
    let mut chars = quoted.chars();
    std::iter::from_fn(|| match chars.next()? {
        '\\' => chars.next(),
        c => Some(c),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_modified_utf7() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("Soporte técnico", "Soporte t&AOk-cnico"),
            ("R&D", "R&-D"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"), // RFC 3501 §5.1.3
            ("🎫", "&2Dzfqw-"),
            ("a\r\nb LOGOUT", "a&AA0ACg-b LOGOUT"),
            ("", ""),
        ] {
            assert_eq!(encode(name), wire);
        }
    }

    #[test]
    fn quotes_and_backslashes_survive() {
        let name = r#"a "b" \c"#;
        assert_eq!(quote(name), r#""a \"b\" \\c""#);
        assert_eq!(unescape(quote(name).trim_matches('"')), name);
    }
}
