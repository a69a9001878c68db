//! The login: with a password or an access token, and a refusal told from a server in trouble.

use async_imap::imap_proto::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::connect::{Capabilities, capabilities_in};
use super::wire::{Continued, Wire};
use super::{Code, ImapError, Violation, names, printable};
use crate::config::{Credential, Server};
use crate::oauth::sasl::{self, Mechanism};

const AUTHENTICATE: &str = "AUTHENTICATE";

/// Logs in; gives the capabilities that the server tells on that occasion.
pub(super) async fn authenticate(
    wire: &mut Wire,
    capabilities: &Capabilities,
    server: &Server,
    user: &str,
    credential: &Credential,
) -> Result<Option<Capabilities>, ImapError> {
    let mut told = None;
    let each = |response: &Response<'_>| told = capabilities_in(response).or(told.take());
    let initial = capabilities.contains("SASL-IR");
    match credential {
        Credential::Token(token) => {
            let is_offered = |name: &str| capabilities.contains(&format!("AUTH={name}"));
            let Some(mechanism) = Mechanism::best(is_offered) else {
                let violation = Violation::NoTokenLogin;
                return Err(ImapError::Protocol { command: AUTHENTICATE, violation });
            };
            let words = mechanism.initial(user, &server.host, server.port, token);
            authenticate_token(wire, initial, mechanism, &words).await.map_err(|(error, challenge)| {
                refusal(error, challenge, &[token.expose_secret(), words.as_str()])
            })?;
        }
        Credential::Password(password) => {
            let pair = Zeroizing::new(format!("\0{user}\0{}", password.expose_secret()));
            let pair = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            let quoted = Zeroizing::new(names::quote(password.expose_secret()));
            let done = if capabilities.contains("AUTH=PLAIN") {
                authenticate_plain(wire, initial, &pair, each).await
            } else if capabilities.contains("LOGINDISABLED") {
                let why = "the server takes no password on this connection";
                return Err(ImapError::AuthRefused(why.to_owned()));
            } else {
                log_in(wire, user, password, &quoted, each).await
            };
            let secrets = [password.expose_secret(), pair.as_str(), quoted.trim_matches('"')];
            done.map_err(|error| refusal(error, None, &secrets))?;
        }
    }
    Ok(told)
}

/// RFC 4616, with the initial response of RFC 4959 where the server takes it.
async fn authenticate_plain(
    wire: &mut Wire,
    initial: bool,
    secret: &str,
    each: impl FnMut(&Response<'_>),
) -> Result<(), ImapError> {
    if initial {
        let line = Zeroizing::new(format!("AUTHENTICATE PLAIN {secret}"));
        return wire.command(AUTHENTICATE, &line, each).await;
    }
    let mut sent = wire.send(AUTHENTICATE, "AUTHENTICATE PLAIN").await?;
    match wire.continued(&sent).await? {
        Continued::Yes(_) => wire.send_more(&mut sent, secret).await?,
        Continued::Done => return Ok(()),
    }
    wire.finish(sent, each).await
}

/// RFC 7628, or XOAUTH2, which goes the same way. A server that refuses says why in a challenge, which has to be answered
/// before it says NO.
async fn authenticate_token(
    wire: &mut Wire,
    initial: bool,
    mechanism: Mechanism,
    words: &str,
) -> Result<(), (ImapError, Option<String>)> {
    let plainly = |error| (error, None);
    let name = mechanism.name();
    let mut sent = if initial {
        let line = Zeroizing::new(format!("AUTHENTICATE {name} {words}"));
        wire.send(AUTHENTICATE, &line).await.map_err(plainly)?
    } else {
        let mut sent = wire.send(AUTHENTICATE, &format!("AUTHENTICATE {name}")).await.map_err(plainly)?;
        match wire.continued(&sent).await.map_err(plainly)? {
            Continued::Yes(_) => wire.send_more(&mut sent, words).await.map_err(plainly)?,
            Continued::Done => return Ok(()),
        }
        sent
    };
    let challenge = match wire.continued(&sent).await.map_err(plainly)? {
        Continued::Done => return Ok(()),
        Continued::Yes(challenge) => sasl::told(&challenge),
    };
    wire.send_more(&mut sent, mechanism.acknowledgement()).await.map_err(plainly)?;
    wire.finish(sent, |_| ()).await.map_err(|error| (error, challenge))
}

async fn log_in(
    wire: &mut Wire,
    user: &str,
    password: &SecretString,
    quoted: &str,
    each: impl FnMut(&Response<'_>),
) -> Result<(), ImapError> {
    // RFC 3501 §4.3: a quoted string is 7-bit text without line ends.
    if !user.chars().chain(password.expose_secret().chars()).all(|c| matches!(c, ' '..='~')) {
        let why =
            "user and password go through LOGIN as printable ASCII only, and the server offers no AUTH=PLAIN";
        return Err(ImapError::AuthRefused(why.to_owned()));
    }
    let line = Zeroizing::new(format!("LOGIN {} {quoted}", names::quote(user)));
    wire.command("LOGIN", &line, each).await
}

/// A NO or BAD to a login is a refusal, unless the server says that it is its own trouble. Some servers repeat
/// the command they refuse.
fn refusal(error: ImapError, challenge: Option<String>, secrets: &[&str]) -> ImapError {
    let without_secret = |text: String| {
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text, |text, secret| text.replace(secret, "[…]"))
    };
    match error {
        ImapError::No { command, code: Code::Unavailable, text } => {
            ImapError::No { command, code: Code::Unavailable, text: without_secret(text) }
        }
        ImapError::No { text, .. } | ImapError::Bad { text, .. } => {
            let challenge = challenge.map(|told| format!(" ({told})")).unwrap_or_default();
            ImapError::AuthRefused(printable(&without_secret(format!("{text}{challenge}"))))
        }
        ImapError::Bye(text) => ImapError::Bye(without_secret(text)),
        other => other,
    }
}
