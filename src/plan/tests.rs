//! Business time as its files write it: the fixtures that the tests below share.

mod levels;
mod schedule;
mod holidays;
mod import;
mod time;

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
