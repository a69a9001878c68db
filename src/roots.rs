//! Whose certificates count: the system's, or those of a file.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// `ca_file` cannot be used.
    #[error("no certificates from {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's certificate store is empty.
    #[error("the system has no root certificates (the package ca-certificates), and no ca_file is set")]
    Missing,
}

/// The system's root certificates, or those of `ca_file` instead.
///
/// # Errors
/// [`RootsError`]; never an empty list.
pub fn certificates(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let Some(path) = ca_file else {
        let certificates = rustls_native_certs::load_native_certs().certs;
        return if certificates.is_empty() { Err(RootsError::Missing) } else { Ok(certificates) };
    };
    let refuse = |reason: String| RootsError::File { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(error.to_string()))?;
    if certificates.is_empty() { Err(refuse("it holds none".to_owned())) } else { Ok(certificates) }
}
