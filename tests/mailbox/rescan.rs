//! What is listed again: our own folders, after a restore or because somebody asks for it.

use std::fs;

use crate::past::{ago, next_second};
use crate::support::acuse::USER;
use crate::support::dovecot::{Options, wait_for_mails};
use crate::support::{eventually, outage};
use crate::{DONE, OnDovecot, Scene, customers};

impl<Server> Scene<Server> {
    fn backup(&self) {
        let to = self.site.directory().join("backup");
        self.site.text(&["db", "backup", to.to_str().unwrap()]);
    }

    /// What an administrator does who puts the backup in the place of the database: README.md's steps.
    fn restore(&mut self) {
        let database = self.site.state_dir().join("acuse.db");
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", database.display()));
        }
        fs::copy(self.site.directory().join("backup"), &database).unwrap();
    }

    /// How often the log says that a rescan is done.
    fn rescans(&self) -> usize {
        self.site.log().matches("rescanned:").count()
    }

    /// Asks for a rescan of the one mailbox, and waits for its end.
    fn rescan(&self, since: &[&str]) {
        let before = self.rescans();
        self.site.text(&[&["mailbox", "rescan", "soporte"], since].concat());
        eventually("the rescan", || (self.rescans() > before).then_some(()));
    }
}

fn with_quarantine(n: usize) -> Vec<u8> {
    let spam = format!(
        "X-Spam-Flag: YES\r\nMessage-ID: <spam{n}@x.example>\r\nFrom: s@x.example\r\nTo: soporte@mihost.example\r\nSubject: Gane {n}\r\n\r\nGane dinero\r\n"
    );
    spam.into_bytes()
}

#[test]
fn what_was_moved_since_the_backup_is_found_again_wherever_it_was_moved() {
    let options = Options { inbox_namespace: true, ..Options::default() };
    let mut scene =
        OnDovecot::start_with(&options, |builder| builder.set("mailbox.0.move_to", "Acuse/{impact}"));
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.backup();
    (2..=3).for_each(|n| scene.deliver(&outage(n)));
    scene.deliver(&with_quarantine(1));
    scene.deliver(
        b"From: c9@cliente9.example\r\nTo: soporte@mihost.example\r\nSubject: Hola\r\n\r\nBuenas tardes.\r\n",
    );
    scene.expect(&[("opened", 4), ("quarantined", 1)]);
    wait_for_mails(&scene.server, USER, "INBOX.Acuse.Alto", 3);
    wait_for_mails(&scene.server, USER, "INBOX.Acuse.Medio", 1);
    wait_for_mails(&scene.server, USER, "INBOX.Acuse.Cuarentena", 1);
    let told = scene.acknowledged();
    let numbers = |scene: &OnDovecot| -> Vec<i64> {
        let number =
            |ticket: &serde_json::Value| ticket["number"].as_str()?.strip_prefix("ACU-")?.parse().ok();
        scene.site.tickets().iter().filter_map(number).collect()
    };
    let before = numbers(&scene);

    scene.site.kill9();
    scene.restore();
    scene.site.run();
    scene.wait_for_rescan();
    let check = scene.wait_for_opened(4);
    assert_eq!(check["quarantined"], 1, "{check:#}");
    assert_eq!(check["duplicate"], 1, "the one that the backup knows: {check:#}");
    assert_eq!(scene.acknowledged(), told, "nothing new");
    assert_eq!(scene.site.outbox().len(), 1, "what the backup held");
    assert!(scene.site.log().contains("the database was restored"));
    wait_for_mails(&scene.server, USER, "INBOX.Acuse.Alto", 3); // they stay where they are
    let after = numbers(&scene);
    assert_eq!(after.iter().filter(|number| before.contains(number)).count(), 1, "{before:?} {after:?}");

    // once is enough, and what comes now is ordinary mail
    scene.site.stop();
    scene.site.run();
    next_second();
    scene.deliver(&outage(4));
    scene.wait_for_opened(5);
    eventually("the acknowledgement", || (scene.acknowledged().len() == told.len() + 1).then_some(()));
    assert_eq!(scene.rescans(), 1);
    assert_eq!(scene.site.json(&["mailbox", "list"])[0]["rescan"], serde_json::Value::Null);
}

