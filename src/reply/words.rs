//! Promises, dates and business hours in the words that customers read, in Spanish and English.
//!
//! What must not be torn apart at the end of a line (`2:15 p. m.`) is held together by no-break spaces; whoever
//! lays out the text turns them into plain ones; HTML keeps them.

use std::fmt::Write as _;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::plan::{Clock, Interval, WallTime, Window};
use crate::ticket::Impact;
use crate::ticket::Language::{self, En, Es};

/// A no-break space.
pub const GLUE: char = '\u{a0}';

/// The window as the manual says it: `entre 3 y 5 horas hábiles`, `en 1 hora como máximo, a cualquier hora y
/// cualquier día`.
pub fn promise(window: Window, language: Language) -> String {
    let unit = Unit::of([window.from, Some(window.upto)].into_iter().flatten());
    let upto = amount(window.upto, unit, window.clock, language);
    let within = match (window.from, window.strict, language) {
        (Some(from), _, Es) => format!("entre {} y {upto}", unit.count(from)),
        (Some(from), _, En) => format!("between {} and {upto}", unit.count(from)),
        (None, true, Es) => format!("en menos de {upto}"),
        (None, true, En) => format!("in less than {upto}"),
        (None, false, Es) => format!("en {upto} como máximo"),
        (None, false, En) => format!("within {upto} at most"),
    };
    match (window.clock, language) {
        (Clock::Business, _) => within,
        (Clock::Always, Es) => within + ", a cualquier hora y cualquier día",
        (Clock::Always, En) => within + ", any hour, any day",
    }
}

/// What stands for a window that the deadline of an earlier promise cuts short.
pub fn within_what_was_promised(language: Language) -> &'static str {
    match language {
        Es => "en el plazo que su caso ya tenía",
        En => "within the time that your case already had",
    }
}

/// Hours when every duration is whole hours, else minutes.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Hours,
    Minutes,
}

impl Unit {
    fn of(mut durations: impl Iterator<Item = SignedDuration>) -> Self {
        if durations.all(|duration| duration.as_secs() % 3600 == 0) { Self::Hours } else { Self::Minutes }
    }

    fn count(self, duration: SignedDuration) -> i64 {
        match self {
            Self::Hours => duration.as_hours(),
            Self::Minutes => duration.as_mins(),
        }
    }
}

/// `5 horas hábiles`, `1 hora`, `90 minutos`.
fn amount(duration: SignedDuration, unit: Unit, clock: Clock, language: Language) -> String {
    let count = unit.count(duration);
    let one = count == 1;
    let noun = match (unit, language, one) {
        (Unit::Hours, Es, true) => "hora",
        (Unit::Hours, Es, false) => "horas",
        (Unit::Hours, En, true) => "hour",
        (Unit::Hours, En, false) => "hours",
        (Unit::Minutes, Es, true) => "minuto",
        (Unit::Minutes, Es, false) => "minutos",
        (Unit::Minutes, En, true) => "minute",
        (Unit::Minutes, En, false) => "minutes",
    };
    match (clock, language, one) {
        (Clock::Always, _, _) => format!("{count} {noun}"),
        (Clock::Business, Es, true) => format!("{count} {noun} hábil"),
        (Clock::Business, Es, false) => format!("{count} {noun} hábiles"),
        (Clock::Business, En, _) => format!("{count} business {noun}"),
    }
}

/// `miércoles 16 de septiembre de 2026 a las 2:15 p. m.`, `Wednesday 16 September 2026, 2:15 pm`. Seconds are cut
/// off: what we name is never later than what was promised. Of midnight it says at which end of the day.
pub fn moment(at: &Zoned, language: Language) -> String {
    let minutes = minute_of_day(at);
    let (day, time) = (day(at.date(), language), time(minutes, language));
    match language {
        Es if (60..120).contains(&(minutes % 720)) => format!("{day} de {} a la{GLUE}{time}", at.year()),
        Es if minutes == 0 => format!("{day} de {} a las{GLUE}{time}, cuando empieza ese día", at.year()),
        Es => format!("{day} de {} a las{GLUE}{time}", at.year()),
        En if minutes == 0 => format!("{day} {}, {time}, as that day begins", at.year()),
        En => format!("{day} {}, {time}", at.year()),
    }
}

/// `alto`, `high`.
pub fn impact(impact: Impact, language: Language) -> &'static str {
    if language == Es { impact.in_spanish() } else { impact.as_str() }
}

/// `lunes 13 de julio`, `Monday 13 July`.
pub fn day(date: Date, language: Language) -> String {
    let (weekday, month) = (weekday(date.weekday(), language), month(date.month(), language));
    match language {
        Es => format!("{weekday} {} de {month}", date.day()),
        En => format!("{weekday} {} {month}", date.day()),
    }
}

/// `2:15 p. m.`, `2:15 pm`; noon and midnight by their names: `12:00 p. m.` is read as either.
fn time(minutes: u32, language: Language) -> String {
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    let clock = format!("{}:{minute:02}", if hour % 12 == 0 { 12 } else { hour % 12 });
    match (language, minutes % MINUTES_OF_DAY) {
        (Es, 0) => return format!("{clock}{GLUE}de{GLUE}la{GLUE}medianoche"),
        (En, 0) => return format!("{clock}{GLUE}midnight"),
        (Es, NOON) => return format!("{clock}{GLUE}del{GLUE}mediodía"),
        (En, NOON) => return format!("{clock}{GLUE}noon"),
        _ => {}
    }
    match (language, hour < 12) {
        (Es, true) => format!("{clock}{GLUE}a.{GLUE}m."),
        (Es, false) => format!("{clock}{GLUE}p.{GLUE}m."),
        (En, true) => format!("{clock}{GLUE}am"),
        (En, false) => format!("{clock}{GLUE}pm"),
    }
}

