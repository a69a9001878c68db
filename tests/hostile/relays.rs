//! Relays that refuse, lie, dribble, hang up and forget, and the acknowledgement that they are given: it comes once in
//! the end, or is refused once for good, always as the same bytes (I5); tickets go on (I11), nothing is tried without a
//! wait, and memory stays bounded (I12).

use std::time::Instant;

use crate::support::acuse::{PASSWORD, USER};
use crate::support::smtp_peer::{self, Fate, Fault, Step};
use crate::support::stage::Stage;
use crate::{MOST_MEMORY_MIB, peak};

/// What becomes of an acknowledgement whose relay plays such a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It says nothing of the mail: no attempt counts, and the mail goes when the relay serves.
    Untried,
    /// It is offered again.
    Later,
    /// The relay had it and did not say so: it is offered again, unchanged.
    Twice,
    /// Whether the relay's yes was heard is the network's to say.
    OnceOrTwice,
    /// For good, at the first attempt.
    Refused,
    /// At the first attempt, whatever the relay looks like.
    Sent,
}

/// So long a relay may take for a step here.
const PATIENCE: &str = "2s";
/// Nobody is greeted or asked more often than this, and some connections for the mails that go well.
const CONNECTIONS_A_SECOND: f64 = 2.0;

/// A mail arrives while the relay plays this fault at this step; at last it comes to its senses.
fn besiege(script: &str, step: Step, fault: &Fault, end: End) {
    let pipelining = matches!(step, Step::Mail | Step::Rcpt | Step::Data); // what is refused there came with more
    let began = Instant::now();
    let login = (step == Step::Auth).then_some((USER, PASSWORD));
    let mut options = smtp_peer::Options { login, ..smtp_peer::Options::default() };
    options.extensions.extend(pipelining.then_some("PIPELINING"));
    let stage = Stage::with_relay(options, |site| {
        let site = site.set("smtp.timeout", PATIENCE);
        match login {
            Some(_) => site.set("smtp.user", USER).set("smtp.password_file", "imap.password"),
            None => site,
        }
    });
    let ana = "ana@cliente.example";
    match end {
        End::Sent | End::OnceOrTwice => stage.smtp.fault(step, 1, fault.clone()),
        _ => stage.smtp.fault_always(step, fault.clone()),
    }
    stage.receive(ana, "Servidor caído");
    stage.wait_for_tickets(1);
    let attempts = match end {
        End::Sent | End::OnceOrTwice => None,
        End::Refused => Some(stage.in_state(ana, "refused").attempts),
        End::Untried | End::Later | End::Twice => {
            Some(stage.row(ana, "state = 'due' AND last_error != ''").attempts)
        }
    };
    if attempts.is_some() {
        stage.smtp.no_faults();
        stage.smtp.drop_connections(); // what it stalled goes on
    }
    if end == End::Refused {
        assert_eq!((attempts, stage.smtp.mails_to(ana).len()), (Some(1), 0));
    } else {
        let sent = stage.in_state(ana, "sent");
        let copies = stage.smtp.mails();
        sent.assert_copies(&copies);
        let taken = copies.iter().filter(|mail| !matches!(mail.fate, Fate::Refused(_))).count();
        assert_eq!(copies.iter().filter(|mail| mail.fate == Fate::Accepted).count(), 1, "{copies:?}");
        match end {
            End::Untried => assert_eq!((attempts, sent.attempts, taken), (Some(0), 1, 1)),
            End::Sent => assert_eq!((sent.attempts, taken), (1, 1)),
            End::Later => assert!(attempts > Some(0) && sent.attempts > 1 && taken == 1, "{sent:?}"),
            End::OnceOrTwice => assert!((1..=2).contains(&taken), "{sent:?}"),
            End::Twice | End::Refused => assert!(sent.attempts > 1 && taken > 1, "{sent:?}"),
        }
    }
    // nobody else's acknowledgement is worse off
    let luis = "luis@cliente.example";
    stage.receive(luis, "Servidor caído");
    assert_eq!(stage.in_state(luis, "sent").attempts, 1);
    assert_eq!(stage.smtp.mails_to(luis).len(), 1);
    stage.assert_whole();
    let (peak, connections, seconds) =
        (peak(&stage.site), stage.smtp.connections(), began.elapsed().as_secs_f64());
    assert!(peak < MOST_MEMORY_MIB, "{peak} MiB");
    assert!(connections as f64 <= 3.0 + CONNECTIONS_A_SECOND * seconds, "{connections} in {seconds} s");
    let log = stage.site.log();
    assert!(!log.contains("panicked") && !log.contains('\u{1b}') && !log.contains(PASSWORD), "{log}");
    eprintln!("| relay: {script} | 1 | {connections} | {seconds:.1} s | {peak} MiB |");
}

