//! The IMAP session against a real Dovecot, the relay against a real conversation, and both on a line that is
//! cut everywhere: no cut may pass for success, nor a lost answer for a certain loss.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acuse::config::{Login, Proof, Server, Tls};
use acuse::imap::tls::Trust;
use acuse::imap::{ImapError, Session, Settle, Timeouts, Woken};
use acuse::oauth::sasl::Mechanism;
use acuse::oauth::{Client, Grant};
use acuse::smtp::{self, Notify, Outcome, Outgoing, Relay, Step};
use acuse::tokens::{Account, Source, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::dovecot::{self, Dovecot, PASSWORD};
use support::imap_peer::{self, ImapPeer};
use support::proxy::{Proxy, Traffic};
use support::smtp_peer::{self, Fate, SmtpPeer};
use support::token_endpoint::TokenEndpoint;
use tokio_util::sync::CancellationToken;

mod support;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    response: Duration::from_secs(2),
    command: Duration::from_secs(20),
};
const USER: &str = "soporte";

fn server(address: SocketAddr, tls: Tls, ca_file: Option<PathBuf>) -> Server {
    let login = Login::with_password(USER, PASSWORD);
    Server { host: "localhost".to_owned(), port: address.port(), tls, ca_file, login: Some(login) }
}

async fn open(address: SocketAddr) -> Result<Session, ImapError> {
    Session::open(&server(address, Tls::None, None), &Trust::default(), TIMEOUTS).await
}

async fn inbox(dovecot: &Dovecot) -> Session {
    let mut session = open(dovecot.imap()).await.unwrap();
    session.select("INBOX").await.unwrap();
    session
}

fn mail(number: usize) -> Vec<u8> {
    let body = "La página no carga.\r\n)(\"{12}\r\n".repeat(number * 7 + 1);
    format!("Subject: caso {number}\r\nMessage-ID: <{number}@customer.example>\r\n\r\n{body}").into_bytes()
}

fn fill(dovecot: &Dovecot, mails: usize) {
    let mut client = dovecot.client(USER);
    (0..mails).for_each(|number| assert!(client.append("INBOX", &mail(number), None).is_some()));
}

async fn uids(session: &mut Session) -> Vec<u32> {
    session.list_above(0).await.unwrap().into_iter().map(|mail| mail.uid).collect()
}

#[tokio::test]
async fn every_way_in_shows_the_same_mails() {
    let dovecot = Dovecot::start();
    fill(&dovecot, 5);
    let ca_file = Some(dovecot.certificate());
    for server in [
        server(dovecot.imap(), Tls::None, None),
        server(dovecot.imap(), Tls::StartTls, ca_file.clone()),
        server(dovecot.imaps(), Tls::Implicit, ca_file.clone()),
    ] {
        let mut session = Session::open(&server, &Trust::default(), TIMEOUTS).await.unwrap();
        let selected = session.select("INBOX").await.unwrap();
        assert_eq!((selected.uid_next, selected.exists, selected.read_only), (6, 5, false));
        let listed = session.list_above(0).await.unwrap();
        let total = listed.iter().map(|mail| mail.size).sum();
        let fetched = session.fetch(&[5, 4, 3, 2, 1, 77], total).await.unwrap();
        assert_eq!(fetched.len(), 5);
        for (number, (listed, fetched)) in listed.iter().zip(&fetched).enumerate() {
            assert_eq!((listed.uid, listed.internal_date), (fetched.uid, fetched.internal_date));
            assert!(fetched.internal_date.is_some());
            assert_eq!(listed.size, fetched.raw.len() as u64);
            assert_eq!(fetched.raw, mail(number));
        }
        assert_eq!(session.fetch_head(3, 20).await.unwrap().unwrap().raw, mail(2)[..20]);
        session.logout().await;
    }
    let wrong = Login::with_password(USER, "wrong");
    let server = Server { login: Some(wrong), ..server(dovecot.imap(), Tls::None, None) };
    let refused = Session::open(&server, &Trust::default(), TIMEOUTS).await.err().unwrap();
    assert!(matches!(refused, ImapError::AuthRefused(_)) && !refused.is_temporary());
    assert!(!dovecot.client(USER).list("INBOX").iter().any(|mail| mail.flags.contains(&"\\Seen".to_owned())));
}

