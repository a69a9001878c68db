//! The promise against worked examples, against a clock that walks minute by minute, and against its own laws (I10).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; the helpers here stand outside of test functions"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use acuse::plan::{Calendar, Clock, Interval, Plan, PlanFiles, Plans, WallTime, Window};
use acuse::problem::{Problem, Source};
use acuse::ticket::{Impact, PlanId};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;

// ── worked examples ───────────────────────────────────────────────────────────────────────────────────────

/// A line of `fixtures/sla_vectors.jsonl`.
#[derive(Debug, Deserialize)]
struct Vector {
    id: String,
    tz: String,
    schedule: Schedule,
    exceptions: BTreeMap<String, Vec<String>>,
    holidays: BTreeMap<String, String>,
    plan: String,
    impact: Impact,
    window_h: [i64; 2],
    clock: Clock,
    strict: bool,
    received_at: Timestamp,
    clock_starts: Timestamp,
    expected_from: Option<Timestamp>,
    due_by: Timestamp,
    due_utc: Timestamp,
    note: String,
}

#[derive(Debug, Deserialize)]
struct Schedule {
    #[serde(flatten)]
    days: BTreeMap<String, serde_json::Value>,
}

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.to_owned(), text: text.to_owned() })
}

fn files(calendar: &str, holidays: &str) -> PlanFiles {
    PlanFiles {
        plans: source("plans.toml", include_str!("../rules/plans.toml")),
        calendar: source("calendar.toml", calendar),
        holidays: vec![source("holidays.toml", holidays)],
        local_plans: None,
        local_calendar: None,
    }
}

fn compiled(calendar: &str, holidays: &str) -> Calendar {
    let calendar = format!("confirmed = true\nholidays = [\"holidays.toml\"]\n{calendar}");
    let mut problems: Vec<Problem> = Vec::new();
    Calendar::compile(&files(&calendar, holidays), &mut problems)
        .unwrap_or_else(|| panic!("{problems:#?}\n{calendar}"))
}

fn shipped_plans() -> Plans {
    Plans::compile(&files("", ""), &mut Vec::new()).expect("the shipped plans are sound")
}

impl Vector {
    fn calendar(&self) -> Calendar {
        let mut calendar = format!("zone = \"{}\"\n[hours]\n", self.tz);
        for (day, hours) in self.schedule.days.iter().filter(|(key, _)| *key != "name") {
            writeln!(calendar, "{} = {hours}", day.to_lowercase()).unwrap();
        }
        calendar.push_str("[exceptions]\n");
        for (date, hours) in &self.exceptions {
            writeln!(calendar, "\"{date}\" = {hours:?}").unwrap();
        }
        let mut holidays = String::new();
        for (date, name) in &self.holidays {
            writeln!(holidays, "[[holiday]]\nname = \"{name}\"\ndate = \"{date}\"").unwrap();
        }
        compiled(&calendar, &holidays)
    }
}

#[test]
fn every_vector() {
    let plans = shipped_plans();
    let mut count = 0;
    for line in include_str!("../fixtures/sla_vectors.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let plan = plans.plan(&PlanId(vector.plan.clone())).expect("a shipped plan");
        let [from, upto] = vector.window_h;
        let window = plan.window(vector.impact);
        assert_eq!(window.upto, SignedDuration::from_hours(upto), "{}", vector.id);
        assert_eq!(window.from.unwrap_or_default(), SignedDuration::from_hours(from), "{}", vector.id);
        assert_eq!((window.clock, window.strict), (vector.clock, vector.strict), "{}", vector.id);

        let calendar = vector.calendar();
        let promise = calendar.promise(plan, vector.impact, vector.received_at);
        let context = format!("{}: {}", vector.id, vector.note);
        assert_eq!(promise.clock_starts, vector.clock_starts, "{context}");
        assert_eq!(promise.expected_from, vector.expected_from, "{context}");
        assert_eq!(promise.due_by, vector.due_by, "{context}");
        assert_eq!(promise.due_by, vector.due_utc, "{context}");
        assert_eq!(promise.met_by(promise.due_by), !vector.strict, "{context}");
        for holiday in vector.holidays.keys() {
            assert!(calendar.holiday_on(holiday.parse().unwrap()).is_some(), "{context}");
        }
        count += 1;
    }
    assert!(count >= 66, "{count} vectors: the file was cut short");
}

#[test]
fn host_zone_never_counts() {
    let this = std::env::current_exe().unwrap();
    for zone in ["Asia/Tokyo", "America/Los_Angeles", "nonsense"] {
        let run = Command::new(&this)
            .args(["--exact", "every_vector"])
            .env("TZ", zone)
            .env("TZDIR", "/nonexistent") // nor does the host's database
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && printed.contains("1 passed"), "TZ={zone}: {printed}");
    }
}

// ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────

/// Calendars with a trap each: lunch breaks, nights, zones whose clocks change at midnight, by half an hour, over whole days.
static CALENDARS: LazyLock<Vec<(Calendar, &str)>> = LazyLock::new(|| {
    const WEEK: &str =
        "mon = [\"08:00-18:00\"]\nwed = [\"14:00-18:00\", \"08:00-12:00\"]\nsat = [\"09:00-13:00\"]\n";
    const NIGHTS: &str = "mon = [\"00:00-06:00\", \"22:00-24:00\"]\nthu = [\"22:00-24:00\"]\n\
        fri = [\"00:00-06:00\"]\nsat = [\"22:00-24:00\"]\nsun = [\"00:00-06:00\", \"22:00-24:00\"]\n";
    const ALWAYS: &str = "mon = [\"00:00-24:00\"]\ntue = [\"00:00-24:00\"]\nwed = [\"00:00-24:00\"]\n\
        thu = [\"00:00-24:00\"]\nfri = [\"00:00-24:00\"]\nsat = [\"00:00-24:00\"]\nsun = [\"00:00-24:00\"]\n";
    let zones =
        ["America/Bogota", "America/Santiago", "Europe/Madrid", "Australia/Lord_Howe", "Pacific/Apia"];
    let mut calendars = Vec::new();
    for zone in zones {
        for hours in [WEEK, NIGHTS, ALWAYS] {
            let exceptions = "[exceptions]\n\"2026-12-25\" = [\"10:00-11:00\"]\n\"2026-04-01\" = []\n";
            let text = format!("zone = \"{zone}\"\n[hours]\n{hours}{exceptions}");
            calendars.push((compiled(&text, include_str!("../rules/holidays-co.toml")), hours));
        }
    }
    calendars
});

/// The shipped plan with every window so many business minutes long.
fn business(minutes: i64) -> Plan {
    static PLAN: LazyLock<Plan> = LazyLock::new(|| shipped_plans().plans.remove(0));
    let mut plan = PLAN.clone();
    let upto = SignedDuration::from_mins(minutes);
    plan.windows = [Window { from: None, upto, strict: false, clock: Clock::Business }; 3];
    plan
}

fn due(calendar: &Calendar, minutes: i64, received: Timestamp) -> Timestamp {
    calendar.promise(&business(minutes), Impact::Low, received).due_by
}

/// Opening hours as minutes of the day.
fn minutes_of(hours: &[Interval]) -> Vec<Range<i64>> {
    let minutes = |time: WallTime| i64::from(time.hour() * 60 + time.minute());
    hours.iter().map(|interval| minutes(interval.opens)..minutes(interval.closes)).collect()
}

