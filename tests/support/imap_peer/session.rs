//! One connection: command in, fault or answer out.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use rustix::net::sockopt::set_socket_linger;

use super::open::{Open, inbox_in_capitals};
use super::parse::{Command, Token, read_command};
use super::world::{Selected, Shared, View, World};
use super::{Fault, Recorded};

/// Serves a connection until either side ends it.
pub fn serve(shared: &Shared, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let id = {
        let mut world = shared.lock();
        world.connections += 1;
        let id = world.connections;
        let Ok(stream) = stream.try_clone() else { return };
        world.views.insert(id, View { stream, user: None, selected: None, idling: false });
        id
    };
    if let (Ok(writer), Ok(end)) = (stream.try_clone(), stream.try_clone()) {
        let mut session = Session { shared, id, reader: BufReader::new(stream), writer };
        let ended = session.run(); // an I/O error is the client's end of the connection, or a reset of ours
        if !ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
            let _ = end.shutdown(Shutdown::Both); // it would make of the reset an orderly end
        }
    }
    shared.lock().views.remove(&id);
    shared.changed.notify_all();
}

struct Session<'a> {
    shared: &'a Shared,
    id: usize,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// A command's fate: the untagged bytes are gathered apart, this is the tagged line.
pub enum Tagged {
    Ok(String),
    No(String),
    Bad(String),
    /// Answered already, or not to be answered.
    Done,
    Logout,
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        let greeting =
            Command { tag: "*".into(), name: "GREETING".into(), args: Vec::new(), line: "GREETING".into() };
        if !self.obey(&greeting)? {
            return Ok(());
        }
        while let Some(command) = read_command(&mut self.reader, &mut self.writer)? {
            if !self.obey(&command)? {
                break;
            }
        }
        Ok(())
    }

    /// Carries out one command or the fault that waits for it; whether the connection goes on.
    fn obey(&mut self, command: &Command) -> io::Result<bool> {
        let (fault, releases) = {
            let mut world = self.shared.lock();
            if offends(command) {
                world.offences.push(command.line.clone());
            }
            (world.record(self.id, &command.line), world.releases)
        };
        self.shared.changed.notify_all();
        let tag = &command.tag;
        let mut out = Vec::new();
        let mut end = usize::MAX;
        let (mut in_literal, mut resets) = (false, false);
        let mut edit: fn(Vec<u8>) -> Vec<u8> = |answer| answer;
        match fault {
            None => {}
            Some(Fault::No(why)) => {
                return write!(self.writer, "{tag} NO {why}\r\n").map(|()| true);
            }
            Some(Fault::Bad) => return write!(self.writer, "{tag} BAD what is that\r\n").map(|()| true),
            Some(Fault::Bye) => return write!(self.writer, "* BYE going down\r\n").map(|()| false),
            Some(Fault::Close) => return Ok(false),
            Some(Fault::Raw(bytes)) => {
                return self.writer.write_all(&with_tag(&bytes, tag)).map(|()| true);
            }
            Some(Fault::Silent) => {
                return io::copy(&mut self.reader, &mut io::sink()).map(|_| false);
            }
            Some(Fault::Also(bytes)) => out = bytes,
            Some(Fault::Delay(time)) => thread::sleep(time),
            Some(Fault::Hold) => self.wait_for_release(releases),
            Some(Fault::CutAt(bytes)) => end = bytes,
            Some(Fault::CutInLiteral(bytes)) => (end, in_literal) = (bytes, true),
            Some(Fault::ResetInLiteral(bytes)) => (end, in_literal, resets) = (bytes, true, true),
            Some(Fault::Edited(how)) => edit = how,
        }
        let tagged = self.carry_out(command, &mut out)?;
        self.shared.changed.notify_all();
        let goes_on = !matches!(tagged, Tagged::Logout);
        match tagged {
            Tagged::Ok(text) => out.extend(format!("{tag} OK {text}\r\n").bytes()),
            Tagged::No(text) => out.extend(format!("{tag} NO {text}\r\n").bytes()),
            Tagged::Bad(text) => out.extend(format!("{tag} BAD {text}\r\n").bytes()),
            Tagged::Logout => out.extend(format!("* BYE see you\r\n{tag} OK done\r\n").bytes()),
            Tagged::Done => {}
        }
        let out = edit(out);
        if in_literal {
            let opened = out.windows(3).position(|bytes| bytes == b"}\r\n").map_or(0, |at| at + 3);
            end = end.saturating_add(opened);
        }
        if end < out.len() {
            if resets {
                set_socket_linger(&self.writer, Some(Duration::ZERO))?;
                self.writer.write_all(&out[..end])?;
                thread::sleep(Duration::from_millis(50)); // a reset overtakes what is not read yet
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            return self.writer.write_all(&out[..end]).map(|()| false);
        }
        self.writer.write_all(&out).map(|()| goes_on)
    }

    /// Waits for a release after the first `before`.
    fn wait_for_release(&self, before: usize) {
        let mut world = self.shared.lock();
        while world.releases == before && !world.over {
            world = self.shared.changed.wait(world).expect("the world is whole");
        }
    }

    fn carry_out(&mut self, command: &Command, out: &mut Vec<u8>) -> io::Result<Tagged> {
        let options = &self.shared.options;
        let (args, name) = (command.args.as_slice(), command.name.as_str());
        let arg = |index: usize| args.get(index).map(Token::text).unwrap_or_default();
        let mut world = self.shared.lock();
        let user = world.views.get(&self.id).and_then(|view| view.user.clone());
        let answer = match (name, user) {
            ("GREETING", _) => {
                out.extend(format!("* OK [CAPABILITY {}] ready\r\n", capabilities(self.shared)).bytes());
                Tagged::Done
            }
            ("CAPABILITY", _) => {
                out.extend(format!("* CAPABILITY {}\r\n", capabilities(self.shared)).bytes());
                Tagged::Ok("listed".into())
            }
            ("LOGOUT", _) => Tagged::Logout,
            ("NOOP" | "CHECK", _) => {
                out.extend(world.news(self.id));
                Tagged::Ok("checked".into())
            }
            ("ID", _) => {
                out.extend(b"* ID NIL\r\n");
                Tagged::Ok("nice to meet you".into())
            }
            ("LOGIN", None) => login(&mut world, self.id, &arg(0), &arg(1)),
            ("AUTHENTICATE", None) => {
                let mut answer = arg(1);
                if answer.is_empty() {
                    drop(world); // the client's turn: nobody else must wait for it
                    self.writer.write_all(b"+ \r\n")?;
                    self.reader.read_line(&mut answer)?;
                    world = self.shared.lock();
                }
                let decoded = BASE64_STANDARD.decode(answer.trim()).unwrap_or_default();
                let text = String::from_utf8_lossy(&decoded).into_owned();
                match (arg(0).to_ascii_uppercase().as_str(), &text.split('\0').collect::<Vec<_>>()[..]) {
                    ("PLAIN", [_, user, password]) => login(&mut world, self.id, user, password),
                    ("PLAIN", _) => Tagged::Bad("unreadable credentials".into()),
                    _ => Tagged::No("[CANNOT] no such mechanism".into()),
                }
            }
            (_, None) => Tagged::Bad("log in first".into()),
            ("IDLE", Some(_)) if options.idle => {
                drop(world);
                return self.idle(&command.tag);
            }
            ("LIST", Some(user)) => list(&mut world, self.shared, &user, &arg(1), out),
            ("CREATE", Some(user)) => create(&mut world, self.shared, &user, &arg(0)),
            ("SUBSCRIBE" | "UNSUBSCRIBE", Some(_)) => Tagged::Ok("noted".into()),
            ("SELECT" | "EXAMINE", Some(user)) => {
                let folder = inbox_in_capitals(arg(0));
                select(&mut world, self.shared, self.id, &user, folder, name == "EXAMINE", out)
            }
            ("APPEND", Some(user)) => append(&mut world, self.shared, &user, args),
            (_, Some(user)) => {
                let view = world.views.get_mut(&self.id);
                let Some(mut selected) = view.and_then(|view| view.selected.take()) else {
                    return Ok(Tagged::Bad("no folder is open, or no such command".into()));
                };
                let mut open = Open { shared: self.shared, user: &user, selected: &mut selected, out };
                let closes = matches!(name, "CLOSE" | "UNSELECT");
                let answer = open.carry_out(&mut world, command);
                if !closes && let Some(view) = world.views.get_mut(&self.id) {
                    view.selected = Some(selected);
                }
                out.extend(world.news(self.id));
                answer
            }
        };
        world.push_changes();
        Ok(answer)
    }

    /// RFC 2177; the pushes come from whoever changes the folder.
    fn idle(&mut self, tag: &str) -> io::Result<Tagged> {
        self.set_idling(true)?;
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        self.set_idling(false)?;
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !line.trim().eq_ignore_ascii_case("DONE") {
            return Ok(Tagged::Bad("expected DONE".into()));
        }
        self.shared.lock().recorded.push(Recorded { connection: self.id, line: "DONE".into() });
        write!(self.writer, "{tag} OK idle is over\r\n")?;
        Ok(Tagged::Done)
    }

    fn set_idling(&mut self, idling: bool) -> io::Result<()> {
        let mut world = self.shared.lock();
        if idling {
            self.writer.write_all(b"+ idling\r\n")?;
        }
        if let Some(view) = world.views.get_mut(&self.id) {
            view.idling = idling;
        }
        if idling {
            world.push_changes(); // what came between the last command and this one
        }
        drop(world);
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// `{tag}` in scripted bytes stands for the command's tag.
fn with_tag(bytes: &[u8], tag: &str) -> Vec<u8> {
    let mark = b"{tag}";
    match bytes.windows(mark.len()).position(|window| window == mark) {
        Some(at) => [&bytes[..at], tag.as_bytes(), &with_tag(&bytes[at + mark.len()..], tag)].concat(),
        None => bytes.to_vec(),
    }
}

fn capabilities(shared: &Shared) -> String {
    let options = &shared.options;
    let offered = [
        ("SASL-IR LITERAL+", options.shortcuts),
        ("IDLE", options.idle),
        ("MOVE", options.r#move),
        ("UIDPLUS", options.uidplus),
    ];
    offered
        .iter()
        .filter(|(_, on)| *on)
        .fold("IMAP4rev1 AUTH=PLAIN".to_owned(), |all, (name, _)| format!("{all} {name}"))
}

/// What acuse must never send: it would expunge other people's deletions, change `\Seen` by reading, rely on
/// flags or sequence numbers, or wake the parts of IMAP parsers that hostile mail breaks.
fn offends(command: &Command) -> bool {
    let line = command.line.to_ascii_uppercase();
    matches!(command.name.as_str(), "EXPUNGE" | "CLOSE" | "FETCH" | "STORE" | "COPY" | "MOVE" | "NAMESPACE")
        || ["BODYSTRUCTURE", "ENVELOPE", " BODY[", "(BODY[", "UNSEEN"].iter().any(|word| line.contains(word))
}

fn login(world: &mut World, id: usize, user: &str, password: &str) -> Tagged {
    if world.users.get(user).is_none_or(|known| known.password != password) {
        return Tagged::No("[AUTHENTICATIONFAILED] Authentication failed.".into());
    }
    if let Some(view) = world.views.get_mut(&id) {
        view.user = Some(user.to_owned());
    }
    Tagged::Ok("logged in".into())
}

fn list(world: &mut World, shared: &Shared, user: &str, pattern: &str, out: &mut Vec<u8>) -> Tagged {
    let separator = shared.options.separator;
    if pattern.is_empty() {
        out.extend(format!("* LIST (\\Noselect) \"{separator}\" \"\"\r\n").bytes());
        return Tagged::Ok("that is the separator".into());
    }
    let shown = |name: &str| match pattern.split_once(['*', '%']) {
        Some((start, _)) => name.starts_with(start),
        None => name == pattern,
    };
    for folder in world.user(user).folders.keys().filter(|name| shown(name)) {
        out.extend(format!("* LIST (\\HasNoChildren) \"{separator}\" \"{folder}\"\r\n").bytes());
    }
    Tagged::Ok("listed".into())
}

fn create(world: &mut World, shared: &Shared, user: &str, folder: &str) -> Tagged {
    let prefix = shared.options.prefix;
    if !folder.starts_with(prefix) {
        return Tagged::No(format!(
            "Client tried to access nonexistent namespace. (Mailbox name should probably be prefixed with: \
             {prefix})"
        ));
    }
    if world.user(user).folders.contains_key(folder) {
        return Tagged::No("[ALREADYEXISTS] Mailbox already exists".into());
    }
    world.make_folder(user, folder);
    Tagged::Ok("created".into())
}

fn select(
    world: &mut World,
    shared: &Shared,
    id: usize,
    user: &str,
    folder: String,
    read_only: bool,
    out: &mut Vec<u8>,
) -> Tagged {
    let World { users, views, .. } = world;
    let Some(view) = views.get_mut(&id) else { return Tagged::Bad("who are you".into()) };
    view.selected = None;
    let Some(open) = users.get(user).and_then(|user| user.folders.get(&folder)) else {
        return Tagged::No(format!("[NONEXISTENT] Mailbox doesn't exist: {folder}"));
    };
    let permanent = if read_only {
        ""
    } else if shared.options.keywords {
        "\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*"
    } else {
        SYSTEM_FLAGS
    };
    out.extend(
        format!(
            "* FLAGS ({SYSTEM_FLAGS})\r\n* OK [PERMANENTFLAGS ({permanent})] Flags permitted.\r\n\
             * {} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY {}] UIDs valid\r\n* OK [UIDNEXT {}] next\r\n",
            open.mails.len(),
            open.uidvalidity,
            open.uidnext
        )
        .bytes(),
    );
    let known = open.mails.iter().map(|mail| (mail.uid, mail.flags.clone())).collect();
    view.selected = Some(Selected { folder, read_only, known });
    Tagged::Ok(if read_only { "[READ-ONLY] opened" } else { "[READ-WRITE] opened" }.into())
}

const SYSTEM_FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// RFC 9051 §6.3.12: folder, perhaps flags, perhaps a date, then the mail.
fn append(world: &mut World, shared: &Shared, user: &str, args: &[Token]) -> Tagged {
    let [folder, between @ .., Token::Text(raw)] = args else {
        return Tagged::Bad("APPEND wants a folder and a mail".into());
    };
    let folder = inbox_in_capitals(folder.text());
    let mut flags = BTreeSet::new();
    let mut date = Timestamp::now();
    for token in between {
        match token {
            Token::List(_) => flags.extend(token.words()),
            Token::Text(_) => match Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", token.text().trim()) {
                Ok(given) => date = given,
                Err(_) => return Tagged::Bad("unreadable date".into()),
            },
        }
    }
    let Some(open) = world.user(user).folders.get_mut(&folder) else {
        return Tagged::No(format!("[TRYCREATE] Mailbox doesn't exist: {folder}"));
    };
    let uid = open.append(raw.as_slice().into(), flags, date);
    let code = if shared.options.uidplus {
        format!("[APPENDUID {} {uid}] ", open.uidvalidity)
    } else {
        String::new()
    };
    Tagged::Ok(format!("{code}appended"))
}
