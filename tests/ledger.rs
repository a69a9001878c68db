//! The ledger of silent losses: every way in which programs of this kind are known to lose a mail without a word,
//! each as a test against the running daemon, or where it names another, against that.
//!
//! |  | how mail is lost elsewhere | held here by |
//! |---|---|---|
//! | L1 | an exception marks the mail as read, and nobody looks at it again | `l01_…` |
//! | L2 | the mail is deleted or flagged before the ticket is on disk | `l02_…`, `tests/crash.rs` |
//! | L3 | a mail that failed is set aside, nobody checks that this worked, and it is deleted | `l03_…` |
//! | L4 | only the last day or three are searched, and the outage was longer | `l04_…` |
//! | L5 | a mail without Message-ID or From is thrown away | `l05_…` |
//! | L6 | what a machine wrote is thrown away: the monitor's alarm, the invoice | `l06_…` |
//! | L7 | a person opened the mail first, so that it is no longer unread | `l07_…` |
//! | L8 | a failure ends with 0: the MTA thinks that the mail is delivered | `l08_…`, `ingest_ends_with_0_or_75_and_nothing_else` |
//! | L9 | the newest so many are fetched, and the old ones starve | `l09_…` |
//! | L10 | a broken signature in References, and the mail is refused | `l10_…` |
//! | L11 | the copy in a second mailbox vanishes, and its team never hears of the mail | `l11_…` |
//! | L12 | the server gives an empty or a cut body, which is stored, and the mail deleted | `l12_…` |
//! | L13 | a policy turns an unknown sender away, and nothing tells that he wrote | `l13_…` |
//! | L14 | quotation is cut off, and the answer with it | `l14_…`, `src/mail/own_words/tests.rs` |
//! | L15 | the list of what was not taken in is emptied by every run | `l15_…` |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]
#![allow(clippy::disallowed_methods, reason = "it delivers mail now")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::acuse::{ADDRESS, PASSWORD, Site, USER};
use support::dovecot::{self, Dovecot};
use support::imap_peer::{self, Fault, ImapPeer};
use support::smtp_peer::{self, SmtpPeer};
use support::stage::{Stage, mail};
use support::{eventually, fixture, outage, within};

mod support;

const ANA: &str = "ana@cliente.example";
const BODY: &str = "UID FETCH BODY.PEEK[]";
const ASIDE: &str = "Acuse/Cuarentena";

fn open() -> Stage {
    Stage::open(|site| site)
}

fn after(after: &'static str) -> Stage {
    Stage::open(|site| site.set("mailbox.0.after", after))
}

/// Waits until so many mails have their outcome, and asserts that the sum is right (I1); the counts.
fn outcomes(stage: &Stage, mails: i64) -> Value {
    stage.wait_for_count(mails, "SELECT count(*) FROM arrival WHERE outcome IS NOT NULL");
    stage.site.assert_conserved()
}

/// The bytes of every mail that is kept, by the subject of its row in `table`.
fn kept(stage: &Stage, table: &str) -> Vec<Vec<u8>> {
    let database = stage.database();
    let sql = format!(
        "SELECT raw.size, zstd FROM {table} AS kept JOIN raw ON raw.hash = kept.raw ORDER BY kept.id"
    );
    let mut rows = database.prepare(&sql).unwrap();
    let rows = rows.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
    rows.map(|row| {
        let (size, packed) = row.unwrap();
        zstd::bulk::decompress(&packed, usize::try_from(size).unwrap()).unwrap()
    })
    .collect()
}

/// The mails of a folder on the server, exactly as they came.
fn on_server(stage: &Stage, folder: &str) -> Vec<Vec<u8>> {
    stage.imap.messages(USER, folder).iter().map(|mail| mail.raw.to_vec()).collect()
}

/// Asserts that no command changed anything on the server.
fn assert_untouched(stage: &Stage, mails: &[Vec<u8>]) {
    for command in ["UID MOVE", "UID STORE", "UID COPY", "UID EXPUNGE"] {
        assert_eq!(stage.imap.count(command), 0, "{command}; log:\n{}", stage.site.log());
    }
    assert_eq!(on_server(stage, "INBOX"), mails);
    assert!(stage.imap.messages(USER, "INBOX").iter().all(|mail| mail.flags.is_empty()));
}

/// Waits until the daemon has said this for the `times`th time.
fn said(stage: &Stage, words: &str, times: usize) {
    eventually(&format!("{times}× {words}"), || {
        (stage.site.log().matches(words).count() >= times).then_some(())
    });
}

const BROKE_OFF: &str = "the visit broke off";

