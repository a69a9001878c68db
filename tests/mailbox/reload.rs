//! A new policy while mail goes on: `acuse reload` and SIGHUP, right files and wrong ones (I15).

use std::collections::BTreeSet;
use std::fs;
use std::process::{Output, Stdio};

use acuse::store::{self, Reloaded};
use jiff::Timestamp;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use crate::OnPeer;
use crate::support::acuse::{ADDRESS, USER};
use crate::support::imap_peer::Options;
use crate::support::{customer, eventually};

/// A rule of the site's own, which makes mails about the Quetzal a case of this kind.
fn rule(case: &str) -> String {
    format!(
        "[[rule]]\nid = \"quetzal\"\ncase = \"{case}\"\nany = [\"quetzal\"]\nyes = [\"El Quetzal parpadea\"]\n"
    )
}

/// A mail that no shipped rule knows: a bare 502 would be one that they do.
fn mail(n: usize) -> Vec<u8> {
    let from = customer(n);
    format!("From: <{from}>\r\nTo: {ADDRESS}\r\nSubject: Quetzal q{n}\r\n\r\nEl Quetzal q{n} parpadea.\r\n")
        .into()
}

impl OnPeer {
    fn write_rules(&self, name: &str, text: &str) {
        fs::write(self.site.directory().join("rules").join(name), text).unwrap();
    }

    /// `acuse reload` that fails: its exit code, and what it says.
    fn refused_reload(&self, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.site.acuse(&[&["reload"], args].concat());
        (status.code(), String::from_utf8(stderr).unwrap())
    }

    /// The impact of the ticket that the `n`th mail opened, and the generation that decided it; read from the database,
    /// since a command reads the files.
    fn decided(&self, n: usize) -> (String, i64) {
        let sql = format!("SELECT impact || ' ' || policy FROM ticket WHERE subject = 'Quetzal q{n}'");
        let row: String = self.rows(&sql).pop().expect("a ticket");
        let (impact, generation) = row.split_once(' ').unwrap();
        (impact.to_owned(), generation.parse().unwrap())
    }

    /// Delivers the `n`th mail; what became of it.
    fn decide(&self, n: usize) -> (String, i64) {
        self.deliver(&mail(n));
        self.expect(&[("opened", n as u64)]);
        self.decided(n)
    }

    /// Delivers the `n`th mail and asserts its impact and its generation.
    #[track_caller]
    fn expect_decision(&self, n: usize, impact: &str, generation: i64) {
        assert_eq!(self.decide(n), (impact.to_owned(), generation), "{}", self.site.log());
    }

    fn rows<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
        let database = Connection::open(self.site.state_dir().join("acuse.db")).unwrap();
        let mut rows = database.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// What stands about wrong files.
    fn alert(&self) -> Option<String> {
        self.rows("SELECT detail FROM alert WHERE kind = 'policy_refused' AND ended IS NULL").pop()
    }

    fn wait_for_log(&self, line: &str) {
        eventually(line, || self.site.log().contains(line).then_some(()));
    }
}

#[test]
fn a_reload_changes_what_becomes_of_the_next_mail_and_each_ticket_names_its_policy() {
    let scene = OnPeer::start();
    scene.expect_decision(1, "medium", 1);
    scene.write_rules("quetzal.toml", &rule("outage"));
    let said = scene.site.text(&["reload"]);
    assert!(said.starts_with("policy 2 (") && said.contains(") is in force: "), "{said}");
    scene.expect_decision(2, "high", 2);
    scene.wait_for_log("a new policy is in force");

    let again = scene.site.text(&["reload"]);
    assert!(again.starts_with("nothing changed: policy 2 ("), "{again}");
    let answer = scene.site.json(&["reload"]);
    assert_eq!((&answer["generation"], &answer["changed"]), (&2.into(), &false.into()), "{answer:#}");
    let shown = scene.site.json(&["tickets", "show", "ACU-2"]);
    assert_eq!((&shown["policy"]["hash"], &shown["policy"]["by"]), (&answer["hash"], &Value::from("reload")));
    assert!(scene.site.text(&["tickets", "show", "ACU-2"]).contains("\npolicy        2 ("));

    scene.write_rules("quetzal.toml", &rule("howto"));
    assert_eq!(scene.site.json(&["reload"])["changed"], true);
    scene.expect_decision(3, "low", 3);
    assert_eq!(scene.decided(1), ("medium".to_owned(), 1), "what was decided stays");
}

