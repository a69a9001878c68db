//! Scripted servers that lie, stall, hang up and attack; what the session makes of each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::tls::{DialError, Trust};
use super::*;
use crate::config::{Login, Server, Tls};

mod failures;
mod folders;
mod mails;
mod opening;
mod tokens;
mod waiting;

const QUICK: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    response: Duration::from_millis(400),
    command: Duration::from_secs(2),
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
    let login = Login::with_password("soporte", "s3cret!");
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

/// What a server with these folders answers to the questions about its layout.
fn layout(separator: &str, folders: &[&str]) -> String {
    let listed =
        folders.iter().map(|name| format!("S * LIST () \"{separator}\" {name}\n")).collect::<String>();
    format!(
        "C LIST \"\" \"\"\nS * LIST (\\Noselect) \"{separator}\" \"\"\nS {{tag}} OK\nC LIST \"\" \"*\"\n{listed}S {{tag}} OK\n"
    )
}

fn violation(error: ImapError) -> Violation {
    match error {
        ImapError::Protocol { violation, .. } => violation,
        other => panic!("{other:?}"),
    }
}

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
