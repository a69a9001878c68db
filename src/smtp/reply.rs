//! A relay's reply: as lettre can read it, and as a log may show it.

use lettre::transport::smtp::response::Response;

use crate::imap::printable;

/// lettre's parser takes no code that stands alone, and no second digit above 5. RFC 5321 §4.2 allows for the one,
/// and has the others, which relays do say, read by their first digit: `571 blocked` becomes `500 571 blocked`.
pub(super) fn as_lettre_reads(line: &str) -> String {
    match line.as_bytes() {
        [first, b'6'..=b'9', _, b'-', ..] => format!("{}00-{line}\r\n", char::from(*first)),
        [first, b'6'..=b'9', _, ..] => format!("{}00 {line}\r\n", char::from(*first)),
        [_, _, _] => format!("{line} \r\n"),
        _ => format!("{line}\r\n"),
    }
}

/// The code and the text, fit for a log line.
pub(super) fn words(reply: &Response) -> String {
    printable(&format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" ")))
}
