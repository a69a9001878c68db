//! An SMTP server in this process that keeps every mail with its envelope, and misbehaves on command.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, header};

mod session;

/// What the server can do and asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The EHLO lines after the first.
    pub extensions: Vec<&'static str>,
    /// Asks for AUTH PLAIN with this user and password.
    pub login: Option<(&'static str, &'static str)>,
    /// Asks for this mechanism in place of PLAIN, and takes what it calls the password as the access token.
    pub bearer: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extensions: vec!["8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "SIZE 52428800"],
            login: None,
            bearer: None,
        }
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
    /// The usual reply, byte by byte, with so many milliseconds between; whoever leaves meanwhile was never told.
    Drip(u64),
    /// These bytes again and again, until the client leaves.
    Endless(&'static str),
    /// The usual reply, and a reset right behind it.
    Reset,
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

impl State {
    /// The fault that waits for this occurrence of a step.
    fn fault(&mut self, step: Step) -> Option<Fault> {
        let mut hit = None;
        for (index, trap) in self.traps.iter_mut().enumerate().filter(|(_, trap)| trap.step == step) {
            match &mut trap.pass {
                Some(pass @ 1..) => *pass -= 1, // every fault counts, whichever plays
                None | Some(_) => hit = hit.or(Some(index)),
            }
        }
        let hit = hit?;
        match self.traps[hit].pass {
            None => Some(self.traps[hit].fault.clone()),
            Some(_) => Some(self.traps.remove(hit).fault),
        }
    }
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
                thread::spawn(move || session::serve(&shared, stream));
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
