//! acuse.toml: where things are; reads it, the secrets it names and the policy's files.

use std::path::PathBuf;

use jiff::SignedDuration;
use secrecy::SecretString;

/// How a connection is protected. There is no key that switches verification off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (993, 465).
    Implicit,
    /// STARTTLS, never opportunistic.
    StartTls,
    /// Plain, to a loopback address only.
    None,
}

/// One server to connect to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host name or address; also the name the certificate must show.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// A file of PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// User and password; `None` for an SMTP relay that asks for none.
    pub login: Option<Login>,
}

/// User and password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password, as read from its file at start (I16).
    pub password: SecretString,
}

/// One `[[mailbox]]`.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Its name in logs, alerts and the database.
    pub name: String,
    /// Its IMAP server.
    pub server: Server,
    /// The folders that are watched, as people write them (UTF-8); modified UTF-7 is the wire's business.
    pub folders: Vec<String>,
    /// What becomes of a mail that is stored.
    pub after: After,
    /// Where failures go on the server.
    pub quarantine_to: String,
    /// How often to look when IDLE is missing, and how long an IDLE may stay silent at most.
    pub poll: SignedDuration,
    /// At enrolment, mail older than this is left alone.
    pub backlog: SignedDuration,
}

/// What becomes of a mail on the server once it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Moved to a folder; `{impact}` in its name gives one folder per impact.
    Move(String),
    /// Flagged `$AcuseDone`, or `\Seen` where keywords are not permitted.
    Flag,
    /// Deleted.
    Delete,
    /// Left untouched.
    Keep,
}
