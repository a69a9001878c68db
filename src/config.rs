//! acuse.toml: where things are. Reads it, the secrets it names and the policy's files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use secrecy::SecretString;

use crate::notify::Notify;
use crate::policy::{Policy, PolicyFiles};
use crate::problem::{self, Problem, Severity, Source};
use crate::site::Site;
use crate::store::DATABASE;
use crate::ticket::Impact;
use crate::token::Keyring;
use crate::tokens::{TokenError, Tokens};

mod file;
mod read;

use read::Reader;

pub use file::duration;

/// Where the configuration is looked for without `--config`.
pub const DEFAULT_PATH: &str = "/etc/acuse/acuse.toml";

/// Where additions to the shipped policy are looked for unless `local_dir` says otherwise.
const LOCAL_DIR: &str = "/etc/acuse/rules";

/// The thread keys' file in the state directory.
pub const THREAD_KEY: &str = "thread.key";

/// The configuration, valid and complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state directory: database, lock, thread key.
    pub state_dir: PathBuf,
    /// Additions to the shipped policy.
    pub local_dir: PathBuf,
    /// Files in the place of shipped ones.
    pub policy_dir: Option<PathBuf>,
    /// `--policy`: files in the place of all of these.
    pub overlay: Option<PathBuf>,
    /// Who we are.
    pub site: Site,
    /// `[[notify]]`: who is told of what.
    pub notify: Vec<Notify>,
    /// What is watched.
    pub mailboxes: Vec<Mailbox>,
    /// Where acknowledgements go out.
    pub smtp: Server,
    /// `[smtp] retry`: the waits before a deferred acknowledgement is offered again, the last one over and over.
    pub retry: Vec<SignedDuration>,
    /// `[smtp] timeout`: no step of a delivery waits longer; `None`: each as long as RFC 5321 §4.5.3.2 says.
    pub smtp_timeout: Option<SignedDuration>,
    /// Mails larger than this are read from their heads, bytes.
    pub max_size: u64,
    /// `[limits] min_free_mib`: what must stay free on the disk of the state directory, bytes; `None`: a twentieth
    /// of it, within 1 and 10 GiB.
    pub min_free: Option<u64>,
}

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
    /// Who logs in, and how; `None` for an SMTP relay that asks for nobody.
    pub login: Option<Login>,
}

/// Who logs in, and how.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// What proves it.
    pub proof: Proof,
}

/// What proves who somebody is.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The password, as read from its file at start (I16).
    Password(SecretString),
    /// An access token, had anew whenever the last one ends.
    Token(Arc<Tokens>),
}

/// What a server is shown in one login.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A password.
    Password(SecretString),
    /// An access token.
    Token(SecretString),
}

impl Login {
    /// With a password.
    pub fn with_password(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), proof: Proof::Password(SecretString::from(password)) }
    }

    /// What is shown first.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn credential(&self) -> Result<Credential, TokenError> {
        match &self.proof {
            Proof::Password(password) => Ok(Credential::Password(password.clone())),
            Proof::Token(tokens) => tokens.access(None).await.map(Credential::Token),
        }
    }

    /// What is shown once the server has refused that: a token may have been revoked before its end. `None`: there is
    /// nothing else.
    ///
    /// # Errors
    /// [`TokenError`]
    pub async fn another(&self, refused: &Credential) -> Result<Option<Credential>, TokenError> {
        match (&self.proof, refused) {
            (Proof::Token(tokens), Credential::Token(refused)) => {
                tokens.access(Some(refused)).await.map(|token| Some(Credential::Token(token)))
            }
            _ => Ok(None),
        }
    }
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

/// The folder of `move_to` for a mail of this impact; `None`: it is no case.
pub fn folder_for(move_to: &str, impact: Option<Impact>) -> String {
    let queue = match impact {
        Some(Impact::High) => "Alto",
        Some(Impact::Medium) => "Medio",
        Some(Impact::Low) => "Bajo",
        None => "Otros",
    };
    move_to.replace("{impact}", queue)
}

