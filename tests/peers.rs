//! The test servers keep their word: what the other tests rely on, asked over raw sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use support::client::ImapClient;
use support::dovecot::{self, Dovecot};
use support::imap_peer::{self, ImapPeer};
use support::proxy::{Proxy, Traffic};
use support::smtp_peer::{self, Fate, Recipient, SmtpPeer, Step};

mod support;

const MAIL: &[u8] =
    b"Subject: Hola\r\nMessage-ID: <1@customer.example>\r\n\r\nLa p\xc3\xa1gina no carga.\r\n";

/// A raw conversation: what is sent, and the lines that come back.
struct Wire(BufReader<TcpStream>);

impl Wire {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line without CRLF; empty at the end of the connection.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a line and reads the next.
    fn ask(&mut self, text: &str) -> String {
        self.send(&format!("{text}\r\n"));
        self.line()
    }

    fn silent_for(&mut self, time: Duration) -> bool {
        self.0.get_mut().set_read_timeout(Some(time)).unwrap();
        self.0.fill_buf().is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        })
    }

    fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }
}

fn imap() -> ImapPeer {
    ImapPeer::start(imap_peer::Options::default(), "soporte", "secret")
}

fn logged_in(peer: &ImapPeer) -> ImapClient {
    ImapClient::login(peer.address(), "soporte", "secret")
}

fn noon() -> jiff::Timestamp {
    "2026-09-16T12:00:00Z".parse().unwrap()
}

mod imap {
    use super::*;

    #[test]
    fn a_mail_is_listed_and_fetched_as_it_was_delivered() {
        let peer = imap();
        let uid = peer.deliver("soporte", "INBOX", MAIL, noon());
        let mut client = logged_in(&peer);
        assert_eq!(client.select("INBOX").value("UIDNEXT").as_deref(), Some("2"));
        let listing = client.command("UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS)");
        assert_eq!(
            listing.lines,
            [format!(
                "* 1 FETCH (UID 1 RFC822.SIZE {} INTERNALDATE \"16-Sep-2026 12:00:00 +0000\" FLAGS ())",
                MAIL.len()
            )]
        );
        assert_eq!(client.fetch(uid), MAIL);
        assert!(!peer.messages("soporte", "INBOX")[0].has("\\Seen"), "PEEK leaves it unread");
        let head = client.command("UID FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT]<0.5> BODY.PEEK[]<9.4>)");
        let split = MAIL.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(head.literals, [&MAIL[..split], &MAIL[split..split + 5], &MAIL[9..13]]);
        assert!(head.lines[0].contains("BODY[TEXT]<0> {5}"), "{:?}", head.lines);
        assert_eq!(peer.offences(), [""; 0]);
    }

    #[test]
    fn a_range_above_the_last_uid_still_holds_the_last_mail() {
        let peer = imap();
        peer.deliver("soporte", "INBOX", MAIL, noon());
        let mut client = logged_in(&peer);
        client.select("INBOX");
        assert_eq!(client.command("UID FETCH 7:* (UID)").lines, ["* 1 FETCH (UID 1)"]);
    }

    #[test]
    fn move_answers_as_rfc_6851_wants_it() {
        let peer = imap();
        for _ in 0..4 {
            peer.deliver("soporte", "INBOX", MAIL, noon());
        }
        let mut client = logged_in(&peer);
        client.select("INBOX");
        let refused = client.try_command("UID MOVE 1:2,4 Acuse/Procesados");
        assert!(refused.end.starts_with("NO [TRYCREATE]"), "{}", refused.end);
        client.create("Acuse/Procesados");
        let moved = client.command("UID MOVE 1:2,4 Acuse/Procesados");
        let validity = peer.uidvalidity("soporte", "Acuse/Procesados");
        assert_eq!(
            moved.lines,
            [
                format!("* OK [COPYUID {validity} 1:2,4 1:3] moved"),
                "* 4 EXPUNGE".into(),
                "* 2 EXPUNGE".into(),
                "* 1 EXPUNGE".into()
            ]
        );
        assert_eq!(peer.messages("soporte", "INBOX")[0].uid, 3);
    }

