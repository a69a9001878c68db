//! A database broken on purpose, one way at a time: the account says so, in its own words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::ingest::{self, Read, Reading};
use crate::mail::Address;
use crate::policy::{Policy, PolicyFiles};
use crate::site::Site;
use crate::store::{self, Account, DATABASE, Erasure, Intake};
use crate::ticket::TicketNumber;
use crate::token::Keyring;
use crate::triage::Arrival;

/// A Wednesday morning in Bogotá.
const NOW: &str = "2026-09-16T15:00:00Z";

/// A database in which everything has happened once: message 1 is in ticket 1 and its ack was sent, message 2 is in
/// ticket 2 and its ack is due, 3 is in quarantine row 1, 4 is a machine's and in ticket 3, 5 was erased with ticket 4,
/// and arrival 6 is message 1 again.
fn whole(directory: &Path) {
    let mut store = store::create(directory).unwrap();
    let policy = Policy::compile(&PolicyFiles::shipped()).0.unwrap();
    let address = Address::parse("soporte@mihost.example").unwrap();
    let keys = Keyring::new(vec![("1".to_owned(), [7; 32])]);
    let site = Site { addresses: vec![address.clone()], from: address, keys, ..Site::nobody() };
    let now: Timestamp = NOW.parse().unwrap();
    let arrival = Arrival { mailbox: "soporte".to_owned(), recipient: None, received: now, backlog: false };
    let mails = [
        "From: c1@cliente1.example\r\nSubject: Caso\r\n\r\nLa página no carga.\r\n",
        "From: c2@cliente2.example\r\nSubject: Caso\r\n\r\nLa página no carga.\r\n",
        "From: c3@cliente3.example\r\nPrecedence: bulk\r\nSubject: Oferta\r\n\r\nMire.\r\n",
        "From: c4@cliente4.example\r\nAuto-Submitted: auto-generated\r\nSubject: Caso\r\n\r\nNo carga.\r\n",
        "From: c5@cliente5.example\r\nSubject: Caso\r\n\r\nLa página no carga.\r\n",
        "From: c1@cliente1.example\r\nSubject: Caso\r\n\r\nLa página no carga.\r\n",
    ];
    for raw in mails {
        let read = Read::new(raw.as_bytes(), Reading::Whole, &policy).unwrap();
        ingest::unlisted(&mut store, Intake::Stdin, &read, &arrival, &site, &policy, now).unwrap();
    }
    let erased = store.transaction(|tx| tx.erase(TicketNumber(4), now)).unwrap();
    assert!(matches!(erased, Erasure::Done(erased) if (erased.messages, erased.acks) == (1, 1)));
    drop(store);
    change(
        directory,
        "UPDATE outbox SET state = 'sent', attempts = 1, sent = created WHERE message = 1;
         INSERT INTO event (at, ticket, kind, detail) SELECT created, ticket, 'acknowledged', json_object('outbox', id)
             FROM outbox WHERE message = 1;",
    );
}

/// Runs SQL that acuse never would: nothing is checked.
fn change(directory: &Path, sql: &str) {
    let database = Connection::open(directory.join(DATABASE)).unwrap();
    database.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
    database.execute_batch(sql).unwrap();
}

fn account(directory: &Path) -> Account {
    store::open(directory).unwrap().read(|tx| tx.account()).unwrap()
}

#[test]
fn whatever_is_broken_is_found_and_said() {
    let sound = tempfile::tempdir().unwrap();
    whole(sound.path());
    assert_eq!(account(sound.path()).problems, [""; 0]);
    assert_eq!(account(sound.path()).by_outcome, [4, 0, 1, 0, 1]);
    for (sql, sentence) in BROKEN {
        let broken = tempfile::tempdir().unwrap();
        std::fs::copy(sound.path().join(DATABASE), broken.path().join(DATABASE)).unwrap();
        change(broken.path(), sql);
        let problems = account(broken.path()).problems;
        assert!(problems.iter().any(|problem| problem == sentence), "after {sql}: {problems:#?}");
    }
}

