//! An IMAP server in this process: real sockets, real UIDs, pushes at once, and faults on command.
//!
//! It speaks the part of IMAP4rev1 that a mail reader of acuse's kind needs and says BAD to the rest. What
//! acuse must never send (a bare EXPUNGE, BODYSTRUCTURE, …) works, and is noted in [`ImapPeer::offences`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::PATIENCE;

mod open;
mod parse;
mod session;
mod world;

use world::{FIRST_UIDVALIDITY, Folder, Selected, Shared, Trap, User, View, World};

/// What the server can do.
#[derive(Debug, Clone)]
pub struct Options {
    pub separator: char,
    /// Where the server keeps every folder but INBOX: `INBOX.` on cPanel's Dovecot, else nothing.
    pub prefix: &'static str,
    pub idle: bool,
    pub r#move: bool,
    pub uidplus: bool,
    /// Whether clients may set flags of their own.
    pub keywords: bool,
    /// SASL-IR and LITERAL+.
    pub shortcuts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            separator: '/',
            prefix: "",
            idle: true,
            r#move: true,
            uidplus: true,
            keywords: true,
            shortcuts: true,
        }
    }
}

/// What the server does instead of its duty, once or always.
#[derive(Debug, Clone)]
pub enum Fault {
    /// A tagged NO with this text; nothing is done.
    No(&'static str),
    /// A tagged BAD; nothing is done.
    Bad,
    /// `* BYE` and the end of the connection; nothing is done.
    Bye,
    /// The end of the connection; nothing is done.
    Close,
    /// No answer, ever; nothing is done, the connection stays.
    Silent,
    /// The answer comes this much later.
    Delay(Duration),
    /// The answer comes after [`ImapPeer::release`]; nothing is done before.
    Hold,
    /// The command is carried out, and the connection ends after this many bytes of its answer. `CutAt(0)` is
    /// the lost answer.
    CutAt(usize),
    /// The same, counted from the first byte of the answer's first literal.
    CutInLiteral(usize),
    /// The same, the connection being reset (RST) and not closed.
    ResetInLiteral(usize),
    /// These bytes in place of the answer, `{tag}` in them replaced by the command's; nothing is done.
    Raw(Vec<u8>),
    /// These bytes in front of the answer.
    Also(Vec<u8>),
    /// The command is carried out, and its answer is changed so.
    Edited(fn(Vec<u8>) -> Vec<u8>),
}

/// A mail as a folder holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMail {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    pub internal_date: Timestamp,
    pub raw: Arc<[u8]>,
}

impl StoredMail {
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|has| has.eq_ignore_ascii_case(flag))
    }
}

/// A command that a client sent.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Counts connections from 1.
    pub connection: usize,
    /// Without tag, literals and passwords.
    pub line: String,
}

/// The running server; dropping it closes every connection.
pub struct ImapPeer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl ImapPeer {
    /// Starts a server on a free loopback port, with one user of this name and password.
    pub fn start(options: Options, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared { options, world: Mutex::default(), changed: Condvar::new() });
        let peer = Self { shared: shared.clone(), address };
        peer.add_user(user, password);
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

    pub fn add_user(&self, user: &str, password: &str) {
        let mut world = self.shared.lock();
        world.users.insert(user.to_owned(), User { password: password.to_owned(), folders: BTreeMap::new() });
        world.make_folder(user, "INBOX");
    }

    /// Changes a password: the next login with the old one is refused.
    pub fn set_password(&self, user: &str, password: &str) {
        self.change(|world| password.clone_into(&mut world.user(user).password));
    }

    pub fn make_folder(&self, user: &str, folder: &str) {
        self.shared.lock().make_folder(user, folder);
    }

    // ── the folders ───────────────────────────────────────────────────────────────────────────────────