    #[test]
    fn copy_store_and_uid_expunge_do_what_move_does() {
        let options = imap_peer::Options { r#move: false, keywords: false, ..imap_peer::Options::default() };
        let peer = ImapPeer::start(options, "soporte", "secret");
        peer.deliver("soporte", "INBOX", MAIL, noon());
        peer.deliver("soporte", "INBOX", MAIL, noon());
        peer.set_flag("soporte", "INBOX", 2, "\\Deleted");
        let mut client = logged_in(&peer);
        assert!(!client.command("CAPABILITY").lines[0].contains("MOVE"));
        assert!(client.select("INBOX").lines.iter().all(|line| !line.contains("\\*")));
        assert!(client.try_command("UID MOVE 1 INBOX").end.starts_with("BAD"));
        client.create("Hecho");
        assert!(client.command("UID COPY 1 Hecho").end.contains("[COPYUID "));
        let stored = client.command("UID STORE 1 +FLAGS (\\Deleted $AcuseDone)");
        assert_eq!(stored.lines, ["* 1 FETCH (UID 1 FLAGS (\\Deleted))"], "no keywords here");
        assert_eq!(client.command("UID EXPUNGE 1").lines, ["* 1 EXPUNGE"]);
        assert_eq!(peer.messages("soporte", "INBOX").len(), 1, "a person's deletion is not ours to expunge");
        assert_eq!(peer.offences(), [""; 0]);
        client.command("EXPUNGE");
        assert_eq!(peer.offences(), ["EXPUNGE"]);
    }

    #[test]
    fn idle_hears_of_mail_at_once() {
        let peer = imap();
        let mut wire = Wire::open(peer.address());
        assert!(wire.line().starts_with("* OK [CAPABILITY IMAP4rev1"));
        assert!(wire.ask("a LOGIN soporte {6+}\r\nsecret").starts_with("a OK"));
        while !wire.ask("b NOOP").starts_with("b OK") {}
        wire.send("c SELECT inbox\r\n");
        while !wire.line().starts_with("c OK [READ-WRITE]") {}
        assert_eq!(wire.ask("d IDLE"), "+ idling");
        peer.wait_for_idle("soporte", "INBOX");
        let start = Instant::now();
        let uid = peer.deliver("soporte", "INBOX", MAIL, noon());
        assert_eq!(wire.line(), "* 1 EXISTS");
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
        assert_eq!(wire.line(), "* 0 RECENT");
        peer.set_seen("soporte", "INBOX", uid);
        assert_eq!(wire.line(), "* 1 FETCH (UID 1 FLAGS (\\Seen))");
        peer.remove("soporte", "INBOX", uid);
        assert_eq!(wire.line(), "* 1 EXPUNGE");
        assert!(wire.ask("DONE").starts_with("d OK"));
        assert_eq!(peer.count("IDLE"), 1);
    }

    #[test]
    fn append_takes_a_literal_with_its_date_and_flags() {
        let peer = imap();
        let mut client = logged_in(&peer);
        assert_eq!(client.append("INBOX", MAIL, Some(noon())), Some(1));
        let stored = &peer.messages("soporte", "INBOX")[0];
        assert_eq!((&stored.raw[..], stored.internal_date), (MAIL, noon()));
    }

    #[test]
    fn authenticate_plain_works_with_and_without_an_initial_response() {
        let peer = imap();
        let mut wire = Wire::open(peer.address());
        wire.line();
        assert!(wire.ask("a AUTHENTICATE PLAIN AHNvcG9ydGUAd3Jvbmc=").starts_with("a NO [AUTHENTICATION"));
        assert_eq!(wire.ask("b AUTHENTICATE PLAIN"), "+");
        assert!(wire.ask("AHNvcG9ydGUAc2VjcmV0").starts_with("b OK"));
        let recorded: Vec<_> = peer.commands().into_iter().map(|command| command.line).collect();
        assert_eq!(recorded, ["GREETING", "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN"]);
    }

    #[test]
    fn the_inbox_namespace_refuses_folders_elsewhere() {
        let options =
            imap_peer::Options { separator: '.', prefix: "INBOX.", ..imap_peer::Options::default() };
        let peer = ImapPeer::start(options, "soporte", "secret");
        let mut client = logged_in(&peer);
        assert_eq!(client.command("LIST \"\" \"\"").lines, ["* LIST (\\Noselect) \".\" \"\""]);
        assert!(client.try_command("CREATE Acuse.Procesados").end.contains("prefixed with: INBOX."));
        client.create("INBOX.Acuse.Procesados");
        assert_eq!(client.folders(), ["INBOX", "INBOX.Acuse.Procesados"]);
        assert!(client.try_command("CREATE INBOX.Acuse.Procesados").end.starts_with("NO [ALREADYEXISTS]"));
    }

    #[test]
    fn a_new_uidvalidity_numbers_anew_and_throws_clients_out() {
        let peer = imap();
        for _ in 0..3 {
            peer.deliver("soporte", "INBOX", MAIL, noon());
        }
        peer.remove("soporte", "INBOX", 1);
        let before = peer.uidvalidity("soporte", "INBOX");
        let mut wire = Wire::open(peer.address());
        wire.send("a LOGIN soporte secret\r\nb SELECT INBOX\r\n");
        while !wire.line().starts_with("b OK") {}
        peer.change_uidvalidity("soporte", "INBOX");
        assert!(String::from_utf8(wire.rest()).unwrap().starts_with("* BYE"));
        let mut client = logged_in(&peer);
        assert!(client.uidvalidity("INBOX") > before);
        assert_eq!(client.list("INBOX").iter().map(|mail| mail.uid).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn faults_come_at_their_turn_and_once() {
        use imap_peer::Fault;
        let peer = imap();
        peer.deliver("soporte", "INBOX", MAIL, noon());
        let mut client = logged_in(&peer);
        client.select("INBOX");
        peer.fault("UID FETCH BODY.PEEK[]", 2, Fault::No("[UNAVAILABLE] later"));
        peer.fault("NOOP", 1, Fault::Bad);
        client.command("UID FETCH 1:* (UID)"); // a listing: not what the fault waits for
        client.fetch(1);
        assert_eq!(client.try_command("UID FETCH 1 (BODY.PEEK[])").end, "NO [UNAVAILABLE] later");
        client.fetch(1);
        assert!(client.try_command("NOOP").end.starts_with("BAD"));
        client.command("NOOP");
        peer.fault_always("NOOP", Fault::No("never"));
        client.try_command("NOOP");
        assert_eq!(client.try_command("NOOP").end, "NO never");
        peer.no_faults();
        client.command("NOOP");
        assert_eq!(peer.count("UID FETCH BODY.PEEK[]"), 3);
    }

    #[test]
    fn connections_end_where_the_script_says() {
        use imap_peer::Fault;
        let peer = imap();
        peer.deliver("soporte", "INBOX", MAIL, noon());
        let open = || {
            let mut wire = Wire::open(peer.address());
            wire.send("a LOGIN soporte secret\r\nb SELECT INBOX\r\n");
            while !wire.line().starts_with("b OK") {}
            wire
        };
        peer.fault("UID FETCH", 1, Fault::CutInLiteral(5));
        let mut wire = open();
        wire.send("c UID FETCH 1 (BODY.PEEK[])\r\n");
        assert_eq!(wire.rest(), format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\nSubje", MAIL.len()).as_bytes());

        peer.fault("UID STORE", 1, Fault::CutAt(0));
        let mut wire = open();
        wire.send("c UID STORE 1 +FLAGS (\\Flagged)\r\n");
        assert_eq!(wire.rest(), b"", "the answer is lost");
        assert!(peer.messages("soporte", "INBOX")[0].has("\\Flagged"), "the deed is done");

        peer.fault("NOOP", 1, Fault::Bye);
        let mut wire = open();
        assert_eq!(wire.ask("c NOOP"), "* BYE going down");
        assert_eq!(wire.rest(), b"");

        peer.fault("NOOP", 1, Fault::Raw(b"* 9 EXPUNGE\r\n{tag} OK [{tag}]\r\n".to_vec()));
        peer.fault("NOOP", 2, Fault::Also(b"* 3000000000 EXISTS\r\n".to_vec()));
        let mut wire = open();
        assert_eq!([wire.ask("c NOOP"), wire.line()], ["* 9 EXPUNGE", "c OK [c]"]);
        assert_eq!([wire.ask("d NOOP"), wire.line()], ["* 3000000000 EXISTS", "d OK checked"]);

        peer.fault("NOOP", 1, Fault::Silent);
        let mut wire = open();
        wire.send("c NOOP\r\n");
        assert!(wire.silent_for(Duration::from_millis(150)));

        peer.fault("GREETING", 1, Fault::Close);
        assert_eq!(Wire::open(peer.address()).rest(), b"");
        assert_eq!(peer.connections(), 6);
    }
}

mod smtp {
    use super::*;
    use smtp_peer::Fault;

    fn open(peer: &SmtpPeer) -> Wire {
        let mut wire = Wire::open(peer.address());
        assert!(wire.line().starts_with("220 "));
        wire.send("EHLO test.example\r\n");
        while !wire.line().starts_with("250 ") {}
        wire
    }

    /// MAIL, RCPT, DATA and the mail; the last reply.
    fn send(wire: &mut Wire, raw: &str) -> String {
        for step in ["MAIL FROM:<> BODY=8BITMIME RET=HDRS", "RCPT TO:<ana@customer.example> NOTIFY=NEVER"] {
            let reply = wire.ask(step);
            if !reply.starts_with("250") {
                return reply;
            }
        }
        let reply = wire.ask("DATA");
        if reply.starts_with("354") { wire.ask(&format!("{raw}\r\n.")) } else { reply }
    }

    #[test]
    fn a_mail_is_kept_with_its_envelope_and_without_its_stuffing() {
        let peer = SmtpPeer::start(smtp_peer::Options::default());
        let mut wire = open(&peer);
        let raw = "Message-ID: <9@mihost.example>\r\nSubject: a\r\n b\r\n\r\n..hidden\r\n.";
        assert_eq!(send(&mut wire, &raw.replace("\r\n.", "\r\n..")), "250 2.0.0 taken");
        let mails = peer.wait_for_mails(1);
        let mail = &mails[0];
        assert_eq!((mail.sender.as_str(), mail.fate.clone()), ("", Fate::Accepted));
        assert_eq!(mail.sender_parameters, ["BODY=8BITMIME", "RET=HDRS"]);
        assert_eq!(
            mail.recipients,
            [Recipient { address: "ana@customer.example".into(), parameters: vec!["NOTIFY=NEVER".into()] }]
        );
        assert_eq!(mail.raw, format!("{raw}\r\n").as_bytes());
        assert_eq!(mail.message_id().as_deref(), Some("9@mihost.example"));
        assert_eq!(mail.header("subject").as_deref(), Some("a b"));
        assert_eq!(peer.offences(), [""; 0]);
        assert!(wire.ask("QUIT").starts_with("221"));
        assert_eq!(wire.rest(), b"");
    }

    #[test]
    fn breaches_of_the_standard_are_noted() {
        let peer = SmtpPeer::start(smtp_peer::Options::default());
        let mut wire = open(&peer);
        send(&mut wire, &format!("Subject: x\r\n\r\nbare\nline\r\n{}", "x".repeat(999)));
        assert_eq!(peer.offences(), ["a bare line feed", "a line of more than 998 characters"]);
    }

    #[test]
    fn every_step_can_refuse_fall_silent_or_drop() {
        for step in Step::BEFORE_ACCEPTANCE {
            for fault in
                [Fault::Reply("451 4.3.0 later"), Fault::Reply("550 5.7.1 no"), Fault::Silent, Fault::Drop]
            {
                let peer = SmtpPeer::start(smtp_peer::Options {
                    login: Some(("soporte", "secret")),
                    ..smtp_peer::Options::default()
                });
                peer.fault(step, 1, fault.clone());
                let mut wire = Wire::open(peer.address());
                let talk: [(Step, &str); 7] = [
                    (Step::Connect, ""),
                    (Step::Ehlo, "EHLO test.example\r\n"),
                    (Step::Auth, "AUTH PLAIN AHNvcG9ydGUAc2VjcmV0\r\n"),
                    (Step::Mail, "MAIL FROM:<>\r\n"),
                    (Step::Rcpt, "RCPT TO:<ana@customer.example>\r\n"),
                    (Step::Data, "DATA\r\n"),
                    (Step::Dot, "Subject: x\r\n\r\nx\r\n.\r\n"),
                ];
                for (at, text) in talk {
                    wire.send(text);
                    if at == step {
                        break;
                    }
                    while wire.line().as_bytes().get(3) == Some(&b'-') {}
                }
                let what = format!("{fault:?} at {step:?}");
                match fault {
                    Fault::Reply(reply) => assert_eq!(wire.line(), reply, "{what}"),
                    Fault::Silent => assert!(wire.silent_for(Duration::from_millis(30)), "{what}"),
                    _ => assert_eq!(wire.rest(), b"", "{what}"),
                }
                let fates: Vec<_> = peer.mails().into_iter().map(|mail| mail.fate).collect();
                let expected = match (step, fault) {
                    (Step::Dot, Fault::Reply(reply)) => vec![Fate::Refused(reply.to_owned())],
                    (Step::Dot, _) => vec![Fate::Unanswered],
                    _ => vec![],
                };
                assert_eq!(fates, expected, "{what}");
            }
        }
    }

    #[test]
    fn a_fault_comes_at_its_turn_and_the_connection_lives_on() {
        let peer = SmtpPeer::start(smtp_peer::Options::default());
        peer.fault(Step::Rcpt, 2, Fault::Reply("550 5.1.1 nobody"));
        let mut wire = open(&peer);
        assert_eq!(send(&mut wire, "Subject: 1\r\n\r\n1"), "250 2.0.0 taken");
        assert_eq!(send(&mut wire, "Subject: 2\r\n\r\n2"), "550 5.1.1 nobody");
        assert_eq!(wire.ask("RSET"), "250 2.0.0 ok");
        assert_eq!(send(&mut wire, "Subject: 3\r\n\r\n3"), "250 2.0.0 taken");
        assert_eq!(peer.mails_to("ana@customer.example").len(), 2);
        peer.fault(Step::Mail, 1, Fault::Reply("421 4.3.2 going down"));
        assert_eq!(wire.ask("MAIL FROM:<>"), "421 4.3.2 going down");
        assert_eq!(wire.rest(), b"");
    }

    #[test]
    fn without_the_login_no_mail_is_taken() {
        let peer = SmtpPeer::start(smtp_peer::Options {
            login: Some(("soporte", "secret")),
            ..smtp_peer::Options::default()
        });
        let mut wire = open(&peer);
        assert!(wire.ask("MAIL FROM:<>").starts_with("530"));
        assert!(wire.ask("AUTH PLAIN AHNvcG9ydGUAd3Jvbmc=").starts_with("535"));
        assert_eq!(wire.ask("AUTH PLAIN"), "334");
        assert!(wire.ask("AHNvcG9ydGUAc2VjcmV0").starts_with("235"));
        assert!(wire.ask("MAIL FROM:<>").starts_with("250"));
        assert!(peer.commands().iter().all(|line| !line.contains("AHNv")));
    }
}

mod proxy {
    use super::*;

    #[test]
    fn traffic_flows_stalls_drips_and_is_cut() {
        let peer = imap();
        peer.deliver("soporte", "INBOX", &[b'x'; 4000], noon());
        let proxy = Proxy::start(peer.address());
        let mut client = ImapClient::login(proxy.address(), "soporte", "secret");
        client.select("INBOX");
        assert_eq!(client.fetch(1).len(), 4000);

        proxy.set(Traffic::Dripping(500, Duration::from_millis(10)));
        let start = Instant::now();
        assert_eq!(client.fetch(1).len(), 4000);
        assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
        proxy.set(Traffic::Flowing);

        let mut wire = Wire::open(proxy.address());
        wire.line();
        proxy.set(Traffic::Stalled);
        wire.send("a NOOP\r\n");
        assert!(wire.silent_for(Duration::from_millis(100)));
        proxy.set(Traffic::Flowing);
        wire.0.get_mut().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(wire.line().starts_with("a OK"));

        proxy.cut_after(3);
        wire.send("b NOOP\r\n");
        assert_eq!(wire.rest(), b"b O");

        proxy.accept(false);
        assert_eq!(Wire::open(proxy.address()).rest(), b"");
        proxy.accept(true);
        let mut wire = Wire::open(proxy.address());
        assert!(wire.line().starts_with("* OK"));
        proxy.cut();
        assert_eq!(wire.rest(), b"");
        assert_eq!(proxy.connections(), 4);
    }
}

mod tls {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use support::tls::{Certificate, TlsFront};

    use super::*;

    /// What a client that trusts the front's own certificate reads first.
    fn greeting(front: &TlsFront) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(front.certificate()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut line = String::new();
        BufReader::new(StreamOwned::new(client, TcpStream::connect(front.address())?))
            .read_line(&mut line)?;
        Ok(line)
    }

    #[test]
    fn a_good_certificate_is_good_and_the_others_are_not() {
        let peer = imap();
        let front = TlsFront::start(peer.address(), Certificate::Good);
        assert!(greeting(&front).unwrap().starts_with("* OK"));
        for (bad, why) in [(Certificate::OtherName, "NotValidForName"), (Certificate::Expired, "Expired")] {
            let error = greeting(&TlsFront::start(peer.address(), bad)).unwrap_err();
            assert!(format!("{error:?}").contains(why), "{error:?}");
        }
        assert_eq!(peer.connections(), 1);
    }
}

mod real_dovecot {
    use super::*;

    #[test]
    fn takes_mail_and_keeps_it_over_restart_and_crash() {
        let mut server = Dovecot::start();
        let date = noon();
        let uid = server.client("ana").append("INBOX", MAIL, Some(date)).expect("UIDPLUS");
        server.deliver("ana", b"Subject: over LMTP\r\n\r\n.dot\r\n");
        dovecot::wait_for_mails(&server, "ana", "INBOX", 2);
        let mut client = server.client("ana");
        client.select("INBOX");
        assert_eq!(client.fetch(uid), MAIL);
        let dated = client.command(&format!("UID FETCH {uid} (INTERNALDATE)")).lines;
        assert!(dated[0].contains("16-Sep-2026"), "{dated:?}");
        assert!(client.fetch(uid + 1).ends_with(b"\r\n.dot\r\n"));
        client.flag(uid, "\\Seen");
        client.flag(uid, "$AcuseDone");
        let validity = client.uidvalidity("INBOX");

        server.restart();
        let mut client = server.client("ana");
        assert_eq!(client.list("INBOX")[0].flags, ["$AcuseDone", "\\Seen"]);
        server.kill9();
        assert!(TcpStream::connect(server.imap()).is_err(), "nobody is left");
        server.restart();
        let mut client = server.client("ana");
        assert_eq!((client.list("INBOX").len(), client.uidvalidity("INBOX")), (2, validity));
    }

    #[test]
    fn changes_uidvalidity_and_keeps_the_mail() {
        let server = Dovecot::start();
        server.client("ana").append("INBOX", MAIL, None);
        let before = server.client("ana").uidvalidity("INBOX");
        server.new_uidvalidity("ana", "INBOX");
        let mut client = server.client("ana");
        assert_ne!(client.uidvalidity("INBOX"), before);
        assert_eq!(client.list("INBOX").len(), 1);
    }

    #[test]
    fn breaks_and_freezes_connections_while_it_goes_on_serving() {
        let server = Dovecot::start();
        let login = || {
            let mut wire = Wire::open(server.imap());
            wire.line();
            assert!(wire.ask("a LOGIN ana kanarienvogel").contains("OK"));
            wire
        };
        let wire = login();
        server.drop_connections();
        assert_eq!(wire.rest(), b"");
        let mut wire = login();
        server.freeze();
        wire.send("b NOOP\r\n");
        assert!(wire.silent_for(Duration::from_millis(150)));
        server.thaw();
        wire.0.get_mut().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(wire.line().starts_with("b OK"));
    }

    #[test]
    fn speaks_the_inbox_namespace() {
        let server = Dovecot::start_with(&dovecot::Options { inbox_namespace: true, ..Default::default() });
        let mut client = server.client("ana");
        let refused = client.try_command("CREATE Acuse.Procesados").end;
        assert!(refused.contains("prefixed with: INBOX."), "{refused}");
        client.create("INBOX.Acuse.Procesados");
        assert_eq!(client.folders(), ["INBOX", "INBOX.Acuse", "INBOX.Acuse.Procesados"]);
    }

    #[test]
    fn hides_capabilities_and_shows_its_certificate() {
        let capabilities = Some("IMAP4rev1 SASL-IR LITERAL+ UIDPLUS");
        let server = Dovecot::start_with(&dovecot::Options { capabilities, ..Default::default() });
        let listed = server.client("ana").command("CAPABILITY").lines;
        assert_eq!(listed, ["* CAPABILITY IMAP4rev1 SASL-IR LITERAL+ UIDPLUS"]);
        let pem = std::fs::read_to_string(server.certificate()).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(TcpStream::connect(server.imaps()).is_ok());
    }

    #[test]
    fn starts_quickly_and_many_at_once() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(|| {
                    let start = Instant::now();
                    let server = Dovecot::start();
                    let time = start.elapsed();
                    server.client("ana").append("INBOX", MAIL, None);
                    time
                })
            })
            .collect();
        for thread in threads {
            let time = thread.join().unwrap();
            assert!(time < Duration::from_secs(5), "{time:?}"); // alone it takes a fifth of a second
        }
    }
}

mod site {
    use super::*;
    use support::acuse::Site;