// ── L1: an exception ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn l01_an_exception_never_marks_a_mail_as_done() {
    for done in ["move", "delete", "flag"] {
        let mut stage = after(done);
        stage.site.stop();
        let storing_fails = "CREATE TRIGGER bad BEFORE INSERT ON message WHEN new.subject = 'Malo'
                             BEGIN SELECT RAISE(ABORT, 'this one cannot be stored'); END";
        stage.database().execute_batch(storing_fails).unwrap();
        for subject in ["Uno", "Malo", "Tres"] {
            stage.receive(ANA, subject);
        }
        stage.site.run();
        let check = outcomes(&stage, 3);
        assert_eq!((&check["opened"], &check["quarantined"]), (&2.into(), &1.into()), "{done}: {check:#}");
        let aside = stage.site.json(&["quarantine", "list"]);
        assert_eq!(aside[0]["reason"], "store_failed", "{aside:#}");
        assert_eq!(kept(&stage, "quarantine"), [mail(ANA, "Malo")], "whole, in our hands");

        stage.wait_for_count(0, "SELECT count(*) FROM arrival WHERE settled = 0");
        let place = if done == "flag" { "INBOX" } else { ASIDE };
        let there = stage.imap.messages(USER, place);
        let bad = there.iter().find(|it| it.raw[..] == mail(ANA, "Malo")).expect("it is on the server, too");
        assert!(!bad.has("\\Seen"), "{done}: nobody has read it");
    }
}

// ── L2: before the commit ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn l02_nothing_is_done_on_the_server_before_the_commit() {
    let without_move = imap_peer::Options { r#move: false, ..imap_peer::Options::default() };
    let peer = imap_peer::Options::default();
    for (options, done, command) in [
        (&peer, "move", "UID MOVE"),
        (&without_move, "move", "UID STORE"),
        (&without_move, "move", "UID COPY"),
        (&peer, "flag", "UID STORE"),
        (&peer, "delete", "UID STORE"),
        (&peer, "delete", "UID EXPUNGE"),
    ] {
        let mut stage = Stage::on(options.clone(), |site| site.set("mailbox.0.after", done));
        stage.imap.fault(command, 1, Fault::Hold);
        stage.receive(ANA, "Servidor caído");
        stage.imap.wait_for(command, 1);
        // At the first word of settling, everything is on disk: the process may die now.
        stage.site.kill9();
        let check = stage.site.assert_conserved();
        assert_eq!((&check["listed"], &check["opened"]), (&1.into(), &1.into()), "{done} by {command}");
        assert_eq!(kept(&stage, "message"), [mail(ANA, "Servidor caído")], "{done} by {command}");
        assert_eq!(stage.count("SELECT count(*) FROM outbox"), 1, "{done} by {command}");
        stage.restart();
        assert_eq!(stage.count("SELECT count(*) FROM ticket"), 1);
        stage.wait_for_count(0, "SELECT count(*) FROM arrival WHERE settled = 0");
        assert_eq!(stage.imap.offences(), [""; 0]);
    }
}

// ── L3: setting aside fails ───────────────────────────────────────────────────────────────────────────────

#[test]
fn l03_what_cannot_even_be_set_aside_stays_untouched_on_the_server() {
    const NOTHING_CAN_BE_WRITTEN: &str = "
        CREATE TRIGGER no_message BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no'); END;
        CREATE TRIGGER no_aside BEFORE INSERT ON quarantine BEGIN SELECT RAISE(ABORT, 'no'); END;";
    for done in ["delete", "move"] {
        let stage = after(done);
        stage.database().execute_batch(NOTHING_CAN_BE_WRITTEN).unwrap();
        stage.receive(ANA, "Servidor caído");
        said(&stage, BROKE_OFF, 2); // and again at the second try
        assert_untouched(&stage, &[mail(ANA, "Servidor caído")]);
        assert_eq!(stage.count("SELECT count(*) FROM arrival WHERE outcome IS NOT NULL"), 0);
        assert_eq!(stage.count("SELECT count(*) FROM alert WHERE ended IS NULL"), 1, "somebody is told");
        stage.database().execute_batch("DROP TRIGGER no_message; DROP TRIGGER no_aside").unwrap();
        stage.in_state(ANA, "sent");
        stage.assert_whole();
    }
}

#[test]
fn l03_nor_is_a_mail_given_up_that_could_not_be_fetched_nor_noted() {
    let stage = after("delete");
    let no_aside =
        "CREATE TRIGGER no_aside BEFORE INSERT ON quarantine BEGIN SELECT RAISE(ABORT, 'no'); END;";
    stage.database().execute_batch(no_aside).unwrap();
    stage.imap.fault_always(BODY, Fault::Raw(b"{tag} OK nothing to see\r\n".to_vec()));
    stage.receive(ANA, "Servidor caído");
    said(&stage, BROKE_OFF, 2);
    assert_untouched(&stage, &[mail(ANA, "Servidor caído")]);
    stage.database().execute_batch("DROP TRIGGER no_aside").unwrap();
    stage.imap.no_faults();
    stage.in_state(ANA, "sent");
    stage.assert_whole();
}

