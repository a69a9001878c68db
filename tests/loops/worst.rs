//! Peers that no ticket system is as bad as: nothing in their mail tells that no person wrote it, nor what it answers.

use jiff::Timestamp;

use crate::days::{Acuse, Course, Peer, US, field, play};

/// A mail that leaves no trace: its number is in the subject, in the name, in the text and in the Message-ID.
fn fresh(from: &str, number: usize) -> Vec<u8> {
    format!(
        "From: \"Cliente {number}\" <{from}>\r\nTo: <{US}>\r\nSubject: Pregunta {number}\r\n\
         Message-ID: <{number}.fresh@mua.example>\r\n\r\nEl servidor {number} est\u{e1} ca\u{ed}do.\r\n"
    )
    .into()
}

/// Two days with a peer that answers every mail so many times with a fresh one, from an address for each.
fn endless(name: &str, times: usize, hours: i64, from: impl Fn(usize) -> String) -> Course {
    let mut written = 0;
    let mut write = || {
        written += 1;
        fresh(&from(written), written)
    };
    let first = write();
    let mut peer = |_: &[u8]| (0..times).map(|_| write()).collect();
    let course = play(name, &mut peer, vec![(0, first)], hours);
    let asked = course.sent.len() * times + 1;
    assert!(course.mails_in as usize <= asked, "it answers us, and never itself");
    course
}

#[test]
fn who_answers_everything_with_fresh_headers_runs_into_the_caps() {
    let course = endless("fresh headers for ever", 1, 48, |_| "eco@eco.example".to_owned());
    assert_eq!(
        course.sent.len(),
        5,
        "the fifth answer in the hour has no answer, and nobody speaks any more"
    );
}

#[test]
fn who_answers_twice_is_no_worse() {
    let course = endless("two fresh answers to each", 2, 48, |_| "eco@eco.example".to_owned());
    assert_eq!(course.sent.len(), 5);
}

#[test]
fn a_new_address_each_time_runs_into_the_cap_of_its_domain() {
    let course = endless("a new address of a domain each time", 1, 48, |n| format!("eco{n}@eco.example"));
    assert_eq!(course.sent.len(), 30);
}

#[test]
fn a_new_tag_each_time_is_the_same_address() {
    let tagged = |n| format!("eco+{n}@gmail.com"); // no cap of domains there
    let course = endless("a new +tag of an address each time", 1, 48, tagged);
    assert_eq!(course.sent.len(), 5);
}

/// No cap is one of theirs: what is left is the pace of all and the breaker, which customers never wait for.
#[test]
fn a_new_domain_each_time_is_held_by_pace_and_breaker() {
    let course = endless("two answers, each from a new domain", 2, 3, |n| format!("eco@eco{n}.example"));
    assert!(course.tickets == course.mails_in, "tickets go on");
}

#[test]
fn a_mail_every_five_minutes_that_nobody_asked_for_is_a_ticket_and_seldom_an_answer() {
    let flood = (0..48 * 12).map(|n| (5 * n, fresh("eco@eco.example", n as usize))).collect();
    let course = play("a fresh mail every five minutes, unasked", &mut |_: &[u8]| Vec::new(), flood, 48);
    assert_eq!((course.tickets, course.sent.len()), (48 * 12, 40), "twenty a day");
}

#[test]
fn our_own_mail_that_comes_back_is_ours() {
    let mut echo = |mail: &[u8]| vec![mail.to_vec()];
    let course = play("an echo", &mut echo, vec![(0, fresh("eco@eco.example", 1))], 48);
    assert_eq!((course.mails_in, course.tickets, course.sent.len()), (2, 1, 1));
    let mut as_its_own = |mail: &[u8]| {
        let text = String::from_utf8_lossy(mail).replace(&format!("<{US}>"), "<eco@eco.example>");
        vec![text.into_bytes()]
    };
    let course =
        play("an echo under its own name", &mut as_its_own, vec![(0, fresh("eco@eco.example", 1))], 48);
    assert_eq!((course.mails_in, course.tickets, course.sent.len()), (2, 1, 1));
}

#[test]
fn an_unmarked_vacation_notice_joins_its_ticket() {
    let mut number = 0;
    let mut absent = |mail: &[u8]| {
        number += 1;
        let (subject, id) = (field(mail, "Subject"), field(mail, "Message-ID"));
        let text = format!(
            "From: Eco <eco@eco.example>\r\nTo: <{US}>\r\nSubject: {subject}\r\nMessage-ID: <away{number}@eco.example>\r\n\
             In-Reply-To: {id}\r\n\r\nVuelvo el lunes.\r\n"
        );
        vec![text.into_bytes()]
    };
    let course =
        play("a vacation notice without marks", &mut absent, vec![(0, fresh("eco@eco.example", 1))], 48);
    assert_eq!((course.mails_in, course.tickets, course.sent.len()), (2, 1, 1));
}

const THEM: &str = "soporte@otro.example";

#[test]
fn two_acuses_end_with_the_first_answer() {
    let mut other = Acuse::at(THEM);
    let course = play("another acuse", &mut other, vec![(0, fresh(THEM, 1))], 48);
    assert_eq!((course.mails_in, course.tickets, course.sent.len()), (1, 1, 1));
}

/// What a gateway lets through of a mail.
struct Gateway {
    beyond: Acuse,
    keeps: fn(&str) -> bool,
}

impl Peer for Gateway {
    fn hear(&mut self, mail: &[u8], now: Timestamp) -> Vec<Vec<u8>> {
        let pass = |mail: &[u8]| {
            let text = String::from_utf8_lossy(mail).replace("\r\n ", " ");
            let (head, body) = text.split_once("\r\n\r\n").expect("a mail");
            let kept: String = head
                .split("\r\n")
                .filter(|line| (self.keeps)(line))
                .map(|line| format!("{line}\r\n"))
                .collect();
            format!("{kept}\r\n{body}").into_bytes()
        };
        let inwards = pass(mail);
        self.beyond.take(&inwards, now);
        let answers = self.beyond.send(now);
        answers.iter().map(|sent| pass(&sent.bytes)).collect()
    }
}

#[test]
fn two_acuses_between_whom_the_marks_are_lost_end_in_one_thread() {
    let keeps = |line: &str| !["X-", "Auto-", "Precedence"].iter().any(|mark| line.starts_with(mark));
    let mut other = Gateway { beyond: Acuse::at(THEM), keeps };
    let course = play("another acuse, all marks lost", &mut other, vec![(0, fresh(THEM, 1))], 48);
    assert_eq!((course.mails_in, course.tickets, course.sent.len()), (2, 1, 1));
}

#[test]
fn two_acuses_between_whom_all_but_the_addresses_is_lost_run_into_the_caps() {
    let keeps =
        |line: &str| ["From", "To", "Subject", "MIME", "Content-"].iter().any(|name| line.starts_with(name));
    let mut other = Gateway { beyond: Acuse::at(THEM), keeps };
    let course = play("another acuse, only addresses left", &mut other, vec![(0, fresh(THEM, 1))], 48);
    assert!(course.sent.len() <= 5);
}
