//! Opens a session: connection, TLS, greeting, login.

use std::collections::BTreeSet;

use async_imap::imap_proto::{Capability, Response, ResponseCode, Status};
use tokio_util::either::Either;

use super::login::authenticate;
use super::tls::{self, Trust};
use super::wire::Wire;
use super::{ImapError, Session, Timeouts, Violation};
use crate::config::{Credential, Server, Tls};
use crate::tokens::TokenError;

impl Session {
    /// Connects and logs in: with a password by AUTHENTICATE PLAIN where it is offered, else by LOGIN; with a token by
    /// OAUTHBEARER where it is offered, else by XOAUTH2. When the server refuses a token, another one is tried, once.
    ///
    /// # Errors
    /// [`ImapError`]; [`ImapError::AuthRefused`] when the server does not take the login.
    pub async fn open(server: &Server, trust: &Trust, timeouts: Timeouts) -> Result<Self, ImapError> {
        let login = server.login.as_ref();
        let login = login.ok_or_else(|| ImapError::AuthRefused("no user is configured".to_owned()))?;
        let first = login.credential().await.map_err(without_token)?;
        match Self::open_with(server, &login.user, &first, trust, timeouts).await {
            Err(ImapError::AuthRefused(why)) => match login.another(&first).await.map_err(without_token)? {
                Some(second) => Self::open_with(server, &login.user, &second, trust, timeouts).await,
                None => Err(ImapError::AuthRefused(why)),
            },
            done => done,
        }
    }

    async fn open_with(
        server: &Server,
        user: &str,
        credential: &Credential,
        trust: &Trust,
        timeouts: Timeouts,
    ) -> Result<Self, ImapError> {
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
        let capabilities = match authenticate(&mut wire, &capabilities, server, user, credential).await? {
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

/// A refusal of the token endpoint is a refused login.
fn without_token(error: TokenError) -> ImapError {
    if error.is_refusal() { ImapError::AuthRefused(error.to_string()) } else { error.into() }
}

pub(super) type Capabilities = BTreeSet<String>;

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

pub(super) fn capabilities_in(response: &Response<'_>) -> Option<Capabilities> {
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
