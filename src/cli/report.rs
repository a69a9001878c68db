//! Any error → `error: …`, `hint: …` and an exit code (sysexits).

use std::fmt;

use crate::config::ConfigError;
use crate::daemon::clock::ClockUnset;
use crate::daemon::disk::DiskLow;
use crate::daemon::{CounterError, DaemonError, LockError};
use crate::store::{BackupError, OpenError, StoreError};

/// What the process says at its end, by `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Findings: a rule test failed, a check found something.
    Findings = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The database cannot be used.
    Database = 65,
    /// A service does not answer.
    Unavailable = 69,
    /// An error in acuse itself.
    Software = 70,
    /// Reading or writing failed.
    Io = 74,
    /// Not now: try again.
    TryAgain = 75,
    /// The configuration is wrong.
    Config = 78,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub code: Code,
    /// What is wrong, and where. Rendered problems stand as they are.
    message: String,
    /// What to do.
    hint: Option<String>,
    /// The message is a rendered report already.
    rendered: bool,
}

/// A result of a command.
pub type Done = Result<(), Failure>;

impl Failure {
    /// A failure with a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, rendered: false }
    }

    /// With what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A failure whose findings are printed already.
    pub fn findings() -> Self {
        Self { code: Code::Findings, message: String::new(), hint: None, rendered: true }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rendered {
            return f.write_str(self.message.trim_end());
        }
        write!(f, "error: {}", self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match &error {
            ConfigError::Wrong(_) => {
                Self { code: Code::Config, message: error.report(), hint: None, rendered: true }
            }
            ConfigError::Unreadable { .. } => Self::new(Code::Config, error.to_string())
                .hint("name the configuration with --config FILE; README.md shows an example"),
            ConfigError::UnreadablePolicy { .. } => Self::new(Code::Config, error.to_string()).hint(
                "a directory of the policy must be there, and its *.toml and reply texts be regular files of UTF-8 \
                 text that this user may read; move what is none of them elsewhere",
            ),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = if error.is_temporary() { Code::TryAgain } else { Code::Database };
        Self::new(code, error.to_string()).hint(error.hint())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = if error.is_temporary() { Code::TryAgain } else { Code::Database };
        Self::new(code, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Code::Io, error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Code::Io, format!("cannot write JSON: {error}"))
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Open(error) => error.into(),
            DaemonError::Store(error) => error.into(),
            DaemonError::Clock(error) => error.into(),
            DaemonError::Counter(error) => error.into(),
            DaemonError::Lock(LockError::Held { .. }) => Self::new(Code::TryAgain, error.to_string())
                .hint("only one daemon may run on a state directory; stop that one first"),
            DaemonError::NoKey(_) => Self::new(Code::Config, error.to_string())
                .hint("restore thread.key from the backup; `acuse init` makes one in a new state directory"),
            DaemonError::Key { .. } => Self::new(Code::Io, error.to_string())
                .hint("check the owner of state_dir, and whether its disk is in order"),
            DaemonError::Lock(_) | DaemonError::Io(_) | DaemonError::Writer(_) | DaemonError::Panicked => {
                Self::new(Code::Io, error.to_string())
            }
        }
    }
}

impl From<CounterError> for Failure {
    fn from(error: CounterError) -> Self {
        let message = error.to_string();
        match error {
            CounterError::Store(error) => error.into(),
            CounterError::Garbled { .. } => Self::new(Code::Io, message).hint(
                "remove it if the database is the last that acuse wrote; if it was restored from a backup, \
                 write `999999999 0` into it, the daemon stopped: what arrived until now is then not acknowledged again",
            ),
            CounterError::Io { .. } => Self::new(Code::Io, message)
                .hint("check the owner of state_dir, and whether its disk is full"),
        }
    }
}

impl From<ClockUnset> for Failure {
    fn from(error: ClockUnset) -> Self {
        Self::new(Code::TryAgain, error.to_string())
            .hint("set it, or wait until the network has: every response time would be wrong")
    }
}

impl From<DiskLow> for Failure {
    fn from(error: DiskLow) -> Self {
        Self::new(Code::TryAgain, error.to_string()).hint("make room there, or set [limits] min_free_mib")
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Exists(_) => {
                Self::new(Code::Usage, message).hint("--replace puts the copy in its place")
            }
            BackupError::Beside(_) => Self::new(Code::Usage, message)
                .hint("a copy there is lost with its original: name another directory"),
            BackupError::UnderWay(_) => Self::new(Code::TryAgain, message).hint("wait until it is done"),
            BackupError::InUse(_) => Self::new(Code::Usage, message)
                .hint("name another file; if nobody uses that one any more, remove both"),
            BackupError::Foreign(_) => Self::new(Code::Usage, message)
                .hint("name another file; --replace only replaces an earlier backup"),
            BackupError::Io { .. } => Self::new(Code::Io, message),
            BackupError::Unsound(_) | BackupError::Copy(_) => Self::new(Code::Database, message)
                .hint("`acuse db check` says whether the database itself is sound; no backup was replaced"),
        }
    }
}
