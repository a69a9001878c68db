//! Dated rules against published dates.

use super::*;

#[test]
fn shipped_holidays_are_the_published_ones() {
    let calendar = sound(calendar_with(""));
    let published: Vec<&str> = include_str!("../../../fixtures/holidays-co.csv")
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').expect("date,name").0)
        .collect();
    let mut kept: Vec<String> = (2024..=2035)
        .flat_map(|year| calendar.holidays_of_year(year))
        .map(|holiday| holiday.date.to_string())
        .collect();
    assert_eq!(kept.len(), published.len() + 2, "two Mondays bear two holidays each: 2025-06-30, 2030-07-01");
    kept.dedup();
    assert_eq!(kept, published);

    let mut day = date(2024, 1, 1);
    while day.year() <= 2035 {
        let holiday = calendar.holiday_on(day).is_some();
        assert_eq!(holiday, published.contains(&day.to_string().as_str()), "{day}");
        day = day.tomorrow().unwrap();
    }
}

#[test]
fn holiday_names_are_those_of_the_file() {
    let calendar = sound(calendar_with("[exceptions]\n2026-12-25 = [\"08:00-12:00\"]"));
    assert_eq!(calendar.holiday_on(date(2026, 4, 3)), Some("Viernes Santo"));
    assert_eq!(calendar.holiday_on(date(2025, 6, 30)), Some("Sagrado Corazón"), "the first of two");
    assert_eq!(calendar.holiday_on(date(2026, 7, 13)), Some("Nuestra Señora de Chiquinquirá"));
    assert_eq!(calendar.holiday_on(date(2025, 7, 14)), None, "the law is in force from 2026");
    assert_eq!(calendar.holiday_on(date(2026, 12, 25)), None, "an exception takes its place");
    assert_eq!(calendar.holidays_of_year(2026).len(), 19);
}

#[test]
fn holiday_rules_of_every_kind() {
    let (calendar, _) = calendar(
        "zone = \"UTC\"\nhours = { mon = [\"08:00-18:00\"] }",
        r#"
        country = "XX"
        [[holiday]]
        name = "carried over the year"
        date = "12-31"
        move = "next-monday"
        [[holiday]]
        name = "leap day"
        date = "02-29"
        [[holiday]]
        name = "once"
        date = "2026-03-18"
        [[holiday]]
        name = "for a while"
        date = "06-01"
        from = 2026
        until = 2027
        [[holiday]]
        name = "Easter Monday"
        easter = 1
        law = "none"
        "#,
    );
    let calendar = calendar.unwrap();
    let names =
        |year| calendar.holidays_of_year(year).into_iter().map(|holiday| holiday.name).collect::<Vec<_>>();
    assert_eq!(calendar.holiday_on(date(2027, 1, 4)), Some("carried over the year"));
    assert_eq!(
        names(2026),
        ["carried over the year", "once", "Easter Monday", "for a while"],
        "31 December 2025 is kept on 5 January"
    );
    assert_eq!(calendar.holiday_on(date(2028, 2, 29)), Some("leap day"));
    assert_eq!(calendar.holiday_on(date(2027, 3, 18)), None);
    assert_eq!(calendar.holiday_on(date(2028, 6, 1)), None);
    // The earliest and the latest Easter that there can be.
    assert_eq!(calendar.holiday_on(date(1818, 3, 23)), Some("Easter Monday"));
    assert_eq!(calendar.holiday_on(date(2038, 4, 26)), Some("Easter Monday"));
}

#[test]
fn wrong_holidays_are_told_all() {
    let (none, problems) = calendar(
        "zone = \"UTC\"\nhours = { mon = [\"08:00-18:00\"] }",
        r#"
        [[holiday]]
        name = "a"
        date = "13-01"
        [[holiday]]
        name = "b"
        easter = 300
        [[holiday]]
        name = "c"
        [[holiday]]
        name = "d"
        date = "01-01"
        from = 2030
        until = 2020
        [[holiday]]
        name = "e"
        date = "2026-01-01"
        until = 2030
        [[holiday]]
        date = "01-02"
        [[holiday]]
        name = "g"
        date = "01-02"
        move = "monday"
        from = 26000
        "#,
    );
    assert!(none.is_none());
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "missing field `name`",
            "unknown word `monday`",
            "`13-01` is no date",
            "300 days from Easter is in another year",
            "holiday `c` falls on either a `date` or a day from `easter`",
            "holiday `d` ends before it begins",
            "holiday `e` happens once and cannot have `from` or `until`",
            "26000 is no year",
        ]
    );
    assert!(problems.iter().all(|problem| problem.source.name.ends_with("own.toml")));
    assert!(problems.iter().all(|problem| problem.span.is_some()));
}

