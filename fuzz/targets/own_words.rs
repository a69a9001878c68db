//! Any text as a new mail, an answer and a forward: what comes back is lines of it, in their order, however spaced.
#![no_main]

use acuse::mail::own_words::{Kind, strip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for kind in [Kind::New, Kind::Reply, Kind::Forward] {
        let own = strip(text, kind);
        let mut lines = text.lines();
        for line in own.lines().filter(|line| !line.trim().is_empty()) {
            let trimmed = line.trim();
            let begins = |of_text: &str| of_text.trim().starts_with(trimmed); // an attribution may share its line
            assert!(lines.any(begins), "{kind:?} invents or moves {line:?}");
        }
    }
});
