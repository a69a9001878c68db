//! The refresh token in the state directory: found, and replaced without a moment at which there is none.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::TokenError;

/// The directory of refresh tokens in the state directory.
const TOKENS: &str = "tokens";

/// Where an account's refresh token is kept.
pub(super) struct Kept {
    state_dir: PathBuf,
    path: PathBuf,
}

/// The same, held against other processes: `login` and the daemon never write at once.
pub(super) struct Locked<'a> {
    kept: &'a Kept,
    _lock: File,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct KeptFile {
    refresh_token: String,
    /// SHA-256 of the operator's own token when this one was kept: another one there is newer than this.
    configured: Option<String>,
}

impl Kept {
    pub(super) fn new(state_dir: &Path, name: &str) -> Self {
        Self { state_dir: state_dir.to_owned(), path: state_dir.join(TOKENS).join(name) }
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Waits until no other process uses the account's refresh token.
    pub(super) fn lock(&self) -> Result<Locked<'_>, TokenError> {
        let lock = || {
            let directory = self.state_dir.join(TOKENS);
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => self.give(&directory)?,
            }
            let path = self.path.with_added_extension("lock");
            let lock = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            self.give(&path)?;
            lock.lock()?;
            Ok(lock)
        };
        let lock = lock().map_err(|source| self.error(source))?;
        Ok(Locked { kept: self, _lock: lock })
    }

    /// What root makes in the state directory belongs to the daemon's user.
    fn give(&self, path: &Path) -> io::Result<()> {
        let (owner, ours) = (fs::metadata(&self.state_dir)?, fs::metadata(path)?);
        if owner.uid() == ours.uid() { Ok(()) } else { chown(path, Some(owner.uid()), Some(owner.gid())) }
    }

    fn error(&self, source: io::Error) -> TokenError {
        TokenError::Kept { path: self.path.clone(), source }
    }
}

impl Locked<'_> {
    /// The refresh token to use: ours, unless the operator's own has changed since it was kept.
    pub(super) fn refresh_token(
        &self,
        configured: Option<SecretString>,
    ) -> Result<Option<SecretString>, TokenError> {
        let Some(KeptFile { refresh_token, configured: known }) = self.read()? else { return Ok(configured) };
        match configured {
            Some(configured) if known != Some(fingerprint(&configured)) => Ok(Some(configured)),
            _ => Ok(Some(SecretString::from(refresh_token))),
        }
    }

    fn read(&self) -> Result<Option<KeptFile>, TokenError> {
        match fs::read(&self.kept.path).map(Zeroizing::new) {
            // serde_json's error would quote the token
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(file) => Ok(Some(file)),
                Err(_) => Err(self
                    .kept
                    .error(io::Error::new(ErrorKind::InvalidData, "it is garbled: sign in anew"))),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.kept.error(error)),
        }
    }

    /// Puts a refresh token in the place of the last one: after a crash there is the one or the other, whole.
    pub(super) fn keep(
        &self,
        refresh_token: &SecretString,
        configured: Option<&SecretString>,
    ) -> Result<(), TokenError> {
        let kept = self.kept;
        let keep = || {
            let refresh_token = refresh_token.expose_secret().to_owned();
            let file = KeptFile { refresh_token, configured: configured.map(fingerprint) };
            let text = Zeroizing::new(serde_json::to_vec(&file)?);
            let fresh = kept.path.with_added_extension("new");
            let mut written =
                File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            written.write_all(&text)?;
            kept.give(&fresh)?;
            written.sync_all()?;
            fs::rename(&fresh, &kept.path)?;
            File::open(kept.state_dir.join(TOKENS))?.sync_all()
        };
        keep().map_err(|source| kept.error(source))
    }
}

/// The first line of the operator's own file.
pub(super) fn first_line(path: &Path) -> Result<SecretString, TokenError> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|source| TokenError::Kept { path: path.to_owned(), source })?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default()))
}

fn fingerprint(token: &SecretString) -> String {
    let digest = digest(&SHA256, token.expose_secret().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_newest_refresh_token_is_used_whoever_brought_it() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::new(directory.path(), "mailbox.soporte");
        let secret = |text: &str| SecretString::from(text);
        let locked = kept.lock().unwrap();
        let used = |configured: Option<&str>| {
            let token = locked.refresh_token(configured.map(secret)).unwrap();
            token.map(|token| token.expose_secret().to_owned())
        };
        assert_eq!(used(None), None);
        assert_eq!(used(Some("brought")).as_deref(), Some("brought"));
        locked.keep(&secret("rotated"), Some(&secret("brought"))).unwrap();
        assert_eq!(used(Some("brought")).as_deref(), Some("rotated"));
        assert_eq!(used(None).as_deref(), Some("rotated"), "the operator's file is gone");
        assert_eq!(used(Some("brought anew")).as_deref(), Some("brought anew"));
        locked.keep(&secret("signed in"), Some(&secret("brought anew"))).unwrap();
        assert_eq!(used(Some("brought anew")).as_deref(), Some("signed in"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&kept.path), 0o600);
        assert_eq!(mode(kept.path.parent().unwrap()), 0o700);
        let names = fs::read_dir(kept.path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 2, "the token and its lock");
    }

    #[test]
    fn a_garbled_file_is_no_missing_one_and_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::new(directory.path(), "smtp");
        let locked = kept.lock().unwrap();
        fs::write(&kept.path, "{\"refresh_token\": kanarienvogel").unwrap();
        let error = locked.refresh_token(None).unwrap_err();
        assert!(error.is_temporary() && error.to_string().ends_with("sign in anew"), "{error}");
        assert!(!format!("{error:?}").contains("kanarienvogel"));
    }
}
