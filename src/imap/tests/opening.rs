//! Greeting, TLS and login.

use super::*;

#[tokio::test]
async fn capabilities_are_those_after_the_login() {
    let (session, task) = open(LOGGED_IN).await;
    let session = session.unwrap();
    assert!(session.idles() && session.has("MOVE") && !session.has("SASL-IR"));
    drop(session);
    assert_eq!(task.await.unwrap().len(), 1);
}

#[tokio::test]
async fn capabilities_are_asked_for_where_the_server_does_not_tell() {
    let script = "S * OK hello
C CAPABILITY
S * CAPABILITY IMAP4rev1
S {tag} OK done
C LOGIN \"soporte\" \"s3cret!\"
S {tag} OK in
C CAPABILITY
S * CAPABILITY IMAP4rev1 idle
S {tag} OK done";
    let (session, _) = open(script).await;
    assert!(session.unwrap().idles());
}

#[tokio::test]
async fn the_password_waits_for_the_server_without_sasl_ir() {
    let script = "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello
C AUTHENTICATE PLAIN
S + 
C AHNvcG9ydGUAczNjcmV0IQ==
S a1 OK [CAPABILITY IMAP4rev1] in";
    let (session, _) = open(script).await;
    assert!(!session.unwrap().idles());
}

#[tokio::test]
async fn login_quotes_what_needs_it_and_refuses_what_cannot_be_quoted() {
    let greeting = "S * OK [CAPABILITY IMAP4rev1] hello\n";
    let (mut quoted, task) =
        peer(format!("{greeting}C LOGIN \"a \\\"b\\\"\" \"c\\\\d\"\nS {{tag}} NO bad")).await;
    quoted.login = Some(Login::with_password("a \"b\"", "c\\d"));
    let refused = Session::open(&quoted, &Trust::default(), QUICK).await.err().unwrap();
    assert!(matches!(&refused, ImapError::AuthRefused(text) if text == "bad"), "{refused:?}");
    task.await.unwrap();

    for password in ["contraseña", "a\r\na2 LOGOUT"] {
        let (mut server, task) = peer(greeting).await;
        server.login = Some(Login::with_password("soporte", password));
        let refused = Session::open(&server, &Trust::default(), QUICK).await.err().unwrap();
        assert!(matches!(refused, ImapError::AuthRefused(_)));
        assert!(task.await.unwrap().is_empty(), "nothing was sent");
    }
}