#[test]
fn every_check_has_a_database_that_fails_it() {
    for (sentence, _) in [super::CONSERVATION, super::ONCE, super::AGREEMENT].into_iter().flatten() {
        assert!(BROKEN.iter().any(|(_, found)| found.ends_with(sentence)), "{sentence}");
    }
}

/// What breaks the database, and what is said of it then.
const BROKEN: &[(&str, &str)] = &[
    // conservation
    ("UPDATE arrival SET outcome = 'lost' WHERE id = 1", "6 mails were listed, 5 are accounted for"),
    (
        "UPDATE arrival SET reason = NULL WHERE id = 1",
        "1 mails have an outcome without a reason, or a reason without an outcome",
    ),
    ("UPDATE arrival SET intake = 'imap' WHERE id = 1", "1 mails of a mailbox have no folder or no UID"),
    (
        "UPDATE arrival SET message = NULL WHERE id = 1",
        "1 mails opened or joined a ticket and their message is gone",
    ),
    ("UPDATE arrival SET message = NULL WHERE id = 6", "1 duplicates do not say of which message"),
    ("DELETE FROM quarantine", "1 mails are quarantined and the quarantine does not know them"),
    (
        "UPDATE arrival SET outcome = 'ignored' WHERE id = 3",
        "1 quarantine rows belong to mails with another outcome",
    ),
    (
        "UPDATE arrival SET outcome = NULL, reason = NULL WHERE id = 3",
        "1 quarantine rows belong to mails with another outcome",
    ),
    ("UPDATE quarantine SET ended = 1", "1 quarantine rows ended and do not say how, or the other way round"),
    (
        "UPDATE quarantine SET ended_by = 'dropped'",
        "1 quarantine rows ended and do not say how, or the other way round",
    ),
    (
        "UPDATE arrival SET outcome = 'ignored' WHERE id = 1",
        "1 arrivals disagree with their message about the outcome",
    ),
    ("DELETE FROM arrival WHERE id = 1", "1 messages never arrived"),
    ("DELETE FROM raw WHERE hash = (SELECT raw FROM message WHERE id = 1)", "1 messages have lost their exact bytes"),
    ("UPDATE message SET raw = NULL WHERE id = 1", "1 messages have lost their exact bytes"),
    ("UPDATE message SET decision = NULL WHERE id = 1", "1 messages have lost the decision on them"),
    // once
    (
        "DROP INDEX message_content; UPDATE message SET content_hash = (SELECT content_hash FROM message WHERE id = 1)
         WHERE id = 2",
        "1 contents are stored twice",
    ),
    (
        "UPDATE message SET raw = (SELECT raw FROM message WHERE id = 1) WHERE id = 2",
        "1 exact bytes are two messages",
    ),
    ("UPDATE arrival SET outcome = 'opened' WHERE id = 6", "1 messages were taken in twice"),
    ("UPDATE message SET ticket = 1 WHERE id = 2", "1 tickets were opened twice"),
    ("UPDATE outbox SET message = 1, kind = 'late' WHERE message = 2", "1 mails were acknowledged twice"),
    (
        "UPDATE outbox SET promise = (SELECT promise FROM outbox WHERE message = 1) WHERE message = 2",
        "1 promises were acknowledged twice",
    ),
    (
        "INSERT INTO event (at, ticket, kind, detail) SELECT at, ticket, kind, detail FROM event WHERE kind = 'acknowledged'",
        "1 acknowledgements were accepted twice",
    ),
    // agreement
    (
        "UPDATE message SET ticket = NULL, role = NULL WHERE id = 1",
        "1 messages say that they are in a ticket and name none",
    ),
    (
        "UPDATE message SET ticket = 1, role = 'message' WHERE id = 3",
        "1 messages are in a ticket and say that they are not",
    ),
    ("UPDATE message SET role = NULL WHERE id = 1", "1 messages are in a ticket and say that they are not"),
    ("UPDATE message SET ticket = 1 WHERE id = 2", "1 tickets have no mail that opened them"),
    ("DELETE FROM event WHERE kind = 'open' AND message = 1", "1 tickets have no record of their opening"),
    (
        "DELETE FROM outbox WHERE message = 1",
        "1 tickets were opened with neither an acknowledgement nor a reason for silence",
    ),
    (
        "DELETE FROM event WHERE kind = 'silent'",
        "1 tickets were opened with neither an acknowledgement nor a reason for silence",
    ),
    ("DELETE FROM promise WHERE ticket = 3", "1 open tickets have no promise that runs"),
    (
        "UPDATE outbox SET ticket = 3 WHERE message = 2",
        "1 acknowledgements are in another ticket than the mail that they answer",
    ),
    (
        "UPDATE outbox SET promise = (SELECT id FROM promise WHERE ticket = 3) WHERE message = 2",
        "1 acknowledgements tell a promise of another ticket",
    ),
    ("DELETE FROM letter", "2 acknowledgements and notifications have lost what they send"),
    ("UPDATE outbox SET attempts = 0 WHERE message = 1", "1 acknowledgements are sent without an attempt or a time"),
    ("DELETE FROM event WHERE kind = 'acknowledged'", "1 acknowledgements are sent without a record of it"),
    ("UPDATE outbox SET state = 'held' WHERE message = 2", "1 acknowledgements are held by nobody"),
    (
        "UPDATE outbox SET kind = 'notify', ticket = NULL, message = NULL, promise = NULL WHERE message = 2",
        "1 notifications do not say what they told, or tell of what is not there",
    ),
    (
        "INSERT INTO notified (address, upto, at) VALUES ('ana@mihost.example', 99, 1)",
        "1 notifications do not say what they told, or tell of what is not there",
    ),
    (
        "INSERT INTO event (at, ticket, kind, detail) VALUES (1, 1, 'reclassified', '{}')",
        "1 corrections are without a record of them, or the other way round",
    ),
    (
        "INSERT INTO correction (ticket, impact, by, because, at) VALUES (1, 'low', 'ana', 'x', 1)",
        "1 corrections are without a record of them, or the other way round",
    ),
    ("UPDATE message SET sender = 'c5@cliente5.example' WHERE id = 5", "1 erased messages keep something"),
    ("UPDATE message SET subject = 'Caso' WHERE id = 5", "1 erased messages keep something"),
    (
        "INSERT INTO message_text (rowid, subject, text) VALUES (5, 'Caso', 'no carga')",
        "1 erased messages keep something",
    ),
    (
        "INSERT INTO policy (hash, since, origin) VALUES ('other', 0, 'start');
         UPDATE message SET policy = 2 WHERE id = 3",
        "1 decisions name another policy than the generation they were made under",
    ),
    (
        "INSERT INTO policy (hash, since, origin) VALUES ('other', 0, 'start');
         UPDATE ticket SET policy = 2 WHERE id = 1",
        "1 tickets have their impact from a policy that decided none of their mails",
    ),
    (
        "INSERT INTO policy (hash, since, origin) VALUES ('a', 0, 'start'), ('b', 0, 'command'), ('a', 0, 'reload')",
        "1 generations of the policy are the same as the one before",
    ),
    (
        "INSERT INTO reload (asked, report) VALUES (0, 'wrong')",
        "1 reloads were answered with neither a policy nor a reason, or with both, or before anybody looked",
    ),
    (
        "INSERT INTO reload (asked, answered) VALUES (0, 1)",
        "1 reloads were answered with neither a policy nor a reason, or with both, or before anybody looked",
    ),
    ("UPDATE event SET ticket = 9 WHERE kind = 'silent'", "1 events tell of a ticket that is not there"),
    ("INSERT INTO raw (hash, size, zstd) VALUES (x'00', 0, x'')", "1 exact bytes belong to no mail"),
    // and what SQLite itself knows
    ("DELETE FROM policy", "5 rows of `message` refer to rows of `policy` that are not there"),
    ("DELETE FROM ticket WHERE id = 3", "1 rows of `promise` refer to rows of `ticket` that are not there"),
    ("DELETE FROM ticket WHERE id = 3", "1 rows of `participant` refer to rows of `ticket` that are not there"),
    ("DELETE FROM ticket WHERE id = 2", "1 rows of `outbox` refer to rows of `ticket` that are not there"),
];
