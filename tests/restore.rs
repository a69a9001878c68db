//! Backups at any moment, under load, and what becomes of the mail when one of them is put in the place of the database:
//! every mail has its ticket, and nobody is told twice.
//!
//! `ACUSE_TORTURE_RESTORES` says how many restores to try, `ACUSE_TORTURE_SEED` makes their moments the same again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test, whose mails arrive now"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use support::acuse::{Site, USER};
use support::imap_peer::Fault;
use support::smtp_peer::Fate;
use support::stage::Stage;
use support::{eventually, outage};

mod support;

const BODY: &str = "UID FETCH BODY.PEEK[]";

fn backup(site: &Site, to: &Path) -> Output {
    site.acuse(&["db", "backup", to.to_str().unwrap(), "--replace"])
}

/// Puts a backup in the place of the database, by README.md's steps.
fn restore(site: &Site, from: &Path) {
    let database = site.state_dir().join("acuse.db");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", database.display()));
    }
    fs::copy(from, &database).unwrap();
}

/// Waits until the daemon has done all there is to do.
fn wait_until_done(stage: &Stage) {
    stage.wait_for_count(0, "SELECT count(*) FROM mailbox WHERE rescan IS NOT NULL");
    stage.imap.wait_for_mails(USER, "INBOX", 0);
    stage.wait_for_count(0, "SELECT count(*) FROM arrival WHERE settled = 0 OR outcome IS NULL");
    stage.wait_for_count(0, "SELECT count(*) FROM outbox WHERE state IN ('due', 'sending')");
}

/// The numbers of the tickets, by requester.
fn numbers(database: &Connection) -> BTreeMap<String, i64> {
    let mut rows = database.prepare("SELECT requester, id FROM ticket").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_backup_of_any_moment_restores_every_mail_and_acknowledges_none_again() {
    let number = |name: &str, otherwise| {
        std::env::var_os(name).and_then(|value| value.to_str()?.parse().ok()).unwrap_or(otherwise)
    };
    let restores: u64 = number("ACUSE_TORTURE_RESTORES", 8);
    let seed: u64 = number("ACUSE_TORTURE_SEED", u64::from(std::process::id()));
    eprintln!("ACUSE_TORTURE_SEED={seed}");
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);

    let unlimited = 1_000_000;
    let mut stage =
        Stage::open(|site| site.set("limits.per_hour", unlimited).set("limits.breaker_floor", unlimited));
    let to = stage.site.directory().join("backup");
    let (mut mails, mut lost) = (0, 0);
    for round in 0..restores {
        let mut arrive = |stage: &Stage, most: u64, dice: &mut Dice| {
            for _ in 0..dice.below(most) {
                stage.receive(&format!("ana@cliente{mails}.example"), "Servidor caído");
                mails += 1;
                dice.wait(5_000);
            }
        };
        arrive(&stage, 20, &mut dice);
        std::thread::scope(|scope| {
            let (site, to) = (&stage.site, &to);
            let copying = scope.spawn(move || backup(site, to));
            arrive(&stage, 40, &mut dice);
            let copied = copying.join().unwrap();
            assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        });
        arrive(&stage, 30, &mut dice);
        dice.wait(100_000);
        match round % 2 {
            0 => stage.site.kill9(),
            _ => assert!(stage.site.stop().success()),
        }
        let (before, copied) = (numbers(&stage.database()), numbers(&Connection::open(&to).unwrap()));
        lost += before.len() - copied.len();
        arrive(&stage, 5, &mut dice); // while nobody looks
        restore(&stage.site, &to);
        let acknowledgements = stage.count("SELECT count(*) FROM outbox");
        let sent = stage.count("SELECT count(*) FROM outbox WHERE state = 'sent'");
        for _ in 0..dice.below(3) {
            stage.site.run();
            dice.wait(80_000);
            stage.site.kill9();
        }
        stage.site.run();
        wait_until_done(&stage);

        assert_eq!(stage.count("SELECT count(*) FROM ticket"), mails, "round {round}");
        assert_eq!(stage.count("SELECT count(DISTINCT requester) FROM ticket"), mails, "round {round}");
        assert_eq!(stage.count("SELECT count(*) FROM outbox"), acknowledgements, "none is made out");
        assert_eq!(stage.count("SELECT count(*) FROM outbox WHERE state = 'sent'"), sent, "none is sent");
        let owners: BTreeMap<i64, &String> =
            before.iter().map(|(requester, number)| (*number, requester)).collect();
        for (requester, number) in numbers(&stage.database()) {
            let owner = owners.get(&number);
            assert!(
                owner.is_none_or(|owner| **owner == requester),
                "ACU-{number} was {owner:?}'s, and is {requester}'s"
            );
        }
        stage.assert_whole();
        let mut told = BTreeSet::new();
        for mail in stage.smtp.mails().into_iter().filter(|mail| mail.fate == Fate::Accepted) {
            let to = mail.recipients[0].address.clone();
            assert!(told.insert(to.clone()), "round {round}: {to} was told twice");
        }
        // a mail that came in the second of the restore is silent too: INTERNALDATE has no smaller part
        let second = jiff::Timestamp::now().as_second();
        eventually("the next second", || (jiff::Timestamp::now().as_second() > second).then_some(()));
    }
    stage.receive("ana@ultima.example", "Servidor caído");
    stage.in_state("ana@ultima.example", "sent");
    eprintln!("{mails} mails, {restores} restores, {lost} tickets lost and found again");
}

