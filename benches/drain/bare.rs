//! The bare pipeline: fetch, parse, commit, MOVE and acknowledge on the fewest round trips that the protocols allow, and
//! nothing else: no rules, threads, index, limits, time-outs or errors. What it does in a second is the ceiling.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use lettre::Message;
use mail_parser::MessageParser;
use rusqlite::{Connection, params};

/// Mails in one FETCH, one commit and one MOVE.
const BATCH: usize = 200;
/// FETCH commands under way at once.
const AHEAD: usize = 2;

const TABLES: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
CREATE TABLE ticket (id INTEGER PRIMARY KEY, requester TEXT NOT NULL, subject TEXT NOT NULL, opened INTEGER NOT NULL);
CREATE TABLE message (id INTEGER PRIMARY KEY, ticket INTEGER NOT NULL REFERENCES ticket, message_id TEXT NOT NULL,
    body TEXT NOT NULL, raw BLOB NOT NULL);
CREATE INDEX message_id ON message (message_id);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, ticket INTEGER NOT NULL, recipient TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX outbox_state ON outbox (state);";

/// A range of UIDs.
type Range = (usize, usize);

/// Drains the INBOX of a user, whose mails have the UIDs 1 to `mails`.
pub fn drain(imap: SocketAddr, user: &str, password: &str, directory: &Path, mails: usize, smtp: SocketAddr) {
    let (fetched, batches) = mpsc::sync_channel::<(Range, Vec<Vec<u8>>)>(AHEAD);
    let (stored, to_move) = mpsc::channel::<Range>();
    let (acks, to_send) = mpsc::sync_channel::<(usize, String)>(4 * BATCH);
    let mut imap = Imap::log_in(imap, user, password);
    let mailbox = thread::spawn(move || imap.drain(mails, &fetched, &to_move));
    let relay = thread::spawn(move || Smtp::greet(smtp).send_all(to_send));
    let database = Connection::open(directory.join("bare.db")).expect("a database");
    database.execute_batch(TABLES).expect("tables");
    for (range, batch) in batches {
        let due = store(&database, range, &batch);
        stored.send(range).expect("the mailbox's thread");
        due.into_iter().for_each(|ack| acks.send(ack).expect("the relay's thread"));
    }
    drop((stored, acks));
    mailbox.join().expect("the mailbox's thread");
    relay.join().expect("the relay's thread");
}

fn store(database: &Connection, (first, _): Range, batch: &[Vec<u8>]) -> Vec<(usize, String)> {
    let run = |sql: &str, row: &[&dyn rusqlite::ToSql]| {
        database.prepare_cached(sql).and_then(|mut statement| statement.execute(row)).expect("a row");
    };
    run("BEGIN IMMEDIATE", &[]);
    let parser = MessageParser::default();
    let store = |(number, raw): (usize, &Vec<u8>)| {
        let mail = parser.parse(raw).expect("a mail");
        let from = mail.from().and_then(|from| from.first()).and_then(|from| from.address());
        let from = from.unwrap_or("nobody@cliente.example").to_owned();
        let (subject, id) = (mail.subject().unwrap_or_default(), mail.message_id().unwrap_or_default());
        run(
            "INSERT INTO ticket (requester, subject, opened) VALUES (?1, ?2, ?3)",
            params![from, subject, number as i64],
        );
        let ticket = database.last_insert_rowid();
        let body = mail.body_text(0).unwrap_or_default();
        run(
            "INSERT INTO message (ticket, message_id, body, raw) VALUES (?1, ?2, ?3, ?4)",
            params![ticket, id, body, raw],
        );
        run("INSERT INTO outbox (ticket, recipient, state) VALUES (?1, ?2, 'due')", params![ticket, from]);
        (first + number, from)
    };
    let due = batch.iter().enumerate().map(store).collect();
    run("COMMIT", &[]);
    due
}

/// A mailbox on a connection that writes commands before it has read the last one's answer.
struct Imap {
    reader: BufReader<TcpStream>,
    tag: usize,
}

impl Imap {
    fn log_in(address: SocketAddr, user: &str, password: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the IMAP server");
        stream.set_nodelay(true).expect("a socket");
        let mut imap = Self { reader: BufReader::with_capacity(256 << 10, stream), tag: 0 };
        imap.line();
        for command in [&format!("LOGIN {user} {password}"), "SELECT INBOX"] {
            let tag = imap.send(command);
            imap.answer(tag);
        }
        let _ = imap.send("CREATE Bare"); // it may be there
        imap
    }