// ── L4: a long outage ─────────────────────────────────────────────────────────────────────────────────────

/// Forty days pass while the daemon is off.
fn forty_days_pass(stage: &Stage) {
    let sql = "UPDATE folder SET enrolled_at = enrolled_at - ?1, backlog_before = backlog_before - ?1,
                                 silent_before = max(0, silent_before - ?1), last_poll = last_poll - ?1";
    let days = i64::try_from(SignedDuration::from_hours(40 * 24).as_millis()).unwrap();
    stage.database().execute(sql, [days]).unwrap();
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

/// What came in during the outage: each a ticket, today's with an acknowledgement.
fn assert_all_taken_in(stage: &Stage) {
    let today = stage.in_state("c0@cliente.example", "sent");
    today.assert_copies(&stage.smtp.mails());
    let check = outcomes(stage, 4);
    assert_eq!(check["opened"], 4, "{check:#}");
    let silent = "SELECT count(*) FROM event WHERE kind = 'silent' AND detail ->> 'because' = 'too_old'";
    assert_eq!(stage.count(silent), 3, "an answer after weeks would say nothing true");
    assert_eq!(stage.count("SELECT count(*) FROM promise"), 4, "a person owes them one all the same");
    stage.assert_whole();
}

#[test]
fn l04_an_outage_longer_than_any_window_loses_nothing() {
    for new_uids in [false, true] {
        let mut stage = open();
        stage.site.stop();
        forty_days_pass(&stage);
        for days in [30, 8, 4, 0] {
            stage.receive_at(&format!("c{days}@cliente.example"), "Servidor caído", days_ago(days));
        }
        if new_uids {
            stage.imap.change_uidvalidity(USER, "INBOX"); // they moved the mailbox meanwhile
        }
        stage.restart();
        assert_all_taken_in(&stage);
    }
}

#[test]
fn l04_nor_does_a_server_that_was_away_as_long() {
    let stage = open();
    stage.imap.fault_always("GREETING", Fault::Close);
    stage.imap.drop_connections();
    said(&stage, BROKE_OFF, 2);
    forty_days_pass(&stage);
    for days in [30, 8, 4, 0] {
        stage.receive_at(&format!("c{days}@cliente.example"), "Servidor caído", days_ago(days));
    }
    stage.imap.no_faults();
    assert_all_taken_in(&stage);
}

// ── L5: no Message-ID, no From ────────────────────────────────────────────────────────────────────────────

#[test]
fn l05_a_mail_without_message_id_or_author_is_a_ticket() {
    let stage = open();
    let with = |head: &str, text: &str| format!("{head}\r\n{text}\r\n").into_bytes();
    let mails = [
        with("From: ana@cliente.example\r\nSubject: Sin id\r\n", "No carga mi página."),
        with("From: ana@cliente.example\r\nSubject: Sin id\r\n", "Tampoco el correo."),
        with("From: ana@cliente.example\r\nMessage-ID: \r\nSubject: id vacío\r\n", "No carga."),
        with("From: ana@cliente.example\r\nMessage-ID: <<>@\r\nSubject: id roto\r\n", "No carga."),
        with("Subject: Sin autor\r\nMessage-ID: <1@x.example>\r\n", "No carga mi página."),
        with("From: \r\nSubject: Autor vacío\r\n", "No carga mi página."),
        with("From: Ana María\r\nSubject: Autor sin dirección\r\n", "No carga mi página."),
        with("From: ana@cliente.example, luis@cliente.example\r\nSubject: Dos\r\n", "No carga mi página."),
        with("", "Un texto sin un solo encabezado."),
        b"\xff\xfe\x00\x01\x02".to_vec(),
    ];
    for raw in &mails {
        stage.imap.deliver(USER, "INBOX", raw, Timestamp::now());
    }
    let check = outcomes(&stage, mails.len() as i64);
    assert_eq!(check["opened"], mails.len(), "each on its own: {check:#}");
    assert_eq!(kept(&stage, "message"), mails, "byte by byte");
    let flagged = "SELECT count(*) FROM ticket WHERE flags LIKE '%no_single_from%'";
    assert_eq!(stage.count(flagged), 6, "whom nobody can answer, a person is told of");
    stage.site.wait_until_sent();
    assert_eq!(stage.smtp.mails_to(ANA).len(), 4);
    stage.assert_whole();
}

// ── L6: machines ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn l06_a_machines_mail_is_a_ticket_and_no_outage_is_passed_over() {
    let stage = open();
    let from_machine = |field: &str, subject: &str| {
        let raw = String::from_utf8(mail("Sistema <sistema@cliente.example>", subject)).unwrap();
        format!("{field}\r\n{raw}").into_bytes()
    };
    let mails = [
        from_machine("Auto-Submitted: auto-generated", "Alarma de disco"),
        from_machine("X-Cron-Env: <SHELL=/bin/sh>", "Tarea nocturna"),
        from_machine("X-Auto-Response-Suppress: All", "Factura de mayo"),
        from_machine("Return-Path: <>", "Factura de junio"),
        from_machine("X-Zammad-Ticket: 12", "Caso de otro sistema"),
        from_machine("Precedence: bulk", "Aviso a todos"),
        mail("no-reply@proveedor.example", "Corte programado"),
        fixture("monitor-alert-en.eml"),
    ];
    for raw in &mails {
        stage.imap.deliver(USER, "INBOX", raw, Timestamp::now());
    }
    let check = outcomes(&stage, mails.len() as i64);
    assert_eq!(check["opened"], mails.len(), "{check:#}");
    assert_eq!(stage.count("SELECT count(*) FROM ticket WHERE impact = 'high'"), mails.len() as i64);
    assert_eq!(stage.count("SELECT count(*) FROM promise WHERE ended IS NULL"), mails.len() as i64);
    assert_eq!(stage.count("SELECT count(*) FROM outbox"), 0, "and no robot is answered");
    stage.assert_whole();
}

