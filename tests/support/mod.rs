//! What the integration tests and the demo share: mail servers of our own on loopback, a real Dovecot, and
//! the `acuse` program with a site of its own to run in.
//!
//! | module | is |
//! |---|---|
//! | [`imap_peer`] | an IMAP server in this process, with a script of faults |
//! | [`smtp_peer`] | an SMTP server in this process that keeps every mail, with a script of faults |
//! | [`proxy`] | a TCP proxy that cuts, stalls, delays and drips |
//! | [`token_endpoint`] | an OAuth 2.0 authorization server, and whom Dovecot asks about tokens |
//! | [`tls`] | TLS in front of a plain server, its certificate good or bad |
//! | [`dovecot`] | a private real Dovecot |
//! | [`client`] | a blocking IMAP client and LMTP delivery: the customer's and the colleague's side |
//! | [`acuse`] | a configured state directory and the program running on it |
//! | [`canary`] | a secret that is looked for wherever it must not be |
//! | [`disk`] | the disk and the clock under that program: what it writes is logged, may be refused, the time jumps |
//! | [`stage`] | that program between the two peers, its mailbox empty and watched |
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "test support: each test uses a part of it, a panic is how it fails, and its peers keep real time"
)]

use std::thread;
use std::time::{Duration, Instant};

use acuse::ADDRESS;

pub mod acuse;
pub mod canary;
pub mod client;
pub mod disk;
pub mod dovecot;
pub mod imap_peer;
pub mod proxy;
pub mod smtp_peer;
pub mod stage;
pub mod tls;
pub mod token_endpoint;

/// Long enough for anything that happens at all on a busy two-core machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `probe` until it has an answer; panics with `what` when [`PATIENCE`] is over.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, probe).unwrap_or_else(|| panic!("still waiting after {PATIENCE:?}: {what}"))
}

/// Asks `probe` until it has an answer or `patience` is over.
pub fn within<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The bytes of a mail in `fixtures/mail/`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A mail of the `n`th customer, who reports an outage.
pub fn outage(n: usize) -> Vec<u8> {
    format!(
        "From: Cliente {n} <{customer}>\r\nTo: {ADDRESS}\r\nSubject: La =?UTF-8?Q?p=C3=A1gina?= no carga\r\n\
         Message-ID: <{n}@cliente{n}.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Desde hace {n} minutos mi página no carga.\r\n",
        customer = customer(n)
    )
    .into_bytes()
}

/// The `n`th customer's address.
pub fn customer(n: usize) -> String {
    format!("c{n}@cliente{n}.example")
}

/// The unfolded value of a mail's first header field of that name.
pub fn header(raw: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(raw);
    let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n").find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