/// Any second of 2025 to 2027, the days around clock changes and holidays as likely as all others together.
fn received() -> impl Strategy<Value = Timestamp> {
    let second = |date: &str| format!("{date}T00:00:00Z").parse::<Timestamp>().unwrap().as_second();
    let changes = [
        "2026-04-04",
        "2026-04-05",
        "2026-09-05",
        "2026-03-28",
        "2026-10-24",
        "2026-10-03",
        "2025-12-24",
        "2026-12-31",
        "2027-04-03",
    ];
    let changes = changes.map(second);
    prop_oneof![
        second("2025-01-01")..second("2028-01-01"),
        (prop::sample::select(changes.to_vec()), 0..3 * 86_400_i64).prop_map(|(day, second)| day + second),
    ]
    .prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// The same office in the words of three makers: ours, and two crates that nobody here wrote.
struct Office {
    ours: Calendar,
    ule: ule_hours::Schedule,
    workclock: workclock::Schedule,
}

static OFFICES: LazyLock<Vec<Office>> = LazyLock::new(|| {
    use jiff::civil::{Weekday, time};
    use workclock::{Break, Holidays, Weekdays, WorkDay};

    let office = |zone: &str| {
        let week = ["mon", "tue", "wed", "thu", "fri"]
            .map(|day| format!("{day} = [\"08:00-12:30\", \"14:00-18:00\"]"));
        let hours = format!("zone = \"{zone}\"\n[hours]\n{}\nsat = [\"09:00-13:00\"]\n", week.join("\n"));
        let ours = compiled(&hours, include_str!("../rules/holidays-co.toml"));
        let holidays: Vec<Date> =
            (2025..=2029).flat_map(|year| ours.holidays_of_year(year)).map(|holiday| holiday.date).collect();
        let ule = ule_hours::Schedule::builder(zone)
            .and_then(|office| office.mon_fri("08:00-12:30, 14:00-18:00"))
            .and_then(|office| office.open([Weekday::Saturday], "09:00-13:00"))
            .expect("hours that the crate can say");
        let ule = holidays.iter().fold(ule, |office, date| office.closed_on(*date)).build();
        let at = |hour, minute| time(hour, minute, 0, 0);
        let workclock = workclock::Schedule::builder()
            .time_zone(zone)
            .rule(WorkDay::new(at(8, 0), at(18, 0), Weekdays::MON_TO_FRI))
            .rule(Break::new(at(12, 30), at(14, 0), Weekdays::MON_TO_FRI))
            .rule(WorkDay::new(at(9, 0), at(13, 0), [Weekday::Saturday].into_iter().collect()))
            .rule(Holidays::new(holidays))
            .build()
            .expect("hours that the crate can say");
        Office { ours, ule, workclock }
    };
    ["America/Bogota", "America/Santiago", "Europe/Madrid", "America/New_York"].map(office).into()
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn never_before_it_came_and_never_out_of_hours(received in received(), minutes in 1_i64..2000) {
        for (calendar, hours) in &*CALENDARS {
            let promise = calendar.promise(&business(minutes), Impact::Low, received);
            prop_assert!(promise.received <= promise.clock_starts && promise.clock_starts < promise.due_by);
            prop_assert!(calendar.is_open_at(promise.clock_starts), "{hours}");
            // Inside an interval or at a close: the nanosecond before is open.
            prop_assert!(calendar.is_open_at(promise.due_by - SignedDuration::from_nanos(1)), "{hours}");
            if calendar.is_open_at(received) {
                prop_assert_eq!(promise.clock_starts, received);
            }
        }
    }

    #[test]
    fn monotone(one in received(), other in received(), minutes in 1_i64..2000, more in 0_i64..500) {
        let (earlier, later) = (one.min(other), one.max(other));
        for (calendar, hours) in &*CALENDARS {
            prop_assert!(due(calendar, minutes, earlier) <= due(calendar, minutes, later), "{hours}");
            prop_assert!(due(calendar, minutes, one) <= due(calendar, minutes + more, one), "{hours}");
        }
    }

    #[test]
    fn additive(received in received(), first in 1_i64..1000, second in 1_i64..1000) {
        for (calendar, hours) in &*CALENDARS {
            let between = due(calendar, first, received);
            prop_assert_eq!(due(calendar, second, between), due(calendar, first + second, received), "{}", hours);
        }
    }

    #[test]
    fn segments_account_for_every_second(received in received(), minutes in 1_i64..2000) {
        for (calendar, hours) in &*CALENDARS {
            let promise = calendar.promise(&business(minutes), Impact::Low, received);
            let segments = calendar.segments(&promise);
            let mut reached = promise.received;
            for segment in &segments {
                prop_assert_eq!(segment.from, reached);
                prop_assert!(segment.to > segment.from);
                let whole = segment.from.duration_until(segment.to);
                prop_assert!(segment.counted == whole || segment.counted.is_zero());
                reached = segment.to;
            }
            prop_assert_eq!(reached, promise.due_by);
            let counted = segments.iter().fold(SignedDuration::ZERO, |sum, segment| sum + segment.counted);
            prop_assert_eq!(counted, promise.window.upto, "{}", hours);
        }
    }

    /// A clock that knows no intervals: it walks minute by minute and asks what the wall shows.
    #[test]
    fn same_as_walking_minute_by_minute(minute in received(), minutes in 1_i64..600) {
        let received = Timestamp::from_second(minute.as_second() - minute.as_second().rem_euclid(60)).unwrap();
        for (calendar, hours) in &*CALENDARS {
            let (mut now, mut left) = (received, minutes);
            let mut today = (Date::MIN, Vec::new());
            while left > 0 {
                let wall = calendar.zone().to_datetime(now);
                if today.0 != wall.date() {
                    today = (wall.date(), minutes_of(calendar.hours_on(wall.date())));
                }
                let shown = i64::from(wall.hour()) * 60 + i64::from(wall.minute());
                left -= i64::from(today.1.iter().any(|open| open.contains(&shown)));
                now += SignedDuration::from_mins(1);
            }
            prop_assert_eq!(due(calendar, minutes, received), now, "{} {}", hours, received);
        }
    }

    #[test]
    fn same_as_two_crates_that_nobody_here_wrote(received in received(), minutes in 1_i64..4000) {
        for office in &*OFFICES {
            let ours = due(&office.ours, minutes, received);
            let (more, zone) = (SignedDuration::from_mins(minutes), office.ours.zone().iana_name());
            prop_assert_eq!(office.ule.add(received, more).ok(), Some(ours), "ule-hours, {:?} {}", zone, received);
            prop_assert_eq!(office.workclock.add(received, more).ok(), Some(ours), "workclock, {:?} {}", zone, received);
        }
    }
}
