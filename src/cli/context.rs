//! What every command starts from: configuration, policy, database, time, and where it prints.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use super::report::{Code, Done, Failure};
use crate::config::{self, Config, ConfigError, DEFAULT_PATH, Loaded, Secrets};
use crate::daemon::clock;
use crate::policy::{Policy, PolicyFiles};
use crate::site::Site;
use crate::store::{self, Store};

/// The global options, and what follows from them.
#[derive(Debug, Clone)]
pub struct Context {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--policy`.
    pub policy: Option<PathBuf>,
    /// `--now`.
    pub now: Option<String>,
    /// `--json`.
    pub json: bool,
}

impl Context {
    /// The configuration. Warnings go to stderr only from `check`.
    pub fn config(&self, secrets: Secrets) -> Result<Config, Failure> {
        Ok(self.load(secrets)?.config)
    }

    /// Where the configuration is: `--config`, or the default place.
    pub fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }

    /// The configuration with its warnings.
    pub fn load(&self, secrets: Secrets) -> Result<Loaded, ConfigError> {
        let mut loaded = Config::load(&self.config_path(), secrets)?;
        loaded.config.overlay.clone_from(&self.policy);
        Ok(loaded)
    }

    /// The configuration where one was named, for commands that need none.
    pub fn named_config(&self) -> Result<Option<Config>, Failure> {
        self.config.as_ref().map(|_| self.config(Secrets::Skip)).transpose()
    }

    /// The policy: that of the configuration, or the shipped one; `--policy` laid over it.
    pub fn policy(&self, config: Option<&Config>) -> Result<Policy, Failure> {
        let (policy, _) = config::policy(&self.policy_files(config)?)?;
        Ok(policy)
    }

    /// The policy for who only shows times, plans and texts, so that a wrong rule hides no ticket. The shipped rules stand
    /// in for wrong ones, and the shipped policy whole where plans, hours or texts are wrong too; stderr says so.
    pub fn policy_for_view(&self, config: &Config) -> Result<Policy, Failure> {
        let files = self.policy_files(Some(config))?;
        let wrong = match config::policy(&files) {
            Ok((policy, _)) => return Ok(policy),
            Err(wrong @ ConfigError::Wrong(_)) => wrong.summary(),
            Err(error) => return Err(error.into()),
        };
        let (policy, instead) = match config::policy(&files.with_shipped_rules()) {
            Ok((policy, _)) => (policy, "rules stand in for yours"),
            Err(_) => (
                config::policy(&PolicyFiles::shipped())?.0,
                "rules, plans, hours and texts stand in for yours",
            ),
        };
        tell(format!(
            "warning: the policy is wrong (`acuse check` tells all): {wrong}\nhere the shipped {instead}"
        ));
        Ok(policy)
    }

    /// The policy's files.
    pub fn policy_files(&self, config: Option<&Config>) -> Result<PolicyFiles, Failure> {
        if let Some(config) = config {
            return Ok(config.policy_files()?);
        }
        let mut files = PolicyFiles::shipped();
        if let Some(dir) = &self.policy {
            config::replace_from(&mut files, dir)?;
        }
        Ok(files)
    }

    /// Who we are, or nobody.
    pub fn site(&self, config: Option<&Config>) -> Site {
        config.map_or_else(Site::nobody, |config| config.site.clone())
    }

    /// The database of a configuration.
    pub fn store(&self, config: &Config) -> Result<Store, Failure> {
        Ok(store::open(&config.state_dir)?)
    }

    /// `--now`, else the clock.
    pub fn now(&self, zone: &TimeZone) -> Result<Timestamp, Failure> {
        self.now.as_deref().map_or_else(|| Ok(clock::now()), |text| time(text, zone))
    }

    /// The user at the keyboard, for what is remembered with a name; behind sudo, who called it; without a name, the uid.
    pub fn user(&self) -> String {
        #[expect(
            clippy::disallowed_methods,
            reason = "who typed a command is known to its environment alone"
        )]
        let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
        let user = ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(named);
        user.map_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()), |user| shown(&user))
    }

    /// Writes a line of data.
    pub fn line(&self, text: impl AsRef<str>) -> Done {
        let written = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()), // whoever reads has seen enough
            written => Ok(written?),
        }
    }

    /// Writes a JSON document; a line each when it is one of several.
    pub fn json(&self, value: &impl Serialize) -> Done {
        self.line(serde_json::to_string(value)?)
    }

    /// Whether standard output shows colours: `NO_COLOR` and pipes do not.
    pub fn colours(&self) -> bool {
        #[expect(
            clippy::disallowed_methods,
            reason = "NO_COLOR is a convention of the environment, no configuration"
        )]
        let refused = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
        !refused && std::io::stdout().is_terminal()
    }

    /// A word set off where the terminal can.
    pub fn strong(&self, text: &str) -> String {
        if self.colours() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A time in RFC 3339, or without an offset in the calendar's zone.
pub fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let local = || text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>().ok().or_else(local).ok_or_else(|| {
        Failure::new(Code::Usage, format!("`{text}` is no time"))
            .hint("write it as 2026-09-16T09:15:00-05:00, or without the offset for the calendar's own zone")
    })
}

/// The start of a span that reaches until now, `90d` or `72h`, or a time of its own.
pub fn since(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Failure> {
    match config::duration(text) {
        Some(span) => Ok(now.saturating_sub(span).unwrap_or(Timestamp::MIN)),
        None => time(text, zone).map_err(|failure| failure.hint("write it as 90d, 72h or 2026-09-01T00:00")),
    }
}

/// A time as JSON prints it: RFC 3339 with the calendar's offset.
pub fn rfc3339(at: &Zoned) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A time for people.
pub fn for_people(at: &Zoned) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The bytes of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_up_to(path, u64::MAX).map(|(bytes, _)| bytes)
}

/// The first `limit` bytes of a file or standard input, and whether these are all. The rest is read all the same:
/// who writes into a pipe takes its early end for a failure.
pub fn read_up_to(path: &Path, limit: u64) -> Result<(Vec<u8>, bool), Failure> {
    let take = |from: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        from.take(limit).read_to_end(&mut bytes)?;
        let rest = std::io::copy(from, &mut std::io::sink())?;
        Ok((bytes, rest == 0))
    };
    let read = if path == Path::new("-") {
        take(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| take(&mut file))
    };
    read.map_err(|error: std::io::Error| {
        Failure::new(Code::Io, format!("cannot read {}: {error}", path.display()))
    })
}

/// Text of a mail as a terminal may show it: on one line, without controls and bidi overrides (I17).
pub fn shown(text: &str) -> String {
    crate::reply::header::clean(text)
}

/// Several lines of a mail as a terminal may show them.
pub fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// A message beside the data, on stderr.
pub fn tell(text: impl AsRef<str>) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr().lock(), "{}", text.as_ref())); // nowhere left to complain to
}

/// Says on stderr that the additions to the policy are not where acuse.toml looks for them.
pub fn tell_if_no_local_dir(config: &Config) {
    if let Some(message) = config.no_local_dir() {
        tell(format!("warning: {message}\nhint: create it, or leave local_dir out"));
    }
}

/// A table without lines, for terminals and pipes alike.
pub fn table(head: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(head.iter().map(|name| name.to_uppercase()));
    table
}