// ── L7: read by others ────────────────────────────────────────────────────────────────────────────────────

/// With a real server, whose flags are what they are everywhere.
#[test]
fn l07_a_mail_that_a_person_opened_first_is_taken_in() {
    let server = Dovecot::start_with(&dovecot::Options::default());
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let mut site = Site::builder(server.imap(), smtp.address()).set("mailbox.0.poll", "1h").init();
    site.run();
    eventually("the enrolment", || site.log().contains("enrolled").then_some(()));
    site.stop();
    let mut colleague = server.client(USER);
    let flags = ["\\Seen", "\\Seen \\Answered \\Flagged", "\\Deleted", "$AcuseDone", "$Forwarded $Junk"];
    for (n, flags) in flags.iter().enumerate() {
        let uid = colleague.append("INBOX", &outage(n), None).unwrap();
        colleague.select("INBOX");
        colleague.flag(uid, flags);
    }
    // moved away and back, it has another UID
    colleague.append("INBOX", &outage(flags.len()), None);
    colleague.create("Luego");
    colleague.select("INBOX");
    colleague.command(&format!("UID MOVE {} Luego", flags.len() + 1));
    colleague.select("Luego");
    colleague.command("UID MOVE 1:* INBOX");
    site.run();
    smtp.wait_for_mails(flags.len() + 1);
    dovecot::wait_for_mails(&server, USER, "Acuse/Procesados", flags.len() + 1);
    let check = site.assert_conserved();
    assert_eq!((&check["opened"], &check["listed"]), (&6.into(), &6.into()), "{check:#}");
    let listed = colleague.list("Acuse/Procesados");
    assert_eq!(
        listed.iter().filter(|mail| mail.flags.contains(&"\\Seen".to_owned())).count(),
        2,
        "as they left it"
    );
}

// ── L8: exit codes ────────────────────────────────────────────────────────────────────────────────────────

const TRY_AGAIN: i32 = 75;

