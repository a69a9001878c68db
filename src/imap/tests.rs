//! Scripted servers that lie, stall, hang up and attack; what the session makes of each.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_imap::imap_proto;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::tls::{DialError, Trust};
use super::*;
use crate::config::{Login, Server, Tls};

const QUICK: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    response: Duration::from_millis(150),
    command: Duration::from_millis(900),
};

const LOGGED_IN: &str = "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello
C AUTHENTICATE PLAIN AHNvcG9ydGUAczNjcmV0IQ==
S {tag} OK [CAPABILITY IMAP4rev1 IDLE MOVE UIDPLUS] in
";
const SELECTED: &str = "C SELECT \"INBOX\"
S * 2 EXISTS
S * OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] ok
S * OK [UIDVALIDITY 7] ok
S * OK [UIDNEXT 10] ok
S {tag} OK [READ-WRITE] done
";

fn server(port: u16) -> Server {
    let login = Login { user: "soporte".to_owned(), password: SecretString::from("s3cret!") };
    Server { host: "127.0.0.1".to_owned(), port, tls: Tls::None, ca_file: None, login: Some(login) }
}

/// Plays a script to one client, and gives the lines that the client sent. A line of the script is `S text`
/// (said, with CRLF), `R text` (said as it is, `\r` and `\n` written out), `C text` (the client's next line
/// must hold this), `D` (a mail, up to its final dot), `P ms` (a pause) or `X` (hang up); after the last one,
/// the server is silent.
pub(crate) async fn play(script: String, stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<String> {
    let (mut heard, mut tag, mut stream) = (Vec::new(), String::new(), BufReader::new(stream));
    for step in script.lines() {
        let (verb, text) = step.split_once(' ').unwrap_or((step, ""));
        let text = text.replace("{tag}", &tag);
        match verb {
            "S" => stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap(),
            "R" => {
                let raw = text.replace("\\r", "\r").replace("\\n", "\n");
                // A client that has seen enough may be gone.
                let _ = stream.write_all(raw.as_bytes()).await;
            }
            "C" => {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                assert!(line.contains(&text), "the client says {line:?}, not {text:?}");
                if let Some((first, _)) = line.split_once(' ') {
                    tag = first.to_owned();
                }
                heard.push(line.trim_end().to_owned());
            }
            "D" => {
                let mut mail = Vec::new();
                while !mail.ends_with(b"\r\n.\r\n") && mail != b".\r\n" {
                    assert_ne!(stream.read_until(b'\n', &mut mail).await.unwrap(), 0, "the client hangs up");
                }
                heard.push(String::from_utf8(mail).unwrap());
            }
            "P" => tokio::time::sleep(Duration::from_millis(text.parse().unwrap())).await,
            "X" => return heard,
            other => panic!("no such step: {other}"),
        }
        let _ = stream.flush().await;
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    heard.extend(String::from_utf8_lossy(&rest).lines().map(str::to_owned));
    heard
}

pub(crate) async fn peer(script: impl Into<String>) -> (Server, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = script.into();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        play(script, stream).await
    });
    (server(port), task)
}

async fn open(script: impl Into<String>) -> (Result<Session, ImapError>, JoinHandle<Vec<String>>) {
    let (server, task) = peer(script).await;
    (Session::open(&server, &Trust::default(), QUICK).await, task)
}

/// A session with INBOX selected, before a server that goes on with `script`.
async fn selected(script: &str) -> (Session, JoinHandle<Vec<String>>) {
    let (session, task) = open(format!("{LOGGED_IN}{SELECTED}{script}")).await;
    let mut session = session.unwrap();
    session.select("INBOX").await.unwrap();
    (session, task)
}

fn violation(error: ImapError) -> Violation {
    match error {
        ImapError::Protocol { violation, .. } => violation,
        other => panic!("{other:?}"),
    }
}

