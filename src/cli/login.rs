//! `acuse mailbox login` and `acuse outbox login`: a person signs an account in.

use serde_json::json;

use super::context::{Context, shown};
use super::report::{Code, Done, Failure};
use crate::config::{Proof, Server};
use crate::tokens::TokenError;

/// Signs in to a server and keeps the refresh token in the state directory, where the daemon finds it at its next try.
pub fn sign_in(context: &Context, what: &str, server: &Server) -> Done {
    let Some(Proof::Token(tokens)) = server.login.as_ref().map(|login| &login.proof) else {
        return Err(Failure::new(Code::Config, format!("{what} does not log in by OAuth 2.0"))
            .hint("docs/oauth.md says how to set `oauth` in acuse.toml"));
    };
    tokens.sign_in(|code| {
        let (at, typed) = (shown(&code.verification_uri), shown(&code.user_code));
        let minutes = code.expires_in.as_secs() / 60;
        if context.json {
            return context
                .json(&json!({ "verification_uri": at, "user_code": typed, "expires_in_min": minutes }));
        }
        context.line(format!("Open {at} on any device and type {typed} within {minutes} minutes. Waiting …"))
    })?;
    if context.json {
        return context.json(&json!({ "signed_in": true }));
    }
    context.line(format!("{what} is signed in; a running daemon uses it at its next try, within 5 minutes"))
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let code = match &error {
            TokenError::Refused { .. } | TokenError::NoSignIn(_) | TokenError::Roots(_) => Code::Config,
            TokenError::Kept { .. } => Code::Io,
            _ => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
