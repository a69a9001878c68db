//! What `calendar.toml` says, and what is wrong with it.

use super::*;

#[test]
fn shipped_calendar_is_a_guess_until_confirmed() {
    let mut problems = Vec::new();
    let calendar = Calendar::compile(&shipped(), &mut problems).expect("a warning refuses nothing");
    let [guess] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!(guess.severity, Severity::Warning);
    assert!(guess.message.contains("guess"));
    let week: Vec<String> = calendar
        .hours()
        .iter()
        .map(|day| day.iter().map(Interval::to_string).collect::<Vec<_>>().join(" "))
        .collect();
    let weekday = "08:00-18:00";
    assert_eq!(week, [weekday, weekday, weekday, weekday, weekday, "09:00-13:00", ""]);
    assert_eq!(calendar.zone().iana_name(), Some("America/Bogota"));

    sound(calendar_with("")); // says `confirmed = true`
}

#[test]
fn local_calendar_overrides_key_by_key_and_the_hours_as_one() {
    let calendar = sound(calendar_with(
        r#"
        zone = "Europe/Madrid"
        [hours]
        mon = ["14:00-18:00", "8:00 - 12:00"]
        [exceptions]
        2026-12-24 = ["08:00-12:00"]
        "#,
    ));
    let week: Vec<usize> = calendar.hours().iter().map(Vec::len).collect();
    assert_eq!(week, [2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(calendar.hours()[0][0].to_string(), "08:00-12:00");
    assert_eq!(calendar.zone().iana_name(), Some("Europe/Madrid"));
    assert_eq!(calendar.holiday_on(date(2026, 12, 25)), Some("Navidad"));
    assert_eq!(calendar.exceptions().len(), 1);
    assert_eq!(calendar.hours_on(date(2026, 12, 24)).len(), 1);
}

#[test]
fn every_problem_of_the_calendar_is_told_at_once() {
    let (calendar, problems) = calendar_with(
        r#"
        zone = "America/Bogotá"
        holidays = ["holidays-co.toml", "holidays-mx.toml"]
        [hours]
        mon = ["8-18", "08:00-24:01", "08:60-09:00", "+8:00-09:00"]
        tue = ["22:00-06:00", "09:00-09:00"]
        wed = ["14:00-18:00", "08:00-12:00", "11:59-14:00"]
        thu = ["08:00-12:00", "12:00-24:00"]
        [exceptions]
        "2026-02-29" = []
        "12-24" = ["08:00"]
        "20261224" = []
        "#,
    );
    assert!(calendar.is_none());
    assert_eq!(
        said(&problems),
        [
            "\"America/Bogotá\": there is no time zone `America/Bogotá`",
            "\"8-18\": `8-18` is not a pair of times",
            "\"08:00-24:01\": `08:00-24:01` is not a pair of times",
            "\"08:60-09:00\": `08:60-09:00` is not a pair of times",
            "\"+8:00-09:00\": `+8:00-09:00` is not a pair of times",
            "\"22:00-06:00\": `22:00-06:00` goes over midnight",
            "\"09:00-09:00\": `09:00-09:00` is empty",
            "\"11:59-14:00\": `11:59-14:00` overlaps `08:00-12:00`",
            "\"08:00\": `08:00` is not a pair of times",
            "\"12-24\": `12-24` is no date",
            "\"2026-02-29\": `2026-02-29` is no date",
            "\"20261224\": `20261224` is no date",
            "\"holidays-mx.toml\": there is no holiday file `holidays-mx.toml`",
        ]
    );
    assert!(problems.iter().all(|problem| problem.hint.is_some()));
    let hint = problems.last().and_then(|problem| problem.hint.as_deref()).unwrap();
    assert!(hint.contains("begins with `holidays`"), "other names are no holiday files: {hint}");
}

#[test]
fn the_days_have_spanish_names_too() {
    let days = |names: [&str; 7]| {
        let lines = names.map(|name| format!("{name} = [\"08:00-12:00\"]"));
        sound(calendar_with(&format!("[hours]\n{}", lines.join("\n")))).hours
    };
    let english = days(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
    assert_eq!(days(["lun", "mar", "\"mié\"", "jue", "vie", "\"sáb\"", "dom"]), english);
    assert_eq!(days(["lun", "mar", "mie", "jue", "vie", "sab", "dom"]), english);
}

#[test]
fn week_without_hours_is_refused() {
    let (none, problems) = calendar_with("[hours]\nmon = []");
    assert!(none.is_none());
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert!(problem.message.starts_with("no day of the week has business hours"));
    assert!(problem.span.is_some());

    let mut problems = Vec::new();
    let files = PlanFiles { calendar: source("calendar.toml", ""), ..shipped() };
    assert!(Calendar::compile(&files, &mut problems).is_none());
    assert_eq!(
        said(&problems),
        [": no `zone` says where the hours are", ": no `[hours]` say when business is open"]
    );
}