    /// Lays a mail into a folder, tells every client that idles there, and returns its UID.
    pub fn deliver(&self, user: &str, folder: &str, raw: &[u8], internal_date: Timestamp) -> u32 {
        self.change(|world| world.folder(user, folder).append(raw.into(), BTreeSet::new(), internal_date))
    }

    /// Delivers mails that a client learns of together.
    pub fn deliver_at_once(&self, user: &str, folder: &str, mails: &[Vec<u8>], internal_date: Timestamp) {
        self.change(|world| {
            let folder = world.folder(user, folder);
            for raw in mails {
                folder.append(raw.as_slice().into(), BTreeSet::new(), internal_date);
            }
        });
    }

    /// What a person does who opens a mail in a client of their own.
    pub fn set_seen(&self, user: &str, folder: &str, uid: u32) {
        self.set_flag(user, folder, uid, "\\Seen");
    }

    pub fn set_flag(&self, user: &str, folder: &str, uid: u32, flag: &str) {
        self.change(|world| {
            let mails = &mut world.folder(user, folder).mails;
            let mail = mails.iter_mut().find(|mail| mail.uid == uid).expect("a mail of that UID");
            mail.flags.insert(flag.to_owned());
        });
    }

    /// What a person does who deletes a mail in a client of their own.
    pub fn remove(&self, user: &str, folder: &str, uid: u32) {
        self.change(|world| world.folder(user, folder).mails.retain(|mail| mail.uid != uid));
    }

    /// Numbers a folder anew under another UIDVALIDITY, and throws out the clients that have it open, as
    /// Dovecot does.
    pub fn change_uidvalidity(&self, user: &str, folder: &str) {
        self.change(|world| {
            world.folders_made += 1;
            let uidvalidity = FIRST_UIDVALIDITY + world.folders_made;
            let old = world.folder(user, folder);
            let mut new = Folder { uidvalidity, uidnext: 1, mails: Vec::new() };
            for mail in old.mails.drain(..) {
                new.append(mail.raw, mail.flags, mail.internal_date);
            }
            *old = new;
            for view in world.views.values_mut() {
                let inside = |selected: &Selected| selected.folder == folder;
                if view.user.as_deref() == Some(user) && view.selected.as_ref().is_some_and(inside) {
                    let _ = view.stream.write_all(b"* BYE session state is inconsistent, please relogin\r\n");
                    let _ = view.stream.shutdown(Shutdown::Both);
                }
            }
        });
    }

    /// Counts the next mails of a folder from this UID on, whatever was there before, and tells nobody.
    pub fn set_uidnext(&self, user: &str, folder: &str, uidnext: u32) {
        self.shared.lock().folder(user, folder).uidnext = uidnext;
    }

    /// Gives a folder this UIDVALIDITY, its UIDs staying as they are, and tells nobody.
    pub fn set_uidvalidity(&self, user: &str, folder: &str, uidvalidity: u32) {
        self.shared.lock().folder(user, folder).uidvalidity = uidvalidity;
    }

    /// What a folder holds, by UID; nothing when there is no such folder.
    pub fn messages(&self, user: &str, folder: &str) -> Vec<StoredMail> {
        let mut world = self.shared.lock();
        world.user(user).folders.get(folder).map(|folder| folder.mails.clone()).unwrap_or_default()
    }

    pub fn folders(&self, user: &str) -> Vec<String> {
        self.shared.lock().user(user).folders.keys().cloned().collect()
    }

    pub fn uidvalidity(&self, user: &str, folder: &str) -> u32 {
        self.shared.lock().folder(user, folder).uidvalidity
    }

    /// Calls `observe` with the mails that a client asks to be moved, flagged or expunged, before that is done.
    pub fn on_settle(&self, observe: impl Fn(&[StoredMail]) + Send + Sync + 'static) {
        self.shared.lock().on_settle = Some(Arc::new(observe));
    }

    // ── the script ────────────────────────────────────────────────────────────────────────────────────

