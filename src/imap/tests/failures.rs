//! What no command may take for success, and what no server may make of us.

use std::time::Instant;

use async_imap::imap_proto;

use super::*;

#[tokio::test]
async fn no_bad_bye_eof_and_silence_are_errors_of_every_command() {
    for answer in ["S {tag} NO no", "S {tag} BAD what", "S * BYE bye", "X", "", "S zz OK a stale tag"] {
        for command in ["FETCH", "STORE", "NOOP", "CREATE", "SELECT"] {
            let ask = match command {
                "CREATE" => "C LIST\nS * LIST (\\Noselect) \"/\" \"\"\nS {tag} OK\nC LIST\nS {tag} OK\nC LIST\nS {tag} OK\n\
                    C LIST\nS {tag} OK\nC CREATE\nS {tag} NO no\nC CREATE\n".to_owned(),
                command => format!("C {command}\n"),
            };
            let (mut session, task) = selected(&format!("{ask}{answer}")).await;
            let error = match command {
                "FETCH" => session.list_above(0).await.err(),
                "STORE" => session.settle(&[1], &Settle::Flag).await.err(),
                "NOOP" => session.noop().await.err(),
                "CREATE" => session.ensure_folder("Acuse").await.err(),
                _ => session.select("INBOX").await.err(),
            };
            let error = error.unwrap_or_else(|| panic!("{command} {answer:?} passed for success"));
            let right = match answer {
                "S {tag} NO no" => matches!(&error, ImapError::No { text, .. } if text == "no"),
                "S {tag} BAD what" => matches!(&error, ImapError::Bad { text, .. } if text == "what"),
                "S * BYE bye" => matches!(&error, ImapError::Bye(text) if text == "bye"),
                "X" => matches!(&error, ImapError::Eof { .. } | ImapError::Io { .. }),
                _ => matches!(&error, ImapError::Timeout { .. }),
            };
            assert!(right, "{command} {answer:?}: {error:?}");
            let usable = answer.contains("{tag}");
            assert_eq!(error.leaves_session_usable(), usable);
            if !usable {
                assert!(
                    matches!(session.noop().await, Err(ImapError::Abandoned { .. })),
                    "{command} {answer:?}"
                );
            }
            task.abort();
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_session_without_showing_mail() {
    let long = format!("R * OK {}", "x".repeat(70_000));
    let deep = format!("R * 1 FETCH (UID 1 BODYSTRUCTURE {}", "(".repeat(500));
    for (answer, want) in [
        ("S * 1 FETCH (UID 1 SECRETMAIL", Violation::Unfinished),
        ("S * 1 FETCH (UID 1 BODY[] SECRETMAIL))", Violation::Unreadable),
        ("S * 1 FETCH (UID 1 INTERNALDATE NIL)", Violation::Unreadable),
        ("S * OK [ALERT]ñ", Violation::Unreadable),
        ("R * 1 FETCH (UID 1 BODY[] {4000000000}\\r\\n", Violation::Literal { announced: 4_000_000_000 }),
        ("R * 1 FETCH (UID 1 BODY[] {67000}\\r\\n", Violation::Literal { announced: 67_000 }),
        ("R * STATUS {500000000}\\r\\n", Violation::StrayLiteral),
        ("R * OK bare\\n", Violation::BareLineFeed),
        (&long, Violation::LongLine),
        (&deep, Violation::Parentheses),
    ] {
        let (mut session, task) = selected(&format!("C FETCH\n{answer}")).await;
        let error = session.fetch(&[1], 100).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        assert!(error.is_temporary() && !error.leaves_session_usable());
        assert_eq!(violation(error), want, "{:.60}", answer);
        task.abort();
    }
}

#[tokio::test]
async fn a_response_may_be_slow_but_not_drip() {
    let chunk = "x".repeat(1500);
    let piece = format!("R {chunk}\nP 250\n");
    let steady =
        format!("C FETCH\nR * 1 FETCH (UID 1 BODY[] {{4500}}\\r\\n\n{}S )\nS {{tag}} OK\n", piece.repeat(3));
    let (mut session, _) = selected(&steady).await;
    assert_eq!(session.fetch(&[1], 4500).await.unwrap()[0].raw, chunk.repeat(3).as_bytes());

    let drip = format!("C FETCH\nR * 1 FETCH (UID 1 BODY[] {{4500}}\\r\\n\n{}", "R x\nP 50\n".repeat(40));
    let (mut session, _) = selected(&drip).await;
    let started = Instant::now();
    assert!(matches!(session.fetch(&[1], 4500).await, Err(ImapError::Timeout { command: "FETCH" })));
    assert!(started.elapsed() < QUICK.response * 4);
}

#[tokio::test]
async fn a_server_that_keeps_talking_does_not_hold_a_command_for_ever() {
    let (mut session, _) = selected(&format!("C NOOP\n{}", "S * OK still here\nP 50\n".repeat(80))).await;
    assert!(matches!(session.noop().await, Err(ImapError::Timeout { command: "NOOP" })));
}

#[tokio::test]
async fn an_abandoned_command_spoils_the_session() {
    let (mut session, _) = selected("C FETCH\nP 100\nS * 1 FETCH (UID 1 RFC822.SIZE 5)\nS {tag} OK").await;
    assert!(tokio::time::timeout(Duration::from_millis(20), session.list_above(0)).await.is_err());
    assert!(matches!(session.noop().await, Err(ImapError::Abandoned { command: "NOOP" })));
}

#[test]
fn the_parser_still_panics_where_the_wire_catches_it() {
    // When this fails, imap-proto is mended and `Wire::next` need not catch it any more.
    let panics =
        |line: &'static [u8]| std::panic::catch_unwind(|| imap_proto::Response::parse(line).is_ok()).is_err();
    assert!(panics(b"* 1 FETCH (INTERNALDATE NIL)\r\n"));
    assert!(panics("* OK [ALERT]ñ\r\n".as_bytes()));
}

#[tokio::test]
async fn a_session_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (mut session, _) = selected("").await;
    is_send(&session);
    is_send(&session.wait(QUICK.response, &CancellationToken::new()));
    is_send(&session.fetch(&[1], 1));
    is_send(&session.settle(&[1], &Settle::Delete));
}

#[test]
fn a_servers_words_cannot_forge_a_log_line() {
    assert_eq!(printable(" no\r\n\u{61c}\u{202e}error\u{200b}\x1b[31m "), "no error[31m");
    assert_eq!(printable(&"x".repeat(1000)).chars().count(), 300);
}
