//! The crash table of ARCHITECTURE.md, row by row: a real kill -9 at exactly that point, what is then on the server and
//! in the database, and what a restart makes of it.
//!
//! No hook in the program helps: the servers hold an answer back, or the test holds the database's write lock or has
//! a trigger in it that never ends, until the daemon can be nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test, whose mails arrive now"
)]

use support::acuse::USER;
use support::eventually;
use support::imap_peer::Fault;
use support::smtp_peer::{self, Fate, Step};
use support::stage::{Stage, mail};

mod support;

const ANA: &str = "ana@cliente.example";
const LISTING: &str = "UID FETCH RFC822.SIZE";
const BODY: &str = "UID FETCH BODY.PEEK[]";
const DONE: &str = "Acuse/Procesados";

fn open() -> Stage {
    Stage::open(|site| site)
}

/// The mails of the inbox are as they came: nothing flagged, moved or deleted.
fn assert_server_untouched(stage: &Stage, mails: usize) {
    let inbox = stage.imap.messages(USER, "INBOX");
    assert_eq!(inbox.len(), mails);
    assert!(inbox.iter().all(|mail| mail.flags.is_empty()), "{inbox:?}");
    assert!(stage.imap.messages(USER, DONE).is_empty());
}

/// One ticket, acknowledged by one mail.
fn assert_one_of_each(stage: &Stage) {
    let sent = stage.in_state(ANA, "sent");
    sent.assert_copies(&stage.smtp.mails());
    assert_eq!(stage.smtp.mails().len(), 1);
    assert_eq!(stage.count("SELECT count(*) FROM ticket"), 1);
    assert_eq!(stage.count("SELECT count(*) FROM outbox"), 1);
    assert_eq!(stage.imap.messages(USER, DONE).len(), 1);
    stage.assert_whole();
}

#[test]
fn after_the_fetch_it_is_fetched_again() {
    let mut stage = open();
    stage.imap.fault(BODY, 1, Fault::Hold);
    stage.receive(ANA, "Servidor caído");
    stage.imap.wait_for(BODY, 1);
    let lock = stage.database();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap(); // no claim can be made
    stage.imap.release();
    stage.site.kill9();
    lock.execute_batch("ROLLBACK").unwrap();

    assert_server_untouched(&stage, 1);
    assert_eq!(stage.count("SELECT count(*) FROM arrival"), 0);
    stage.restart();
    assert_eq!(stage.imap.count(BODY), 2);
    assert_one_of_each(&stage);
}

/// Lets some mails be claimed, and kills the daemon before it has them: the server gives none of them at first, and
/// the daemon asks whether they are still there.
fn kill_after_the_claim(stage: &mut Stage, mails: &[&str]) {
    stage.imap.fault(BODY, 1, Fault::Raw(b"{tag} OK nothing to see\r\n".to_vec()));
    stage.imap.fault(LISTING, 2, Fault::Hold);
    let listed = stage.imap.count(LISTING);
    let mails: Vec<Vec<u8>> = mails.iter().map(|from| mail(from, "Servidor caído")).collect();
    stage.imap.deliver_at_once(USER, "INBOX", &mails, jiff::Timestamp::now());
    stage.imap.wait_for(LISTING, listed + 2);
    stage.site.kill9();
}

#[test]
fn after_the_claim_they_are_fetched_again_one_by_one() {
    let mut stage = open();
    let customers = ["a@uno.example", "b@dos.example", "c@tres.example"];
    kill_after_the_claim(&mut stage, &customers);

    assert_server_untouched(&stage, 3);
    assert_eq!(stage.count("SELECT count(*) FROM arrival WHERE outcome IS NULL AND alone = 0"), 3);
    assert_eq!(stage.count("SELECT count(*) FROM message"), 0);
    assert_eq!(stage.count("SELECT count(*) FROM outbox"), 0);

    let before = stage.imap.commands().len();
    stage.restart();
    let commands = stage.imap.commands();
    let bodies = commands[before..].iter().filter(|command| command.line.contains("BODY.PEEK[]"));
    let sets: Vec<_> = bodies.map(|command| command.line.split(' ').nth(2).unwrap().to_owned()).collect();
    assert_eq!(sets, ["1", "2", "3"], "one by one");
    for customer in customers {
        let sent = stage.in_state(customer, "sent");
        let copies = stage.smtp.mails_to(customer);
        sent.assert_copies(&copies);
        assert_eq!(copies.len(), 1);
    }
    assert_eq!(stage.count("SELECT count(*) FROM ticket"), 3);
    stage.assert_whole();
}

