//! iCalendar (RFC 5545): the events of a file, as far as days on which nobody works can be made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time};

use self::lines::{ContentLine, content_lines, unescape};
use crate::problem::{Problem, Source};

mod lines;

/// One VEVENT.
#[derive(Debug, Clone)]
pub struct Event {
    /// The line of its BEGIN, from 1.
    pub line: usize,
    /// Its SUMMARY, escapes resolved and white space as it stands; empty when there is none.
    pub name: String,
    /// What the events of one series have in common; empty when there is none.
    uid: String,
    pub(super) start: Start,
    /// Its days, the first included: at least one.
    pub(super) length: i32,
    pub(super) recurrence: Recurrence,
    /// Dates on which it begins as well (RDATE).
    pub(super) further: BTreeSet<Date>,
    /// Dates on which it would begin and does not: EXDATE, and those that another event of the series replaces.
    pub(super) excluded: BTreeSet<Date>,
    /// The date of the series that it stands for (RECURRENCE-ID).
    replaces: Option<Date>,
    pub(super) is_cancelled: bool,
    /// It leaves the time free (TRANSP:TRANSPARENT).
    pub(super) is_transparent: bool,
}

/// When an event begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With a whole day.
    Day(Date),
    /// At a time, by the clock of whatever zone it names.
    Time(DateTime),
}

impl Start {
    pub(super) fn date(self) -> Date {
        match self {
            Self::Day(date) => date,
            Self::Time(time) => time.date(),
        }
    }
}

/// How an event recurs (RRULE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recurrence {
    Never,
    /// On its date, every so many years. A 29th of February is kept in leap years alone.
    Yearly {
        interval: u16,
        count: Option<usize>,
        until: Option<Date>,
    },
    /// In any other way.
    Other,
}

/// What is wrong in a line of the file.
#[derive(Debug)]
struct Wrong {
    line: usize,
    message: &'static str,
    hint: &'static str,
}

/// Reads the events of a file, in its order, or says all that is wrong with it. What else it holds is passed over.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Event>, Vec<Problem>> {
    let mut wrong = Vec::new();
    let mut events = events(bytes, &mut wrong);
    if !wrong.is_empty() {
        return Err(problems(name, bytes, wrong));
    }
    let mut replaced: BTreeMap<String, BTreeSet<Date>> = BTreeMap::new();
    for event in &events {
        if let Some(date) = event.replaces {
            replaced.entry(event.uid.clone()).or_default().insert(date);
        }
    }
    for event in events.iter_mut().filter(|event| event.replaces.is_none()) {
        event.excluded.extend(replaced.get(&event.uid).into_iter().flatten());
    }
    Ok(events)
}

fn events(bytes: &[u8], wrong: &mut Vec<Wrong>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut properties: Vec<ContentLine> = Vec::new();
    // The components that have begun, outermost first. An alarm within an event has properties of its own.
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut has_begun = false;
    for line in content_lines(bytes) {
        let is_first = !std::mem::replace(&mut has_begun, true);
        let line = match line {
            Ok(line) => line,
            Err(why) if is_first => return no_calendar(why.line, wrong),
            Err(why) => {
                wrong.push(why);
                continue;
            }
        };
        let component = line.value.trim().to_ascii_uppercase();
        match line.name.as_str() {
            "BEGIN" if !is_first || component == "VCALENDAR" => {
                if component == "VEVENT" {
                    properties.clear();
                }
                open.push((component, line.line));
            }
            "END" if open.last().is_some_and(|(name, _)| *name == component) => {
                let begin = open.pop().map_or(line.line, |(_, begin)| begin);
                if component == "VEVENT" {
                    match Event::of(begin, &properties) {
                        Ok(event) => events.push(event),
                        Err(why) => wrong.push(why),
                    }
                }
            }
            _ if is_first => return no_calendar(line.line, wrong),
            "END" => {
                wrong.push(line.wrong(
                    "this ends what has not begun, or not what began last",
                    "every BEGIN has its END, the innermost first: export the calendar anew",
                ));
                return events; // all that follows would be misread
            }
            _ if open.last().is_some_and(|(name, _)| name == "VEVENT") => properties.push(line),
            _ => {}
        }
    }
    match open.last() {
        Some((_, line)) => wrong.push(Wrong {
            line: *line,
            message: "this never ends: the file is not whole",
            hint: "export the calendar anew",
        }),
        None if !has_begun => _ = no_calendar(1, wrong),
        None => {}
    }
    events
}

