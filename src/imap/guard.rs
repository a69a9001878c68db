//! Bounds what a server may make the parser allocate, re-parse or recurse into, before the parser sees it.
//!
//! async-imap allocates whatever a literal announces (up to 512 MiB), parses an unfinished response again
//! from its start at every read, and imap-proto recurses at every parenthesis. The guard follows the framing
//! of responses as the bytes pass, and ends the connection at the first one that breaks a limit. It is
//! stricter than the grammar where the grammar would let the two disagree about where a response ends:
//! literals are let through only where we asked for one. Folder names in raw 8-bit bytes, which the parser does not
//! read, become question marks: one such folder must not make the others unreachable.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Violation;

/// Bytes of one response outside its literals. A COPYUID of 500 scattered UIDs takes 11 KiB.
const MAX_TEXT: usize = 64 * 1024;
/// Opening parentheses in one response, which bounds their depth whatever quotes hide them. Answers to what
/// we ask have three; 400 overflow the parser's stack.
const MAX_PARENTHESES: usize = 64;
/// A folder's name may come as a literal.
const MAX_NAME: u64 = 4 * 1024;
/// Enough to tell `* LIST ` from `* 12 FETCH`.
const HEAD: usize = 7;
/// Enough to see ` {4294967295}` and what stands before it.
const TAIL: usize = 32;

/// Follows the framing of what a server sends.
#[derive(Debug)]
struct Framing {
    /// Bytes of mail that one response may carry.
    max_literal: u64,
    /// Bytes of the current literal still to come.
    literal_left: u64,
    literals: u64,
    text: usize,
    parentheses: usize,
    /// The first bytes of the response, which tell its kind.
    head: Vec<u8>,
    /// The last bytes of the current line.
    tail: Vec<u8>,
    received: u64,
    responses: u64,
}

impl Framing {
    fn new() -> Self {
        Self {
            max_literal: 0,
            literal_left: 0,
            literals: 0,
            text: 0,
            parentheses: 0,
            head: Vec::with_capacity(HEAD),
            tail: Vec::with_capacity(TAIL),
            received: 0,
            responses: 0,
        }
    }

