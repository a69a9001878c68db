//! The breaker: far more acknowledgements than usual, and those to strangers wait (I7).

use jiff::{SignedDuration, Timestamp};

use super::HeldBy;
use crate::store::{Result, Tx, ms};

/// It trips at so many times the usual hour.
const TIMES: i64 = 10;
/// How far back an hour counts as usual.
const USUAL: SignedDuration = SignedDuration::from_hours(28 * 24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The alert that stands while it holds, which is also where that is remembered.
const ALERT: (&str, &str) = ("breaker", "outbox");

/// How many acknowledgements are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the hour that ends now.
    pub last_hour: i64,
    /// In an hour before that, on the average of those of the last 28 days that had any; without those that the breaker
    /// held, or a long flood would become usual.
    pub usual: i64,
}

impl Rate {
    /// How many in an hour trip it; never fewer than `floor`.
    pub fn limit(self, floor: u32) -> i64 {
        self.usual.saturating_mul(TIMES).max(i64::from(floor)).max(1)
    }

    /// Whether acknowledgements to strangers are to be held; what has tripped holds until the rate is half the limit, so
    /// that it does not flutter.
    pub fn holds(self, floor: u32, tripped: bool) -> bool {
        let rate = if tripped { self.last_hour.saturating_mul(2) } else { self.last_hour };
        rate >= self.limit(floor)
    }
}

/// What a look at the breaker came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// As usual.
    Rests,
    /// Too many: from now on it holds.
    Trips(Rate),
    /// It goes on holding.
    Holds,
    /// The rate fell: so many that it held are due.
    Resumes(usize),
}

impl Breaker {
    /// Whether acknowledgements to strangers are held from now on.
    pub fn holds(self) -> bool {
        matches!(self, Self::Trips(_) | Self::Holds)
    }
}

impl Tx<'_> {
    /// Looks at the rate; holds or lets go.
    pub fn mind_breaker(&self, floor: u32, now: Timestamp) -> Result<Breaker> {
        let tripped = self.alert_stands(ALERT.0, ALERT.1)?;
        let last_hour = self.last_hour(now)?;
        if !tripped && last_hour < i64::from(floor) {
            return Ok(Breaker::Rests); // without a look at the past
        }
        let rate = Rate { last_hour, usual: self.usual(now)? };
        match (tripped, rate.holds(floor, tripped)) {
            (false, false) => Ok(Breaker::Rests),
            (true, true) => Ok(Breaker::Holds),
            (false, true) => {
                let detail = format!(
                    "{last_hour} acknowledgements in an hour, {} are usual: those to addresses outside the directory wait",
                    rate.usual
                );
                self.alert(now, ALERT.0, ALERT.1, &detail)?;
                Ok(Breaker::Trips(rate))
            }
            (true, false) => {
                self.alert_ends(now, ALERT.0, ALERT.1)?;
                Ok(Breaker::Resumes(self.let_go(HeldBy::Breaker, None, now)?))
            }
        }
    }

    fn last_hour(&self, now: Timestamp) -> Result<i64> {
        let mut query = self.connection.prepare_cached(
            "SELECT count(*) FROM outbox WHERE created > ?1 AND created <= ?2 AND kind != 'notify'",
        )?;
        Ok(query.query_row([ms(ago(now, HOUR)), ms(now)], |row| row.get(0))?)
    }

    /// See [`Rate::usual`]; reads the index alone.
    fn usual(&self, now: Timestamp) -> Result<i64> {
        let mut query = self.connection.prepare_cached(
            "SELECT coalesce(count(*) / nullif(count(DISTINCT created / 3600000), 0), 0) FROM outbox
             WHERE created > ?1 AND created <= ?2 AND held_by IS NOT 'breaker' AND kind != 'notify'",
        )?;
        Ok(query.query_row([ms(ago(now, USUAL)), ms(ago(now, HOUR))], |row| row.get(0))?)
    }
}

fn ago(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_trips_at_ten_times_the_usual_and_rests_at_half_of_that() {
        let holds = |last_hour, tripped| Rate { last_hour, usual: 40 }.holds(100, tripped);
        assert_eq!([399, 400, 100_000].map(|rate| holds(rate, false)), [false, true, true]);
        assert_eq!([400, 200, 199, 0].map(|rate| holds(rate, true)), [true, true, false, false]);
    }

    #[test]
    fn a_small_or_new_site_is_spared_by_the_floor() {
        for usual in [0, 1, 9] {
            let holds = |last_hour| Rate { last_hour, usual }.holds(100, false);
            assert!(!holds(99) && holds(100), "{usual}");
        }
        assert!(!Rate { last_hour: 0, usual: 0 }.holds(0, true), "it can always rest again");
        assert_eq!(Rate { last_hour: 0, usual: i64::MAX }.limit(0), i64::MAX);
    }
}
