//! acuse.toml as it is written.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

/// A value that knows where it stands.
pub(super) type Written<T> = Spanned<T>;
/// A span of time: a number and `s`, `m`, `h` or `d`.
pub(super) type Duration = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    #[serde(default = "state_dir")]
    pub(super) state_dir: PathBuf,
    pub(super) local_dir: Option<Written<PathBuf>>,
    pub(super) policy_dir: Option<PathBuf>,
    pub(super) support: SupportFile,
    #[serde(default)]
    pub(super) tickets: TicketsFile,
    #[serde(default)]
    pub(super) mailbox: Vec<MailboxFile>,
    pub(super) smtp: SmtpFile,
    #[serde(default)]
    pub(super) ack: AckFile,
    #[serde(default)]
    pub(super) auth: AuthFile,
    #[serde(default)]
    pub(super) limits: LimitsFile,
    #[serde(default)]
    pub(super) notify: Vec<NotifyFile>,
}

fn state_dir() -> PathBuf {
    "/var/lib/acuse".into()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SupportFile {
    pub(super) name: String,
    pub(super) addresses: Vec<Written<String>>,
    #[serde(default)]
    pub(super) staff: Vec<Written<String>>,
    #[serde(default)]
    pub(super) forms: Vec<Written<String>>,
    #[serde(default)]
    pub(super) lists: Vec<String>,
    pub(super) phone: Option<String>,
    pub(super) chat: Option<String>,
    pub(super) help_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TicketsFile {
    pub(super) prefix: Written<String>,
    pub(super) reopen_days: u16,
    pub(super) close_after: Duration,
}

impl Default for TicketsFile {
    fn default() -> Self {
        Self { prefix: unwritten("ACU"), reopen_days: 14, close_after: unwritten("7d") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MailboxFile {
    pub(super) name: String,
    host: String,
    #[serde(default = "imaps")]
    port: u16,
    #[serde(default = "implicit")]
    tls: Written<String>,
    ca_file: Option<Written<PathBuf>>,
    user: String,
    password_file: Option<Written<PathBuf>>,
    oauth: Option<Written<OAuthFile>>,
    token_command: Option<Written<Vec<String>>>,
    #[serde(default = "inbox")]
    pub(super) folders: Vec<String>,
    #[serde(default = "after")]
    pub(super) after: Written<String>,
    #[serde(default = "move_to")]
    pub(super) move_to: String,
    #[serde(default = "quarantine_to")]
    pub(super) quarantine_to: String,
    #[serde(default = "poll")]
    pub(super) poll: Duration,
    #[serde(default = "backlog")]
    pub(super) backlog: Duration,
}

fn imaps() -> u16 {
    993
}

fn implicit() -> Written<String> {
    unwritten("implicit")
}

fn inbox() -> Vec<String> {
    vec!["INBOX".into()]
}

fn after() -> Written<String> {
    unwritten("move")
}

fn move_to() -> String {
    "Acuse/Procesados".into()
}

fn quarantine_to() -> String {
    "Acuse/Cuarentena".into()
}

fn poll() -> Duration {
    unwritten("60s")
}

fn backlog() -> Duration {
    unwritten("72h")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmtpFile {
    host: String,
    #[serde(default = "submissions")]
    port: u16,
    #[serde(default = "implicit")]
    tls: Written<String>,
    ca_file: Option<Written<PathBuf>>,
    user: Option<String>,
    password_file: Option<Written<PathBuf>>,
    oauth: Option<Written<OAuthFile>>,
    token_command: Option<Written<Vec<String>>>,
    pub(super) from: Written<String>,
    pub(super) reply_to: Option<Written<String>>,
    #[serde(default = "null")]
    pub(super) envelope_from: Written<String>,
    pub(super) retry: Option<Vec<Duration>>,
    pub(super) timeout: Option<Duration>,
}

fn submissions() -> u16 {
    465
}

fn null() -> Written<String> {
    unwritten("null")
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AckFile {
    pub(super) max_age: Duration,
}

impl Default for AckFile {
    fn default() -> Self {
        Self { max_age: unwritten("6h") }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuthFile {
    pub(super) authserv_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub(super) per_address_hour: u32,
    pub(super) per_address_day: u32,
    pub(super) per_domain_hour: u32,
    pub(super) per_hour: u32,
    pub(super) breaker_floor: u32,
    pub(super) max_size_mib: u64,
    pub(super) min_free_mib: Option<u64>,
}

impl Default for LimitsFile {
    fn default() -> Self {
        let limits = crate::site::Limits::default();
        Self {
            per_address_hour: limits.per_address_hour,
            per_address_day: limits.per_address_day,
            per_domain_hour: limits.per_domain_hour,
            per_hour: limits.per_hour,
            breaker_floor: limits.breaker_floor,
            max_size_mib: 50,
            min_free_mib: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyFile {
    #[serde(default)] // that it is missing is told with whatever else is wrong
    pub(super) mail: Vec<Written<String>>,
    pub(super) on: Option<Vec<Written<String>>>,
    #[serde(default = "every")]
    pub(super) every: Duration,
    #[serde(default = "lang")]
    pub(super) lang: Written<String>,
}

fn every() -> Duration {
    unwritten("10m")
}

fn lang() -> Written<String> {
    unwritten("es")
}

/// `oauth` of a mailbox or the relay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthFile {
    pub(super) provider: Option<Written<String>>,
    pub(super) tenant: Option<Written<String>>,
    pub(super) client_id: String,
    pub(super) client_secret_file: Option<Written<PathBuf>>,
    pub(super) refresh_token_file: Option<Written<PathBuf>>,
    pub(super) token_url: Option<Written<String>>,
    pub(super) device_url: Option<Written<String>>,
    pub(super) scope: Option<String>,
    #[serde(default = "refresh_token")]
    pub(super) grant: Written<String>,
    pub(super) ca_file: Option<Written<PathBuf>>,
}

fn refresh_token() -> Written<String> {
    unwritten("refresh_token")
}

/// What IMAP and SMTP servers have in common.
#[derive(Debug)]
pub(super) struct ServerFile<'a> {
    pub(super) host: &'a String,
    pub(super) port: u16,
    pub(super) tls: &'a Written<String>,
    pub(super) ca_file: Option<&'a Written<PathBuf>>,
    pub(super) user: Option<&'a String>,
    pub(super) password_file: Option<&'a Written<PathBuf>>,
    pub(super) oauth: Option<&'a Written<OAuthFile>>,
    pub(super) token_command: Option<&'a Written<Vec<String>>>,
}

impl MailboxFile {
    pub(super) fn server(&self) -> ServerFile<'_> {
        ServerFile {
            host: &self.host,
            port: self.port,
            tls: &self.tls,
            ca_file: self.ca_file.as_ref(),
            user: Some(&self.user),
            password_file: self.password_file.as_ref(),
            oauth: self.oauth.as_ref(),
            token_command: self.token_command.as_ref(),
        }
    }
}

impl SmtpFile {
    pub(super) fn server(&self) -> ServerFile<'_> {
        ServerFile {
            host: &self.host,
            port: self.port,
            tls: &self.tls,
            ca_file: self.ca_file.as_ref(),
            user: self.user.as_ref(),
            password_file: self.password_file.as_ref(),
            oauth: self.oauth.as_ref(),
            token_command: self.token_command.as_ref(),
        }
    }
}

/// A default: it stands nowhere, and is never wrong.
fn unwritten(text: &str) -> Written<String> {
    Spanned::new(0..0, text.to_owned())
}

/// Reads `90s`, `15m`, `72h` or `7d`.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.trim().chars().next_back()?;
    let number: i64 =
        text.trim().strip_suffix(unit)?.trim_end().parse().ok().filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Some(SignedDuration::from_secs(90)));
        assert_eq!(duration("7d"), Some(SignedDuration::from_hours(168)));
        for wrong in
            ["", "h", "-1h", "1", "1w", "1.5h", "99999999999999999999d", "9223372036854775807d", "1ñ"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