    #[test]
    fn is_written_as_it_was_built() {
        let (imap, smtp) = ("127.0.0.1:10143".parse().unwrap(), "127.0.0.1:10025".parse().unwrap());
        let site = Site::builder(imap, smtp)
            .set("mailbox.0.after", "keep")
            .set("ack.max_age", "1h")
            .set("limits.per_hour", 7)
            .and_mailbox("ventas", "ventas")
            .write();
        let config: toml::Table = std::fs::read_to_string(site.config_file()).unwrap().parse().unwrap();
        assert_eq!(config["state_dir"].as_str().unwrap(), site.state_dir().to_str().unwrap());
        assert_eq!(config["ack"]["max_age"].as_str(), Some("1h"));
        assert_eq!(config["limits"]["per_hour"].as_integer(), Some(7));
        let mailboxes = config["mailbox"].as_array().unwrap();
        let words = |key: &str| mailboxes.iter().map(|m| m[key].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((words("user"), words("after")), (vec!["soporte", "ventas"], vec!["keep", "keep"]));
        let secret = site.directory().join(words("password_file")[0]);
        assert_eq!(std::fs::read_to_string(secret).unwrap(), support::acuse::PASSWORD);
    }
}

mod fixtures {
    use super::*;

    fn all() -> Vec<(String, Vec<u8>)> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mail");
        let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".eml"));
        names.map(|name| (name.clone(), support::fixture(&name))).collect()
    }

    #[test]
    fn are_mails_as_they_travel() {
        assert!(all().len() >= 12);
        for (name, raw) in all() {
            let lines: Vec<_> = raw.split_inclusive(|&byte| byte == b'\n').collect();
            assert!(lines.iter().all(|line| line.ends_with(b"\r\n")), "{name}: a line end that is not CRLF");
            assert!(lines.iter().all(|line| line.len() <= 1000), "{name}: a line over 998 characters");
            for field in ["From", "To", "Subject", "Date", "Message-ID", "Received"] {
                assert!(support::header(&raw, field).is_some(), "{name} has no {field}");
            }
        }
    }

    #[test]
    fn name_nobody_who_exists() {
        for (name, raw) in all() {
            let text = String::from_utf8_lossy(&raw).replace("=\r\n", ""); // quoted-printable's soft breaks
            for rest in text.split('@').skip(1) {
                let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c));
                let domain = words.next().unwrap_or_default().trim_end_matches('.');
                assert!(domain.ends_with(".example"), "{name}: @{domain} (RFC 2606 §2)");
            }
        }
    }

    #[test]
    fn the_wrong_charset_is_wrong() {
        assert!(String::from_utf8(support::fixture("wrong-charset-es.eml")).is_err());
    }
}
