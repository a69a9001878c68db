//! One SMTP connection (RFC 5321): greeting, TLS, login, mails, each step with its own patience.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::{Notify, Outcome, Outgoing, Step, Timeouts};
use crate::config::{Login, Server, Tls};
use crate::imap::printable;
use crate::imap::tls::{self, DialError, Stream, Trust};

/// RFC 5321 §4.5.3.1.5 says 512 bytes.
const MAX_LINE: u64 = 4 * 1024;
const MAX_LINES: usize = 128;
/// What is written at once under [`Timeouts::block`].
const BLOCK: usize = 64 * 1024;

/// A connection that has said EHLO and is logged in.
pub(super) struct Conversation {
    stream: BufReader<Stream>,
    timeouts: Timeouts,
    /// What EHLO offers, in capitals, each with its parameters.
    offers: Vec<String>,
}

/// A complete reply.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// Why a step did not go on.
#[derive(Debug)]
pub(super) struct Failure {
    step: Step,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    /// The relay says no, or something that this step does not allow for.
    #[error("{}", .0.words())]
    Reply(Reply),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection was closed")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the answer is no SMTP reply")]
    NotSmtp,
    #[error("the relay offers no STARTTLS")]
    NoStartTls,
    #[error("the relay sends text between STARTTLS and TLS")]
    Injected,
    #[error("the relay offers neither AUTH PLAIN nor AUTH LOGIN")]
    NoAuth,
    #[error("the address needs SMTPUTF8, which the relay does not offer")]
    NoSmtpUtf8,
}

impl Reply {
    /// The code and the text, fit for a log line.
    pub(super) fn words(&self) -> String {
        printable(&format!("{} {}", self.code, self.lines.join(" ")))
    }

    fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

impl Failure {
    /// Whatever goes wrong before MAIL FROM says nothing of the mail.
    pub(super) fn into_server_trouble(self) -> Outcome {
        Outcome::Deferred { reply: self.cause.to_string(), step: self.step, ambiguous: false }
    }

    /// Tells whether the relay goes on listening: it said no, and did not take its leave (421).
    pub(super) fn leaves_connection_usable(&self) -> bool {
        match &self.cause {
            // A reply before the final dot leaves the relay in the middle of a mail.
            Cause::Reply(reply) => {
                reply.code != 421 && (400..600).contains(&reply.code) && self.step != Step::Data
            }
            Cause::NoSmtpUtf8 => true,
            _ => false,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        let (step, reply) = (failure.step, failure.cause.to_string());
        match failure.cause {
            // RFC 4954 §6: these ask for a login, not for another mail.
            Cause::Reply(Reply { code: 530 | 534 | 535 | 538, .. }) => {
                Self::Deferred { reply, step, ambiguous: false }
            }
            Cause::Reply(Reply { code: 500..600, .. }) | Cause::NoSmtpUtf8 => Self::Refused { reply, step },
            Cause::Reply(Reply { code: 400..500, .. }) => Self::Deferred { reply, step, ambiguous: false },
            _ => Self::Deferred { reply, step, ambiguous: step == Step::End },
        }
    }
}

impl Conversation {
    pub(super) async fn open(
        server: &Server,
        hello: &str,
        trust: &Trust,
        timeouts: Timeouts,
    ) -> Result<Self, Failure> {
        let connect = |cause: DialError| Failure { step: Step::Connect, cause: cause.into() };
        let tcp = tls::dial(server, timeouts.connect).await.map_err(connect)?;
        let stream = match server.tls {
            Tls::Implicit => trust.secure(tcp, server, timeouts.connect).await.map_err(connect)?,
            Tls::StartTls | Tls::None => Either::Left(tcp),
        };
        let conversation = Self { stream: BufReader::new(stream), timeouts, offers: Vec::new() };
        let greeted = conversation.greet(server, hello, trust).await;
        let mut conversation = greeted.map_err(|cause| Failure { step: Step::Hello, cause })?;
        if let Some(login) = &server.login {
            let logged_in = conversation.log_in(login).await;
            logged_in.map_err(|cause| Failure { step: Step::Auth, cause: without_secret(cause, login) })?;
        }
        Ok(conversation)
    }

