//! One live daemon per state directory (I13), the counter that tells a restored database (I18), and the newest time known.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Mailbox;
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

/// The lock's file in the state directory.
const LOCK: &str = "acuse.lock";
/// Who looks whether somebody holds it has it no longer than this.
const LOOK: Duration = Duration::from_millis(50);

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
        let path = state_dir.join(LOCK);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock().or_else(|_| {
            std::thread::sleep(LOOK); // a command may only have looked whether somebody holds it
            file.try_lock()
        }) {
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

/// Whether a daemon runs on a state directory.
pub fn is_held(state_dir: &Path) -> Result<bool, LockError> {
    let looked = match File::open(state_dir.join(LOCK)) {
        Ok(file) => file.try_lock_shared(), // and lets go of it
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(false),
        Err(why) => Err(TryLockError::Error(why)),
    };
    match looked {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(why)) => Err(LockError::Io { dir: state_dir.display().to_string(), why }),
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

/// What the file holds: how often it was counted up, and the highest number that a ticket may have until the next time.
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
    fn read(path: &Path) -> Result<Option<Self>, CounterError> {
        let name = || path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(Self::parse)
                .map(Some)
                .ok_or_else(|| CounterError::Garbled { path: name() }),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(CounterError::Io { path: name(), why }),
        }
    }

    /// Puts it into the place of what was there, whole or not at all; it is on the disk then.
    fn write(self, path: &Path) -> std::io::Result<()> {
        super::replace_file(path, &format!("{} {}\n", self.count, self.ticket), 0o600)
    }
}

/// The counter's file in the state directory.
const COUNTER: &str = "epoch";
/// A clock may show so much less than the newest time known before anybody is told: NTP sets it by less.
const CLOCK_BEHIND: SignedDuration = SignedDuration::from_mins(5);
/// After a restore, mail is listed again from so long before the last pass on: somebody may have laid in older mail.
pub const RESCAN_MARGIN: SignedDuration = SignedDuration::from_hours(72);

/// What counting up showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The database is behind its counter, or a copy: it was restored.
    pub was_restored: bool,
    /// The newest time the database knows, when the clock is behind it.
    pub clock_behind: Option<Timestamp>,
}

/// Since when a mailbox must be listed again: `RESCAN_MARGIN` back, or as far as its first pass went.
pub fn rescan_since(
    tx: &crate::store::Tx<'_>,
    mailbox: &Mailbox,
    now: Timestamp,
) -> crate::store::Result<Timestamp> {
    tx.rescan_since(&mailbox.name, &mailbox.folders, RESCAN_MARGIN.max(mailbox.backlog), now)
}

/// Whether a database was restored and no daemon has seen to it yet. The counter is read first: that of a database in
/// use is never behind it.
pub fn is_restored(state_dir: &Path, store: &Store) -> Result<bool, CounterError> {
    let on_disk = Counter::read(&state_dir.join(COUNTER))?.unwrap_or_default();
    Ok(store.read(|tx| Ok(tx.epoch()? < on_disk.count || tx.is_copy()?))?)
}

/// Counts one up, in the database and then in a file beside it; at every start, at every end, and every minute between,
/// so that a copy of the database falls behind the file soon. Nobody but the one daemon does so: two writers could leave
/// the file at a number that a copy has already. A copy that `acuse db backup` made says by itself that it is one.
///
/// A database behind the file was restored: what arrived until now may have been acknowledged before, so it never is
/// again; the numbers of the tickets that were lost are not given to others; and what was moved since is listed again.
/// `reserve`: so many tickets may be opened before the next time.
pub fn count_up(
    state_dir: &Path,
    store: &mut Store,
    mailboxes: &[Mailbox],
    reserve: i64,
    now: Timestamp,
) -> Result<Counted, CounterError> {
    let path = state_dir.join(COUNTER);
    let on_disk = Counter::read(&path)?;
    let last = on_disk.unwrap_or_default();
    let (counter, counted) = store.transaction(|tx| {
        let in_database = tx.epoch()?;
        let newest = tx.newest_time()?;
        let was_restored = in_database < last.count || tx.is_copy()?;
        if was_restored {
            for mailbox in mailboxes {
                tx.ask_rescan(&mailbox.name, rescan_since(tx, mailbox, now)?)?;
            }
            tx.silence_the_past(on_disk.map(|counter| counter.ticket), now)?;
        }
        let count = in_database.max(last.count).saturating_add(1);
        tx.set_epoch(count)?;
        tx.note_time(now)?;
        let clock_behind = (newest.duration_since(now) > CLOCK_BEHIND).then_some(newest);
        match clock_behind {
            Some(newest) => {
                let words = format!("the clock shows {now}, and the database knows of {newest}");
                tx.alert(now, "clock_behind", "clock", &words)?;
            }
            None => tx.alert_ends(now, "clock_behind", "clock")?,
        }
        let ticket = tx.highest_ticket()?.saturating_add(reserve);
        Ok((Counter { count, ticket }, Counted { was_restored, clock_behind }))
    })?;
    counter.write(&path).map_err(|why| CounterError::Io { path: path.display().to_string(), why })?;
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_two_numbers_or_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("epoch");
        assert_eq!(Counter::read(&path).unwrap(), None, "before the first start");
        let counter = Counter { count: 12, ticket: 345 };
        counter.write(&path).unwrap();
        assert_eq!(Counter::read(&path).unwrap(), Some(counter));
        for garbled in [&b""[..], b"12\n", b"12 x\n", b"\0\0\0\0\0\0\0", b"\xff 1\n"] {
            std::fs::write(&path, garbled).unwrap();
            assert!(matches!(Counter::read(&path), Err(CounterError::Garbled { .. })), "{garbled:?}");
        }
        assert!(matches!(Counter::read(&path.join("below")), Err(CounterError::Io { .. })));
    }
}
