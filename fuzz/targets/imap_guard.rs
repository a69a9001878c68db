//! Any bytes from an IMAP server, cut anywhere: what the guard lets through is bounded, and costs the parser no stack.
#![no_main]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use acuse::imap::guard::Guarded;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of mail that are allowed here, and those of a folder's name.
const LITERALS: usize = 4096;
/// Bytes of one response outside its literals, and parentheses in it.
const TEXT: usize = 64 * 1024;
const PARENTHESES: usize = 64;

/// What of `bytes` is let through when they come in pieces of this size.
fn let_through(bytes: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut guarded = Guarded::new(bytes);
    guarded.allow_literals(LITERALS as u64);
    let mut passed = Vec::new();
    let mut space = vec![0; piece];
    loop {
        let mut buffer = ReadBuf::new(&mut space);
        let read = Pin::new(&mut guarded).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        match read {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return (passed, true),
            Poll::Ready(Ok(())) => passed.extend(buffer.filled()),
            Poll::Ready(Err(_)) | Poll::Pending => return (passed, false),
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let (whole, accepted) = let_through(bytes, bytes.len() + 1);
    let (pieces, also_accepted) = let_through(bytes, usize::from(piece) + 1);
    assert_eq!(accepted, also_accepted, "cuts change nothing");
    assert!(bytes.starts_with(&pieces) && bytes.starts_with(&whole));
    if !accepted {
        return;
    }
    assert_eq!(pieces, bytes);
    let mut rest = bytes;
    // whatever the parser takes for a response
    while let Ok((after, response)) = imap_proto::Response::parse(rest) {
        let length = rest.len() - after.len();
        drop(response);
        assert!(length > 0 && length <= TEXT + LITERALS, "{length} bytes of one response");
        let parentheses = rest[..length].iter().filter(|byte| **byte == b'(').count();
        assert!(parentheses <= PARENTHESES + LITERALS, "{parentheses} parentheses");
        rest = after;
    }
});