impl Mailbox {
    /// Every folder that stored mails are moved to.
    pub fn done_folders(&self) -> BTreeSet<String> {
        let mut folders = BTreeSet::new();
        if let After::Move(to) = &self.after {
            let impacts = [Some(Impact::High), Some(Impact::Medium), Some(Impact::Low), None];
            folders.extend(impacts.map(|impact| folder_for(to, impact)));
        }
        if matches!(self.after, After::Move(_) | After::Delete) {
            folders.insert(self.quarantine_to.clone());
        }
        folders
    }
}

/// Whether the password files are read: only who connects needs them, or may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Read, and missed when they are not there.
    Read,
    /// Left alone.
    Skip,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's own words.
        why: std::io::Error,
    },
    /// A file or directory of the policy cannot be read.
    #[error("cannot read {path}: {why}")]
    UnreadablePolicy {
        /// The file or directory.
        path: String,
        /// The system's own words.
        why: std::io::Error,
    },
    /// The file says something impossible; every problem at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Problem>),
}

impl ConfigError {
    /// Every error, as a terminal shows them; the warnings are told by `check`.
    pub fn report(&self) -> String {
        match self {
            Self::Wrong(problems) => {
                let is_error = |problem: &&Problem| problem.severity == Severity::Error;
                problem::report(&problems.iter().filter(is_error).cloned().collect::<Vec<_>>(), false)
            }
            Self::Unreadable { .. } | Self::UnreadablePolicy { .. } => self.to_string(),
        }
    }

    /// How many errors there are, and the first, in one line.
    pub fn summary(&self) -> String {
        match self {
            Self::Wrong(problems) => problem::summary(problems),
            Self::Unreadable { .. } | Self::UnreadablePolicy { .. } => self.to_string(),
        }
    }
}

/// A configuration, and what is worth a look in it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads a configuration file. Every problem in it is reported at once.
    pub fn load(path: &Path, secrets: Secrets) -> Result<Loaded, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| ConfigError::Unreadable { path: path.display().to_string(), why })?;
        let source = Arc::new(Source { name: path.display().to_string(), text });
        let beside = path.parent().unwrap_or(Path::new("."));
        let mut reader = Reader { source, beside, secrets, state_dir: PathBuf::new(), problems: Vec::new() };
        let config = reader.config();
        let (warnings, errors): (Vec<_>, Vec<_>) =
            reader.problems.into_iter().partition(|problem| problem.severity == Severity::Warning);
        match config {
            Some(config) if errors.is_empty() => Ok(Loaded { config, warnings }),
            _ => Err(ConfigError::Wrong(errors.into_iter().chain(warnings).collect())),
        }
    }

    /// Whether there is a database to look into.
    pub fn has_database(&self) -> bool {
        self.state_dir.join(DATABASE).exists()
    }

    /// What is said when `local_dir` names a directory that is not there; the default one need not be.
    pub fn no_local_dir(&self) -> Option<String> {
        let missing = self.local_dir != Path::new(LOCAL_DIR) && !self.local_dir.is_dir();
        missing.then(|| no_directory(&self.local_dir))
    }

    /// The policy's files: the shipped ones, those of `policy_dir` in their place, what `local_dir` adds, and `--policy`
    /// over all.
    pub fn policy_files(&self) -> Result<PolicyFiles, ConfigError> {
        let mut files = policy_files(&self.local_dir, self.policy_dir.as_deref())?;
        if let Some(dir) = &self.overlay {
            replace_from(&mut files, dir)?;
        }
        Ok(files)
    }

    /// The policy of these files, compiled and tried: what may be put in force.
    pub fn policy(&self) -> Result<Policy, ConfigError> {
        let (policy, problems) = Policy::prove(&self.policy_files()?);
        policy.ok_or(ConfigError::Wrong(problems))
    }
}

