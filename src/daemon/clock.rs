//! The one place that asks what time it is, and whether that can be.

use jiff::Timestamp;

/// The clock cannot be right: every promise would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock shows {0}: it was never set")]
pub struct ClockUnset(pub Timestamp);

/// 2026-01-01: acuse is younger, and a host without a battery begins in 1970.
const OLDEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The time, UTC.
#[expect(clippy::disallowed_methods, reason = "everybody else is given the time")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Refuses a time at which acuse cannot run.
pub fn plausible(now: Timestamp) -> Result<(), ClockUnset> {
    if now < OLDEST { Err(ClockUnset(now)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_refused() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (shown, refused) in [
            ("1970-01-01T00:00:07Z", true),
            ("2025-12-31T23:59:59Z", true),
            ("2026-01-01T00:00:00Z", false),
            ("2100-01-01T00:00:00Z", false),
        ] {
            assert_eq!(plausible(at(shown)).is_err(), refused, "{shown}");
        }
        let said = plausible(at("1970-01-01T00:00:07Z")).unwrap_err().to_string();
        assert_eq!(said, "the clock shows 1970-01-01T00:00:07Z: it was never set");
    }
}