#[tokio::test]
async fn mails_are_settled_with_what_the_server_has_under_the_prefix_it_has() {
    for (inbox_namespace, capabilities) in [
        (false, None),
        (true, None),
        (true, Some("IMAP4rev1 SASL-IR LITERAL+ UIDPLUS")),
        (false, Some("IMAP4rev1")),
    ] {
        let options = dovecot::Options { inbox_namespace, capabilities, ..Default::default() };
        let dovecot = Dovecot::start_with(&options);
        fill(&dovecot, 4);
        // Somebody else's mark, which nothing of ours may expunge.
        let mut client = dovecot.client(USER);
        client.select("INBOX");
        client.flag(4, "\\Deleted");
        let mut session = inbox(&dovecot).await;
        session.settle(&[3], &Settle::Flag).await.unwrap();
        let to = Settle::Move("Acuse/Técnico".to_owned());
        if capabilities == Some("IMAP4rev1") {
            assert!(matches!(session.settle(&[1], &to).await, Err(ImapError::CannotMove)));
            assert!(matches!(session.settle(&[1], &Settle::Delete).await, Err(ImapError::CannotMove)));
            assert_eq!(uids(&mut session).await, [1, 2, 3, 4]);
            continue;
        }
        for _ in 0..2 {
            session.settle(&[1, 900], &to).await.unwrap();
            session.settle(&[2], &Settle::Delete).await.unwrap();
        }
        assert_eq!(uids(&mut session).await, [3, 4]);
        let done = if inbox_namespace { "INBOX.Acuse.T&AOk-cnico" } else { "Acuse/T&AOk-cnico" };
        assert_eq!(session.ensure_folder("Acuse/Técnico").await.unwrap(), done);
        assert_eq!(session.select("Acuse/Técnico").await.unwrap().exists, 1);
        assert_eq!(session.fetch(&[1], 4096).await.unwrap()[0].raw, mail(0));
        assert!(client.list("INBOX")[0].flags.contains(&"$AcuseDone".to_owned()));
    }
}

#[tokio::test]
async fn a_vanished_folder_is_made_again() {
    let dovecot = Dovecot::start();
    fill(&dovecot, 2);
    let mut session = inbox(&dovecot).await;
    let to = Settle::Move("Hecho".to_owned());
    session.settle(&[1], &to).await.unwrap();
    dovecot.client(USER).command("DELETE Hecho");
    session.settle(&[2], &to).await.unwrap();
    assert_eq!(session.select("Hecho").await.unwrap().exists, 1);
}

#[tokio::test]
async fn news_is_pushed_and_what_people_do_is_not_news() {
    let dovecot = Dovecot::start();
    fill(&dovecot, 2);
    let mut session = inbox(&dovecot).await;
    assert!(session.idles());
    assert_eq!(uids(&mut session).await, [1, 2]);
    let cancel = CancellationToken::new();
    let mut client = dovecot.client(USER);
    client.select("INBOX");
    client.flag(1, "\\Seen");
    assert_eq!(session.wait(Duration::from_secs(1), &cancel).await.unwrap(), Woken::Timeout);
    assert_eq!(uids(&mut session).await, [1, 2], "\\Seen is nothing to us");
    tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(300));
        client.append("INBOX", &mail(9), None);
    });
    let started = Instant::now();
    assert_eq!(session.wait(Duration::from_secs(15), &cancel).await.unwrap(), Woken::News);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(session.list_above(2).await.unwrap()[0].uid, 3);
    assert_eq!(session.list_above(3).await.unwrap(), [], "though the server answers with its last mail");
}

#[tokio::test]
async fn a_frozen_server_is_noticed_and_a_restarted_one_is_reached_again() {
    let mut dovecot = Dovecot::start();
    fill(&dovecot, 1);
    let mut session = inbox(&dovecot).await;
    dovecot.freeze();
    let silent = session.list_above(0).await.unwrap_err();
    assert!(matches!(silent, ImapError::Timeout { .. }) && silent.is_temporary());
    dovecot.thaw();
    assert!(matches!(session.noop().await, Err(ImapError::Abandoned { .. })), "its late answer is not ours");

    let mut session = inbox(&dovecot).await;
    dovecot.restart();
    let gone = session.list_above(0).await.unwrap_err();
    assert!(gone.is_temporary() && !gone.leaves_session_usable(), "{gone:?}");
    let mut session = inbox(&dovecot).await;
    let before = session.select("INBOX").await.unwrap();
    dovecot.new_uidvalidity(USER, "INBOX");
    let after = inbox(&dovecot).await.select("INBOX").await.unwrap();
    assert_ne!(after.uid_validity, before.uid_validity);
}