// ── opening ───────────────────────────────────────────────────────────────────────────────────────────────

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
    quoted.login = Some(Login { user: "a \"b\"".to_owned(), password: SecretString::from("c\\d") });
    let refused = Session::open(&quoted, &Trust::default(), QUICK).await.err().unwrap();
    assert!(matches!(&refused, ImapError::AuthRefused(text) if text == "bad"), "{refused:?}");
    task.await.unwrap();

    for password in ["contraseña", "a\r\na2 LOGOUT"] {
        let (mut server, task) = peer(greeting).await;
        server.login = Some(Login { user: "soporte".to_owned(), password: SecretString::from(password) });
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

// ── TLS ───────────────────────────────────────────────────────────────────────────────────────────────────

/// A certificate for `name` and the file to trust it by.
pub(crate) fn certificate(name: &str, dir: &Path) -> (TlsAcceptor, std::path::PathBuf) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let file = dir.join(format!("{name}.pem"));
    std::fs::write(&file, certified.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

pub(crate) async fn tls_peer(
    acceptor: TlsAcceptor,
    clear: &str,
    script: &str,
) -> (Server, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (clear, script) = (clear.to_owned(), script.to_owned());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        if !clear.is_empty() {
            heard = play(clear + "\nX", &mut stream).await;
        }
        match acceptor.accept(stream).await {
            Ok(stream) => heard.extend(play(script, stream).await),
            Err(_) => heard.push("no handshake".to_owned()),
        }
        heard
    });
    (server(port), task)
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
                let file = matches!(refused, DialError::CaFile { .. });
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

// ── failures of any command ───────────────────────────────────────────────────────────────────────────────

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
    let piece = format!("R {chunk}\nP 100\n");
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
    let (mut session, _) = selected(&format!("C NOOP\n{}", "S * OK still here\nP 50\n".repeat(60))).await;
    assert!(matches!(session.noop().await, Err(ImapError::Timeout { command: "NOOP" })));
}

#[tokio::test]
async fn an_abandoned_command_spoils_the_session() {
    let (mut session, _) = selected("C FETCH\nP 100\nS * 1 FETCH (UID 1 RFC822.SIZE 5)\nS {tag} OK").await;
    assert!(tokio::time::timeout(Duration::from_millis(20), session.list_above(0)).await.is_err());
    assert!(matches!(session.noop().await, Err(ImapError::Abandoned { command: "NOOP" })));
}

// ── folders ───────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn select_tells_what_uids_mean() {
    let (session, _) = open(format!(
        "{LOGGED_IN}{SELECTED}C EXAMINE \"INBOX\"
S * 0 EXISTS
S * OK [UIDVALIDITY 4294967295] ok
S {{tag}} OK [READ-ONLY] done
C SELECT
S * 3 EXISTS
S * OK [UIDVALIDITY 8] ok
S * OK [PERMANENTFLAGS ($acusedone)] ok
S {{tag}} OK [READ-ONLY] done
C UID FETCH * (UID)
S * 3 FETCH (UID 41)
S {{tag}} OK done"
    ))
    .await;
    let mut session = session.unwrap();
    let first =
        Selected { uid_validity: 7, uid_next: 10, exists: 2, read_only: false, keywords_permitted: true };
    assert_eq!(session.select("INBOX").await.unwrap(), first);
    let empty = Selected {
        uid_validity: u32::MAX,
        uid_next: 1,
        exists: 0,
        read_only: true,
        keywords_permitted: false,
    };
    assert_eq!(session.examine("inbox").await.unwrap(), empty);
    let without_uidnext =
        Selected { uid_validity: 8, uid_next: 42, exists: 3, read_only: true, keywords_permitted: true };
    assert_eq!(session.select("INBOX").await.unwrap(), without_uidnext);
}

#[tokio::test]
async fn a_folder_without_uidvalidity_is_refused() {
    for line in ["S * OK [UIDVALIDITY 0] ok", "S * OK hm"] {
        let (session, _) =
            open(format!("{LOGGED_IN}C SELECT\nS * 2 EXISTS\n{line}\nS {{tag}} OK done")).await;
        let mut session = session.unwrap();
        let error = session.select("INBOX").await.unwrap_err();
        assert!(!error.is_temporary());
        assert_eq!(violation(error), Violation::NoUidValidity);
        assert!(matches!(session.list_above(0).await, Err(ImapError::NotSelected { .. })));
    }
}

