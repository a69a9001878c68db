//! Any Authentication-Results, ours and the sender's: total, and nothing below the border changes the answer (RFC 8601 §5).
#![no_main]

use acuse::ingest::{Reading, read};
use acuse::triage::{Authentication, authentication};
use libfuzzer_sys::fuzz_target;

const OURS: &str = "mx.mihost.example";
const BORDER: &str = "Received: from evil (evil [203.0.113.9]) by mx.mihost.example with ESMTP\r\n";

/// What is found in a mail with this on top.
fn found(trace: &str) -> Authentication {
    let raw = format!("{trace}From: ana@cliente.example\r\nSubject: x\r\n\r\nhola\r\n");
    authentication::of(&read(raw.as_bytes(), Reading::Whole), Some(OURS))
}

/// One field: no line end of its own.
fn field(name: &str, value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    format!("{name}: {value}\r\n")
}

fuzz_target!(|values: (&str, &str)| {
    let (ours, theirs) = values;
    let above = field("Authentication-Results", &format!("{OURS}; {ours}"));
    let below = field("Authentication-Results", &format!("{OURS}; {theirs}"));
    let said = found(&(above.clone() + BORDER));
    if above.len() + below.len() < 8192 {
        assert_eq!(found(&(above.clone() + BORDER + &below)), said, "the sender's word counts for nothing");
    }
    assert_eq!(found(&(BORDER.to_owned() + &below)), Authentication::Unknown);
    let foreign = field("Authentication-Results", &format!("mx.otra.example; {ours}"));
    assert_eq!(found(&(foreign + BORDER)), Authentication::Unknown, "nobody else's word counts");
    if !ours.to_ascii_lowercase().contains("fail") {
        assert_ne!(said, Authentication::Failed, "who said nothing of a failure found none: {above}");
    }
    assert!(said != Authentication::Passed || above.to_ascii_lowercase().contains("pass"));
});
