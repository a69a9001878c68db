//! Mail from before our time: a ticket perhaps, never an acknowledgement (I18).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rusqlite::backup::Progress;
use rusqlite::{Connection, MAIN_DB};

use crate::support::acuse::{SiteBuilder, USER};
use crate::support::dovecot::{Options, wait_for_mails};
use crate::support::imap_peer::{self, Fault};
use crate::support::{eventually, outage};
use crate::{DONE, OnDovecot, OnPeer, customers};

pub(crate) fn ago(hours: i64) -> Option<Timestamp> {
    Some(Timestamp::now() - SignedDuration::from_hours(hours))
}

/// Waits until what comes has another INTERNALDATE than what was.
pub(crate) fn next_second() {
    let now = Timestamp::now().as_second();
    eventually("the next second", || (Timestamp::now().as_second() > now).then_some(()));
}

impl OnDovecot {
    /// What an administrator does who lays processed mail back.
    fn lay_back(&self) {
        let mut colleague = self.server.client(USER);
        colleague.select(DONE);
        colleague.command("UID MOVE 1:* INBOX");
    }
}

#[test]
fn at_enrolment_old_mail_is_left_alone_and_younger_mail_gets_a_silent_ticket() {
    let mut scene = OnDovecot::prepare(&Options::default(), |builder| builder);
    let mut colleague = scene.server.client(USER);
    let old = colleague.append("INBOX", &outage(1), ago(73)).unwrap();
    colleague.append("INBOX", &outage(2), ago(71));
    colleague.append("INBOX", &outage(3), None);
    scene.site.run();
    scene.expect(&[("ignored", 1), ("opened", 2)]);
    scene.deliver(&outage(4));
    scene.expect(&[("ignored", 1), ("opened", 3)]);
    assert_eq!(scene.acknowledged(), customers([4]));
    wait_for_mails(&scene.server, USER, DONE, 3);
    let left: Vec<u32> = colleague.list("INBOX").iter().map(|mail| mail.uid).collect();
    assert_eq!(left, [old]);
    scene.site.stop();
    scene.site.run();
    scene.deliver(&outage(5));
    scene.expect(&[("ignored", 1), ("opened", 4)]);
}

#[test]
fn mail_that_arrives_during_the_enrolment_is_acknowledged() {
    let mut scene = OnPeer::prepare(imap_peer::Options::default(), |builder| builder);
    scene.deliver(&outage(1));
    scene.server.fault("UID FETCH RFC822.SIZE", 1, Fault::Close);
    scene.site.run();
    scene.server.wait_for("UID FETCH RFC822.SIZE", 1);
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.acknowledged(), customers([2]));
}

#[test]
fn a_new_uidvalidity_opens_and_sends_nothing_twice() {
    let mut scene = OnDovecot::start();
    (1..=3).for_each(|n| scene.deliver(&outage(n)));
    scene.expect(&[("opened", 3)]);
    wait_for_mails(&scene.server, USER, DONE, 3);
    scene.site.stop();
    scene.lay_back();
    scene.deliver(&outage(4)); // after the last poll
    scene.server.new_uidvalidity(USER, "INBOX");
    scene.site.run();
    scene.expect(&[("opened", 4), ("duplicate", 3)]);
    assert_eq!(scene.acknowledged(), customers(1..=4));
    wait_for_mails(&scene.server, USER, DONE, 4);
}

#[test]
fn a_new_uidvalidity_under_a_running_daemon_is_noticed() {
    let keep = |builder: SiteBuilder| builder.set("mailbox.0.after", "keep");
    let mut scene = OnDovecot::prepare(&Options::default(), keep);
    scene.server.client(USER).append("INBOX", &outage(9), ago(100));
    scene.site.run();
    scene.expect(&[("ignored", 1)]);
    (1..=3).for_each(|n| scene.deliver(&outage(n)));
    scene.expect(&[("ignored", 1), ("opened", 3)]);
    scene.server.new_uidvalidity(USER, "INBOX");
    scene.server.drop_connections();
    scene.expect(&[("ignored", 2), ("opened", 3), ("duplicate", 3)]);
    assert_eq!(scene.acknowledged(), customers(1..=3));
}

