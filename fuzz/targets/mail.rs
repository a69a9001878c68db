//! Any bytes: the guard, the parser and the readers behind it. Total, deterministic, and bounded.
#![no_main]

use acuse::ingest::{Reading, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let message = read(raw, Reading::Whole);
    assert_eq!(message, read(raw, Reading::Whole), "the same bytes are the same mail");
    for line in message.own_text.lines() {
        assert!(message.text.contains(line.trim()), "own words are words of the text: {line:?}");
    }
    let one_line = [&message.subject].into_iter().chain(&message.message_id).chain(&message.references);
    for text in one_line.chain(message.attachments.iter().map(|file| &file.name)) {
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
    }
    assert!(message.message_id.as_ref().is_none_or(|id| !id.contains(['<', '>', ' '])));
    let headers = read(raw, Reading::Poison);
    assert_eq!(headers.content_hash, message.content_hash, "the hash does not depend on how it is read");
});