/// From the greeting to the last body: wherever the line is cut, the walk fails or is complete.
#[tokio::test]
async fn no_cut_passes_for_an_empty_mailbox() {
    let dovecot = Dovecot::start();
    fill(&dovecot, 3);
    let walk = async |address| {
        let mut session = open(address).await?;
        session.select("INBOX").await?;
        let listed = session.list_above(0).await?;
        let fetched = session.fetch(&[1, 2, 3], 65_536).await?;
        session.wait(Duration::from_millis(1), &CancellationToken::new()).await?;
        Ok::<_, ImapError>((listed.len(), fetched.into_iter().map(|mail| mail.raw).collect::<Vec<_>>()))
    };
    let whole = (3, (0..3).map(mail).collect::<Vec<_>>());
    let (mut cuts, mut bytes) = (0, 0);
    loop {
        let proxy = Proxy::start(dovecot.imap());
        proxy.cut_after(bytes);
        match walk(proxy.address()).await {
            Ok(found) => {
                assert_eq!(found, whole, "cut after {bytes} bytes");
                break;
            }
            Err(error) => assert!(error.is_temporary(), "cut after {bytes} bytes: {error:?}"),
        }
        cuts += 1;
        bytes += 13; // small enough to end inside every response
    }
    assert!(cuts > 50, "only {cuts}");
}

// ── the relay ─────────────────────────────────────────────────────────────────────────────────────────────

fn relay(address: SocketAddr) -> Relay {
    let server = Server { login: None, ..server(address, Tls::None, None) };
    let quick = Duration::from_millis(500);
    let timeouts = smtp::Timeouts { connect: quick, command: quick, data: quick, block: quick, end: quick };
    Relay::new(&server, "acuse.example", timeouts)
}

fn outgoing<'a>(from: Option<&'a str>, bytes: &'a [u8]) -> Outgoing<'a> {
    Outgoing { from, to: "ana@cliente.example", notify: Notify::Never, envelope_id: None, bytes }
}

#[tokio::test]
async fn mails_go_out_fast_over_one_connection() {
    const MAILS: usize = 200;
    let peer = SmtpPeer::start(smtp_peer::Options::default());
    let mut relay = relay(peer.address());
    let body = b"Subject: Su caso\r\n\r\n.\r\n..\r\nhola\r\n";
    let started = Instant::now();
    for _ in 0..MAILS {
        assert!(matches!(relay.send(&outgoing(None, body)).await, Outcome::Sent { .. }));
    }
    // With Nagle's algorithm, at 40 ms for each mail, it would take eight seconds.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    relay.close().await;
    let mails = peer.mails();
    assert_eq!((mails.len(), peer.connections(), peer.offences().len()), (MAILS, 1, 0));
    assert!(mails.iter().all(|mail| mail.raw == body && mail.sender.is_empty()));
    assert_eq!(mails[0].sender_parameters, [&format!("SIZE={}", body.len()), "RET=HDRS"]);
    assert_eq!(mails[0].recipients[0].parameters, ["NOTIFY=NEVER"]);
}

/// The peer knows what it took; our word for it must never be surer than the truth.
#[tokio::test]
async fn no_fault_makes_a_taken_mail_certainly_lost_or_a_lost_one_sent() {
    use smtp_peer::Fault;
    for step in smtp_peer::Step::BEFORE_ACCEPTANCE {
        for fault in
            [Fault::Reply("451 4.3.0 later"), Fault::Reply("554 5.7.1 no"), Fault::Silent, Fault::Drop]
        {
            let peer = SmtpPeer::start(smtp_peer::Options::default());
            peer.fault_always(step, fault.clone());
            let outcome = relay(peer.address()).send(&outgoing(None, b"a: b\r\n\r\nc\r\n")).await;
            let taken = peer.mails().iter().any(|mail| !matches!(mail.fate, Fate::Refused(_)));
            let sure = match &outcome {
                Outcome::Sent { .. } => Some(true),
                Outcome::Deferred { ambiguous: true, .. } => None,
                Outcome::Deferred { .. } | Outcome::Refused { .. } => Some(false),
            };
            assert!(sure.is_none_or(|sure| sure == taken), "{step:?} {fault:?}: {outcome:?}, taken: {taken}");
        }
    }
}

#[tokio::test]
async fn no_cut_makes_a_mail_sent_or_refused() {
    let body = b"Subject: Su caso\r\n\r\nhola\r\n";
    let mut steps = BTreeSet::new();
    let (mut bytes, mut sent) = (0, false);
    while !sent {
        let peer = SmtpPeer::start(smtp_peer::Options::default());
        let proxy = Proxy::start(peer.address());
        proxy.cut_after(bytes);
        match relay(proxy.address()).send(&outgoing(Some("s@mihost.example"), body)).await {
            Outcome::Sent { .. } => sent = true,
            Outcome::Deferred { step, ambiguous, .. } => {
                assert_eq!(ambiguous, step == Step::End, "cut after {bytes} bytes");
                steps.insert(step);
            }
            refused @ Outcome::Refused { .. } => panic!("cut after {bytes} bytes: {refused:?}"),
        }
        bytes += 1;
    }
    let every = [Step::Hello, Step::MailFrom, Step::RcptTo, Step::Data, Step::End];
    assert_eq!(steps, BTreeSet::from(every));
}