    /// Takes the next bytes, cut anywhere.
    fn take(&mut self, mut bytes: &mut [u8]) -> Result<(), Violation> {
        self.received += bytes.len() as u64;
        while !bytes.is_empty() {
            let left = usize::try_from(self.literal_left).unwrap_or(usize::MAX);
            let feed = bytes.iter().position(|&b| b == b'\n');
            let end = if left > 0 { left } else { feed.map_or(bytes.len(), |at| at + 1) };
            let (part, rest) = bytes.split_at_mut(end.min(bytes.len()));
            bytes = rest;
            if left > 0 {
                self.literal_left -= part.len() as u64;
            } else {
                self.take_text(part)?;
            }
            if self.lists_folders() {
                part.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
            }
            if left == 0 && feed.is_some() {
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// Whether the response names a folder.
    fn lists_folders(&self) -> bool {
        self.head.eq_ignore_ascii_case(b"* LIST ")
    }

    fn take_text(&mut self, part: &[u8]) -> Result<(), Violation> {
        self.text += part.len();
        if self.text > MAX_TEXT {
            return Err(Violation::LongLine);
        }
        self.parentheses += part.iter().filter(|&&b| b == b'(').count();
        if self.parentheses > MAX_PARENTHESES {
            return Err(Violation::Parentheses);
        }
        let wanted = HEAD - self.head.len();
        self.head.extend(part.iter().take(wanted));
        self.tail.extend(part.iter().skip(part.len().saturating_sub(TAIL)));
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), Violation> {
        let Some(line) = self.tail.strip_suffix(b"\r\n") else { return Err(Violation::BareLineFeed) };
        let message_data = matches!(self.head.as_slice(), [b'*', b' ', digit, ..] if digit.is_ascii_digit());
        if let Some((before, size)) = announced(line) {
            let body = message_data && (before.ends_with(b"] ") || before.ends_with(b"> "));
            if !body && !self.lists_folders() {
                return Err(Violation::StrayLiteral);
            }
            self.literals = self.literals.saturating_add(size);
            if self.literals > if body { self.max_literal } else { MAX_NAME } {
                return Err(Violation::Literal { announced: size });
            }
            self.literal_left = size;
            self.tail.clear();
            return Ok(());
        }
        // The parser would take a line end inside a parenthesis for part of an unknown attribute's value, and
        // go on waiting for the closing one.
        if message_data && self.parentheses > 0 && !line.trim_ascii_end().ends_with(b")") {
            return Err(Violation::Unfinished);
        }
        self.responses += 1;
        (self.literals, self.text, self.parentheses) = (0, 0, 0);
        self.head.clear();
        self.tail.clear();
        Ok(())
    }
}

/// What stands before the literal that a line announces at its end, and the literal's size.
fn announced(line: &[u8]) -> Option<(&[u8], u64)> {
    let line = line.strip_suffix(b"}")?;
    let brace = line.iter().rposition(|&b| b == b'{')?;
    let (before, digits) = (line.get(..brace)?, line.get(brace + 1..)?);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // A number that fits nowhere is as long as can be.
    is_number
        .then(|| (before, std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(u64::MAX)))
}

/// A stream whose reading side is guarded.
#[derive(Debug)]
pub struct Guarded<S> {
    inner: S,
    framing: Framing,
}

impl<S> Guarded<S> {
    /// Allows no literal yet but a folder's name.
    pub fn new(inner: S) -> Self {
        Self { inner, framing: Framing::new() }
    }

    /// The stream alone again.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Bytes that mails may take in one response from now on.
    pub fn allow_literals(&mut self, bytes: u64) {
        self.framing.max_literal = bytes;
    }

    /// Bytes read so far.
    pub fn received(&self) -> u64 {
        self.framing.received
    }

    /// Tells whether what was read ends with the end of its response number `responses`.
    pub fn ends_after(&self, responses: u64) -> bool {
        self.framing.responses == responses && self.framing.text == 0
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled_mut().get_mut(before..).unwrap_or_default();
        Poll::Ready(
            self.framing.take(read).map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken)),
        )
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framing(text: &[u8], max_literal: u64) -> Result<Framing, Violation> {
        let mut framing = Framing { max_literal, ..Framing::new() };
        framing.take(&mut text.to_vec()).map(|()| framing)
    }

    #[test]
    fn raw_bytes_in_folder_names_become_question_marks_and_nothing_else_does() {
        let list = b"* LIST () \"/\" \"t\xe9cnico\"\r\n* LIST () \"/\" {3}\r\na\xe9b\r\n";
        let mail = b"* 1 FETCH (UID 1 BODY[] {2}\r\n\xc3\xa9)\r\na1 OK \xc3\xa9\r\n";
        let mut all = [&list[..], mail].concat();
        let mut framing = Framing { max_literal: 2, ..Framing::new() };
        all.chunks_mut(1).try_for_each(|byte| framing.take(byte)).unwrap();
        let (names, rest) = all.split_at(list.len());
        assert_eq!(names, b"* LIST () \"/\" \"t?cnico\"\r\n* LIST () \"/\" {3}\r\na?b\r\n");
        assert_eq!(rest, mail);
    }

    #[test]
    fn what_servers_answer_passes() {
        let text =
            b"* OK [CAPABILITY IMAP4rev1] ready (Debian\r\n* list (\\HasNoChildren) \".\" {5}\r\nab)(\n\r\n\
            * 1 FETCH (UID 5 BODY[] {12}\r\n((((\r\n) {99} FLAGS (\\Seen))\r\na1 OK done\r\n";
        assert_eq!(framing(text, 12).unwrap().responses, 4);
    }

    #[test]
    fn each_limit_has_its_violation() {
        let long = [&b"* OK "[..], &vec![b'x'; MAX_TEXT]].concat();
        let deep = [&b"* 1 FETCH (BODYSTRUCTURE "[..], &[b'('; MAX_PARENTHESES]].concat();
        let quoted = format!("* 1 FETCH (X a\" {}", "(\")\" ".repeat(MAX_PARENTHESES));
        let many = format!("* 1 FETCH ({}", "BODY[] {4}\r\naaaa ".repeat(3));
        for (text, violation) in [
            (&long[..], Violation::LongLine),
            (&deep, Violation::Parentheses),
            (quoted.as_bytes(), Violation::Parentheses),
            (b"* 1 FETCH (BODY[] {11}\r\n", Violation::Literal { announced: 11 }),
            (b"* 1 FETCH (BODY[] {99999999999999999999999}\r\n", Violation::Literal { announced: u64::MAX }),
            (many.as_bytes(), Violation::Literal { announced: 4 }),
            (b"* LIST () \"/\" {4097}\r\n", Violation::Literal { announced: 4097 }),
            (b"* STATUS {9}\r\n", Violation::StrayLiteral),
            (b"a1 NO [BADCHARSET ({9}\r\n", Violation::StrayLiteral),
            (b"* 1 FETCH (X ({9}\r\n", Violation::StrayLiteral),
            (b"* 1 FETCH (X (\r\n", Violation::Unfinished),
            (b"* 1 EXISTS\n", Violation::BareLineFeed),
        ] {
            assert_eq!(framing(text, 10).unwrap_err(), violation, "{}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        #[test]
        fn cuts_between_reads_change_nothing(
            text in proptest::collection::vec(proptest::sample::select(&b"* 1(LIST)]{}4>\" \r\nx"[..]), 0..200),
            cut in 1..20_usize,
        ) {
            let mut pieces = Framing { max_literal: 40, ..Framing::new() };
            let cut = text.clone().chunks_mut(cut).try_for_each(|piece| pieces.take(piece));
            let whole = framing(&text, 40);
            prop_assert_eq!(cut.is_ok(), whole.is_ok());
            if let (Err(cut), Err(whole)) = (&cut, &whole) { prop_assert_eq!(cut, whole) }
            if let Ok(whole) = whole { prop_assert_eq!(whole.responses, pieces.responses) }
        }
    }
}
