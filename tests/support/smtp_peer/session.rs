//! One connection: command in, fault or reply out.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use rustix::net::sockopt::set_socket_linger;

use super::{Fate, Fault, Mail, Recipient, Shared, Step};

/// A drip with such pauses, in milliseconds, outlasts the client's patience.
const SLOW: u64 = 100;

/// Serves a connection until either side ends it.
pub fn serve(shared: &Shared, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (Ok(writer), Ok(end)) = (stream.try_clone(), stream.try_clone()) else { return };
    let id = {
        let mut state = shared.lock();
        state.connections += 1;
        let id = state.connections;
        state.open.extend(end.try_clone().map(|stream| (id, stream)));
        id
    };
    let mut session =
        Session { shared, id, reader: BufReader::new(stream), writer, logged_in: false, mail: None };
    let _ = session.run(); // an I/O error is the client's end of the connection
    let _ = end.shutdown(Shutdown::Both);
    shared.lock().open.retain(|(other, _)| *other != id);
    shared.changed.notify_all();
}

struct Session<'a> {
    shared: &'a Shared,
    id: usize,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    logged_in: bool,
    mail: Option<Mail>,
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        if self.reply(Step::Connect, "220 mx.peer.example ESMTP")?.is_none() {
            return Ok(());
        }
        while let Some(line) = self.read_line()? {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let shown = if verb == "AUTH" { "AUTH ***" } else { line.as_str() };
            self.shared.lock().commands.push(shown.to_owned());
            self.shared.changed.notify_all();
            if self.obey(&verb, &line)?.is_none() || verb == "QUIT" {
                break;
            }
        }
        Ok(())
    }

    /// Answers one command; `None` ends the connection.
    fn obey(&mut self, verb: &str, line: &str) -> io::Result<Option<bool>> {
        let login_wanted = self.shared.options.login.is_some() && !self.logged_in;
        match verb {
            "EHLO" | "HELO" => {
                self.mail = None;
                let mut lines = vec!["mx.peer.example".to_owned()];
                lines.extend(self.shared.options.extensions.iter().map(|&line| line.to_owned()));
                let mechanism = self.shared.options.bearer.unwrap_or("PLAIN");
                lines.extend(self.shared.options.login.map(|_| format!("AUTH {mechanism}")));
                let last = lines.len() - 1;
                let sign = |index| if index == last { ' ' } else { '-' };
                let reply: Vec<_> =
                    lines.iter().enumerate().map(|(i, line)| format!("250{}{line}", sign(i))).collect();
                self.reply(Step::Ehlo, &reply.join("\r\n"))
            }
            "AUTH" if self.shared.options.bearer.is_some() => self.authenticate_token(line),
            "AUTH" => self.authenticate(line),
            "MAIL" if login_wanted => self.reply(Step::Mail, "530 5.7.0 authentication required"),
            "MAIL" => {
                let (sender, sender_parameters) = path(line);
                let (connection, fate) = (self.id, Fate::Unanswered);
                let (recipients, raw) = (Vec::new(), Vec::new());
                let mail = Mail { connection, sender, sender_parameters, recipients, raw, fate };
                let taken = self.reply(Step::Mail, "250 2.1.0 ok")?;
                self.mail = (taken == Some(true)).then_some(mail);
                Ok(taken)
            }
            "RCPT" if self.mail.is_none() => self.reply(Step::Rcpt, "503 5.5.1 MAIL first"),
            "RCPT" => {
                let (address, parameters) = path(line);
                let taken = self.reply(Step::Rcpt, "250 2.1.5 ok")?;
                if let (Some(true), Some(mail)) = (taken, &mut self.mail) {
                    mail.recipients.push(Recipient { address, parameters });
                }
                Ok(taken)
            }
            "DATA" => match self.mail.take_if(|mail| !mail.recipients.is_empty()) {
                None => self.reply(Step::Data, "503 5.5.1 RCPT first"),
                Some(mail) => match self.reply(Step::Data, "354 go ahead")? {
                    Some(true) => self.receive(mail),
                    other => Ok(other),
                },
            },
            "RSET" => {
                self.mail = None;
                self.reply(Step::Rset, "250 2.0.0 ok")
            }
            "NOOP" => self.reply(Step::Noop, "250 2.0.0 ok"),
            "QUIT" => self.reply(Step::Quit, "221 2.0.0 bye"),
            _ => self.say("502 5.5.1 no such command"),
        }
    }

    /// RFC 4616, with or without an initial response.
    fn authenticate(&mut self, line: &str) -> io::Result<Option<bool>> {
        let mut words = line.split(' ').skip(1);
        if !words.next().is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("PLAIN")) {
            return self.say("504 5.5.4 PLAIN alone");
        }
        let answer = match words.next() {
            Some(answer) => answer.to_owned(),
            None => {
                self.writer.write_all(b"334 \r\n")?;
                self.read_line()?.unwrap_or_default()
            }
        };
        let given = BASE64_STANDARD.decode(answer.trim()).unwrap_or_default();
        let right = self.shared.options.login.is_some_and(|(user, password)| {
            given.split(|&byte| byte == 0).skip(1).eq([user.as_bytes(), password.as_bytes()])
        });
        if !right {
            return self.reply(Step::Auth, "535 5.7.8 authentication failed");
        }
        let taken = self.reply(Step::Auth, "235 2.7.0 welcome")?;
        self.logged_in = taken == Some(true);
        Ok(taken)
    }

    /// RFC 7628 §4.3: a refusal is a challenge first.
    fn authenticate_token(&mut self, line: &str) -> io::Result<Option<bool>> {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let given = words.get(1).and_then(|words| BASE64_STANDARD.decode(words).ok()).unwrap_or_default();
        let given = String::from_utf8_lossy(&given).into_owned();
        let right = self.shared.options.login.is_some_and(|(user, token)| {
            let named = given.starts_with(&format!("n,a={user},\u{1}"))
                || given.starts_with(&format!("user={user}\u{1}"));
            named && given.ends_with(&format!("\u{1}auth=Bearer {token}\u{1}\u{1}"))
        });
        if words.first() != self.shared.options.bearer.as_ref() {
            return self.say("504 5.5.4 no such mechanism");
        }
        if !right {
            let challenge = BASE64_STANDARD.encode(r#"{"status":"401","scope":"mail"}"#);
            self.writer.write_all(format!("334 {challenge}\r\n").as_bytes())?;
            let answer = self.read_line()?;
            let wanted = if words[0] == "XOAUTH2" { "" } else { "AQ==" };
            if answer.as_deref() != Some(wanted) {
                self.shared.lock().offences.push(format!("{answer:?} to the challenge of {}", words[0]));
            }
            return self.reply(Step::Auth, "535 5.7.8 authentication failed");
        }
        let taken = self.reply(Step::Auth, "235 2.7.0 welcome")?;
        self.logged_in = taken == Some(true);
        Ok(taken)
    }

    /// Reads a mail up to its final dot and decides its fate.
    fn receive(&mut self, mut mail: Mail) -> io::Result<Option<bool>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(None); // cut off before the dot: nobody has taken anything
            }
            if line == b".\r\n" {
                break;
            }
            mail.raw.extend(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.inspect(&mail);
        let fault = self.shared.lock().fault(Step::Dot);
        if let Some(Fault::Reply(reply)) = &fault {
            mail.fate = Fate::Refused((*reply).to_owned());
        } else if !matches!(
            fault,
            Some(Fault::Silent | Fault::Drop | Fault::Drip(SLOW..) | Fault::Endless(_))
        ) {
            mail.fate = Fate::Accepted;
        }
        let deliver = self.shared.lock().deliver.clone();
        if let (Some(deliver), Fate::Accepted | Fate::Unanswered) = (deliver, &mail.fate) {
            deliver(&mail);
        }
        self.shared.lock().mails.push(mail);
        self.shared.changed.notify_all();
        self.answer(fault, "250 2.0.0 taken")
    }

    fn inspect(&self, mail: &Mail) {
        let announced = mail.sender_parameters.iter().any(|word| word.eq_ignore_ascii_case("BODY=8BITMIME"));
        let lines = || mail.raw.split(|&byte| byte == b'\n');
        let whole_lines = lines().count() - 1;
        let breaches = [
            // RFC 5321 §2.3.8: CR and LF travel together only.
            (lines().take(whole_lines).any(|line| line.last() != Some(&b'\r')), "a bare line feed"),
            (mail.raw.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n'), "a bare carriage return"),
            // RFC 5322 §2.1.1: 998 characters and CRLF.
            (lines().any(|line| line.len() > 999), "a line of more than 998 characters"),
            (mail.raw.contains(&0), "a NUL"),
            (!announced && !mail.raw.is_ascii(), "8-bit bytes without BODY=8BITMIME"),
        ];
        let found = breaches.into_iter().filter(|(found, _)| *found).map(|(_, what)| what.to_owned());
        self.shared.lock().offences.extend(found);
    }

    /// Sends the usual reply of a step, or plays its fault; see [`Self::say`].
    fn reply(&mut self, step: Step, usual: &str) -> io::Result<Option<bool>> {
        let fault = self.shared.lock().fault(step);
        self.answer(fault, usual)
    }

    fn answer(&mut self, fault: Option<Fault>, usual: &str) -> io::Result<Option<bool>> {
        match fault {
            None => self.say(usual),
            Some(Fault::Reply(reply)) => self.say(reply),
            Some(Fault::Drop) => Ok(None),
            Some(Fault::Silent) => io::copy(&mut self.reader, &mut io::sink()).map(|_| None),
            Some(Fault::Delay(time)) => {
                thread::sleep(time);
                self.say(usual)
            }
            Some(Fault::Drip(pause)) => {
                for byte in format!("{usual}\r\n").as_bytes() {
                    self.writer.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(pause));
                }
                Ok(Some(true))
            }
            Some(Fault::Endless(bytes)) => loop {
                self.writer.write_all(bytes.as_bytes())?;
            },
            Some(Fault::Reset) => {
                self.say(usual)?;
                set_socket_linger(&self.writer, Some(Duration::ZERO))?; // closing resets
                Ok(None)
            }
        }
    }

    /// Sends a reply; whether it was a good one, or `None` when the connection ends with it.
    fn say(&mut self, reply: &str) -> io::Result<Option<bool>> {
        self.writer.write_all(format!("{reply}\r\n").as_bytes())?;
        Ok((!reply.starts_with("421")).then(|| reply.starts_with(['2', '3'])))
    }

    fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        // RFC 5321 §4.5.3.1.4 allows 512; the rest is for parameters.
        (&mut self.reader).take(8192).read_until(b'\n', &mut line)?;
        if !line.is_empty() && !line.ends_with(b"\r\n") {
            self.shared.lock().offences.push("a command line without CRLF".to_owned());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        Ok((!line.is_empty()).then_some(text))
    }
}

/// `MAIL FROM:<a@b> RET=HDRS` → `a@b` and the parameters.
fn path(line: &str) -> (String, Vec<String>) {
    let rest = line.split_once('<').map_or("", |(_, rest)| rest);
    let (address, parameters) = rest.split_once('>').unwrap_or((rest, ""));
    (address.to_owned(), parameters.split_whitespace().map(str::to_owned).collect())
}
