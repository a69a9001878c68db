//! One SMTP connection (RFC 5321): greeting, TLS, login, mails, each step with its own patience.

use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter, RcptParameter};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::reply::{as_lettre_reads, words};
use super::{Notify, Outcome, Outgoing, Step, Timeouts};
use crate::config::{Credential, Server, Tls};
use crate::imap::tls::{self, DialError, Stream, Trust};
use crate::oauth::sasl;
use crate::tokens::TokenError;

/// RFC 5321 §4.5.3.1.5 says 512 bytes.
const MAX_LINE: u64 = 4 * 1024;
const MAX_LINES: usize = 128;
/// What is written at once under [`Timeouts::block`].
const BLOCK: usize = 64 * 1024;

/// A connection that has said EHLO and is logged in.
pub(super) struct Conversation {
    stream: BufReader<Stream>,
    timeouts: Timeouts,
    /// What EHLO offers, in capitals, each with its parameters. lettre's `ServerInfo` knows neither SIZE nor DSN,
    /// reads capitals only, and panics at a line of white space.
    offers: Vec<String>,
    /// Every command had its reply.
    in_step: bool,
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
    #[error("{}", words(.0))]
    Reply(Response),
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
    #[error("the relay offers neither AUTH OAUTHBEARER nor AUTH XOAUTH2")]
    NoTokenAuth,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the address needs SMTPUTF8, which the relay does not offer")]
    NoSmtpUtf8,
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
            Cause::Reply(reply) => !reply.is_positive() && !reply.has_code(421) && self.step != Step::Data,
            Cause::NoSmtpUtf8 => true,
            _ => false,
        }
    }

    /// Tells whether another token may do: the relay took none of this one (RFC 4954 §6; 454 is its own trouble).
    fn refuses_login(&self) -> bool {
        let is_no = |reply: &Response| reply.code().severity == Severity::PermanentNegativeCompletion;
        self.step == Step::Auth && matches!(&self.cause, Cause::Reply(reply) if is_no(reply))
    }

    /// Nobody answered RSET as they should: the connection lay idle for too long, and nothing was begun.
    pub(super) fn came_before_the_mail(&self) -> bool {
        self.step < Step::MailFrom
    }

    fn is_for_good(&self) -> bool {
        match &self.cause {
            // RFC 4954 §6: these ask for a login, not for another mail.
            Cause::Reply(reply) if matches!(u16::from(reply.code()), 530 | 534 | 535 | 538) => false,
            Cause::Reply(reply) => reply.code().severity == Severity::PermanentNegativeCompletion,
            Cause::NoSmtpUtf8 => true,
            _ => false,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        let (step, reply) = (failure.step, failure.cause.to_string());
        if failure.is_for_good() {
            return Self::Refused { reply, step };
        }
        let said_no = matches!(&failure.cause, Cause::Reply(reply) if !reply.is_positive());
        Self::Deferred { reply, step, ambiguous: step == Step::End && !said_no }
    }
}

impl Conversation {
    pub(super) async fn open(
        server: &Server,
        hello: &ClientId,
        trust: &Trust,
        timeouts: Timeouts,
    ) -> Result<Self, Failure> {
        let Some(login) = &server.login else {
            return Self::open_with(server, hello, None, trust, timeouts).await;
        };
        let no_token = |cause: TokenError| Failure { step: Step::Auth, cause: cause.into() };
        let first = login.credential().await.map_err(no_token)?;
        let opened = Self::open_with(server, hello, Some((&login.user, &first)), trust, timeouts).await;
        let Err(failure) = opened else { return opened };
        if !failure.refuses_login() {
            return Err(failure);
        }
        match login.another(&first).await.map_err(no_token)? {
            Some(second) => {
                Self::open_with(server, hello, Some((&login.user, &second)), trust, timeouts).await
            }
            None => Err(failure),
        }
    }

