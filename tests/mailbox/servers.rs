//! Servers that restart, freeze, hang up, or can do less than others.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::support::acuse::USER;
use crate::support::dovecot::{self, Dovecot, wait_for_mails};
use crate::support::imap_peer;
use crate::support::outage;
use crate::support::proxy::{Proxy, Traffic};
use crate::{DONE, OnDovecot, OnPeer, customers};

fn without(capabilities: &'static str) -> dovecot::Options {
    dovecot::Options { capabilities: Some(capabilities), ..dovecot::Options::default() }
}

#[test]
fn a_restarted_server_is_found_again() {
    let mut scene = OnDovecot::start();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.server.restart();
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2)]);
    scene.server.kill9();
    scene.server.restart();
    scene.deliver(&outage(3));
    scene.expect(&[("opened", 3)]);
    scene.server.drop_connections();
    scene.deliver(&outage(4));
    scene.expect(&[("opened", 4)]);
    assert_eq!(scene.acknowledged(), customers(1..=4));
}

#[test]
fn a_frozen_server_loses_nothing_and_does_not_keep_us_from_stopping() {
    let mut scene = OnDovecot::start();
    scene.server.freeze();
    scene.deliver(&outage(1));
    scene.server.thaw();
    scene.expect(&[("opened", 1)]);
    scene.server.freeze();
    scene.deliver(&outage(2));
    assert!(scene.site.stop().success());
    scene.server.thaw();
    scene.site.run();
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.acknowledged(), customers(1..=2));
}

#[test]
fn a_connection_cut_inside_a_mail_loses_nothing() {
    let server = Dovecot::start();
    let proxy = Proxy::start(server.imap());
    let mut scene = OnDovecot::at(server, proxy.address(), |builder| builder);
    scene.site.run();
    scene.wait_for_enrolment();
    proxy.cut_after(400);
    (1..=5).for_each(|n| scene.deliver(&outage(n)));
    scene.expect(&[("opened", 5)]);
    proxy.set(Traffic::Dripping(64, Duration::from_millis(1)));
    scene.deliver(&outage(6));
    scene.expect(&[("opened", 6)]);
    assert_eq!(scene.acknowledged(), customers(1..=6));
}

#[test]
fn tls_is_verified_by_the_ca_file() {
    let server = Dovecot::start();
    let (address, ca_file) = (server.imaps(), server.certificate().display().to_string());
    let mut scene = OnDovecot::at(server, address, |builder| {
        builder.set("mailbox.0.tls", "implicit").set("mailbox.0.ca_file", ca_file)
    });
    scene.site.run();
    scene.wait_for_enrolment();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
}

#[test]
fn without_idle_the_mailbox_is_polled() {
    let scene = OnDovecot::start_with(&without("IMAP4rev1 SASL-IR LITERAL+ UIDPLUS MOVE"), |builder| {
        builder.set("mailbox.0.poll", "1s")
    });
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.acknowledged(), customers(1..=2));
}

#[test]
fn without_move_mails_are_copied_and_only_ours_expunged() {
    let capabilities = without("IMAP4rev1 SASL-IR LITERAL+ UIDPLUS IDLE");
    let mut scene = OnDovecot::prepare(&capabilities, |builder| builder);
    let mut colleague = scene.server.client(USER);
    let last_week = Timestamp::now() - SignedDuration::from_hours(7 * 24);
    let theirs = colleague.append("INBOX", &outage(1), Some(last_week)).unwrap();
    colleague.select("INBOX");
    colleague.flag(theirs, "\\Deleted");
    scene.site.run();
    scene.expect(&[("ignored", 1)]);
    scene.deliver(&outage(2));
    scene.expect(&[("ignored", 1), ("opened", 1)]);
    wait_for_mails(&scene.server, USER, DONE, 1);
    wait_for_mails(&scene.server, USER, "INBOX", 1);
    assert_eq!(colleague.list("INBOX")[0].uid, theirs);
}

#[test]
fn without_uidplus_mails_are_moved_or_where_even_that_is_missing_flagged() {
    let peer = |r#move| imap_peer::Options { r#move, uidplus: false, ..imap_peer::Options::default() };
    let scene = OnPeer::start_with(peer(true), |builder| builder);
    scene.deliver(&outage(1));
    scene.server.wait_for_mails(USER, DONE, 1);
    assert_eq!(scene.server.offences(), [""; 0]);
    for after in ["move", "delete"] {
        let scene = OnPeer::start_with(peer(false), |builder| builder.set("mailbox.0.after", after));
        scene.deliver(&outage(1));
        scene.server.wait_for("UID STORE", 1);
        scene.server.wait_for_idle(USER, "INBOX");
        let left = scene.server.messages(USER, "INBOX");
        assert!(left.len() == 1 && left[0].has("$AcuseDone"), "{left:?}");
        scene.expect(&[("opened", 1)]);
        assert_eq!(scene.server.offences(), [""; 0]);
    }
}

#[test]
fn folders_are_made_below_inbox_where_the_server_wants_them_there() {
    let options = dovecot::Options { inbox_namespace: true, ..dovecot::Options::default() };
    let scene = OnDovecot::start_with(&options, |builder| builder.set("mailbox.0.move_to", "Acuse/{impact}"));
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    wait_for_mails(&scene.server, USER, "INBOX.Acuse.Alto", 1);
}
