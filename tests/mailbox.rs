//! The daemon on a real Dovecot: what a server, its other clients and its administrator do to a mailbox.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::time::{Duration, Instant};

use serde_json::json;
use support::acuse::{Site, SiteBuilder, USER};
use support::dovecot::{self, Dovecot, wait_for_mails};
use support::proxy::{Proxy, Traffic};
use support::smtp_peer::{self, SmtpPeer};
use support::{customer, eventually, outage};

mod support;

const DONE: &str = "Acuse/Procesados";

struct Scene {
    server: Dovecot,
    smtp: SmtpPeer,
    site: Site,
}

impl Scene {
    /// A daemon that has enrolled an empty INBOX.
    fn start(options: &dovecot::Options) -> Self {
        Self::start_with(options, |builder| builder)
    }

    fn start_with(options: &dovecot::Options, adjust: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        let server = Dovecot::start_with(options);
        let smtp = SmtpPeer::start(smtp_peer::Options::default());
        let mut site = adjust(Site::builder(server.imap(), smtp.address())).init();
        site.run();
        let scene = Self { server, smtp, site };
        scene.wait_for_enrolment();
        scene
    }

    /// Mail that is there before its first pass is not acknowledged (I18); so wait for it.
    fn wait_for_enrolment(&self) {
        eventually("the enrolment", || self.site.log().contains("enrolled").then_some(()));
    }

    fn deliver(&self, mail: &[u8]) {
        self.server.deliver(USER, mail);
    }

    /// Waits for so many mails with an outcome; the counts of `db check`.
    fn wait_for_outcomes(&self, mails: u64) -> serde_json::Value {
        eventually(&format!("{mails} outcomes; log:\n{}", self.site.log()), || {
            let check = self.site.json(&["db", "check"]);
            (check["listed"].as_u64() >= Some(mails) && check["pending"] == 0).then_some(())
        });
        self.site.wait_until_sent();
        self.site.assert_conserved()
    }
}

#[test]
fn a_mail_is_acknowledged_as_soon_as_idle_tells_of_it() {
    let scene = Scene::start(&dovecot::Options::default());
    let start = Instant::now();
    scene.deliver(&outage(1));
    let ack = &scene.smtp.wait_for_mails(1)[0];
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}: no polling was waited for", start.elapsed());
    assert_eq!(ack.recipients[0].address, customer(1));
    wait_for_mails(&scene.server, USER, DONE, 1);
    assert_eq!(scene.server.client(USER).list("INBOX"), []);
}

#[test]
fn a_restarted_server_is_found_again() {
    let mut scene = Scene::start(&dovecot::Options::default());
    scene.deliver(&outage(1));
    scene.wait_for_outcomes(1);
    scene.server.restart();
    scene.deliver(&outage(2));
    scene.wait_for_outcomes(2);
    scene.server.kill9();
    scene.server.restart();
    scene.deliver(&outage(3));
    let check = scene.wait_for_outcomes(3);
    assert_eq!((check["opened"].as_u64(), scene.smtp.mails().len()), (Some(3), 3));
}

#[test]
fn a_new_uidvalidity_opens_and_sends_nothing_twice() {
    let keep = |builder: SiteBuilder| builder.set("mailbox.0.after", "keep").set("mailbox.0.poll", "1s");
    let scene = Scene::start_with(&dovecot::Options::default(), keep);
    (1..=3).for_each(|n| scene.deliver(&outage(n)));
    scene.wait_for_outcomes(3);
    scene.server.new_uidvalidity(USER, "INBOX");
    scene.server.drop_connections();
    let check = scene.wait_for_outcomes(6);
    assert_eq!((&check["opened"], &check["duplicate"]), (&json!(3), &json!(3)));
    assert_eq!(scene.site.tickets().len(), 3);
    assert_eq!(scene.smtp.mails().len(), 3);
}

