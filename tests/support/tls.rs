//! TLS in front of a plain server: what a peer of ours needs to be reached as a real one is, with a
//! certificate that is good or bad.

use std::fs;
use std::net::{self, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio_rustls::TlsAcceptor;

/// What is to be said of the server's certificate. Each signs itself: it is trusted where it is the `ca_file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and `127.0.0.1`.
    Good,
    /// For another host.
    OtherName,
    /// Of 2020.
    Expired,
}

/// TLS from the first byte on a loopback port, in front of a plain server; dropping it cuts everything.
pub struct TlsFront {
    address: SocketAddr,
    directory: TempDir,
    runtime: Option<Runtime>,
}

impl TlsFront {
    pub fn start(server: SocketAddr, certificate: Certificate) -> Self {
        let names = match certificate {
            Certificate::OtherName => vec!["elsewhere.example".to_owned()],
            Certificate::Good | Certificate::Expired => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("names");
        if certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 12, 31);
        }
        let key = KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("cert.pem"), made.pem()).expect("the certificate");

        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("a key that fits");
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("a listener for tokio");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a runtime with I/O");
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    client.set_nodelay(true)?;
                    let mut client = acceptor.accept(client).await?; // fails when the client does not trust us
                    let mut server = TcpStream::connect(server).await?;
                    server.set_nodelay(true)?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, directory, runtime: Some(runtime) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate as PEM: a `ca_file`.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        // Waiting for its end would panic inside an async test.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
