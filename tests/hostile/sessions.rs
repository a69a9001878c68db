//! Servers that end, stall, refuse or spoil a session, at each of its states.

use std::time::Duration;

use crate::support::acuse::{PASSWORD, USER};
use crate::support::eventually;
use crate::support::imap_peer::{Fault, ImapPeer, Options};
use crate::{Siege, endure, play, raw};

/// What a server is asked from the greeting to IDLE when a first mail has come.
const STATES: [&str; 9] = [
    "GREETING",
    "AUTHENTICATE",
    "SELECT",
    "UID FETCH RFC822.SIZE",
    "UID FETCH BODY.PEEK[]",
    "LIST",
    "CREATE",
    "UID MOVE",
    "IDLE",
];

fn at_each_state(fault: &Fault) -> Vec<(&'static str, Fault)> {
    STATES.iter().map(|state| (*state, fault.clone())).collect()
}

#[test]
fn a_bye_at_each_state_is_survived() {
    endure("BYE at each state", 1, &at_each_state(&Fault::Bye));
}

#[test]
fn a_closed_connection_at_each_state_is_survived() {
    endure("connection closed at each state", 1, &at_each_state(&Fault::Close));
}

#[test]
fn a_lost_answer_at_each_state_makes_no_second_ticket() {
    endure("answer lost at each state", 1, &at_each_state(&Fault::CutAt(0)));
}

#[test]
fn a_server_that_hangs_at_each_state_holds_up_nobody() {
    let faults = at_each_state(&Fault::Silent);
    let mut siege = Siege::lay("hang at each state", faults.len());
    play(&siege, 1, &faults);
    siege.strike();
    siege.recover_and_hang_up();
    siege.end();
}

#[test]
fn a_reset_inside_a_mail_at_ten_offsets_loses_nothing() {
    let faults = [0, 1, 2, 3, 7, 20, 50, 100, 150, 200];
    let faults = faults.map(|offset| ("UID FETCH BODY.PEEK[]", Fault::ResetInLiteral(offset)));
    endure("RST inside a mail at 10 offsets", 1, &faults);
}

#[test]
fn a_transient_no_is_not_held_against_login_folder_or_mail() {
    let mut faults = Vec::new();
    for state in &STATES[1..4] {
        for why in ["[UNAVAILABLE] storage is away", "[LIMIT] too many of you", "[INUSE] locked"] {
            faults.push((*state, Fault::No(why)));
        }
    }
    let mut siege = Siege::lay("NO [UNAVAILABLE], [LIMIT], [INUSE]", faults.len());
    play(&siege, 2, &faults);
    siege.strike();
    siege.recover();
    assert!(!siege.site.log().contains("the mailbox is paused"), "no login was refused");
    siege.end();
}

#[test]
fn a_server_that_lets_us_in_and_says_no_to_all_is_asked_ever_more_seldom() {
    let mut siege = Siege::lay("LOGIN OK, then all NO", 1);
    for state in &STATES[2..] {
        siege.hostile[0].fault_always(state, Fault::No("not today"));
    }
    siege.strike();
    siege.hostile[0].wait_for("SELECT", 4);
    siege.recover();
    let waits = siege.waits(0);
    let least = |failure: usize| 2_f64.powi(i32::try_from(failure).unwrap()) / 2.0;
    assert!(waits.iter().enumerate().all(|(failure, wait)| *wait >= least(failure)), "{waits:?}");
    siege.end();
}

#[test]
fn a_refusal_to_settle_is_told_and_tried_again_later() {
    endure("NO and BAD to MOVE", 1, &[("UID MOVE", Fault::No("[OVERQUOTA] full")), ("UID MOVE", Fault::Bad)]);
}

#[test]
fn capabilities_that_change_from_login_to_login_are_believed_each_time() {
    let mut siege = Siege::lay("capabilities change", 2);
    let fewer = |answer: Vec<u8>| {
        let text = String::from_utf8(answer).unwrap();
        text.replace(" MOVE", "").replace(" IDLE", "").into_bytes()
    };
    siege.hostile[0].fault("GREETING", 1, Fault::Edited(fewer));
    siege.hostile[0].fault("CAPABILITY", 1, Fault::Edited(fewer));
    siege.hostile[1].fault("CAPABILITY", 1, raw("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"));
    siege.strike();
    siege.hostile[0].wait_for("UID COPY", 1); // no MOVE this time
    siege.hostile[1].wait_for("UID STORE $ACUSEDONE", 1); // not even UIDPLUS
    siege.recover_and_hang_up(); // both poll, and so rarely that the test would not see it
    siege.end();
}

/// One server for each way to spoil STARTTLS; none of them ever sees the password.
#[test]
fn starttls_is_never_optional_and_the_password_never_in_the_clear() {
    let offer = "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] ready\r\n";
    let spoilt = [
        ("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n", ""),
        ("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] come in\r\n", ""),
        (offer, "{tag} OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n"),
        (offer, "{tag} OK go\r\n{tag} OK logged in\r\n"),
        (offer, "{tag} NO not now\r\n"),
        (offer, "* BYE not now\r\n"),
    ];
    let start_tls = |site: crate::SiteBuilder| {
        (1..=spoilt.len()).fold(site, |site, index| site.set(&format!("mailbox.{index}.tls"), "starttls"))
    };
    let mut siege =
        Siege::prepare("STARTTLS extras", &vec![Options::default(); spoilt.len()], start_tls, |servers| {
            for (server, (greeting, answer)) in servers.iter().zip(spoilt) {
                server.fault_always("GREETING", raw(greeting));
                server.fault_always("STARTTLS", raw(answer));
            }
        });
    siege.calm.wait_for_idle(USER, "INBOX");
    siege.calm_goes_on();
    for (index, server) in siege.hostile.iter().enumerate() {
        eventually("two failures", || (siege.waits(index).len() >= 2).then_some(()));
        assert_eq!((server.count("AUTHENTICATE"), server.count("LOGIN")), (0, 0));
    }
    siege.end();
}

#[test]
fn a_slow_drip_is_waited_for_and_holds_up_nobody() {
    use crate::support::proxy::{Proxy, Traffic};
    let server = ImapPeer::start(Options::default(), USER, PASSWORD);
    let proxy = Proxy::start(server.address());
    let port = i64::from(proxy.address().port());
    let behind = |site: crate::SiteBuilder| site.and_mailbox("lento", USER).set("mailbox.1.port", port);
    let mut siege = Siege::lay_with("slow drip", &[], behind, |_| {});
    server.wait_for_idle(USER, "INBOX");
    proxy.set(Traffic::Dripping(1, Duration::from_millis(2)));
    siege.mails += 1;
    server.deliver(USER, "INBOX", &crate::outage(siege.mails), jiff::Timestamp::now());
    siege.calm_goes_on();
    server.wait_for_mails(USER, "INBOX", 0);
    assert_eq!((server.connections(), server.offences().len()), (1, 0));
    siege.end();
}
