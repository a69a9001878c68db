//! SIGTERM in the middle of work, and a second daemon on the same state directory (I13).

use crate::support::acuse::USER;
use crate::support::dovecot::wait_for_mails;
use crate::support::{eventually, outage};
use crate::{DONE, OnDovecot, OnPeer, customers, lay_in};

#[test]
fn a_drain_that_is_stopped_goes_on_where_it_was() {
    const MAILS: usize = 300; // two batches
    let mut scene = OnDovecot::start();
    scene.site.stop();
    lay_in(&scene.server, 1..=MAILS);
    let mut listed = 0;
    for _ in 0..2 {
        scene.site.run();
        let before = listed;
        listed = eventually("progress", || {
            let listed = scene.site.json(&["db", "check"])["listed"].as_u64().unwrap();
            (listed > before || listed == MAILS as u64).then_some(listed)
        });
        assert!(scene.site.stop().success());
        scene.site.assert_conserved();
    }
    scene.site.run();
    scene.smtp.wait_for_mails(MAILS);
    scene.expect(&[("opened", MAILS as u64)]);
    assert_eq!(scene.acknowledged(), customers(1..=MAILS), "each once");
    wait_for_mails(&scene.server, USER, DONE, MAILS);
}

#[test]
fn a_second_daemon_is_told_who_holds_the_state_directory() {
    let scene = OnPeer::start();
    let second = scene.site.acuse(&["run"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains(&format!("pid {}", scene.site.pid())), "{said}");
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
}
