//! Scripted relays that refuse, stall, hang up and attack; what becomes of the mail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::config::{Login, Proof, Tls};
use crate::imap::tests::{certificate, peer, play, tls_peer};
use crate::tokens::{Account, Source, Tokens};

const QUICK: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    command: Duration::from_millis(400),
    data: Duration::from_millis(400),
    block: Duration::from_millis(400),
    end: Duration::from_millis(400),
};
const HELLO: &str =
    "S 220 relay.example ESMTP\nC EHLO acuse.example\nR 250-relay.example\\r\\n250 HELP\\r\\n\n";
const ENVELOPE: &str = "C MAIL FROM:<>\nS 250 ok\nC RCPT TO:<ana@cliente.example>\nS 250 ok\n";
const MAIL: Outgoing<'_> = Outgoing {
    from: None,
    to: "ana@cliente.example",
    notify: Notify::Never,
    envelope_id: None,
    bytes: b"a: b\r\n\r\ntext\r\n",
};

fn relay(mut server: Server, login: Option<Login>) -> Relay {
    server.login = login;
    Relay::new(&server, "acuse.example", QUICK)
}

async fn sent(script: &str, mail: &Outgoing<'_>) -> (Outcome, Vec<String>) {
    let (server, task) = peer(script).await;
    let mut relay = relay(server, None);
    let outcome = relay.send(mail).await;
    drop(relay);
    (outcome, task.await.unwrap())
}

/// A relay that takes connections one after the other, each with its own script.
async fn relays(scripts: &[String]) -> (Relay, JoinHandle<Vec<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server { host: "127.0.0.1".to_owned(), port, tls: Tls::None, ca_file: None, login: None };
    let scripts = scripts.to_vec();
    let task = tokio::spawn(async move {
        let mut heard = Vec::new();
        for script in scripts {
            heard.push(play(script, listener.accept().await.unwrap().0).await);
        }
        heard
    });
    (relay(server, None), task)
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_but_for_doubled_dots() {
    for (bytes, want) in [
        ("a: b\r\n\r\ntext\r\n", "a: b\r\n\r\ntext\r\n.\r\n"),
        ("a: b\r\n\r\nno line end", "a: b\r\n\r\nno line end\r\n.\r\n"),
        (".a\r\n.\r\n..b\r\n a.b\r\n", "..a\r\n..\r\n...b\r\n a.b\r\n.\r\n"),
        ("bare\n.\r\n", "bare\n.\r\n.\r\n"),
        ("", ".\r\n"),
    ] {
        let script = format!("{HELLO}{ENVELOPE}C DATA\nS 354 go\nD\nS 250 2.0.0 Ok: queued\u{1b} as 4711");
        let (outcome, heard) = sent(&script, &Outgoing { bytes: bytes.as_bytes(), ..MAIL }).await;
        assert_eq!(outcome, Outcome::Sent { reply: "250 2.0.0 Ok: queued as 4711".to_owned() });
        assert_eq!(
            heard,
            ["EHLO acuse.example", "MAIL FROM:<>", "RCPT TO:<ana@cliente.example>", "DATA", want]
        );
    }
}

/// RFC 2920: whoever offers it hears RSET, MAIL and RCPT before it answers the first of them.
#[tokio::test]
async fn a_relay_that_pipelines_hears_the_envelope_at_once() {
    let hello = HELLO.replace("250 HELP", "250 PIPELINING");
    let envelope = "C MAIL FROM:<>\nC RCPT TO:<ana@cliente.example>\n";
    let script = format!(
        "{hello}{envelope}S 250 ok\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 taken\n\
         C RSET\n{envelope}S 250 ok\nS 250 ok\nS 550 no such user\n\
         C RSET\n{envelope}S 250 ok\nS 450 slow down\nS 503 MAIL first\n\
         C RSET\n{envelope}S 250 ok\nS 250 ok\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 taken too\n"
    );
    let (mut relay, task) = relays(&[script]).await;
    assert_eq!(relay.send(&MAIL).await, Outcome::Sent { reply: "250 taken".to_owned() });
    let refused = relay.send(&MAIL).await;
    assert!(matches!(refused, Outcome::Refused { step: Step::RcptTo, .. }), "{refused:?}");
    let deferred = relay.send(&MAIL).await;
    assert!(
        matches!(deferred, Outcome::Deferred { step: Step::MailFrom, ambiguous: false, .. }),
        "{deferred:?}"
    );
    assert_eq!(relay.send(&MAIL).await, Outcome::Sent { reply: "250 taken too".to_owned() });
    drop(relay);
    task.await.unwrap();
}

/// A relay that leaves while the envelope is under way has begun nothing: the mail goes over a new connection. One that said
/// no and then fell silent is not asked on the same one again.
#[tokio::test]
async fn a_pipelined_envelope_that_is_cut_off_leaves_no_connection_behind() {
    let hello = HELLO.replace("250 HELP", "250 PIPELINING");
    let envelope = "C MAIL FROM:<>\nC RCPT TO:<ana@cliente.example>\n";
    let taken = format!("{hello}{envelope}S 250 ok\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 taken\n");
    let left = format!("{taken}C RSET\n{envelope}S 421 idle for too long\n");
    let silent = format!("{taken}C RSET\n{envelope}S 250 ok\nS 452 no room\n");
    let (mut relay, task) = relays(&[left, silent, taken]).await;
    for connection in 1..=2 {
        assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }), "{connection}");
    }
    let deferred = relay.send(&MAIL).await;
    assert!(matches!(deferred, Outcome::Deferred { step: Step::MailFrom, .. }), "{deferred:?}");
    assert!(!relay.is_open(), "what else it says would be taken for answers to the next mail");
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }));
    drop(relay);
    task.await.unwrap();
}