/// Marsaglia's xorshift: the same seed, the same moments.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// The moment is what is being tried, not what anything waits for.
    fn wait(&mut self, most_us: u64) {
        let until = Instant::now() + Duration::from_micros(self.below(most_us));
        while Instant::now() < until {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_rescan_that_is_killed_goes_on_where_it_was() {
    let mut stage = Stage::open(|site| site);
    let to = stage.site.directory().join("backup");
    assert!(backup(&stage.site, &to).status.success());
    let customers: Vec<String> = (0..250).map(|n| format!("ana@cliente{n}.example")).collect();
    for customer in &customers {
        stage.receive(customer, "Servidor caído");
    }
    stage.wait_for_tickets(250);
    wait_until_done(&stage);
    stage.site.kill9();
    restore(&stage.site, &to);
    let fetched = stage.imap.count(BODY);
    stage.imap.fault(BODY, 2, Fault::Silent); // two batches: the first is stored while the second does not come
    stage.site.run();
    stage.imap.wait_for(BODY, fetched + 2);
    stage.wait_for_tickets(200);
    stage.site.kill9();
    assert_eq!(stage.count("SELECT count(*) FROM mailbox WHERE rescan IS NOT NULL"), 1);
    stage.restart();
    wait_until_done(&stage);
    assert_eq!(stage.count("SELECT count(*) FROM arrival WHERE outcome = 'opened'"), 250);
    assert_eq!(stage.count("SELECT count(*) FROM arrival"), 250, "none is fetched a second time");
    assert_eq!(stage.count("SELECT count(*) FROM outbox"), 0);
    assert_eq!(stage.smtp.mails().len(), 250);
    stage.assert_whole();
}

#[test]
fn a_rescan_survives_a_mail_that_cannot_be_fetched_and_a_server_that_refuses() {
    let mut stage = Stage::open(|site| site.set("mailbox.0.poll", "1h"));
    let to = stage.site.directory().join("backup");
    assert!(backup(&stage.site, &to).status.success());
    for n in 0..3 {
        stage.receive(&format!("ana@cliente{n}.example"), "Servidor caído");
    }
    stage.wait_for_tickets(3);
    wait_until_done(&stage);
    stage.site.kill9();
    restore(&stage.site, &to);
    stage.imap.fault("EXAMINE", 1, Fault::No("not now"));
    stage.imap.fault_always(
        "UID FETCH 2 BODY.PEEK[]",
        Fault::Raw(b"* 2 FETCH (UID 2 BODY[] {3}\r\nabc\r\n".to_vec()),
    );
    stage.imap.fault("UID FETCH 1:3 BODY.PEEK[]", 1, Fault::Bad);
    stage.site.run();
    wait_until_done(&stage);
    assert_eq!(stage.count("SELECT count(*) FROM arrival WHERE outcome = 'opened'"), 2);
    assert_eq!(stage.count("SELECT count(*) FROM arrival WHERE reason = 'unfetchable'"), 1);
    assert_eq!(
        stage.count("SELECT count(*) FROM alert WHERE kind = 'rescan_failed' AND ended IS NOT NULL"),
        1
    );
    assert_eq!(stage.count("SELECT count(*) FROM event WHERE kind = 'rescanned'"), 1);
    assert!(stage.site.log().contains("the rescan broke off; it is tried again"));
    stage.site.assert_conserved();
}

/// WAL mode keeps what was committed in a file of its own: without it, the database is an older one.
#[test]
fn a_database_that_lost_its_wal_is_told() {
    let mut stage = Stage::open(|site| site);
    for n in 0..3 {
        stage.receive(&format!("ana@cliente{n}.example"), "Servidor caído");
    }
    stage.wait_for_tickets(3);
    wait_until_done(&stage);
    stage.site.kill9();
    fs::remove_file(stage.site.state_dir().join("acuse.db-wal")).unwrap();
    stage.site.run();
    eventually("the warning", || stage.site.log().contains("the database was restored").then_some(()));
    wait_until_done(&stage);
    assert_eq!(stage.count("SELECT count(*) FROM ticket"), 3);
    assert_eq!(stage.smtp.mails().len(), 3, "nobody is told again");
    stage.assert_whole();
}

/// SQLite would write it over the backup without a word.
#[test]
fn a_backup_is_not_used_beside_the_wal_of_another_database() {
    let mut stage = Stage::open(|site| site);
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.wait_for_tickets(1);
    let to = stage.site.directory().join("backup");
    assert!(backup(&stage.site, &to).status.success());
    stage.site.kill9();
    let database = stage.site.state_dir().join("acuse.db");
    fs::copy(&to, &database).unwrap();
    let wal = fs::read(database.with_extension("db-wal")).unwrap();
    for args in [&["run"][..], &["db", "check"]] {
        refused(
            &stage.site.acuse(args),
            65,
            &["acuse.db-wal belongs to another database", "hint: it was left"],
        );
    }
    assert!(fs::read(&database).unwrap() == fs::read(&to).unwrap(), "nothing was written");
    assert!(fs::read(database.with_extension("db-wal")).unwrap() == wal);
    restore(&stage.site, &to);
    stage.site.run();
    wait_until_done(&stage);
    stage.assert_whole();
}

#[test]
fn a_clock_that_is_behind_is_told_once_and_everything_goes_on() {
    let mut stage = Stage::open(|site| site);
    stage.site.stop();
    let ahead = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    let database = stage.database();
    database.execute("UPDATE meta SET value = ?1 WHERE key = 'clock'", [ahead.to_string()]).unwrap();
    stage.restart();
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.in_state("ana@cliente.example", "sent");
    let said = "the clock is behind what the database knows";
    eventually("the warning", || stage.site.log().contains(said).then_some(()));
    let alerts = "SELECT count(*) FROM alert WHERE kind = 'clock_behind' AND ended IS ";
    assert_eq!(stage.count(&format!("{alerts} NULL")), 1);
    stage.site.stop();
    database.execute("UPDATE meta SET value = '0' WHERE key = 'clock'", []).unwrap();
    stage.restart();
    assert_eq!(stage.count(&format!("{alerts} NOT NULL")), 1, "it is right again");
    assert_eq!(stage.site.log().matches(said).count(), 1);
}

// ── acuse db backup ───────────────────────────────────────────────────────────────────────────────────────────

/// A site with some mails in its database, and where a backup goes.
fn site_with_mails() -> (Site, PathBuf) {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let site = Site::builder(nowhere, nowhere).init();
    for n in 1..=3 {
        let mut child =
            site.command(&["ingest"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&outage(n)).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let directory = site.directory().join("backups");
    fs::create_dir(&directory).unwrap();
    (site, directory.join("acuse.backup"))
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is not in {said}"));
}

fn files(directory: &Path) -> Vec<String> {
    let names =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_one_private_file_that_holds_everything() {
    let (site, to) = site_with_mails();
    let made = site.json(&["db", "backup", to.to_str().unwrap()]);
    assert_eq!((&made["mails"], &made["tickets"]), (&3.into(), &3.into()));
    assert_eq!(made["bytes"], fs::metadata(&to).unwrap().len());
    assert!(made["thread_key"].as_str().unwrap().ends_with("state/thread.key"));
    assert_eq!(files(to.parent().unwrap()), ["acuse.backup"]);
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);

    let (copy, live) =
        (Connection::open(&to).unwrap(), Connection::open(site.state_dir().join("acuse.db")).unwrap());
    for pragma in ["application_id", "user_version", "auto_vacuum", "page_size"] {
        let value =
            |of: &Connection| of.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(value(&copy), value(&live), "{pragma}");
    }
    let mode: String = copy.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "nothing beside it is needed to read it");
    for table in ["raw", "message", "ticket", "promise", "event", "outbox", "arrival", "message_text"] {
        let count = |of: &Connection| -> i64 {
            of.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(&copy), count(&live), "{table}");
    }
    drop((copy, live));

    let said = site.text(&["db", "backup", to.to_str().unwrap(), "--replace"]);
    assert!(said.contains("3 mails, 3 tickets"), "{said}");
    assert!(said.contains("thread.key is not in it"), "{said}");
    restore(&site, &to);
    assert_eq!(site.tickets().len(), 3);
    let live = Connection::open(site.state_dir().join("acuse.db")).unwrap();
    let mode: String = live.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal", "a restored database is used as any other");
}

#[test]
fn a_backup_overwrites_nothing_that_it_was_not_told_to() {
    let (site, to) = site_with_mails();
    let directory = to.parent().unwrap().to_owned();
    let run =
        |to: &Path, more: &[&str]| site.acuse(&[&["db", "backup", to.to_str().unwrap()], more].concat());
    fs::write(&to, "something else").unwrap();
    refused(&run(&to, &[]), 64, &["there is a file", "hint: --replace"]);
    assert_eq!(fs::read_to_string(&to).unwrap(), "something else");

    let live = site.state_dir().join("acuse.db");
    for beside in [&live, &site.state_dir().join("copy")] {
        refused(&run(beside, &["--replace"]), 64, &["is in the state directory itself"]);
    }
    assert_eq!(site.tickets().len(), 3);
    symlink(&live, directory.join("link")).unwrap();
    assert!(run(&directory.join("link"), &["--replace"]).status.success());
    assert!(
        !directory.join("link").symlink_metadata().unwrap().is_symlink(),
        "the link is replaced, not its target"
    );
    assert_eq!(site.tickets().len(), 3);
    refused(&run(&directory, &["--replace"]), 74, &["cannot write", "directory"]);
    refused(&run(&directory.join("missing/file"), &[]), 74, &["cannot write"]);

    fs::write(directory.join("acuse.backup-wal"), "").unwrap();
    refused(&run(&to, &["--replace"]), 64, &["acuse.backup-wal shows that the file is in use"]);
    fs::remove_file(directory.join("acuse.backup-wal")).unwrap();
    refused(&run(&to, &["--replace"]), 64, &["is no backup of acuse", "hint: name another file"]);
    refused(&run(Path::new("/dev/null"), &["--replace"]), 64, &["is no backup of acuse"]);
    assert_eq!(files(&directory), ["acuse.backup", "link"]);
    assert_eq!(fs::read_to_string(&to).unwrap(), "something else");
}

#[test]
fn a_backup_that_fails_leaves_nothing_behind_and_the_last_one_as_it_was() {
    let (site, to) = site_with_mails();
    let directory = to.parent().unwrap().to_owned();
    assert!(backup(&site, &to).status.success());
    let before = fs::read(&to).unwrap();

    // no room for it: SQLite is refused every write beyond a size
    let command = site.command(&["db", "backup", to.to_str().unwrap(), "--replace"]);
    let small = Command::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap();
    assert!(!small.status.success());
    assert_eq!(files(&directory), ["acuse.backup"], "{}", String::from_utf8_lossy(&small.stderr));
    assert_eq!(fs::read(&to).unwrap(), before);

    // another one is under way
    let fresh = fs::File::create(directory.join("acuse.backup.new")).unwrap();
    fresh.lock().unwrap();
    refused(&backup(&site, &to), 75, &["another backup is writing", "acuse.backup.new"]);
    drop(fresh); // it was killed
    fs::write(directory.join("acuse.backup.new"), vec![b'x'; 100_000]).unwrap();
    fs::write(directory.join("acuse.backup.new-journal"), "x").unwrap();
    assert!(backup(&site, &to).status.success());
    assert_eq!(files(&directory), ["acuse.backup"]);
    symlink(site.state_dir().join("acuse.db"), directory.join("acuse.backup.new")).unwrap();
    refused(&backup(&site, &to), 74, &["cannot write"]);
    fs::remove_file(directory.join("acuse.backup.new")).unwrap();
    assert_eq!(site.tickets().len(), 3, "no link is followed");

    // what is copied does not add up
    let before = fs::read(&to).unwrap();
    let live = Connection::open(site.state_dir().join("acuse.db")).unwrap();
    live.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM raw").unwrap();
    drop(live);
    let copied = site.acuse(&["db", "backup", to.to_str().unwrap(), "--replace"]);
    assert_eq!(copied.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&copied.stdout).contains("problem: 3 messages have lost their exact bytes")
    );
    assert_ne!(fs::read(&to).unwrap(), before, "an old copy would hold less");
    assert_eq!(files(&directory), ["acuse.backup"]);
}
