//! What administrators ask of a mailbox while the daemon runs: `acuse mailbox list|pause|resume`.

use serde_json::Value;

use crate::support::acuse::{PASSWORD, USER};
use crate::support::imap_peer::{Fault, Options};
use crate::support::{eventually, outage};
use crate::{OnPeer, customers};

impl OnPeer {
    /// The row of a mailbox's only folder in `acuse mailbox list`.
    fn listed(&self, name: &str) -> Value {
        let Value::Array(rows) = self.site.json(&["mailbox", "list"]) else { panic!("no list") };
        rows.into_iter().find(|row| row["mailbox"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn wait_for_state(&self, name: &str, state: &str) -> Value {
        eventually(&format!("{name} {state}; log:\n{}", self.site.log()), || {
            Some(self.listed(name)).filter(|row| row["state"] == state)
        })
    }
}

/// Two mailboxes on one server, both watched.
fn two() -> OnPeer {
    let mut scene = OnPeer::prepare(Options::default(), |builder| builder.and_mailbox("ventas", "ana"));
    scene.server.add_user("ana", PASSWORD);
    scene.site.run();
    scene.server.wait_for_idle(USER, "INBOX");
    scene.server.wait_for_idle("ana", "INBOX");
    scene
}

#[test]
fn a_paused_mailbox_is_let_go_while_others_go_on_and_stays_so_after_a_restart() {
    let mut scene = two();
    assert_eq!(scene.listed("soporte")["state"], "ok");
    let said = scene.site.text(&["mailbox", "pause", "soporte"]);
    assert!(said.starts_with("soporte is paused"), "{said}");
    scene.server.wait_for("LOGOUT", 1);
    assert!(scene.site.text(&["mailbox", "pause", "soporte"]).contains("was paused already"));
    let listed = scene.server.count("UID FETCH RFC822.SIZE");
    scene.deliver(&outage(1));
    scene.server.deliver("ana", "INBOX", &outage(2), jiff::Timestamp::now());
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.acknowledged(), customers([2]));
    let row = scene.listed("soporte");
    assert_eq!((&row["state"], row["since"].is_string()), (&Value::from("paused"), true), "{row:#}");
    assert_eq!(scene.listed("ventas")["state"], "ok");

    scene.site.stop();
    scene.site.run();
    scene.server.wait_for("UID FETCH RFC822.SIZE", listed + 2); // the other one
    scene.server.wait_for_idle("ana", "INBOX");
    assert_eq!(scene.server.messages(USER, "INBOX").len(), 1);

    let said = scene.site.text(&["mailbox", "resume", "soporte"]);
    assert!(said.starts_with("soporte is resumed"), "{said}");
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.acknowledged(), customers([1, 2]), "it arrived after the enrolment: it is no backlog");
    assert_eq!(scene.listed("soporte")["state"], "ok");
    assert_eq!(scene.site.log().matches("an administrator paused the mailbox").count(), 2);
    assert_eq!(scene.site.log().matches("an administrator resumed the mailbox").count(), 1);
}

#[test]
fn a_pause_finishes_the_batch_in_hand() {
    let scene = OnPeer::start();
    scene.server.fault("UID FETCH BODY.PEEK[]", 1, Fault::Hold);
    scene.deliver(&outage(1));
    scene.server.wait_for("UID FETCH BODY.PEEK[]", 1);
    scene.site.text(&["mailbox", "pause", "soporte"]);
    eventually("the pause", || scene.site.log().contains("paused the mailbox").then_some(()));
    scene.server.release();
    scene.server.wait_for("LOGOUT", 1);
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.server.messages(USER, "INBOX").len(), 0, "settled before the leave");
    assert_eq!(scene.listed("soporte")["pending"], 0);
}

#[test]
fn a_silent_server_does_not_keep_a_mailbox_from_being_paused() {
    let scene = OnPeer::start();
    scene.server.fault_always("UID FETCH BODY.PEEK[]", Fault::Silent);
    scene.deliver(&outage(1));
    scene.server.wait_for("UID FETCH BODY.PEEK[]", 1);
    scene.site.text(&["mailbox", "pause", "soporte"]);
    eventually("the pause", || scene.site.log().contains("paused the mailbox").then_some(()));
    let connections = scene.server.connections();
    scene.server.no_faults();
    scene.site.text(&["mailbox", "resume", "soporte"]);
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.server.connections(), connections + 1);
    assert_eq!(scene.acknowledged(), customers([1]));
}

#[test]
fn the_list_says_what_is_wrong_since_when_and_in_whose_words() {
    let scene = OnPeer::start_with(Options::default(), |builder| {
        builder.and_mailbox("ventas", "ventas").and_mailbox("cerrado", USER).set("mailbox.2.port", 1)
    });
    scene.server.wait_for_idle(USER, "INBOX");
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    let row = scene.wait_for_state("ventas", "login_refused");
    assert!(row["detail"].as_str().is_some_and(|words| words.contains("login refused")), "{row:#}");
    assert!(row["since"].is_string() && row["last_poll"].is_null(), "{row:#}");
    let row = scene.wait_for_state("cerrado", "unreachable");
    assert!(row["detail"].as_str().is_some_and(|words| words.contains("refused")), "{row:#}");
    let row = scene.wait_for_state("soporte", "ok");
    assert_eq!((&row["last_uid"], &row["pending"], &row["rescan"]), (&1.into(), &0.into(), &Value::Null));
    let uidvalidity = scene.server.uidvalidity(USER, "INBOX");
    assert_eq!((&row["uidvalidity"], &row["detail"]), (&uidvalidity.into(), &Value::Null));
    assert!(row["polled_s_ago"].as_i64().is_some_and(|seconds| seconds < 60), "{row:#}");
    let said = scene.site.text(&["mailbox", "list"]);
    assert!(said.contains("ventas/INBOX: login refused"), "{said}");
    assert!(said.contains("s ago"), "{said}");

    // it is tried again slowly, unless somebody says that it is put right
    scene.server.add_user("ventas", PASSWORD);
    scene.site.text(&["mailbox", "pause", "ventas"]);
    scene.wait_for_state("ventas", "paused");
    eventually("the pause", || scene.site.log().contains("paused the mailbox").then_some(()));
    scene.site.text(&["mailbox", "resume", "ventas"]);
    scene.wait_for_state("ventas", "ok");
}

#[test]
fn a_mailbox_that_is_not_configured_is_told_from_those_that_are() {
    let scene = OnPeer::prepare(Options::default(), |builder| builder.and_mailbox("ventas", "ana"));
    assert_eq!(scene.listed("soporte")["state"], "new");
    for verb in ["pause", "resume", "rescan"] {
        let output = scene.site.acuse(&["mailbox", verb, "soport"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("there is no mailbox `soport`"), "{said}");
        assert!(said.contains("hint: acuse.toml names soporte, ventas"), "{said}");
    }
    assert!(scene.site.text(&["mailbox", "resume", "ventas"]).contains("was not paused"));
}
