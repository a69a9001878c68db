//! Room on the disk: below a floor nothing is fetched, so that mail cannot fill what the database needs to go on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Shared;

/// The floor where `[limits] min_free_mib` is not set: so much,
const LEAST_FREE: u64 = 1 << 30;
/// or this part of the file system if that is more,
const LEAST_PART: u64 = 20;
/// but no more than this: the rest of a large disk is nobody's need.
const MOST_KEPT: u64 = 10 << 30;
/// Once there is too little, so much more than the floor must be free, as a part of it: else each mail that is fetched
/// and each page that is freed would end a session and begin one.
const MARGIN: u64 = 20;

/// There is too little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk of state_dir has {} MiB free, and {} must stay free", .free >> 20, .floor >> 20)]
pub struct DiskLow {
    /// Bytes that are free to us.
    pub free: u64,
    /// Bytes that must stay free.
    pub floor: u64,
}

/// Whether the file system of a directory has less free than `min_free` bytes; without them, than a twentieth, within 1
/// and 10 GiB. It must have a little more when it `was_low` before.
///
/// # Errors
/// The system cannot tell: the directory is not there, or may not be looked at.
pub fn look(directory: &Path, min_free: Option<u64>, was_low: bool) -> std::io::Result<Option<DiskLow>> {
    let system = rustix::fs::statvfs(directory)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let size = system.f_blocks.saturating_mul(system.f_frsize);
    Ok(judge(free, min_free.unwrap_or_else(|| floor(size)), was_low))
}

/// What must stay free of a file system of so many bytes, when nobody said.
fn floor(size: u64) -> u64 {
    (size / LEAST_PART).clamp(LEAST_FREE, MOST_KEPT)
}

/// Whether so much is too little.
fn judge(free: u64, floor: u64, was_low: bool) -> Option<DiskLow> {
    let floor = floor.saturating_add(if was_low { floor / MARGIN } else { 0 });
    (free < floor).then_some(DiskLow { free, floor })
}

/// The disk of the state directory.
#[derive(Debug)]
pub(super) struct Disk {
    state_dir: PathBuf,
    min_free: Option<u64>,
    /// There was too little at the last look.
    low: AtomicBool,
    /// Somebody was told.
    told: AtomicBool,
}

impl Disk {
    pub(super) fn new(state_dir: PathBuf, min_free: Option<u64>) -> Self {
        Self { state_dir, min_free, low: AtomicBool::new(false), told: AtomicBool::new(false) }
    }

    /// Too little room, if so. A disk that cannot be looked at is the database's trouble, which has words for it.
    pub(super) fn low(&self) -> Option<DiskLow> {
        let low = look(&self.state_dir, self.min_free, self.low.load(Ordering::Relaxed)).ok().flatten();
        self.low.store(low.is_some(), Ordering::Relaxed);
        low
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
    let alert = shared.note(move |tx, now| match low {
        Some(low) => tx.alert(now, "disk_low", &subject, &low.to_string()),
        None => tx.alert_ends(now, "disk_low", &subject),
    });
    alert.await;
    low.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_what_was_asked_for_or_a_part_of_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(look(directory.path(), Some(0), false).unwrap(), None, "0 switches it off");
        let low = look(directory.path(), Some(u64::MAX), true).unwrap().unwrap();
        assert!(low.free < low.floor && low.floor == u64::MAX);
        // a file system without any room at all
        let proc = look(Path::new("/proc"), None, false).unwrap();
        assert_eq!(proc, Some(DiskLow { free: 0, floor: LEAST_FREE }));
        assert!(look(&directory.path().join("missing"), None, false).is_err());
        for (disk, least) in [(8, 1), (20, 1), (100, 5), (4 << 10, 10)] {
            assert_eq!(floor(disk << 30), least << 30, "{disk} GiB");
        }
    }

    #[test]
    fn a_disk_that_was_low_needs_a_little_more() {
        const FLOOR: u64 = 1000;
        for (free, before, after) in
            [(999, true, true), (1000, false, true), (1049, false, true), (1050, false, false)]
        {
            let is_low = |was_low| judge(free, FLOOR, was_low).is_some();
            assert_eq!((is_low(false), is_low(true)), (before, after), "{free}");
        }
        assert_eq!(judge(0, 0, true), None, "0 switches it off");
    }

    #[test]
    fn it_says_what_is_missing() {
        let low = DiskLow { free: 700 << 20, floor: 1 << 30 };
        assert_eq!(low.to_string(), "the disk of state_dir has 700 MiB free, and 1024 must stay free");
    }
}
