//! How an access token is shown to a mail server: OAUTHBEARER (RFC 7628) and the older XOAUTH2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// A SASL mechanism that takes an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7628.
    OAuthBearer,
    /// Google's and Microsoft's own, of which there is no RFC.
    XOAuth2,
}

impl Mechanism {
    /// The best of those that a server offers.
    pub fn best(is_offered: impl Fn(&str) -> bool) -> Option<Self> {
        [Self::OAuthBearer, Self::XOAuth2].into_iter().find(|mechanism| is_offered(mechanism.name()))
    }

    /// Its name in SASL.
    pub fn name(self) -> &'static str {
        match self {
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
        }
    }

    /// The client's first words, in base64: for the initial response, or for the answer to an empty challenge.
    pub fn initial(self, user: &str, host: &str, port: u16, token: &SecretString) -> Zeroizing<String> {
        let token = token.expose_secret();
        let words = Zeroizing::new(match self {
            // RFC 7628 §3.1; RFC 5801 §4 for the user's name
            Self::OAuthBearer => {
                let user = user.replace('=', "=3D").replace(',', "=2C");
                format!("n,a={user},\u{1}host={host}\u{1}port={port}\u{1}auth=Bearer {token}\u{1}\u{1}")
            }
            Self::XOAuth2 => format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"),
        });
        Zeroizing::new(STANDARD.encode(words.as_bytes()))
    }

    /// What ends the exchange once the server has told its error in a challenge (RFC 7628 §3.2.3).
    pub fn acknowledgement(self) -> &'static str {
        match self {
            Self::OAuthBearer => "AQ==",
            Self::XOAuth2 => "",
        }
    }
}

/// What a challenge says of the error (RFC 7628 §3.2.2), such as `status 401, scope https://mail.google.com/`.
pub fn told(challenge: &str) -> Option<String> {
    let decoded = STANDARD.decode(challenge.trim()).ok()?;
    let document: Value = serde_json::from_slice(&decoded).ok()?;
    let field = |name: &str| Some(format!("{name} {}", document.get(name)?.as_str()?));
    let fields: Vec<String> = ["status", "scope"].iter().filter_map(|name| field(name)).collect();
    (!fields.is_empty()).then(|| fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_documents() {
        let decoded = |mechanism: Mechanism, user: &str, host: &str, port| {
            let words = mechanism.initial(
                user,
                host,
                port,
                &SecretString::from("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
            );
            String::from_utf8(STANDARD.decode(words.as_bytes()).unwrap()).unwrap()
        };
        // RFC 7628 §4.1
        assert_eq!(
            decoded(Mechanism::OAuthBearer, "user@example.com", "server.example.com", 143),
            "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer \
             vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}"
        );
        assert!(decoded(Mechanism::OAuthBearer, "a,b=c", "h", 1).starts_with("n,a=a=2Cb=3Dc,\u{1}"));
        assert_eq!(
            decoded(Mechanism::XOAuth2, "a,b", "h", 1),
            "user=a,b\u{1}auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}"
        );
    }

    #[test]
    fn the_standard_is_preferred() {
        assert_eq!(Mechanism::best(|_| true), Some(Mechanism::OAuthBearer));
        assert_eq!(Mechanism::best(|name| name == "XOAUTH2"), Some(Mechanism::XOAuth2));
        assert_eq!(Mechanism::best(|_| false), None);
    }

    #[test]
    fn a_challenge_tells_status_and_scope_and_nothing_else() {
        let challenge = STANDARD.encode(r#"{"status":"401","schemes":"bearer","scope":"mail","token":"t"}"#);
        assert_eq!(told(&challenge).as_deref(), Some("status 401, scope mail"));
        for nothing in ["", "no base64!", "e30="] {
            assert_eq!(told(nothing), None, "{nothing}");
        }
    }
}
