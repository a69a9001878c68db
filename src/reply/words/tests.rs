//! Instants, windows and opening hours in the words of both languages.

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
            "jueves 31 de diciembre de 2026 a las 12:00 del mediodía",
            "Thursday 31 December 2026, 12:00 noon",
        ),
        (
            "2026-12-31T12:01:00-05:00",
            "jueves 31 de diciembre de 2026 a las 12:01 p. m.",
            "Thursday 31 December 2026, 12:01 pm",
        ),
        (
            "2026-12-31T00:00:59-05:00",
            "jueves 31 de diciembre de 2026 a las 12:00 de la medianoche, cuando empieza ese día",
            "Thursday 31 December 2026, 12:00 midnight, as that day begins",
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
            vec![("mon tue wed thu fri", "\"08:00-12:00\", \"14:00-18:00\""), ("sat sun", "\"09:00-13:00\"")],
            "lunes a viernes de 8:00 a. m. a 12:00 del mediodía y de 2:00 p. m. a 6:00 p. m.; sábados y domingos de 9:00 a. m. a 1:00 p. m.",
            "Monday to Friday 8:00 am to 12:00 noon and 2:00 pm to 6:00 pm; Saturday and Sunday 9:00 am to 1:00 pm",
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
        (
            vec![("sun", "\"00:00-06:00\"")],
            "domingos de 12:00 de la medianoche a 6:00 a. m.",
            "Sunday 12:00 midnight to 6:00 am",
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
