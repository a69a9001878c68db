//! Servers whose answers are too large, out of form, out of order, or about something else.

use crate::support::acuse::USER;
use crate::support::imap_peer::{Fault, ImapPeer};
use crate::support::{customer, eventually};
use crate::{Siege, also, endure, raw};

const LISTING: &str = "UID FETCH RFC822.SIZE";
const BODY: &str = "UID FETCH BODY.PEEK[]";

#[test]
fn a_literal_of_4_gb_is_never_allocated() {
    let faults = [
        ("SELECT", raw("* FLAGS {4000000000}\r\n")),
        (LISTING, raw("* 1 FETCH (UID 1 BODY[] {4000000000}\r\n")),
        (BODY, raw("* 1 FETCH (UID 1 BODY[] {4000000000}\r\n")),
        (BODY, raw("* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\n")),
        ("LIST", raw("* LIST () \"/\" {4000000000}\r\n")),
        ("UID MOVE", raw("* OK [COPYUID {4000000000}\r\n")),
        ("IDLE", raw("* 1 FETCH (X {4000000000}\r\n")),
    ];
    endure("literal of 4 GB", 1, &faults);
}

#[test]
fn a_line_without_end_is_cut_off() {
    let endless = Fault::Raw([b"* OK ".to_vec(), vec![b'x'; 8 << 20]].concat());
    endure("line of 8 MB", 1, &["GREETING", LISTING, BODY, "IDLE"].map(|state| (state, endless.clone())));
}

#[test]
fn a_bodystructure_10_000_deep_that_nobody_asked_for_reaches_no_parser() {
    let deep = format!("* 1 FETCH (BODYSTRUCTURE {}{})\r\n", "(".repeat(10_000), ")".repeat(10_000));
    endure(
        "BODYSTRUCTURE 10 000 deep",
        1,
        &["SELECT", LISTING, BODY, "IDLE"].map(|state| (state, also(&deep))),
    );
}

#[test]
fn lines_without_crlf_end_the_session_and_lose_nothing() {
    let faults = [
        (LISTING, raw("* 1 FETCH (UID 1 RFC822.SIZE 5)\n{tag} OK done\n")),
        (BODY, raw("* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\n{tag} OK done\n")),
        (BODY, raw("* 1 FETCH (UID 1 BODY[] {3}\nabc)\n{tag} OK done\n")),
        ("IDLE", raw("+ idling\n")),
    ];
    endure("CRLF missing", 1, &faults);
}

#[test]
fn alerts_are_shown_to_a_person_without_their_controls() {
    let alert = "* OK [ALERT] \u{1b}[2J\u{1b}]0;pwned\u{7} your mailbox is almost full\r\n";
    let mut siege = Siege::lay("ALERT with ESC", 3);
    for (server, state) in siege.hostile.iter().zip(["GREETING", "SELECT", LISTING]) {
        server.fault(state, 1, also(alert));
    }
    siege.strike();
    siege.recover();
    eventually("three alerts", || {
        (siege.site.log().matches("your mailbox is almost full").count() == 3).then_some(())
    });
    siege.end();
}

/// The untagged FETCH responses of an answer, and the rest of it.
fn parted(answer: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut fetched, mut rest, mut left) = (Vec::new(), Vec::new(), answer);
    while let Some(feed) = left.windows(2).position(|pair| pair == b"\r\n") {
        let line = String::from_utf8_lossy(&left[..feed]).into_owned();
        let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')?.1.parse::<usize>().ok());
        // after the literal of a mail comes its closing parenthesis
        let end = literal.map_or(feed + 2, |size| feed + 2 + size + b")\r\n".len());
        let is_fetch = line.starts_with("* ") && line.contains(" FETCH ");
        let (response, after) = left.split_at(end);
        if is_fetch {
            fetched.push(response.to_vec())
        } else {
            rest.extend(response)
        }
        left = after;
    }
    (fetched, rest)
}

/// Each FETCH response with `from` replaced by `to` in what stands before its literal.
fn renamed(answer: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (fetched, rest) = parted(answer);
    let change = |response: &Vec<u8>| {
        let head = response.iter().position(|byte| *byte == b'\r').unwrap_or(response.len());
        let line = String::from_utf8_lossy(&response[..head]).replacen(from, to, 1);
        [line.as_bytes(), &response[head..]].concat()
    };
    [fetched.iter().map(change).collect::<Vec<_>>().concat(), rest].concat()
}

