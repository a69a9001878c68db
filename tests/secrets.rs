//! The secrets of a site are canaries here, looked for wherever the daemon leaves anything, at its most talkative, on every
//! path that has one in its hands (I16). `tests/support` looks for them after every other test that runs a daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::fs;
use std::os::unix::process::ExitStatusExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use support::acuse::{PASSWORD, USER};
use support::canary::{Canary, files_below};
use support::smtp_peer::{self, Fault, Step};
use support::stage::Stage;

mod support;

const RELAY_USER: &str = "envios";
const RELAY_PASSWORD: &str = "zeisig-im-ofen";

/// A stage whose relay has a password of its own.
fn stage(passwords: &tempfile::TempDir) -> Stage {
    let file = passwords.path().join("relay");
    fs::write(&file, RELAY_PASSWORD).unwrap();
    let login = Some((RELAY_USER, RELAY_PASSWORD));
    let options = smtp_peer::Options { login, ..smtp_peer::Options::default() };
    Stage::with_relay(options, |site| {
        site.set("smtp.user", RELAY_USER).set("smtp.password_file", file.to_str().unwrap())
    })
}

#[test]
fn no_secret_is_left_anywhere_on_any_path() {
    let passwords = tempfile::tempdir().unwrap();
    let mut stage = stage(&passwords);
    let key_file = stage.site.state_dir().join(acuse::config::THREAD_KEY);
    let mut canaries = Canary::keys_in(&key_file);
    assert_eq!(canaries.len(), 1, "the key is looked for");
    canaries.push(Canary::new("the mailbox's password", PASSWORD.as_bytes()));
    canaries.push(Canary::new("the relay's password", RELAY_PASSWORD.as_bytes()));
    let shown = |place: &str, bytes: &[u8]| canaries.iter().for_each(|it| it.assert_absent(place, bytes));

    // success, and a relay that lets nobody in
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.in_state("ana@cliente.example", "sent");
    stage.smtp.fault_always(Step::Auth, Fault::Reply("535 5.7.8 no"));
    stage.smtp.drop_connections();
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.row("luis@cliente.example", "last_error != ''");
    for of_process in ["cmdline", "environ"] {
        let file = format!("/proc/{}/{of_process}", stage.site.pid());
        shown(of_process, &fs::read(file).unwrap_or_default()); // nobody but root may read the second
    }
    // a refused login, a reload that is refused and one that is not
    stage.imap.set_password(USER, "another");
    stage.imap.drop_connections();
    stage.wait_for_count(1, "SELECT count(*) FROM alert WHERE kind = 'login_refused'");
    let rules = stage.site.directory().join("rules/wrong.toml");
    fs::write(&rules, "[[rule]]\n").unwrap();
    let refused = stage.site.acuse(&["reload"]);
    assert!(!refused.status.success());
    shown("what reload printed", &[refused.stdout, refused.stderr].concat());
    fs::remove_file(&rules).unwrap();
    shown("what reload printed", stage.site.text(&["reload"]).as_bytes());
    // what people print and copy
    let backup = stage.site.directory().join("backup.db");
    for args in
        [&["check"][..], &["db", "check"], &["outbox", "list"], &["mailbox", "list"], &["tickets", "list"]]
    {
        let printed = stage.site.acuse(args);
        shown(args[0], &[printed.stdout, printed.stderr].concat());
    }
    stage.site.text(&["db", "backup", backup.to_str().unwrap()]);
    // a crash, and another life
    stage.site.kill9();
    stage.imap.set_password(USER, PASSWORD);
    stage.restart();
    stage.in_state("luis@cliente.example", "sent");
    assert!(stage.site.stop().success());

    let log = stage.site.log();
    assert!(log.contains("DEBUG"), "the log is at its most talkative");
    shown("the log", log.as_bytes());
    let known = [&key_file, &stage.site.directory().join("imap.password")].map(Clone::clone);
    let files = files_below(stage.site.directory());
    assert!(files.iter().any(|file| file.ends_with("backup.db")) && files.len() >= 5);
    for file in files.iter().filter(|file| !known.contains(file)) {
        shown(&file.display().to_string(), &fs::read(file).unwrap());
    }
    for mail in stage.smtp.mails() {
        shown("an acknowledgement", &mail.raw);
    }
}

#[test]
fn a_canary_is_found_in_every_coding() {
    let canary = Canary::new("it", PASSWORD.as_bytes());
    let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    for user in ["", "a", "ab", "abc"] {
        let plain = STANDARD.encode(format!("\0{user}\0{PASSWORD}\0"));
        for text in [format!("{user}{PASSWORD}."), format!("{user}{hex}"), hex.to_uppercase(), plain] {
            assert!(canary.is_in(text.as_bytes()), "{text}");
        }
    }
    assert!(!canary.is_in(STANDARD.encode("kanarienfink kanarien vogel").as_bytes()));
}

#[test]
fn a_daemon_that_dies_leaves_no_core() {
    let passwords = tempfile::tempdir().unwrap();
    let mut stage = stage(&passwords);
    let pid = Pid::from_raw(stage.site.pid().cast_signed());
    prlimit(pid, Resource::Core, Rlimit { current: None, maximum: None })
        .expect("it may write as much as it likes");
    stage.site.signal(Signal::ABORT);
    let ended = stage.site.wait_for_end();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
    stage.site.run();
}
