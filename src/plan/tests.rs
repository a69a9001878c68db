use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::date;

use super::*;

const PLANS: &str = include_str!("../../rules/plans.toml");
const CALENDAR: &str = include_str!("../../rules/calendar.toml");
const HOLIDAYS: &str = include_str!("../../rules/holidays-co.toml");

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.to_owned(), text: text.to_owned() })
}

fn shipped() -> PlanFiles {
    PlanFiles {
        plans: source("rules/plans.toml", PLANS),
        calendar: source("rules/calendar.toml", CALENDAR),
        holidays: vec![source("rules/holidays-co.toml", HOLIDAYS)],
        local_plans: None,
        local_calendar: None,
    }
}

fn plans_with(local: &str) -> (Option<Plans>, Vec<Problem>) {
    let mut problems = Vec::new();
    let files = PlanFiles { local_plans: Some(source("plans.toml", local)), ..shipped() };
    (Plans::compile(&files, &mut problems), problems)
}

fn calendar_with(local: &str) -> (Option<Calendar>, Vec<Problem>) {
    let mut problems = Vec::new();
    let local = format!("confirmed = true\n{local}");
    let files = PlanFiles { local_calendar: Some(source("calendar.toml", &local)), ..shipped() };
    (Calendar::compile(&files, &mut problems), problems)
}

/// A calendar of one-line files: the holidays as `[[holiday]]` tables.
fn calendar(text: &str, holidays: &str) -> (Option<Calendar>, Vec<Problem>) {
    let mut problems = Vec::new();
    let files = PlanFiles {
        calendar: source("calendar.toml", &format!("confirmed = true\nholidays = [\"own.toml\"]\n{text}")),
        holidays: vec![source("/etc/acuse/rules/own.toml", holidays)],
        ..shipped()
    };
    (Calendar::compile(&files, &mut problems), problems)
}

fn sound<T>((made, problems): (Option<T>, Vec<Problem>)) -> T {
    assert!(problems.is_empty(), "{problems:#?}");
    made.expect("no problem, so it is made")
}

/// Each problem as `words it points at: message`.
fn said(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| {
            let words = problem.span.clone().and_then(|span| problem.source.text.get(span)).unwrap_or("");
            format!("{words}: {}", problem.message)
        })
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A plan whose every window is that many business hours.
fn business(upto: SignedDuration) -> Plan {
    let mut plan = sound(plans_with("")).plans.remove(0);
    plan.windows = [Window { from: None, upto, strict: false, clock: Clock::Business }; 3];
    plan
}

// ── plans ─────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn shipped_plans_are_the_manuals_windows() {
    let plans = sound(plans_with(""));
    let said = |from: Option<i64>, upto: i64, strict: bool, clock: Clock| Window {
        from: from.map(hours),
        upto: hours(upto),
        strict,
        clock,
    };
    let upto_one_hour = said(None, 1, false, Clock::Always); // "Hasta 1 hora."
    let under_one_hour = said(None, 1, true, Clock::Always); // "Menos de 1 hora."
    let between = |from, upto| said(Some(from), upto, false, Clock::Business); // "3 a 5 horas habiles."
    let expected = [
        ("n1", [between(5, 6), between(3, 5), upto_one_hour]),
        ("n2", [between(3, 4), between(2, 3), upto_one_hour]),
        ("n3", [under_one_hour, under_one_hour, under_one_hour]),
    ];
    let read: Vec<_> = plans.plans.iter().map(|plan| (plan.id.as_str(), plan.windows)).collect();
    assert_eq!(read, expected);
    assert_eq!(plans.default.as_str(), "n1");
}

#[test]
fn shipped_channels_are_the_manuals() {
    let plans = sound(plans_with(""));
    let [n1, n2, n3] = plans.plans.as_slice() else { panic!("three levels") };
    let nothing = PlanChannels { ticket: None, email: None, chat: None, phone: None, remote: None };
    let always =
        PlanChannels { ticket: Some(Availability::Always), email: Some(Availability::Always), ..nothing };
    let in_hours = Some(Availability::Business);
    // "únicamente para casos en lo que previamente se haya creado un ticket"
    assert_eq!(n1.channels, PlanChannels { phone: Some(Availability::OnlyWithCase), ..always });
    assert_eq!(n2.channels, PlanChannels { chat: in_hours, phone: in_hours, ..always });
    assert_eq!(n3.channels, PlanChannels { remote: Some(Availability::WhenRequired), ..n2.channels });
}