fn ingest(site: &Site, raw: &[u8]) -> Output {
    let mut child = site
        .command(&["ingest", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(raw); // it may have gone already
    child.wait_with_output().unwrap()
}

#[test]
fn l08_what_is_not_on_disk_is_never_reported_as_taken() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let site = Site::builder(nowhere, nowhere).init();
    let (state, rules) = (site.state_dir(), site.directory().join("rules"));
    let database = || rusqlite::Connection::open(state.join("acuse.db")).unwrap();
    let stored =
        || database().query_row("SELECT count(*) FROM arrival", [], |row| row.get::<_, i64>(0)).unwrap();
    let sql = |text: &str| database().execute_batch(text).unwrap();
    type Act<'a> = &'a dyn Fn();
    let away = |name: &'static str| (state.join(name), site.directory().join(name));
    let (hidden, key) = (away("acuse.db"), away("thread.key"));
    let faults: [(&str, Act<'_>, Act<'_>); 6] = [
        (
            "it cannot be stored",
            &|| sql("CREATE TRIGGER bad BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no'); END"),
            &|| sql("DROP TRIGGER bad"),
        ),
        (
            "its outcome cannot be stored",
            &|| sql("CREATE TRIGGER bad BEFORE UPDATE ON arrival BEGIN SELECT RAISE(ABORT, 'no'); END"),
            &|| sql("DROP TRIGGER bad"),
        ),
        (
            "its acknowledgement cannot be stored",
            &|| sql("CREATE TRIGGER bad BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END"),
            &|| sql("DROP TRIGGER bad"),
        ),
        ("the database is missing", &|| fs::rename(&hidden.0, &hidden.1).unwrap(), &|| {
            fs::rename(&hidden.1, &hidden.0).unwrap()
        }),
        ("the key is missing", &|| fs::rename(&key.0, &key.1).unwrap(), &|| {
            fs::rename(&key.1, &key.0).unwrap()
        }),
        ("a rule is broken", &|| fs::write(rules.join("high.toml"), "[[rule]]\nid = ").unwrap(), &|| {
            fs::remove_file(rules.join("high.toml")).unwrap()
        }),
    ];
    for (n, (what, breaks, mends)) in faults.into_iter().enumerate() {
        let before = stored();
        breaks();
        let refused = ingest(&site, &outage(n));
        assert_eq!(refused.status.code(), Some(TRY_AGAIN), "{what}: {refused:?}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty(), "{what}: {refused:?}");
        mends();
        assert_eq!(stored(), before, "{what}: all or nothing");
        let taken = ingest(&site, &outage(n)); // as the MTA does
        assert_eq!(taken.status.code(), Some(0), "{what}: {taken:?}");
        let told: Value = serde_json::from_slice(&taken.stdout).unwrap();
        assert_eq!(told["outcome"], "opened", "{what}: the first try left nothing behind");
    }
}

#[test]
fn l08_whatever_becomes_of_it_0_means_that_the_decision_is_on_disk() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let site = Site::builder(nowhere, nowhere).init();
    let mut decided = BTreeSet::new();
    for (raw, outcome) in [
        (fixture("outage-es.eml"), "opened"),
        (fixture("outage-es.eml"), "duplicate"),
        (fixture("vacation-es.eml"), "ignored"),
        (fixture("newsletter-es.eml"), "quarantined"),
        (b"\x00\xff".to_vec(), "opened"),
    ] {
        let told = ingest(&site, &raw);
        assert_eq!(told.status.code(), Some(0), "{told:?}");
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told["outcome"], outcome);
        let database = rusqlite::Connection::open(site.state_dir().join("acuse.db")).unwrap();
        let sql = "SELECT arrival.outcome, decision IS NOT NULL AND message.raw IS NOT NULL
                   FROM arrival JOIN message ON message.id = arrival.message ORDER BY arrival.id DESC LIMIT 1";
        let row: (String, bool) = database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (outcome.to_owned(), true));
        decided.insert(outcome);
    }
    assert_eq!(site.assert_conserved()["pending"], 0);
}

// ── L9: many at once ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn l09_three_thousand_waiting_mails_oldest_first_and_none_left() {
    const MAILS: i64 = 3_000;
    let mut stage = open();
    stage.site.stop();
    let week_ago = days_ago(7); // they get no acknowledgement, which is not what is being tried
    for n in 1..=MAILS {
        // INTERNALDATE runs against the UIDs, as after somebody copied mails in
        let received = week_ago - SignedDuration::from_mins(n);
        let mail = outage(usize::try_from(n).unwrap());
        stage.imap.deliver(USER, "INBOX", &mail, received);
    }
    stage.site.run();
    stage.receive(ANA, "Meanwhile");
    let done = "SELECT count(*) FROM arrival WHERE settled = 1 AND outcome = 'opened'";
    let drained = within(Duration::from_secs(240), || (stage.count(done) == MAILS + 1).then_some(()));
    assert!(drained.is_some(), "{} done; log:\n{}", stage.count(done), stage.site.log());
    let database = stage.database();
    let mut rows = database.prepare("SELECT requester FROM ticket ORDER BY id").unwrap();
    let served: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let waiting = (1..=usize::try_from(MAILS).unwrap()).map(support::customer);
    assert!(waiting.chain([ANA.to_owned()]).eq(served), "in the order in which they wait");
    stage.in_state(ANA, "sent");
    assert_eq!(stage.smtp.mails().len(), 1);
    stage.assert_whole();
}

// ── L10: a broken signature ───────────────────────────────────────────────────────────────────────────────

