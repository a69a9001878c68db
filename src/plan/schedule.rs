//! The calendar's files: `calendar.toml`, a local one laid over it, and the holiday files that they name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::file::{CalendarFile, DayList};
use super::holidays::{self, Holiday};
use super::read::{Layer, Placed, missing, topmost};
use super::week::Interval;
use super::{Calendar, IMPORTED, PlanFiles};
use crate::problem::{Problem, Source};

/// Whatever the calendar does, it does in some of these: the weekdays of the years come round every 28 years.
fn years() -> Range<i16> {
    2024..2052
}

/// Reads the calendar. Every problem is added; `None` when a part cannot be made.
pub(super) fn compile(files: &PlanFiles, problems: &mut Vec<Problem>) -> Option<Calendar> {
    let layers: Vec<Layer<CalendarFile>> = files
        .local_calendar
        .iter()
        .chain([&files.calendar])
        .map(|source| Layer::read(source, problems))
        .collect();
    let zone = zone(&layers, problems);
    let hours = hours(&layers, problems);
    let exceptions = exceptions(&layers, problems);
    let holidays = all_holidays(&layers, &files.holidays, problems);
    let calendar = Calendar { zone: zone?, hours: hours?, exceptions, holidays };
    warn_of_doubts(&layers, &calendar, problems);
    problems.extend(lost_holidays(&layers, &files.holidays, &calendar));
    Some(calendar)
}

fn zone(layers: &[Layer<CalendarFile>], problems: &mut Vec<Problem>) -> Option<TimeZone> {
    let Some(zone) = topmost(layers, |file| file.zone.as_ref()) else {
        problems.extend(missing(layers, "no `zone` says where the hours are", "zone = \"America/Bogota\""));
        return None;
    };
    // The bundled database: the host's may be old or missing, and never counts (I10).
    let found = TimeZoneDatabase::bundled().get(zone.value).ok();
    if found.is_none() {
        problems.push(zone.error(
            format!("there is no time zone `{}`", zone.value),
            "write its IANA name, such as \"America/Bogota\" or \"Europe/Madrid\"",
        ));
    }
    found
}

fn hours(layers: &[Layer<CalendarFile>], problems: &mut Vec<Problem>) -> Option<[Vec<Interval>; 7]> {
    let Some((layer, written)) =
        layers.iter().find_map(|layer| layer.file.hours.as_ref().map(|hours| (layer, hours)))
    else {
        problems.extend(missing(
            layers,
            "no `[hours]` say when business is open",
            "[hours]\nmon = [\"08:00-18:00\"]",
        ));
        return None;
    };
    let already = problems.len();
    let week = written.get_ref().week().map(|day| day_hours(layer, day, problems));
    if problems.len() == already && layer.whole && week.iter().all(Vec::is_empty) {
        problems.push(layer.place(written).error(
            "no day of the week has business hours: a promise in business hours could never be kept",
            "mon = [\"08:00-18:00\"]",
        ));
    }
    Some(week)
}