/// On another host there is no counter: the copy says by itself what it is.
#[test]
fn a_backup_is_told_from_the_live_database_without_the_counter() {
    let mut scene = OnDovecot::start();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.backup();
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2)]);
    wait_for_mails(&scene.server, USER, DONE, 2);
    scene.site.kill9();
    scene.restore();
    fs::remove_file(scene.site.state_dir().join("epoch")).unwrap();
    let piped = scene.site.acuse(&["ingest", scene.site.config_file().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert_eq!(piped.status.code(), Some(75), "{said}");
    assert!(said.contains("the database was restored"), "{said}");
    scene.site.run();
    scene.wait_for_rescan();
    scene.wait_for_opened(2);
    assert_eq!(scene.acknowledged(), customers(1..=2));
    let numbers: Vec<_> = scene.site.tickets().iter().map(|ticket| ticket["number"].clone()).collect();
    assert_eq!(numbers, ["ACU-1", "ACU-1002"], "nobody knows how many numbers were given");
}

#[test]
fn where_mail_stays_in_place_the_next_pass_finds_it() {
    for after in ["keep", "flag"] {
        let mut scene =
            OnDovecot::start_with(&Options::default(), |builder| builder.set("mailbox.0.after", after));
        scene.deliver(&outage(1));
        scene.expect(&[("opened", 1)]);
        scene.backup();
        scene.deliver(&outage(2));
        scene.expect(&[("opened", 2)]);
        scene.site.kill9();
        scene.restore();
        scene.site.run();
        scene.wait_for_rescan();
        scene.expect(&[("opened", 2)]);
        assert_eq!(scene.acknowledged(), customers(1..=2));
    }
}

#[test]
fn on_demand_what_nobody_knows_becomes_a_silent_ticket_and_stays() {
    let scene = OnDovecot::start();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    wait_for_mails(&scene.server, USER, DONE, 1);
    let mut colleague = scene.server.client(USER);
    colleague.append(DONE, &outage(2), None); // moved there by hand, and never read
    colleague.append(DONE, &outage(3), ago(100));
    scene.rescan(&[]);
    scene.expect(&[("opened", 2), ("duplicate", 1)]);
    scene.rescan(&[]);
    scene.expect(&[("opened", 2), ("duplicate", 1)]);
    scene.rescan(&["--since", "2020-01-01T00:00:00"]);
    scene.expect(&[("opened", 3), ("duplicate", 1)]);
    assert_eq!(scene.acknowledged(), customers([1]));
    wait_for_mails(&scene.server, USER, DONE, 3);
    assert!(colleague.list(DONE).iter().all(|mail| mail.flags.is_empty()), "only looked at");
}

/// A server may show a lower UID after a higher one; here the cursor is moved instead.
#[test]
fn a_mail_below_the_cursor_that_was_never_listed_is_found() {
    let mut scene = OnDovecot::start();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.site.stop();
    let database = rusqlite::Connection::open(scene.site.state_dir().join("acuse.db")).unwrap();
    database.execute("UPDATE folder SET last_uid = 2", []).unwrap();
    scene.deliver(&outage(2));
    scene.site.run();
    scene.rescan(&[]);
    scene.wait_for_opened(2);
    assert_eq!(scene.acknowledged(), customers([1]), "what a rescan finds is not acknowledged");
    wait_for_mails(&scene.server, USER, DONE, 2); // it is settled as any other
}

#[test]
fn a_folder_of_ours_that_is_watched_later_keeps_its_outcomes() {
    let mut scene = OnDovecot::start();
    (1..=2).for_each(|n| scene.deliver(&outage(n)));
    scene.expect(&[("opened", 2)]);
    wait_for_mails(&scene.server, USER, DONE, 2);
    scene.server.client(USER).append(DONE, &outage(3), None);
    scene.rescan(&[]);
    scene.expect(&[("opened", 3), ("duplicate", 2)]);
    scene.site.stop();
    let file = scene.site.config_file();
    let written = fs::read_to_string(&file).unwrap().replace(
        "user = \"soporte\"",
        "user = \"soporte\"\nfolders = [\"INBOX\", \"Acuse/Procesados\"]\nafter = \"keep\"",
    );
    fs::write(&file, written).unwrap();
    scene.site.run();
    scene.server.client(USER).append(DONE, &outage(4), None);
    scene.expect(&[("opened", 4), ("duplicate", 2)]);
    assert_eq!(scene.acknowledged(), customers([1, 2, 4]));
}
