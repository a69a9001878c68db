//! Copies the database while it is in use: one snapshot, checked, and in its place whole or not at all.

use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::OFlags;

use super::open::{APPLICATION_ID, OpenError, beside, connect, header, open_file, verify_file};
use super::{Result as StoreResult, Store, StoreError, Tx};

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The file's size.
    pub bytes: u64,
    /// Mails that were stored.
    pub mails: u64,
    /// Tickets.
    pub tickets: u64,
    /// What does not add up in the database, and so in its copy, in sentences.
    pub problems: Vec<String>,
}

/// Why there is no copy. Nothing was left behind, and what was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is there, and nobody said that it may be replaced.
    #[error("there is a file {0} already; nothing was changed")]
    Exists(String),
    /// The copy would lie beside its original.
    #[error("{0} is in the state directory itself")]
    Beside(String),
    /// Another backup writes to the same place.
    #[error("another backup is writing {0}")]
    UnderWay(String),
    /// A database that somebody works on is to be replaced.
    #[error("{0} shows that the file is in use as a database")]
    InUse(String),
    /// What is there is no backup.
    #[error("{0} is no backup of acuse; it was left as it is")]
    Foreign(String),
    /// The file cannot be written.
    #[error("cannot write {path}: {why}")]
    Io {
        /// The file.
        path: String,
        /// The system's own words.
        why: Error,
    },
    /// The copy does not hold what the database holds.
    #[error("the copy is not sound: {0}")]
    Unsound(String),
    /// The copy cannot be opened.
    #[error("the copy cannot be used: {0}")]
    Copy(OpenError),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Copies the database in `state_dir` into `to`, mode 0600, by way of a `.new` beside it. A daemon may write meanwhile:
/// the copy is what was committed when it began. It is marked, so that whoever puts it in the place of a database is
/// told from one that went on (I18), and in rollback mode: one file, whole by itself.
pub fn backup(
    store: &Store,
    state_dir: &Path,
    to: &Path,
    replace: bool,
    now: Timestamp,
) -> Result<Copied, BackupError> {
    let io = |why| BackupError::Io { path: to.display().to_string(), why };
    let (Some(name), Some(parent)) = (to.file_name(), to.parent()) else {
        return Err(io(Error::from(ErrorKind::InvalidFilename)));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = parent.canonicalize().map_err(io)?;
    let to = parent.join(name);
    if state_dir.canonicalize().is_ok_and(|state_dir| state_dir == parent) {
        return Err(BackupError::Beside(to.display().to_string()));
    }
    let exists = || BackupError::Exists(to.display().to_string());
    match to.symlink_metadata() {
        Ok(there) if there.is_dir() => return Err(io(Error::from(ErrorKind::IsADirectory))),
        Ok(_) if !replace => return Err(exists()),
        _ => {}
    }
    // SQLite would roll what lies in them into the copy.
    if let Some(sidecar) = sidecars(&to).into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(BackupError::InUse(sidecar.display().to_string()));
    }
    if to.symlink_metadata().is_ok() && !is_ours(&to) {
        return Err(BackupError::Foreign(to.display().to_string()));
    }
    let fresh = Fresh::claim(&to)?;
    let copied = fresh.fill(store, now)?;
    if !replace && to.symlink_metadata().is_ok() {
        return Err(exists()); // it came meanwhile
    }
    fresh.put_into_place(&to, &parent)?;
    Ok(copied)
}

/// Whether a file may be replaced by a copy: it is one of our databases itself, or a link to one, or empty.
fn is_ours(path: &Path) -> bool {
    /// Where a database says whose it is (https://sqlite.org/fileformat.html §1.3.13).
    const APPLICATION: u64 = 68;
    let regular = |metadata: std::fs::Metadata| metadata.is_file().then_some(metadata.len());
    let Some(size) = path.metadata().ok().and_then(regular) else { return false };
    header(path, APPLICATION).is_ok_and(|id| size == 0 || i32::from_be_bytes(id) == APPLICATION_ID)
}

/// The copy until it is in its place. Dropping it removes it.
struct Fresh {
    path: PathBuf,
    file: File,
    in_place: bool,
}