#[test]
fn local_plans_override_key_by_key() {
    let shipped = sound(plans_with(""));
    let plans = sound(plans_with(
        r#"
        default = "n2"
        [plan.n1]
        medium = { under = "90m", clock = "always" }
        channels = { chat = "business", phone = "never" }
        "#,
    ));
    let n1 = plans.plan(&PlanId("n1".into())).unwrap();
    assert_eq!(plans.default.as_str(), "n2");
    let medium =
        Window { from: None, upto: SignedDuration::from_mins(90), strict: true, clock: Clock::Always };
    assert_eq!(n1.window(Impact::Medium), medium);
    assert_eq!(n1.window(Impact::Low), shipped.plans[0].window(Impact::Low));
    assert_eq!(n1.name, shipped.plans[0].name);
    assert_eq!(n1.channels.email, Some(Availability::Always));
    assert_eq!(n1.channels.chat, Some(Availability::Business));
    assert_eq!(n1.channels.phone, None);
    assert_eq!(plans.plans[1].windows, shipped.plans[1].windows);
}

#[test]
fn local_plan_takes_its_place_in_the_order() {
    let plans = sound(plans_with(
        r#"
        order = ["n1", "plus", "n2", "n3"]
        [plan.plus]
        name = { es = "Plus", en = "Plus" }
        channels = { email = "always" }
        high = { upto = "30m", clock = "always" }
        medium = { upto = "2h", clock = "business" }
        low = { upto = "1h 30m", clock = "business" }
        "#,
    ));
    let (plus, n1, n2) = (PlanId("plus".into()), PlanId("n1".into()), PlanId("n2".into()));
    assert_eq!(plans.higher(&plus, &n1), &plus);
    assert_eq!(plans.higher(&plus, &n2), &n2);
    assert_eq!(plans.plans[1].window(Impact::Low).upto, SignedDuration::from_mins(90));
}

#[test]
fn every_problem_of_the_plans_is_told_at_once() {
    let (plans, problems) = plans_with(
        r#"
        default = "n9"
        order = ["n1", "n2", "n2", "n7"]
        [plan.n1]
        low = { from = "6h", upto = "5h", clock = "business" }
        medium = { upto = "5h", under = "5h", clock = "business" }
        high = { upto = "soon", clock = "always" }
        [plan.n2]
        low = { upto = "0h", clock = "always" }
        medium = { upto = "9000h", clock = "always" }
        [plan.plus]
        name = { es = "Plus", en = "Plus" }
        "#,
    );
    assert!(plans.is_none());
    assert_eq!(
        said(&problems),
        [
            "\"5h\": the window ends (5h) before it begins",
            "{ upto = \"5h\", under = \"5h\", clock = \"business\" }: a window ends with either `upto` or `under`",
            "\"soon\": `soon` is no length of time between nothing and a year",
            "\"0h\": `0h` is no length of time between nothing and a year",
            "\"9000h\": `9000h` is no length of time between nothing and a year",
            "plus: plan `plus` has no `channels`",
            "plus: plan `plus` has no `low`",
            "plus: plan `plus` has no `medium`",
            "plus: plan `plus` has no `high`",
            "\"n9\": there is no plan `n9`",
            "\"n2\": plan `n2` stands twice in `order`",
            "\"n7\": there is no plan `n7`",
            "n3: plan `n3` is not in `order`",
            "plus: plan `plus` is not in `order`",
        ]
    );
    assert!(problems.iter().all(|problem| problem.hint.is_some()));
    // n3 stands in the shipped file only.
    assert_eq!(problems[12].source.name, "rules/plans.toml");
}

