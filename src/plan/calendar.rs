//! Business time: which instants are business hours, and when so many of them have passed.

use std::collections::BTreeMap;
use std::iter;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::holidays::Holiday;
use super::week::{Interval, WallTime};
use super::{Clock, Plan, PlanFiles, Promise, schedule};
use crate::problem::Problem;
use crate::ticket::Impact;

/// Business hours, exceptions and holidays in one zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub(super) zone: TimeZone,
    /// Monday first; each day's sorted and disjoint.
    pub(super) hours: [Vec<Interval>; 7],
    pub(super) exceptions: BTreeMap<Date, Vec<Interval>>,
    pub(super) holidays: Vec<Holiday>,
}

/// A stretch of time on the way from `received` to `due_by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its start.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// How much of it counts: all of it or nothing.
    pub counted: SignedDuration,
    /// Why: `business hours`, `closed`, `holiday: Año Nuevo`, `exception`, `around the clock`.
    pub why: String,
}

/// A holiday on the date on which a year keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptHoliday<'a> {
    /// The date, moved as its rule says.
    pub date: Date,
    /// Its name.
    pub name: &'a str,
    /// The law that the file names for it.
    pub law: Option<&'a str>,
}

/// One date of the calendar: when it is open, and what closes it otherwise.
#[derive(Debug, Clone, Copy)]
enum Day<'a> {
    Ordinary(&'a [Interval]),
    Holiday(&'a str),
    Exception(&'a [Interval]),
}

impl<'a> Day<'a> {
    fn hours(self) -> &'a [Interval] {
        match self {
            Self::Ordinary(hours) | Self::Exception(hours) => hours,
            Self::Holiday(_) => &[],
        }
    }

    fn why(self, open: bool) -> String {
        match self {
            Self::Ordinary(_) if open => "business hours".to_owned(),
            Self::Ordinary(_) => "closed".to_owned(),
            Self::Holiday(name) => format!("holiday: {name}"),
            Self::Exception(_) => "exception".to_owned(),
        }
    }
}

impl Calendar {
    /// Reads `calendar.toml` and its holiday files. Every problem is added; `None` when one is an error.
    pub fn compile(files: &PlanFiles, problems: &mut Vec<Problem>) -> Option<Self> {
        super::unless_refused(problems, |problems| schedule::compile(files, problems))
    }

    /// The promise of a window for a mail that arrived at `received`: pure, monotone in `received` (I10).
    pub fn promise(&self, plan: &Plan, impact: Impact, received: Timestamp) -> Promise {
        let window = plan.window(impact);
        let after = |counted| match window.clock {
            Clock::Always => received.checked_add(counted).unwrap_or(Timestamp::MAX),
            Clock::Business => self.after(received, counted),
        };
        Promise {
            plan: plan.id.clone(),
            impact,
            window,
            received,
            clock_starts: after(SignedDuration::ZERO),
            expected_from: window.from.map(after),
            due_by: after(window.upto),
        }
    }

    /// The way from `received` to `due_by`, segment by segment, without a gap between them.
    pub fn segments(&self, promise: &Promise) -> Vec<Segment> {
        let (received, due_by) = (promise.received, promise.due_by);
        let mut segments: Vec<Segment> = Vec::new();
        let mut append = |from: Timestamp, to: Timestamp, open: bool, why: String| {
            let (from, to) = (from.max(received), to.min(due_by));
            let counted = if open { from.duration_until(to) } else { SignedDuration::ZERO };
            match segments.last_mut() {
                _ if from >= to => {}
                // A night is one stretch, not two of different dates.
                Some(last) if last.why == why && last.counted.is_zero() != open => {
                    last.to = to;
                    last.counted += counted;
                }
                _ => segments.push(Segment { from, to, counted, why }),
            }
        };
        if promise.window.clock == Clock::Always {
            append(received, due_by, true, "around the clock".to_owned());
            return segments;
        }
        for date in self.dates_from(received) {
            let mut reached = self.instant(WallTime::MIDNIGHT.on(date));
            if reached >= due_by {
                break;
            }
            let day = self.day(date);
            for interval in day.hours() {
                let (opens, closes) = self.instants(date, interval);
                append(reached, opens, false, day.why(false));
                append(opens, closes, true, day.why(true));
                reached = closes;
            }
            append(reached, self.instant(WallTime::END_OF_DAY.on(date)), false, day.why(false));
        }
        segments
    }

    /// Whether an instant is within business hours; closing time is not.
    pub fn is_open_at(&self, at: Timestamp) -> bool {
        // The next date too: where clocks go back over midnight, it begins before this one is over.
        self.dates_from(at).take(2).any(|date| {
            self.day(date).hours().iter().any(|interval| {
                let (opens, closes) = self.instants(date, interval);
                (opens..closes).contains(&at)
            })
        })
    }

    /// The name of the holiday that closes a date; `None` where an exception takes its place. Of two on one date, the
    /// first of the file.
    pub fn holiday_on(&self, date: Date) -> Option<&str> {
        match self.day(date) {
            Day::Holiday(name) => Some(name),
            Day::Ordinary(_) | Day::Exception(_) => None,
        }
    }

    /// Every holiday kept in a year, by date, those that an exception opens included.
    pub fn holidays_of_year(&self, year: i16) -> Vec<KeptHoliday<'_>> {
        let mut kept: Vec<KeptHoliday<'_>> = self
            .holidays
            .iter()
            .flat_map(|holiday| {
                let dates = [year.checked_sub(1), Some(year)].into_iter().flatten();
                dates.filter_map(|year| holiday.kept_in(year)).map(|date| KeptHoliday {
                    date,
                    name: &holiday.name,
                    law: holiday.law.as_deref(),
                })
            })
            .filter(|holiday| holiday.date.year() == year)
            .collect();
        kept.sort_by_key(|holiday| holiday.date); // stable: two on one date stay in the order of the file
        kept
    }

    /// The last date that the holidays' lists reach. A rule for every year says nothing of it where single dates are listed,
    /// unless one follows Easter: then the dates are what a company adds. `None`: the holidays go on by rules.
    pub fn listed_until(&self) -> Option<Date> {
        if self.holidays.iter().any(Holiday::is_law_for_ever) {
            return None;
        }
        let listed = self.holidays.iter().filter(|holiday| holiday.is_listed()).filter_map(Holiday::last);
        let ended =
            || self.holidays.iter().map(Holiday::last).collect::<Option<Vec<Date>>>()?.into_iter().max();
        listed.max().or_else(ended)
    }

    /// Whether a year lies beyond the holidays' lists, so that its holidays may count as business days.
    pub fn is_beyond_lists(&self, year: i16) -> bool {
        self.listed_until().is_some_and(|last| last.year() < year)
    }

    /// The exceptions: dates whose hours replace the weekday's and the holiday's. No interval: closed.
    pub fn exceptions(&self) -> &BTreeMap<Date, Vec<Interval>> {
        &self.exceptions
    }

    /// The opening hours of an ordinary week, Monday first, each day's sorted and disjoint.
    pub fn hours(&self) -> &[Vec<Interval>; 7] {
        &self.hours
    }

    /// Whether the ordinary week leaves no hour out.
    pub fn is_always_open(&self) -> bool {
        let whole = |hours: &Vec<Interval>| {
            hours.iter().map(Interval::length).sum::<SignedDuration>() == SignedDuration::from_hours(24)
        };
        self.hours.iter().all(whole)
    }

    /// The opening hours of a date, exceptions and holidays considered.
    pub fn hours_on(&self, date: Date) -> &[Interval] {
        self.day(date).hours()
    }

    /// The zone that the hours are in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// An instant as the calendar's clocks show it.
    pub fn to_local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// The instant at which so much business time has passed since `start`: at closing time when it lands there. Nothing
    /// passes at the next opening. The end of time when the calendar never has so much.
    fn after(&self, start: Timestamp, counted: SignedDuration) -> Timestamp {
        let mut left = counted;
        for date in self.dates_from(start) {
            for interval in self.day(date).hours() {
                let (opens, closes) = self.instants(date, interval);
                let opens = opens.max(start);
                if opens >= closes {
                    continue;
                }
                let open = opens.duration_until(closes);
                if left <= open {
                    return opens.checked_add(left).unwrap_or(closes);
                }
                left -= open;
            }
        }
        Timestamp::MAX
    }

    /// The date that an instant falls on, and every later one. What was open on earlier dates is over by then.
    fn dates_from(&self, start: Timestamp) -> impl Iterator<Item = Date> + use<> {
        iter::successors(Some(self.zone.to_datetime(start).date()), |date| date.tomorrow().ok())
    }

    fn day(&self, date: Date) -> Day<'_> {
        if let Some(hours) = self.exceptions.get(&date) {
            return Day::Exception(hours);
        }
        match self.kept_on(date) {
            Some(holiday) => Day::Holiday(holiday.name),
            None => Day::Ordinary(self.weekday_hours(date)),
        }
    }

    /// The holiday of a date, whether or not an exception takes its place. Of two on one date, the first of the files.
    pub(super) fn kept_on(&self, date: Date) -> Option<KeptHoliday<'_>> {
        let holiday = self.holidays.iter().find(|holiday| holiday.falls_on(date))?;
        Some(KeptHoliday { date, name: &holiday.name, law: holiday.law.as_deref() })
    }

    /// The hours of a date's weekday, exceptions and holidays apart.
    pub(super) fn weekday_hours(&self, date: Date) -> &[Interval] {
        let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        self.hours.get(weekday).map_or(&[], Vec::as_slice)
    }

    fn instants(&self, date: Date, interval: &Interval) -> (Timestamp, Timestamp) {
        (self.instant(interval.opens.on(date)), self.instant(interval.closes.on(date)))
    }

    /// The first instant at which the calendar's clocks show a local time or have passed it: never decreasing in `local`,
    /// so that no hour is counted twice. jiff's own answer within a gap lies as far behind it as the local time lies in it.
    fn instant(&self, local: DateTime) -> Timestamp {
        let instant = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(local)
            }
            AmbiguousOffset::Gap { after, .. } => after.to_timestamp(local).map(|before_gap| {
                self.zone.following(before_gap).next().map_or(before_gap, |transition| transition.timestamp())
            }),
        };
        instant.unwrap_or(if local.year() > 0 { Timestamp::MAX } else { Timestamp::MIN })
    }

    /// The dates of a year that have business hours, each with how much time it is open.
    pub fn working_days(&self, year: i16) -> impl Iterator<Item = (Date, SignedDuration)> {
        let first = Date::new(year, 1, 1).ok();
        let dates = iter::successors(first, |date| date.tomorrow().ok());
        let open = |date| {
            let hours = self.day(date).hours().iter().map(|interval| self.instants(date, interval));
            hours.map(|(opens, closes)| opens.duration_until(closes)).sum()
        };
        dates
            .take_while(move |date| date.year() == year)
            .filter(|date| !self.day(*date).hours().is_empty())
            .map(move |date| (date, open(date)))
    }
}