impl Fresh {
    /// Makes the file, or takes over what a killed backup left; the lock on it says that somebody is at work.
    fn claim(to: &Path) -> Result<Self, BackupError> {
        let path = beside(to, ".new");
        let io = |why| BackupError::Io { path: path.display().to_string(), why };
        loop {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&path)
                .map_err(io)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(BackupError::UnderWay(path.display().to_string()));
                }
                Err(TryLockError::Error(why)) => return Err(io(why)),
            }
            // Between our look and our lock another backup may have put the same file into its place.
            let ours = file.metadata().map_err(io)?.ino();
            if path.symlink_metadata().is_ok_and(|there| there.ino() == ours) {
                let fresh = Self { path: path.clone(), file, in_place: false };
                fresh.remove_sidecars();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fresh.file.set_permissions(mode).and_then(|()| fresh.file.set_len(0)).map_err(io)?;
                return Ok(fresh);
            }
        }
    }

    fn fill(&self, store: &Store, now: Timestamp) -> Result<Copied, BackupError> {
        let io = |why| BackupError::Io { path: self.path.display().to_string(), why };
        let snapshot = store.connection.unchecked_transaction()?;
        let counted = Tx { connection: &snapshot }.counts()?; // the snapshot begins here, and the copy is of it
        let mut copy = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(BackupError::Copy)?;
        // alone with it, it needs no shared memory, which network file systems do not have
        copy.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        match Backup::new(&snapshot, &mut copy)?.step(-1)? {
            StepResult::Done => {}
            _ => return Err(BackupError::Unsound("it was not finished".to_owned())),
        }
        drop(snapshot);
        let mode: String = copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
        if mode != "delete" {
            return Err(BackupError::Unsound(format!("its journal mode stays `{mode}`")));
        }
        let mut copy = Store { connection: copy };
        copy.transaction(|tx| tx.mark_as_copy(now))?;
        copy.connection.close().map_err(|(_, error)| error)?;
        self.file.sync_all().map_err(io)?;

        verify_file(&self.path).map_err(BackupError::Copy)?;
        let copy = open_file(&self.path).map_err(BackupError::Copy)?;
        let (found, problems, is_copy) = copy.read(|tx| {
            let problems = [tx.account()?.problems, tx.unsound()?].concat();
            Ok((tx.counts()?, problems, tx.is_copy()?))
        })?;
        copy.connection.close().map_err(|(_, error)| error)?;
        if found != counted || !is_copy {
            return Err(BackupError::Unsound("it does not hold what the database holds".to_owned()));
        }
        let bytes = self.file.metadata().map_err(io)?.len();
        Ok(Copied { bytes, mails: found.mails, tickets: found.tickets, problems })
    }

    fn put_into_place(mut self, to: &Path, parent: &Path) -> Result<(), BackupError> {
        let io = |why| BackupError::Io { path: to.display().to_string(), why };
        std::fs::rename(&self.path, to).map_err(io)?;
        self.in_place = true;
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(io)
    }

    fn remove_sidecars(&self) {
        for path in sidecars(&self.path) {
            drop(std::fs::remove_file(path)); // mostly there is none
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.remove_sidecars();
        if !self.in_place {
            drop(std::fs::remove_file(&self.path)); // the error that brought us here is the one to tell
        }
    }
}

/// What SQLite keeps beside a database while it works on it.
fn sidecars(path: &Path) -> [PathBuf; 3] {
    ["-journal", "-wal", "-shm"].map(|suffix| beside(path, suffix))
}

/// How much there is of what a copy must not lose.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    arrivals: u64,
    mails: u64,
    tickets: u64,
    acknowledgements: u64,
    events: u64,
}

impl Tx<'_> {
    fn counts(&self) -> StoreResult<Counts> {
        let count = |sql: &str| {
            let rows: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
            Ok::<_, StoreError>(rows.unsigned_abs())
        };
        Ok(Counts {
            arrivals: count("SELECT count(*) FROM arrival")?,
            mails: count("SELECT count(*) FROM message")?,
            tickets: count("SELECT count(*) FROM ticket")?,
            acknowledgements: count("SELECT count(*) FROM outbox")?,
            events: count("SELECT count(*) FROM event")?,
        })
    }
}
