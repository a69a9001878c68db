//! What the server knows: users, folders, connections, and the faults that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use jiff::Timestamp;

use super::{Fault, Options, Recorded, StoredMail};

pub struct Folder {
    pub uidvalidity: u32,
    pub uidnext: u32,
    /// By UID, as they came.
    pub mails: Vec<StoredMail>,
}

pub struct User {
    pub password: String,
    pub folders: BTreeMap<String, Folder>,
}

/// A connection as the server sees it.
pub struct View {
    pub stream: TcpStream,
    pub user: Option<String>,
    pub selected: Option<Selected>,
    pub idling: bool,
}

/// The open folder, and what its client has been told of it.
pub struct Selected {
    pub folder: String,
    pub read_only: bool,
    pub known: Vec<(u32, BTreeSet<String>)>,
}

/// A fault waiting for its command.
pub struct Trap {
    pub pattern: String,
    /// How many matching commands are still let through; `None`: none ever.
    pub pass: Option<usize>,
    pub fault: Fault,
}

pub type OnSettle = Arc<dyn Fn(&[StoredMail]) + Send + Sync>;

#[derive(Default)]
pub struct World {
    pub users: BTreeMap<String, User>,
    pub views: BTreeMap<usize, View>,
    pub connections: usize,
    pub folders_made: u32,
    pub recorded: Vec<Recorded>,
    pub offences: Vec<String>,
    pub traps: Vec<Trap>,
    /// How often the held answers were let go.
    pub releases: usize,
    pub on_settle: Option<OnSettle>,
    pub over: bool,
}

pub struct Shared {
    pub options: Options,
    pub world: Mutex<World>,
    pub changed: Condvar,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The servers' first UIDVALIDITY; each folder made, or made anew, has one of its own.
pub const FIRST_UIDVALIDITY: u32 = 1_000;

impl Folder {
    pub fn append(&mut self, raw: Arc<[u8]>, flags: BTreeSet<String>, internal_date: Timestamp) -> u32 {
        let uid = self.uidnext;
        self.uidnext += 1;
        self.mails.push(StoredMail { uid, flags, internal_date, raw });
        uid
    }

    pub fn find(&self, uid: u32) -> Option<&StoredMail> {
        let at = self.mails.binary_search_by_key(&uid, |mail| mail.uid).ok()?;
        self.mails.get(at)
    }

    pub fn last_uid(&self) -> u32 {
        self.mails.last().map_or(0, |mail| mail.uid)
    }
}

impl World {
    pub fn user(&mut self, user: &str) -> &mut User {
        self.users.get_mut(user).unwrap_or_else(|| panic!("the peer has no user {user}"))
    }

    pub fn folder(&mut self, user: &str, folder: &str) -> &mut Folder {
        let folders = &mut self.user(user).folders;
        folders.get_mut(folder).unwrap_or_else(|| panic!("{user} has no folder {folder}"))
    }

    pub fn make_folder(&mut self, user: &str, folder: &str) {
        self.folders_made += 1;
        let uidvalidity = FIRST_UIDVALIDITY + self.folders_made;
        let empty = Folder { uidvalidity, uidnext: 1, mails: Vec::new() };
        self.user(user).folders.insert(folder.to_owned(), empty);
    }

    pub fn count(&self, pattern: &str) -> usize {
        self.recorded.iter().filter(|recorded| matches(pattern, &recorded.line)).count()
    }

    /// Notes a command and finds the fault that waits for it.
    pub fn record(&mut self, connection: usize, line: &str) -> Option<Fault> {
        self.recorded.push(Recorded { connection, line: line.to_owned() });
        let mut hit = None;
        for (index, trap) in
            self.traps.iter_mut().enumerate().filter(|(_, trap)| matches(&trap.pattern, line))
        {
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

    /// Tells idling clients at once what has changed.
    pub fn push_changes(&mut self) {
        let idling: Vec<_> = self.views.iter().filter(|(_, view)| view.idling).map(|(&id, _)| id).collect();
        for id in idling {
            let news = self.news(id);
            if let Some(view) = self.views.get_mut(&id) {
                let _ = view.stream.write_all(&news);
            }
        }
    }

    /// The untagged responses that bring a client up to date with its open folder.
    pub fn news(&mut self, id: usize) -> Vec<u8> {
        let mut news = Vec::new();
        let Some(View { user: Some(user), selected: Some(selected), .. }) = self.views.get_mut(&id) else {
            return news;
        };
        let folder = &self.users[user].folders[&selected.folder];
        for index in (0..selected.known.len()).rev() {
            let (uid, flags) = &mut selected.known[index];
            match folder.find(*uid) {
                None => {
                    selected.known.remove(index);
                    news.extend(format!("* {} EXPUNGE\r\n", index + 1).bytes());
                }
                Some(mail) if mail.flags != *flags => {
                    flags.clone_from(&mail.flags);
                    let flags = flag_list(flags);
                    news.extend(format!("* {} FETCH (UID {uid} FLAGS {flags})\r\n", index + 1).bytes());
                }
                Some(_) => {}
            }
        }
        let last = selected.known.last().map_or(0, |(uid, _)| *uid);
        let before = selected.known.len();
        let new = folder.mails.iter().filter(|mail| mail.uid > last);
        selected.known.extend(new.map(|mail| (mail.uid, mail.flags.clone())));
        if selected.known.len() > before {
            news.extend(format!("* {} EXISTS\r\n* 0 RECENT\r\n", selected.known.len()).bytes());
        }
        news
    }
}

pub fn flag_list(flags: &BTreeSet<String>) -> String {
    format!("({})", flags.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// Whether a line begins with the first word of a pattern and has the others in order.
pub fn matches(pattern: &str, line: &str) -> bool {
    let line = line.to_ascii_uppercase();
    let mut rest = line.as_str();
    pattern.to_ascii_uppercase().split(' ').enumerate().all(|(index, word)| match rest.find(word) {
        Some(at) if at == 0 || index > 0 => {
            rest = &rest[at + word.len()..];
            true
        }
        _ => false,
    })
}