#[test]
fn listed_holidays_that_end_are_warned_of() {
    let (calendar, problems) = calendar(
        "zone = \"UTC\"\nhours = { mon = [\"08:00-18:00\"] }",
        "[[holiday]]\nname = \"a\"\ndate = \"2026-12-25\"\n[[holiday]]\nname = \"b\"\ndate = \"02-29\"\nuntil = 2030\n",
    );
    assert!(calendar.is_some());
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!(problem.severity, Severity::Warning);
    assert!(
        problem.message.starts_with("no single holiday is listed after 2026-12-25"),
        "{}",
        problem.message
    );
}

#[test]
fn one_rule_for_every_year_does_not_make_a_list_endless() {
    let (hours, rule) = (
        "zone = \"UTC\"\nhours = { mon = [\"08:00-18:00\"] }",
        "[[holiday]]\nname = \"a\"\ndate = \"01-01\"\n",
    );
    let list = "[[holiday]]\nname = \"b\"\ndate = \"2027-03-26\"\n[[holiday]]\nname = \"c\"\ndate = \"2026-04-03\"\n";
    let (calendar_of_both, problems) = calendar(hours, &format!("{rule}{list}"));
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert!(problem.message.contains("after 2027-03-26"), "{}", problem.message);
    let both = calendar_of_both.unwrap();
    assert!(both.is_beyond_lists(2028) && !both.is_beyond_lists(2027));
    let rules_alone = sound(calendar(hours, rule));
    assert_eq!((rules_alone.listed_until(), rules_alone.is_beyond_lists(9999)), (None, false));
}

#[test]
fn holidays_that_close_every_business_day_are_refused() {
    let every_monday: String = (-79..250)
        .map(|days| format!("[[holiday]]\nname = \"x\"\neaster = {days}\nmove = \"next-monday\"\n"))
        .collect();
    let new_year: String = (1..=31)
        .flat_map(|day| ["01", "03", "12", "11"].map(|month| format!("{month}-{day:02}")))
        .filter(|date| date != "11-31")
        .map(|date| format!("[[holiday]]\nname = \"y\"\ndate = \"{date}\"\n"))
        .collect();
    let (none, problems) =
        calendar("zone = \"UTC\"\nhours = { mon = [\"08:00-18:00\"] }", &(every_monday + &new_year));
    assert!(none.is_none());
    assert!(problems[0].message.starts_with("every business day of "), "{problems:#?}");
}

/// What the problems say of a calendar whose local file lists a company's own days, in a file of their own.
fn said_of_a_company(local: &str) -> Vec<String> {
    let day = "[[holiday]]\nname = \"Día de la empresa\"\ndate = \"08-20\"\n";
    let mut problems = Vec::new();
    let files = PlanFiles {
        local_calendar: Some(source("calendar.toml", &format!("confirmed = true\n{local}"))),
        holidays: vec![
            source("/etc/acuse/rules/holidays-own.toml", day),
            source("/etc/acuse/rules/holidays-all.toml", &format!("{day}{HOLIDAYS}")),
            source("holidays-co.toml", HOLIDAYS),
        ],
        ..shipped()
    };
    assert!(Calendar::compile(&files, &mut problems).is_some(), "{problems:?}");
    let hint = |problem: &Problem| problem.hint.clone().unwrap_or_default();
    said(&problems).into_iter().zip(&problems).map(|(said, it)| format!("{said}; {}", hint(it))).collect()
}

#[test]
fn who_lists_own_days_and_loses_the_country_s_is_told() {
    assert_eq!(
        said_of_a_company("holidays = [\"holidays-own.toml\"]"),
        [
            "[\"holidays-own.toml\"]: this list replaces the one below it: Año Nuevo and 18 more would count as business days; \
          holidays = [\"holidays-co.toml\", \"holidays-own.toml\"] keeps both"
        ]
    );
    assert_eq!(said_of_a_company("zone = \"America/Bogota\"\nholidays = [\"holidays-own.toml\"]").len(), 1);
    for meant in [
        "holidays = [\"holidays-co.toml\", \"holidays-own.toml\"]",
        "holidays = [\"holidays-all.toml\"]",
        "holidays = []",
        "zone = \"America/Lima\"\nholidays = [\"holidays-own.toml\"]",
        "",
    ] {
        assert_eq!(said_of_a_company(meant), [""; 0], "{meant}");
    }
}