#[test]
fn unreadable_entries_are_struck_out_and_the_rest_is_read() {
    let (plans, problems) = plans_with(
        r#"
        defualt = "n1"
        order = "n1"
        [plan.n1]
        low = { upto = "5h", clock = "bussiness" }
        medium = { upto = 5, clock = "business" }
        high = { upto = "1h" }
        name = { es = "Nivel 1" }
        channels = { mail = "always" }
        [plan.n2]
        high = { upto = "-1h", clock = "always" }
        "#,
    );
    assert!(plans.is_none());
    let said = said(&problems);
    for expected in [
        "defualt: unknown field `defualt`",
        "\"n1\": invalid type: string \"n1\"",
        "\"bussiness\": unknown variant `bussiness`",
        "5: invalid type: integer `5`",
        "{ upto = \"1h\" }: missing field `clock`",
        "{ es = \"Nivel 1\" }: missing field `en`",
        "mail: unknown field `mail`",
        "\"-1h\": `-1h` is no length of time between nothing and a year",
    ] {
        assert!(said.iter().any(|line| line == expected), "{expected} not in {said:#?}");
    }
    assert_eq!(problems.len(), 8, "{said:#?}");
}

#[test]
fn syntax_errors_are_told_all_and_alone() {
    let (plans, problems) = plans_with("default = \norder = [\"n9\"]\n[plan.n1\nlow = 3\n");
    assert!(plans.is_none());
    assert!(problems.len() >= 2, "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.span.is_some() && problem.source.name == "plans.toml"));
    assert!(said(&problems).iter().all(|line| !line.contains("n9")));
}

#[test]
fn empty_plans_file_lacks_everything() {
    let mut problems = Vec::new();
    let files = PlanFiles { plans: source("plans.toml", ""), ..shipped() };
    assert!(Plans::compile(&files, &mut problems).is_none());
    assert_eq!(
        said(&problems),
        [": no `default` says which plan an unknown sender has", ": no `order` says which plan is higher"]
    );
}

// ── the calendar's files ──────────────────────────────────────────────────────────────────────────────────

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

    sound(calendar_with(""));
    let denied = calendar_with("").0.map(|_| ());
    assert_eq!(denied, Some(()));
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

// ── holidays ──────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn shipped_holidays_are_the_published_ones() {
    let calendar = sound(calendar_with(""));
    let published: Vec<&str> = include_str!("../../fixtures/holidays-co.csv")
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').expect("date,name").0)
        .collect();
    let mut kept: Vec<String> = (2024..=2035)
        .flat_map(|year| calendar.holidays_of_year(year))
        .map(|(date, _)| date.to_string())
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
    let calendar = sound(calendar(
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
    ));
    let names = |year| calendar.holidays_of_year(year).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
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
            "unknown variant `monday`",
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
    assert!(problem.message.starts_with("no holiday is known after 2028-02-29"), "{}", problem.message);
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

// ── business time ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn way_to_the_deadline_is_told_segment_by_segment() {
    let calendar = sound(calendar_with("[exceptions]\n2026-12-26 = [\"10:00-11:00\"]"));
    let promise = calendar.promise(&business(hours(3)), Impact::Low, at("2026-12-24T17:00:00-05:00"));
    let told: Vec<(String, i64, String)> = calendar
        .segments(&promise)
        .into_iter()
        .map(|it| (calendar.to_local(it.from).strftime("%d %H:%M").to_string(), it.counted.as_mins(), it.why))
        .collect();
    let expected = [
        ("24 17:00", 60, "business hours"),
        ("24 18:00", 0, "closed"),
        ("25 00:00", 0, "holiday: Navidad"),
        ("26 00:00", 0, "exception"),
        ("26 10:00", 60, "exception"),
        ("26 11:00", 0, "exception"),
        ("27 00:00", 0, "closed"), // Sunday and Monday's early hours: one stretch
        ("28 08:00", 60, "business hours"),
    ];
    assert_eq!(told, expected.map(|(from, counted, why)| (from.to_owned(), counted, why.to_owned())));
    assert_eq!(promise.due_by, at("2026-12-28T09:00:00-05:00"));
    assert_eq!(calendar.segments(&promise).last().unwrap().to, promise.due_by);
}

#[test]
fn wall_clock_promise_has_one_segment() {
    let calendar = sound(calendar_with(""));
    let plans = sound(plans_with(""));
    let promise = calendar.promise(&plans.plans[0], Impact::High, at("2026-12-25T03:00:00-05:00"));
    let [only] = calendar.segments(&promise).try_into().unwrap();
    assert_eq!((only.from, only.to), (promise.received, promise.due_by));
    assert_eq!((only.counted, only.why.as_str()), (hours(1), "around the clock"));
}