/// The text with one letter of the token's signature changed.
fn tampered(text: &str) -> String {
    let at = text.find('@').unwrap() - 5;
    let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn l10_a_bad_signature_opens_a_new_ticket_and_is_answered() {
    let stage = Stage::open(|site| site.set("smtp.reply_to", "soporte+{token}@mihost.example"));
    stage.receive(ANA, "Servidor caído");
    let ack = stage.smtp.wait_for_mails(1).remove(0);
    let (id, reply_to) = (ack.message_id().unwrap(), ack.header("Reply-To").unwrap());
    let tag = reply_to.rsplit(['<', ' ']).next().unwrap().trim_end_matches('>').to_owned();
    let answer = |n: usize, field: &str| {
        let raw = String::from_utf8(mail(&format!("otro{n}@ajeno.example"), "Re: Servidor caído")).unwrap();
        let raw = if field.starts_with("To:") {
            raw.replace(&format!("To: <{ADDRESS}>"), field)
        } else {
            format!("{field}\r\n{raw}")
        };
        stage.imap.deliver(USER, "INBOX", raw.as_bytes(), Timestamp::now());
    };
    let fields = [
        format!("In-Reply-To: <{}>", tampered(&id)),
        format!("References: <a@b.example> <{}> <c@d.example>", tampered(&id)),
        format!("To: <{}>", tampered(&tag)),
    ];
    for (n, field) in fields.iter().enumerate() {
        answer(n, field);
        stage.wait_for_tickets(2 + n as i64);
        stage.in_state(&format!("otro{n}@ajeno.example"), "sent");
        let flags = format!("SELECT count(*) FROM ticket WHERE id = {} AND flags = 'bad_token'", n + 2);
        assert_eq!(stage.count(&flags), 1, "{field}");
    }
    stage.assert_whole();
}

// ── L11: two mailboxes ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn l11_one_mail_in_two_mailboxes_is_one_ticket_that_names_both() {
    let imap = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
    imap.add_user("ventas", PASSWORD);
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let mut site = Site::builder(imap.address(), smtp.address()).and_mailbox("ventas", "ventas").init();
    site.run();
    imap.wait_for_idle(USER, "INBOX");
    imap.wait_for_idle("ventas", "INBOX");
    let stage = Stage { imap, smtp, site };
    let by_way_of = |host: &str, raw: &[u8]| {
        let way =
            format!("Return-Path: <{ANA}>\r\nDelivered-To: {host}\r\nReceived: from mx by {host}; now\r\n");
        [way.as_bytes(), raw].concat()
    };
    let raw = mail(ANA, "Servidor caído");
    stage.imap.deliver(USER, "INBOX", &by_way_of("uno.mihost.example", &raw), Timestamp::now());
    stage.in_state(ANA, "sent");
    stage.imap.deliver("ventas", "INBOX", &by_way_of("dos.mihost.example", &raw), Timestamp::now());
    let check = outcomes(&stage, 2);
    assert_eq!((&check["opened"], &check["duplicate"]), (&1.into(), &1.into()), "{check:#}");
    let shown = stage.site.json(&["tickets", "show", "ACU-1"]);
    let told = shown["events"].as_array().unwrap().iter().find(|event| event["kind"] == "seen_again");
    assert!(
        told.unwrap()["detail"].to_string().contains("ventas"),
        "the ticket tells who else has it: {shown:#}"
    );
    assert_eq!(stage.imap.messages("ventas", "Acuse/Procesados").len(), 1, "there, too, it is done");

    // the same Message-ID with other words is another mail, in the second mailbox as in the first
    let other = [raw.as_slice(), b"Y el correo tampoco.\r\n"].concat();
    stage.imap.deliver("ventas", "INBOX", &other, Timestamp::now());
    let check = outcomes(&stage, 3);
    assert_eq!((&check["opened"], &check["duplicate"]), (&2.into(), &1.into()), "{check:#}");
    stage.assert_whole();
}

// ── L12: half a body ──────────────────────────────────────────────────────────────────────────────────────

fn in_place_of_the_body(item: &str) -> Fault {
    let date = Timestamp::now().strftime("%d-%b-%Y %H:%M:%S +0000");
    Fault::Raw(
        format!("* 1 FETCH (UID 1 INTERNALDATE \"{date}\" {item})\r\n{{tag}} OK done\r\n").into_bytes(),
    )
}

