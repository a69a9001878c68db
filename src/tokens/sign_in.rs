//! A person signs an account in, on a device of their own (RFC 8628).

use std::time::Duration;

use super::{Source, TokenError, Tokens, http};
use crate::oauth::{self, Denied, DeviceCode, Grant, SignIn};

/// RFC 8628 §3.5: so much more between two questions, for a server that is asked too often or does not answer.
const SLOWER: Duration = Duration::from_secs(5);

impl Tokens {
    /// Asks for a code, has it shown, waits until the person has typed it elsewhere, and keeps the refresh token.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn sign_in<E: From<TokenError>>(
        &self,
        show: impl FnOnce(&DeviceCode) -> Result<(), E>,
    ) -> Result<(), E> {
        let Source::Endpoint { client, .. } = &self.source else {
            return Err(TokenError::NoSignIn("its tokens come from token_command: nobody signs in").into());
        };
        if client.grant == Grant::ClientCredentials {
            return Err(TokenError::NoSignIn("with grant = \"client_credentials\" nobody signs in").into());
        }
        let Some(device_url) = &client.device_url else {
            let why = "there is no device_url: a refresh token has to be brought, in refresh_token_file (docs/oauth.md)";
            return Err(TokenError::NoSignIn(why).into());
        };
        let ca_file = client.ca_file.as_deref();
        let form = client.device();
        let (status, body) = http::post(device_url, ca_file, &form)?;
        let code =
            oauth::device_code(status, &body).map_err(|denied| self.denied(device_url, denied, &form))?;
        show(&code)?;
        let form = client.device_token(&code);
        let (mut interval, mut left) = (code.interval, code.expires_in);
        let granted = loop {
            let refused =
                |error: &str| Denied::Refused { error: error.to_owned(), description: String::new() };
            left = match left.checked_sub(interval) {
                Some(left) => left,
                None => return Err(self.denied(&client.token_url, refused("expired_token"), &form).into()),
            };
            std::thread::sleep(interval);
            let answer = match http::post(&client.token_url, ca_file, &form) {
                Ok((status, body)) => oauth::signed_in(status, &body),
                Err(TokenError::Unavailable { .. }) => Ok(SignIn::SlowDown),
                Err(error) => return Err(error.into()),
            };
            match answer {
                Ok(SignIn::Granted(granted)) => break granted,
                Ok(SignIn::Pending) => {}
                Ok(SignIn::SlowDown) | Err(Denied::Unavailable(_)) => interval += SLOWER,
                Err(denied) => return Err(self.denied(&client.token_url, denied, &form).into()),
            }
        };
        let Some(refresh) = granted.refresh else {
            let why = "no refresh token was granted: the scope wants offline access (docs/oauth.md)";
            return Err(TokenError::NoSignIn(why).into());
        };
        let configured = self.configured()?;
        Ok(self.kept.lock()?.keep(&refresh, configured.as_ref())?)
    }
}
