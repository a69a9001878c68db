//! What the events of an iCalendar file would add to the calendar, what it has already, and what cannot be taken.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::ToSpan;
use jiff::civil::Date;

use super::ical::{Event, Recurrence, Start};
use super::{Calendar, Interval};
use crate::codes::codes;

/// So many years are looked at, the present one first: what no rule says is written date by date.
const YEARS: i16 = 10;
/// The most days of all events together.
const MOST_DAYS: usize = 10_000;
/// The most days of one event.
const LONGEST: i32 = 366;

/// A holiday that the file knows: a date, or the same date every year from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosingDay {
    /// The date, or the first of them.
    pub date: Date,
    /// Whether it recurs every year, for ever.
    pub every_year: bool,
    /// Its name.
    pub name: String,
    /// The line of the file on which its event begins, from 1.
    pub line: usize,
    /// Whether its weekday is closed in any case; a date of every year falls on every weekday.
    pub is_idle: bool,
}

/// What decides on a date already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// A holiday of that name, and the law that its file names.
    Holiday(String, Option<String>),
    /// Hours of its own in `calendar.toml`, which stand above any holiday; none: closed.
    Exception(Vec<Interval>),
    /// An earlier event of the same file, on this line.
    SameFile(usize),
}

/// An event, or a day of it, that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The line on which the event begins, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// The date on which it begins.
    pub date: Date,
    /// Why.
    pub because: SkippedBecause,
    /// It is cancelled, and the calendar still has a holiday of its name on its date.
    pub is_still_kept: bool,
}

codes! {
    /// Why an event of an iCalendar file is not taken.
    SkippedBecause {
        /// It is cancelled (STATUS:CANCELLED).
        Cancelled = "cancelled",
        /// It has hours, and a holiday closes whole days: `[exceptions]` of `calendar.toml` say which hours remain.
        Timed = "timed",
        /// It recurs otherwise than every so many years on its date.
        Recurrence = "recurrence",
        /// It has no SUMMARY, and acknowledgements name the day.
        Nameless = "nameless",
        /// It lasts longer than a year.
        TooLong = "too_long",
        /// It has no day in this year or the nine that follow.
        Outside = "outside",
        /// It leaves the time free (TRANSP:TRANSPARENT); `--transparent` takes it.
        Transparent = "transparent",
    }
}

/// What an iCalendar file would change; each list by date.
#[derive(Debug, Clone, Default)]
pub struct CalendarImport {
    /// What the calendar does not have yet.
    pub added: Vec<ClosingDay>,
    /// What it has, and how.
    pub known: Vec<(ClosingDay, Known)>,
    /// What is not taken.
    pub skipped: Vec<Skipped>,
    /// The lines and names of events that go on after the last year, and are taken until then.
    pub cut: Vec<(usize, String)>,
}

/// A file has more days than any calendar of holidays: the line of the event that was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyDays(pub usize);

impl CalendarImport {
    /// Compares the events with the calendar, in the ten years from `first` on. Days that are marked free are taken only
    /// when `transparent`.
    pub fn compare(
        events: &[Event],
        calendar: &Calendar,
        first: i16,
        transparent: bool,
    ) -> Result<Self, TooManyDays> {
        let years = first..=first.saturating_add(YEARS - 1);
        let mut import = Self::default();
        let mut days = Vec::new();
        for event in events {
            let of_event: Vec<ClosingDay> =
                event.closing_days(&years, calendar).take(MOST_DAYS + 1).collect();
            let obstacle = event.obstacle().or(of_event.is_empty().then_some(SkippedBecause::Outside));
            if let Some(because) = obstacle {
                import.skipped.push(event.skipped(because, calendar));
                continue;
            }
            let last = *years.end();
            if event.recurs_after(last) && of_event.iter().all(|day| !day.every_year) {
                import.cut.push((event.line, event.name.clone()));
            }
            days.extend(of_event.into_iter().map(|day| (day, event)));
            if days.len() > MOST_DAYS {
                return Err(TooManyDays(event.line));
            }
        }
        days.sort_by_key(|(day, _)| (!day.every_year, day.date)); // a rule spares the dates that it covers
        let mut taken = Taken::default();
        for (day, event) in days {
            if let Some(known) = calendar.knows(&day, &years).or_else(|| taken.knows(&day)) {
                import.known.push((day, known));
            } else if event.is_transparent && !transparent {
                let skipped = event.skipped(SkippedBecause::Transparent, calendar);
                import.skipped.push(Skipped { date: day.date, ..skipped });
            } else {
                taken.insert(&day);
                import.added.push(day);
            }
        }
        import.added.sort_by_key(|day| day.date);
        import.known.sort_by_key(|(day, _)| day.date);
        import.skipped.sort_by_key(|skipped| (skipped.because, skipped.date));
        Ok(import)
    }
}

/// The days that earlier events of the same file have, each with its line.
#[derive(Debug, Default)]
struct Taken {
    once: BTreeMap<Date, usize>,
    /// By month and day: the first year, and the line.
    every_year: BTreeMap<(i8, i8), (i16, usize)>,
}

