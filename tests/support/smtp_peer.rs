//! An SMTP server in this process that keeps every mail with its envelope, and misbehaves on command.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{PATIENCE, header};

/// What the server can do and asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The EHLO lines after the first.
    pub extensions: Vec<&'static str>,
    /// Asks for AUTH PLAIN with this user and password.
    pub login: Option<(&'static str, &'static str)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { extensions: vec!["8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "SIZE 52428800"], login: None }
    }
}

/// Where in the dialogue something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Connect,
    Ehlo,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// After the final dot, when the server has the mail.
    Dot,
    Rset,
    Noop,
    Quit,
}

impl Step {
    /// Every step at which a client waits for a reply before its mail is accepted.
    pub const BEFORE_ACCEPTANCE: [Self; 7] =
        [Self::Connect, Self::Ehlo, Self::Auth, Self::Mail, Self::Rcpt, Self::Data, Self::Dot];
}

/// What the server does at a step instead of going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This reply, such as `451 4.3.0 later`; a 421 closes the connection too (RFC 5321 §3.8).
    Reply(&'static str),
    /// No reply, ever; the connection stays.
    Silent,
    /// The end of the connection, without a reply. At [`Step::Dot`] the mail has been taken: the client cannot
    /// know.
    Drop,
    /// The usual reply, this much later.
    Delay(Duration),
}

/// What became of a mail whose final dot arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The client was told so.
    Accepted,
    /// Taken, but the client was never told.
    Unanswered,
    /// The client was told to keep it or give up.
    Refused(String),
}

/// A mail with its envelope.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Counts connections from 1.
    pub connection: usize,
    /// Without angle brackets; empty for `<>`.
    pub sender: String,
    /// `BODY=8BITMIME`, `RET=HDRS`, …
    pub sender_parameters: Vec<String>,
    pub recipients: Vec<Recipient>,
    /// As sent, dots unstuffed.
    pub raw: Vec<u8>,
    pub fate: Fate,
}

/// One RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub address: String,
    /// `NOTIFY=NEVER`, …
    pub parameters: Vec<String>,
}

impl Mail {
    /// The unfolded value of the first header field of that name.
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.raw, name)
    }

    /// Message-ID without its angle brackets.
    pub fn message_id(&self) -> Option<String> {
        Some(self.header("Message-ID")?.trim_matches(['<', '>']).to_owned())
    }
}

type Deliver = Arc<dyn Fn(&Mail) + Send + Sync>;

struct Trap {
    step: Step,
    /// How often the step still goes well; `None`: never.
    pass: Option<usize>,
    fault: Fault,
}

#[derive(Default)]
struct State {
    connections: usize,
    open: Vec<(usize, TcpStream)>,
    commands: Vec<String>,
    mails: Vec<Mail>,
    offences: Vec<String>,
    traps: Vec<Trap>,
    deliver: Option<Deliver>,
    over: bool,
}

struct Shared {
    options: Options,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The running server; dropping it closes every connection.
pub struct SmtpPeer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl SmtpPeer {
    /// Starts a server on a free loopback port.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared { options, state: Mutex::default(), changed: Condvar::new() });
        let peer = Self { shared: shared.clone(), address };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.lock().over {
                    break;
                }
                let shared = shared.clone();
                thread::spawn(move || serve(&shared, stream));
            }
        });
        peer
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls `deliver` with every mail it accepts, before it says so.
    pub fn on_mail(&self, deliver: impl Fn(&Mail) + Send + Sync + 'static) {
        self.shared.lock().deliver = Some(Arc::new(deliver));
    }

    /// Plays a fault at the `nth` occurrence (from 1, counted from now) of a step.
    pub fn fault(&self, step: Step, nth: usize, fault: Fault) {
        let pass = Some(nth.checked_sub(1).expect("occurrences count from 1"));
        self.shared.lock().traps.push(Trap { step, pass, fault });
    }

    /// Plays a fault at every occurrence of a step until [`Self::no_faults`].
    pub fn fault_always(&self, step: Step, fault: Fault) {
        self.shared.lock().traps.push(Trap { step, pass: None, fault });
    }

    /// Ends every fault that has not happened yet.
    pub fn no_faults(&self) {
        self.shared.lock().traps.clear();
    }

    /// Closes every connection.
    pub fn drop_connections(&self) {
        for (_, stream) in &self.shared.lock().open {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Every mail whose final dot arrived, refused ones included.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.lock().mails.clone()
    }

    /// The mails to one address that were accepted, or may seem lost to their sender but were taken.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        let taken = |mail: &Mail| {
            !matches!(mail.fate, Fate::Refused(_))
                && mail.recipients.iter().any(|to| to.address.eq_ignore_ascii_case(address))
        };
        self.mails().into_iter().filter(taken).collect()
    }

    /// Every command line so far, of every connection; credentials hidden.
    pub fn commands(&self) -> Vec<String> {
        self.shared.lock().commands.clone()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Breaches of RFC 5321 and 5322: bare line feeds, long lines, 8-bit bytes that were not announced.
    pub fn offences(&self) -> Vec<String> {
        self.shared.lock().offences.clone()
    }

    /// Waits until this many mails have arrived since the start, refused ones included.
    pub fn wait_for_mails(&self, mails: usize) -> Vec<Mail> {
        self.wait(&format!("{mails} mails"), |state| state.mails.len() >= mails);
        self.mails()
    }

    /// Waits until this many command lines began so since the start.
    pub fn wait_for(&self, command: &str, times: usize) {
        let begins = |line: &&String| line.to_ascii_uppercase().starts_with(command);
        self.wait(command, |state| state.commands.iter().filter(begins).count() >= times);
    }

    fn wait(&self, what: &str, met: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !met(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} in {PATIENCE:?}; commands: {:#?}", state.commands);
            state = self.shared.changed.wait_timeout(state, left).expect("the state is whole").0;
        }
    }
}

impl Drop for SmtpPeer {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.drop_connections();
        let _ = TcpStream::connect(self.address); // wakes the listener, which then sees that it is over
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
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
                lines.extend(self.shared.options.login.map(|_| "AUTH PLAIN".to_owned()));
                let last = lines.len() - 1;
                let sign = |index| if index == last { ' ' } else { '-' };
                let reply: Vec<_> =
                    lines.iter().enumerate().map(|(i, line)| format!("250{}{line}", sign(i))).collect();
                self.reply(Step::Ehlo, &reply.join("\r\n"))
            }
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
        let fault = self.fault(Step::Dot);
        if let Some(Fault::Reply(reply)) = &fault {
            mail.fate = Fate::Refused((*reply).to_owned());
        } else if !matches!(fault, Some(Fault::Silent | Fault::Drop)) {
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

    fn fault(&self, step: Step) -> Option<Fault> {
        let traps = &mut self.shared.lock().traps;
        let hit = traps.iter_mut().position(|trap| match &mut trap.pass {
            _ if trap.step != step => false,
            None | Some(0) => true,
            Some(pass) => {
                *pass -= 1;
                false
            }
        })?;
        match traps[hit].pass {
            None => Some(traps[hit].fault.clone()),
            Some(_) => Some(traps.remove(hit).fault),
        }
    }

    /// Sends the usual reply of a step, or plays its fault; see [`Self::say`].
    fn reply(&mut self, step: Step, usual: &str) -> io::Result<Option<bool>> {
        let fault = self.fault(step);
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
