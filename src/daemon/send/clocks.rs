//! Tells a wall clock that was set from time that passed: a jump must neither expire the outbox nor stall it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The wall clock may differ from the monotonic one by so much between two looks.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// After a jump ahead nothing expires for so long: what is due goes out first.
const GRACE: Duration = Duration::from_secs(15 * 60);

/// The two clocks, as they stood at the last look.
#[derive(Debug)]
pub(super) struct Clocks {
    last: (Timestamp, Instant),
    /// Nothing expires until then.
    grace: Option<Instant>,
    /// When the wall clock was last set, ahead or back.
    jumped: Option<Instant>,
}

impl Clocks {
    pub(super) fn new(wall: Timestamp, monotonic: Instant) -> Self {
        Self { last: (wall, monotonic), grace: None, jumped: None }
    }

    /// Looks at both. By how much the wall clock was set, ahead or (negative) back, when it was. A machine that was asleep
    /// looks the same as one whose clock was set ahead, and should: nothing could be sent meanwhile.
    pub(super) fn look(&mut self, wall: Timestamp, monotonic: Instant) -> Option<SignedDuration> {
        let passed = monotonic.saturating_duration_since(self.last.1);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let jump = wall.duration_since(self.last.0).saturating_sub(passed);
        self.last = (wall, monotonic);
        if jump > TOLERANCE {
            self.grace = Some(monotonic + GRACE);
        }
        let jump = (jump.abs() > TOLERANCE).then_some(jump);
        self.jumped = jump.map(|_| monotonic).or(self.jumped);
        jump
    }

    /// Whether what is too old by the wall clock may be called so.
    pub(super) fn may_expire(&self, monotonic: Instant) -> bool {
        self.grace.is_none_or(|until| monotonic >= until)
    }

    /// Whether the wall clock was left alone for as long as the grace: nobody needs to hear of the jump any more.
    pub(super) fn is_calm(&self, monotonic: Instant) -> bool {
        self.jumped.is_none_or(|at| monotonic.saturating_duration_since(at) >= GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// Looks after so many seconds of each clock; the jump in seconds.
    fn look(clocks: &mut Clocks, start: Instant, wall: i64, monotonic: u64) -> Option<i64> {
        let wall = Timestamp::from_second(wall).unwrap();
        clocks.look(wall, start + Duration::from_secs(monotonic)).map(|jump| jump.as_secs())
    }

    fn clocks() -> (Clocks, Instant) {
        let start = Instant::now();
        (Clocks::new(Timestamp::UNIX_EPOCH, start), start)
    }

    #[test]
    fn time_that_passes_is_no_jump_however_long() {
        let (mut clocks, start) = clocks();
        for seconds in [1, 600, 86_400, 86_401] {
            assert_eq!(look(&mut clocks, start, seconds as i64, seconds), None);
        }
        assert_eq!(look(&mut clocks, start, 86_402 + 300, 86_402), None, "a correction of minutes");
        assert!(clocks.may_expire(start));
    }

    #[test]
    fn a_jump_ahead_gives_grace_by_the_clock_that_nobody_sets() {
        let (mut clocks, start) = clocks();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(look(&mut clocks, start, 24 * HOUR + 10, 10), Some(24 * HOUR));
        assert!(!clocks.may_expire(after(10)) && !clocks.may_expire(after(10 + 899)));
        assert!(clocks.may_expire(after(10 + 900)));
        assert_eq!(look(&mut clocks, start, 24 * HOUR + 20, 20), None, "told once");
        // a second one begins the grace anew
        assert_eq!(look(&mut clocks, start, 48 * HOUR + 600, 600), Some(24 * HOUR));
        assert!(!clocks.may_expire(after(1499)) && clocks.may_expire(after(1500)));
    }

    #[test]
    fn a_jump_back_is_told_and_needs_no_grace() {
        let (mut clocks, start) = clocks();
        assert!(clocks.is_calm(start));
        assert_eq!(look(&mut clocks, start, -HOUR, 0), Some(-HOUR));
        assert!(clocks.may_expire(start) && !clocks.is_calm(start));
        assert!(clocks.is_calm(start + GRACE), "told for as long as one ahead");
    }
}
