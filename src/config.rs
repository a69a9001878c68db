//! acuse.toml: where things are. Reads it, the secrets it names and the policy's files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use secrecy::SecretString;

use crate::mail::Address;
use crate::policy::{Policy, PolicyFiles};
use crate::problem::{Problem, Severity, Source};
use crate::site::{Channels, EnvelopeFrom, Limits, Site};
use crate::token::Keyring;

mod file;

use file::{ConfigFile, Duration, Written};

/// Where the configuration is looked for without `--config`.
pub const DEFAULT_PATH: &str = "/etc/acuse/acuse.toml";

/// The thread keys' file in the state directory.
pub const THREAD_KEY: &str = "thread.key";

/// The waits of `[smtp] retry` where it is not set: a greylisting relay lets us in after some minutes.
const RETRY_MINUTES: [i64; 6] = [1, 2, 5, 10, 15, 30];

/// The configuration, valid and complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state directory: database, lock, thread key.
    pub state_dir: PathBuf,
    /// Additions to the shipped policy.
    pub local_dir: PathBuf,
    /// Files in the place of shipped ones.
    pub policy_dir: Option<PathBuf>,
    /// Who we are.
    pub site: Site,
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
    /// The file says something impossible; every problem at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Problem>),
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
        let mut reader = Reader { source, beside, secrets, problems: Vec::new() };
        let config = reader.config();
        let (warnings, errors): (Vec<_>, Vec<_>) =
            reader.problems.into_iter().partition(|problem| problem.severity == Severity::Warning);
        match config {
            Some(config) if errors.is_empty() => Ok(Loaded { config, warnings }),
            _ => Err(ConfigError::Wrong(errors)),
        }
    }

    /// The policy's files: the shipped ones, those of `policy_dir` in their place, and what `local_dir` adds.
    pub fn policy_files(&self) -> Result<PolicyFiles, ConfigError> {
        let mut files = PolicyFiles::shipped();
        if let Some(dir) = &self.policy_dir {
            replace_from(&mut files, dir)?;
        }
        if self.local_dir.is_dir() {
            for (name, source) in policy_sources(&self.local_dir)? {
                files.add_local(&name, source);
            }
        }
        Ok(files)
    }
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

/// The `*.toml` files of a directory and its `replies/{es,en}/*`, by their names below it.
fn policy_sources(dir: &Path) -> Result<Vec<(String, Source)>, ConfigError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |why| ConfigError::Unreadable { path, why }
    };
    let mut found = Vec::new();
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
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if !path.is_file() || !wanted.contains(&extension) || name.starts_with('.') {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            let key = if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") };
            found.push((key, Source { name: path.display().to_string(), text }));
        }
    }
    Ok(found)
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