/// What a server may say in place of a mail.
fn no_bodies() -> [(&'static str, Fault); 6] {
    [
        ("an empty literal", in_place_of_the_body("BODY[] {0}\r\n")),
        ("an empty string", in_place_of_the_body("BODY[] \"\"")),
        ("NIL", in_place_of_the_body("BODY[] NIL")),
        ("no body", in_place_of_the_body("FLAGS ()")),
        ("OK and nothing", Fault::Raw(b"{tag} OK done\r\n".to_vec())),
        ("a cut literal", Fault::CutInLiteral(100)),
    ]
}

#[test]
fn l12_a_mail_whose_body_never_comes_stays_on_the_server() {
    let tries =
        ["delete", "move"].into_iter().flat_map(|done| no_bodies().map(|(what, fault)| (done, what, fault)));
    std::thread::scope(|scope| {
        for (done, what, fault) in tries {
            scope.spawn(move || the_body_never_comes(done, what, fault)); // each waits most of the time
        }
    });
}

fn the_body_never_comes(done: &'static str, what: &str, fault: Fault) {
    let stage = after(done);
    stage.imap.fault_always("UID FETCH 1 (UID INTERNALDATE BODY.PEEK[]", fault);
    stage.receive(ANA, "Servidor caído");
    stage.wait_for_count(1, "SELECT count(*) FROM quarantine WHERE reason = 'unfetchable'");
    stage.receive("b@dos.example", "Servidor caído");
    stage.in_state("b@dos.example", "sent"); // the others go on
    let check = outcomes(&stage, 2);
    assert_eq!((&check["opened"], &check["quarantined"]), (&1.into(), &1.into()), "{what}: {check:#}");
    stage.wait_for_count(0, "SELECT count(*) FROM arrival WHERE settled = 0");
    assert_eq!(on_server(&stage, "INBOX"), [mail(ANA, "Servidor caído")], "{done} after {what}");
    assert_eq!(stage.count("SELECT count(*) FROM alert WHERE kind = 'quarantined'"), 1, "{what}");
}

#[test]
fn l12_a_body_that_comes_at_the_second_try_is_a_mail_like_any_other() {
    for (what, fault) in no_bodies() {
        let stage = after("delete");
        stage.imap.fault(BODY, 1, fault);
        stage.receive(ANA, "Servidor caído");
        stage.in_state(ANA, "sent");
        assert_eq!(kept(&stage, "message"), [mail(ANA, "Servidor caído")], "{what}");
        stage.assert_whole();
    }
}

#[test]
fn l12_what_came_short_is_a_ticket_and_is_not_deleted() {
    let raw = mail(ANA, "Servidor caído");
    let short = String::from_utf8(raw[..raw.len() - 40].to_vec()).unwrap();
    let answer = || in_place_of_the_body(&format!("BODY[] {{{}}}\r\n{short}", short.len()));
    let stage = after("delete");
    stage.imap.fault(BODY, 1, answer());
    stage.imap.deliver(USER, "INBOX", &raw, Timestamp::now());
    said(&stage, "it is not deleted", 1);
    stage.in_state(ANA, "sent"); // nobody waits for the rest
    assert_untouched(&stage, std::slice::from_ref(&raw));
    // one that comes whole is deleted as ever
    stage.receive("b@dos.example", "Servidor caído");
    stage.in_state("b@dos.example", "sent");
    stage.imap.wait_for_mails(USER, "INBOX", 1);
    assert_eq!(on_server(&stage, "INBOX"), std::slice::from_ref(&raw));
    stage.site.assert_conserved();

    let stage = after("move");
    stage.imap.fault(BODY, 1, answer());
    stage.imap.deliver(USER, "INBOX", &raw, Timestamp::now());
    stage.in_state(ANA, "sent");
    stage.assert_whole();
    assert_eq!(on_server(&stage, "Acuse/Procesados"), [raw], "moved, it is whole");
}

// ── L13: unknown senders ──────────────────────────────────────────────────────────────────────────────────

#[test]
fn l13_an_unknown_sender_is_always_traceable() {
    let stage = Stage::open(|site| {
        site.set("auth.authserv_id", "mx.mihost.example").set("limits.per_address_hour", 1)
    });
    let unknown = |n: usize, field: &str, text: &str| {
        let from = format!("desconocido{n}@ajeno.example");
        let raw =
            format!("{field}From: {from}\r\nTo: {ADDRESS}\r\nSubject: Asunto {n}\r\n\r\n{text} {n}\r\n");
        (from, raw.into_bytes())
    };
    let text = "Quiero restablecer la contraseña de mi correo.";
    let mails = [
        unknown(0, "", text),
        unknown(
            1,
            "Authentication-Results: mx.mihost.example; dmarc=fail header.from=ajeno.example\r\n",
            text,
        ),
        unknown(2, "X-Spam-Flag: YES\r\n", text),
        unknown(3, "Precedence: bulk\r\n", text),
        unknown(4, "List-Id: <anuncios.ajeno.example>\r\nTo: lista@ajeno.example\r\n", text),
        unknown(5, "Auto-Submitted: auto-replied\r\n", text),
        unknown(6, &"Received: from a by b\r\n".repeat(101), text),
        unknown(7, &format!("X-Largo: {}\r\n", "x".repeat(70_000)), text),
        unknown(0, "", "Y otra cosa más."),
    ];
    for (_, raw) in &mails {
        stage.imap.deliver(USER, "INBOX", raw, Timestamp::now());
    }
    outcomes(&stage, mails.len() as i64);
    assert_eq!(kept(&stage, "message"), mails.clone().map(|(_, raw)| raw), "every byte of each");
    for (from, _) in &mails {
        let sql = format!(
            "SELECT count(*) FROM message JOIN arrival ON arrival.message = message.id
             WHERE sender = '{from}' AND decision IS NOT NULL AND arrival.reason IS NOT NULL
               AND arrival.outcome = message.outcome"
        );
        assert!(stage.count(&sql) >= 1, "{from} left no trace");
    }
    let aside = stage.site.json(&["quarantine", "list"]);
    let waiting: BTreeSet<&str> =
        aside.as_array().unwrap().iter().filter_map(|row| row["from"].as_str()).collect();
    let wanted = [2, 3, 6].map(|n| mails[n].0.as_str());
    assert_eq!(waiting, wanted.into(), "what a policy holds back is listed by its sender");
    stage.site.wait_until_sent();
    assert_eq!(stage.smtp.mails_to(&mails[0].0).len(), 1, "beyond the cap it is the ack that is dropped");
    assert_eq!(stage.count("SELECT count(*) FROM ticket WHERE requester LIKE 'desconocido0@%'"), 2);
    stage.assert_whole();
}

// ── L14: quotation ────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn l14_what_is_cut_as_quotation_stays_in_the_mail_and_is_found() {
    let stage = open();
    let before = "El 16 de septiembre de 2026, Soporte <soporte@mihost.example> escribió:";
    let texts = [
        format!("zafiro1 arriba\r\n\r\n{before}\r\n> rubi1 citado\r\n"),
        format!("{before}\r\n> rubi2 citado\r\n\r\nzafiro2 abajo\r\n"),
        format!("{before}\r\n> rubi3 citado\r\nzafiro3 en medio\r\n> más citado\r\n"),
        "-----Mensaje original-----\r\nDe: Soporte\r\nrubi4 citado\r\nzafiro4 sin marca\r\n".to_owned(),
        "> zafiro5 con marca de cita\r\n> rubi5\r\n".to_owned(),
        "zafiro6 y la firma\r\n-- \r\nAna\r\nrubi6 Ltda.\r\n".to_owned(),
    ];
    let mails: Vec<Vec<u8>> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| {
            let head = format!(
                "From: {ANA}\r\nTo: {ADDRESS}\r\nSubject: Re: caso {n}\r\nMessage-ID: <{n}@x.example>\r\n"
            );
            format!("{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}").into_bytes()
        })
        .collect();
    for raw in &mails {
        stage.imap.deliver(USER, "INBOX", raw, Timestamp::now());
    }
    outcomes(&stage, mails.len() as i64);
    assert_eq!(kept(&stage, "message"), mails, "byte by byte");
    for n in 1..=mails.len() {
        for word in ["zafiro", "rubi"] {
            let sql = format!("SELECT count(*) FROM message_text WHERE message_text MATCH '{word}{n}'");
            assert_eq!(stage.count(&sql), 1, "{word}{n} is found");
        }
        // those that carry no mark of their own, too: who works the ticket sees the words
        let shown = stage.site.text(&["tickets", "show", &format!("ACU-{n}")]);
        assert!(shown.contains(&format!("zafiro{n}")), "the answer is shown: {shown}");
    }
    let own = |n: usize| {
        stage.site.json(&["tickets", "show", &format!("ACU-{n}")])["messages"][0]["own_text"].clone()
    };
    assert_eq!([1, 2].map(own), ["zafiro1 arriba", "zafiro2 abajo"], "and quotation was cut");
    stage.assert_whole();
}

