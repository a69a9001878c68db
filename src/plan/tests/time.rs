//! Promises, segments and the traps of the clock.

use super::*;

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
fn sunday_begins_once_where_saturday_comes_back() {
    // St John's, 7 November 2010: one minute after midnight the clocks showed 23:01 of Saturday again.
    let calendar = sound(calendar("zone = \"America/St_Johns\"\nhours = { sun = [\"00:00-06:00\"] }", ""));
    let first_midnight = at("2010-11-07T00:00:00-02:30");
    let saturday_again = at("2010-11-06T23:30:00-03:30");
    assert!(!calendar.is_open_at(first_midnight - SignedDuration::from_nanos(1)));
    assert!(calendar.is_open_at(first_midnight));
    assert!(calendar.is_open_at(saturday_again));
    let whole = calendar.promise(&business(hours(7)), Impact::Low, at("2010-11-06T12:00:00-02:30"));
    assert_eq!(whole.due_by, at("2010-11-07T06:00:00-03:30"));
    let rest = calendar.promise(&business(hours(6)), Impact::Low, saturday_again);
    assert_eq!(rest.clock_starts, saturday_again);
    assert_eq!(rest.due_by, at("2010-11-07T05:30:00-03:30"));
    assert_eq!(calendar.segments(&rest).len(), 1);
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
