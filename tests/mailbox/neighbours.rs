//! Several mailboxes and folders: the trouble of one is not the others' (I11).

use std::net::TcpListener;

use crate::support::acuse::{PASSWORD, Site, USER};
use crate::support::dovecot::{Options, wait_for_mails};
use crate::support::imap_peer::{self, Fault, ImapPeer};
use crate::support::proxy::{Proxy, Traffic};
use crate::support::smtp_peer::{self, SmtpPeer};
use crate::support::{eventually, outage};
use crate::{DONE, OnDovecot, OnPeer, Scene, customers};

#[test]
fn a_refused_login_pauses_that_mailbox_alone() {
    let scene =
        OnPeer::start_with(imap_peer::Options::default(), |builder| builder.and_mailbox("ventas", "ventas"));
    scene.server.wait_for_idle(USER, "INBOX");
    eventually("the pause", || scene.site.log().contains("the mailbox is paused").then_some(()));
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.acknowledged(), customers([1]));
    assert!(!scene.site.log().contains(PASSWORD), "I16");
}

#[test]
fn a_dead_server_delays_nobody_nor_the_end() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // bound no longer
    let silent = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
    let stalled = Proxy::start(silent.address());
    stalled.set(Traffic::Stalled);
    let mut scene = OnPeer::start_with(imap_peer::Options::default(), |builder| {
        builder
            .and_mailbox("cerrado", USER)
            .set("mailbox.1.port", i64::from(closed.port()))
            .and_mailbox("mudo", USER)
            .set("mailbox.2.port", i64::from(stalled.address().port()))
    });
    scene.server.wait_for_idle(USER, "INBOX");
    eventually("a failure", || scene.site.log().contains("the visit broke off").then_some(()));
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    assert!(scene.site.stop().success());
}

#[test]
fn a_server_that_dies_inside_a_large_fetch_delays_nobody() {
    let silent = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
    silent.add_user("ana", PASSWORD);
    let mut scene = OnPeer::start_with(imap_peer::Options::default(), |builder| {
        let port = i64::from(silent.address().port());
        builder
            .and_mailbox("mudo", USER)
            .set("mailbox.1.port", port)
            .and_mailbox("lleno", "ana")
            .set("mailbox.2.port", port)
    });
    silent.wait_for_idle(USER, "INBOX");
    silent.wait_for_idle("ana", "INBOX");
    scene.server.wait_for_idle(USER, "INBOX");
    silent.fault_always("UID FETCH BODY.PEEK[]", Fault::Silent);
    silent.deliver(USER, "INBOX", &vec![b'x'; 49 << 20], jiff::Timestamp::now());
    silent.wait_for("UID FETCH BODY.PEEK[]", 1);
    let listed = silent.count("UID FETCH RFC822.SIZE");
    silent.deliver("ana", "INBOX", &vec![b'x'; 20 << 20], jiff::Timestamp::now());
    silent.wait_for("UID FETCH RFC822.SIZE", listed + 1);
    std::thread::sleep(std::time::Duration::from_millis(200)); // it waits for room, which no log shows
    (1..=5).for_each(|n| scene.deliver(&outage(n)));
    scene.expect(&[("opened", 5)]);
    assert!(scene.site.stop().success());
}

#[test]
fn folders_and_mailboxes_are_read_side_by_side_and_share_what_they_know() {
    let mut scene = OnDovecot::prepare(&Options::default(), |builder| {
        let folders = ["INBOX", "Ventas", "Nada"].map(toml::Value::from).to_vec();
        builder
            .set("mailbox.0.folders", folders)
            .and_mailbox("ana", "ana")
            .set("mailbox.1.folders", vec![toml::Value::from("INBOX")])
    });
    scene.server.client(USER).create("Ventas");
    scene.site.run();
    eventually("three enrolments", || (scene.site.log().matches("enrolled").count() == 3).then_some(()));
    scene.deliver(&outage(1));
    scene.server.client(USER).append("Ventas", &outage(2), None);
    scene.server.client("ana").append("INBOX", &outage(3), None);
    scene.expect(&[("opened", 3)]);
    scene.server.client("ana").append("INBOX", &outage(1), None);
    scene.expect(&[("opened", 3), ("duplicate", 1)]);
    assert_eq!(scene.acknowledged(), customers(1..=3));
    wait_for_mails(&scene.server, USER, DONE, 2);
    wait_for_mails(&scene.server, "ana", DONE, 2);
}

#[test]
fn a_site_whose_only_server_is_down_starts_and_waits() {
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let server = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
    let proxy = Proxy::start(server.address());
    proxy.accept(false);
    let mut site = Site::builder(proxy.address(), smtp.address()).set("mailbox.0.poll", "1h").init();
    site.run();
    let scene: OnPeer = Scene { server, smtp, site };
    eventually("a failure", || scene.site.log().contains("the visit broke off").then_some(()));
    proxy.accept(true);
    scene.wait_for_enrolment();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
}