#[tokio::test]
async fn parameters_are_said_only_where_the_relay_offers_them() {
    let hello = HELLO.replace("250 HELP", "250-DSN\\r\\n250-size 1000\\r\\n250-8BITMIME\\r\\n250 SMTPUTF8");
    let mail = Outgoing {
        from: Some("s+1@x.example"),
        to: "ñandú@cliente.example",
        notify: Notify::Failure,
        envelope_id: Some("b.c=1.mac"),
        bytes: "ñ".as_bytes(),
    };
    let script = "C MAIL FROM:<s+1@x.example> SIZE=2 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=b.c+3D1.mac
S 250 ok
C RCPT TO:<ñandú@cliente.example> NOTIFY=FAILURE
S 450 later";
    let (outcome, heard) = sent(&format!("{hello}{script}"), &mail).await;
    assert!(matches!(outcome, Outcome::Deferred { step: Step::RcptTo, ambiguous: false, .. }), "{outcome:?}");
    assert!(heard[1].ends_with("RET=HDRS ENVID=b.c+3D1.mac"), "xtext (RFC 3461 §4): {}", heard[1]);

    let (outcome, heard) = sent(HELLO, &mail).await;
    assert!(matches!(outcome, Outcome::Refused { step: Step::MailFrom, .. }), "{outcome:?}");
    assert_eq!(heard.len(), 1, "nothing was said");
}

#[tokio::test]
async fn an_address_never_breaks_out_of_its_command() {
    for bad in ["a@b>\r\nDATA\r\n", "a b@c", "<a@b>", "a", "@b", "a@", "a\u{85}@b"] {
        let mut relay = relay(peer("").await.0, None);
        let to = relay.send(&Outgoing { to: bad, ..MAIL }).await;
        assert!(matches!(to, Outcome::Refused { step: Step::RcptTo, .. }), "{bad:?}: {to:?}");
        let from = relay.send(&Outgoing { from: Some(bad), ..MAIL }).await;
        assert!(matches!(from, Outcome::Refused { step: Step::MailFrom, .. }), "{bad:?}: {from:?}");
        assert!(relay.open.is_none(), "nobody was called");
    }
}