#[test]
fn a_mail_that_somebody_has_read_already_is_a_mail_like_any_other() {
    let mut scene = Scene::start(&dovecot::Options::default());
    scene.site.stop();
    scene.deliver(&outage(1));
    let mut colleague = scene.server.client(USER);
    colleague.select("INBOX");
    colleague.flag(1, "\\Seen");
    scene.site.run();
    let check = scene.wait_for_outcomes(1);
    assert_eq!((check["opened"].as_u64(), scene.smtp.mails().len()), (Some(1), 1));
    wait_for_mails(&scene.server, USER, DONE, 1);
    assert_eq!(scene.server.client(USER).list(DONE)[0].flags, ["\\Seen"], "as they left it");
}

#[test]
fn a_mail_delivered_twice_is_one_ticket() {
    let scene = Scene::start(&dovecot::Options::default());
    scene.deliver(&outage(1));
    scene.wait_for_outcomes(1);
    scene.deliver(&outage(1));
    let check = scene.wait_for_outcomes(2);
    assert_eq!((&check["opened"], &check["duplicate"]), (&json!(1), &json!(1)));
    assert_eq!(scene.smtp.mails().len(), 1);
}

#[test]
fn mail_that_arrives_during_a_batch_is_not_passed_over() {
    let scene = Scene::start(&dovecot::Options::default());
    for n in 1..=60 {
        scene.deliver(&outage(n)); // each comes while the ones before it are being worked on
    }
    let check = scene.wait_for_outcomes(60);
    assert_eq!(check["opened"], 60);
    wait_for_mails(&scene.server, USER, DONE, 60);
}

#[test]
fn folders_are_made_below_inbox_where_the_server_wants_them_there() {
    let options = dovecot::Options { inbox_namespace: true, ..dovecot::Options::default() };
    let scene = Scene::start_with(&options, |builder| builder.set("mailbox.0.move_to", "Acuse/{impact}"));
    scene.deliver(&outage(1));
    scene.wait_for_outcomes(1);
    wait_for_mails(&scene.server, USER, "INBOX.Acuse.Alto", 1);
}

#[test]
fn without_idle_and_move_the_mailbox_is_polled_and_mails_are_copied() {
    let capabilities = Some("IMAP4rev1 SASL-IR LITERAL+ UIDPLUS");
    let options = dovecot::Options { capabilities, ..dovecot::Options::default() };
    let scene = Scene::start_with(&options, |builder| builder.set("mailbox.0.poll", "1s"));
    let mut colleague = scene.server.client(USER);
    scene.deliver(&outage(1));
    scene.wait_for_outcomes(1);
    wait_for_mails(&scene.server, USER, DONE, 1);
    assert_eq!(colleague.list("INBOX"), []);
}

#[test]
fn tls_is_verified_by_the_ca_file() {
    let server = Dovecot::start();
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let mut site = Site::builder(server.imaps(), smtp.address())
        .set("mailbox.0.tls", "implicit")
        .set("mailbox.0.ca_file", server.certificate().display().to_string())
        .init();
    site.run();
    let scene = Scene { server, smtp, site };
    scene.wait_for_enrolment();
    scene.deliver(&outage(1));
    assert_eq!(scene.wait_for_outcomes(1)["opened"], 1);
}

#[test]
fn a_connection_cut_inside_a_mail_loses_nothing() {
    let server = Dovecot::start();
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let proxy = Proxy::start(server.imap());
    let mut site = Site::builder(proxy.address(), smtp.address()).init();
    site.run();
    let scene = Scene { server, smtp, site };
    scene.wait_for_enrolment();
    proxy.cut_after(400);
    (1..=5).for_each(|n| scene.deliver(&outage(n)));
    assert_eq!(scene.wait_for_outcomes(5)["opened"], 5);
    proxy.set(Traffic::Dripping(64, Duration::from_millis(1)));
    scene.deliver(&outage(6));
    assert_eq!(scene.wait_for_outcomes(6)["opened"], 6);
}
