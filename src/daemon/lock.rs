//! One live daemon per state directory (I13), and the counter that tells a restored database (I18).

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use jiff::Timestamp;

use crate::store::{Store, StoreError};

/// Why the state directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon runs on it.
    #[error("another acuse runs on {dir} (pid {pid})")]
    Held {
        /// The state directory.
        dir: String,
        /// Its process.
        pid: String,
    },
    /// The lock file cannot be made or read.
    #[error("cannot lock {dir}: {why}")]
    Io {
        /// The state directory.
        dir: String,
        /// The system's own words.
        why: std::io::Error,
    },
}

/// Holds the state directory until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock, or says who holds it.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let dir = || state_dir.display().to_string();
        let io = |why| LockError::Io { dir: dir(), why };
        let path = state_dir.join("acuse.lock");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(why)) => return Err(io(why)),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(io)?;
                return Err(LockError::Held { dir: dir(), pid: pid.trim().to_owned() });
            }
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Counts one up, in the database and then in a file beside it; at every start, at every end, and every minute between,
/// so that a copy of the database falls behind the file soon. A database behind the file was restored: what arrived
/// until now may have been acknowledged before, so it never is again. Says whether it was.
pub fn count_up(state_dir: &Path, store: &mut Store, now: Timestamp) -> Result<bool, StoreError> {
    let path = state_dir.join("epoch");
    let on_disk: i64 = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().unwrap_or(0),
        Err(_) => 0,
    };
    let (count, was_restored) = store.transaction(|tx| {
        let in_database = tx.epoch()?;
        let was_restored = in_database < on_disk;
        if was_restored {
            tx.silence_the_past(now)?;
        }
        let count = in_database.max(on_disk) + 1;
        tx.set_epoch(count)?;
        Ok((count, was_restored))
    })?;
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, format!("{count}\n"))?;
    File::open(&fresh)?.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(was_restored)
}