/// Everything that can go wrong at each step: a 4xx, a 5xx, a 421, silence, the connection dropped, nonsense.
#[tokio::test]
async fn each_failure_at_each_step_has_its_outcome() {
    let data = format!("{HELLO}{ENVELOPE}C DATA\n");
    let steps = [
        (Step::Hello, String::new()),
        (Step::Hello, "S 220 hi\nC EHLO\n".to_owned()),
        (Step::MailFrom, format!("{HELLO}C MAIL\n")),
        (Step::RcptTo, format!("{HELLO}C MAIL\nS 250 ok\nC RCPT\n")),
        (Step::Data, data.clone()),
        (Step::End, format!("{data}S 354 go\nD\n")),
    ];
    for (step, before) in &steps {
        for answer in ["S 451 later", "S 550 5.1.1 nobody", "S 421 bye", "", "X", "S what?", "S 530 log in"] {
            let (outcome, _) = sent(&format!("{before}{answer}"), &MAIL).await;
            let told = answer.starts_with("S 4") || answer.starts_with("S 5");
            let refused = answer.starts_with("S 55") && *step != Step::Hello;
            match outcome {
                Outcome::Refused { reply, step: at } => {
                    assert!(refused && reply == "550 5.1.1 nobody" && at == *step, "{step:?} {answer:?}");
                }
                Outcome::Deferred { reply, step: at, ambiguous } => {
                    assert!(!refused && at == *step, "{step:?} {answer:?}: {at:?} {reply}");
                    assert_eq!(ambiguous, *step == Step::End && !told, "{step:?} {answer:?}");
                    assert!(!told || answer.ends_with(&reply), "{reply}");
                }
                Outcome::Sent { .. } => panic!("{step:?} {answer:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_is_lost_before_the_final_dot_is_not_ambiguous() {
    let go = format!("{HELLO}{ENVELOPE}C DATA\nS 354 go\n");
    let bytes = b"more than the buffers of two sockets hold\r\n".repeat(400_000);
    let long = Outgoing { bytes: &bytes, ..MAIL };
    for (then, why) in [("C more\nX", "the relay hangs up"), ("P 2000", "the relay reads no more")] {
        let (server, task) = peer(format!("{go}{then}")).await;
        let outcome = relay(server, None).send(&long).await;
        let lost = matches!(outcome, Outcome::Deferred { step: Step::Data, ambiguous: false, .. });
        assert!(lost, "{why}: {outcome:?}");
        task.abort();
    }
    let early = format!("{HELLO}{ENVELOPE}C DATA\nR 354 go\\r\\n552 too big\\r\\n\nP 100\nX");
    let refused = Outcome::Refused { reply: "552 too big".to_owned(), step: Step::Data };
    assert_eq!(sent(&early, &MAIL).await.0, refused, "said before the mail has ended");
}

#[tokio::test]
async fn one_connection_serves_many_mails_and_a_dead_one_is_replaced() {
    let mail = format!("{ENVELOPE}C DATA\nS 354 go\nD\nS 250 ok\n");
    let refused = "C MAIL FROM:<>\nS 250 ok\nC RCPT\nS 550 nobody\n";
    let first = format!("{HELLO}{mail}C RSET\nS 250 ok\n{refused}C RSET\nS 250 ok\n{mail}X");
    let second = format!("{HELLO}{mail}C RSET\nS 250 ok\n{ENVELOPE}C DATA\nS 354 go\nD\nS 421 restarting\n");
    let third = format!("{HELLO}{mail}C QUIT\nS 221 bye");
    let (mut relay, task) = relays(&[first, second, third]).await;
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }));
    assert!(matches!(relay.send(&MAIL).await, Outcome::Refused { step: Step::RcptTo, .. }));
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }));
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }), "over a new connection");
    let restarting = relay.send(&MAIL).await;
    assert!(
        matches!(restarting, Outcome::Deferred { step: Step::End, ambiguous: false, .. }),
        "{restarting:?}"
    );
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }), "over a third");
    relay.close().await;
    assert_eq!(task.await.unwrap().len(), 3);
}

/// Read as the answer to RSET it would put every later answer one step off.
#[tokio::test]
async fn a_word_that_nobody_asked_for_ends_the_connection_and_not_the_mail() {
    let mail = format!("{HELLO}{ENVELOPE}C DATA\nS 354 go\nD\n");
    let stray = format!("{mail}R 250 taken\\r\\n250 and one more\\r\\n\n");
    let (mut relay, task) = relays(&[stray, format!("{mail}S 250 taken\n")]).await;
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }));
    assert_eq!(relay.send(&MAIL).await, Outcome::Sent { reply: "250 taken".to_owned() }, "over a new one");
    drop(relay);
    task.await.unwrap();
}

