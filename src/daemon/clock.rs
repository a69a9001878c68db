//! The one place that asks what time it is.

use jiff::Timestamp;

/// The time, UTC.
#[expect(clippy::disallowed_methods, reason = "everybody else is given the time")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