/// What a server with these folders answers to the questions about its layout.
fn layout(separator: &str, folders: &[&str]) -> String {
    let listed =
        folders.iter().map(|name| format!("S * LIST () \"{separator}\" {name}\n")).collect::<String>();
    format!(
        "C LIST \"\" \"\"\nS * LIST (\\Noselect) \"{separator}\" \"\"\nS {{tag}} OK\nC LIST \"\" \"*\"\n{listed}S {{tag}} OK\n"
    )
}

#[tokio::test]
async fn folders_are_made_where_the_server_keeps_folders() {
    let none = "C LIST\nS {tag} OK\n";
    for (layout, rest, want) in [
        // it is there
        (
            layout("/", &["INBOX", "Sent"]),
            "C LIST \"\" \"Acuse/T&AOk-c\"\nS * LIST () \"/\" Acuse/T&AOk-c\nS {tag} OK\n".to_owned(),
            "Acuse/T&AOk-c",
        ),
        // a placeholder is not a folder
        (
            layout("/", &["INBOX", "Sent"]),
            format!(
                "C LIST\nS * LIST (\\NonExistent) \"/\" Acuse/T&AOk-c\nS {{tag}} OK\n{none}C CREATE \"Acuse/T&AOk-c\"\nS {{tag}} OK\n"
            ),
            "Acuse/T&AOk-c",
        ),
        // the namespace shows
        (
            layout(".", &["INBOX", "INBOX.Sent", "INBOX.Trash"]),
            format!("{none}{none}C CREATE \"INBOX.Acuse.T&AOk-c\"\nS {{tag}} OK\n"),
            "INBOX.Acuse.T&AOk-c",
        ),
        // the namespace does not show yet
        (
            layout(".", &["INBOX"]),
            format!(
                "{none}{none}C CREATE \"Acuse.T&AOk-c\"\nS {{tag}} NO Invalid mailbox name\nC CREATE \"INBOX.Acuse.T&AOk-c\"\nS {{tag}} OK\n"
            ),
            "INBOX.Acuse.T&AOk-c",
        ),
        // made by somebody else in between; and a backslash as separator
        (
            layout("\\\\", &["INBOX", "Sent"]),
            format!("{none}{none}C CREATE \"Acuse\\\\T&AOk-c\"\nS {{tag}} NO [ALREADYEXISTS] there\n"),
            "Acuse\\T&AOk-c",
        ),
    ] {
        let (session, task) = open(format!("{LOGGED_IN}{layout}{rest}")).await;
        let mut session = session.unwrap();
        assert_eq!(session.ensure_folder("Acuse/Téc").await.unwrap(), want);
        assert_eq!(session.ensure_folder("Acuse/Téc").await.unwrap(), want, "from memory");
        drop(session);
        let asked = task.await.unwrap();
        assert_eq!(
            asked.len(),
            LOGGED_IN.matches("\nC ").count() + layout.matches("C ").count() + rest.matches("C ").count()
        );
    }
}

// ── listing and fetching ──────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_listing_has_each_uid_once_in_order_above_the_last() {
    let (mut session, _) = selected(
        "C UID FETCH 5:* (UID RFC822.SIZE INTERNALDATE)
S * 9 FETCH (UID 9 RFC822.SIZE 900 INTERNALDATE \" 7-Feb-2026 21:52:25 -0500\")
S * 3 FETCH (UID 4 RFC822.SIZE 1 INTERNALDATE \"07-Feb-2026 21:52:25 -0500\")
S * 6 FETCH (FLAGS (\\Seen) UID 6)
S * 6 FETCH (UID 6 INTERNALDATE \"yesterday\" RFC822.SIZE 600)
S * 9 FETCH (UID 9 FLAGS (\\Seen))
S * 2 FETCH (FLAGS (\\Seen))
S * 7 FETCH (UID 7 RFC822.SIZE 5000000000)
S {tag} OK done",
    )
    .await;
    let date = "2026-02-08T02:52:25Z".parse().unwrap();
    let want = [(6, 600, None), (7, u64::MAX, None), (9, 900, Some(date))];
    let want = want.map(|(uid, size, internal_date)| Listed { uid, size, internal_date });
    assert_eq!(session.list_above(4).await.unwrap(), want);
    assert_eq!(session.list_above(u32::MAX).await.unwrap(), [], "asks nothing");
}

#[tokio::test]
async fn a_long_listing_is_cut_at_its_highest() {
    let last = u32::try_from(MAX_LISTED).unwrap() + 50;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server(listener.local_addr().unwrap().port());
    let lines = (1..=last)
        .rev()
        .map(|uid| format!("R * 1 FETCH (UID {uid} RFC822.SIZE 1)\\r\\n\n"))
        .collect::<String>();
    let lines = lines.replace("\nR ", "");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        play(format!("{LOGGED_IN}{SELECTED}C FETCH\n{lines}S {{tag}} OK"), stream).await
    });
    let timeouts = Timeouts { command: Duration::from_secs(60), response: Duration::from_secs(10), ..QUICK };
    let mut session = Session::open(&server, &Trust::default(), timeouts).await.unwrap();
    session.select("INBOX").await.unwrap();
    let listed = session.list_above(0).await.unwrap();
    assert!(listed.iter().map(|mail| mail.uid).eq(1..=u32::try_from(MAX_LISTED).unwrap()));
}