const NOON: u32 = 12 * 60;
const MINUTES_OF_DAY: u32 = 24 * 60;

fn minute_of_day(at: &Zoned) -> u32 {
    u32::from(at.hour().unsigned_abs()) * 60 + u32::from(at.minute().unsigned_abs())
}

/// `lunes a viernes de 8:00 a. m. a 6:00 p. m. y sábados de 9:00 a. m. a 1:00 p. m.`: days of equal hours together,
/// from the earliest on, closed days left out. `week` begins with Monday.
pub fn business_hours(week: &[Vec<Interval>; 7], language: Language) -> String {
    let mut groups: Vec<(&Vec<Interval>, Vec<usize>)> = Vec::new();
    for (weekday, hours) in week.iter().enumerate().filter(|(_, hours)| !hours.is_empty()) {
        match groups.iter_mut().find(|(known, _)| *known == hours) {
            Some((_, days)) => days.push(weekday),
            None => groups.push((hours, vec![weekday])),
        }
    }
    let several = groups.iter().any(|(hours, _)| hours.len() > 1);
    let phrases: Vec<String> = groups
        .iter()
        .map(|(hours, days)| format!("{} {}", days_in_words(days, language), hours_of_day(hours, language)))
        .collect();
    if several { phrases.join("; ") } else { list(&phrases, language) }
}

/// `de 8:00 a. m. a 12:00 del mediodía y de 2:00 p. m. a 6:00 p. m.`
pub fn hours_of_day(hours: &[Interval], language: Language) -> String {
    let hours: Vec<String> = hours.iter().map(|hours| interval(*hours, language)).collect();
    list(&hours, language)
}

fn interval(Interval { opens, closes }: Interval, language: Language) -> String {
    let said = |at: WallTime| time(u32::from(at.hour()) * 60 + u32::from(at.minute()), language);
    match (opens, closes, language) {
        (WallTime::MIDNIGHT, WallTime::END_OF_DAY, Es) => "las 24 horas".to_owned(),
        (WallTime::MIDNIGHT, WallTime::END_OF_DAY, En) => "24 hours a day".to_owned(),
        (_, WallTime::END_OF_DAY, Es) => format!("de {} a medianoche", said(opens)),
        (_, WallTime::END_OF_DAY, En) => format!("{} to midnight", said(opens)),
        (_, _, Es) => format!("de {} a {}", said(opens), said(closes)),
        (_, _, En) => format!("{} to {}", said(opens), said(closes)),
    }
}

/// Runs of three days and more as `lunes a viernes`; others one by one, in Spanish in the plural.
fn days_in_words(days: &[usize], language: Language) -> String {
    if days.len() == 7 {
        return if language == Es { "todos los días" } else { "every day" }.to_owned();
    }
    let name = |number: usize| {
        weekday(Weekday::Monday.wrapping_add(i64::try_from(number).unwrap_or_default()), language)
    };
    let phrases: Vec<String> = days
        .chunk_by(|one, next| one + 1 == *next)
        .flat_map(|run| match (run, language) {
            ([first, _, .., last], Es) => vec![format!("{} a {}", name(*first), name(*last))],
            ([first, _, .., last], En) => vec![format!("{} to {}", name(*first), name(*last))],
            (_, Es) => run.iter().map(|day| plural(name(*day))).collect(),
            (_, En) => run.iter().map(|day| name(*day).to_owned()).collect(),
        })
        .collect();
    list(&phrases, language)
}

/// `sábados`, but `lunes`.
fn plural(weekday: &str) -> String {
    if weekday.ends_with('s') { weekday.to_owned() } else { format!("{weekday}s") }
}

/// `a, b y c`.
pub fn list(items: &[String], language: Language) -> String {
    let and = if language == Es { "y" } else { "and" };
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {and} {last}", rest.join(", ")),
    }
}

/// `hora de Colombia`; elsewhere the offset, `UTC-03:00`, which nobody can take for another.
pub fn zone(zone: &TimeZone, at: Timestamp, language: Language) -> String {
    match (zone.iana_name(), language) {
        (Some("America/Bogota"), Es) => "hora de Colombia".to_owned(),
        (Some("America/Bogota"), En) => "Colombia time".to_owned(),
        _ => at.to_zoned(zone.clone()).strftime("UTC%:z").to_string(),
    }
}

fn weekday(weekday: Weekday, language: Language) -> &'static str {
    let (es, en) = match weekday {
        Weekday::Monday => ("lunes", "Monday"),
        Weekday::Tuesday => ("martes", "Tuesday"),
        Weekday::Wednesday => ("miércoles", "Wednesday"),
        Weekday::Thursday => ("jueves", "Thursday"),
        Weekday::Friday => ("viernes", "Friday"),
        Weekday::Saturday => ("sábado", "Saturday"),
        Weekday::Sunday => ("domingo", "Sunday"),
    };
    if language == Es { es } else { en }
}

fn month(month: i8, language: Language) -> &'static str {
    const ES: &str =
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre";
    const EN: &str = "January February March April May June July August September October November December";
    let names = if language == Es { ES } else { EN };
    names.split(' ').nth(usize::from(month.unsigned_abs()).saturating_sub(1)).unwrap_or_default()
}

/// The text with lines of at most `width` characters, broken between words; a longer word stays whole.
pub fn wrap(text: &str, width: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut column = 0;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > width {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            let _ = write!(out, "{word}");
            column += length;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
