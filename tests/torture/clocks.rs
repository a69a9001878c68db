//! Wrong clocks and foreign zones: whatever the host's time does, each mail is one ticket, and its promise is what the
//! calendar says of when it came (I10).

use std::time::Instant;

use acuse::plan::Promise;
use acuse::policy::{Policy, PolicyFiles};
use acuse::ticket::PlanId;
use jiff::{SignedDuration, Timestamp};

use super::support::disk::Disk;
use super::support::smtp_peer::{Fault, Step};
use super::support::stage::Stage;
use super::support::{PATIENCE, eventually, within};
use super::{Dice, Progress, report, unlimited};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A promise as the database has it, and whom it was made to.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    requester: String,
    received: Timestamp,
    clock_starts: Timestamp,
    expected_from: Option<Timestamp>,
    due_by: Timestamp,
}

/// The promises of every ticket, each held against the calendar's own word.
fn promises(stage: &Stage, policy: &Policy) -> Vec<Made> {
    let database = stage.database();
    let sql = "SELECT requester, promise.plan, promise.impact, received, clock_starts, expected_from, due_by
               FROM promise JOIN ticket ON ticket.id = promise.ticket ORDER BY requester";
    let mut rows = database.prepare(sql).unwrap();
    let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        let text = |column| row.get::<_, String>(column).unwrap();
        let expected_from: Option<i64> = row.get(5)?;
        let made = Made {
            requester: text(0),
            received: at(row.get(3)?),
            clock_starts: at(row.get(4)?),
            expected_from: expected_from.map(at),
            due_by: at(row.get(6)?),
        };
        let plan = policy.plans.plan(&PlanId(text(1))).expect("a plan of the policy");
        let Promise { clock_starts, expected_from, due_by, .. } =
            policy.calendar.promise(plan, text(2).parse().unwrap(), made.received);
        let calendar =
            Made { requester: text(0), received: made.received, clock_starts, expected_from, due_by };
        assert_eq!(made, calendar, "neither earlier than the calendar allows nor later than promised");
        Ok(made)
    };
    rows.query_map([], read).unwrap().map(Result::unwrap).collect()
}

fn policy() -> Policy {
    Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy")
}

/// Our time as a server's clock of whole seconds has it.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at + SignedDuration::from_secs(seconds)
}

#[test]
fn when_the_clock_jumps_each_mail_is_one_ticket_with_the_promise_of_its_arrival() {
    let (seed, start, policy) = (Dice::seed(), Instant::now(), policy());
    let jumps = [HOUR, DAY, -HOUR, -DAY];
    for jump in jumps {
        let (mut stage, disk) = Stage::on_disk(unlimited, |_, _| {});
        stage.receive("ana@antes.example", "Servidor caído");
        stage.in_state("ana@antes.example", "sent");
        let before = now();
        disk.shift_clock(jump);
        // one server's clock jumps with ours, another's does not
        let (with_us, alone) = (later(now(), jump), now());
        stage.receive_at("luis@salta.example", "Servidor caído", with_us);
        stage.receive_at("eva@queda.example", "Servidor caído", alone);
        Progress { site: &stage.site, smtp: &stage.smtp }.wait_for(3);
        let after = later(now(), 1);

        let made = promises(&stage, &policy);
        let received: Vec<_> = made.iter().map(|made| (made.requester.as_str(), made.received)).collect();
        let [(ana, _), (eva, alone_at), (luis, with_us_at)] = received[..] else { panic!("{received:?}") };
        assert_eq!([ana, eva, luis], ["ana@antes.example", "eva@queda.example", "luis@salta.example"]);
        assert_eq!(with_us_at, with_us, "{jump}");
        match jump {
            ..0 => {
                let clock = later(before, jump)..=later(after, jump);
                assert!(clock.contains(&alone_at), "{jump}: no mail comes from the future: {alone_at}");
            }
            _ => assert_eq!(alone_at, alone, "{jump}: later news is no later mail"),
        }
        // a mail that comes a day late is past its acknowledgement's time
        let silent = i64::from(jump == DAY);
        assert_eq!(stage.count("SELECT count(*) FROM outbox WHERE state = 'sent'"), 3 - silent, "{jump}");
        disk.shift_clock(0);
        stage.receive("leo@despues.example", "Servidor caído");
        Progress { site: &stage.site, smtp: &stage.smtp }.wait_for(4);
        stage.in_state("leo@despues.example", "sent");
        stage.assert_whole();
        assert_eq!(stage.count("SELECT count(DISTINCT requester) FROM ticket"), 4);
        assert_eq!(stage.count("SELECT count(*) FROM ticket"), 4);
        assert_eq!(stage.smtp.mails().len() as i64, 4 - silent, "{jump}: nothing is sent twice");
        assert!(stage.site.stop().success());
    }
    report(
        "clock jump",
        seed,
        start,
        &format!("{jumps:?} s, there and back: 0 lost, every promise as of its arrival"),
    );
}