/// Each silence after a final dot may be a mail that arrived: one repetition is the customer's due, a dozen would be a nuisance.
#[test]
fn a_dot_that_is_never_answered_costs_one_repetition_and_then_a_person_decides() {
    let stage = Stage::with_relay(smtp_peer::Options::default(), |site| site.set("smtp.timeout", PATIENCE));
    let ana = "ana@cliente.example";
    stage.smtp.fault_always(Step::Dot, Fault::Drop);
    stage.receive(ana, "Servidor caído");
    let held = stage.in_state(ana, "held");
    assert_eq!((held.attempts, stage.smtp.mails().len()), (2, 2));
    let row = &stage.site.json(&["outbox", "list", "--state", "held"])[0];
    assert_eq!(row["held_by"], "unanswered");
    assert!(stage.site.log().contains("the relay answered neither time"));
    let alerts = "SELECT count(*) FROM alert WHERE kind = 'ack_held' AND ended IS NULL";
    assert_eq!(stage.count(alerts), 1);
    stage.smtp.no_faults();
    stage.site.text(&["outbox", "release", &held.id.to_string()]);
    let sent = stage.in_state(ana, "sent");
    sent.assert_copies(&stage.smtp.mails());
    assert_eq!((sent.attempts, stage.count(alerts)), (3, 0));
    stage.assert_whole();
}

macro_rules! scripts {
    ($($name:ident: $step:ident, $fault:expr => $end:ident;)+) => {$(
        #[test]
        fn $name() {
            besiege(stringify!($name), Step::$step, &$fault, End::$end);
        }
    )+};
}

scripts! {
    greets_with_421: Connect, Fault::Reply("421 4.3.2 too busy") => Untried;
    greets_with_554: Connect, Fault::Reply("554 5.3.2 not today") => Untried;
    hangs_up_before_it_greets: Connect, Fault::Drop => Untried;
    never_greets: Connect, Fault::Silent => Untried;
    greets_for_ever: Connect, Fault::Endless("220-wait for it\r\n") => Untried;
    greets_in_a_line_without_end: Connect, Fault::Endless("220 welcome to the line") => Untried;
    greets_as_an_imap_server: Connect, Fault::Reply("* OK IMAP4rev1 ready") => Untried;
    greets_with_controls: Connect, Fault::Reply("220 caf\u{e9} \0 \u{1b}[2J ESMTP") => Sent;
    greets_byte_by_byte: Connect, Fault::Drip(20) => Sent;
    greets_slower_than_patience: Connect, Fault::Drip(200) => Untried;
    knows_no_ehlo: Ehlo, Fault::Reply("502 5.5.1 what is that") => Untried;
    hangs_up_at_ehlo: Ehlo, Fault::Drop => Untried;
    is_silent_at_ehlo: Ehlo, Fault::Silent => Untried;
    offers_for_ever: Ehlo, Fault::Endless("250-X-MORE\r\n") => Untried;
    offers_white_space: Ehlo, Fault::Reply("250-mx\r\n250- \r\n250 SIZE") => Sent;
    answers_ehlo_with_354: Ehlo, Fault::Reply("354 go on") => Untried;
    says_454_to_the_login: Auth, Fault::Reply("454 4.7.0 later") => Untried;
    refuses_the_login: Auth, Fault::Reply("535 5.7.8 who are you") => Untried;
    hangs_up_at_the_login: Auth, Fault::Drop => Untried;
    is_silent_at_the_login: Auth, Fault::Silent => Untried;
    limits_the_rate: Mail, Fault::Reply("450 4.7.1 slow down") => Later;
    finds_it_too_large: Rcpt, Fault::Reply("552 5.3.4 too large") => Refused;
    hangs_up_at_mail: Mail, Fault::Drop => Later;
    is_silent_at_mail: Mail, Fault::Silent => Later;
    answers_mail_with_354: Mail, Fault::Reply("354 go on") => Later;
    answers_with_no_code: Mail, Fault::Reply("ok") => Later;
    answers_with_code_000: Mail, Fault::Reply("000 well") => Later;
    answers_with_code_999: Mail, Fault::Reply("999 well") => Later;
    greylists: Rcpt, Fault::Reply("451 4.7.1 greylisted, come back") => Later;
    knows_nobody_of_that_name: Rcpt, Fault::Reply("550 5.1.1 no such user") => Refused;
    contradicts_its_own_code: Rcpt, Fault::Reply("250 5.1.1 no such user") => Sent;
    explains_for_ever: Rcpt, Fault::Endless("250-because\r\n") => Later;
    leaves_at_rcpt: Rcpt, Fault::Reply("421 4.3.2 shutting down") => Later;
    answers_data_with_250: Data, Fault::Reply("250 2.0.0 taken already") => Later;
    refuses_data: Data, Fault::Reply("554 5.7.1 no data from you") => Refused;
    hangs_up_at_data: Data, Fault::Drop => Later;
    is_silent_at_data: Data, Fault::Silent => Later;
    says_later_after_the_dot: Dot, Fault::Reply("451 4.3.0 no room") => Later;
    refuses_after_the_dot: Dot, Fault::Reply("554 5.7.1 rejected by content") => Refused;
    hangs_up_after_the_dot: Dot, Fault::Drop => Twice;
    is_silent_after_the_dot: Dot, Fault::Silent => Twice;
    takes_the_mail_slower_than_patience: Dot, Fault::Drip(200) => Twice;
    takes_the_mail_byte_by_byte: Dot, Fault::Drip(20) => Sent;
    takes_the_mail_and_resets: Dot, Fault::Reset => OnceOrTwice;
}