#[test]
fn what_was_claimed_under_an_old_uidvalidity_is_accounted_for() {
    let mut scene = OnPeer::start();
    scene.server.fault("UID FETCH BODY.PEEK[]", 1, Fault::Raw(b"{tag} OK\r\n".to_vec()));
    scene.server.fault("UID FETCH BODY.PEEK[]", 2, Fault::Silent);
    next_second(); // after the first pass, in terms of INTERNALDATE
    scene.deliver(&outage(1));
    scene.server.wait_for("UID FETCH BODY.PEEK[]", 2);
    assert_eq!(scene.site.json(&["db", "check"])["pending"], 1);
    scene.site.kill9();
    scene.server.no_faults();
    scene.server.change_uidvalidity(USER, "INBOX");
    scene.site.run();
    scene.expect(&[("ignored", 1), ("opened", 1)]);
    assert_eq!(scene.acknowledged(), customers([1]));
}

/// Copies a database that may be in use, as a backup does.
fn copy(from: &Path, to: &Path) {
    Connection::open(from).unwrap().backup(MAIN_DB, to, None::<fn(Progress)>).unwrap();
}

/// What else a restore may meet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Restore {
    Plain,
    /// The copy was made while the daemon ran.
    CopiedLive,
    /// The server was restored as well, and numbers its mails anew.
    Renumbered,
}

/// Mail comes, the database is put back to what it was before, and the mail is laid back on the server.
fn restored(how: Restore) {
    let mut scene = OnDovecot::start();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    wait_for_mails(&scene.server, USER, DONE, 1);
    let (database, backup) = (scene.site.state_dir().join("acuse.db"), scene.site.directory().join("backup"));
    if how == Restore::CopiedLive {
        copy(&database, &backup);
    } else {
        scene.site.stop();
        copy(&database, &backup);
        scene.site.run();
    }
    next_second(); // after all that the copy knows of, in terms of INTERNALDATE
    (2..=3).for_each(|n| scene.deliver(&outage(n)));
    scene.expect(&[("opened", 3)]);
    wait_for_mails(&scene.server, USER, DONE, 3);
    scene.site.stop();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", database.display()));
    }
    fs::copy(&backup, &database).unwrap();
    scene.lay_back();
    if how == Restore::Renumbered {
        scene.server.new_uidvalidity(USER, "INBOX");
    }
    scene.site.run();
    scene.wait_for_rescan();
    assert_eq!(scene.wait_for_opened(3)["duplicate"].as_u64().map(|mails| mails > 0), Some(true));
    assert_eq!(scene.site.outbox().len(), 1, "none a second time");
    assert_eq!(scene.acknowledged(), customers(1..=3));
    next_second();
    scene.deliver(&outage(4));
    scene.wait_for_opened(4);
    scene.site.wait_until_sent();
    assert_eq!(scene.acknowledged(), customers(1..=4));
    // the numbers of what was lost were told to customers: nobody else is called by them
    let numbers: BTreeSet<String> =
        scene.site.tickets().iter().map(|ticket| ticket["number"].as_str().unwrap().to_owned()).collect();
    assert_eq!(numbers, ["ACU-1", "ACU-4", "ACU-5", "ACU-6"].map(str::to_owned).into());
}

#[test]
fn a_restored_database_acknowledges_nothing_again() {
    restored(Restore::Plain);
}

#[test]
fn neither_does_one_that_was_copied_while_the_daemon_ran() {
    restored(Restore::CopiedLive);
}

#[test]
fn nor_when_the_uids_changed_as_well() {
    restored(Restore::Renumbered);
}
