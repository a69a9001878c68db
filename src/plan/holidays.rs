//! Holidays as dated rules: which name, if any, a date bears.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use super::file::{HolidayTable, HolidaysFile, Move};
use super::read::{Layer, Placed};
use crate::problem::Problem;

/// One holiday, year after year or once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holiday {
    pub(super) name: String,
    pub(super) law: Option<String>,
    day: Day,
    moved: Move,
    /// First year in force.
    from: i16,
    /// Last year in force.
    until: i16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// On the same date every year, in years that have it.
    Yearly { month: i8, day: i8 },
    /// So many days from Easter Sunday.
    Easter { days: i16 },
    /// On one date only.
    Once(Date),
}

impl Holiday {
    /// Whether it is kept on a date.
    pub(super) fn falls_on(&self, date: Date) -> bool {
        // A holiday of the last days of December may be kept in January.
        let carried = date.month() == 1 && date.day() <= 6;
        self.kept_in(date.year()) == Some(date) || (carried && self.kept_in(date.year() - 1) == Some(date))
    }

    /// The date on which the holiday of a year is kept; `None` when that year has none.
    pub(super) fn kept_in(&self, year: i16) -> Option<Date> {
        if !(self.from..=self.until).contains(&year) {
            return None;
        }
        let date = match self.day {
            Day::Yearly { month, day } => Date::new(year, month, day).ok()?,
            Day::Easter { days } => easter(year)?.checked_add(days.days()).ok()?,
            Day::Once(date) => Some(date).filter(|date| date.year() == year)?,
        };
        match self.moved {
            Move::NextMonday if date.weekday() != Weekday::Monday => {
                date.nth_weekday(1, Weekday::Monday).ok()
            }
            Move::NextMonday | Move::Fixed => Some(date),
        }
    }

    /// Whether it is listed for one date, not by a rule for every year.
    pub(super) fn is_listed(&self) -> bool {
        matches!(self.day, Day::Once(_))
    }

    /// Whether it moves with Easter, for ever: such rules are a country's law, not one company's habit.
    pub(super) fn is_law_for_ever(&self) -> bool {
        matches!(self.day, Day::Easter { .. }) && self.until == i16::MAX
    }

    /// The last date on which it is kept; `None` when it recurs for ever.
    pub(super) fn last(&self) -> Option<Date> {
        match self.day {
            Day::Once(date) => self.kept_in(date.year()),
            Day::Yearly { .. } | Day::Easter { .. } if self.until == i16::MAX => None,
            // Only a 29th of February skips years.
            Day::Yearly { .. } | Day::Easter { .. } => {
                (self.from.max(self.until.saturating_sub(8))..=self.until).rev().find_map(|y| self.kept_in(y))
            }
        }
    }
}

/// Gregorian Easter Sunday, by the anonymous algorithm of Meeus, Jones and Butcher
/// (J. Meeus, Astronomical Algorithms, chapter 8).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (century, of_century) = (y.div_euclid(100), y.rem_euclid(100));
    let golden = y.rem_euclid(19);
    let moon_shift = (century - (century + 8).div_euclid(25) + 1).div_euclid(3);
    let epact = (19 * golden + century - century.div_euclid(4) - moon_shift + 15).rem_euclid(30);
    let to_sunday =
        (32 + 2 * century.rem_euclid(4) + 2 * (of_century / 4) - epact - of_century % 4).rem_euclid(7);
    let late = (golden + 11 * epact + 22 * to_sunday) / 451;
    let from_march = epact + to_sunday - 7 * late + 114;
    let month = i8::try_from(from_march / 31).ok()?;
    let day = i8::try_from(from_march % 31 + 1).ok()?;
    Date::new(year, month, day).ok()
}

/// The holidays of a file. Every problem is added; what is right is returned.
pub(super) fn compile(layer: &Layer<HolidaysFile>, problems: &mut Vec<Problem>) -> Vec<Holiday> {
    let holidays = layer.file.holiday.iter();
    holidays.filter_map(|table| holiday(&layer.place(table), problems)).collect()
}

fn holiday(written: &Placed<'_, HolidayTable>, problems: &mut Vec<Problem>) -> Option<Holiday> {
    let table = written.value;
    let day = match (&table.date, &table.easter) {
        (Some(text), None) => {
            let text = written.part(text);
            let day = date(text.value);
            if day.is_none() {
                problems.push(text.error(
                    format!("`{}` is no date", text.value),
                    "write \"MM-DD\" for every year, \"YYYY-MM-DD\" for once",
                ));
            }
            day
        }
        (None, Some(days)) => {
            let days = written.part(days);
            // Easter lies between 22 March and 25 April: the holiday stays within Easter's year.
            let day = i16::try_from(*days.value).ok().filter(|days| (-80..=250).contains(days));
            if day.is_none() {
                problems.push(days.error(
                    format!("{} days from Easter is in another year", days.value),
                    "count from Easter Sunday: -2 is Good Friday, 60 is Corpus Christi",
                ));
            }
            day.map(|days| Day::Easter { days })
        }
        _ => {
            problems.push(written.error(
                format!("holiday `{}` falls on either a `date` or a day from `easter`", table.name),
                "date = \"12-25\", or easter = -2",
            ));
            None
        }
    };
    let mut year = |text: &Option<toml::Spanned<i64>>, unbounded: i16| match text {
        None => Some(unbounded),
        Some(year) => {
            let year = written.part(year);
            let number = i16::try_from(*year.value).ok().filter(|year| (1..=9999).contains(year));
            if number.is_none() {
                problems.push(year.error(format!("{} is no year", year.value), "write four digits: 2026"));
            }
            number
        }
    };
    let (from, until) = (year(&table.from, i16::MIN), year(&table.until, i16::MAX));
    let (day, from, until) = (day?, from?, until?);
    let bounded = table.from.is_some() || table.until.is_some();
    if from > until {
        problems.push(written.error(
            format!("holiday `{}` ends before it begins", table.name),
            "`from` is the first year, `until` the last",
        ));
        return None;
    }
    if bounded && matches!(day, Day::Once(_)) {
        problems.push(written.error(
            format!("holiday `{}` happens once and cannot have `from` or `until`", table.name),
            "write the date as \"MM-DD\" for a holiday of every year",
        ));
        return None;
    }
    Some(Holiday { name: table.name.clone(), law: table.law.clone(), day, moved: table.moved, from, until })
}

/// `MM-DD` or `YYYY-MM-DD`, as written and not otherwise.
fn date(text: &str) -> Option<Day> {
    if let Some(once) = exact_date(text) {
        return Some(Day::Once(once));
    }
    // 2000 is a leap year: it has every date that any year has.
    exact_date(&format!("2000-{text}")).map(|date| Day::Yearly { month: date.month(), day: date.day() })
}

/// `YYYY-MM-DD`; other spellings of ISO 8601 are refused, so that one date is written in one way.
pub(super) fn exact_date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|date: &Date| date.to_string() == text)
}