    async fn greet(mut self, server: &Server, hello: &str, trust: &Trust) -> Result<Self, Cause> {
        positive(self.reply(self.timeouts.command).await?)?;
        self.hello(hello).await?;
        if server.tls != Tls::StartTls {
            return Ok(self);
        }
        if self.parameters("STARTTLS").is_none() {
            return Err(Cause::NoStartTls);
        }
        positive(self.command("STARTTLS").await?)?;
        // RFC 3207 §6: what somebody put behind the answer must not be read as said under TLS.
        if !self.stream.buffer().is_empty() {
            return Err(Cause::Injected);
        }
        let stream = match self.stream.into_inner() {
            Either::Left(tcp) => trust.secure(tcp, server, self.timeouts.connect).await?,
            secured @ Either::Right(_) => secured,
        };
        let mut secured = Self { stream: BufReader::new(stream), ..self };
        secured.hello(hello).await?;
        Ok(secured)
    }

    async fn hello(&mut self, hello: &str) -> Result<(), Cause> {
        let reply = positive(self.command(&format!("EHLO {hello}")).await?)?;
        self.offers = reply.lines.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    /// What stands behind a keyword of EHLO; some old servers write `AUTH=LOGIN`.
    fn parameters(&self, keyword: &str) -> Option<&str> {
        self.offers.iter().find_map(|offer| match offer.strip_prefix(keyword)? {
            "" => Some(""),
            rest => rest.strip_prefix([' ', '=']),
        })
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Cause> {
        let password = login.password.expose_secret();
        let offers =
            |mechanism| self.parameters("AUTH").is_some_and(|all| all.split(' ').any(|one| one == mechanism));
        let last = if offers("PLAIN") {
            // RFC 4616
            let secret = Zeroizing::new(format!("\0{}\0{password}", login.user));
            Zeroizing::new(format!("AUTH PLAIN {}", *Zeroizing::new(STANDARD.encode(secret.as_bytes()))))
        } else if offers("LOGIN") {
            challenged(self.command("AUTH LOGIN").await?)?;
            challenged(self.command(&STANDARD.encode(&login.user)).await?)?;
            Zeroizing::new(STANDARD.encode(password))
        } else {
            return Err(Cause::NoAuth);
        };
        positive(self.command(&last).await?)?;
        Ok(())
    }

    /// Forgets a mail half-said, which also shows whether anybody is there.
    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        let patience = self.timeouts.command.min(self.timeouts.connect);
        let reset = self.say("RSET", patience).await.and_then(positive);
        reset.map(drop).map_err(|cause| Failure { step: Step::Hello, cause })
    }

    /// Sends one mail; the reply is the one to its final dot.
    pub(super) async fn deliver(&mut self, mail: &Outgoing<'_>) -> Result<Reply, Failure> {
        let at = |step| move |cause| Failure { step, cause };
        self.mail_from(mail).await.map_err(at(Step::MailFrom))?;
        self.rcpt_to(mail).await.map_err(at(Step::RcptTo))?;
        self.data(mail.bytes).await.map_err(at(Step::Data))?;
        // From here on the relay may have the mail, whatever comes back.
        let dot = if mail.bytes.is_empty() || mail.bytes.ends_with(b"\r\n") { ".\r\n" } else { "\r\n.\r\n" };
        let end = async {
            self.write(dot.as_bytes()).await?;
            positive(self.reply(self.timeouts.end).await?)
        };
        end.await.map_err(at(Step::End))
    }

    async fn mail_from(&mut self, mail: &Outgoing<'_>) -> Result<(), Cause> {
        let from = mail.from.unwrap_or_default();
        let mut line = format!("MAIL FROM:<{from}>");
        if self.parameters("SIZE").is_some() {
            line += &format!(" SIZE={}", mail.bytes.len()); // RFC 1870
        }
        if !mail.bytes.is_ascii() && self.parameters("8BITMIME").is_some() {
            line += " BODY=8BITMIME"; // RFC 6152
        }
        if !(from.is_ascii() && mail.to.is_ascii()) {
            if self.parameters("SMTPUTF8").is_none() {
                return Err(Cause::NoSmtpUtf8);
            }
            line += " SMTPUTF8"; // RFC 6531
        }
        if self.parameters("DSN").is_some() {
            line += " RET=HDRS"; // RFC 3461 §4.3
        }
        positive(self.command(&line).await?).map(drop)
    }

    async fn rcpt_to(&mut self, mail: &Outgoing<'_>) -> Result<(), Cause> {
        let notify = match mail.notify {
            _ if self.parameters("DSN").is_none() => "",
            Notify::Never => " NOTIFY=NEVER",
            Notify::Failure => " NOTIFY=FAILURE",
        };
        positive(self.command(&format!("RCPT TO:<{}>{notify}", mail.to)).await?).map(drop)
    }

    /// Sends the mail without its final dot.
    async fn data(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let reply = self.say("DATA", self.timeouts.data).await?;
        if reply.code != 354 {
            return Err(Cause::Reply(reply));
        }
        for block in dots_doubled(bytes).chunks(BLOCK) {
            self.write(block).await?;
        }
        // A relay that gave up meanwhile has not got the mail: as long as the dot is not sent, that is certain.
        tokio::task::yield_now().await;
        match timeout(Duration::ZERO, self.stream.fill_buf()).await {
            Err(_) => Ok(()),
            Ok(Ok([])) => Err(Cause::Closed),
            Ok(Ok(_)) => Err(Cause::Reply(self.reply(self.timeouts.command).await?)),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// Says QUIT without waiting long for the answer.
    pub(super) async fn quit(mut self) {
        let _ = self.say("QUIT", self.timeouts.command.min(Duration::from_secs(2))).await;
    }

    async fn command(&mut self, line: &str) -> Result<Reply, Cause> {
        self.say(line, self.timeouts.command).await
    }

    async fn say(&mut self, line: &str, patience: Duration) -> Result<Reply, Cause> {
        let line = Zeroizing::new(format!("{line}\r\n"));
        timeout(patience, self.write(line.as_bytes())).await.unwrap_or(Err(Cause::Timeout(patience)))?;
        self.reply(patience).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let patience = self.timeouts.block;
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(patience, write).await.map_err(|_| Cause::Timeout(patience))?.map_err(Cause::Io)
    }

    async fn reply(&mut self, patience: Duration) -> Result<Reply, Cause> {
        timeout(patience, self.read_reply()).await.unwrap_or(Err(Cause::Timeout(patience)))
    }

    /// RFC 5321 §4.2.1. Text in any charset is let pass: some relays excuse themselves in Latin-1.
    async fn read_reply(&mut self) -> Result<Reply, Cause> {
        let mut reply = Reply { code: 0, lines: Vec::new() };
        while reply.lines.len() < MAX_LINES {
            let mut line = Vec::new();
            (&mut self.stream).take(MAX_LINE).read_until(b'\n', &mut line).await?;
            if !line.ends_with(b"\n") {
                return Err(if line.len() as u64 == MAX_LINE { Cause::NotSmtp } else { Cause::Closed });
            }
            let line = String::from_utf8_lossy(line.trim_ascii_end());
            let (code, text) = line.split_at_checked(3).ok_or(Cause::NotSmtp)?;
            let code = code.parse().ok().filter(|code| (200..600).contains(code)).ok_or(Cause::NotSmtp)?;
            let goes_on = text.starts_with('-');
            if !(goes_on || text.is_empty() || text.starts_with(' '))
                || (reply.code != 0 && reply.code != code)
            {
                return Err(Cause::NotSmtp);
            }
            reply.code = code;
            reply.lines.push(text.chars().skip(1).collect());
            if !goes_on {
                return Ok(reply);
            }
        }
        Err(Cause::NotSmtp)
    }
}

fn positive(reply: Reply) -> Result<Reply, Cause> {
    if reply.is_positive() { Ok(reply) } else { Err(Cause::Reply(reply)) }
}

fn challenged(reply: Reply) -> Result<(), Cause> {
    if reply.code == 334 { Ok(()) } else { Err(Cause::Reply(reply)) }
}

/// Some servers repeat the command that they refuse.
fn without_secret(cause: Cause, login: &Login) -> Cause {
    let Cause::Reply(mut reply) = cause else { return cause };
    let password = login.password.expose_secret();
    let pair = Zeroizing::new(format!("\0{}\0{password}", login.user));
    let secrets = [STANDARD.encode(pair.as_bytes()), STANDARD.encode(password), password.to_owned()];
    for secret in secrets.map(Zeroizing::new).iter().filter(|secret| !secret.is_empty()) {
        for line in &mut reply.lines {
            *line = line.replace(secret.as_str(), "[…]");
        }
    }
    Cause::Reply(reply)
}

/// RFC 5321 §4.5.2: a line that starts with a dot gets another.
fn dots_doubled(bytes: &[u8]) -> Vec<u8> {
    let mut doubled = Vec::with_capacity(bytes.len() + 16);
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") && (doubled.is_empty() || doubled.ends_with(b"\r\n")) {
            doubled.push(b'.');
        }
        doubled.extend_from_slice(line);
    }
    doubled
}
