//! kill -9 at any moment, between a real Dovecot and a relay that keeps every copy.

use std::thread;
use std::time::{Duration, Instant};

use super::ledger::{Ledger, Tally};
use super::support::acuse::Site;
use super::support::dovecot::{self, Dovecot};
use super::support::smtp_peer::{self, SmtpPeer};
use super::support::{eventually, stage};
use super::{DONE, Dice, Progress, count, peek, report, size, unlimited};

/// Daemons that are killed beside one another, each with a mailbox and a relay of its own: as many as keep two cores
/// busy.
const LANES: u64 = 3;

/// What became of one daemon's mails.
struct Outcome {
    mails: u64,
    /// Kills at a moment counted from the spawn; the others are counted from when the daemon is ready.
    at_start: u64,
    /// Read from their headers: they were alone in the daemon's hand at two kills.
    unread: usize,
    tally: Tally,
}

#[test]
fn killed_at_any_moment_every_mail_is_one_ticket_with_one_acknowledgement() {
    let (kills, mails) = (size("TORTURE_KILLS", 510), size("TORTURE_MAILS", 4_000));
    let (seed, start) = (Dice::seed(), Instant::now());
    eprintln!("TORTURE_KILLS={kills} TORTURE_MAILS={mails} TORTURE_SEED={seed}");
    let options = dovecot::Options { extra: "mail_fsync = never".to_owned(), ..dovecot::Options::default() };
    let server = Dovecot::start_with(&options);
    let share = |all: u64, lane: u64| all / LANES + u64::from(lane < all % LANES);
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let lane = |lane| {
            let server = &server;
            scope.spawn(move || {
                kill_many_times(server, lane, share(kills, lane), share(mails, lane), Dice::new(seed, lane))
            })
        };
        let lanes: Vec<_> = (0..LANES).map(lane).collect();
        lanes.into_iter().map(|lane| lane.join().expect("the other lanes' words tell")).collect()
    });
    let sum = |what: fn(&Outcome) -> usize| outcomes.iter().map(what).sum::<usize>();
    let (again, unread) = (sum(|lane| lane.tally.again), sum(|lane| lane.unread));
    let stored: u64 = outcomes.iter().map(|lane| lane.mails).sum();
    let at_start: u64 = outcomes.iter().map(|lane| lane.at_start).sum();
    assert_eq!(stored, mails);
    assert_eq!(sum(|lane| lane.tally.acknowledged) + unread, usize::try_from(mails).unwrap());
    assert!(again as u64 <= kills, "{again} sent again at {kills} kills");
    assert!(
        unread as u64 <= kills / 10 + 5,
        "{unread} read from their headers at {kills} kills: far more than by chance"
    );
    let did = format!(
        "{kills} kills ({at_start} of them around the start), {mails} mails: 0 lost, {again} acknowledgements sent again, each killed in the \
         ambiguous window, {unread} read from their headers"
    );
    report("kill -9", seed, start, &did);
}

fn kill_many_times(server: &Dovecot, lane: u64, kills: u64, mails: u64, mut dice: Dice) -> Outcome {
    let user = format!("soporte{lane}");
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let site = Site::builder(server.imap(), smtp.address()).set("mailbox.0.user", user.as_str());
    let mut site = unlimited(site).init();
    let state_dir = site.state_dir();
    site.run();
    let enrolled = "SELECT count(*) FROM folder";
    eventually("an enrolled folder", || (count(&state_dir, enrolled) == 1).then_some(()));

    site.kill9();

    let (mut ledger, mut delivered, mut at_start) = (Ledger::default(), 0, 0);
    for left in (1..=kills).rev() {
        let rest = mails - delivered;
        let some = if left == 1 { rest } else { dice.below(2 * rest / left + 1).min(rest) };
        let batch =
            (delivered..delivered + some).map(|number| stage::mail(&requester(number), "Servidor caído"));
        delivered += some;
        // The moment of the kill is what is being tried, not what anything waits for.
        let from_spawn = dice.below(4) == 0;
        let moment = Duration::from_micros(dice.below(if from_spawn { 300_000 } else { 200_000 }));
        site.start();
        if !from_spawn {
            assert!(site.becomes_ready(), "its log:\n{}", site.log());
        }
        server.lay_into_inbox(&user, batch);
        thread::sleep(moment);
        site.kill9();
        ledger.end_of_life(&state_dir, &smtp);
        at_start += u64::from(from_spawn);
    }
    site.run();
    Progress { site: &site, smtp: &smtp }.wait_for(i64::try_from(mails).unwrap());

    assert!(site.stop().success());
    let check = site.assert_conserved();
    assert_eq!((&check["listed"], &check["opened"]), (&mails.into(), &mails.into()), "{check:#}");
    let database = peek(&state_dir);
    let mut rows = database.prepare("SELECT requester FROM ticket ORDER BY requester").unwrap();
    let ticketed: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut requesters: Vec<String> = (0..mails).map(requester).collect();
    requesters.sort();
    assert!(ticketed == requesters, "each mail is one ticket, and there is no other");
    let mut client = server.client(&user);
    assert_eq!(client.list("INBOX"), []);
    assert_eq!(client.list(DONE).len() as u64, mails, "each is moved, and once");
    assert_eq!(smtp.offences(), [""; 0]);
    // A mail that happened to be alone at two kills was read from its headers, and has no acknowledgement.
    let unread = count(
        &state_dir,
        "SELECT count(*) FROM ticket WHERE flags LIKE '%headers_only%' AND EXISTS
            (SELECT 1 FROM message JOIN arrival ON arrival.message = message.id WHERE message.ticket = ticket.id AND alone > 2)",
    );
    let tally = ledger.assert_acknowledgements(&state_dir, &smtp);
    Outcome { mails, at_start, unread: usize::try_from(unread).unwrap(), tally }
}

fn requester(number: u64) -> String {
    format!("ana@cliente{number}.example")
}
