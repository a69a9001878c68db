//! The outbox on given times: what no daemon can be made to wait for.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::*;
use crate::store::{Store, create, ms};

const HOUR: i64 = 3600;
/// In the middle of an hour.
const NOW: i64 = 1_800_000_000 + HOUR / 2;

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// A database without anything but outbox rows.
fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path()).unwrap();
    store.connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    (directory, store)
}

/// Rows made at this time, in this state.
fn rows(store: &Store, count: i64, created: i64, state: &str, held_by: Option<&str>) {
    let sql = "INSERT INTO outbox (ticket, message, kind, recipient, domain, serial, message_id, state, created,
                                   next_attempt, expires, known, held_by)
               SELECT n, n, 'ack', 'a' || n || '@b.example', 'b.example', 1, n, ?2, ?3, ?3, ?3 + 21600000, 0, ?4
               FROM (WITH RECURSIVE k (n) AS (SELECT 1 + (SELECT coalesce(max(ticket), 0) FROM outbox) UNION ALL
                     SELECT n + 1 FROM k LIMIT ?1) SELECT n FROM k)";
    store.connection.execute(sql, params![count, state, ms(time(created)), held_by]).unwrap();
    let letters = "INSERT OR IGNORE INTO letter (outbox, bytes) SELECT id, x'' FROM outbox";
    store.connection.execute(letters, []).unwrap();
}

