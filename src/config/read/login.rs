//! How a server is logged in to, as written → as used: a password, OAuth 2.0, or a command that prints tokens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::{Reader, is_loopback};
use crate::config::file::{OAuthFile, ServerFile, Written};
use crate::config::{Login, Proof, Secrets};
use crate::oauth::{Client, Grant};
use crate::tokens::{Account, Source, Tokens};

/// What a provider's documentation says of its endpoints; `docs/oauth.md` names the pages.
struct Preset {
    token_url: String,
    device_url: Option<String>,
    scope: &'static str,
}

impl Preset {
    fn google() -> Self {
        let token_url = "https://oauth2.googleapis.com/token".to_owned();
        Self { token_url, device_url: None, scope: "https://mail.google.com/" } // no device may ask for that scope
    }

    fn microsoft(tenant: &str, account: &Account, grant: Grant) -> Self {
        let endpoint = |name: &str| format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/{name}");
        let scope = match (grant, account) {
            (Grant::ClientCredentials, _) => "https://outlook.office365.com/.default",
            (_, Account::Mailbox(_)) => "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
            (_, Account::Relay) => "https://outlook.office.com/SMTP.Send offline_access",
        };
        Self { token_url: endpoint("token"), device_url: Some(endpoint("devicecode")), scope }
    }
}