#[tokio::test]
async fn a_slow_relay_is_waited_for_and_a_stalled_one_is_not() {
    let peer = SmtpPeer::start(smtp_peer::Options::default());
    let proxy = Proxy::start(peer.address());
    proxy.set(Traffic::Delayed(Duration::from_millis(60)));
    let body = b"a: b\r\n\r\nc\r\n";
    let mut relay = relay(proxy.address());
    assert!(matches!(relay.send(&outgoing(None, body)).await, Outcome::Sent { .. }));
    proxy.set(Traffic::Stalled);
    let started = Instant::now();
    let outcome = relay.send(&outgoing(None, body)).await;
    assert!(matches!(outcome, Outcome::Deferred { ambiguous: false, .. }), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(peer.mails().len(), 1);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// I16, at the most talkative level of every crate: async-imap logs each line that it writes and reads. ureq_proto alone is
/// heard without its TRACE, which is the wire itself: `acuse run` lets no library say more than warnings.
#[tokio::test]
async fn no_log_shows_the_password() {
    const SECRET: &str = "kanarienvogel";
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter("trace,ureq_proto=debug")
        .with_writer(move || writer.clone())
        .init();
    let login = Login::with_password(USER, SECRET);
    for (shortcuts, password) in [(true, SECRET), (false, SECRET), (true, "another")] {
        let options = imap_peer::Options { shortcuts, ..Default::default() };
        let peer = ImapPeer::start(options, USER, password);
        let server = Server { login: Some(login.clone()), ..server(peer.address(), Tls::None, None) };
        let opened = Session::open(&server, &Trust::default(), TIMEOUTS).await;
        assert_eq!(opened.is_ok(), password == SECRET);
    }
    for password in [SECRET, "another"] {
        let options = smtp_peer::Options { login: Some((USER, password)), ..Default::default() };
        let peer = SmtpPeer::start(options);
        let server = Server { login: Some(login.clone()), ..server(peer.address(), Tls::None, None) };
        let logged_in = Relay::new(&server, "acuse.example", smtp::Timeouts::default()).probe().await;
        assert_eq!(logged_in.is_ok(), password == SECRET, "{logged_in:?}");
    }
    let endpoint = TokenEndpoint::start(USER);
    let introspection = Some(endpoint.url("/introspect"));
    let dovecot = Dovecot::start_with(&dovecot::Options { introspection, ..Default::default() });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refresh");
    std::fs::write(&file, "refresh-0").unwrap();
    let client = Client {
        token_url: endpoint.url("/token"),
        device_url: None,
        id: "acuse".to_owned(),
        secret: Some(SECRET.into()),
        scope: None,
        grant: Grant::RefreshToken,
        ca_file: None,
    };
    let source = Source::Endpoint { client, refresh_token_file: Some(file) };
    let account = Account::Mailbox("soporte".to_owned());
    let proof = Proof::Token(Arc::new(Tokens::new(account, source, directory.path())));
    let server = Server {
        login: Some(Login { user: USER.to_owned(), proof }),
        ..server(dovecot.imap(), Tls::None, None)
    };
    for is_good in [true, false] {
        if !is_good {
            endpoint.revoke_access();
            endpoint.fault_always(400, r#"{"error":"invalid_grant","error_description":"no refresh-1"}"#);
        }
        let opened = Session::open(&server, &Trust::default(), TIMEOUTS).await;
        assert_eq!(opened.is_ok(), is_good);
        if let Err(refused) = opened {
            let ImapError::AuthRefused(words) = &refused else { panic!("{refused:?}") };
            assert!(words.contains("invalid_grant: no […]; sign in anew"), "{words}");
        }
    }
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("async_imap") && log.contains("ureq"), "the log is heard");
    let encoded = STANDARD.encode(format!("\0{USER}\0{SECRET}"));
    assert!(!log.contains(SECRET) && !log.contains(&encoded));
    let shown = Mechanism::OAuthBearer.initial(USER, "localhost", server.port, &"access-1".into());
    let debugged = format!("{server:?}");
    for secret in ["refresh-0", "refresh-1", "access-1", shown.as_str()] {
        assert!(!log.contains(secret) && !debugged.contains(secret), "{secret}");
    }
}
