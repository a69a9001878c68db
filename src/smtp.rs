//! Hands one mail at a time to the relay, and says what became of it.
//!
//! The words are lettre's: its commands, their parameters, its login mechanisms, its reading of replies. The
//! conversation is our own (`conversation`), because lettre's client takes a Latin-1 reply for a broken network,
//! keeps plaintext buffered across STARTTLS, hides whether the relay offers DSN, ends a mail that ends in CRLF with
//! an empty line, has no time-out after connecting, and cannot tell a connection lost before the final dot from one
//! lost after it: the one difference that decides whether a second try may arrive twice.

use std::time::Duration;

mod conversation;
mod reply;
#[cfg(test)]
mod tests;

use lettre::Address;
use lettre::address::AddressError;
use lettre::transport::smtp::extension::ClientId;

use crate::config::Server;
use crate::imap::tls::Trust;

use conversation::{Conversation, Failure};

const UNSPEAKABLE: &str = "acuse: the address cannot be said in SMTP";

/// The relay of `[smtp]`, with the connection that is open, if one is.
pub struct Relay {
    server: Server,
    hello: ClientId,
    trust: Trust,
    timeouts: Timeouts,
    open: Option<Conversation>,
}

/// How long each step may take. The default is RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For each address tried, and again for the TLS handshake.
    pub connect: Duration,
    /// For the greeting and for the answer to each command.
    pub command: Duration,
    /// For the answer to DATA.
    pub data: Duration,
    /// For each block of the mail to be taken.
    pub block: Duration,
    /// For the answer to the final dot.
    pub end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let connect = Duration::from_secs(30);
        Self { connect, command: minutes(5), data: minutes(2), block: minutes(3), end: minutes(10) }
    }
}

/// One mail and its envelope.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The envelope sender; `None` is `<>`.
    pub from: Option<&'a str>,
    /// The one recipient.
    pub to: &'a str,
    /// Which delivery reports the relay shall send.
    pub notify: Notify,
    /// What such a report shall call this mail (RFC 3461 §4.4): 1 to 100 printable characters.
    pub envelope_id: Option<&'a str>,
    /// The mail, with CRLF line ends. It is sent as it is, but for the doubled dots that the relay removes.
    pub bytes: &'a [u8],
}

/// Delivery reports asked for (RFC 3461 §4.1), where the relay offers DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// None, ever.
    Never,
    /// When the mail cannot be delivered.
    Failure,
}

/// What became of a mail. Replies are stripped of controls and cut; none carries a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The relay has it.
    Sent {
        /// Its words.
        reply: String,
    },
    /// Not now.
    Deferred {
        /// Its words, or ours where it said nothing.
        reply: String,
        /// How far it went.
        step: Step,
        /// The mail was sent whole and no answer came: the relay may have it.
        ambiguous: bool,
    },
    /// Not ever, as it is.
    Refused {
        /// The relay's words, or ours where the envelope cannot even be said.
        reply: String,
        /// What it refuses: at [`Step::MailFrom`] the sender, which with `<>` says nothing of the recipient.
        step: Step,
    },
}

/// A step of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Connection and TLS.
    Connect,
    /// Greeting, EHLO, STARTTLS.
    Hello,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// DATA and the mail, up to its final dot.
    Data,
    /// The answer to the final dot.
    End,
}

impl Outcome {
    /// How far the mail went.
    pub fn step(&self) -> Step {
        match self {
            Self::Sent { .. } => Step::End,
            Self::Deferred { step, .. } | Self::Refused { step, .. } => *step,
        }
    }
}

impl Relay {
    /// A relay not yet connected, which we greet as the host `hello`.
    pub fn new(server: &Server, hello: &str, timeouts: Timeouts) -> Self {
        Self {
            server: server.clone(),
            hello: ClientId::Domain(hello.to_owned()),
            trust: Trust::default(),
            timeouts,
            open: None,
        }
    }

    /// Sends one mail, over the open connection where it still serves. A future that is dropped closes it.
    pub async fn send(&mut self, mail: &Outgoing<'_>) -> Outcome {
        let unspeakable = |step| Outcome::Refused { reply: UNSPEAKABLE.to_owned(), step };
        let Ok(from) = mail.from.map(speakable).transpose() else { return unspeakable(Step::MailFrom) };
        let Ok(to) = speakable(mail.to) else { return unspeakable(Step::RcptTo) };
        let used = match self.open.take() {
            Some(mut open) => match open.envelope(mail, from.clone(), to.clone(), true).await {
                Err(failure) if failure.came_before_the_mail() => None,
                envelope => Some((open, envelope)),
            },
            None => None,
        };
        let (mut conversation, envelope) = match used {
            Some(used) => used,
            None => match self.connect().await {
                Ok(mut new) => {
                    let envelope = new.envelope(mail, from, to, false).await;
                    (new, envelope)
                }
                Err(failure) => return failure.into_server_trouble(),
            },
        };
        let sent = match envelope {
            Ok(()) => conversation.content(mail).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(reply) => {
                self.open = Some(conversation);
                Outcome::Sent { reply }
            }
            Err(failure) => {
                if failure.leaves_connection_usable() && conversation.is_in_step() {
                    self.open = Some(conversation);
                }
                failure.into()
            }
        }
    }

    /// Whether a connection is open and logged in, as far as anybody knows.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Logs in, where no connection is open, and sends nothing.
    ///
    /// # Errors
    /// The outcome that a mail would have.
    pub async fn probe(&mut self) -> Result<(), Outcome> {
        if self.open.is_none() {
            self.open = Some(self.connect().await.map_err(Failure::into_server_trouble)?);
        }
        Ok(())
    }

    /// Takes leave, when there is nothing more to send for a while.
    pub async fn close(&mut self) {
        if let Some(conversation) = self.open.take() {
            conversation.quit().await;
        }
    }

    async fn connect(&self) -> Result<Conversation, Failure> {
        Conversation::open(&self.server, &self.hello, &self.trust, self.timeouts).await
    }
}

/// An address that would be read as something else inside a command never reaches one. No more is asked: lettre's own
/// check refuses addresses that exist, such as `a..b@cliente.example`.
fn speakable(address: &str) -> Result<Address, AddressError> {
    let breaks_out = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
    match address.rsplit_once('@').ok_or(AddressError::MissingParts)? {
        ("", _) | (_, "") => Err(AddressError::MissingParts),
        _ if address.contains(breaks_out) => Err(AddressError::InvalidInput),
        (local, domain) => Ok(Address::new_dangerous(local, domain)),
    }
}
