//! Room on the disk: below a floor nothing is fetched, so that mail cannot fill what the database needs to go on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Shared, clock};
use crate::store::WriterGone;

/// The floor where `[limits] min_free_mib` is not set: so much,
const LEAST_FREE: u64 = 1 << 30;
/// or this part of the file system, whichever is more.
const LEAST_PART: u64 = 20;

/// There is too little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk of state_dir has {} MiB free, and {} must stay free", .free >> 20, .floor >> 20)]
pub struct DiskLow {
    /// Bytes that are free to us.
    pub free: u64,
    /// Bytes that must stay free.
    pub floor: u64,
}

/// Whether the file system of a directory has less free than `min_free` bytes; without them, than 1 GiB or a twentieth.
///
/// # Errors
/// The system cannot tell: the directory is not there, or may not be looked at.
pub fn look(directory: &Path, min_free: Option<u64>) -> std::io::Result<Option<DiskLow>> {
    let system = rustix::fs::statvfs(directory)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let size = system.f_blocks.saturating_mul(system.f_frsize);
    let floor = min_free.unwrap_or(LEAST_FREE.max(size / LEAST_PART));
    Ok((free < floor).then_some(DiskLow { free, floor }))
}

/// The disk of the state directory.
#[derive(Debug)]
pub(super) struct Disk {
    state_dir: PathBuf,
    min_free: Option<u64>,
    /// Somebody was told.
    told: AtomicBool,
}

impl Disk {
    pub(super) fn new(state_dir: PathBuf, min_free: Option<u64>) -> Self {
        Self { state_dir, min_free, told: AtomicBool::new(false) }
    }

    /// Too little room, if so. A disk that cannot be looked at is the database's trouble, which has words for it.
    pub(super) fn low(&self) -> Option<DiskLow> {
        look(&self.state_dir, self.min_free).ok().flatten()
    }

    /// What its alert is about.
    pub(super) fn subject(&self) -> String {
        self.state_dir.display().to_string()
    }
}

/// Whether mail may be fetched. Says so once when that changes.
pub(super) async fn has_room(shared: &Shared) -> bool {
    let low = shared.disk.low();
    let was_told = shared.disk.told.swap(low.is_some(), Ordering::Relaxed);
    match low {
        Some(low) if !was_told => {
            tracing::error!(%low, "nothing is fetched until there is room on the disk; acknowledgements go on");
        }
        None if was_told => tracing::info!("there is room on the disk again: fetching goes on"),
        None => return true,
        Some(_) => {}
    }
    let subject = shared.disk.subject();
    let noted = shared.writer.call(move |store| {
        store.transaction(|tx| match low {
            Some(low) => tx.alert(clock::now(), "disk_low", &subject, &low.to_string()),
            None => tx.alert_ends(clock::now(), "disk_low", &subject),
        })
    });
    match noted.await {
        Ok(Ok(())) | Err(WriterGone) => {} // without the writer the next commit says so
        Ok(Err(error)) => tracing::error!(%error, "an alert could not be noted"),
    }
    low.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_what_was_asked_for_or_a_part_of_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(look(directory.path(), Some(0)).unwrap(), None, "0 switches it off");
        let low = look(directory.path(), Some(u64::MAX)).unwrap().unwrap();
        assert!(low.free < low.floor && low.floor == u64::MAX);
        // a file system without any room at all
        assert_eq!(look(Path::new("/proc"), None).unwrap(), Some(DiskLow { free: 0, floor: LEAST_FREE }));
        assert!(look(&directory.path().join("missing"), None).is_err());
        let system = rustix::fs::statvfs(directory.path()).unwrap();
        let part = system.f_blocks * system.f_frsize / 20;
        if let Some(low) = look(directory.path(), None).unwrap() {
            assert_eq!(low.floor, part.max(1 << 30));
        }
    }

    #[test]
    fn it_says_what_is_missing() {
        let low = DiskLow { free: 700 << 20, floor: 1 << 30 };
        assert_eq!(low.to_string(), "the disk of state_dir has 700 MiB free, and 1024 must stay free");
    }
}
