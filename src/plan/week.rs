//! Opening hours of a day as operators write them: `08:00-12:00`, with `24:00` for the end of the day.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

/// A wall-clock time in whole minutes, from `00:00` to `24:00`, the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    minutes: u16,
}

/// Opening hours: open at `opens`, closed again at `closes`, both on the same day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// The first minute that is open.
    pub opens: WallTime,
    /// The first minute that is not.
    pub closes: WallTime,
}

impl WallTime {
    /// `00:00`.
    pub const MIDNIGHT: Self = Self { minutes: 0 };
    /// `24:00`.
    pub const END_OF_DAY: Self = Self { minutes: 24 * 60 };

    /// The hour, 0 to 24.
    pub fn hour(self) -> u16 {
        self.minutes / 60
    }

    /// The minute, 0 to 59.
    pub fn minute(self) -> u16 {
        self.minutes % 60
    }

    /// This time on a date; `24:00` is the next date's midnight.
    pub(super) fn on(self, date: Date) -> DateTime {
        date.to_datetime(Time::midnight()).saturating_add(SignedDuration::from_mins(self.minutes.into()))
    }
}

impl Interval {
    /// From opening to closing, by the clock on the wall.
    pub fn length(&self) -> SignedDuration {
        SignedDuration::from_mins(i64::from(self.closes.minutes) - i64::from(self.opens.minutes))
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour(), self.minute())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.opens, self.closes)
    }
}

/// Why opening hours cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadInterval {
    /// Not of the form `HH:MM-HH:MM`.
    Malformed,
    /// It would end on the next day.
    OverMidnight,
    /// Nothing lies between its ends.
    Empty,
}

impl Interval {
    /// Reads `HH:MM-HH:MM`.
    pub(super) fn parse(text: &str) -> Result<Self, BadInterval> {
        let (opens, closes) = text.split_once('-').ok_or(BadInterval::Malformed)?;
        let (opens, closes) = (wall_time(opens)?, wall_time(closes)?);
        match opens.cmp(&closes) {
            Ordering::Less => Ok(Self { opens, closes }),
            Ordering::Equal => Err(BadInterval::Empty),
            Ordering::Greater => Err(BadInterval::OverMidnight),
        }
    }
}

fn wall_time(text: &str) -> Result<WallTime, BadInterval> {
    let (hour, minute) = text.trim().split_once(':').ok_or(BadInterval::Malformed)?;
    let number = |digits: &str, lengths: RangeInclusive<usize>| {
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit()); // u16 would take a sign
        let number = digits.parse::<u16>().ok();
        number.filter(|_| all_digits && lengths.contains(&digits.len())).ok_or(BadInterval::Malformed)
    };
    let (hour, minute) = (number(hour, 1..=2)?, number(minute, 2..=2)?);
    let time = WallTime { minutes: hour * 60 + minute };
    if minute < 60 && time <= WallTime::END_OF_DAY { Ok(time) } else { Err(BadInterval::Malformed) }
}

impl BadInterval {
    /// What is wrong, of the hours as written.
    pub(super) fn message(self, text: &str) -> String {
        match self {
            Self::Malformed => format!("`{text}` is not a pair of times"),
            Self::OverMidnight => format!("`{text}` goes over midnight"),
            Self::Empty => format!("`{text}` is empty"),
        }
    }

    /// What to write.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Malformed => "write \"HH:MM-HH:MM\", from 00:00 to 24:00",
            Self::OverMidnight => "end it at 24:00 and go on with \"00:00-…\" on the next day",
            Self::Empty => {
                "write [] for a day that is closed, [\"00:00-24:00\"] for one that is open throughout"
            }
        }
    }
}