    fn drain(
        &mut self,
        mails: usize,
        fetched: &mpsc::SyncSender<(Range, Vec<Vec<u8>>)>,
        stored: &mpsc::Receiver<Range>,
    ) {
        let mut ranges = (1..=mails).step_by(BATCH).map(|first| (first, mails.min(first + BATCH - 1)));
        let (mut asked, mut moved) = (VecDeque::new(), 0);
        loop {
            while asked.len() < AHEAD
                && let Some((first, last)) = ranges.next()
            {
                asked.push_back((
                    self.send(&format!("UID FETCH {first}:{last} (UID BODY.PEEK[])")),
                    (first, last),
                ));
            }
            let Some((tag, range)) = asked.pop_front() else { break };
            let batch = self.answer(tag);
            fetched.send((range, batch)).expect("the storing thread");
            while let Ok(range) = stored.try_recv() {
                moved = self.send_away(range);
            }
        }
        while moved < mails {
            moved = self.send_away(stored.recv().expect("the storing thread"));
        }
        let tag = self.send("NOOP");
        self.answer(tag);
    }

    /// Says the last UID of the range.
    fn send_away(&mut self, (first, last): Range) -> usize {
        self.send(&format!("UID MOVE {first}:{last} Bare"));
        last
    }

    fn send(&mut self, command: &str) -> usize {
        self.tag += 1;
        let line = format!("b{} {command}\r\n", self.tag);
        self.reader.get_mut().write_all(line.as_bytes()).expect("the IMAP server");
        self.tag
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line).expect("the IMAP server");
        assert!(read > 0, "the IMAP server hung up");
        line
    }

    /// Reads to the tagged answer; what came as literals.
    fn answer(&mut self, tag: usize) -> Vec<Vec<u8>> {
        let (tagged, mut literals) = (format!("b{tag} "), Vec::new());
        loop {
            let line = self.line();
            if let Some(open) =
                line.ends_with(b"}\r\n").then(|| line.iter().rposition(|&byte| byte == b'{')).flatten()
            {
                let size = std::str::from_utf8(&line[open + 1..line.len() - 3]).expect("a literal's size");
                let mut literal = vec![0; size.parse().expect("a literal's size")];
                self.reader.read_exact(&mut literal).expect("a literal");
                literals.push(literal);
            } else if line.starts_with(tagged.as_bytes()) {
                assert!(line[tagged.len()..].starts_with(b"OK"), "{}", String::from_utf8_lossy(&line));
                return literals;
            }
        }
    }
}

/// A relay on a connection.
struct Smtp(BufReader<TcpStream>);

impl Smtp {
    fn greet(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the relay");
        stream.set_nodelay(true).expect("a socket");
        let mut smtp = Self(BufReader::new(stream));
        smtp.reply();
        smtp.say(b"EHLO bare\r\n");
        smtp
    }

    fn send_all(&mut self, acks: mpsc::Receiver<(usize, String)>) {
        for (number, to) in acks {
            let mail = Message::builder()
                .from("Soporte <soporte@mihost.example>".parse().expect("an address"))
                .to(to.parse().unwrap_or_else(|_| "nobody@cliente.example".parse().expect("an address")))
                .subject(format!("[{number}] Recibimos su mensaje"))
                .message_id(Some(format!("<{number}.bare@mihost.example>")))
                .body("Recibimos su mensaje y le responderemos en horas hábiles.\r\n".repeat(8))
                .expect("a mail");
            self.say(b"MAIL FROM:<>\r\n");
            self.say(format!("RCPT TO:<{to}>\r\n").as_bytes());
            self.say(b"DATA\r\n");
            self.say(&[&mail.formatted(), &b"\r\n.\r\n"[..]].concat());
        }
    }

    fn say(&mut self, line: &[u8]) {
        self.0.get_mut().write_all(line).expect("the relay");
        self.reply();
    }

    fn reply(&mut self) {
        let mut line = String::new();
        while line.as_bytes().get(3) != Some(&b' ') {
            line.clear();
            self.0.read_line(&mut line).expect("the relay");
        }
    }
}
