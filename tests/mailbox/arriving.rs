//! Mail comes in: pushed, in crowds, read by others, twice, out of its time.

use jiff::{SignedDuration, Timestamp};

use crate::support::acuse::USER;
use crate::support::dovecot::{Options, wait_for_mails};
use crate::support::{customer, outage};
use crate::{DONE, OnDovecot, customers, lay_in};

#[test]
fn idle_tells_of_a_mail_and_no_poll_is_waited_for() {
    let scene = OnDovecot::start();
    scene.deliver(&outage(1));
    assert_eq!(scene.smtp.wait_for_mails(1)[0].recipients[0].address, customer(1));
    wait_for_mails(&scene.server, USER, DONE, 1);
    scene.deliver(&outage(2));
    scene.smtp.wait_for_mails(2);
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.server.client(USER).list("INBOX"), []);
}

#[test]
fn mail_that_arrives_during_a_drain_is_not_passed_over() {
    const BEFORE: usize = 300; // more than one batch
    const MEANWHILE: usize = 60;
    let mut scene = OnDovecot::start();
    scene.site.stop();
    lay_in(&scene.server, 1..=BEFORE);
    scene.site.run();
    lay_in(&scene.server, BEFORE + 1..=BEFORE + MEANWHILE);
    scene.smtp.wait_for_mails(BEFORE + MEANWHILE);
    scene.expect(&[("opened", (BEFORE + MEANWHILE) as u64)]);
    assert_eq!(scene.acknowledged(), customers(1..=BEFORE + MEANWHILE));
    wait_for_mails(&scene.server, USER, DONE, BEFORE + MEANWHILE);
    assert_eq!(scene.server.client(USER).list("INBOX"), []);
}

#[test]
fn what_others_do_with_flags_changes_nothing() {
    let scene = OnDovecot::start_with(&Options::default(), |builder| builder.set("mailbox.0.after", "keep"));
    let mut colleague = scene.server.client(USER);
    let read = colleague.append("INBOX", &outage(1), None).unwrap();
    colleague.select("INBOX");
    colleague.flag(read, "\\Seen");
    scene.expect(&[("opened", 1)]);
    colleague.command(&format!("UID STORE {read} -FLAGS (\\Seen)"));
    colleague.flag(read, "\\Flagged");
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2)]);
    assert_eq!(scene.acknowledged(), customers(1..=2));
}

#[test]
fn the_same_mail_is_one_ticket_and_the_same_message_id_is_not() {
    let scene = OnDovecot::start();
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1), ("duplicate", 1)]);
    let other = [outage(1), b"Y el correo tampoco.\r\n".to_vec()].concat();
    scene.deliver(&other);
    scene.expect(&[("opened", 2), ("duplicate", 1)]);
    assert_eq!(scene.acknowledged(), customers([1, 1]));
    wait_for_mails(&scene.server, USER, DONE, 3);
}

#[test]
fn an_old_mail_that_a_colleague_moves_in_becomes_a_ticket_in_silence() {
    let scene = OnDovecot::start();
    let last_week = Timestamp::now() - SignedDuration::from_hours(7 * 24);
    scene.server.client(USER).append("INBOX", &outage(1), Some(last_week));
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.acknowledged(), [""; 0]);
    wait_for_mails(&scene.server, USER, DONE, 1);
}