// ── L15: lists ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn l15_what_was_not_taken_in_is_listed_until_a_person_acts() {
    const FIRST: i64 = 250; // more than one batch
    let newsletter = |n: i64| {
        let raw = String::from_utf8(fixture("newsletter-es.eml")).unwrap();
        raw.replacen("Subject: ", &format!("Subject: {n} "), 1).into_bytes()
    };
    let subjects = |stage: &Stage| -> Vec<String> {
        let rows = stage.site.json(&["quarantine", "list"]);
        let rows = rows.as_array().unwrap().iter().rev();
        rows.map(|row| row["subject"].as_str().unwrap().to_owned()).collect()
    };
    let mut stage = open();
    stage.site.stop();
    for n in 1..=FIRST {
        stage.imap.deliver(USER, "INBOX", &newsletter(n), Timestamp::now());
    }
    stage.site.run();
    outcomes(&stage, FIRST);
    let listed = subjects(&stage);
    assert_eq!(listed.len() as i64, FIRST);
    for run in 1..=2 {
        stage.site.stop();
        stage.imap.deliver(USER, "INBOX", &newsletter(FIRST + run), Timestamp::now());
        stage.imap.deliver(USER, "INBOX", &newsletter(1), Timestamp::now()); // seen before
        stage.restart();
        outcomes(&stage, FIRST + 2 * run);
        let now = subjects(&stage);
        assert_eq!(now.len() as i64, FIRST + run, "what is new is added");
        assert!(now.starts_with(&listed), "what waited still waits");
    }
    assert_eq!(kept(&stage, "quarantine").len() as i64, FIRST + 2, "with all its bytes");
    stage.assert_whole();
}