fn day_hours(layer: &Layer<CalendarFile>, day: &DayList, problems: &mut Vec<Problem>) -> Vec<Interval> {
    let mut placed: Vec<(Interval, Placed<'_, String>)> = Vec::new();
    for text in day.iter().map(|text| layer.place(text)) {
        match Interval::parse(text.value) {
            Ok(interval) => placed.push((interval, text)),
            Err(bad) => problems.push(text.error(bad.message(text.value), bad.hint())),
        }
    }
    placed.sort_by_key(|(interval, _)| *interval);
    let mut latest: Option<Interval> = None;
    for (interval, text) in &placed {
        if let Some(earlier) = latest.filter(|earlier| interval.opens < earlier.closes) {
            problems.push(text.error(
                format!("`{}` overlaps `{earlier}`", text.value),
                "write one interval that spans both",
            ));
        }
        latest = latest.into_iter().chain([*interval]).max_by_key(|interval| interval.closes);
    }
    placed.into_iter().map(|(interval, _)| interval).collect()
}

fn exceptions(layers: &[Layer<CalendarFile>], problems: &mut Vec<Problem>) -> BTreeMap<Date, Vec<Interval>> {
    let mut exceptions = BTreeMap::new();
    for layer in layers.iter().rev() {
        for (key, day) in &layer.file.exceptions {
            let key = layer.place(key);
            let hours = day_hours(layer, day, problems);
            match holidays::exact_date(key.value) {
                Some(date) => _ = exceptions.insert(date, hours),
                None => problems.push(key.error(
                    format!("`{}` is no date", key.value),
                    "write \"YYYY-MM-DD\"; what recurs every year is a holiday",
                )),
            }
        }
    }
    exceptions
}

fn base_name(file: &Source) -> &str {
    file.name.rsplit('/').next().unwrap_or_default()
}

fn all_holidays(
    layers: &[Layer<CalendarFile>],
    files: &[Arc<Source>],
    problems: &mut Vec<Problem>,
) -> Vec<Holiday> {
    let mut wanted = Vec::new();
    if let Some(names) = topmost(layers, |file| file.holidays.as_ref()) {
        for name in names.value.iter().map(|name| names.part(name)) {
            match files.iter().find(|file| base_name(file) == *name.value) {
                Some(file) => wanted.push(file),
                None => {
                    let known: Vec<&str> = files.iter().map(|file| base_name(file)).collect();
                    problems.push(name.error(
                        format!("there is no holiday file `{}`", name.value),
                        format!(
                            "put it beside calendar.toml, under a name that begins with `holidays`; the files there are: {}",
                            known.join(", ")
                        ),
                    ));
                }
            }
        }
    }
    let is_named = wanted.iter().any(|file| base_name(file) == IMPORTED);
    wanted.extend(files.iter().find(|file| !is_named && base_name(file) == IMPORTED));
    wanted.into_iter().flat_map(|file| holidays::compile(&Layer::read(file, problems), problems)).collect()
}

/// What the file does not get wrong, but an operator should know.
fn warn_of_doubts(layers: &[Layer<CalendarFile>], calendar: &Calendar, problems: &mut Vec<Problem>) {
    let confirmed = topmost(layers, |file| file.confirmed.as_ref()).is_some_and(|it| *it.value);
    let hours = topmost(layers, |file| file.hours.as_ref());
    if let Some(hours) = hours.as_ref().filter(|_| !confirmed) {
        problems.push(hours.warning(
            "these business hours are a guess: the manual never says which hours are \"hábiles\"",
            "write the real ones in a local calendar.toml, with `confirmed = true`",
        ));
    }
    // Who names no holidays may have imported some.
    let names = topmost(layers, |file| file.holidays.as_ref()).map(|names| names.place());
    let Some(names) = names.or(hours.map(|hours| hours.place())) else { return };
    let closed_year = years().find(|year| calendar.working_days(*year).next().is_none());
    if let Some(year) = closed_year.filter(|_| calendar.hours.iter().any(|day| !day.is_empty())) {
        problems.push(names.error(
            format!("every business day of {year} is a holiday"),
            "a promise in business hours could never be kept: correct the holidays or the hours",
        ));
    }
    if let Some(last) = calendar.listed_until() {
        problems.push(names.warning(
            format!("no single holiday is listed after {last}: later ones would count as business days"),
            "add the coming years, or rules for every year (date = \"MM-DD\", easter = …); a day off that never comes \
             again is an exception",
        ));
    }
}

/// A local list takes the place of the one below: who meant to add a company's days to a country's has lost those. Who names
/// another zone means another country, and who names no file means none.
fn lost_holidays(
    layers: &[Layer<CalendarFile>],
    files: &[Arc<Source>],
    calendar: &Calendar,
) -> Option<Problem> {
    let [local, below] = layers else { return None };
    let names = local.place(local.file.holidays.as_ref()?);
    let zone = |layer: &Layer<CalendarFile>| Some(layer.file.zone.as_ref()?.get_ref().clone());
    if names.value.is_empty() || zone(local).is_some_and(|named| Some(named) != zone(below)) {
        return None;
    }
    let is_named = |name: &str| names.value.iter().any(|it| it.get_ref() == name);
    let dropped = below.file.holidays.as_ref()?.get_ref().iter().map(|name| name.get_ref().as_str());
    let dropped: Vec<&str> = dropped.filter(|name| !is_named(name)).collect();
    let holidays = files.iter().filter(|file| dropped.contains(&base_name(file)));
    let holidays: Vec<Holiday> = holidays
        .flat_map(|file| holidays::compile(&Layer::read(file, &mut Vec::new()), &mut Vec::new()))
        .collect();
    // A holiday that moves falls on any date of its season once in seven years: a company's day there does not keep it.
    let is_kept = |holiday: &Holiday| {
        let dates =
            years().filter(|year| !calendar.is_beyond_lists(*year)).filter_map(|year| holiday.kept_in(year));
        let (kept, missed): (Vec<Date>, Vec<Date>) =
            dates.partition(|date| calendar.kept_on(*date).is_some());
        kept.len() * 3 >= missed.len()
    };
    let lost: Vec<&str> =
        holidays.iter().filter(|holiday| !is_kept(holiday)).map(|holiday| holiday.name.as_str()).collect();
    let (first, others) = lost.split_first()?;
    let rest = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let both: Vec<String> = dropped
        .into_iter()
        .chain(names.value.iter().map(|name| name.get_ref().as_str()))
        .map(|name| format!("\"{name}\""))
        .collect();
    Some(names.warning(
        format!("this list replaces the one below it: {first}{rest} would count as business days"),
        format!("holidays = [{}] keeps both", both.join(", ")),
    ))
}
