//! OAuth 2.0 without the network: what is asked of a token endpoint, and what its answers mean.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub mod sasl;

/// The fields of a request, which are sent as a form. They hold secrets: not to be printed.
pub type Form = Vec<(&'static str, String)>;

/// Who we are to an authorization server, and what we ask of it.
#[derive(Debug, Clone)]
pub struct Client {
    /// The token endpoint (RFC 6749 §3.2).
    pub token_url: String,
    /// The device authorization endpoint (RFC 8628 §3.1), where there is one.
    pub device_url: Option<String>,
    /// `client_id`.
    pub id: String,
    /// `client_secret`; public clients have none.
    pub secret: Option<SecretString>,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// By what right.
    pub grant: Grant,
    /// A file of PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// By what right a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A person signed in once (RFC 6749 §6).
    RefreshToken,
    /// The client's own (RFC 6749 §4.4).
    ClientCredentials,
}

impl Client {
    /// RFC 6749 §6.
    pub fn refresh(&self, refresh_token: &SecretString) -> Form {
        let token = refresh_token.expose_secret().to_owned();
        self.form(&[("grant_type", "refresh_token"), ("refresh_token", &token)])
    }

    /// RFC 6749 §4.4.2.
    pub fn client_credentials(&self) -> Form {
        self.form(&[("grant_type", "client_credentials")])
    }

    /// RFC 8628 §3.1.
    pub fn device(&self) -> Form {
        self.form(&[])
    }

    /// RFC 8628 §3.4.
    pub fn device_token(&self, code: &DeviceCode) -> Form {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        self.form(&[("grant_type", grant), ("device_code", code.device_code.expose_secret())])
    }

    fn form(&self, fields: &[(&'static str, &str)]) -> Form {
        let mut form: Form = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        form.push(("client_id", self.id.clone()));
        form.extend(self.secret.iter().map(|secret| ("client_secret", secret.expose_secret().to_owned())));
        form.extend(self.scope.iter().map(|scope| ("scope", scope.clone())));
        form
    }
}

/// A token that was granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// What mail servers are shown.
    pub access: SecretString,
    /// How long it is good, where that was said.
    pub expires_in: Option<Duration>,
    /// A refresh token, which from now on stands for the one that was used.
    pub refresh: Option<SecretString>,
}

/// Why no token was granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The server says no: somebody has to do something (RFC 6749 §5.2).
    #[error("{error}{}{description}", if description.is_empty() { "" } else { ": " })]
    Refused {
        /// Its word for it, such as `invalid_grant`.
        error: String,
        /// Its own sentence, if any.
        description: String,
    },
    /// The server is in trouble, or something else answers in its place.
    #[error("{0}")]
    Unavailable(String),
}

/// What a person types elsewhere to sign us in (RFC 8628 §3.2).
#[derive(Debug, Clone)]
pub struct DeviceCode {
    device_code: SecretString,
    /// What is to be typed.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// How long to wait between two questions.
    pub interval: Duration,
    /// How long the code is good.
    pub expires_in: Duration,
}

/// What became of a sign-in so far.
#[derive(Debug, Clone)]
pub enum SignIn {
    /// Done.
    Granted(Granted),
    /// The person is not there yet.
    Pending,
    /// The same, and we ask too often (RFC 8628 §3.5: 5 s more from now on).
    SlowDown,
}

/// Reads the answer of a token endpoint (RFC 6749 §5).
///
/// # Errors
/// [`Denied`]: only a 400, 401 or 403 with an `error` in JSON is a refusal.
pub fn granted(status: u16, body: &[u8]) -> Result<Granted, Denied> {
    let document = read(status, body)?;
    let access = text(&document, "access_token");
    let access = access.ok_or_else(|| Denied::Unavailable("the answer holds no access_token".to_owned()))?;
    Ok(Granted {
        access: SecretString::from(access),
        expires_in: seconds(&document, "expires_in"),
        refresh: text(&document, "refresh_token").map(SecretString::from),
    })
}

/// Reads the answer of a device authorization endpoint (RFC 8628 §3.2).
///
/// # Errors
/// [`Denied`]
pub fn device_code(status: u16, body: &[u8]) -> Result<DeviceCode, Denied> {
    let document = read(status, body)?;
    let field = |name: &str| {
        text(&document, name).ok_or_else(|| Denied::Unavailable(format!("the answer holds no {name}")))
    };
    Ok(DeviceCode {
        device_code: SecretString::from(field("device_code")?),
        user_code: field("user_code")?,
        verification_uri: field("verification_uri").or_else(|_| field("verification_url"))?, // Google's name
        interval: seconds(&document, "interval")
            .unwrap_or(Duration::from_secs(5))
            .max(Duration::from_secs(1)),
        expires_in: seconds(&document, "expires_in").unwrap_or(Duration::from_secs(900)),
    })
}

/// Reads what a token endpoint says of a device code (RFC 8628 §3.5).
///
/// # Errors
/// [`Denied`]
pub fn signed_in(status: u16, body: &[u8]) -> Result<SignIn, Denied> {
    match read_any(body).as_ref().and_then(|document| text(document, "error")).as_deref() {
        Some("authorization_pending") => Ok(SignIn::Pending),
        Some("slow_down") => Ok(SignIn::SlowDown),
        _ => granted(status, body).map(SignIn::Granted),
    }
}

fn read(status: u16, body: &[u8]) -> Result<Value, Denied> {
    let document = read_any(body);
    let error = document.as_ref().and_then(|document| text(document, "error"));
    match (status, document, error) {
        (200..=299, Some(document), None) => Ok(document),
        (400 | 401 | 403, Some(document), Some(error)) if !may_pass(&error) => {
            let description = text(&document, "error_description").unwrap_or_default();
            Err(Denied::Refused { error, description })
        }
        (_, _, Some(error)) => Err(Denied::Unavailable(format!("HTTP {status}, {error}"))),
        (200..=299, ..) => Err(Denied::Unavailable("the answer is no JSON".to_owned())),
        _ => Err(Denied::Unavailable(format!("HTTP {status}"))),
    }
}

/// Errors that say nothing of our right (RFC 6749 §4.1.2.1, RFC 8628 §3.5).
fn may_pass(error: &str) -> bool {
    matches!(error, "temporarily_unavailable" | "server_error" | "slow_down")
}

fn read_any(body: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(body).ok().filter(Value::is_object)
}

fn text(document: &Value, name: &str) -> Option<String> {
    Some(document.get(name)?.as_str().filter(|text| !text.is_empty())?.to_owned())
}

/// Some servers write numbers as text.
fn seconds(document: &Value, name: &str) -> Option<Duration> {
    let value = document.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_oauth_names_is_a_refusal() {
        let refused = |status: u16, body: &str| match granted(status, body.as_bytes()) {
            Ok(_) => None,
            Err(Denied::Refused { error, .. }) => Some(error),
            Err(Denied::Unavailable(why)) => Some(format!("later: {why}")),
        };
        for (status, body, want) in [
            (200, r#"{"access_token":"a","expires_in":3600}"#, None),
            (200, r#"{"access_token":"a","expires_in":"3600","refresh_token":""}"#, None),
            (400, r#"{"error":"invalid_grant","error_description":"expired"}"#, Some("invalid_grant")),
            (401, r#"{"error":"invalid_client"}"#, Some("invalid_client")),
            (400, r#"{"error":"interaction_required"}"#, Some("interaction_required")),
            (400, r#"{"error":"temporarily_unavailable"}"#, Some("later: HTTP 400, temporarily_unavailable")),
            (503, r#"{"error":"invalid_grant"}"#, Some("later: HTTP 503, invalid_grant")),
            (429, "slowly", Some("later: HTTP 429")),
            (400, "<html>a proxy's page</html>", Some("later: HTTP 400")),
            (200, "<html>sign in to the Wi-Fi</html>", Some("later: the answer is no JSON")),
            (200, "[]", Some("later: the answer is no JSON")),
            (200, "{}", Some("later: the answer holds no access_token")),
            (302, "", Some("later: HTTP 302")),
        ] {
            assert_eq!(refused(status, body).as_deref(), want, "{status} {body}");
        }
        let granted =
            granted(200, br#"{"access_token":"a","expires_in":"3600","refresh_token":""}"#).unwrap();
        assert_eq!(granted.expires_in, Some(Duration::from_secs(3600)));
        assert!(granted.refresh.is_none(), "an empty token is none");
    }

    #[test]
    fn a_sign_in_waits_as_long_as_the_server_says() {
        let polled = |status, body: &str| signed_in(status, body.as_bytes());
        assert!(matches!(polled(400, r#"{"error":"authorization_pending"}"#), Ok(SignIn::Pending)));
        assert!(matches!(polled(428, r#"{"error":"authorization_pending"}"#), Ok(SignIn::Pending)));
        assert!(matches!(polled(400, r#"{"error":"slow_down"}"#), Ok(SignIn::SlowDown)));
        for error in ["expired_token", "access_denied"] {
            let answer = polled(400, &format!(r#"{{"error":"{error}"}}"#));
            assert!(matches!(answer, Err(Denied::Refused { error: said, .. }) if said == error));
        }
        assert!(matches!(polled(200, r#"{"access_token":"a"}"#), Ok(SignIn::Granted(_))));
        let code =
            r#"{"device_code":"d","user_code":"U","verification_url":"https://x.example","interval":0}"#;
        let code = device_code(200, code.as_bytes()).unwrap();
        assert_eq!((code.interval, code.expires_in), (Duration::from_secs(1), Duration::from_secs(900)));
        assert!(device_code(200, b"{}").is_err());
    }

    #[test]
    fn a_request_names_the_client_and_its_secret_only_where_it_has_one() {
        let mut client = Client {
            token_url: "https://login.example/token".to_owned(),
            device_url: None,
            id: "acuse".to_owned(),
            secret: None,
            scope: None,
            grant: Grant::RefreshToken,
            ca_file: None,
        };
        let refresh = client.refresh(&SecretString::from("r"));
        let want = [("grant_type", "refresh_token"), ("refresh_token", "r"), ("client_id", "acuse")];
        assert_eq!(refresh, want.map(|(name, value)| (name, value.to_owned())));
        client.secret = Some(SecretString::from("s"));
        client.scope = Some("mail".to_owned());
        let names: Vec<_> = client.client_credentials().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["grant_type", "client_id", "client_secret", "scope"]);
        assert!(!format!("{client:?}").contains("\"s\""), "I16");
    }
}
