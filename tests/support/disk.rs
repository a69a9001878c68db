//! The disk and the clock under the program: what it does to its state directory is logged and may be refused, and the
//! time may jump. `disk.c`, loaded with LD_PRELOAD, does it; no hook in the program helps.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;

use tempfile::TempDir;

/// What refused operations say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// EIO.
    Fails = 1,
    /// ENOSPC.
    Full = 2,
    /// The first write is done by half, then ENOSPC.
    Half = 3,
}

/// Classes of operations, to be added.
pub const WRITE: u64 = 1;
pub const SYNC: u64 = 2;
/// Opening, removing and renaming.
pub const NAME: u64 = 4;

/// The other end of `disk.c` for one state directory.
pub struct Disk {
    directory: TempDir,
    state_dir: PathBuf,
    control: File,
}

/// Where `struct control` of `disk.c` has its fields, in bytes; 8 bytes each.
mod field {
    pub const FIRST: u64 = 0;
    pub const LAST: u64 = 8;
    pub const KIND: u64 = 16;
    pub const CLASSES: u64 = 24;
    pub const SHIFT: u64 = 32;
    pub const DONE: u64 = 40;
    pub const REFUSED: u64 = 48;
    pub const END: u64 = 56;
}

impl Disk {
    /// A disk that keeps everything, and a clock that is right.
    pub fn under(state_dir: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("acuse-disk-").tempdir().expect("a directory");
        let path = directory.path().join("control");
        let control =
            File::options().read(true).write(true).create_new(true).open(path).expect("a control file");
        control.set_len(field::END).expect("a control file");
        let disk = Self { directory, state_dir: state_dir.to_owned(), control };
        File::create(disk.log_path()).expect("a log");
        disk
    }

    /// What a program finds in its environment that runs on this disk. `logs`: what it does is written down.
    pub fn environment(&self, logs: bool) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("LD_PRELOAD", library().into()),
            ("DISK_DIR", self.state_dir.clone().into()),
            ("DISK_CONTROL", self.directory.path().join("control").into()),
        ];
        if logs {
            environment.push(("DISK_LOG", self.log_path().into()));
        }
        environment
    }

    /// From now on refuses the `first` operation (from 1, counted since [`Self::count_anew`]) and those up to `last`,
    /// as far as they are of these classes.
    pub fn refuse(&self, first: u64, last: u64, classes: u64, how: Refusal) {
        self.set(field::LAST, last);
        self.set(field::CLASSES, classes);
        self.set(field::KIND, how as u64);
        self.set(field::FIRST, first); // the last of them: from here on it holds
    }

    /// Every write is refused for want of room.
    pub fn fill(&self) {
        self.refuse(1, u64::MAX, WRITE, Refusal::Full);
    }

    /// Nothing is refused any more.
    pub fn heal(&self) {
        self.set(field::FIRST, 0);
    }

    /// Begins to count operations anew.
    pub fn count_anew(&self) {
        self.set(field::DONE, 0);
        self.set(field::REFUSED, 0);
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.number(field::DONE)
    }

    /// How many of them were refused, or done by half.
    pub fn refused(&self) -> u64 {
        self.number(field::REFUSED)
    }

    /// The program's clock is this many seconds ahead of ours.
    pub fn shift_clock(&self, seconds: i64) {
        self.set(field::SHIFT, u64::from_ne_bytes(seconds.to_ne_bytes()));
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn set(&self, field: u64, value: u64) {
        self.control.write_all_at(&value.to_ne_bytes(), field).expect("the control file");
    }

    fn number(&self, field: u64) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, field).expect("the control file");
        u64::from_ne_bytes(bytes)
    }
}

/// `disk.c`, compiled once per test program.
fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let compile = || {
        let target = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let (made, library) = (target.join(format!("disk-{}.so", process::id())), target.join("disk.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/disk.c");
        let output = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([made.as_os_str(), source.as_ref(), "-pthread".as_ref()])
            .output()
            .unwrap_or_else(|error| {
                panic!("no C compiler `cc` here ({error}): apt-get install -y gcc libc6-dev")
            });
        assert!(output.status.success(), "cc {source}: {}", String::from_utf8_lossy(&output.stderr));
        fs::rename(&made, &library).expect("a place for the library"); // whole or not at all: others may load it now
        library
    };
    LIBRARY.get_or_init(compile).clone()
}