#[test]
fn an_answer_about_another_mail_or_about_none_in_particular_is_not_taken_for_ours() {
    let faults = [
        (BODY, Fault::Edited(|answer| renamed(&answer, "UID 1 ", "UID 77 "))),
        (BODY, Fault::Edited(|answer| renamed(&answer, "UID 1 ", "UID 0 "))),
        (BODY, Fault::Edited(|answer| renamed(&answer, "UID 1 ", ""))),
        (BODY, Fault::Edited(|answer| renamed(&answer, "BODY[]", "BODY[TEXT]"))),
        (BODY, also("* 1 FETCH (UID 9 BODY[] {11}\r\nTo: nobody\n)\r\n")),
    ];
    endure("FETCH reply for another UID, without UID", 1, &faults);
}

#[test]
fn an_empty_body_is_asked_for_again() {
    let faults = ["UID 1 BODY[] {0}\r\n)", "UID 1 BODY[] NIL)", "UID 1 BODY[] \"\")"]
        .map(|body| (BODY, raw(&format!("* 1 FETCH ({body}\r\n{{tag}} OK done\r\n"))));
    endure("empty bodies", 1, &faults);
}

/// Three mails for each hostile server, whose answers are edited.
fn three_mails_each(script: &'static str, faults: &[(&str, Fault)]) {
    let mut siege = Siege::lay(script, faults.len());
    for (server, (pattern, fault)) in siege.hostile.iter().zip(faults) {
        server.fault(pattern, 1, fault.clone());
        server.drop_connections();
    }
    for index in 0..faults.len() {
        (0..3).for_each(|_| _ = siege.deliver(Some(index)));
    }
    siege.calm_goes_on();
    siege.recover();
    siege.end();
}

#[test]
fn listings_and_mails_that_come_twice_or_in_any_order_are_one_ticket_each() {
    let backwards = Fault::Edited(|answer| {
        let (mut fetched, rest) = parted(&answer);
        fetched.reverse();
        [fetched.concat(), rest].concat()
    });
    let twice = Fault::Edited(|answer| {
        let (fetched, rest) = parted(&answer);
        [fetched.concat(), fetched.concat(), rest].concat()
    });
    let after_the_end = Fault::Edited(|answer| {
        let (fetched, rest) = parted(&answer);
        [rest, fetched.concat()].concat()
    });
    let faults = [
        (LISTING, backwards.clone()),
        (LISTING, twice.clone()),
        (BODY, backwards),
        (BODY, twice),
        (BODY, after_the_end),
    ];
    three_mails_each("replies twice, out of order, after the end", &faults);
}

#[test]
fn an_expunge_during_a_fetch_is_accounted_for() {
    let mut siege = Siege::lay("EXPUNGE during FETCH", 1);
    siege.hostile[0].fault(BODY, 1, Fault::Hold);
    siege.hostile[0].drop_connections();
    let gone = siege.deliver(Some(0));
    siege.deliver(Some(0));
    siege.hostile[0].wait_for(BODY, 1);
    siege.calm_goes_on();
    siege.hostile[0].remove(USER, "INBOX", gone);
    siege.hostile[0].release();
    siege.recover();
    let customer = customer(1);
    let check = siege.end_with(&[("opened", 2), ("ignored", 1)]);
    assert_eq!(check["listed"], 3, "{customer} took it back");
}

#[test]
fn expunges_and_counts_that_are_not_true_lose_nothing() {
    let faults = [
        (LISTING, also("* 1 EXPUNGE\r\n* 0 EXISTS\r\n")),
        (LISTING, also("* 0 EXISTS\r\n")),
        (BODY, also("* 1 EXPUNGE\r\n* 0 EXISTS\r\n")),
        ("UID MOVE", also("* 0 EXISTS\r\n* 4000000000 EXISTS\r\n")),
        ("IDLE", also("* 0 EXISTS\r\n* 1 EXISTS\r\n* 9 EXPUNGE\r\n* 0 EXISTS\r\n")),
    ];
    endure("EXISTS shrinks, EXPUNGE of nothing", 1, &faults);
}

/// Each IDLE is told of mail that is not there.
#[test]
fn news_that_is_none_is_no_busy_loop() {
    let mut siege = Siege::lay("EXISTS that is never true", 1);
    let server: &ImapPeer = &siege.hostile[0];
    server.fault_always("IDLE", raw("+ idling\r\n* 0 EXISTS\r\n* 7 EXISTS\r\n{tag} OK that was all\r\n"));
    siege.strike();
    let idles = || siege.hostile[0].count("IDLE");
    eventually("ten times in vain", || (idles() >= 10).then_some(()));
    let connections = siege.hostile[0].connections();
    assert!(idles() < 20, "10 + 20 + … ms are two seconds for the tenth, and it doubles: {}", idles());
    assert_eq!(connections, 2);
    siege.recover();
    siege.end();
}