impl Reader<'_> {
    /// `None`: it is wrong, and said so. `Some(None)`: nobody logs in.
    pub(super) fn login(&mut self, written: &ServerFile<'_>, account: Account) -> Option<Option<Login>> {
        let ServerFile { user, password_file, oauth, token_command, .. } = *written;
        let spans =
            [password_file.map(Written::span), oauth.map(Written::span), token_command.map(Written::span)];
        let mut spans = spans.into_iter().flatten();
        let (first, second) = (spans.next(), spans.next());
        if second.is_some() {
            let message = "more than one of password_file, oauth and token_command";
            self.problem(second, message, "an account has one way to log in: leave the others out");
            return None;
        }
        let user = match (user, first) {
            (Some(user), Some(_)) => user.clone(),
            (None, None) => return Some(None),
            (Some(user), None) => {
                let message = format!("there is no password_file for the user `{user}`");
                self.problem(None, &message, "name the file that holds it, or set oauth or token_command");
                return None;
            }
            (None, span) => {
                let what = if password_file.is_some() { "a password" } else { "a token" };
                self.problem(span, &format!("{what} without a user"), "user = \"…\" beside it");
                return None;
            }
        };
        let proof = match (password_file, oauth, token_command) {
            (Some(file), ..) => Proof::Password(self.secret(file, "the password")?),
            (_, Some(oauth), _) => {
                let source = self.endpoint(oauth.as_ref(), oauth.span(), &account)?;
                let tokens = Tokens::new(account, source, &self.state_dir);
                if let (Secrets::Read, Some(sign_in)) = (self.secrets, tokens.lacks_sign_in()) {
                    let message = format!("nobody has signed in for `{user}` yet");
                    self.warn(&message, &format!("`{sign_in}` does; docs/oauth.md says more"));
                }
                Proof::Token(Arc::new(tokens))
            }
            (.., Some(command)) => {
                if command.as_ref().is_empty() {
                    let hint = "such as token_command = [\"/usr/local/bin/token\", \"soporte\"]";
                    self.problem(Some(command.span()), "token_command names no program", hint);
                    return None;
                }
                let source = Source::Command(command.as_ref().clone());
                Proof::Token(Arc::new(Tokens::new(account, source, &self.state_dir)))
            }
            (None, None, None) => return Some(None),
        };
        Some(Some(Login { user, proof }))
    }

    fn endpoint(
        &mut self,
        file: &OAuthFile,
        span: std::ops::Range<usize>,
        account: &Account,
    ) -> Option<Source> {
        let grant = match file.grant.as_ref().as_str() {
            "refresh_token" => Grant::RefreshToken,
            "client_credentials" => Grant::ClientCredentials,
            other => {
                let message = format!("`{other}` is no grant that acuse knows");
                self.problem(Some(file.grant.span()), &message, "write refresh_token or client_credentials");
                return None;
            }
        };
        let tenant = file.tenant.as_ref();
        let preset = match file
            .provider
            .as_ref()
            .map(|provider| (provider.as_ref().as_str(), provider.span()))
        {
            None => None,
            Some(("google", _)) => Some(Preset::google()),
            Some(("microsoft", span)) => {
                let is_name = |name: &str| {
                    !name.is_empty()
                        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
                };
                let Some(tenant) = tenant.filter(|tenant| is_name(tenant.as_ref())) else {
                    let hint = "tenant = \"…\": the directory's id, or its domain";
                    self.problem(
                        Some(tenant.map_or(span, Written::span)),
                        "microsoft without a tenant",
                        hint,
                    );
                    return None;
                };
                Some(Preset::microsoft(tenant.as_ref(), account, grant))
            }
            Some((other, span)) => {
                let message = format!("`{other}` is no provider that acuse knows");
                self.problem(Some(span), &message, "write google or microsoft, or set token_url and scope");
                return None;
            }
        };
        let token_url = match &file.token_url {
            Some(url) => Some(self.endpoint_url(url)?),
            None => None,
        };
        let device_url = match &file.device_url {
            Some(url) => Some(self.endpoint_url(url)?),
            None => None,
        };
        let Some(token_url) = token_url.or(preset.as_ref().map(|preset| preset.token_url.clone())) else {
            self.problem(
                Some(span),
                "oauth without a token_url",
                "set it, or provider = \"google\" or \"microsoft\"",
            );
            return None;
        };
        let secret = match &file.client_secret_file {
            Some(file) => Some(self.secret(file, "the client's secret")?),
            None => None,
        };
        if grant == Grant::ClientCredentials && secret.is_none() {
            let message = "client_credentials without a client_secret_file";
            self.problem(Some(file.grant.span()), message, "name the file that holds the client's secret");
        }
        let refresh_token_file = match &file.refresh_token_file {
            Some(file) => {
                self.secret(file, "the refresh token")?;
                Some(self.secret_path(file.as_ref()))
            }
            None => None,
        };
        let client = Client {
            token_url,
            device_url: device_url.or(preset.as_ref().and_then(|preset| preset.device_url.clone())),
            id: file.client_id.clone(),
            secret,
            scope: file.scope.clone().or(preset.map(|preset| preset.scope.to_owned())),
            grant,
            ca_file: file.ca_file.as_ref().map(|file| self.ca_file(file)),
        };
        Some(Source::Endpoint { client, refresh_token_file })
    }

    /// Secrets go to it: TLS, unless it is this machine.
    fn endpoint_url(&mut self, url: &Written<String>) -> Option<String> {
        let text = url.as_ref();
        let host_of = |rest: &str| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, _)) => host,
                None => authority.split(':').next().unwrap_or_default(),
            };
            (!host.is_empty() && !authority.contains('@')).then(|| host.to_owned())
        };
        let is_good = match text.split_once("://") {
            Some(("https", rest)) => host_of(rest).is_some(),
            Some(("http", rest)) => host_of(rest).is_some_and(|host| is_loopback(&host)),
            _ => false,
        };
        if is_good && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(text.clone());
        }
        let hint = "https://HOST/PATH; http:// is for 127.0.0.1, ::1 and localhost only";
        self.problem(Some(url.span()), &format!("`{text}` is no endpoint to send secrets to"), hint);
        None
    }

    /// A secret is the first line of its file.
    fn secret(&mut self, file: &Written<PathBuf>, what: &str) -> Option<SecretString> {
        if self.secrets == Secrets::Skip {
            return Some(SecretString::from(""));
        }
        let found = self.secret_path(file.as_ref());
        match std::fs::read_to_string(&found) {
            Ok(text) => {
                let secret = text.lines().next().unwrap_or_default();
                if secret.is_empty() {
                    let message = format!("{} is empty", found.display());
                    self.problem(Some(file.span()), &message, &format!("its first line is {what}"));
                }
                Some(SecretString::from(secret))
            }
            Err(why) => {
                let message = format!("cannot read {}: {why}", found.display());
                self.problem(
                    Some(file.span()),
                    &message,
                    "create it, mode 0600, or give systemd a LoadCredential= of that name",
                );
                None
            }
        }
    }

    /// Files of secrets are looked up in `$CREDENTIALS_DIRECTORY` (systemd) and then beside the configuration.
    fn secret_path(&self, path: &Path) -> PathBuf {
        #[expect(clippy::disallowed_methods, reason = "this is the one reader of $CREDENTIALS_DIRECTORY")]
        let credential = std::env::var("CREDENTIALS_DIRECTORY").ok().map(|dir| Path::new(&dir).join(path));
        credential.filter(|path| path.exists()).unwrap_or_else(|| self.beside.join(path))
    }
}
