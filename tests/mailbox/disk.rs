//! A disk that fills up: nothing more is fetched, nothing is lost, and it goes on by itself.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io::Write as _, process::Stdio};

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::acuse::{PASSWORD, USER};
use crate::support::imap_peer::Options;
use crate::support::{eventually, outage};
use crate::{DONE, OnPeer, customers};

/// A state directory that the path of the configuration only points to.
struct Pointed {
    real: PathBuf,
    path: PathBuf,
}

impl Pointed {
    fn set_up(scene: &OnPeer) -> Self {
        let pointed = Self { real: scene.site.directory().join("real"), path: scene.site.state_dir() };
        fs::rename(&pointed.path, &pointed.real).unwrap();
        pointed.point_to(&pointed.real);
        pointed
    }

    fn point_to(&self, target: &Path) {
        let fresh = self.path.with_extension("link");
        symlink(target, &fresh).unwrap();
        fs::rename(fresh, &self.path).unwrap();
    }

    fn count(&self, sql: &str) -> i64 {
        let database = Connection::open(self.real.join("acuse.db")).unwrap();
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// `/proc` is a file system without any room: for as long as the path of the state directory leads there, the disk
/// looks full; the database stays open where it is.
#[test]
fn below_the_floor_nothing_is_fetched_until_there_is_room() {
    let mut scene = OnPeer::prepare(Options::default(), |builder| builder.and_mailbox("ventas", "ana"));
    scene.server.add_user("ana", PASSWORD);
    let state = Pointed::set_up(&scene);
    scene.site.run();
    scene.server.wait_for_idle(USER, "INBOX");
    scene.server.wait_for_idle("ana", "INBOX");
    state.point_to(Path::new("/proc"));
    scene.deliver(&outage(1));
    let said = "nothing is fetched until there is room on the disk";
    eventually("the warning", || scene.site.log().contains(said).then_some(()));
    scene.server.wait_for("LOGOUT", 1);
    scene.server.deliver("ana", "INBOX", &outage(2), jiff::Timestamp::now());
    scene.server.wait_for("LOGOUT", 2);
    assert_eq!(scene.server.count("UID FETCH BODY.PEEK[]"), 0);
    assert_eq!(state.count("SELECT count(*) FROM arrival"), 0);
    assert_eq!(state.count("SELECT count(*) FROM alert WHERE kind = 'disk_low' AND ended IS NULL"), 1);
    assert_eq!(scene.site.log().matches(said).count(), 1, "once, for both mailboxes");

    state.point_to(&state.real);
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.acknowledged(), customers(1..=2));
    assert!(scene.site.log().contains("there is room on the disk again"));
    assert_eq!(state.count("SELECT count(*) FROM alert WHERE kind = 'disk_low' AND ended IS NULL"), 0);
}

#[test]
fn below_the_floor_the_pipe_says_try_again_and_the_list_says_why() {
    let all_there_is: i64 = 1 << 40;
    let mut scene =
        OnPeer::prepare(Options::default(), |builder| builder.set("limits.min_free_mib", all_there_is));
    let mut child =
        scene.site.command(&["ingest"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&outage(1)).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("must stay free") && said.contains("hint: make room"), "{said}");
    scene.site.run();
    let row = eventually("the alert", || {
        Some(scene.site.json(&["mailbox", "list"])[0].clone()).filter(|row| row["state"] == "disk_low")
    });
    assert!(row["detail"].as_str().is_some_and(|words| words.contains("must stay free")), "{row:#}");
    assert_eq!(scene.server.connections(), 0);
    assert!(scene.site.stop().success());
}

/// SQLite is refused every write beyond a size, as on a full disk.
#[test]
fn a_batch_that_cannot_be_written_is_done_when_it_can() {
    let mut scene = OnPeer::prepare(Options::default(), |builder| {
        builder.program("/bin/sh", &["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_acuse")])
    });
    scene.site.run();
    scene.server.wait_for_idle(USER, "INBOX");
    let pid = Pid::from_raw(scene.site.pid().cast_signed());
    let limit = |current| prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    limit(Some(4096));
    (1..=5).for_each(|n| scene.deliver(&outage(n)));
    eventually("a failure", || scene.site.log().contains("the visit broke off").then_some(()));
    let inbox = scene.server.messages(USER, "INBOX");
    assert!(inbox.len() == 5 && inbox.iter().all(|mail| mail.flags.is_empty()), "{inbox:?}");
    assert_eq!(scene.smtp.mails().len(), 0);
    limit(None);
    scene.expect(&[("opened", 5)]);
    assert_eq!(scene.acknowledged(), customers(1..=5));
    scene.server.wait_for_mails(USER, DONE, 5);
}