#[test]
fn what_is_redone_and_stays_in_its_folder_is_not_taken_in_again() {
    for after in ["keep", "flag"] {
        let mut stage = Stage::open(|site| site.set("mailbox.0.after", after));
        kill_after_the_claim(&mut stage, &[ANA, "b@dos.example"]);
        stage.restart();
        let check = stage.site.assert_conserved();
        assert_eq!((&check["opened"], &check["duplicate"]), (&2.into(), &0.into()), "{after}: {check:#}");
        assert_eq!(stage.count("SELECT count(*) FROM event WHERE kind = 'seen_again'"), 0, "{after}");
        assert_eq!(stage.imap.messages(USER, "INBOX").len(), 2);
    }
}

#[test]
fn after_the_commit_it_is_settled_and_nothing_is_done_twice() {
    let mut stage = open();
    stage.imap.fault("UID MOVE", 1, Fault::Hold);
    stage.receive(ANA, "Servidor caído");
    stage.imap.wait_for("UID MOVE", 1);
    stage.in_state(ANA, "sent"); // the acknowledgement waits for nobody (I11)
    stage.site.kill9();

    assert_server_untouched(&stage, 1);
    let stored = "SELECT count(*) FROM arrival JOIN message ON message.id = arrival.message
                  WHERE arrival.outcome = 'opened' AND settled = 0 AND ticket = 1";
    assert_eq!(stage.count(stored), 1);
    assert_eq!(stage.count("SELECT count(*) FROM event WHERE kind = 'open' AND ticket = 1"), 1);
    stage.restart();
    assert_eq!(stage.imap.count(BODY), 1, "what is stored is not fetched again");
    assert_one_of_each(&stage);
}

#[test]
fn after_the_commit_an_acknowledgement_that_was_not_offered_yet_is_sent_once() {
    let mut stage = open();
    stage.imap.fault("UID MOVE", 1, Fault::Hold);
    stage.smtp.fault_always(Step::Mail, smtp_peer::Fault::Silent);
    stage.receive(ANA, "Servidor caído");
    stage.imap.wait_for("UID MOVE", 1);
    stage.in_state(ANA, "sending");
    stage.site.kill9();
    stage.restart();
    assert_one_of_each(&stage);
}

#[test]
fn after_the_move_whose_answer_was_lost_it_is_known_to_be_settled() {
    let mut stage = open();
    stage.imap.fault("UID MOVE", 1, Fault::CutAt(0));
    stage.imap.fault_always("GREETING", Fault::Silent); // it cannot ask again
    stage.receive(ANA, "Servidor caído");
    stage.imap.wait_for_mails(USER, DONE, 1);
    stage.in_state(ANA, "sent");
    stage.site.kill9();
    assert_eq!(stage.count("SELECT count(*) FROM arrival WHERE settled = 0 AND outcome = 'opened'"), 1);
    stage.restart();
    assert_eq!(stage.imap.count(BODY), 1);
    assert_one_of_each(&stage);
}

#[test]
fn after_settling_nothing_is_left_to_do() {
    let mut stage = open();
    stage.receive(ANA, "Servidor caído");
    stage.in_state(ANA, "sent");
    stage.wait_for_count(1, "SELECT count(*) FROM arrival WHERE settled = 1");
    stage.site.kill9();
    assert_eq!(stage.imap.messages(USER, DONE).len(), 1);
    stage.restart();
    assert_eq!(stage.imap.count(BODY), 1);
    assert_eq!(stage.imap.count("UID MOVE"), 1);
    assert_one_of_each(&stage);
}

#[test]
fn after_the_final_dot_it_is_sent_once_more_unchanged() {
    let mut stage = open();
    stage.smtp.fault(Step::Dot, 1, smtp_peer::Fault::Silent);
    stage.receive(ANA, "Servidor caído");
    stage.smtp.wait_for_mails(1);
    stage.site.kill9();
    let before = stage.in_state(ANA, "sending");
    assert_eq!(before.attempts, 1, "counted before it was made");

    // even when the promise has passed meanwhile: the customer may have the first copy
    stage.database().execute("UPDATE promise SET due_by = 1000", []).unwrap();
    stage.restart();
    let sent = stage.in_state(ANA, "sent");
    assert_eq!((sent.attempts, sent.kind.as_str()), (2, "ack"));
    assert_eq!(sent.bytes, before.bytes);
    let mails = stage.smtp.mails();
    sent.assert_copies(&mails);
    let fates: Vec<_> = mails.iter().map(|mail| &mail.fate).collect();
    assert_eq!(fates, [&Fate::Unanswered, &Fate::Accepted], "once more, and no more");

    stage.site.kill9();
    stage.restart();
    assert_eq!(stage.in_state(ANA, "sent").attempts, 2);
    assert_eq!(stage.smtp.mails().len(), 2);
    stage.assert_whole();
}