#[test]
fn menos_de_is_strict() {
    let calendar = sound(calendar_with(""));
    let plans = sound(plans_with(""));
    let received = at("2026-12-25T03:00:00-05:00");
    let hasta = calendar.promise(&plans.plans[0], Impact::High, received);
    let menos_de = calendar.promise(&plans.plans[2], Impact::High, received);
    let due = received + hours(1);
    assert_eq!((hasta.due_by, menos_de.due_by), (due, due));
    assert!(hasta.met_by(due) && !hasta.is_past(due));
    assert!(!menos_de.met_by(due) && menos_de.is_past(due));
    assert!(menos_de.met_by(due - SignedDuration::from_nanos(1)));
    assert!(hasta.is_past(due + SignedDuration::from_nanos(1)));
}

#[test]
fn opening_is_open_and_closing_is_not() {
    let calendar = sound(calendar_with(""));
    assert!(!calendar.is_open_at(at("2026-09-16T07:59:59.999999999-05:00")));
    assert!(calendar.is_open_at(at("2026-09-16T08:00:00-05:00")));
    assert!(calendar.is_open_at(at("2026-09-16T17:59:59.999999999-05:00")));
    assert!(!calendar.is_open_at(at("2026-09-16T18:00:00-05:00")));
    assert!(!calendar.is_open_at(at("2026-12-25T10:00:00-05:00")));
}

#[test]
fn hours_within_a_gap_of_the_clock_are_not_made_up() {
    // Madrid skips 02:00-03:00 on 29 March 2026; Apia skipped the whole of 30 December 2011.
    let madrid =
        sound(calendar("zone = \"Europe/Madrid\"\nhours = { sun = [\"02:15-02:45\", \"02:50-04:00\"] }", ""));
    let promise = madrid.promise(&business(hours(1)), Impact::Low, at("2026-03-29T00:00:00Z"));
    assert_eq!(promise.clock_starts, at("2026-03-29T03:00:00+02:00"));
    assert_eq!(promise.due_by, at("2026-03-29T04:00:00+02:00"));

    let apia = sound(calendar(
        "zone = \"Pacific/Apia\"\nhours = { fri = [\"08:00-18:00\"], sat = [\"08:00-18:00\"] }",
        "",
    ));
    let promise = apia.promise(&business(hours(10)), Impact::Low, at("2011-12-29T12:00:00-10:00"));
    assert_eq!(promise.clock_starts, at("2011-12-31T08:00:00+14:00"));
    assert_eq!(promise.due_by, at("2011-12-31T18:00:00+14:00"));
}

#[test]
fn hours_that_the_clock_repeats_end_with_the_first_pass() {
    // Madrid, 25 October 2026: 02:00-03:00 comes twice.
    let calendar =
        sound(calendar("zone = \"Europe/Madrid\"\nhours = { sun = [\"01:00-02:30\", \"02:45-04:00\"] }", ""));
    let first = |time: &str| at(&format!("2026-10-25T{time}:00+02:00"));
    assert!(calendar.is_open_at(first("02:29")));
    assert!(!calendar.is_open_at(first("02:30")));
    assert!(
        calendar.is_open_at(at("2026-10-25T02:10:00+01:00")),
        "the second interval opened at the first 02:45"
    );
    let promise =
        calendar.promise(&business(SignedDuration::from_mins(90 + 135)), Impact::Low, first("00:00"));
    assert_eq!(promise.due_by, at("2026-10-25T04:00:00+01:00"));
}

#[test]
fn promise_is_total_at_the_ends_of_time() {
    let calendar = sound(calendar_with(""));
    for plan in sound(plans_with("")).plans {
        for impact in Impact::ALL {
            for received in [Timestamp::MIN, Timestamp::MAX] {
                let promise = calendar.promise(&plan, impact, received);
                assert!(promise.due_by >= received);
                assert!(calendar.segments(&promise).len() < 10);
                calendar.is_open_at(received);
            }
        }
    }
}