fn no_directory(local_dir: &Path) -> String {
    format!("there is no directory {}: the policy is the shipped one", local_dir.display())
}

/// The policy's files that a wrong configuration names, as far as it can be read.
pub fn policy_files_despite(path: &Path) -> Result<PolicyFiles, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| ConfigError::Unreadable { path: path.display().to_string(), why })?;
    let (table, _) = toml::de::DeTable::parse_recoverable(&text);
    let dir =
        |key: &str| table.get_ref().get(key).and_then(|value| value.get_ref().as_str()).map(PathBuf::from);
    let local_dir = dir("local_dir").unwrap_or_else(|| LOCAL_DIR.into());
    policy_files(&local_dir, dir("policy_dir").as_deref())
}

fn policy_files(local_dir: &Path, policy_dir: Option<&Path>) -> Result<PolicyFiles, ConfigError> {
    let mut files = PolicyFiles::shipped();
    if let Some(dir) = policy_dir {
        replace_from(&mut files, dir)?;
    }
    if local_dir.is_dir() {
        add_from(&mut files, local_dir)?;
    }
    Ok(files)
}

/// Adds the files of a `local_dir`; one of a name that another local directory had stands for that one.
pub fn add_from(files: &mut PolicyFiles, dir: &Path) -> Result<(), ConfigError> {
    for (name, source) in policy_sources(dir)? {
        files.add_local(&name, source);
    }
    Ok(())
}

/// Puts the files of a `policy_dir` in the place of shipped ones.
pub fn replace_from(files: &mut PolicyFiles, dir: &Path) -> Result<(), ConfigError> {
    for (name, source) in policy_sources(dir)? {
        files.replace(&name, source);
    }
    Ok(())
}

/// Compiles the policy of a configuration, or the shipped one.
pub fn policy(files: &PolicyFiles) -> Result<(Policy, Vec<Problem>), ConfigError> {
    match Policy::compile(files) {
        (Some(policy), warnings) => Ok((policy, warnings)),
        (None, problems) => Err(ConfigError::Wrong(problems)),
    }
}

/// The `*.toml` files of a directory and its `replies/{es,en}/*`, by their names below it; names that begin with a dot
/// apart. What is named like one and is no readable file is an error: it was meant to be in force.
fn policy_sources(dir: &Path) -> Result<Vec<(String, Source)>, ConfigError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |why| ConfigError::UnreadablePolicy { path, why }
    };
    let mut found = strays(dir).map_err(unreadable(&dir.join("replies")))?;
    for place in ["", "replies/es", "replies/en"] {
        let here = dir.join(place);
        if !here.is_dir() && !place.is_empty() {
            continue;
        }
        let mut names: Vec<PathBuf> = std::fs::read_dir(&here)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(unreadable(&here))?;
        names.sort();
        for path in names {
            let wanted: &[&str] = if place.is_empty() { &["toml"] } else { &["txt", "html"] };
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !wanted.contains(&extension) || name.starts_with('.') {
                continue;
            }
            let text = read_regular(&path).map_err(unreadable(&path))?;
            let key = if place.is_empty() { name.into_owned() } else { format!("{place}/{name}") };
            found.push((key, Source { name: path.display().to_string(), text }));
        }
    }
    Ok(found)
}

/// Files below `replies/` that nothing will read, with no text, so that the policy's check can tell of them: of another
/// language, of another case, or with another ending.
fn strays(dir: &Path) -> std::io::Result<Vec<(String, Source)>> {
    let mut strays = Vec::new();
    let mut look = |below: &Path| -> std::io::Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        for entry in std::fs::read_dir(dir.join(below))? {
            let path = below.join(entry?.file_name());
            let name = path.display().to_string();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let reads = |place| path.parent() == Some(Path::new(place));
            let is_read = (reads("replies/es") || reads("replies/en"))
                && path.extension().is_some_and(|ending| ending == "txt" || ending == "html");
            if dir.join(&path).is_dir() {
                directories.push(path);
            } else if !hidden && !is_read {
                let source = Source { name: dir.join(&path).display().to_string(), text: String::new() };
                strays.push((name, source));
            }
        }
        Ok(directories)
    };
    let replies = Path::new("replies");
    if dir.join(replies).is_dir() {
        for directory in look(replies)? {
            look(&directory)?;
        }
    }
    Ok(strays)
}

