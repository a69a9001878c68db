//! One live daemon per state directory (I13), and the counter that tells a restored database (I18).

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
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

/// Why the counter could not be counted up.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// Its file cannot be read or written.
    #[error("the counter {path}: {why}")]
    Io {
        /// The file.
        path: String,
        /// The system's own words.
        why: std::io::Error,
    },
    /// Its file holds something else: whether the database was restored cannot be told.
    #[error("the counter {path} does not hold two numbers")]
    Garbled {
        /// The file.
        path: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the file holds: how often it was counted up, and the highest number that a ticket had by then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counter {
    count: i64,
    ticket: i64,
}

impl Counter {
    fn parse(text: &str) -> Option<Self> {
        let (count, ticket) = text.trim_end().split_once(' ')?;
        Some(Self { count: count.parse().ok()?, ticket: ticket.parse().ok()? })
    }

    /// What is there; nothing before the first start.
    fn read(path: &Path) -> Result<Self, CounterError> {
        let name = || path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(Self::parse)
                .ok_or_else(|| CounterError::Garbled { path: name() }),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(why) => Err(CounterError::Io { path: name(), why }),
        }
    }

    /// Puts it into the place of what was there, whole or not at all; it is on the disk then.
    fn write(self, path: &Path) -> std::io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        writeln!(file, "{} {}", self.count, self.ticket)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), super::sync_names)
    }
}

/// Counts one up, in the database and then in a file beside it; at every start, at every end, and every minute between,
/// so that a copy of the database falls behind the file soon. A database behind the file was restored: what arrived
/// until now may have been acknowledged before, so it never is again, and the numbers of the tickets that were lost are
/// not given to others. Says whether it was.
pub fn count_up(state_dir: &Path, store: &mut Store, now: Timestamp) -> Result<bool, CounterError> {
    let path = state_dir.join("epoch");
    let on_disk = Counter::read(&path)?;
    let (counter, was_restored) = store.transaction(|tx| {
        let in_database = tx.epoch()?;
        let was_restored = in_database < on_disk.count;
        if was_restored {
            tx.silence_the_past(on_disk.ticket, now)?;
        }
        let count = in_database.max(on_disk.count).saturating_add(1);
        tx.set_epoch(count)?;
        Ok((Counter { count, ticket: tx.highest_ticket()? }, was_restored))
    })?;
    counter.write(&path).map_err(|why| CounterError::Io { path: path.display().to_string(), why })?;
    Ok(was_restored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_two_numbers_or_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("epoch");
        assert_eq!(Counter::read(&path).unwrap(), Counter::default(), "before the first start");
        let counter = Counter { count: 12, ticket: 345 };
        counter.write(&path).unwrap();
        assert_eq!(Counter::read(&path).unwrap(), counter);
        for garbled in [&b""[..], b"12\n", b"12 x\n", b"\0\0\0\0\0\0\0", b"\xff 1\n"] {
            std::fs::write(&path, garbled).unwrap();
            assert!(matches!(Counter::read(&path), Err(CounterError::Garbled { .. })), "{garbled:?}");
        }
        assert!(matches!(Counter::read(&path.join("below")), Err(CounterError::Io { .. })));
    }
}