fn states(store: &Store) -> Vec<OutboxState> {
    let rows = store.read(|tx| tx.outbox(None)).unwrap();
    rows.iter().rev().map(|row| row.state).collect()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[test]
fn the_usual_hour_is_one_that_had_any_and_was_not_held() {
    let (_directory, mut store) = store();
    let look = |store: &mut Store| store.transaction(|tx| tx.mind_breaker(100, time(NOW))).unwrap();
    for day in 1..=20 {
        rows(&store, 30, NOW - day * 24 * HOUR, "sent", None);
    }
    rows(&store, 9000, NOW - 29 * 24 * HOUR, "sent", None); // too long ago to be usual
    rows(&store, 9000, NOW - 3 * HOUR, "expired", Some("breaker")); // a flood is not usual
    rows(&store, 299, NOW - 10, "due", None);
    assert_eq!(look(&mut store), Breaker::Rests);
    rows(&store, 1, NOW, "due", None);
    assert_eq!(look(&mut store), Breaker::Trips(Rate { last_hour: 300, usual: 30 }));
    assert_eq!(look(&mut store), Breaker::Holds);
    rows(&store, 5000, NOW + 10 * HOUR, "sent", None); // made under a clock that was ahead
    assert_eq!(look(&mut store), Breaker::Holds);
    store.connection.execute("DELETE FROM outbox WHERE state = 'due' AND id % 2", []).unwrap();
    assert_eq!(look(&mut store), Breaker::Holds, "150 are half of 300");
    rows(&store, 4, NOW, "held", Some("breaker"));
    store.connection.execute("DELETE FROM outbox WHERE state = 'due'", []).unwrap();
    assert_eq!(look(&mut store), Breaker::Resumes(4));
    assert_eq!(look(&mut store), Breaker::Rests);
}

#[test]
fn a_clock_that_jumped_expires_nothing_and_what_is_due_goes_out() {
    let (_directory, mut store) = store();
    rows(&store, 2, NOW, "due", None);
    rows(&store, 1, NOW, "held", Some("restored"));
    let tend = |store: &mut Store, may_expire| {
        store.transaction(|tx| tx.tend(minutes(30), may_expire, time(NOW + 24 * HOUR))).unwrap()
    };
    assert_eq!(tend(&mut store, false), 0);
    assert_eq!(states(&store), [OutboxState::Due, OutboxState::Due, OutboxState::Held]);
    assert_eq!(tend(&mut store, true), 3);
    assert_eq!(states(&store), [OutboxState::Expired; 3]);
    let alerts = "SELECT count(*) FROM alert WHERE kind = 'ack_expired' AND ended IS NULL";
    assert_eq!(store.connection.query_row(alerts, [], |row| row.get(0)), Ok(3));
}

#[test]
fn a_clock_set_back_stalls_nothing() {
    let (_directory, mut store) = store();
    rows(&store, 1, NOW, "due", None);
    let mut next_after = |now: i64| {
        store.transaction(|tx| tx.tend(minutes(30), true, time(now))).unwrap();
        store.read(|tx| tx.next_attempt()).unwrap()
    };
    assert_eq!(next_after(NOW - 30 * 60), Some(time(NOW)), "a wait of the schedule is left alone");
    assert_eq!(next_after(NOW - 24 * HOUR), Some(time(NOW - 24 * HOUR)));
}

#[test]
fn what_the_relay_never_heard_of_stays_as_it_was() {
    let (_directory, mut store) = store();
    rows(&store, 1, NOW, "due", None);
    let before = store.read(|tx| tx.outbox(None)).unwrap().remove(0);
    let due = store.transaction(|tx| tx.take(before.id)).unwrap();
    assert_eq!((due.attempts, states(&store)[0]), (1, OutboxState::Sending));
    let untried = Delivery::Untried(Some("refused".to_owned()));
    store.transaction(|tx| tx.delivered(due.id, &untried, false, time(NOW + 60))).unwrap();
    let after = store.read(|tx| tx.outbox(None)).unwrap().remove(0);
    assert_eq!(after, OutboxRow { last_error: Some("refused".to_owned()), ..before });
    assert_eq!(store.read(|tx| tx.tried_since(time(0))).unwrap(), []);
}

/// The relay may have it: at the second time a person decides, and at each one after.
#[test]
fn a_dot_that_nobody_answers_is_sent_once_more_and_then_held() {
    let (_directory, mut store) = store();
    rows(&store, 1, NOW, "due", None);
    let take = |store: &mut Store| store.transaction(|tx| tx.take(1)).unwrap().unanswered;
    let note = |store: &mut Store, delivery| {
        store.transaction(|tx| tx.delivered(1, &delivery, true, time(NOW))).unwrap();
    };
    let silence = || "no answer within 2s".to_owned();
    assert!(!take(&mut store));
    note(&mut store, Delivery::Later(time(NOW), "451 not now".to_owned()));
    assert!(!take(&mut store), "it said no");
    note(&mut store, Delivery::OnceMore(time(NOW), silence()));
    assert_eq!(states(&store), [OutboxState::Due]);
    for _ in 0..2 {
        assert!(take(&mut store));
        note(&mut store, Delivery::Unanswered(silence()));
        let row = store.read(|tx| tx.outbox(None)).unwrap().remove(0);
        assert_eq!((row.state, row.held_by.as_deref()), (OutboxState::Held, Some("unanswered")));
        assert_eq!((row.last_error, standing(&store)), (Some(silence()), vec!["ack_held".to_owned()]));
        assert_eq!(store.transaction(|tx| tx.let_go(HeldBy::Unanswered, None, time(NOW))).unwrap(), 1);
    }
}

/// Its ticket was deleted while it was being offered, or its outcome was noted and nobody heard.
#[test]
fn an_outcome_without_a_row_that_waits_for_it_is_no_error() {
    let (_directory, mut store) = store();
    rows(&store, 1, NOW, "sending", None);
    let note = |store: &mut Store, id, delivery| {
        store.transaction(|tx| tx.delivered(id, &delivery, true, time(NOW))).unwrap();
    };
    note(&mut store, 4711, Delivery::Sent);
    note(&mut store, 1, Delivery::Sent);
    note(&mut store, 1, Delivery::Refused("late".to_owned()));
    assert_eq!(states(&store), [OutboxState::Sent]);
    assert_eq!(store.read(|tx| tx.tried_since(time(NOW - 1))).unwrap(), [time(NOW)]);
}

/// The alerts that stand, in the order of their kinds.
fn standing(store: &Store) -> Vec<String> {
    let sql = "SELECT kind FROM alert WHERE ended IS NULL ORDER BY kind, subject";
    let mut kinds = store.connection.prepare(sql).unwrap();
    kinds.query_map([], |row| row.get(0)).unwrap().map(|kind| kind.unwrap()).collect()
}

#[test]
fn what_was_amiss_with_an_address_is_past_when_the_relay_takes_a_mail_for_it() {
    let (_directory, mut store) = store();
    rows(&store, 3, NOW, "sending", None);
    store.connection.execute("UPDATE outbox SET recipient = 'a@b.example'", []).unwrap();
    let note = |store: &mut Store, id, delivery| {
        store.transaction(|tx| tx.delivered(id, &delivery, true, time(NOW))).unwrap();
    };
    note(&mut store, 1, Delivery::Refused("550 5.7.1 not today".to_owned()));
    store.transaction(|tx| tx.alert(time(NOW), "ack_expired", "a@b.example", "")).unwrap();
    store.transaction(|tx| tx.alert(time(NOW), "ack_refused", "b@b.example", "")).unwrap();
    store.transaction(|tx| tx.hold(3, HeldBy::Unwritable, None, time(NOW))).unwrap();
    assert_eq!(standing(&store), ["ack_expired", "ack_held", "ack_refused", "ack_refused"]);
    note(&mut store, 2, Delivery::Sent);
    assert_eq!(standing(&store), ["ack_held", "ack_refused"], "one is held still, and one is another's");
    store.transaction(|tx| tx.tend(minutes(30), true, time(NOW + 24 * HOUR))).unwrap();
    assert_eq!(standing(&store), ["ack_expired", "ack_refused"], "it is held no longer");
}

/// The worker looks at these every few seconds, whatever the outbox holds.
#[test]
fn every_look_reads_an_index() {
    let (_directory, store) = store();
    for (sql, index) in [
        (
            "SELECT count(*) FROM outbox WHERE created > 1 AND created <= 2 AND held_by IS NOT 'breaker' AND kind != 'notify'",
            "outbox_created",
        ),
        ("SELECT id FROM outbox WHERE outbox.state IN ('due', 'held') AND expires <= 1", "outbox_expires"),
        ("SELECT id FROM outbox WHERE state = 'due' AND next_attempt > 1", "outbox_due"),
        ("SELECT tried FROM outbox WHERE tried > 1 ORDER BY tried", "outbox_tried"),
        ("SELECT id FROM outbox WHERE state = 'held' AND held_by = 'breaker'", "outbox_held"),
    ] {
        let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> =
            plan.query_map([], |row| row.get(3)).unwrap().map(|step| step.unwrap()).collect();
        assert!(steps.len() == 1 && steps[0].contains(index), "{sql}: {steps:?}");
    }
}

#[test]
fn acknowledgements_that_wait_for_half_an_hour_are_an_alert_until_they_are_gone() {
    let (_directory, mut store) = store();
    rows(&store, 2, NOW, "due", None);
    rows(&store, 1, NOW - HOUR, "held", Some("restored"));
    let look = |store: &mut Store, now| {
        store.transaction(|tx| tx.mind_waiting(time(now))).unwrap();
        standing(store)
    };
    assert_eq!(look(&mut store, NOW + 29 * 60), [""; 0]);
    assert_eq!(look(&mut store, NOW + 30 * 60), ["outbox_waits"]);
    store.connection.execute("UPDATE outbox SET state = 'sent' WHERE state = 'due'", []).unwrap();
    assert_eq!(look(&mut store, NOW + 31 * 60), [""; 0]);
}