/// A host without a battery, before the network has told it the time.
#[test]
fn a_host_that_starts_in_1970_is_refused_and_loses_nothing() {
    let policy = policy();
    let (mut stage, disk) = Stage::on_disk(unlimited, |_, _| {});
    assert!(stage.site.stop().success());
    disk.shift_clock(60 - Timestamp::now().as_second());
    stage.receive("ana@antes.example", "Servidor caído");
    stage.site.start();
    assert!(!stage.site.becomes_ready(), "{}", stage.site.log());
    assert_eq!(stage.site.wait_for_end().code(), Some(75), "{}", stage.site.log());
    let refused = || {
        let log = stage.site.log();
        (log.contains("the clock shows 1970-01-01T") && log.contains("it was never set")).then_some(())
    };
    eventually("the refusal", refused);
    assert_eq!(stage.count("SELECT count(*) FROM arrival"), 0);
    disk.shift_clock(0);
    stage.site.run();
    stage.receive("leo@despues.example", "Servidor caído");
    Progress { site: &stage.site, smtp: &stage.smtp }.wait_for(2);
    stage.assert_whole();
    assert_eq!(promises(&stage, &policy).len(), 2);
    stage.in_state("ana@antes.example", "sent");
    stage.in_state("leo@despues.example", "sent");
    assert_eq!(stage.smtp.mails().len(), 2);
}

/// When the clocks of three zones change in 2026: Madrid's forward, Santiago's back, Lord Howe's by half an hour.
const CHANGES: [&str; 3] = ["2026-03-29T01:00:00Z", "2026-04-05T03:00:00Z", "2026-10-03T15:30:00Z"];

#[test]
fn the_zone_of_the_host_and_its_daylight_saving_change_no_promise() {
    let (seed, start, policy) = (Dice::seed(), Instant::now(), policy());
    let zones = ["America/Santiago", "Europe/Madrid", "Australia/Lord_Howe", ":no/such <zone>"];
    let mut known: Option<Vec<Made>> = None;
    for zone in zones {
        let set_clock =
            |disk: &Disk, to: Timestamp| disk.shift_clock(to.as_second() - Timestamp::now().as_second());
        let change = |index: usize| CHANGES[index].parse::<Timestamp>().unwrap();
        let (stage, disk) = Stage::on_disk(unlimited, |site, disk| {
            site.set_env("TZ", zone);
            set_clock(disk, change(0));
        });
        let mut mails = 0;
        for index in 0..CHANGES.len() {
            set_clock(&disk, later(change(index), 2 * HOUR));
            for around in [-HOUR, -1, 0, 1, HOUR] {
                let from = format!("ana@cliente{mails:02}.example");
                stage.receive_at(&from, "Servidor caído", later(change(index), around));
                mails += 1;
            }
            Progress { site: &stage.site, smtp: &stage.smtp }.wait_for(mails);
        }
        stage.assert_whole();
        assert_eq!(stage.smtp.mails().len() as i64, mails);
        let made = promises(&stage, &policy);
        assert_eq!(made.len() as i64, mails);
        assert!(known.is_none_or(|known| known == made), "TZ={zone}");
        known = Some(made);
    }
    report("zones", seed, start, &format!("{zones:?} at {CHANGES:?}: the same promises"));
}

/// Three acknowledgements wait for a relay that is out of order; the clock jumps, and the relay is there again.
fn wait_through(jump: i64) -> Stage {
    let (stage, disk) = Stage::on_disk(unlimited, |_, _| {});
    stage.smtp.fault_always(Step::Rcpt, Fault::Reply("451 4.2.0 later"));
    for from in WAITING {
        stage.receive(from, "Servidor caído");
        stage.deferred(from);
    }
    disk.shift_clock(jump);
    stage.smtp.no_faults();
    stage.receive_at("leo@despues.example", "Servidor caído", later(now(), jump));
    stage.in_state("leo@despues.example", "sent");
    stage
}

const WAITING: [&str; 3] = ["ana@espera.example", "luis@aguarda.example", "eva@confia.example"];

/// The outbox looks up every half a minute, clock or no clock.
fn assert_sent(stage: &Stage, jump: i64) {
    let sent = "SELECT count(*) FROM outbox WHERE state = 'sent'";
    let all = WAITING.len() as i64 + 1;
    let met = within(3 * PATIENCE, || (stage.count(sent) == all).then_some(()));
    assert!(met.is_some(), "{jump}: {:#?}; log:\n{}", stage.site.outbox(), stage.site.log());
    for from in WAITING {
        stage.in_state(from, "sent").assert_copies(&stage.smtp.mails_to(from));
    }
    stage.assert_whole();
}

#[test]
fn a_jump_forward_does_not_expire_what_waits() {
    for jump in [HOUR, DAY] {
        assert_sent(&wait_through(jump), jump);
    }
}

#[test]
fn a_jump_backward_does_not_stall_what_waits() {
    for jump in [-HOUR, -DAY] {
        assert_sent(&wait_through(jump), jump);
    }
}
