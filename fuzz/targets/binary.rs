//! Any bytes as winmail.dat and as a signed mail: what is opened is bounded, and is the same twice.
#![no_main]

use acuse::ingest::{Reading, read};
use acuse::mail::files;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;

/// The signature of a TNEF stream, and its key.
const TNEF: &[u8] = &[0x78, 0x9F, 0x3E, 0x22, 0, 0];
/// SignedData up to its version (RFC 5652 §5.1), all lengths indefinite.
const CMS: &[u8] = b"\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x80\x30\x80";
/// Most files of winmail.dat, and itself when nothing was left of it.
const FILES: usize = 201;
/// Bytes: 4 MiB of text in one byte a character, which can be three in UTF-8.
const TEXT: usize = 12 << 20;

fuzz_target!(|bytes: &[u8]| {
    for (kind, head) in [("ms-tnef", TNEF), ("pkcs7-mime", CMS)] {
        let body = STANDARD.encode([head, bytes].concat());
        let raw = format!(
            "From: ana@cliente.example\r\nMIME-Version: 1.0\r\nContent-Type: application/{kind}\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
        );
        let message = read(raw.as_bytes(), Reading::Whole);
        assert!(message.text.len() <= TEXT, "{} bytes of text", message.text.len());
        let files = files(raw.as_bytes());
        assert!(
            files.iter().map(|(file, _)| file).eq(&message.attachments),
            "the files are those of the list"
        );
        if kind == "ms-tnef" {
            assert!(files.len() <= FILES, "{} files", files.len());
            assert!(
                files
                    .iter()
                    .all(|(file, bytes)| file.name.chars().count() <= 255 && bytes.len() <= raw.len())
            );
        }
    }
});