#[tokio::test]
async fn a_fetch_gives_the_mails_asked_for_and_no_others() {
    let (mut session, _) = selected(
        "C UID FETCH 3:5,9 (UID INTERNALDATE BODY.PEEK[])
R * 1 FETCH (UID 9 INTERNALDATE \"07-Feb-2026 21:52:25 +0000\" BODY[] {13}\\r\\na: b\\r\\n\\r\\n)é\\r\\n)\\r\\n
R * 1 FETCH (UID 8 BODY[] {4}\\r\\nnot!)\\r\\n
R * 1 FETCH (BODY[] {4}\\r\\nno u)\\r\\n
R * 1 FETCH (UID 4 BODY[] NIL)\\r\\n
R * 1 FETCH (UID 5 BODY[HEADER] {2}\\r\\nno)\\r\\n
R * 1 FETCH (UID 3 BODY[] {0}\\r\\n)\\r\\n
R * 1 FETCH (UID 3 BODY[] {5}\\r\\ntwice)\\r\\n
S {tag} OK done
C UID FETCH 3 (UID INTERNALDATE BODY.PEEK[]<0.4>)
R * 1 FETCH (UID 3 BODY[]<0> {4}\\r\\nhead)\\r\\n
S {tag} OK done
C UID FETCH 8
S {tag} NO [EXPUNGEISSUED] gone",
    )
    .await;
    let date = "2026-02-07T21:52:25Z".parse().ok();
    let want = [
        Fetched { uid: 3, internal_date: None, raw: Vec::new() },
        Fetched { uid: 9, internal_date: date, raw: "a: b\r\n\r\n)é\r\n".into() },
    ];
    assert_eq!(session.fetch(&[9, 3, 4, 5], 4096).await.unwrap(), want);
    assert_eq!(session.fetch_head(3, 4).await.unwrap().unwrap().raw, b"head");
    assert_eq!(session.fetch_head(8, 4).await.unwrap(), None);
    assert_eq!(session.fetch(&[], 4).await.unwrap(), [], "asks nothing");
}

#[tokio::test]
async fn a_server_that_sends_more_than_it_announced_is_stopped() {
    let mail = "x".repeat(60_000);
    let (mut session, _) = selected(&format!(
        "C FETCH
R * 1 FETCH (UID 1 BODY[] {{60000}}\\r\\n{mail})\\r\\n
R * 2 FETCH (UID 2 BODY[] {{60000}}\\r\\n{mail})\\r\\n
S {{tag}} OK done"
    ))
    .await;
    assert_eq!(violation(session.fetch(&[1, 2], 1000).await.unwrap_err()), Violation::TooMuch);
}

// ── settling ──────────────────────────────────────────────────────────────────────────────────────────────

async fn settled(capabilities: &str, how: &Settle, script: &str) -> (Result<(), ImapError>, Vec<String>) {
    let script = format!("{LOGGED_IN}{SELECTED}{script}").replace("IDLE MOVE UIDPLUS", capabilities);
    let (session, task) = open(script).await;
    let mut session = session.unwrap();
    session.select("INBOX").await.unwrap();
    let done = session.settle(&[5, 4, 9], how).await;
    drop(session);
    (done, task.await.unwrap().split_off(2))
}

#[tokio::test]
async fn mails_are_moved_by_whatever_is_safe() {
    let there = format!("{}C LIST\nS * LIST () \"/\" Hecho\nS {{tag}} OK\n", layout("/", &["INBOX", "Sent"]));
    let to = Settle::Move("Hecho".to_owned());
    let steps =
        |commands: &[&str]| commands.iter().map(|c| format!("C {c}\nS {{tag}} OK\n")).collect::<String>();

    let (done, _) = settled("MOVE", &to, &format!("{there}{}", steps(&["UID MOVE 4:5,9 \"Hecho\""]))).await;
    done.unwrap();
    let copy = ["UID COPY 4:5,9 \"Hecho\"", "UID STORE 4:5,9 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 4:5,9"];
    let (done, _) = settled("UIDPLUS", &to, &format!("{there}{}", steps(&copy))).await;
    done.unwrap();
    let (done, _) = settled("UIDPLUS", &Settle::Delete, &steps(&copy[1..])).await;
    done.unwrap();
    for how in [&to, &Settle::Delete] {
        let (done, said) = settled("IDLE", how, "").await;
        assert!(matches!(done, Err(ImapError::CannotMove)) && said.is_empty(), "{said:?}");
    }
    // A copy that failed is followed by no deletion.
    let (done, said) =
        settled("UIDPLUS", &to, &format!("{there}C COPY\nS {{tag}} NO [OVERQUOTA] full")).await;
    assert!(matches!(done, Err(ImapError::No { command: "COPY", code: Code::Other, .. })));
    assert!(said.last().unwrap().contains("COPY"), "{said:?}");
}

#[tokio::test]
async fn a_folder_that_vanished_is_made_again_once() {
    let there = format!("{}C LIST\nS * LIST () \"/\" Hecho\nS {{tag}} OK\n", layout("/", &["INBOX", "Sent"]));
    let again = "C LIST\nS {tag} OK\nC LIST\nS {tag} OK\nC CREATE \"Hecho\"\nS {tag} OK\n";
    let refused = "C MOVE\nS {tag} NO [TRYCREATE] no such folder\n";
    let to = Settle::Move("Hecho".to_owned());
    let (done, _) = settled("MOVE", &to, &format!("{there}{refused}{again}C MOVE\nS {{tag}} OK")).await;
    done.unwrap();
    let (done, _) = settled("MOVE", &to, &format!("{there}{refused}{again}{refused}")).await;
    assert!(matches!(done, Err(ImapError::No { code: Code::TryCreate, .. })));
}

#[tokio::test]
async fn a_flag_is_a_keyword_where_the_folder_takes_keywords() {
    let (done, _) =
        settled("IDLE", &Settle::Flag, "C UID STORE 4:5,9 +FLAGS.SILENT ($AcuseDone)\nS {tag} OK").await;
    done.unwrap();
    let script = format!("{LOGGED_IN}{SELECTED}C UID STORE 1 +FLAGS.SILENT (\\Seen)\nS {{tag}} OK");
    let (session, _) = open(script.replace(" \\*)]", ")]")).await;
    let mut session = session.unwrap();
    assert!(!session.select("INBOX").await.unwrap().keywords_permitted);
    session.settle(&[1], &Settle::Flag).await.unwrap();
}

#[tokio::test]
async fn many_mails_are_settled_in_sets() {
    let (mut session, task) = selected(&"C STORE\nS {tag} OK\n".repeat(3)).await;
    let uids = (0..1001).map(|n| n * 2 + 1).collect::<Vec<u32>>();
    session.settle(&uids, &Settle::Flag).await.unwrap();
    drop(session);
    assert!(task.await.unwrap().iter().all(|line| line.len() < 8192), "RFC 7162 §4: no longer lines");
}

// ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────

const SOON: Duration = Duration::from_millis(400);

async fn waited(script: &str) -> (Result<Woken, ImapError>, Duration, Session) {
    let (mut session, _) = selected(script).await;
    let started = Instant::now();
    let woken = session.wait(SOON, &CancellationToken::new()).await;
    (woken, started.elapsed(), session)
}

#[tokio::test]
async fn idle_wakes_at_news_alone() {
    let (woken, _, mut session) = waited(
        "C IDLE
S + idling
S * OK still here
S * 1 FETCH (FLAGS (\\Seen))
S * 2 EXISTS
S * 1 EXPUNGE
S * 2 EXISTS
C DONE
S a3 OK
C NOOP
S {tag} OK",
    )
    .await;
    assert_eq!(woken.unwrap(), Woken::News);
    session.noop().await.unwrap();
}

#[tokio::test]
async fn news_before_idle_is_not_lost() {
    let (woken, _, _) = waited("C IDLE\nS * 3 EXISTS\nS + idling\nC DONE\nS a3 OK").await;
    assert_eq!(woken.unwrap(), Woken::News);

    let listing = "C FETCH\nS * 1 FETCH (UID 1 RFC822.SIZE 1)\nS {tag} OK\n";
    let (mut session, task) =
        selected(&format!("{listing}C STORE\nS * 3 EXISTS\nS {{tag}} OK\n{listing}C IDLE")).await;
    session.list_above(0).await.unwrap();
    session.settle(&[1], &Settle::Flag).await.unwrap();
    let cancel = CancellationToken::new();
    assert_eq!(session.wait(SOON, &cancel).await.unwrap(), Woken::News);
    assert_eq!(session.wait(SOON, &cancel).await.unwrap(), Woken::News, "until somebody looks");
    session.list_above(0).await.unwrap();
    assert!(session.wait(SOON, &cancel).await.is_err(), "now it asks, and gets no answer");
    task.abort();
}

#[tokio::test]
async fn idle_ends_at_its_time_whatever_the_server_sends() {
    let chatter = "S * OK still here\nP 50\n".repeat(9);
    let (woken, took, _) = waited(&format!("C IDLE\nS + idling\n{chatter}C DONE\nS a3 OK")).await;
    assert_eq!(woken.unwrap(), Woken::Timeout);
    assert!((SOON..SOON * 2).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_dead_line_shows_at_the_end_of_idle() {
    let (woken, took, _) = waited("C IDLE\nS + idling").await;
    assert!(matches!(woken, Err(ImapError::Timeout { command: "IDLE" })));
    assert!(took < SOON + QUICK.response * 3, "{took:?}");
    for (script, bye) in [("S * BYE restarting", true), ("X", false)] {
        let (woken, _, _) = waited(&format!("C IDLE\nS + idling\n{script}")).await;
        assert_eq!(matches!(woken, Err(ImapError::Bye(_))), bye);
        assert!(woken.is_err());
    }
    assert!(matches!(waited("C IDLE").await.0, Err(ImapError::Timeout { .. })), "no continuation");
}

#[tokio::test]
async fn broken_idle_becomes_polling() {
    for refusal in
        ["S {tag} BAD what", "S {tag} NO disabled", "S {tag} OK done", "S + idling\nS {tag} OK enough"]
    {
        let (woken, took, mut session) =
            waited(&format!("C IDLE\n{refusal}\nC NOOP\nS * 3 EXISTS\nS {{tag}} OK")).await;
        assert_eq!(woken.unwrap(), Woken::Timeout);
        assert!(took < SOON && !session.idles());
        let started = Instant::now();
        assert_eq!(session.wait(SOON, &CancellationToken::new()).await.unwrap(), Woken::News);
        assert!(started.elapsed() >= SOON, "it polls");
    }
}

#[tokio::test]
async fn a_wait_can_be_cancelled() {
    for (script, idle) in
        [("C IDLE\nS + idling\nC DONE\nS a3 OK\nC NOOP\nS {tag} OK", true), ("C NOOP\nS {tag} OK", false)]
    {
        let (mut session, _) = selected(script).await;
        session.idle = idle;
        let cancel = CancellationToken::new();
        tokio::spawn({
            let cancel = cancel.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                cancel.cancel();
            }
        });
        let started = Instant::now();
        assert_eq!(session.wait(Duration::from_secs(60), &cancel).await.unwrap(), Woken::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(5));
        session.noop().await.unwrap();
        session.logout().await;
    }
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
    is_send(&session.wait(SOON, &CancellationToken::new()));
    is_send(&session.fetch(&[1], 1));
    is_send(&session.settle(&[1], &Settle::Delete));
}
