//! The other people at a mail server: a small blocking IMAP client (a colleague's, or the test's own eyes) and
//! LMTP delivery (the host's mail transport).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jiff::Timestamp;

use super::PATIENCE;

/// A logged-in IMAP connection. Every refused command panics: a test that wants a refusal uses [`Self::try_command`].
pub struct ImapClient {
    reader: BufReader<TcpStream>,
    tags: usize,
}

/// One response: its lines, and its literals in order.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// Without CRLF, the bytes of literals left out.
    pub lines: Vec<String>,
    pub literals: Vec<Vec<u8>>,
    /// The tagged line without its tag: `OK …`, `NO …`.
    pub end: String,
}

impl Response {
    /// The number or word after a key in any line: `UIDVALIDITY`, `UIDNEXT`, `UID`.
    pub fn value(&self, key: &str) -> Option<String> {
        self.lines.iter().find_map(|line| value(line, key))
    }
}

fn value(line: &str, key: &str) -> Option<String> {
    let mut words = line.split([' ', '(', ')', '[', ']']);
    words.find(|word| word.eq_ignore_ascii_case(key))?;
    words.next().map(str::to_owned)
}

/// A mail as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub uid: u32,
    /// Sorted.
    pub flags: Vec<String>,
}

impl ImapClient {
    /// Connects without TLS and logs in.
    pub fn login(address: SocketAddr, user: &str, password: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a read time-out");
        stream.set_nodelay(true).expect("no delay");
        let mut client = Self { reader: BufReader::new(stream), tags: 0 };
        let greeting = client.read_line();
        assert!(greeting.starts_with("* OK"), "{greeting}");
        client.command(&format!("LOGIN {user} {password}"));
        client
    }

    /// Sends a command and reads its response.
    pub fn command(&mut self, command: &str) -> Response {
        let response = self.try_command(command);
        assert!(response.end.starts_with("OK"), "{command}: {}", response.end);
        response
    }

    /// The same; the server may refuse.
    pub fn try_command(&mut self, command: &str) -> Response {
        let tag = self.send(command);
        self.read_response(&tag)
    }

    pub fn create(&mut self, folder: &str) {
        self.command(&format!("CREATE \"{folder}\""));
    }

    /// Every folder's name as the server writes it.
    pub fn folders(&mut self) -> Vec<String> {
        let lines = self.command("LIST \"\" \"*\"").lines;
        let mut names: Vec<_> = lines
            .iter()
            .filter_map(|line| {
                let (_, rest) = line.strip_prefix("* LIST ")?.split_once(") ")?;
                Some(rest.split_once(' ')?.1.trim_matches('"').to_owned())
            })
            .collect();
        names.sort();
        names
    }

    /// Appends a mail, INTERNALDATE `date` or now; returns its UID where the server has UIDPLUS.
    pub fn append(&mut self, folder: &str, raw: &[u8], date: Option<Timestamp>) -> Option<u32> {
        let date = date.map(|date| format!("\"{}\" ", date.strftime("%d-%b-%Y %H:%M:%S +0000")));
        let tag = self.send(&format!("APPEND \"{folder}\" {}{{{}}}", date.unwrap_or_default(), raw.len()));
        let go = self.read_line();
        assert!(go.starts_with('+'), "{go}");
        self.reader.get_mut().write_all(raw).expect("the server reads");
        self.reader.get_mut().write_all(b"\r\n").expect("the server reads");
        let response = self.read_response(&tag);
        assert!(response.end.starts_with("OK"), "APPEND: {}", response.end);
        let (_, code) = response.end.split_once("[APPENDUID ")?;
        code.split([' ', ']']).nth(1)?.parse().ok()
    }

    /// Opens a folder; `UIDVALIDITY` is in the response.
    pub fn select(&mut self, folder: &str) -> Response {
        self.command(&format!("SELECT \"{folder}\""))
    }

    /// The UIDVALIDITY of a folder, which it opens.
    pub fn uidvalidity(&mut self, folder: &str) -> u32 {
        let value = self.select(folder).value("UIDVALIDITY");
        value.and_then(|value| value.parse().ok()).expect("a UIDVALIDITY")
    }

    /// What a folder holds, which it opens; empty when it is not there.
    pub fn list(&mut self, folder: &str) -> Vec<Listed> {
        if !self.try_command(&format!("SELECT \"{folder}\"")).end.starts_with("OK") {
            return Vec::new();
        }
        let response = self.command("UID FETCH 1:* (UID FLAGS)");
        let listed = response.lines.iter().filter_map(|line| {
            let uid = value(line, "UID")?.parse().ok()?;
            let (_, flags) = line.split_once("FLAGS (")?;
            let mut flags: Vec<_> = flags.split(')').next()?.split(' ').map(str::to_owned).collect();
            flags.retain(|flag| !flag.is_empty() && flag != "\\Recent");
            flags.sort();
            Some(Listed { uid, flags })
        });
        listed.collect()
    }

    /// The bytes of a mail in the open folder, fetched without setting `\Seen`.
    pub fn fetch(&mut self, uid: u32) -> Vec<u8> {
        let response = self.command(&format!("UID FETCH {uid} (BODY.PEEK[])"));
        response.literals.into_iter().next().unwrap_or_else(|| panic!("no mail has UID {uid}"))
    }

    /// Sets a flag on a mail of the open folder.
    pub fn flag(&mut self, uid: u32, flag: &str) {
        self.command(&format!("UID STORE {uid} +FLAGS ({flag})"));
    }

    fn send(&mut self, command: &str) -> String {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let line = format!("{tag} {command}\r\n");
        self.reader.get_mut().write_all(line.as_bytes()).expect("the server reads");
        tag
    }

    fn read_response(&mut self, tag: &str) -> Response {
        let mut response = Response::default();
        loop {
            let mut line = self.read_line();
            while let Some(size) = literal_size(&line) {
                let mut literal = vec![0; size];
                self.reader.read_exact(&mut literal).expect("the announced literal");
                response.literals.push(literal);
                line.push_str(&self.read_line());
            }
            match line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                Some(end) => {
                    end.clone_into(&mut response.end);
                    return response;
                }
                None => response.lines.push(line),
            }
        }
    }

    fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).expect("the server answers");
        assert!(line.ends_with(b"\r\n"), "the server ended inside: {}", String::from_utf8_lossy(&line));
        line.truncate(line.len() - 2);
        String::from_utf8_lossy(&line).into_owned()
    }
}

fn literal_size(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// Delivers a mail over LMTP (RFC 2033), as the host's mail transport does; panics when it is refused.
pub fn deliver_lmtp(address: SocketAddr, sender: &str, recipient: &str, raw: &[u8]) {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a read time-out");
    let mut reader = BufReader::new(stream);
    let mut step = |bytes: &[u8], want: &str| {
        reader.get_mut().write_all(bytes).expect("the server reads");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("the server answers");
            assert!(line.starts_with(want), "LMTP: {line}");
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
    };
    step(b"", "220");
    step(b"LHLO test.example\r\n", "250");
    step(format!("MAIL FROM:<{sender}>\r\n").as_bytes(), "250");
    step(format!("RCPT TO:<{recipient}>\r\n").as_bytes(), "250");
    step(b"DATA\r\n", "354");
    let mut stuffed = Vec::with_capacity(raw.len() + 16);
    for line in raw.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend(b"\r\n");
    }
    stuffed.extend(b".\r\n");
    step(&stuffed, "250");
}
