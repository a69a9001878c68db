//! Opens a session: connection, TLS, greeting, login.

use std::collections::BTreeSet;

use async_imap::imap_proto::{Capability, Response, ResponseCode, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use tokio_util::either::Either;

use super::tls::{self, Trust};
use super::wire::{Continued, Wire};
use super::{Code, ImapError, Session, Timeouts, Violation, names, printable};
use crate::config::{Login, Server, Tls};

impl Session {
    /// Connects and logs in, with AUTHENTICATE PLAIN where it is offered, else with LOGIN.
    ///
    /// # Errors
    /// [`ImapError`]; [`ImapError::AuthRefused`] when the server does not take the login.
    pub async fn open(server: &Server, trust: &Trust, timeouts: Timeouts) -> Result<Self, ImapError> {
        let login = server.login.as_ref();
        let login = login.ok_or_else(|| ImapError::AuthRefused("no user is configured".to_owned()))?;
        let tcp = tls::dial(server, timeouts.connect).await?;
        let stream = match server.tls {
            Tls::Implicit => trust.secure(tcp, server, timeouts.connect).await?,
            Tls::StartTls | Tls::None => Either::Left(tcp),
        };
        let mut wire = Wire::new(stream, timeouts);
        let mut capabilities = greeting(&mut wire).await?;
        if server.tls == Tls::StartTls {
            wire = start_tls(wire, capabilities, server, trust).await?;
            capabilities = None; // RFC 3501 §6.2.1: what was said in the clear is void
        }
        let capabilities = match capabilities {
            Some(capabilities) => capabilities,
            None => ask(&mut wire).await?,
        };
        let capabilities = match authenticate(&mut wire, &capabilities, login).await? {
            Some(capabilities) => capabilities,
            None => ask(&mut wire).await?, // most servers offer more after the login
        };
        Ok(Self {
            wire,
            idle: capabilities.contains("IDLE"),
            capabilities,
            selected: None,
            namespace: None,
            folders: Default::default(),
        })
    }
}

type Capabilities = BTreeSet<String>;

async fn greeting(wire: &mut Wire) -> Result<Option<Capabilities>, ImapError> {
    let violation = |violation| Err(ImapError::Protocol { command: "greeting", violation });
    wire.greeting(|response| match response {
        Response::Data { status: Status::Ok, .. } => Ok(capabilities_in(response)),
        Response::Data { status: Status::PreAuth, .. } => violation(Violation::Preauth),
        _ => violation(Violation::NoGreeting),
    })
    .await?
}

async fn start_tls(
    mut wire: Wire,
    capabilities: Option<Capabilities>,
    server: &Server,
    trust: &Trust,
) -> Result<Wire, ImapError> {
    const COMMAND: &str = "STARTTLS";
    let capabilities = match capabilities {
        Some(capabilities) => capabilities,
        None => ask(&mut wire).await?,
    };
    if !capabilities.contains(COMMAND) {
        return Err(ImapError::Protocol { command: COMMAND, violation: Violation::NoStartTls });
    }
    wire.command(COMMAND, COMMAND, |_| ()).await?;
    let timeouts = wire.timeouts;
    match wire.into_stream(COMMAND)? {
        Either::Left(tcp) => Ok(Wire::new(trust.secure(tcp, server, timeouts.connect).await?, timeouts)),
        secured @ Either::Right(_) => Ok(Wire::new(secured, timeouts)),
    }
}

async fn ask(wire: &mut Wire) -> Result<Capabilities, ImapError> {
    let mut found = Capabilities::new();
    let each = |response: &Response<'_>| found.extend(capabilities_in(response).unwrap_or_default());
    wire.command("CAPABILITY", "CAPABILITY", each).await?;
    Ok(found)
}

fn capabilities_in(response: &Response<'_>) -> Option<Capabilities> {
    let listed = match response {
        Response::Capabilities(listed) => listed,
        Response::Data { outcome, .. } | Response::Done { outcome, .. } => match &outcome.code {
            Some(ResponseCode::Capabilities(listed)) => listed,
            _ => return None,
        },
        _ => return None,
    };
    let name = |capability: &Capability<'_>| match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_ascii_uppercase()),
        Capability::Atom(atom) => atom.to_ascii_uppercase(),
    };
    Some(listed.iter().map(name).collect())
}

