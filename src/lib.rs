//! acuse turns mail into tickets: IMAP mailbox → ticket in SQLite → acknowledgement that quotes the
//! response time of the sender's plan.
//!
//! A mail is read into a [`mail::Message`], [`triage`] makes a [`triage::Decision`] of it (a value: nothing
//! is done yet), [`store`] writes the decision in one transaction, and only then is anything settled on the
//! server or sent. [`ingest`] is that walk in a dozen lines.
//!
//! **The one rule:** modules are listed in dependency order. A module uses only modules listed above it, and
//! everything above [`store`] is pure: no files, sockets, clock, environment or database. `tests/tidy.rs`
//! checks both.

// ── pure ──────────────────────────────────────────────────────────────────────────────────────────────────
mod codes;
pub mod problem;
pub mod ticket;
pub mod token;
pub mod mail;
pub mod rules;
pub mod plan;
pub mod site;
pub mod reply;
pub mod policy;
pub mod notify;
pub mod triage;
pub mod oauth;
// ── shell ─────────────────────────────────────────────────────────────────────────────────────────────────
pub mod store;
pub mod ingest;
pub mod roots;
pub mod tokens;
pub mod config;
pub mod imap;
pub mod smtp;
pub mod daemon;
pub mod cli;