/// The text of a regular file; whoever reads a FIFO waits for its writer.
fn read_regular(path: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"));
    }
    std::fs::read_to_string(path)
}

/// The thread keys of a state directory: a line per key, `id hex`, the first signs.
pub fn read_keys(state_dir: &Path) -> std::io::Result<Keyring> {
    let text = std::fs::read_to_string(state_dir.join(THREAD_KEY))?;
    let bad = |line: &str| {
        let id = line.split_whitespace().next().unwrap_or_default();
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("key `{id}` is not 64 hex digits"))
    };
    let keys = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (id, hex) = line.split_once(' ').ok_or_else(|| bad(line))?;
            let mut key = [0; 32];
            let digits = hex.trim().as_bytes();
            if digits.len() != 64 {
                return Err(bad(line));
            }
            for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
                let pair = std::str::from_utf8(pair).map_err(|_| bad(line))?;
                *byte = u8::from_str_radix(pair, 16).map_err(|_| bad(line))?;
            }
            Ok((id.to_owned(), key))
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    Ok(Keyring::new(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_policy_that_cannot_be_read_is_no_file_that_is_not_there() {
        type Make = fn(&Path);
        let wrong: [(&str, Make); 4] = [
            ("a broken link", |path| std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap()),
            ("a directory", |path| std::fs::create_dir(path).unwrap()),
            ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
            ("Latin-1", |path| std::fs::write(path, b"# caf\xe9").unwrap()),
        ];
        for (what, make) in wrong {
            for name in ["local.toml", "replies/es/ack.txt"] {
                let directory = tempfile::tempdir().unwrap();
                std::fs::create_dir_all(directory.path().join("replies/es")).unwrap();
                make(&directory.path().join(name));
                let error = add_from(&mut PolicyFiles::shipped(), directory.path()).unwrap_err();
                let ConfigError::UnreadablePolicy { path, .. } = &error else { panic!("{what}: {error}") };
                assert!(path.ends_with(name), "{what}: {error}");
            }
        }
    }

    #[test]
    fn replies_that_nothing_reads_are_listed_without_their_text() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["replies/es/ack.txt", "replies/es/ack.TXT", "replies/fr/ack.txt", "replies/ack.html"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"caf\xe9").unwrap();
        }
        std::fs::write(directory.path().join("replies/es/ack.txt"), "Hola").unwrap();
        std::fs::write(directory.path().join("replies/es/.ack.txt.swp"), "").unwrap();
        let mut found = policy_sources(directory.path()).unwrap();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let found: Vec<_> = found.iter().map(|(name, file)| (name.as_str(), file.text.as_str())).collect();
        let stray = ["replies/ack.html", "replies/es/ack.TXT", "replies/fr/ack.txt"];
        assert_eq!(found, [(stray[0], ""), (stray[1], ""), ("replies/es/ack.txt", "Hola"), (stray[2], "")]);
    }

    #[test]
    fn what_is_not_named_like_a_file_of_the_policy_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("old.d")).unwrap();
        std::fs::write(directory.path().join("notes.md"), b"caf\xe9").unwrap();
        std::os::unix::fs::symlink("luz@host.1", directory.path().join(".#local.toml")).unwrap();
        std::fs::write(directory.path().join("local.toml"), "").unwrap();
        let found = policy_sources(directory.path()).unwrap();
        assert_eq!(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["local.toml"]);
    }
}