fn no_calendar(line: usize, wrong: &mut Vec<Wrong>) -> Vec<Event> {
    let message = "this is no iCalendar file: one begins with BEGIN:VCALENDAR";
    wrong.push(Wrong { line, message, hint: "export the calendar as iCalendar (.ics)" });
    Vec::new()
}

/// The problems with their places. What is not UTF-8 is shown with a replacement.
fn problems(name: &str, bytes: &[u8], wrong: Vec<Wrong>) -> Vec<Problem> {
    let text = String::from_utf8_lossy(bytes).trim_start_matches('\u{FEFF}').to_owned();
    let source = Arc::new(Source { name: name.to_owned(), text });
    let mut lines = Vec::new();
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        lines.push(at..at + line.trim_end().len());
        at += line.len();
    }
    let problem = |why: Wrong| {
        let span = lines.get(why.line - 1).cloned();
        Problem::error(&source, span, why.message).with_hint(why.hint)
    };
    wrong.into_iter().map(problem).collect()
}

impl Event {
    fn of(line: usize, properties: &[ContentLine]) -> Result<Self, Wrong> {
        let all = |name: &'static str| properties.iter().filter(move |property| property.name == name);
        let is =
            |name, value: &str| all(name).any(|property| property.value.trim().eq_ignore_ascii_case(value));
        let text = |name| all(name).next().map(|property| unescape(&property.value)).unwrap_or_default();

        let start = all("DTSTART").next().ok_or(Wrong {
            line,
            message: "this event has no DTSTART",
            hint: "give it one, DTSTART;VALUE=DATE:20261224, or take the event out of the file",
        })?;
        let start = moment(start, &start.value)?;
        let id = all("RECURRENCE-ID").next();
        let mut event = Self {
            line,
            name: text("SUMMARY"),
            uid: text("UID"),
            start,
            length: length(start, all("DTEND").next(), all("DURATION").next())?,
            recurrence: Recurrence::Never,
            further: BTreeSet::new(),
            excluded: BTreeSet::new(),
            replaces: id.map(|id| moment(id, &id.value).map(Start::date)).transpose()?,
            is_cancelled: is("STATUS", "CANCELLED"),
            is_transparent: is("TRANSP", "TRANSPARENT"),
        };
        for property in all("EXDATE") {
            for value in property.value.split(',') {
                event.excluded.insert(moment(property, value)?.date());
            }
        }
        let mut rules = all("RRULE");
        if let Some(rule) = rules.next() {
            event.recurrence = yearly(start.date(), &rule.value).unwrap_or(Recurrence::Other);
        }
        for property in all("RDATE") {
            for value in property.value.split(',') {
                let begins = value.split('/').next().unwrap_or(value); // a period is from/to
                match moment(property, begins)? {
                    Start::Day(date) => _ = event.further.insert(date),
                    Start::Time(_) => event.recurrence = Recurrence::Other,
                }
            }
        }
        // All later ones are changed, too (RFC 5545 §3.2.13); and EXRULE is of RFC 2445.
        if rules.next().is_some()
            || all("EXRULE").next().is_some()
            || id.is_some_and(|id| id.has_parameter("RANGE"))
        {
            event.recurrence = Recurrence::Other;
        }
        Ok(event)
    }

    /// The dates on which it begins, to the end of a year.
    pub(super) fn starts(&self, last_year: i16) -> BTreeSet<Date> {
        let first = self.start.date();
        let by_rule: Vec<Date> = match self.recurrence {
            Recurrence::Never => vec![first],
            Recurrence::Yearly { interval, count, until } => (first.year()..=last_year)
                .step_by(interval.into())
                .filter_map(|year| Date::new(year, first.month(), first.day()).ok())
                .take(count.unwrap_or(usize::MAX))
                .take_while(|date| until.is_none_or(|until| *date <= until))
                .collect(),
            Recurrence::Other => Vec::new(),
        };
        let further = self.further.iter().copied().filter(|date| date.year() <= last_year);
        by_rule.into_iter().chain(further).filter(|date| !self.excluded.contains(date)).collect()
    }