/// Logs in; gives the capabilities that the server tells on that occasion.
async fn authenticate(
    wire: &mut Wire,
    capabilities: &Capabilities,
    login: &Login,
) -> Result<Option<Capabilities>, ImapError> {
    let mut told = None;
    let each = |response: &Response<'_>| told = capabilities_in(response).or(told.take());
    let done = if capabilities.contains("AUTH=PLAIN") {
        authenticate_plain(wire, capabilities.contains("SASL-IR"), login, each).await
    } else if capabilities.contains("LOGINDISABLED") {
        return Err(ImapError::AuthRefused("the server takes no password on this connection".to_owned()));
    } else {
        log_in(wire, login, each).await
    };
    match done {
        Ok(()) => Ok(told),
        Err(error) => Err(refusal(error, login)),
    }
}

/// RFC 4616, with the initial response of RFC 4959 where the server takes it.
async fn authenticate_plain(
    wire: &mut Wire,
    initial: bool,
    login: &Login,
    each: impl FnMut(&Response<'_>),
) -> Result<(), ImapError> {
    let secret = Zeroizing::new(format!("\0{}\0{}", login.user, login.password.expose_secret()));
    let secret = Zeroizing::new(STANDARD.encode(secret.as_bytes()));
    const COMMAND: &str = "AUTHENTICATE";
    if initial {
        let line = Zeroizing::new(format!("AUTHENTICATE PLAIN {}", *secret));
        return wire.command(COMMAND, &line, each).await;
    }
    let mut sent = wire.send(COMMAND, "AUTHENTICATE PLAIN").await?;
    match wire.continued(&sent).await? {
        Continued::Yes => wire.send_more(&mut sent, &secret).await?,
        Continued::Done => return Ok(()),
    }
    wire.finish(sent, each).await
}

async fn log_in(wire: &mut Wire, login: &Login, each: impl FnMut(&Response<'_>)) -> Result<(), ImapError> {
    let password = login.password.expose_secret();
    // RFC 3501 §4.3: a quoted string is 7-bit text without line ends.
    if !login.user.chars().chain(password.chars()).all(|c| matches!(c, ' '..='~')) {
        let why =
            "user and password go through LOGIN as printable ASCII only, and the server offers no AUTH=PLAIN";
        return Err(ImapError::AuthRefused(why.to_owned()));
    }
    let password = Zeroizing::new(names::quote(password));
    let line = Zeroizing::new(format!("LOGIN {} {}", names::quote(&login.user), *password));
    wire.command("LOGIN", &line, each).await
}

/// A NO or BAD to a login is a refusal, unless the server says that it is its own trouble. Some servers repeat
/// the command they refuse.
fn refusal(error: ImapError, login: &Login) -> ImapError {
    let without_secret = |text: String| {
        let password = login.password.expose_secret();
        let plain = Zeroizing::new(format!("\0{}\0{password}", login.user));
        let encoded = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        let quoted = Zeroizing::new(names::quote(password));
        [password, encoded.as_str(), quoted.trim_matches('"')]
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(text, |text, secret| text.replace(secret, "[…]"))
    };
    match error {
        ImapError::No { command, code: Code::Unavailable, text } => {
            ImapError::No { command, code: Code::Unavailable, text: without_secret(text) }
        }
        ImapError::No { text, .. } | ImapError::Bad { text, .. } => {
            ImapError::AuthRefused(printable(&without_secret(text)))
        }
        ImapError::Bye(text) => ImapError::Bye(without_secret(text)),
        other => other,
    }
}
