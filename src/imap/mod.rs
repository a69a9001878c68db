//! An IMAP session that tells "nothing new" from "it did not work"; async-imap frames and parses, no more.
//!
//! The commands are our own (`wire`), because async-imap's report a tagged NO and a closed socket as success
//! with nothing found, which would read as "no new mail" for ever. What is sent: CAPABILITY, STARTTLS,
//! AUTHENTICATE, LOGIN, SELECT, EXAMINE, UID FETCH (sizes, dates, bodies), UID STORE, UID MOVE, UID COPY,
//! UID EXPUNGE, LIST, CREATE, IDLE, NOOP, LOGOUT; nothing whose answer imap-proto cannot read.
//!
//! After any error but [`ImapError::No`] and [`ImapError::Bad`] the session is of no more use: open another.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

mod connect;
mod fetch;
mod folders;
#[cfg(not(fuzzing))]
mod guard;
#[cfg(fuzzing)]
pub mod guard;
mod login;
mod names;
mod select;
mod settle;
#[cfg(test)]
pub(crate) mod tests;
pub mod tls;
mod wait;
mod wire;

pub use fetch::{Fetched, Listed, MAX_LISTED};
pub use select::Selected;
pub use settle::{MAX_SET, Settle};
pub use wait::Woken;

use wire::Wire;

use crate::reply::header::HeaderText;
use crate::tokens::TokenError;

/// A logged-in connection; commands that name UIDs act on the folder selected last.
pub struct Session {
    wire: Wire,
    /// In capitals.
    capabilities: BTreeSet<String>,
    selected: Option<Selected>,
    namespace: Option<folders::Namespace>,
    /// Folders as people write them → as the server has them, once known to exist.
    folders: BTreeMap<String, String>,
    idle: bool,
}

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For each address tried, and again for the TLS handshake.
    pub connect: Duration,
    /// For one response; a longer one must keep coming at 1 KiB a second.
    pub response: Duration,
    /// For one command with all its responses.
    pub command: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            response: Duration::from_secs(60),
            command: Duration::from_secs(600),
        }
    }
}

/// Why a command did not do its work. Texts of the server are stripped of controls and cut; none carries a
/// password or a mail.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] tls::DialError),
    /// There is no access token to log in with, for a reason that may pass.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server does not take the user, the password or the token.
    #[error("login refused: {0}")]
    AuthRefused(String),
    /// The command was understood and refused; the session goes on.
    #[error("{command}: the server says NO: {text}")]
    No {
        /// The command's name.
        command: &'static str,
        /// The reason, where it is one that we act on.
        code: Code,
        /// The server's words.
        text: String,
    },
    /// The command was not understood; the session goes on.
    #[error("{command}: the server says BAD: {text}")]
    Bad {
        /// The command's name.
        command: &'static str,
        /// The server's words.
        text: String,
    },
    /// The server takes its leave.
    #[error("the server closes the session: {0}")]
    Bye(String),
    /// The connection was closed without a word.
    #[error("{command}: the connection was closed")]
    Eof {
        /// The command that was under way.
        command: &'static str,
    },
    /// The server is silent, or too slow.
    #[error("{command}: no answer in time")]
    Timeout {
        /// The command that was under way.
        command: &'static str,
    },
    /// The connection broke.
    #[error("{command}: {source}")]
    Io {
        /// The command that was under way.
        command: &'static str,
        /// What the network says.
        source: io::Error,
    },
    /// The server breaks the protocol or a limit.
    #[error("{command}: {violation}")]
    Protocol {
        /// The command that was under way.
        command: &'static str,
        /// What it did.
        violation: Violation,
    },
    /// An earlier command was abandoned half-way, so what comes next on the line is not ours to interpret.
    #[error("{command}: an earlier command was abandoned half-way")]
    Abandoned {
        /// The command that was not sent.
        command: &'static str,
    },
    /// The server has neither MOVE nor UIDPLUS: taking a mail out would need a bare EXPUNGE, which also
    /// removes what somebody else marked.
    #[error("the server offers neither MOVE nor UIDPLUS: mail cannot be moved or deleted safely")]
    CannotMove,
    /// A command on UIDs without a folder selected.
    #[error("{command}: no folder is selected")]
    NotSelected {
        /// The command that was not sent.
        command: &'static str,
    },
}