#[test]
fn while_a_dead_relay_is_waited_for_nothing_is_frozen() {
    let mut stage = open();
    stage.smtp.fault_always(Step::Connect, smtp_peer::Fault::Silent);
    stage.receive(ANA, "Servidor caído");
    eventually("the relay is called", || (stage.smtp.connections() > 0).then_some(()));
    let waiting = stage.row(ANA, "state = 'due' AND attempts = 0");
    stage.site.kill9();
    stage.database().execute("UPDATE promise SET due_by = 1000", []).unwrap();
    stage.restart();
    let sent = stage.in_state(ANA, "sent");
    assert_eq!((sent.kind.as_str(), &sent.message_id), ("late", &waiting.message_id));
    sent.assert_copies(&stage.smtp.mails());
    stage.assert_whole();
}

/// What a mail that was read from its headers alone has become (I2).
fn assert_read_from_headers(stage: &Stage, raw: &[u8]) {
    stage.wait_for_tickets(1);
    assert_eq!(stage.count("SELECT count(*) FROM ticket WHERE flags LIKE '%headers_only%'"), 1);
    let database = stage.database();
    let (subject, packed): (String, Vec<u8>) = database
        .query_row("SELECT subject, zstd FROM message JOIN raw ON raw.hash = message.raw", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(subject, "Servidor caído");
    assert_eq!(zstd::bulk::decompress(&packed, raw.len()).unwrap(), raw, "its exact bytes are kept");
    let silent = "SELECT count(*) FROM event WHERE kind = 'silent' AND detail ->> 'because' = 'not_readable'";
    assert_eq!(stage.count(silent), 1);
    assert_eq!(stage.smtp.mails().len(), 0);
    stage.assert_whole();
}

#[test]
fn a_mail_that_killed_us_twice_while_alone_is_read_from_its_headers() {
    let mut stage = open();
    kill_after_the_claim(&mut stage, &[ANA]);
    stage.database().execute("UPDATE arrival SET alone = 2", []).unwrap();
    stage.restart();
    assert_read_from_headers(&stage, &mail(ANA, "Servidor caído"));
}

/// Storing a mail takes for ever from now on.
const STORING_NEVER_ENDS: &str = "
    CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;
    CREATE TRIGGER slow BEFORE INSERT ON message BEGIN SELECT * FROM endless; END;";

#[test]
fn only_ends_while_a_mail_is_alone_count_against_it() {
    let mut stage = open();
    kill_after_the_claim(&mut stage, &[ANA]);
    stage.database().execute_batch(STORING_NEVER_ENDS).unwrap();
    for deaths in 1..=2 {
        stage.imap.no_faults();
        stage.imap.fault(BODY, 1, Fault::Hold);
        let asked = stage.imap.count(BODY);
        stage.site.run();
        stage.imap.wait_for(BODY, asked + 1);
        assert_eq!(stage.count("SELECT alone FROM arrival"), deaths - 1, "it is still the network's turn");
        stage.imap.release();
        stage.wait_for_count(deaths, "SELECT alone FROM arrival");
        stage.site.kill9();
        assert_eq!(stage.count("SELECT alone FROM arrival"), deaths);
        assert_server_untouched(&stage, 1);
    }
    stage.database().execute_batch("DROP TRIGGER slow; DROP VIEW endless").unwrap();
    stage.restart();
    assert_read_from_headers(&stage, &mail(ANA, "Servidor caído"));
}

#[test]
fn an_end_by_sigterm_does_not_count_against_a_mail() {
    let mut stage = open();
    kill_after_the_claim(&mut stage, &[ANA]);
    stage.imap.no_faults();
    stage.imap.fault_always(BODY, Fault::Silent);
    for asked in [2, 3] {
        stage.site.run();
        stage.imap.wait_for(BODY, asked);
        assert!(stage.site.stop().success());
    }
    stage.restart();
    assert_one_of_each(&stage);
    assert_eq!(stage.count("SELECT count(*) FROM ticket WHERE flags = ''"), 1);
}

#[test]
fn broken_sessions_do_not_count_against_a_mail() {
    let mut stage = open();
    kill_after_the_claim(&mut stage, &[ANA]);
    stage.imap.no_faults();
    stage.imap.release();
    for nth in 1..=2 {
        stage.imap.fault(BODY, nth, Fault::Close);
    }
    stage.site.run();
    assert_one_of_each(&stage);
    assert_eq!(stage.count("SELECT count(*) FROM ticket WHERE flags = ''"), 1);
}