#[test]
fn wrong_files_are_refused_with_their_place_and_the_old_policy_decides() {
    let scene = OnPeer::start();
    scene.write_rules("quetzal.toml", &rule("outaje"));
    let (code, said) = scene.refused_reload(&[]);
    assert_eq!(code, Some(78), "{said}");
    let caret = "3 | case = \"outaje\"\n  |        ^^^^^^^^\nhint: did you mean `outage`?";
    assert!(said.contains("quetzal.toml:3:8\n") && said.contains(caret), "{said}");
    assert!(said.contains("the policy in force stays"), "{said}");
    let alert = scene.alert().expect("an alert");
    assert!(alert.starts_with("1 problem: ") && alert.contains("quetzal.toml:3:8: "), "{alert}");
    scene.expect_decision(1, "medium", 1);

    scene.site.signal(Signal::HUP);
    scene.wait_for_log("the policy's files are wrong; the policy in force stays");
    assert!(scene.site.log().contains("quetzal.toml:3:8: unknown case `outaje`"), "{}", scene.site.log());
    scene.expect_decision(2, "medium", 1);

    scene.write_rules("quetzal.toml", &rule("outage"));
    scene.site.text(&["reload"]);
    assert_eq!(scene.alert(), None);
    scene.expect_decision(3, "high", 2);
}

#[test]
fn rules_that_miss_their_own_examples_are_refused_but_at_a_start_told_of() {
    let mut scene = OnPeer::start();
    scene.write_rules("quetzal.toml", &(rule("outage") + "no = [\"No veo el Quetzal\"]\n"));
    let (code, said) = scene.refused_reload(&[]);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("this line comes out as `outage`") && said.contains("quetzal.toml:6:7\n"),
        "{said}"
    );
    scene.expect_decision(1, "medium", 1);

    assert!(scene.site.stop().success());
    scene.site.run();
    scene.wait_for_log("yes or no lines of the policy come out otherwise");
    assert!(scene.alert().is_some_and(|alert| alert.contains("quetzal.toml:6:7: this line comes out")));
    scene.expect_decision(2, "high", 2);
    let by: Vec<String> = scene.rows("SELECT origin FROM policy ORDER BY generation");
    assert_eq!(by, ["start", "start"]);
}

#[test]
fn sighup_puts_right_files_in_force() {
    let scene = OnPeer::start();
    scene.write_rules("quetzal.toml", &rule("outage"));
    scene.site.signal(Signal::HUP);
    scene.wait_for_log("a new policy is in force");
    scene.expect_decision(1, "high", 2);
    assert_eq!(scene.site.json(&["tickets", "show", "ACU-1"])["policy"]["by"], "signal");
    scene.site.signal(Signal::HUP);
    scene.wait_for_log("the policy's files say what is in force already");
    scene.expect_decision(2, "high", 2);
}

#[test]
fn without_a_daemon_a_reload_says_whether_the_files_are_right() {
    let mut scene = OnPeer::prepare(Options::default(), |builder| builder);
    scene.write_rules("quetzal.toml", &rule("outage"));
    let (code, said) = scene.refused_reload(&[]);
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("no daemon runs on") && said.contains("takes effect when the daemon starts"),
        "{said}"
    );
    scene.write_rules("quetzal.toml", "= 1\n");
    assert_eq!(scene.refused_reload(&[]).0, Some(78));
    assert!(scene.alert().is_some_and(|alert| alert.contains("quetzal.toml:1:1: ")));
    scene.write_rules("quetzal.toml", &rule("outage"));
    scene.site.run();
    scene.server.wait_for_idle(USER, "INBOX");
    assert_eq!(scene.alert(), None);
    scene.expect_decision(1, "high", 1);
}

