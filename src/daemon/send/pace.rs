//! `[limits] per_hour`: a pace, so that nothing is lost by it.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

/// When the relay last heard of acknowledgements, by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Pace {
    per_hour: u32,
    tried: VecDeque<Instant>,
}

impl Pace {
    /// The pace of a run that begins at `now`; `tried`: what the runs before it offered, oldest first.
    pub(super) fn resumed(per_hour: u32, tried: &[Timestamp], now: (Timestamp, Instant)) -> Self {
        let (wall, now) = now;
        let ago = |at: &Timestamp| wall.duration_since(*at).max(SignedDuration::ZERO).unsigned_abs();
        // a machine may have been up for less than that
        let tried = tried.iter().map(|at| now.checked_sub(ago(at)).unwrap_or(now)).collect();
        Self { per_hour, tried }
    }

    /// The relay heard of one.
    pub(super) fn count(&mut self, now: Instant) {
        self.tried.push_back(now);
    }

    /// How many may go out until the hour that was last looked at is full.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.per_hour).unwrap_or(usize::MAX).saturating_sub(self.tried.len())
    }

    /// How long the next one must wait.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        while self.tried.front().is_some_and(|first| now.duration_since(*first) >= HOUR) {
            self.tried.pop_front();
        }
        let full = self.tried.len() >= usize::try_from(self.per_hour).unwrap_or(usize::MAX);
        let first = self.tried.front().filter(|_| full);
        first.map_or(Duration::ZERO, |first| HOUR.saturating_sub(now.duration_since(*first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_back_only_what_is_over_it() {
        let start = Instant::now();
        let mut pace = Pace::resumed(2, &[], (Timestamp::UNIX_EPOCH, start));
        pace.count(start);
        assert_eq!((pace.wait(start), pace.room()), (Duration::ZERO, 1));
        pace.count(start + Duration::from_secs(60));
        assert_eq!(pace.room(), 0);
        assert_eq!(pace.wait(start + Duration::from_secs(120)), Duration::from_secs(3480));
        assert_eq!(pace.wait(start + HOUR), Duration::ZERO);
    }

    #[test]
    fn a_restart_does_not_forget_the_hour() {
        let (wall, start) = (Timestamp::UNIX_EPOCH, Instant::now() + HOUR);
        let ago = |seconds| wall - SignedDuration::from_secs(seconds);
        let mut pace = Pace::resumed(3, &[ago(3000), ago(1000), ago(0)], (wall, start));
        assert_eq!(pace.wait(start), Duration::from_secs(600));
        assert_eq!(pace.wait(start + Duration::from_secs(600)), Duration::ZERO);
        // what a clock that was set back calls the future was just now
        let mut ahead = Pace::resumed(1, &[ago(-9000)], (wall, start));
        assert_eq!(ahead.wait(start), HOUR);
    }
}