    /// Whether it begins on some date after a year.
    pub(super) fn recurs_after(&self, year: i16) -> bool {
        let Recurrence::Yearly { interval, .. } = self.recurrence else { return false };
        let later = year.saturating_add(i16::try_from(interval).unwrap_or(i16::MAX));
        self.starts(later).last().is_some_and(|date| date.year() > year)
    }
}

/// A DATE or a DATE-TIME (RFC 5545 §3.3.4, §3.3.5), told by their form: not everybody writes VALUE=DATE.
fn moment(property: &ContentLine, value: &str) -> Result<Start, Wrong> {
    let value = value.trim();
    let wrong = || {
        property.wrong(
            "this is neither a date nor a time",
            "write 20261224 for a day, 20261224T080000 for a time, or take the event out of the file",
        )
    };
    let Some((day, clock)) = value.split_once(['T', 't']) else {
        return date(value).map(Start::Day).ok_or_else(wrong);
    };
    let clock = clock.trim_end_matches(['Z', 'z']);
    let time = Time::strptime("%H%M%S", clock).ok().filter(|_| is_number(clock, 6));
    date(day).zip(time).map(|(date, time)| Start::Time(date.to_datetime(time))).ok_or_else(wrong)
}

/// `20261224`.
fn date(text: &str) -> Option<Date> {
    Date::strptime("%Y%m%d", text).ok().filter(|date| is_number(text, 8) && date.year() > 0)
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// How many days it lasts.
fn length(start: Start, end: Option<&ContentLine>, duration: Option<&ContentLine>) -> Result<i32, Wrong> {
    let Start::Day(first) = start else { return Ok(1) };
    let (property, days) = match (end, duration) {
        (Some(property), _) => {
            let days = match moment(property, &property.value)? {
                Start::Day(end) => first.until(end).ok().map(|span| span.get_days()),
                Start::Time(_) => None,
            };
            (property, days)
        }
        (None, Some(property)) => (property, whole_days(property.value.trim())),
        (None, None) => return Ok(1),
    };
    // DTEND is the day after the last one (RFC 5545 §3.6.1); some write a single day's own date.
    days.filter(|days| *days >= 0).map(|days| days.max(1)).ok_or_else(|| {
        property.wrong(
            "an event of whole days ends with a day after its first, or lasts whole days",
            "DTEND;VALUE=DATE:20261226 is the day after the last; DURATION:P2D lasts two, DURATION:P1W seven",
        )
    })
}

/// `P3D`, `P2W` (RFC 5545 §3.3.6).
fn whole_days(duration: &str) -> Option<i32> {
    let duration = duration.strip_prefix('+').unwrap_or(duration).strip_prefix('P')?;
    let number = |digits: &str| digits.parse::<u16>().ok().map(i32::from);
    match (duration.strip_suffix('D'), duration.strip_suffix('W')) {
        (Some(days), _) => number(days),
        (_, Some(weeks)) => number(weeks).map(|weeks| weeks * 7),
        _ => None,
    }
}

/// Reads an RRULE (RFC 5545 §3.3.10); `None` unless it says: every so many years, on the date of the first.
fn yearly(first: Date, rule: &str) -> Option<Recurrence> {
    let (mut interval, mut count, mut until) = (1, None, None);
    let (mut is_yearly, mut by_month, mut by_day) = (false, false, false);
    for part in rule.trim().split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=')?;
        match key.to_ascii_uppercase().as_str() {
            "FREQ" => is_yearly = value.eq_ignore_ascii_case("YEARLY"),
            "INTERVAL" => interval = value.parse().ok().filter(|years| *years > 0)?,
            "COUNT" => count = Some(value.parse().ok().filter(|times| *times > 0)?),
            "UNTIL" => until = Some(date(value.get(..8)?)?),
            // These only say again what the first date says; a day without its month is one of each month.
            "BYMONTH" if value.parse() == Ok(first.month()) => by_month = true,
            "BYMONTHDAY" if value.parse() == Ok(first.day()) => by_day = true,
            "WKST" => {}
            _ => return None,
        }
    }
    (is_yearly && (by_month || !by_day)).then_some(Recurrence::Yearly { interval, count, until })
}
