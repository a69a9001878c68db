//! Mail loops: days between acuse and a peer that answers by itself, at a clock of their own. What we send stays under
//! the caps whatever the peer does (I7), ends by itself with whoever leaves a trace, and every mail has its outcome (I1).
//!
//! | module | is |
//! |---|---|
//! | `days` | the simulation: acuse on a real database, the post between it and a peer, and what became of it all |
//! | `products` | ticket systems as they mark, and fail to mark, their automatic mail |
//! | `worst` | peers that no ticket system is as bad as |
//! | `daemons` | the same with the real daemon on real connections |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test"
)]

#[path = "../support/mod.rs"]
mod support;

mod daemons;
mod days;
mod products;
mod worst;
