//! Message-ID, References and the content hash: canonical, for threading and for knowing a mail again.

use ring::digest::{Context, SHA256};

use super::ContentHash;
use super::header::Header;

/// References are kept up to this many: the first, which began the thread, and the newest.
pub const MAX_REFERENCES: usize = 100;

/// An id longer than a header line may be (RFC 5322 §2.1.1) is nobody's.
const LONGEST_ID: usize = 998;

/// Version 1 of the content hash: what is hashed first, so that another version never equals it.
const HASH_VERSION: &[u8] = b"acuse content 1\n";

/// Fields that a server on the way writes: the same mail has others after another transport (ARCHITECTURE.md).
const TRACE_FIELDS: [&str; 9] = [
    "Return-Path",
    "Received",
    "Delivered-To",
    "X-Original-To",
    "Authentication-Results",
    "Status",
    "X-UID",
    "Lines",
    "Envelope-To",
];

/// The first usable id of a Message-ID value, without angle brackets and without blanks from folding.
pub(super) fn message_id(value: &str) -> Option<String> {
    ids(value, 1).into_iter().next()
}

/// The ids of a References or In-Reply-To value in order, each once, at most `limit`: the first and the newest.
///
/// Canonical also in the forms that real programs write: without brackets, with commas between, with one bracket
/// missing, with prose around (RFC 822's In-Reply-To).
pub(super) fn ids(value: &str, limit: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut keep = |id: &str| {
        let nowhere = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>');
        let id: String = id.chars().filter(|c| !nowhere(*c)).collect();
        if id.is_empty() || id.len() > LONGEST_ID || found.contains(&id) {
            return;
        }
        if found.len() == limit && limit > 1 {
            found.remove(1);
        }
        if found.len() < limit {
            found.push(id);
        }
    };
    if value.contains('<') {
        for piece in value.split('<').skip(1) {
            let inside = piece.split('>').next().unwrap_or_default();
            if piece.contains('>') || inside.contains('@') {
                keep(inside);
            }
        }
    } else {
        let words = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
        let words = words.map(|word| word.trim_matches(['>', '"', '(', ')']));
        let has_at = value.contains('@');
        words.filter(|word| !has_at || word.contains('@')).for_each(&mut keep);
    }
    found
}

/// SHA-256 over the CRLF-normalised mail without trace fields and without blank lines at its end.
pub(super) fn content_hash(header: &Header<'_>) -> ContentHash {
    let mut context = Context::new(&SHA256);
    context.update(HASH_VERSION);
    for field in header.fields().filter(|field| !is_trace(field.name)) {
        context.update(field.whole);
    }
    context.update(b"\r\n");
    context.update(header.body.trim_ascii_end());
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(into, byte)| *into = *byte);
    ContentHash(hash)
}

fn is_trace(name: &str) -> bool {
    TRACE_FIELDS.iter().any(|trace| name.eq_ignore_ascii_case(trace))
        || super::normal::starts_with_ignoring_case(name.as_bytes(), b"x-spam")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(mail: &str) -> ContentHash {
        content_hash(&Header::read(&super::super::normal::normalise(mail.as_bytes())))
    }

    #[test]
    fn ids_are_canonical_in_broken_forms_too() {
        assert_eq!(message_id(" <a.1@b.co> ").unwrap(), "a.1@b.co");
        assert_eq!(message_id("a.1@b.co").unwrap(), "a.1@b.co");
        assert_eq!(message_id("<a.1@b.co").unwrap(), "a.1@b.co");
        assert_eq!(message_id("<a.\t1@b.co>").unwrap(), "a.1@b.co");
        assert_eq!(message_id("<no-at-sign>").unwrap(), "no-at-sign");
        assert_eq!(message_id("\0a.1>@b.co").unwrap(), "a.1@b.co");
        assert_eq!(message_id("<>"), None);
        assert_eq!(message_id("  "), None);
        assert_eq!(message_id(&format!("<{}@b.co>", "x".repeat(2_000))), None);
        assert_eq!(ids("<a@b> <c@d>,<e@f>", 9), ["a@b", "c@d", "e@f"]);
        assert_eq!(ids("a@b, c@d", 9), ["a@b", "c@d"]);
        assert_eq!(ids("Your message of Monday <a@b>", 9), ["a@b"]);
        assert_eq!(ids("<a@b> <a@b>", 9), ["a@b"]);
    }

    #[test]
    fn long_references_keep_the_first_and_the_newest() {
        let value: String = (0..500).map(|n| format!("<{n}@b.co> ")).collect();
        let kept = ids(&value, MAX_REFERENCES);
        assert_eq!(kept.len(), MAX_REFERENCES);
        assert_eq!(kept.first().unwrap(), "0@b.co");
        assert_eq!(kept[1], "401@b.co");
        assert_eq!(kept.last().unwrap(), "499@b.co");
    }

    #[test]
    fn the_hash_ignores_transport_and_nothing_else() {
        let mail = "Message-ID: <a@b>\nSubject: x\n\nhola\n";
        let same = "Return-Path: <z@b.co>\r\nReceived: from a\r\n by b\r\nX-Spam-Score: 1\r\n\
                    Message-ID: <a@b>\r\nSubject: x\r\n\r\nhola\r\n\r\n";
        assert_eq!(hash(mail), hash(same));
        assert_ne!(hash(mail), hash("Message-ID: <a@b>\nSubject: x\n\nhola.\n"));
        assert_ne!(hash(mail), hash("Message-ID: <a@b>\nSubject: y\n\nhola\n"));
        assert_eq!(hash(mail).to_string().len(), 64);
    }
}