impl ImapError {
    /// Tells whether trying again later may be enough; otherwise somebody has to change something, on the
    /// server or in the configuration.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Dial(dial) => dial.is_temporary(),
            Self::Token(token) => token.is_temporary(),
            Self::AuthRefused(_) | Self::Bad { .. } | Self::CannotMove | Self::NotSelected { .. } => false,
            Self::No { code, .. } => {
                matches!(code, Code::Unavailable | Code::ExpungeIssued | Code::TryCreate)
            }
            Self::Bye(_)
            | Self::Eof { .. }
            | Self::Timeout { .. }
            | Self::Io { .. }
            | Self::Abandoned { .. } => true,
            Self::Protocol { violation, .. } => !matches!(
                violation,
                Violation::NoUidValidity
                    | Violation::NoStartTls
                    | Violation::NoTokenLogin
                    | Violation::Preauth
                    | Violation::Injected
            ),
        }
    }

    /// Tells whether the session can still be used.
    pub fn leaves_session_usable(&self) -> bool {
        matches!(self, Self::No { .. } | Self::Bad { .. } | Self::CannotMove | Self::NotSelected { .. })
    }
}

/// The response codes that we act on (RFC 3501 §7.1, RFC 5530).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `TRYCREATE`: the destination is missing.
    TryCreate,
    /// `ALREADYEXISTS`.
    AlreadyExists,
    /// `EXPUNGEISSUED`: some of the mails are gone.
    ExpungeIssued,
    /// `UNAVAILABLE`, `INUSE`, `LIMIT`, `SERVERBUG`: it may work later.
    Unavailable,
    /// Any other, or none.
    Other,
}

/// How a server breaks the protocol, or a limit of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// More bytes than were asked for, or than a mail may have.
    #[error("a literal of {announced} bytes goes over the limit")]
    Literal {
        /// What the server announces.
        announced: u64,
    },
    /// A literal where nothing was asked for.
    #[error("a literal in an unexpected place")]
    StrayLiteral,
    /// A response without end.
    #[error("a response line over the limit")]
    LongLine,
    /// Nesting that would exhaust the parser's stack.
    #[error("too many parentheses in one response")]
    Parentheses,
    /// A line that ends in LF alone.
    #[error("a response line that does not end in CRLF")]
    BareLineFeed,
    /// A response that ends inside a parenthesis.
    #[error("a response that ends too early")]
    Unfinished,
    /// A response that the parser does not understand, or that made it panic.
    #[error("a response that cannot be read")]
    Unreadable,
    /// The first line is no greeting.
    #[error("no IMAP greeting")]
    NoGreeting,
    /// PREAUTH: the session belongs to somebody already, and STARTTLS is no longer possible (CVE-2020-12398).
    #[error("the server greets with PREAUTH")]
    Preauth,
    /// STARTTLS is configured, not offered, and never optional.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// A token is configured, and no mechanism takes one.
    #[error("the server offers neither AUTH=OAUTHBEARER nor AUTH=XOAUTH2")]
    NoTokenLogin,
    /// Bytes after the answer to STARTTLS, which an attacker wants to be read as the server's under TLS.
    #[error("the server sends text between STARTTLS and TLS")]
    Injected,
    /// UIDVALIDITY is missing or 0, so UIDs mean nothing (RFC 3501 §2.3.1.1).
    #[error("the folder has no UIDVALIDITY")]
    NoUidValidity,
    /// UIDVALIDITY changed while the folder was selected: its UIDs name other mails now.
    #[error("the folder's UIDVALIDITY changed meanwhile")]
    Renumbered,
    /// More mail than the limit of the fetch.
    #[error("mails larger than announced")]
    TooMuch,
}

impl Session {
    /// Asks for nothing, which keeps the connection alive and lets the server report news.
    ///
    /// # Errors
    /// [`ImapError`]
    pub async fn noop(&mut self) -> Result<(), ImapError> {
        self.wire.command("NOOP", "NOOP", |_| ()).await
    }

    /// Takes leave, without waiting long for the answer.
    pub async fn logout(mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let _ = tokio::time::timeout(PATIENCE, self.wire.command("LOGOUT", "LOGOUT", |_| ())).await;
    }

    /// Tells whether the server pushes news, so that waiting longer than the polling interval makes sense.
    pub fn idles(&self) -> bool {
        self.idle
    }

    /// What the server last wanted a person to read (RFC 3501 §7.1 ALERT), once.
    pub fn take_alert(&mut self) -> Option<String> {
        self.wire.alert.take()
    }

    /// Tells whether nothing can be settled in the selected folder.
    pub fn is_read_only(&self) -> bool {
        self.selected.is_some_and(|selected| selected.read_only)
    }

    fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }
}

/// A server's words, fit for a log line or a terminal (I17): no controls, no bidi overrides, not too long.
pub(crate) fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    HeaderText::new(text, MAX_CHARS).as_str().to_owned()
}
