//! Servers whose folders are renumbered, read-only, oddly named or very large.

use jiff::{SignedDuration, Timestamp};

use crate::support::acuse::USER;
use crate::support::eventually;
use crate::support::imap_peer::{Fault, Options};
use crate::{Siege, SiteBuilder, also, endure, raw};

/// A mailbox that keeps its mails in place.
fn keeps(site: SiteBuilder) -> SiteBuilder {
    site.set("mailbox.1.after", "keep")
}

#[test]
fn a_uidvalidity_that_changes_between_select_and_fetch_makes_no_second_ticket() {
    let mut siege = Siege::lay("UIDVALIDITY changes after SELECT", 2);
    siege.hostile[0].fault("UID FETCH RFC822.SIZE", 1, Fault::Hold);
    siege.hostile[1].fault("UID FETCH RFC822.SIZE", 1, also("* OK [UIDVALIDITY 4242] renumbered\r\n"));
    siege.strike();
    siege.hostile[0].wait_for("UID FETCH RFC822.SIZE", 2);
    siege.hostile[0].change_uidvalidity(USER, "INBOX");
    siege.hostile[0].release();
    siege.recover();
    siege.hostile[1].wait_for("SELECT", 3); // it was noticed
    siege.end();
}

#[test]
fn a_uidvalidity_of_0_is_refused_with_its_reason() {
    let mut siege = Siege::lay("UIDVALIDITY 0", 1);
    let zero = raw(
        "* 1 EXISTS\r\n* OK [UIDVALIDITY 0] none\r\n* OK [UIDNEXT 2] next\r\n{tag} OK [READ-WRITE] open\r\n",
    );
    (1..=2).for_each(|nth| siege.hostile[0].fault("SELECT", nth, zero.clone()));
    siege.strike();
    siege.recover();
    assert!(siege.site.log().contains("the folder has no UIDVALIDITY"));
    siege.end();
}

#[test]
fn a_uidvalidity_that_falls_and_comes_back_answers_nobody_twice() {
    let mut siege = Siege::lay_with("UIDVALIDITY falls", &[Options::default()], keeps, |_| {});
    let first = siege.hostile[0].uidvalidity(USER, "INBOX");
    siege.strike();
    for (round, uidvalidity) in [(1, 7), (2, first), (3, 7)] {
        eventually("an outcome", || {
            let check = siege.site.json(&["db", "check"]);
            (check["opened"] == 2 * round && check["pending"] == 0).then_some(())
        });
        siege.hostile[0].wait_for_idle(USER, "INBOX");
        siege.hostile[0].set_uidvalidity(USER, "INBOX", uidvalidity);
        siege.strike();
    }
    // one mail was there before it fell, which is listed again then; after that each mail is known by its number
    let opened = siege.mails as u64;
    siege.end_with(&[("opened", opened), ("duplicate", 3)]);
}

#[test]
fn uids_with_gaps_and_beyond_2_to_the_31_are_followed() {
    let mut siege = Siege::lay("UID gaps, UID > 2^31", 1);
    for uid in [9, 2_000, (1 << 31) - 1, 1 << 31, u32::MAX - 1] {
        siege.hostile[0].set_uidnext(USER, "INBOX", uid);
        siege.strike();
        siege.hostile[0].wait_for_mails(USER, "INBOX", 0);
        siege.hostile[0].wait_for_idle(USER, "INBOX");
    }
    siege.end();
}

/// A server put back from a backup counts anew under the same UIDVALIDITY.
#[test]
fn uids_that_are_given_anew_are_mails_of_their_own() {
    let mut siege = Siege::lay("UID reuse", 1);
    for uidnext in [1, 2] {
        for _ in 0..3 {
            siege.deliver(Some(0));
        }
        siege.hostile[0].wait_for_mails(USER, "INBOX", 0);
        siege.hostile[0].wait_for_idle(USER, "INBOX");
        siege.hostile[0].set_uidnext(USER, "INBOX", uidnext);
        siege.strike();
        siege.hostile[0].wait_for_mails(USER, "INBOX", 0);
        siege.hostile[0].wait_for_idle(USER, "INBOX");
    }
    assert_eq!(siege.site.log().matches("the server gives UIDs anew").count(), 2);
    siege.end();
}

