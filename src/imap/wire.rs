//! One command at a time: what it says, every response to it, and an error for NO, BAD, BYE, EOF and silence.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use async_imap::Client;
use async_imap::imap_proto::{MailboxDatum, Outcome, Response, ResponseCode, Status};
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::guard::Guarded;
use super::tls::Stream;
use super::{Code, ImapError, Timeouts, Violation, printable};

/// A connection that speaks in commands.
///
/// Commands are written past async-imap, under tags of our own: it would log every line, passwords included.
pub(super) struct Wire {
    client: Client<Guarded<Stream>>,
    pub(super) timeouts: Timeouts,
    tag: u64,
    /// Responses read so far.
    responses: u64,
    /// Between a command's first byte and its tagged answer. A future dropped there leaves it set.
    busy: bool,
    /// Mails in the selected folder, as far as the server told.
    exists: u32,
    /// Mail was announced since the flag was last lowered.
    pub(super) news: bool,
    /// What the UIDs of the selected folder count from, once it is selected.
    uid_validity: Option<u32>,
    /// What the server wants a person to read.
    pub(super) alert: Option<String>,
}

/// A command on its way.
pub(super) struct Sent {
    tag: String,
    command: &'static str,
    until: Instant,
}

/// What the server says to a command that it wants more of.
pub(super) enum Continued {
    /// `+`, and what stands behind it: a challenge, for one.
    Yes(String),
    /// The tagged OK came instead.
    Done,
}

impl Wire {
    pub(super) fn new(stream: Stream, timeouts: Timeouts) -> Self {
        let client = Client::new(Guarded::new(stream));
        Self {
            client,
            timeouts,
            tag: 0,
            responses: 0,
            busy: false,
            exists: 0,
            news: false,
            uid_validity: None,
            alert: None,
        }
    }

    /// The bare stream, for a TLS handshake; what the server sent ahead of it is an injection.
    pub(super) fn into_stream(self, command: &'static str) -> Result<Stream, ImapError> {
        if !self.client.get_ref().ends_after(self.responses) {
            return Err(ImapError::Protocol { command, violation: Violation::Injected });
        }
        Ok(self.client.into_inner().into_inner())
    }

    /// Bytes of mail that one response may carry until the next call.
    pub(super) fn allow_literals(&mut self, bytes: u64) {
        self.client.get_mut().allow_literals(bytes);
    }