impl Taken {
    fn insert(&mut self, day: &ClosingDay) {
        let date = day.date;
        if day.every_year {
            self.every_year.entry((date.month(), date.day())).or_insert((date.year(), day.line));
        } else {
            self.once.insert(date, day.line);
        }
    }

    fn knows(&self, day: &ClosingDay) -> Option<Known> {
        let date = day.date;
        let rule = self.every_year.get(&(date.month(), date.day()));
        let of_rule = rule.filter(|(first, _)| *first <= date.year()).map(|(_, line)| *line);
        let line = of_rule.or_else(|| self.once.get(&date).copied().filter(|_| !day.every_year));
        line.map(Known::SameFile)
    }
}

impl Calendar {
    /// What decides already on a day, on all its dates in these years.
    fn knows(&self, day: &ClosingDay, years: &RangeInclusive<i16>) -> Option<Known> {
        let dates = day.dates(years).map(|date| self.decides(date)).collect::<Option<Vec<_>>>()?;
        dates.into_iter().next()
    }

    fn decides(&self, date: Date) -> Option<Known> {
        if let Some(hours) = self.exceptions.get(&date) {
            return Some(Known::Exception(hours.clone()));
        }
        let holiday = self.kept_on(date)?;
        Some(Known::Holiday(holiday.name.to_owned(), holiday.law.map(str::to_owned)))
    }
}

impl ClosingDay {
    /// Its dates in these years.
    fn dates(&self, years: &RangeInclusive<i16>) -> impl Iterator<Item = Date> + use<> {
        let (first, every_year) = (self.date, self.every_year);
        let later = (*years.start().max(&first.year())..=*years.end()).filter(move |_| every_year);
        let later = later.filter_map(move |year| Date::new(year, first.month(), first.day()).ok());
        later.chain((!every_year).then_some(first))
    }

    /// The day as a holiday file writes it.
    pub fn to_toml(&self) -> String {
        let (date, name) = (self.date, toml::Value::from(self.name.as_str()));
        let when = match self.every_year {
            true => format!("date = \"{:02}-{:02}\"\nfrom = {}", date.month(), date.day(), date.year()),
            false => format!("date = \"{date}\""),
        };
        format!("[[holiday]]\nname = {name}\n{when}\n")
    }
}

impl Event {
    /// What keeps it from being taken, whatever its dates.
    fn obstacle(&self) -> Option<SkippedBecause> {
        match (self.start, self.recurrence) {
            _ if self.is_cancelled => Some(SkippedBecause::Cancelled),
            (Start::Time(_), _) => Some(SkippedBecause::Timed),
            (_, Recurrence::Other) => Some(SkippedBecause::Recurrence),
            _ if self.name.is_empty() => Some(SkippedBecause::Nameless),
            _ if self.length > LONGEST => Some(SkippedBecause::TooLong),
            _ => None,
        }
    }

    fn skipped(&self, because: SkippedBecause, calendar: &Calendar) -> Skipped {
        let (line, name, date) = (self.line, self.name.clone(), self.start.date());
        let is_kept = calendar.kept_on(date).is_some_and(|holiday| holiday.name == name);
        Skipped { line, name, date, because, is_still_kept: is_kept && because == SkippedBecause::Cancelled }
    }

    /// Its days in these years. What recurs for ever on the same dates is a rule, which never runs out.
    fn closing_days<'a>(
        &'a self,
        years: &RangeInclusive<i16>,
        calendar: &'a Calendar,
    ) -> impl Iterator<Item = ClosingDay> + use<'a> {
        let (first, last) = (*years.start(), *years.end());
        let rule = self.is_for_ever().then_some(self.start.date());
        let starts = match rule {
            Some(_) => self.further.iter().copied().filter(|date| date.year() <= last).collect(),
            None => self.starts(last),
        };
        let length = self.length.min(LONGEST);
        let days_from =
            move |start: Date| (0..length).filter_map(move |days| start.checked_add(days.days()).ok());
        let day = move |date: Date, every_year| ClosingDay {
            date,
            every_year,
            name: self.name.clone(),
            line: self.line,
            is_idle: !every_year && calendar.weekday_hours(date).is_empty(),
        };
        let by_rule = rule.into_iter().flat_map(days_from).filter(move |date| date.year() <= last);
        let dated = starts.into_iter().filter(move |start| start.year() >= first - 1).flat_map(days_from);
        let dated = dated.filter(move |date| (first..=last).contains(&date.year()));
        by_rule.map(move |date| day(date, true)).chain(dated.map(move |date| day(date, false)))
    }

    /// Whether each of its days is a date of every year from its first on, without an end or an exception.
    fn is_for_ever(&self) -> bool {
        let yearly = Recurrence::Yearly { interval: 1, count: None, until: None };
        // From the 28th of February on, the days of a longer event depend on the year.
        let is_leap_day = |date: Date| date.month() == 2 && date.day() >= 28;
        let mut days =
            (0..self.length.min(LONGEST)).filter_map(|days| self.start.date().checked_add(days.days()).ok());
        self.recurrence == yearly && self.excluded.is_empty() && (self.length == 1 || !days.any(is_leap_day))
    }
}