#[test]
fn who_asked_a_daemon_that_died_is_answered_by_the_next() {
    let mut scene = OnPeer::prepare(Options::default(), |builder| builder);
    let mut store = store::open(&scene.site.state_dir()).unwrap();
    let row = store.transaction(|tx| tx.ask_reload(Timestamp::now())).unwrap();
    scene.site.run();
    let answer = eventually("an answer", || store.read(|tx| tx.reload_answer(row)).unwrap());
    let Reloaded::InForce(generation) = answer else { panic!("{answer:?}") };
    assert_eq!((generation.number, generation.by.as_str()), (1, "start"));
}

#[test]
fn reloads_at_the_same_time_all_hear_of_one_generation() {
    let scene = OnPeer::start();
    scene.write_rules("quetzal.toml", &rule("outage"));
    let reload = || scene.site.command(&["reload", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let running: Vec<_> = (0..3).map(|_| reload()).collect();
    for child in running {
        let Output { status, stdout, .. } = child.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&stdout).unwrap();
        assert!(status.success() && answer["generation"] == 2, "{answer:#}");
    }
    let hashes: Vec<String> = scene.rows("SELECT hash FROM policy");
    assert_eq!(hashes.len(), 2);
}

#[test]
fn a_policy_laid_over_the_rest_is_read_anew_and_another_is_told_from_it() {
    let mut scene = OnPeer::prepare(Options::default(), |builder| builder);
    let over = scene.site.directory().join("over");
    fs::create_dir(&over).unwrap();
    let shipped = include_str!("../../rules/low.toml");
    fs::write(over.join("low.toml"), shipped.to_owned() + &rule("howto")).unwrap();
    let policy = ["--policy", over.to_str().unwrap()];
    scene.site.run_with(&policy);
    let said = scene.site.text(&[&["reload"][..], &policy].concat());
    assert!(said.starts_with("nothing changed: policy 1 ("), "{said}");
    let (code, said) = scene.refused_reload(&[]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("the daemon has policy 1 (") && said.contains("hint: restart it"), "{said}");
}

#[test]
fn reloads_under_a_stream_of_mails_lose_none_and_each_is_decided_by_one_policy() {
    let scene = OnPeer::start_with(Options::default(), |builder| builder.set("limits.per_hour", 1_000_000));
    scene.server.wait_for_idle(USER, "INBOX");
    scene.write_rules("quetzal.toml", &rule("outage"));
    let high = scene.site.json(&["reload"])["hash"].as_str().unwrap().to_owned();
    let mut delivered = 0;
    std::thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            for case in ["howto", "outage", "howto", "outage"] {
                scene.write_rules("quetzal.toml", &rule(case));
                scene.site.text(&["reload"]);
            }
        });
        while !reloads.is_finished() {
            delivered += 1;
            scene.deliver(&mail(delivered));
            eventually("some outcomes", || {
                let done: Vec<i64> = scene.rows("SELECT count(*) FROM message");
                (done[0] + 5 > delivered as i64).then_some(())
            });
        }
    });
    scene.expect(&[("opened", delivered as u64)]);
    let generations: BTreeSet<i64> = scene.rows("SELECT policy FROM message").into_iter().collect();
    assert!(generations.len() >= 4, "{generations:?} of {delivered} mails");
    let mixed: Vec<i64> = scene.rows(
        "SELECT ticket.id FROM ticket JOIN message ON message.ticket = ticket.id JOIN promise ON promise.ticket = ticket.id
         WHERE ticket.policy != message.policy OR promise.policy != message.policy OR promise.impact != ticket.impact",
    );
    assert_eq!(mixed, [0; 0]);
    let sql = "SELECT impact || ' ' || hash FROM ticket JOIN policy ON policy.generation = ticket.policy";
    for decided in scene.rows::<String>(sql) {
        let (impact, hash) = decided.split_once(' ').unwrap();
        assert_eq!(impact, if hash == high { "high" } else { "low" }, "{decided}");
    }
    assert_eq!(scene.acknowledged().len(), delivered);
}