    /// Plays a fault on the `nth` command (from 1, counted from now) that matches `pattern`.
    ///
    /// A command matches when it begins with the pattern's first word and has the others in their order:
    /// `"UID FETCH BODY.PEEK[]"` leaves listings alone. `GREETING` stands for a new connection.
    pub fn fault(&self, pattern: &str, nth: usize, fault: Fault) {
        self.trap(pattern, Some(nth.checked_sub(1).expect("occurrences count from 1")), fault);
    }

    /// Plays a fault on every matching command until [`Self::no_faults`].
    pub fn fault_always(&self, pattern: &str, fault: Fault) {
        self.trap(pattern, None, fault);
    }

    fn trap(&self, pattern: &str, pass: Option<usize>, fault: Fault) {
        self.shared.lock().traps.push(Trap { pattern: pattern.to_ascii_uppercase(), pass, fault });
    }

    /// Ends every fault that has not happened yet.
    pub fn no_faults(&self) {
        self.shared.lock().traps.clear();
    }

    /// Waits until every fault has happened that is not for always.
    pub fn wait_until_played(&self) {
        let met = self.wait(|world| world.traps.iter().all(|trap| trap.pass.is_none()));
        let left: Vec<_> = self.shared.lock().traps.iter().map(|trap| trap.pattern.clone()).collect();
        assert!(met, "{left:?} were never asked; commands: {:#?}", self.commands());
    }

    /// Answers every command that is being held.
    pub fn release(&self) {
        self.change(|world| world.releases += 1);
    }

    /// Closes every connection, as a server does that is restarted.
    pub fn drop_connections(&self) {
        for view in self.shared.lock().views.values() {
            let _ = view.stream.shutdown(Shutdown::Both);
        }
    }

    // ── the record ────────────────────────────────────────────────────────────────────────────────────

    /// Every command so far, of every connection.
    pub fn commands(&self) -> Vec<Recorded> {
        self.shared.lock().recorded.clone()
    }

    /// How many commands matched so far; patterns as in [`Self::fault`].
    pub fn count(&self, pattern: &str) -> usize {
        self.shared.lock().count(pattern)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// What a client sent that acuse must never send.
    pub fn offences(&self) -> Vec<String> {
        self.shared.lock().offences.clone()
    }

    /// Waits until `times` commands have matched since the start.
    pub fn wait_for(&self, pattern: &str, times: usize) {
        let met = self.wait(|world| world.count(pattern) >= times);
        assert!(met, "no {times}× `{pattern}` in {PATIENCE:?}; commands: {:#?}", self.commands());
    }

    /// Waits until a client idles in a folder: what is there has been dealt with, what comes is pushed.
    pub fn wait_for_idle(&self, user: &str, folder: &str) {
        let inside = |view: &View| {
            view.idling
                && view.user.as_deref() == Some(user)
                && view.selected.as_ref().is_some_and(|selected| selected.folder == folder)
        };
        let met = self.wait(|world| world.views.values().any(inside));
        assert!(met, "nobody idles in {folder} after {PATIENCE:?}; commands: {:#?}", self.commands());
    }

    /// Waits until a folder holds this many mails.
    pub fn wait_for_mails(&self, user: &str, folder: &str, mails: usize) {
        let has = |world: &World| {
            world.users[user].folders.get(folder).map_or(0, |folder| folder.mails.len()) == mails
        };
        let met = self.wait(has);
        assert!(met, "{folder} holds {} mails, not {mails}", self.messages(user, folder).len());
    }

    fn wait(&self, met: impl Fn(&World) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut world = self.shared.lock();
        while !met(&world) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            world = self.shared.changed.wait_timeout(world, left).expect("the world is whole").0;
        }
        true
    }

    fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.shared.lock();
        let made = act(&mut world);
        world.push_changes();
        self.shared.changed.notify_all();
        made
    }
}

impl Drop for ImapPeer {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        self.drop_connections();
        let _ = TcpStream::connect(self.address); // wakes the listener, which then sees that it is over
    }
}