#[tokio::test]
async fn a_leave_taken_after_the_final_dot_says_nothing_of_the_mail() {
    let (outcome, _) = sent(&format!("{HELLO}{ENVELOPE}C DATA\nS 354 go\nD\nS 221 bye"), &MAIL).await;
    assert!(matches!(outcome, Outcome::Deferred { step: Step::End, ambiguous: true, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_send_that_is_dropped_takes_its_connection_along() {
    let mail = format!("{ENVELOPE}C DATA\nS 354 go\nD\nS 250 ok\n");
    let (mut relay, _task) =
        relays(&[format!("{HELLO}C MAIL\nP 100\nS 250 ok"), format!("{HELLO}{mail}")]).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), relay.send(&MAIL)).await.is_err());
    assert!(matches!(relay.send(&MAIL).await, Outcome::Sent { .. }));
}

#[tokio::test]
async fn hostile_replies_are_bounded() {
    let endless = format!("R 250-{}", "x".repeat(100_000));
    let many = format!("R {}", "250-x\\r\\n".repeat(10_000));
    for answer in
        [endless.as_str(), &many, "R 250-ok\\r\\n550 no\\r\\n", "S 25", "S 250_", "S 999 x", "S 2é0 x"]
    {
        let (server, task) = peer(format!("S 220 hi\nC EHLO\n{answer}")).await;
        let started = Instant::now();
        let outcome = relay(server, None).send(&MAIL).await;
        let Outcome::Deferred { reply, step: Step::Hello, ambiguous: false } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(reply, "the answer is no SMTP reply", "{answer:.40}");
        assert!(started.elapsed() < QUICK.command);
        task.abort();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        listener.accept().await.unwrap().0.write_all(b"554 acci\xf3n denegada\r\n").await.unwrap();
    });
    let server = Server { host: "127.0.0.1".to_owned(), port, tls: Tls::None, ca_file: None, login: None };
    let Outcome::Deferred { reply, .. } = relay(server, None).send(&MAIL).await else { panic!() };
    assert_eq!(reply, "554 acci\u{fffd}n denegada");
}

/// RFC 5321 §4.2: the text may be missing, and an unknown code is read by its first digit.
#[tokio::test]
async fn a_code_is_enough_and_its_first_digit_decides() {
    let hello = "S 220\nC EHLO\nR 250-\\r\\n250- \u{a0}\\r\\n250-DSN\\r\\n250\\r\\n\n";
    let bare = format!("{hello}C MAIL FROM:<> RET=HDRS\nS 250\nC RCPT\n");
    for (answer, refused, want) in [
        ("S 571 5.7.1 blocked", true, "500 571 5.7.1 blocked"),
        ("R 571-first\\r\\n571 second\\r\\n", true, "500 571-first 571 second"),
        ("S 471", false, "400 471"),
        ("S 550", true, "550"),
    ] {
        let (outcome, _) = sent(&format!("{bare}{answer}"), &MAIL).await;
        let (Outcome::Refused { reply, step } | Outcome::Deferred { reply, step, .. }) = &outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((reply.as_str(), *step), (want, Step::RcptTo));
        assert_eq!(matches!(outcome, Outcome::Refused { .. }), refused);
    }
}