    /// Says one command and shows every response to `each`, the tagged OK included.
    pub(super) async fn command(
        &mut self,
        command: &'static str,
        line: &str,
        each: impl FnMut(&Response<'_>),
    ) -> Result<(), ImapError> {
        let sent = self.send(command, line).await?;
        self.finish(sent, each).await
    }

    pub(super) async fn send(&mut self, command: &'static str, line: &str) -> Result<Sent, ImapError> {
        if self.busy {
            return Err(ImapError::Abandoned { command });
        }
        self.busy = true;
        self.tag += 1;
        let sent =
            Sent { tag: format!("a{}", self.tag), command, until: Instant::now() + self.timeouts.command };
        self.write(command, &Zeroizing::new(format!("{} {line}\r\n", sent.tag))).await?;
        Ok(sent)
    }

    /// Says one more line of a command, whose time starts anew.
    pub(super) async fn send_more(&mut self, sent: &mut Sent, line: &str) -> Result<(), ImapError> {
        sent.until = Instant::now() + self.timeouts.command;
        self.write(sent.command, &Zeroizing::new(format!("{line}\r\n"))).await
    }

    async fn write(&mut self, command: &'static str, line: &str) -> Result<(), ImapError> {
        let stream = self.client.get_mut();
        let write = async {
            stream.write_all(line.as_bytes()).await?;
            stream.flush().await
        };
        match timeout(self.timeouts.response, write).await {
            Ok(written) => written.map_err(|error| broken(command, error)),
            Err(_) => Err(ImapError::Timeout { command }),
        }
    }

    /// Waits for the server to ask for the rest of a command.
    pub(super) async fn continued(&mut self, sent: &Sent) -> Result<Continued, ImapError> {
        loop {
            let answer = self.next(sent.command, sent.until, |response| match response {
                Response::Continue(outcome) => {
                    let text = outcome.information.as_deref().unwrap_or_default();
                    Some(Ok(Continued::Yes(text.to_owned())))
                }
                response => tagged(sent, response).map(|done| done.map(|()| Continued::Done)),
            });
            if let Some(answer) = answer.await? {
                self.busy = matches!(answer, Ok(Continued::Yes(_)));
                return answer;
            }
        }
    }

    /// Waits for the tagged answer.
    pub(super) async fn finish(
        &mut self,
        sent: Sent,
        mut each: impl FnMut(&Response<'_>),
    ) -> Result<(), ImapError> {
        loop {
            let answer = self.next(sent.command, sent.until, |response| {
                each(response);
                tagged(&sent, response)
            });
            if let Some(answer) = answer.await? {
                self.busy = false;
                return answer;
            }
        }
    }

    /// Waits until `until` for anything that the server says of its own accord while `sent` is under way.
    /// `None`: time is up. `Some(true)`: the command has ended. May be dropped at any time.
    pub(super) async fn overhear(&mut self, sent: &Sent, until: Instant) -> Result<Option<bool>, ImapError> {
        loop {
            let heard = self.next(sent.command, until, |response| tagged(sent, response).transpose()).await;
            match heard {
                Ok(Ok(ended)) => {
                    self.busy = ended.is_none();
                    return Ok(Some(ended.is_some()));
                }
                Ok(Err(refused)) => {
                    self.busy = false;
                    return Err(refused);
                }
                Err(ImapError::Timeout { .. }) if Instant::now() < until => {} // silence is no fault here
                Err(ImapError::Timeout { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The first line, which no command asked for.
    pub(super) async fn greeting<R>(
        &mut self,
        read: impl FnOnce(&Response<'_>) -> R,
    ) -> Result<R, ImapError> {
        let until = Instant::now() + self.timeouts.response;
        self.next("greeting", until, read).await
    }

    /// Tells whether the folder has no mail, by what the server told.
    pub(super) fn is_empty(&self) -> bool {
        self.exists == 0
    }

    /// No folder is selected any more.
    pub(super) fn stop_counting(&mut self) {
        self.uid_validity = None;
    }

    /// Mails in the folder now selected, before any are announced, and its UIDVALIDITY.
    pub(super) fn start_counting(&mut self, exists: u32, uid_validity: u32) {
        (self.exists, self.news, self.uid_validity) = (exists, false, Some(uid_validity));
    }

    /// Reads one response.
    async fn next<R>(
        &mut self,
        command: &'static str,
        until: Instant,
        read: impl FnOnce(&Response<'_>) -> R,
    ) -> Result<R, ImapError> {
        loop {
            let received = self.client.get_ref().received();
            let answer = {
                let mut response = pin!(self.client.read_response());
                // imap-proto 0.17 panics at `INTERNALDATE NIL` and at `[ALERT]` before a non-ASCII letter.
                let caught = poll_fn(|cx| {
                    catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(cx)))
                        .map_or(Poll::Ready(None), |polled| polled.map(Some))
                });
                timeout_at(until.min(Instant::now() + self.timeouts.response), caught).await
            };
            match answer {
                Ok(Some(Ok(Some(response)))) => {
                    self.responses += 1;
                    self.count(response.parsed());
                    return match response.parsed() {
                        Response::Data { status: Status::Bye, outcome } if command != "LOGOUT" => {
                            Err(ImapError::Bye(words(outcome)))
                        }
                        response if self.is_renumbered(response) => {
                            Err(ImapError::Protocol { command, violation: Violation::Renumbered })
                        }
                        response => Ok(read(response)),
                    };
                }
                Ok(Some(Ok(None))) => return Err(ImapError::Eof { command }),
                Ok(Some(Err(error))) => return Err(broken(command, error)),
                Ok(None) => return Err(ImapError::Protocol { command, violation: Violation::Unreadable }),
                Err(_) => {
                    // A large mail on a slow line may take longer than one response, if it keeps coming.
                    let progress = self.client.get_ref().received() - received;
                    let wanted = self.timeouts.response.as_secs().max(1) * 1024;
                    if progress < wanted || Instant::now() >= until {
                        return Err(ImapError::Timeout { command });
                    }
                }
            }
        }
    }

    fn count(&mut self, response: &Response<'_>) {
        match response {
            // Some servers repeat the number without need: only a higher one is news.
            Response::MailboxData(MailboxDatum::Exists(exists)) => {
                self.news |= *exists > self.exists;
                self.exists = *exists;
            }
            Response::Expunge(_) => self.exists = self.exists.saturating_sub(1),
            // RFC 3501 §7.1: a person must see it.
            Response::Data { outcome, .. } | Response::Done { outcome, .. }
                if outcome.code == Some(ResponseCode::Alert) =>
            {
                self.alert = Some(words(outcome));
            }
            _ => {}
        }
    }

    /// Whether the selected folder got another UIDVALIDITY under us.
    fn is_renumbered(&self, response: &Response<'_>) -> bool {
        let Response::Data { outcome, .. } = response else { return false };
        let Some(ResponseCode::UidValidity(now)) = outcome.code else { return false };
        self.uid_validity.is_some_and(|then| then != now)
    }
}

/// The end of the command, if this is it; a tag that is not ours ends nothing.
fn tagged(sent: &Sent, response: &Response<'_>) -> Option<Result<(), ImapError>> {
    let Response::Done { tag, status, outcome } = response else { return None };
    let command = sent.command;
    (tag.0 == sent.tag).then(|| match status {
        Status::Ok => Ok(()),
        Status::No => Err(ImapError::No { command, code: code(outcome), text: words(outcome) }),
        _ => Err(ImapError::Bad { command, text: words(outcome) }),
    })
}

/// imap-proto knows the codes of RFC 3501 only; it leaves any other in the text.
fn code(outcome: &Outcome<'_>) -> Code {
    if outcome.code == Some(ResponseCode::TryCreate) {
        return Code::TryCreate;
    }
    let text = outcome.information.as_deref().unwrap_or_default();
    let name = text.strip_prefix('[').and_then(|text| text.split([']', ' ']).next()).unwrap_or_default();
    match name.to_ascii_uppercase().as_str() {
        "ALREADYEXISTS" => Code::AlreadyExists,
        "EXPUNGEISSUED" => Code::ExpungeIssued,
        "UNAVAILABLE" | "INUSE" | "LIMIT" | "SERVERBUG" => Code::Unavailable,
        _ => Code::Other,
    }
}

fn words(outcome: &Outcome<'_>) -> String {
    printable(outcome.information.as_deref().unwrap_or_default())
}

/// async-imap's errors quote what could not be parsed, which may be a mail: only the kind is kept.
fn broken(command: &'static str, error: io::Error) -> ImapError {
    if let Some(violation) = error.get_ref().and_then(|inner| inner.downcast_ref::<Violation>()) {
        return ImapError::Protocol { command, violation: *violation };
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ImapError::Eof { command },
        io::ErrorKind::Other => ImapError::Protocol { command, violation: Violation::Unreadable },
        _ => ImapError::Io { command, source: error },
    }
}
