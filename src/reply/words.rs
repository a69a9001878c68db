//! Promises, dates and business hours in the words that customers read, in Spanish and English.
//!
//! What must not be torn apart at the end of a line (`2:15 p. m.`) is held together by no-break spaces; whoever
//! lays out the text turns them into plain ones.

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
/// off: what we name is never later than what was promised.
pub fn moment(at: &Zoned, language: Language) -> String {
    let minutes = minute_of_day(at);
    let (day, time) = (day(at.date(), language), time(minutes, language));
    match language {
        Es if (60..120).contains(&(minutes % 720)) => format!("{day} de {} a la{GLUE}{time}", at.year()),
        Es => format!("{day} de {} a las{GLUE}{time}", at.year()),
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

/// `2:15 p. m.`, `2:15 pm`.
fn time(minutes: u32, language: Language) -> String {
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    let clock = format!("{}:{minute:02}", if hour % 12 == 0 { 12 } else { hour % 12 });
    match (language, hour < 12) {
        (Es, true) => format!("{clock}{GLUE}a.{GLUE}m."),
        (Es, false) => format!("{clock}{GLUE}p.{GLUE}m."),
        (En, true) => format!("{clock}{GLUE}am"),
        (En, false) => format!("{clock}{GLUE}pm"),
    }
}

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
        .map(|(hours, days)| {
            let hours: Vec<String> = hours.iter().map(|hours| interval(*hours, language)).collect();
            format!("{} {}", days_in_words(days, language), list(&hours, language))
        })
        .collect();
    if several { phrases.join("; ") } else { list(&phrases, language) }
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::{Calendar, PlanFiles};
    use crate::problem::Source;

    fn plain(text: &str) -> String {
        text.replace(GLUE, " ")
    }

    fn window(from: Option<i64>, minutes: i64, strict: bool, clock: Clock) -> Window {
        Window {
            from: from.map(SignedDuration::from_mins),
            upto: SignedDuration::from_mins(minutes),
            strict,
            clock,
        }
    }

    #[test]
    fn windows_are_said_as_the_manual_says_them() {
        use Clock::{Always, Business};
        for (window, es, en) in [
            (
                window(Some(180), 300, false, Business),
                "entre 3 y 5 horas hábiles",
                "between 3 and 5 business hours",
            ),
            (
                window(None, 60, false, Always),
                "en 1 hora como máximo, a cualquier hora y cualquier día",
                "within 1 hour at most, any hour, any day",
            ),
            (
                window(None, 60, true, Always),
                "en menos de 1 hora, a cualquier hora y cualquier día",
                "in less than 1 hour, any hour, any day",
            ),
            (window(None, 60, true, Business), "en menos de 1 hora hábil", "in less than 1 business hour"),
            (
                window(None, 30, false, Business),
                "en 30 minutos hábiles como máximo",
                "within 30 business minutes at most",
            ),
            (
                window(Some(60), 90, false, Business),
                "entre 60 y 90 minutos hábiles",
                "between 60 and 90 business minutes",
            ),
        ] {
            assert_eq!(promise(window, Es), es);
            assert_eq!(promise(window, En), en);
        }
    }

    #[test]
    fn moments_are_said_with_the_right_article_and_half_of_the_day() {
        for (at, es, en) in [
            (
                "2026-09-16T14:15:59-05:00",
                "miércoles 16 de septiembre de 2026 a las 2:15 p. m.",
                "Wednesday 16 September 2026, 2:15 pm",
            ),
            (
                "2026-09-16T13:00:00-05:00",
                "miércoles 16 de septiembre de 2026 a la 1:00 p. m.",
                "Wednesday 16 September 2026, 1:00 pm",
            ),
            (
                "2026-01-01T01:59:00-05:00",
                "jueves 1 de enero de 2026 a la 1:59 a. m.",
                "Thursday 1 January 2026, 1:59 am",
            ),
            (
                "2026-12-31T12:00:00-05:00",
                "jueves 31 de diciembre de 2026 a las 12:00 p. m.",
                "Thursday 31 December 2026, 12:00 pm",
            ),
            (
                "2026-02-28T00:05:00-05:00",
                "sábado 28 de febrero de 2026 a las 12:05 a. m.",
                "Saturday 28 February 2026, 12:05 am",
            ),
        ] {
            let at = at.parse::<Timestamp>().unwrap().to_zoned(TimeZone::get("America/Bogota").unwrap());
            assert_eq!(plain(&moment(&at, Es)), es);
            assert_eq!(plain(&moment(&at, En)), en);
        }
    }

    /// The hours of a calendar whose `[hours]` are given by weekday.
    fn week(days: &[(&str, &str)]) -> [Vec<Interval>; 7] {
        let source = |name: &str, text: String| Arc::new(Source { name: name.into(), text });
        let hours = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(|weekday| {
            let hours = days.iter().find(|(days, _)| days.contains(weekday)).map_or("", |(_, hours)| *hours);
            format!("{weekday} = [{hours}]\n")
        });
        let text = format!("confirmed = true\nzone = \"America/Bogota\"\n[hours]\n{}", hours.concat());
        let files = PlanFiles {
            plans: source("plans.toml", String::new()),
            calendar: source("calendar.toml", text),
            holidays: vec![],
            local_plans: None,
            local_calendar: None,
        };
        let mut problems = Vec::new();
        let calendar = Calendar::compile(&files, &mut problems).unwrap_or_else(|| panic!("{problems:#?}"));
        calendar.hours().clone()
    }

    #[test]
    fn business_hours_name_days_of_equal_hours_together() {
        let day = "\"08:00-18:00\"";
        for (days, es, en) in [
            (
                vec![("mon tue wed thu fri", day), ("sat", "\"09:00-13:00\"")],
                "lunes a viernes de 8:00 a. m. a 6:00 p. m. y sábados de 9:00 a. m. a 1:00 p. m.",
                "Monday to Friday 8:00 am to 6:00 pm and Saturday 9:00 am to 1:00 pm",
            ),
            (
                vec![
                    ("mon tue wed thu fri", "\"08:00-12:00\", \"14:00-18:00\""),
                    ("sat sun", "\"09:00-13:00\""),
                ],
                "lunes a viernes de 8:00 a. m. a 12:00 p. m. y de 2:00 p. m. a 6:00 p. m.; sábados y domingos de 9:00 a. m. a 1:00 p. m.",
                "Monday to Friday 8:00 am to 12:00 pm and 2:00 pm to 6:00 pm; Saturday and Sunday 9:00 am to 1:00 pm",
            ),
            (
                vec![("mon wed fri", day)],
                "lunes, miércoles y viernes de 8:00 a. m. a 6:00 p. m.",
                "Monday, Wednesday and Friday 8:00 am to 6:00 pm",
            ),
            (
                vec![("mon tue wed thu fri sat sun", "\"00:00-24:00\"")],
                "todos los días las 24 horas",
                "every day 24 hours a day",
            ),
            (
                vec![("sun", "\"20:00-24:00\"")],
                "domingos de 8:00 p. m. a medianoche",
                "Sunday 8:00 pm to midnight",
            ),
        ] {
            assert_eq!(plain(&business_hours(&week(&days), Es)), es);
            assert_eq!(plain(&business_hours(&week(&days), En)), en);
        }
        assert_eq!(business_hours(&[const { Vec::new() }; 7], Es), "");
    }

    #[test]
    fn a_zone_without_a_name_of_ours_is_its_offset() {
        let at: Timestamp = "2026-09-16T14:15:00Z".parse().unwrap();
        let named = |name: &str, language| zone(&TimeZone::get(name).unwrap(), at, language);
        assert_eq!(named("America/Bogota", Es), "hora de Colombia");
        assert_eq!(named("America/Bogota", En), "Colombia time");
        assert_eq!(named("America/Caracas", Es), "UTC-04:00");
        assert_eq!(named("Asia/Kolkata", En), "UTC+05:30");
    }

    #[test]
    fn wrapping_breaks_between_words_only() {
        let text = format!("uno dos tres\n\n2:15{GLUE}p.{GLUE}m. {}", "x".repeat(20));
        assert_eq!(wrap(&text, 8), format!("uno dos\ntres\n\n2:15{GLUE}p.{GLUE}m.\n{}\n", "x".repeat(20)));
        assert_eq!(wrap("no se 2:15\u{a0}p.", 10), "no se\n2:15\u{a0}p.\n");
    }
}
