//! One form posted to an endpoint, and its answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::TokenError;
use crate::oauth::Form;
use crate::roots;

/// An endpoint answers within this, connection and all.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer of an endpoint is longer.
const MOST_BYTES: u64 = 64 * 1024;

/// Posts a form and waits for the answer: its status and body. A redirection is an answer like any other: the secrets of
/// the form go nowhere else.
///
/// # Errors
/// [`TokenError::Unavailable`], [`TokenError::Roots`]
pub(super) fn post(url: &str, ca_file: Option<&Path>, form: &Form) -> Result<(u16, Vec<u8>), TokenError> {
    let certificates = if url.starts_with("https:") { roots::certificates(ca_file)? } else { Vec::new() };
    let trusted = certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent("acuse")
        .accept("application/json")
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let answer = || {
        let fields = form.iter().map(|(name, value)| (*name, value.as_str()));
        let mut answer = agent.post(url).send_form(fields)?;
        let body = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec()?;
        Ok::<_, ureq::Error>((answer.status().as_u16(), body))
    };
    answer().map_err(|error| TokenError::Unavailable { url: url.to_owned(), why: error.to_string() })
}