    async fn open_with(
        server: &Server,
        hello: &ClientId,
        login: Option<(&str, &Credential)>,
        trust: &Trust,
        timeouts: Timeouts,
    ) -> Result<Self, Failure> {
        let connect = |cause: DialError| Failure { step: Step::Connect, cause: cause.into() };
        let tcp = tls::dial(server, timeouts.connect).await.map_err(connect)?;
        let stream = match server.tls {
            Tls::Implicit => trust.secure(tcp, server, timeouts.connect).await.map_err(connect)?,
            Tls::StartTls | Tls::None => Either::Left(tcp),
        };
        let conversation =
            Self { stream: BufReader::new(stream), timeouts, offers: Vec::new(), in_step: true };
        let greeted = conversation.greet(server, hello, trust).await;
        let mut conversation = greeted.map_err(|cause| Failure { step: Step::Hello, cause })?;
        if let Some((user, credential)) = login {
            let logged_in = match credential {
                Credential::Password(password) => conversation.log_in(user, password).await,
                Credential::Token(token) => conversation.log_in_by_token(server, user, token).await,
            };
            logged_in.map_err(|cause| Failure { step: Step::Auth, cause })?;
        }
        Ok(conversation)
    }

    async fn greet(mut self, server: &Server, hello: &ClientId, trust: &Trust) -> Result<Self, Cause> {
        positive(self.reply(self.timeouts.command).await?)?;
        self.hello(hello).await?;
        if server.tls != Tls::StartTls {
            return Ok(self);
        }
        if self.parameters("STARTTLS").is_none() {
            return Err(Cause::NoStartTls);
        }
        positive(self.command(Starttls).await?)?;
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

    async fn hello(&mut self, hello: &ClientId) -> Result<(), Cause> {
        let reply = positive(self.command(Ehlo::new(hello.clone())).await?)?;
        self.offers = reply.message().skip(1).map(str::to_ascii_uppercase).collect();
        Ok(())
    }

    /// What stands behind a keyword of EHLO; some old servers write `AUTH=LOGIN`.
    fn parameters(&self, keyword: &str) -> Option<&str> {
        self.offers.iter().find_map(|offer| match offer.strip_prefix(keyword)? {
            "" => Some(""),
            rest => rest.strip_prefix([' ', '=']),
        })
    }

    fn offers_auth(&self, mechanism: &str) -> bool {
        self.parameters("AUTH").unwrap_or_default().split(' ').any(|one| one == mechanism)
    }

    async fn log_in(&mut self, user: &str, password: &SecretString) -> Result<(), Cause> {
        let password = password.expose_secret();
        let pair = STANDARD.encode(format!("\0{user}\0{password}"));
        let secrets = [pair, STANDARD.encode(password), password.to_owned()];
        let logged_in = self.log_in_by_password(user, password).await;
        logged_in.map_err(|cause| without_secrets(cause, &secrets, None))
    }

    async fn log_in_by_password(&mut self, user: &str, password: &str) -> Result<(), Cause> {
        let is_offered = |mechanism: &&Mechanism| self.offers_auth(&mechanism.to_string());
        let mechanism = *DEFAULT_MECHANISMS.iter().find(is_offered).ok_or(Cause::NoAuth)?;
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let auth = |challenge: Option<&str>| {
            let challenge = challenge.map(str::to_owned);
            Auth::new(mechanism, credentials.clone(), challenge).map_err(|_| Cause::NoAuth)
        };
        let mut reply = self.command(auth(None)?).await?;
        if mechanism == Mechanism::Login {
            // In this order, whatever the relay's words: some ask in their own language, some with an empty line.
            for challenge in ["Username:", "Password:"] {
                expect(334, reply)?;
                reply = self.command(auth(Some(challenge))?).await?;
            }
        }
        positive(reply).map(drop)
    }

    /// RFC 7628 §4.3, or XOAUTH2, which goes the same way: a relay that refuses says why in a challenge, which has to be
    /// answered before it says no.
    async fn log_in_by_token(
        &mut self,
        server: &Server,
        user: &str,
        token: &SecretString,
    ) -> Result<(), Cause> {
        let mechanism = sasl::Mechanism::best(|name| self.offers_auth(name)).ok_or(Cause::NoTokenAuth)?;
        let words = mechanism.initial(user, &server.host, server.port, token);
        let line = Zeroizing::new(format!("AUTH {} {}\r\n", mechanism.name(), *words));
        let mut reply = self.command(line.as_str()).await?;
        let mut told = None;
        if reply.has_code(334) {
            told = reply.message().next().and_then(sasl::told);
            reply = self.command(format!("{}\r\n", mechanism.acknowledgement())).await?;
        }
        let secrets = [token.expose_secret().to_owned(), words.to_string()];
        positive(reply).map(drop).map_err(|cause| without_secrets(cause, &secrets, told))
    }

    /// Whether every command had its reply, so that another mail may follow.
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Says whom a mail is from and to, all at once where the relay allows it (RFC 2920), so that a distant one costs one
    /// round trip and not three. `used`: mails went before it, and RSET shows whether anybody is there still; a failure at
    /// [`Step::Hello`] means that nobody is, and that nothing was begun.
    pub(super) async fn envelope(
        &mut self,
        mail: &Outgoing<'_>,
        from: Option<Address>,
        to: Address,
        used: bool,
    ) -> Result<(), Failure> {
        let is_ascii = mail.from.is_none_or(str::is_ascii) && mail.to.is_ascii();
        if !is_ascii && self.parameters("SMTPUTF8").is_none() {
            return Err(Failure { step: Step::MailFrom, cause: Cause::NoSmtpUtf8 });
        }
        // A word that nobody asked for would be read as the answer to RSET, and each after it as the next one's.
        if used && let Poll::Ready(heard) = self.heard().await {
            let cause =
                heard.map_or_else(Cause::from, |closed| if closed { Cause::Closed } else { Cause::NotSmtp });
            return Err(Failure { step: Step::Hello, cause });
        }
        let patience = self.timeouts.command;
        let reset = used.then(|| (Step::Hello, Rset.to_string(), patience.min(self.timeouts.connect)));
        let commands = [
            (Step::MailFrom, self.mail_from(mail, from).to_string(), patience),
            (Step::RcptTo, self.rcpt_to(mail, to).to_string(), patience),
        ];
        let commands: Vec<_> = reset.into_iter().chain(commands).collect();
        let at_once = if self.parameters("PIPELINING").is_some() { commands.len() } else { 1 };
        for group in commands.chunks(at_once) {
            self.in_step = false;
            let lines: String = group.iter().map(|(_, line, _)| line.as_str()).collect();
            let first = group.first().map_or(Step::Hello, |(step, ..)| *step);
            self.write(lines.as_bytes()).await.map_err(|cause| Failure { step: first, cause })?;
            let mut refused = None;
            for (step, _, patience) in group {
                let failure = |cause| Failure { step: *step, cause };
                match self.reply(*patience).await {
                    Ok(reply) => refused = refused.or(positive(reply).err().map(failure)),
                    Err(cause) => return Err(refused.unwrap_or(failure(cause))), // a no before it stands
                }
            }
            self.in_step = true;
            if let Some(refused) = refused {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Sends a mail whose envelope was taken; the words are those of the reply to its final dot.
    pub(super) async fn content(&mut self, mail: &Outgoing<'_>) -> Result<String, Failure> {
        let at = |step| move |cause| Failure { step, cause };
        self.data(mail.bytes).await.map_err(at(Step::Data))?;
        // From here on the relay may have the mail, whatever comes back. 221 takes leave, and says nothing of the mail.
        let dot = if mail.bytes.is_empty() || mail.bytes.ends_with(b"\r\n") { ".\r\n" } else { "\r\n.\r\n" };
        let end = async {
            self.write(dot.as_bytes()).await?;
            let reply = positive(self.reply(self.timeouts.end).await?)?;
            if reply.has_code(221) { Err(Cause::Closed) } else { Ok(words(&reply)) }
        };
        end.await.map_err(at(Step::End))
    }

    fn mail_from(&self, mail: &Outgoing<'_>, from: Option<Address>) -> Mail {
        let offers = |keyword| self.parameters(keyword).is_some();
        let is_ascii = mail.from.is_none_or(str::is_ascii) && mail.to.is_ascii();
        let is_8bit = !mail.bytes.is_ascii() && offers("8BITMIME");
        let other = |keyword: &str, value: &str| MailParameter::Other {
            keyword: keyword.to_owned(),
            value: Some(value.to_owned()), // lettre writes it as xtext
        };
        let ret = other("RET", "HDRS");
        let envelope_id = mail.envelope_id.map(|id| other("ENVID", id));
        let parameters = [
            offers("SIZE").then_some(MailParameter::Size(mail.bytes.len())), // RFC 1870
            is_8bit.then_some(MailParameter::Body(MailBodyParameter::EightBitMime)), // RFC 6152
            (!is_ascii).then_some(MailParameter::SmtpUtfEight),              // RFC 6531
            offers("DSN").then_some(ret),                                    // RFC 3461 §4.3
            envelope_id.filter(|_| offers("DSN")),                           // RFC 3461 §4.4
        ];
        Mail::new(from, parameters.into_iter().flatten().collect())
    }

    fn rcpt_to(&self, mail: &Outgoing<'_>, to: Address) -> Rcpt {
        let value = if mail.notify == Notify::Never { "NEVER" } else { "FAILURE" };
        let notify = RcptParameter::Other { keyword: "NOTIFY".to_owned(), value: Some(value.to_owned()) };
        Rcpt::new(to, self.parameters("DSN").map(|_| notify).into_iter().collect()) // RFC 3461 §4.1
    }

    /// Sends the mail without its final dot.
    async fn data(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        expect(354, self.say(Data, self.timeouts.data).await?)?;
        for block in dots_doubled(bytes).chunks(BLOCK) {
            self.write(block).await?;
        }
        // A relay that gave up meanwhile has not got the mail: as long as the dot is not sent, that is certain.
        tokio::task::yield_now().await;
        match self.heard().await {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(true)) => Err(Cause::Closed),
            Poll::Ready(Ok(false)) => Err(Cause::Reply(self.reply(self.timeouts.command).await?)),
            Poll::Ready(Err(error)) => Err(error.into()),
        }
    }

    /// A look at what the relay says unasked: nothing so far, its end (`true`), or a word. No time-out of nothing: the
    /// runtime's timers go by milliseconds.
    async fn heard(&mut self) -> Poll<io::Result<bool>> {
        poll_fn(|context| {
            Poll::Ready(Pin::new(&mut self.stream).poll_fill_buf(context).map_ok(<[u8]>::is_empty))
        })
        .await
    }

    /// Says QUIT without waiting long for the answer.
    pub(super) async fn quit(mut self) {
        let _ = self.say(Quit, self.timeouts.command.min(Duration::from_secs(2))).await;
    }

    async fn command(&mut self, command: impl Display) -> Result<Response, Cause> {
        self.say(command, self.timeouts.command).await
    }

    async fn say(&mut self, command: impl Display, patience: Duration) -> Result<Response, Cause> {
        let line = command.to_string();
        timeout(patience, self.write(line.as_bytes())).await.unwrap_or(Err(Cause::Timeout(patience)))?;
        self.reply(patience).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let patience = self.timeouts.block;
        let write = async {
            self.stream.write_all(bytes).await?;
            Ok(self.stream.flush().await?)
        };
        timeout(patience, write).await.unwrap_or(Err(Cause::Timeout(patience)))
    }

    async fn reply(&mut self, patience: Duration) -> Result<Response, Cause> {
        timeout(patience, self.read_reply()).await.unwrap_or(Err(Cause::Timeout(patience)))
    }

    /// Bounds a reply, whose text may be in any charset: some relays excuse themselves in Latin-1. lettre reads it.
    async fn read_reply(&mut self) -> Result<Response, Cause> {
        let mut reply = String::new();
        for _ in 0..MAX_LINES {
            let mut line = Vec::new();
            (&mut self.stream).take(MAX_LINE).read_until(b'\n', &mut line).await?;
            if !line.ends_with(b"\n") {
                return Err(if line.len() as u64 == MAX_LINE { Cause::NotSmtp } else { Cause::Closed });
            }
            let line = String::from_utf8_lossy(line.trim_ascii_end());
            reply += &as_lettre_reads(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply.parse().map_err(|_| Cause::NotSmtp);
            }
        }
        Err(Cause::NotSmtp)
    }
}

fn positive(reply: Response) -> Result<Response, Cause> {
    match reply.code().severity {
        Severity::PositiveCompletion => Ok(reply), // lettre's `is_positive` holds for 3yz too
        _ => Err(Cause::Reply(reply)),
    }
}

fn expect(code: u16, reply: Response) -> Result<(), Cause> {
    if reply.has_code(code) { Ok(()) } else { Err(Cause::Reply(reply)) }
}

/// Some servers repeat the command that they refuse. What a challenge `told` stands at the end.
fn without_secrets(cause: Cause, secrets: &[String], told: Option<String>) -> Cause {
    let Cause::Reply(reply) = cause else { return cause };
    let hide = |line: &str| {
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(line.to_owned(), |line, secret| line.replace(secret, "[…]"))
    };
    let told = told.map(|told| format!("({told})"));
    Cause::Reply(Response::new(reply.code(), reply.message().map(hide).chain(told).collect()))
}

/// RFC 5321 §4.5.2: a line that starts with a dot gets another. lettre's codec is private, and ends every mail in
/// an empty line.
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
