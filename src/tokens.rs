//! Access tokens of one account: had from a token endpoint or a command, kept while they last, one request at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

mod command;
mod http;
mod kept;
mod sign_in;

use crate::oauth::{self, Client, Denied, Grant, Granted};
use crate::reply::header::HeaderText;
use crate::roots::RootsError;

use kept::Kept;

/// A token is renewed so long before its end, or at half of its time where that is less.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token is used whose end nobody told: a command's, for one.
const UNTOLD: Duration = Duration::from_secs(300);

/// Whose tokens they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// A `[[mailbox]]`, by its name.
    Mailbox(String),
    /// `[smtp]`.
    Relay,
}

impl Account {
    /// The command that signs it in.
    pub fn sign_in(&self) -> String {
        match self {
            Self::Mailbox(name) => format!("acuse mailbox login {name}"),
            Self::Relay => "acuse outbox login".to_owned(),
        }
    }

    /// A file name of its own: what is no letter, digit or hyphen is written as `%xx`.
    fn file_name(&self) -> String {
        let plain = |name: &str| -> String {
            let written = |byte: u8| match byte {
                b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                _ => format!("%{byte:02x}"),
            };
            name.bytes().map(written).collect()
        };
        match self {
            Self::Mailbox(name) => format!("mailbox.{}", plain(name)),
            Self::Relay => "smtp".to_owned(),
        }
    }
}

/// Where tokens come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An OAuth 2.0 token endpoint.
    Endpoint {
        /// Who asks there.
        client: Client,
        /// A refresh token that the operator brought, on its file's first line.
        refresh_token_file: Option<PathBuf>,
    },
    /// A program and its arguments; the first line that it prints is the token.
    Command(Vec<String>),
}

/// Why there is no token. No text carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token endpoint says no.
    #[error("{url} refuses: {denied}; {what_to_do}")]
    Refused {
        /// The endpoint.
        url: String,
        /// Its words.
        denied: String,
        /// For whoever reads this.
        what_to_do: String,
    },
    /// There is no refresh token.
    #[error("nobody has signed in yet: `{0}` does")]
    NotSignedIn(String),
    /// The endpoint cannot be used now.
    #[error("no token from {url}: {why}")]
    Unavailable {
        /// The endpoint.
        url: String,
        /// What is known of the reason.
        why: String,
    },
    /// The client has no way to be signed in from a terminal.
    #[error("{0}")]
    NoSignIn(&'static str),
    /// There is nobody to trust.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// A refresh token cannot be read or kept.
    #[error("{}: {source}", path.display())]
    Kept {
        /// Its file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The command gave none.
    #[error("token_command: {0}")]
    Command(String),
    /// The process is about to end.
    #[error("acuse is stopping")]
    Stopping,
}

impl TokenError {
    /// Tells whether trying again later may be enough; otherwise somebody has to do something.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NotSignedIn(_) | Self::NoSignIn(_) | Self::Roots(_) => false,
            Self::Unavailable { .. } | Self::Kept { .. } | Self::Command(_) | Self::Stopping => true,
        }
    }

    /// Tells whether the account's own right is missing, as with a wrong password.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NotSignedIn(_))
    }
}

/// The access tokens of an account. Everybody who logs in to it shares them.
pub struct Tokens {
    account: Account,
    source: Source,
    kept: Kept,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    access: Option<(SecretString, Instant)>,
    /// Granted, and not yet on disk: it is not used before.
    unkept: Option<(Granted, Instant)>,
}

impl Held {
    /// The token, if it still lasts and is none that a server refused.
    fn usable(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let (access, until) = self.access.as_ref()?;
        let is_refused = refused.is_some_and(|refused| refused.expose_secret() == access.expose_secret());
        (!is_refused && Instant::now() < *until).then(|| access.clone())
    }

    /// Keeps what was granted at `asked`.
    fn hold(&mut self, granted: &Granted, asked: Instant) -> SecretString {
        let lasts = granted.expires_in.unwrap_or(UNTOLD);
        self.access = Some((granted.access.clone(), asked + lasts.saturating_sub(MARGIN.min(lasts / 2))));
        granted.access.clone()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tokens").field(&self.account).finish()
    }
}

impl Tokens {
    /// The tokens of an account, whose refresh token is kept in `state_dir`.
    pub fn new(account: Account, source: Source, state_dir: &std::path::Path) -> Self {
        let kept = Kept::new(state_dir, &account.file_name());
        Self { account, source, kept, held: Mutex::default() }
    }

    /// An access token; not the one that a server `refused`. Whoever is dropped while waiting leaves the request to end by
    /// itself, so that a rotated token is kept all the same.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn access(
        self: &Arc<Self>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, TokenError> {
        if let Source::Command(command) = &self.source {
            let mut held = self.held.lock().await;
            if let Some(token) = held.usable(refused) {
                return Ok(token);
            }
            let (asked, access) = (Instant::now(), command::run(command).await?);
            return Ok(held.hold(&Granted { access, expires_in: None, refresh: None }, asked));
        }
        let (this, refused) = (Arc::clone(self), refused.cloned());
        let asked = tokio::task::spawn_blocking(move || this.ask(refused.as_ref()));
        asked.await.unwrap_or(Err(TokenError::Stopping))
    }