#[tokio::test]
async fn login_takes_what_is_offered_and_a_refusal_is_no_fault_of_the_mail() {
    let login = || Some(Login::with_password("soporte", "s3cret!"));
    let hello = |auth: &str| HELLO.replace("HELP", auth);
    let plain = "C AUTH PLAIN AHNvcG9ydGUAczNjcmV0IQ==\n";
    let by_steps = "C AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC c29wb3J0ZQ==\nS 334 UGFzc3dvcmQ6\nC czNjcmV0IQ==\n";
    let odd_steps = by_steps.replace("S 334 VXNlcm5hbWU6", "S 334").replace("UGFzc3dvcmQ6", "Contraseña?");
    for (script, want) in [
        (format!("{}{plain}S 235 in", hello("AUTH LOGIN PLAIN")), None),
        (format!("{}{by_steps}S 235 in", hello("AUTH=LOGIN")), None),
        (format!("{}{odd_steps}S 235 in", hello("AUTH NTLM LOGIN")), None),
        (
            format!("{}{plain}S 535 no s3cret! AHNvcG9ydGUAczNjcmV0IQ==", hello("AUTH PLAIN")),
            Some("535 no […] […]"),
        ),
        (
            format!("{}{by_steps}S 454 the directory is down", hello("AUTH LOGIN")),
            Some("454 the directory is down"),
        ),
        (hello("AUTH GSSAPI"), Some("the relay offers neither AUTH PLAIN nor AUTH LOGIN")),
        (HELLO.to_owned(), Some("the relay offers neither AUTH PLAIN nor AUTH LOGIN")),
    ] {
        let (server, _) = peer(script.clone()).await;
        let mut relay = relay(server, login());
        match (relay.probe().await, want) {
            (Ok(()), None) => {}
            (Err(Outcome::Deferred { reply, step: Step::Auth, ambiguous: false }), Some(want)) => {
                assert_eq!(reply, want);
            }
            (other, _) => panic!("{script}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_that_the_relay_refuses_is_told_with_its_challenge_and_trouble_is_not_refused() {
    let command = ["/bin/sh", "-c", "echo t0ken"].map(str::to_owned);
    let source = Source::Command(command.to_vec());
    let directory = tempfile::tempdir().unwrap();
    let tokens = Arc::new(Tokens::new(Account::Relay, source, directory.path()));
    let login = Login { user: "soporte".to_owned(), proof: Proof::Token(tokens) };
    let refused = "C AUTH XOAUTH2 dXNlcj1zb3BvcnRlAWF1dGg9QmVhcmVyIHQwa2VuAQE=\n\
                   S 334 eyJzdGF0dXMiOiI0MDEifQ==\nC \nS 535 5.7.8 no t0ken\nX";
    let xoauth2 = HELLO.replace("HELP", "AUTH PLAIN XOAUTH2");
    for (scripts, want) in [
        (vec![format!("{xoauth2}{refused}"); 2], "535 5.7.8 no […] (status 401)"),
        (vec![format!("{xoauth2}C AUTH XOAUTH2\nS 454 later")], "454 later"),
        (
            vec![HELLO.replace("HELP", "AUTH PLAIN")],
            "the relay offers neither AUTH OAUTHBEARER nor AUTH XOAUTH2",
        ),
    ] {
        let (mut relay, task) = relays(&scripts).await;
        relay.server.login = Some(login.clone());
        let Err(Outcome::Deferred { reply, step: Step::Auth, .. }) = relay.probe().await else { panic!() };
        assert_eq!(reply, want);
        drop(relay);
        assert_eq!(task.await.unwrap().len(), scripts.len(), "connections");
    }
}

#[tokio::test]
async fn starttls_is_never_optional_and_takes_no_bytes_along() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, file) = certificate("localhost", dir.path());
    let offer = HELLO.replace("HELP", "STARTTLS");
    let under_tls = HELLO.split_once('\n').unwrap().1; // RFC 3207 §4.2: no second greeting
    let secured = format!("{under_tls}{ENVELOPE}C DATA\nS 354 go\nD\nS 250 ok");
    let (server, _) = tls_peer(acceptor, &format!("{offer}C STARTTLS\nS 220 go"), &secured).await;
    let server = Server { host: "localhost".to_owned(), tls: Tls::StartTls, ca_file: Some(file), ..server };
    assert!(matches!(relay(server, None).send(&MAIL).await, Outcome::Sent { .. }));

    for (script, want) in [
        (HELLO.to_owned(), "the relay offers no STARTTLS"),
        (format!("{offer}C STARTTLS\nS 454 not now"), "454 not now"),
        (
            format!("{offer}C STARTTLS\nR 220 go\\r\\n250 trust me\\r\\n"),
            "the relay sends text between STARTTLS and TLS",
        ),
    ] {
        let (server, task) = peer(script).await;
        let server = Server { tls: Tls::StartTls, ..server };
        let Outcome::Deferred { reply, step: Step::Hello, .. } = relay(server, None).send(&MAIL).await else {
            panic!()
        };
        assert_eq!(reply, want);
        assert!(!task.await.unwrap().iter().any(|line| line.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_defers() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = Server { host: "127.0.0.1".to_owned(), port, tls: Tls::None, ca_file: None, login: None };
    let outcome = relay(server, None).send(&MAIL).await;
    assert!(matches!(outcome, Outcome::Deferred { step: Step::Connect, ambiguous: false, .. }));
}
