//! `acuse calendar`: business hours and holidays, for people to check and to add to.

use clap::Subcommand;
use jiff::SignedDuration;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::context::{Context, table};
use super::report::{Code, Done, Failure};
use crate::plan::{Calendar, Interval};

mod import;

/// `acuse calendar …`
#[derive(Debug, Subcommand)]
pub enum CalendarVerb {
    /// Show a year: the hours of its weeks, its holidays and exceptions, and how much that makes
    Show {
        /// The year [default: this one]
        #[arg(long)]
        year: Option<i16>,
    },
    /// Add the closing days of an iCalendar file (.ics): all-day events, once or every year
    ///
    /// They go to holidays-imported.toml in local_dir, which is part of the calendar without being named there. What the
    /// calendar has already is left alone, and nothing is ever removed: that file is yours to edit. `acuse reload` puts
    /// it in force.
    Import(import::ImportArgs),
}

/// Shows a year of the calendar, or adds to it.
pub fn calendar(context: &Context, verb: &CalendarVerb) -> Done {
    match verb {
        CalendarVerb::Show { year } => show(context, *year),
        CalendarVerb::Import(args) => import::import(context, args),
    }
}

fn show(context: &Context, year: Option<i16>) -> Done {
    let config = context.named_config()?;
    let policy = context.policy(config.as_ref())?;
    let calendar = &policy.calendar;
    let year = match year {
        Some(year) if (1..=9999).contains(&year) => year,
        Some(year) => {
            return Err(Failure::new(Code::Usage, format!("{year} is no year"))
                .hint("write four digits, such as 2026"));
        }
        None => calendar.to_local(context.now(calendar.zone())?).year(),
    };
    super::sla::tell_if_beyond_lists(calendar, year);
    if context.json { context.json(&document(calendar, year)) } else { context.line(page(calendar, year)) }
}

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn weekday(date: Date) -> &'static str {
    let place = date.weekday().to_monday_zero_offset().unsigned_abs();
    WEEKDAYS.get(usize::from(place)).copied().unwrap_or_default()
}

/// The days that are open in a year, and the time they are.
fn working(calendar: &Calendar, year: i16) -> (usize, SignedDuration) {
    calendar
        .working_days(year)
        .fold((0, SignedDuration::ZERO), |(days, open), (_, more)| (days + 1, open + more))
}

/// What the hours of an ordinary week add up to, by the clock on the wall.
fn week(calendar: &Calendar) -> SignedDuration {
    calendar.hours().iter().flatten().map(Interval::length).sum()
}

fn written(hours: &[Interval]) -> Vec<String> {
    hours.iter().map(ToString::to_string).collect()
}

fn document(calendar: &Calendar, year: i16) -> Value {
    let (days, open) = working(calendar, year);
    let hours: serde_json::Map<String, Value> = WEEKDAYS
        .iter()
        .zip(calendar.hours())
        .map(|(day, hours)| (day.to_lowercase(), json!(written(hours))))
        .collect();
    let holidays = calendar
        .holidays_of_year(year)
        .into_iter()
        .map(|holiday| json!({ "date": holiday.date.to_string(), "name": holiday.name, "law": holiday.law }));
    let exceptions = calendar.exceptions().iter().filter(|(date, _)| date.year() == year);
    json!({
        "year": year,
        "zone": calendar.zone().iana_name(),
        "hours": hours,
        "week_s": week(calendar).as_secs(),
        "holidays": holidays.collect::<Vec<_>>(),
        "listed_until": calendar.listed_until().map(|date| date.to_string()),
        "exceptions": exceptions
            .map(|(date, hours)| json!({ "date": date.to_string(), "hours": written(hours) }))
            .collect::<Vec<_>>(),
        "working_days": days,
        "working_s": open.as_secs(),
    })
}

fn page(calendar: &Calendar, year: i16) -> String {
    let or_closed = |hours: &[Interval]| match hours {
        [] => "closed".to_owned(),
        hours => written(hours).join(", "),
    };
    let mut week_of = table(&["day", "hours"]);
    for (day, hours) in WEEKDAYS.iter().zip(calendar.hours()) {
        week_of.add_row([(*day).to_owned(), or_closed(hours)]);
    }
    let mut dates = table(&["date", "day", "holiday", "law"]);
    for holiday in calendar.holidays_of_year(year) {
        let open = calendar.holiday_on(holiday.date).is_none();
        let name =
            if open { format!("{} (an exception, below)", holiday.name) } else { holiday.name.to_owned() };
        let law = holiday.law.unwrap_or("-").to_owned();
        dates.add_row([holiday.date.to_string(), weekday(holiday.date).to_owned(), name, law]);
    }
    let mut exceptions = table(&["date", "day", "exception"]);
    for (date, hours) in calendar.exceptions().iter().filter(|(date, _)| date.year() == year) {
        exceptions.add_row([date.to_string(), weekday(*date).to_owned(), or_closed(hours)]);
    }
    let (days, open) = working(calendar, year);
    let mut parts = vec![
        format!("{year}, in {}", calendar.zone().iana_name().unwrap_or("a zone without a name")),
        format!("{week_of}\n{} a week", hours_of(week(calendar))),
    ];
    parts.push(match dates.is_empty() {
        true => "no holidays".to_owned(),
        false => dates.to_string(),
    });
    if !exceptions.is_empty() {
        parts.push(exceptions.to_string());
    }
    parts.push(format!("{days} working days, {} in all", hours_of(open)));
    parts.join("\n\n")
}

/// `54 h`, `49 h 30 min`.
fn hours_of(time: SignedDuration) -> String {
    match (time.as_hours(), time.as_mins() % 60) {
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
