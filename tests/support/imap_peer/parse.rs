//! Reads what an IMAP client sends: commands with their literals, tokens, UID sets (RFC 9051 §2.2, §9).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A command as the client sent it.
pub struct Command {
    pub tag: String,
    /// In capitals, `UID` included: `UID FETCH`.
    pub name: String,
    pub args: Vec<Token>,
    /// Without its tag, literals shown by their size alone, passwords hidden.
    pub line: String,
}

/// One argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// An atom, a quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Token>),
}

impl Token {
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(_) => String::new(),
        }
    }

    /// The words of a list, or of a single word written without parentheses.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Text(_) => vec![self.text()],
            Self::List(tokens) => tokens.iter().map(Self::text).collect(),
        }
    }
}

/// Reads one command; `None` when the client has closed the connection between two.
pub fn read_command(
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
) -> io::Result<Option<Command>> {
    let (mut bytes, mut shown) = (Vec::new(), String::new());
    loop {
        let start = bytes.len();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned();
        shown.push_str(&line);
        let Some((size, waits)) = announced_literal(&line) else { break };
        if waits {
            writer.write_all(b"+ go ahead\r\n")?;
        }
        let start = bytes.len();
        bytes.resize(start + size, 0);
        reader.read_exact(&mut bytes[start..])?;
    }
    let mut tokens = Scanner { rest: &bytes }.tokens().into_iter();
    let mut next = || tokens.next().map(|token| token.text()).unwrap_or_default();
    let (tag, mut name) = (next(), next().to_ascii_uppercase());
    if name == "UID" {
        name = format!("UID {}", next().to_ascii_uppercase());
    }
    let args: Vec<_> = tokens.collect();
    let line = match name.as_str() {
        "LOGIN" => format!("LOGIN {} ***", args.first().map(Token::text).unwrap_or_default()),
        "AUTHENTICATE" => format!("AUTHENTICATE {}", args.first().map(Token::text).unwrap_or_default()),
        _ => shown.strip_prefix(&tag).unwrap_or(&shown).trim_start().to_owned(),
    };
    Ok(Some(Command { tag, name, args, line }))
}

/// `{12}` at a line's end waits for our consent, `{12+}` does not (RFC 7888).
fn announced_literal(line: &str) -> Option<(usize, bool)> {
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    let waits = !size.ends_with('+');
    Some((size.trim_end_matches('+').parse().ok()?, waits))
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    /// Every token up to the end or to the parenthesis that closes this list.
    fn tokens(&mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(first) = self.take() {
            match first {
                b' ' | b'\r' | b'\n' => {}
                b')' => break,
                b'(' => tokens.push(Token::List(self.tokens())),
                b'"' => tokens.push(Token::Text(self.quoted())),
                b'{' => tokens.push(Token::Text(self.literal())),
                _ => tokens.push(Token::Text(self.atom(first))),
            }
        }
        tokens
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some(byte) = self.take() {
            match byte {
                b'"' => break,
                b'\\' => text.extend(self.take()),
                _ => text.push(byte),
            }
        }
        text
    }

    fn literal(&mut self) -> Vec<u8> {
        let mut size = 0;
        while let Some(byte) = self.take() {
            match byte {
                b'0'..=b'9' => size = size * 10 + usize::from(byte - b'0'),
                b'\n' => break,
                _ => {}
            }
        }
        let (text, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        text.to_vec()
    }

    /// `BODY.PEEK[HEADER.FIELDS (FROM)]<0.10>` is one atom: brackets hold spaces and parentheses.
    fn atom(&mut self, first: u8) -> Vec<u8> {
        let mut text = vec![first];
        let mut depth = usize::from(first == b'[');
        while let Some(&byte) = self.rest.first() {
            match byte {
                b'\r' | b'\n' => break,
                b' ' | b'(' | b')' if depth == 0 => break,
                b'[' => depth += 1,
                b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            text.push(byte);
            self.rest = &self.rest[1..];
        }
        text
    }
}

/// Whether a UID is in a set such as `3,7:9,12:*`; `last` is the highest UID there is, which `*` means.
pub fn in_set(set: &str, uid: u32, last: u32) -> bool {
    let number = |text: &str| if text == "*" { Some(last) } else { text.parse().ok() };
    set.split(',').any(|part| {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        match (number(from), number(to)) {
            // RFC 9051 §9 seq-range: the order of the two ends does not matter, so `9:*` holds the last mail.
            (Some(a), Some(b)) => (a.min(b)..=a.max(b)).contains(&uid),
            _ => false,
        }
    })
}

/// UIDs as a set with runs folded: `3:5,9`.
pub fn set_of(uids: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &uid in uids {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == uid => *end = uid,
            _ => runs.push((uid, uid)),
        }
    }
    let write = |(a, b): &(u32, u32)| if a == b { a.to_string() } else { format!("{a}:{b}") };
    runs.iter().map(write).collect::<Vec<_>>().join(",")
}
