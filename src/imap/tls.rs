//! One TCP connection to a server, under TLS as its configuration says; `imap` and `smtp` share it.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::config::{Server, Tls};
use crate::roots::{self, RootsError};

/// A connection: plain (to loopback only), or under TLS.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of the host took the connection.
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect {
        /// The host's name.
        host: String,
        /// The TCP port.
        port: u16,
        /// What the last address tried said.
        source: io::Error,
    },
    /// A plain connection to another machine would show the password to everyone in between.
    #[error("{host} is not a loopback address: a connection without TLS goes nowhere else")]
    NotLoopback {
        /// The host's name.
        host: String,
    },
    /// There is nobody to trust.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The host is neither a DNS name nor an address, so no certificate can show it.
    #[error("{host} is not a name that a certificate can show")]
    Name {
        /// The host's name.
        host: String,
    },
    /// The certificate does not stand for this host.
    #[error("the certificate of {host} is refused: {reason}")]
    Certificate {
        /// The host's name.
        host: String,
        /// What rustls says of it.
        reason: rustls::CertificateError,
    },
    /// The TLS handshake failed.
    #[error("TLS with {host} failed: {source}")]
    Handshake {
        /// The host's name.
        host: String,
        /// What failed.
        source: io::Error,
    },
}

impl DialError {
    /// Tells whether waiting may be enough; otherwise somebody has to change something.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Resolve { .. } | Self::Connect { .. } | Self::Handshake { .. })
    }
}

/// Whose certificates count. Make a new one at a reload: the system's roots are read once, at first use.
#[derive(Debug, Default)]
pub struct Trust {
    system: OnceLock<Arc<ClientConfig>>,
}

impl Trust {
    /// The system's roots, or those of `ca_file` instead.
    fn config(&self, ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, DialError> {
        if let Some(path) = ca_file {
            let mut trusted = RootCertStore::empty();
            for certificate in roots::certificates(ca_file)? {
                let refuse = |error: rustls::Error| RootsError::File {
                    path: path.to_owned(),
                    reason: error.to_string(),
                };
                trusted.add(certificate).map_err(refuse)?;
            }
            return Ok(Arc::new(client_config(trusted)));
        }
        if let Some(config) = self.system.get() {
            return Ok(Arc::clone(config));
        }
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(roots::certificates(None)?);
        if trusted.is_empty() {
            return Err(RootsError::Missing.into());
        }
        Ok(Arc::clone(self.system.get_or_init(|| Arc::new(client_config(trusted)))))
    }

    /// Shakes hands over `tcp`; the certificate must stand for the server's `host`.
    ///
    /// # Errors
    /// [`DialError`], a time-out being a failed handshake.
    pub async fn secure(
        &self,
        tcp: TcpStream,
        server: &Server,
        limit: Duration,
    ) -> Result<Stream, DialError> {
        let host = || server.host.clone();
        let config = self.config(server.ca_file.as_deref())?;
        let name = ServerName::try_from(host()).map_err(|_| DialError::Name { host: host() })?;
        let shaken = timeout(limit, TlsConnector::from(config).connect(name, tcp)).await;
        match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => Ok(Either::Right(Box::new(stream))),
            Err(source) => match source.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(reason)) => {
                    Err(DialError::Certificate { host: host(), reason: reason.clone() })
                }
                _ => Err(DialError::Handshake { host: host(), source }),
            },
        }
    }
}

/// The provider is named, never the process default: with two of them compiled in, the default panics.
fn client_config(roots: RootCertStore) -> ClientConfig {
    #[expect(clippy::expect_used, reason = "ring supports the versions that rustls calls safe")]
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects to the first address of the host that answers within `limit`, without Nagle's delay.
///
/// # Errors
/// [`DialError`]; with [`Tls::None`], addresses that are not loopback are not even tried.
pub async fn dial(server: &Server, limit: Duration) -> Result<TcpStream, DialError> {
    let host = || server.host.clone();
    let resolved = timeout(limit, lookup_host((server.host.as_str(), server.port))).await;
    let mut addresses = resolved
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| DialError::Resolve { host: host(), source })?
        .collect::<Vec<_>>();
    if server.tls == Tls::None {
        addresses.retain(|address| address.ip().to_canonical().is_loopback());
        if addresses.is_empty() {
            return Err(DialError::NotLoopback { host: host() });
        }
    }
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let connected = timeout(limit, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            // Commands are small and each waits for its answer: Nagle's algorithm would hold them back 40 ms.
            Ok(tcp) => match tcp.set_nodelay(true) {
                Ok(()) => return Ok(tcp),
                Err(source) => last = source,
            },
            Err(source) => last = source,
        }
    }
    Err(DialError::Connect { host: host(), port: server.port, source: last })
}