/// Turns the file as written into what is used, collecting problems.
struct Reader<'a> {
    source: Arc<Source>,
    beside: &'a Path,
    secrets: Secrets,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        let file: ConfigFile = match toml::from_str(&self.source.text) {
            Ok(file) => file,
            Err(error) => {
                self.problem(error.span(), error.message(), "see the example in README.md for every key");
                return None;
            }
        };
        let keys = self.keys(&file.state_dir);
        let addresses = self.addresses(&file.support.addresses);
        if addresses.is_empty() {
            self.problem(
                None,
                "[support] addresses names no address",
                "name the addresses that customers write to",
            );
        }
        let from = self.from(&file.smtp.from);
        let site = Site {
            name: file.support.name.clone(),
            staff: self.addresses(&file.support.staff),
            forms: self.addresses(&file.support.forms),
            lists: file
                .support
                .lists
                .iter()
                .map(|list| list.trim_matches(['<', '>']).to_lowercase())
                .collect(),
            channels: Channels {
                phone: file.support.phone.clone(),
                chat: file.support.chat.clone(),
                help_url: file.support.help_url.clone(),
            },
            prefix: self.prefix(&file.tickets.prefix),
            reopen: SignedDuration::from_hours(24 * i64::from(file.tickets.reopen_days)),
            close_after: self.duration(&file.tickets.close_after),
            reply_to: file.smtp.reply_to.as_ref().map(|template| self.template(template, "reply_to")),
            envelope_from: self.envelope_from(&file.smtp.envelope_from),
            max_age: self.duration(&file.ack.max_age),
            authserv_id: file.auth.authserv_id.as_ref().map(|id| id.to_lowercase()),
            limits: Limits {
                per_address_hour: file.limits.per_address_hour,
                per_address_day: file.limits.per_address_day,
                per_domain_hour: file.limits.per_domain_hour,
                per_hour: file.limits.per_hour,
            },
            from: from.or_else(|| addresses.first().cloned())?,
            addresses,
            keys,
        };
        if site.authserv_id.is_none() {
            self.warn(
                "[auth] authserv_id is not set: From is taken at face value",
                "name the server whose Authentication-Results may be believed, as it stands in them",
            );
        }
        let smtp = self.server(&file.smtp.server());
        let mailboxes = file.mailbox.iter().filter_map(|mailbox| self.mailbox(mailbox)).collect::<Vec<_>>();
        for (index, mailbox) in mailboxes.iter().enumerate() {
            if mailboxes.iter().take(index).any(|other| other.name == mailbox.name) {
                let message = format!("two mailboxes are called `{}`", mailbox.name);
                self.problem(None, &message, "the name tells them apart in the database: give each its own");
            }
        }
        Some(Config {
            state_dir: file.state_dir,
            local_dir: file.local_dir,
            policy_dir: file.policy_dir,
            site,
            mailboxes,
            smtp: smtp?,
            retry: self.retry(file.smtp.retry.as_deref()),
            smtp_timeout: file.smtp.timeout.as_ref().map(|timeout| self.wait(timeout)),
            max_size: file.limits.max_size_mib.saturating_mul(1 << 20),
        })
    }

    fn keys(&mut self, state_dir: &Path) -> Keyring {
        match read_keys(state_dir) {
            Ok(keys) => keys,
            Err(error) => {
                if error.kind() == std::io::ErrorKind::InvalidData {
                    let message = format!("{}: {error}", state_dir.join(THREAD_KEY).display());
                    self.problem(
                        None,
                        &message,
                        "restore it from the backup: it ties answers to their tickets",
                    );
                }
                Keyring::new(Vec::new()) // `run` and `ingest` insist on one; the others need none
            }
        }
    }

    fn mailbox(&mut self, file: &file::MailboxFile) -> Option<Mailbox> {
        let server = self.server(&file.server());
        let after = match file.after.as_ref().as_str() {
            "move" => After::Move(file.move_to.clone()),
            "flag" => After::Flag,
            "delete" => After::Delete,
            "keep" => After::Keep,
            other => {
                let message = format!("`{other}` is nothing that can be done with a mail");
                self.problem(Some(file.after.span()), &message, "write move, flag, delete or keep");
                After::Keep
            }
        };
        for folder in &file.folders {
            let target = matches!(&after, After::Move(to) if to == folder) || *folder == file.quarantine_to;
            if target {
                let message = format!(
                    "mailbox `{}` moves what it has done into the folder `{folder}` that it watches",
                    file.name
                );
                self.problem(None, &message, "name another folder in move_to or quarantine_to");
            }
        }
        if file.folders.is_empty() {
            self.problem(
                None,
                &format!("mailbox `{}` watches no folder", file.name),
                "folders = [\"INBOX\"]",
            );
        }
        Some(Mailbox {
            name: file.name.clone(),
            server: server?,
            folders: file.folders.clone(),
            after,
            quarantine_to: file.quarantine_to.clone(),
            poll: self.duration(&file.poll),
            backlog: self.duration(&file.backlog),
        })
    }

    fn server(&mut self, written: &file::ServerFile<'_>) -> Option<Server> {
        let tls = match written.tls.as_ref().as_str() {
            "implicit" => Tls::Implicit,
            "starttls" => Tls::StartTls,
            "none" => Tls::None,
            other => {
                let message = format!("`{other}` is no way to protect a connection");
                self.problem(Some(written.tls.span()), &message, "write implicit, starttls or none");
                return None;
            }
        };
        if tls == Tls::None && !is_loopback(written.host) {
            let message = format!(
                "a plain connection to `{}` would show passwords and mails to the network",
                written.host
            );
            self.problem(
                Some(written.tls.span()),
                &message,
                "tls = \"none\" is for 127.0.0.1, ::1 and localhost only",
            );
        }
        let login = match (written.user, written.password_file) {
            (Some(user), Some(file)) => Some(Login { user: user.clone(), password: self.password(file)? }),
            (None, None) => None,
            (Some(user), None) => {
                self.problem(
                    None,
                    &format!("there is no password_file for the user `{user}`"),
                    "name the file that holds it",
                );
                return None;
            }
            (None, Some(file)) => {
                self.problem(Some(file.span()), "a password without a user", "user = \"…\" beside it");
                return None;
            }
        };
        let ca_file = written.ca_file.map(|path| self.beside.join(path));
        Some(Server { host: written.host.clone(), port: written.port, tls, ca_file, login })
    }

    /// A password is the first line of its file, looked up in `$CREDENTIALS_DIRECTORY` (systemd) and then beside
    /// the configuration.
    fn password(&mut self, file: &Written<PathBuf>) -> Option<SecretString> {
        if self.secrets == Secrets::Skip {
            return Some(SecretString::from(""));
        }
        let path = file.as_ref();
        #[expect(clippy::disallowed_methods, reason = "this is the one reader of $CREDENTIALS_DIRECTORY")]
        let credential = std::env::var("CREDENTIALS_DIRECTORY").ok().map(|dir| Path::new(&dir).join(path));
        let found = credential.filter(|path| path.exists()).unwrap_or_else(|| self.beside.join(path));
        match std::fs::read_to_string(&found) {
            Ok(text) => {
                let password = text.lines().next().unwrap_or_default();
                if password.is_empty() {
                    self.problem(
                        Some(file.span()),
                        &format!("{} is empty", found.display()),
                        "its first line is the password",
                    );
                }
                Some(SecretString::from(password))
            }
            Err(why) => {
                let message = format!("cannot read {}: {why}", found.display());
                self.problem(
                    Some(file.span()),
                    &message,
                    "create it, mode 0600, or give systemd a LoadCredential= of that name",
                );
                None
            }
        }
    }

    fn addresses(&mut self, written: &[Written<String>]) -> Vec<Address> {
        written.iter().filter_map(|text| self.address(text)).collect()
    }

    fn address(&mut self, text: &Written<String>) -> Option<Address> {
        let address = Address::parse(text.as_ref());
        if address.is_none() {
            let message = format!("`{}` is not a mail address", text.as_ref());
            self.problem(Some(text.span()), &message, "write it as name@domain");
        }
        address
    }

    /// `Name <address>` or an address.
    fn from(&mut self, text: &Written<String>) -> Option<Address> {
        let written = text.as_ref();
        let (name, address) = match written.split_once('<') {
            Some((name, rest)) => {
                (name.trim().trim_matches('"'), rest.trim_end().strip_suffix('>').unwrap_or(""))
            }
            None => ("", written.as_str()),
        };
        match Address::parse(address.trim()) {
            Some(parsed) => Some(Address { name: name.to_owned(), ..parsed }),
            None => {
                let message = format!("`{written}` is no From");
                self.problem(Some(text.span()), &message, "write it as Support <name@domain>");
                None
            }
        }
    }

    fn template(&mut self, text: &Written<String>, key: &str) -> String {
        let sample = Address::parse(&text.as_ref().replace("{token}", "token"));
        if !text.as_ref().contains("{token}") || sample.is_none() {
            let message = format!("{key} must be an address with {{token}} in it");
            self.problem(Some(text.span()), &message, "such as support+{token}@example.com");
        }
        text.as_ref().to_lowercase()
    }

    fn envelope_from(&mut self, text: &Written<String>) -> EnvelopeFrom {
        match text.as_ref().as_str() {
            "null" => EnvelopeFrom::Null,
            "from" => EnvelopeFrom::From,
            _ => EnvelopeFrom::Tagged(self.template(text, "envelope_from")),
        }
    }

    fn prefix(&mut self, text: &Written<String>) -> String {
        let prefix = text.as_ref();
        let speakable =
            (1..=8).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !speakable {
            self.problem(
                Some(text.span()),
                &format!("`{prefix}` cannot be a ticket's prefix"),
                "1 to 8 letters without accents",
            );
        }
        prefix.to_ascii_uppercase()
    }

    fn duration(&mut self, text: &Duration) -> SignedDuration {
        match file::duration(text.as_ref()) {
            Some(duration) => duration,
            None => {
                let message = format!("`{}` is no span of time", text.as_ref());
                self.problem(Some(text.span()), &message, "a number and s, m, h or d, such as 90s or 72h");
                SignedDuration::ZERO
            }
        }
    }

    /// A span of time that something waits: none at all would be a busy loop.
    fn wait(&mut self, text: &Duration) -> SignedDuration {
        let wait = self.duration(text);
        if file::duration(text.as_ref()) == Some(SignedDuration::ZERO) {
            self.problem(Some(text.span()), "a wait of no time at all", "at least 1s");
        }
        wait
    }

    fn retry(&mut self, written: Option<&[Duration]>) -> Vec<SignedDuration> {
        match written {
            None => RETRY_MINUTES.map(SignedDuration::from_mins).to_vec(),
            Some([]) => {
                self.problem(None, "[smtp] retry names no wait", "such as retry = [\"1m\", \"5m\", \"30m\"]");
                Vec::new()
            }
            Some(waits) => waits.iter().map(|wait| self.wait(wait)).collect(),
        }
    }

    fn problem(&mut self, span: Option<std::ops::Range<usize>>, message: &str, hint: &str) {
        self.note(Severity::Error, span, message, hint);
    }

    fn warn(&mut self, message: &str, hint: &str) {
        self.note(Severity::Warning, None, message, hint);
    }

    fn note(&mut self, severity: Severity, span: Option<std::ops::Range<usize>>, message: &str, hint: &str) {
        self.problems.push(Problem {
            source: Arc::clone(&self.source),
            span,
            severity,
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        });
    }
}

/// Whether a host is this machine, by what it is called: a name that only resolves here does not count.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