    /// The command that signs in, where that is needed and nobody has.
    pub fn lacks_sign_in(&self) -> Option<String> {
        match &self.source {
            Source::Endpoint {
                client: Client { grant: Grant::RefreshToken, .. },
                refresh_token_file: None,
            } if !self.kept.exists() => Some(self.account.sign_in()),
            _ => None,
        }
    }

    /// Asks the endpoint, unless somebody else just has.
    fn ask(&self, refused: Option<&SecretString>) -> Result<SecretString, TokenError> {
        let mut held = self.held.blocking_lock();
        if let Some(token) = held.usable(refused) {
            return Ok(token);
        }
        let Source::Endpoint { client, refresh_token_file } = &self.source else {
            return Err(TokenError::Stopping);
        };
        if client.grant == Grant::ClientCredentials {
            let asked = Instant::now();
            return Ok(held.hold(&self.grant(client, &client.client_credentials())?, asked));
        }
        let kept = self.kept.lock()?;
        if let Some((granted, asked)) = held.unkept.take() {
            return self.keep(&kept, &mut held, granted, asked);
        }
        let configured = refresh_token_file.as_deref().map(kept::first_line).transpose()?;
        let refresh = kept.refresh_token(configured)?;
        let refresh = refresh.ok_or_else(|| TokenError::NotSignedIn(self.account.sign_in()))?;
        let asked = Instant::now();
        let granted = self.grant(client, &client.refresh(&refresh))?;
        let is_same = |new: &SecretString| new.expose_secret() == refresh.expose_secret();
        if granted.refresh.as_ref().is_none_or(is_same) {
            return Ok(held.hold(&granted, asked));
        }
        self.keep(&kept, &mut held, granted, asked)
    }

    /// A rotated refresh token may be the last that is good: it is on disk before anything else happens.
    fn keep(
        &self,
        kept: &kept::Locked<'_>,
        held: &mut Held,
        granted: Granted,
        asked: Instant,
    ) -> Result<SecretString, TokenError> {
        let configured = self.configured()?;
        match granted.refresh.as_ref().map_or(Ok(()), |refresh| kept.keep(refresh, configured.as_ref())) {
            Ok(()) => Ok(held.hold(&granted, asked)),
            Err(error) => {
                held.unkept = Some((granted, asked));
                Err(error)
            }
        }
    }

    /// The refresh token that the operator brought.
    fn configured(&self) -> Result<Option<SecretString>, TokenError> {
        match &self.source {
            Source::Endpoint { refresh_token_file: Some(file), .. } => kept::first_line(file).map(Some),
            _ => Ok(None),
        }
    }

    fn grant(&self, client: &Client, form: &oauth::Form) -> Result<Granted, TokenError> {
        let (status, body) = http::post(&client.token_url, client.ca_file.as_deref(), form)?;
        oauth::granted(status, &body).map_err(|denied| self.denied(&client.token_url, denied, form))
    }

    /// A server may repeat what it was sent.
    fn denied(&self, url: &str, denied: Denied, form: &oauth::Form) -> TokenError {
        let secret = |name: &str| matches!(name, "refresh_token" | "client_secret" | "device_code" | "code");
        let secrets = form.iter().filter(|(name, value)| secret(name) && !value.is_empty());
        let words = secrets.fold(denied.to_string(), |words, (_, value)| words.replace(value, "[…]"));
        let (url, words) = (url.to_owned(), HeaderText::new(&words, 300).as_str().to_owned());
        match denied {
            Denied::Unavailable(_) => TokenError::Unavailable { url, why: words },
            Denied::Refused { error, .. } => {
                let ours =
                    matches!(error.as_str(), "invalid_client" | "unauthorized_client" | "invalid_scope");
                let signs_in = matches!(
                    &self.source,
                    Source::Endpoint { client, .. } if client.grant == Grant::RefreshToken
                );
                let what_to_do = if signs_in && !ours {
                    format!("sign in anew: `{}`", self.account.sign_in())
                } else {
                    "see to client_id, client_secret_file and scope (docs/oauth.md)".to_owned()
                };
                TokenError::Refused { url, denied: words, what_to_do }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_has_a_file_of_its_own() {
        let name = |mailbox: &str| Account::Mailbox(mailbox.to_owned()).file_name();
        assert_eq!(name("soporte"), "mailbox.soporte");
        assert_eq!(name("../año"), "mailbox.%2e%2e%2fa%c3%b1o");
        assert_eq!(Account::Relay.file_name(), "smtp");
    }

    #[test]
    fn a_token_is_renewed_a_minute_before_its_end() {
        let now = Instant::now();
        let lasts = |expires_in| {
            let mut held = Held::default();
            let access = SecretString::from("a");
            held.hold(&Granted { access, expires_in, refresh: None }, now);
            held.access.unwrap().1.duration_since(now).as_secs()
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!([seconds(3600), seconds(60), seconds(0), None].map(lasts), [3540, 30, 0, 240]);
    }

    #[test]
    fn a_token_that_a_server_refused_is_not_shown_again() {
        let mut held = Held::default();
        let (old, other) = (SecretString::from("a"), SecretString::from("b"));
        held.hold(&Granted { access: old.clone(), expires_in: None, refresh: None }, Instant::now());
        assert!(held.usable(None).is_some() && held.usable(Some(&other)).is_some());
        assert!(held.usable(Some(&old)).is_none());
    }
}
