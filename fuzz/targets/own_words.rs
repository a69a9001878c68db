//! Any text as a new mail, an answer and a forward: what comes back is lines of it, in their order.
#![no_main]

use acuse::mail::own_words::{Kind, strip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for kind in [Kind::New, Kind::Reply, Kind::Forward] {
        let own = strip(text, kind);
        let mut lines = text.lines();
        for line in own.lines() {
            let trimmed = line.trim();
            assert!(lines.any(|of_text| of_text.trim() == trimmed), "{kind:?} invents or moves {line:?}");
        }
    }
});
