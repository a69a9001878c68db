//! Any bytes as the body and the status part of a delivery report.
#![no_main]

use acuse::ingest::{Reading, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], &[u8])| {
    let (notice, status) = parts;
    let head = b"From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered Mail Returned to Sender\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\n";
    let between = b"\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n";
    let raw = [&head[..], notice, between, status, b"\r\n--b--\r\n"].concat();
    let message = read(&raw, Reading::Whole);
    for bounced in message.bounce.iter().flat_map(|bounce| &bounce.recipients) {
        assert!(!bounced.recipient.contains(['\r', '\n', '\0', '<', '>']), "{:?}", bounced.recipient);
        let is_code = |status: &String| {
            let parts: Vec<&str> = status.split('.').collect();
            parts.len() == 3 && parts.iter().all(|part| part.parse::<u16>().is_ok())
        };
        assert!(bounced.status.as_ref().is_none_or(is_code), "{:?}", bounced.status);
    }
});