#[tokio::test]
async fn a_login_is_not_tried_where_it_is_disabled() {
    let (refused, task) = open("S * OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] hello").await;
    assert!(matches!(refused.err().unwrap(), ImapError::AuthRefused(_)));
    assert!(task.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_login_is_told_from_a_server_in_trouble_and_never_shows_the_password() {
    let ask = "S * OK [CAPABILITY IMAP4rev1] hello\nC LOGIN\n";
    for (answer, auth, temporary) in [
        ("S {tag} NO [AUTHENTICATIONFAILED] Authentication failed for s3cret!", true, false),
        ("S {tag} BAD syntax error in LOGIN \"soporte\" \"s3cret!\"", true, false),
        ("S {tag} NO [UNAVAILABLE] the directory is down, s3cret!", false, true),
        ("S * BYE overloaded, s3cret!", false, true),
        ("X", false, true),
        ("", false, true),
    ] {
        let (refused, _) = open(format!("{ask}{answer}")).await;
        let refused = refused.err().unwrap();
        assert_eq!(matches!(refused, ImapError::AuthRefused(_)), auth, "{answer}: {refused:?}");
        assert_eq!(refused.is_temporary(), temporary, "{answer}: {refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("s3cret"), "{refused:?}");
    }
}

#[tokio::test]
async fn only_a_greeting_opens_a_session() {
    for (script, want) in [
        ("S * PREAUTH [CAPABILITY IMAP4rev1] come in", Violation::Preauth),
        ("S a1 OK hello", Violation::NoGreeting),
        ("S 220 mail.example ESMTP", Violation::Unreadable),
        ("R * OK no line end", Violation::Unfinished),
    ] {
        let (refused, task) = open(script).await;
        let refused = refused.err().unwrap();
        match want {
            Violation::Unfinished => assert!(matches!(refused, ImapError::Timeout { command: "greeting" })),
            want => assert_eq!(violation(refused), want, "{script}"),
        }
        assert!(task.await.unwrap().is_empty(), "nothing was said to such a server");
    }
    assert!(matches!(open("X").await.0.err().unwrap(), ImapError::Eof { .. }));
    assert!(matches!(open("").await.0.err().unwrap(), ImapError::Timeout { .. }));
    assert!(matches!(open("S * BYE full").await.0.err().unwrap(), ImapError::Bye(text) if text == "full"));
}

#[tokio::test]
async fn plain_connections_go_to_loopback_only() {
    let elsewhere = Server { host: "192.0.2.1".to_owned(), ..server(143) };
    let refused = Session::open(&elsewhere, &Trust::default(), QUICK).await.err().unwrap();
    assert!(matches!(refused, ImapError::Dial(DialError::NotLoopback { .. })));
    assert!(!refused.is_temporary());
}

#[tokio::test]
async fn the_certificate_must_be_trusted_and_stand_for_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, trusted) = certificate("localhost", dir.path());
    let (_, other) = certificate("other", dir.path());
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (host, ca_file, opens) in [
        ("localhost", &trusted, true),
        ("127.0.0.1", &trusted, false),
        ("localhost", &other, false),
        ("localhost", &empty, false),
    ] {
        let (server, task) = tls_peer(acceptor.clone(), "", LOGGED_IN).await;
        let server =
            Server { host: host.to_owned(), tls: Tls::Implicit, ca_file: Some(ca_file.clone()), ..server };
        match Session::open(&server, &Trust::default(), QUICK).await {
            Ok(_) => assert!(opens),
            Err(ImapError::Dial(refused)) => {
                assert!(!opens && !refused.is_temporary(), "{refused:?}");
                let file = matches!(refused, DialError::Roots(_));
                assert!(file || matches!(refused, DialError::Certificate { .. }), "{refused:?}");
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(task.await.unwrap().first().is_some_and(|line| line.contains("AUTHENTICATE")), opens);
    }
}

#[tokio::test]
async fn starttls_forgets_what_was_said_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, file) = certificate("localhost", dir.path());
    let clear = "S * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hello\nC STARTTLS\nS {tag} OK go";
    let secured = "C CAPABILITY
S * CAPABILITY IMAP4rev1
S {tag} OK done
C LOGIN
S {tag} OK [CAPABILITY IMAP4rev1 IDLE] in";
    let (server, _) = tls_peer(acceptor, clear, secured).await;
    let server = Server { host: "localhost".to_owned(), tls: Tls::StartTls, ca_file: Some(file), ..server };
    assert!(Session::open(&server, &Trust::default(), QUICK).await.unwrap().idles());
}

#[tokio::test]
async fn starttls_is_never_optional_and_takes_no_bytes_along() {
    let ask = "S * OK [CAPABILITY IMAP4rev1 STARTTLS] hello\nC STARTTLS\n";
    for (script, want) in [
        ("S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello".to_owned(), Some(Violation::NoStartTls)),
        ("S * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] in".to_owned(), Some(Violation::Preauth)),
        (
            format!("{ask}R {{tag}} OK go\\r\\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\\r\\n"),
            Some(Violation::Injected),
        ),
        (format!("{ask}R {{tag}} OK go\\r\\n* OK"), Some(Violation::Injected)),
        (format!("{ask}S {{tag}} NO not now"), None),
    ] {
        let (server, task) = peer(script.clone()).await;
        let server = Server { tls: Tls::StartTls, ..server };
        let refused = Session::open(&server, &Trust::default(), QUICK).await.err().unwrap();
        match want {
            Some(want) => assert_eq!(violation(refused), want, "{script}"),
            None => assert!(matches!(refused, ImapError::No { .. })),
        }
        assert!(!task.await.unwrap().iter().any(|line| line.contains("AUTH") || line.contains("LOGIN")));
    }
}
