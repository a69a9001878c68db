//! acuse.toml as written → as used, with every problem noted on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{self, ConfigFile, Duration, Written};
use super::{After, Config, LOCAL_DIR, Mailbox, Secrets, Server, THREAD_KEY, Tls, read_keys};
use crate::mail::Address;
use crate::problem::{self, Problem, Severity, Source};
use crate::site::{Channels, EnvelopeFrom, Limits, Site};
use crate::token::Keyring;
use crate::tokens::Account;

mod login;
mod notify;

/// The waits of `[smtp] retry` where it is not set: a greylisting relay lets us in after some minutes.
const RETRY_MINUTES: [i64; 6] = [1, 2, 5, 10, 15, 30];

/// Turns the file as written into what is used, collecting problems.
pub(super) struct Reader<'a> {
    pub(super) source: Arc<Source>,
    /// The configuration's directory: where relative paths begin.
    pub(super) beside: &'a Path,
    pub(super) secrets: Secrets,
    /// Where refresh tokens are kept, once it is read.
    pub(super) state_dir: PathBuf,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The configuration, unless something of it cannot even be guessed.
    pub(super) fn config(&mut self) -> Option<Config> {
        let file = self.file()?;
        self.state_dir.clone_from(&file.state_dir);
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
                breaker_floor: file.limits.breaker_floor,
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
        let smtp = self.server(&file.smtp.server(), Account::Relay);
        let mailboxes = file.mailbox.iter().filter_map(|mailbox| self.mailbox(mailbox)).collect::<Vec<_>>();
        for (index, mailbox) in mailboxes.iter().enumerate() {
            if mailboxes.iter().take(index).any(|other| other.name == mailbox.name) {
                let message = format!("two mailboxes are called `{}`", mailbox.name);
                self.problem(None, &message, "the name tells them apart in the database: give each its own");
            }
        }
        Some(Config {
            state_dir: file.state_dir,
            local_dir: self.local_dir(file.local_dir.as_ref()),
            policy_dir: file.policy_dir,
            overlay: None,
            notify: self.notify(&file.notify, &site),
            site,
            mailboxes,
            smtp: smtp?,
            retry: self.retry(file.smtp.retry.as_deref()),
            smtp_timeout: file.smtp.timeout.as_ref().map(|timeout| self.wait(timeout)),
            max_size: file.limits.max_size_mib.saturating_mul(1 << 20),
            min_free: file.limits.min_free_mib.map(|mib| mib.saturating_mul(1 << 20)),
        })
    }

    /// The file as written, with every key that can be read.
    fn file(&mut self) -> Option<ConfigFile> {
        let source = Arc::clone(&self.source);
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        self.problems.extend(Problem::of_syntax(&source, &errors));
        if !errors.is_empty() {
            return None; // what a syntax error leaves over is guesswork
        }
        let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        problem::read(&source, value, &mut self.problems)
    }

    /// A directory of additions that is named is there; the one that is not named need not be.
    fn local_dir(&mut self, written: Option<&Written<PathBuf>>) -> PathBuf {
        let Some(written) = written else { return LOCAL_DIR.into() };
        let path = written.as_ref();
        if !path.is_dir() {
            let message = super::no_directory(path);
            let hint = "create it, or leave local_dir out";
            self.note(Severity::Warning, Some(written.span()), &message, hint);
        }
        path.clone()
    }

    /// A file of certificates; only who connects needs it.
    fn ca_file(&mut self, written: &Written<PathBuf>) -> PathBuf {
        let path = self.beside.join(written.as_ref());
        if self.secrets == Secrets::Read && !path.is_file() {
            let message = format!("there is no file {}", path.display());
            let hint = "it holds the certificates to trust, as PEM; without ca_file the system's are trusted";
            self.problem(Some(written.span()), &message, hint);
        }
        path
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
        let server = self.server(&file.server(), Account::Mailbox(file.name.clone()));
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
        if file.folders.is_empty() {
            self.problem(
                None,
                &format!("mailbox `{}` watches no folder", file.name),
                "folders = [\"INBOX\"]",
            );
        }
        let mailbox = Mailbox {
            name: file.name.clone(),
            server: server?,
            folders: file.folders.clone(),
            after,
            quarantine_to: file.quarantine_to.clone(),
            poll: self.wait(&file.poll),
            backlog: self.duration(&file.backlog),
        };
        let done = mailbox.done_folders();
        for folder in file.folders.iter().filter(|folder| done.contains(*folder)) {
            let message = format!(
                "mailbox `{}` moves what it has done into the folder `{folder}` that it watches",
                file.name
            );
            self.problem(None, &message, "name another folder in move_to or quarantine_to");
        }
        Some(mailbox)
    }

    fn server(&mut self, written: &file::ServerFile<'_>, account: Account) -> Option<Server> {
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
        let login = self.login(written, account)?;
        let ca_file = written.ca_file.map(|file| self.ca_file(file));
        Some(Server { host: written.host.clone(), port: written.port, tls, ca_file, login })
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