#[test]
fn a_read_only_folder_is_told_once_and_settled_when_it_is_open() {
    let read_only = |answer: Vec<u8>| {
        String::from_utf8(answer).unwrap().replace("[READ-WRITE]", "[READ-ONLY]").into_bytes()
    };
    let mut siege = Siege::lay("read-only SELECT", 1);
    siege.hostile[0].fault("SELECT", 1, Fault::Edited(read_only));
    siege.strike();
    siege.hostile[0].wait_for_idle(USER, "INBOX");
    siege.deliver(Some(0));
    eventually("both outcomes", || (siege.site.json(&["db", "check"])["opened"] == 3).then_some(()));
    siege.hostile[0].wait_for_idle(USER, "INBOX");
    assert_eq!(siege.site.log().matches("the folder is read-only").count(), 1);
    assert_eq!(siege.hostile[0].count("UID MOVE"), 0, "nothing is tried in vain");
    siege.hostile[0].drop_connections();
    siege.hostile[0].wait_for_mails(USER, "INBOX", 0);
    siege.end();
}

#[test]
fn folder_names_in_raw_bytes_make_no_mailbox_unreachable() {
    let odd = |name: &[u8]| Fault::Also([b"* LIST () \"/\" ", name, b"\r\n"].concat());
    let faults = [
        ("LIST", odd(b"\"T\xe9cnico\"")),
        ("LIST", odd(b"{8}\r\nT\xff\xfe\x80nico")),
        ("LIST", odd("\"Técnico\"".as_bytes())),
        ("LIST", odd(b"\"&bad-utf7\"")),
    ];
    endure("folder names that are no UTF-8", 1, &faults);
}

#[test]
fn folders_are_watched_and_made_by_names_that_are_no_ascii() {
    let names = |site: SiteBuilder| {
        let folders = ["INBOX", "Soporte técnico"].map(toml::Value::from).to_vec();
        site.set("mailbox.1.folders", folders).set("mailbox.1.move_to", "Atención & más/{impact}")
    };
    let mut siege = Siege::lay_with("modified UTF-7 names", &[Options::default()], names, |servers| {
        servers[0].make_folder(USER, "Soporte t&AOk-cnico");
    });
    (siege.folders, siege.mails) = (2, 1);
    let server = &siege.hostile[0];
    server.wait_for_idle(USER, "Soporte t&AOk-cnico");
    server.deliver(USER, "Soporte t&AOk-cnico", &crate::outage(1), Timestamp::now());
    server.wait_for_mails(USER, "Atenci&APM-n &- m&AOE-s/Alto", 1);
    siege.end();
}

#[test]
fn servers_without_move_uidplus_or_idle_are_served() {
    let without = |r#move, uidplus, idle| Options { r#move, uidplus, idle, ..Options::default() };
    let servers = [
        without(false, true, true),
        without(true, false, true),
        without(false, false, true),
        without(true, true, false),
    ];
    let poll = |site: SiteBuilder| site.set("mailbox.4.poll", "1s");
    let mut siege = Siege::prepare("no MOVE, UIDPLUS, IDLE", &servers, poll, |_| {});
    siege.calm.wait_for_idle(USER, "INBOX");
    siege.hostile.iter().for_each(|server| server.wait_for("UID FETCH RFC822.SIZE", 1));
    siege.strike();
    for server in [0, 1, 3] {
        siege.hostile[server].wait_for_mails(USER, "INBOX", 0);
    }
    eventually("the flag", || siege.hostile[2].messages(USER, "INBOX")[0].has("$AcuseDone").then_some(()));
    siege.end();
}

#[test]
fn a_mailbox_of_100_000_old_mails_is_enrolled_and_watched() {
    const OLD: u64 = 100_000;
    let mut siege = Siege::prepare(
        "100 000 mails",
        &[Options::default()],
        |site| site,
        |servers| {
            let last_week = Timestamp::now() - SignedDuration::from_hours(7 * 24);
            let mails = vec![b"Subject: antes\r\n\r\n".to_vec(); OLD as usize];
            servers[0].deliver_at_once(USER, "INBOX", &mails, last_week);
        },
    );
    siege.calm.wait_for_idle(USER, "INBOX");
    siege.calm_goes_on();
    siege.hostile[0].wait_for_idle(USER, "INBOX");
    siege.deliver(Some(0));
    siege.end_with(&[("opened", 2), ("ignored", OLD)]);
}
