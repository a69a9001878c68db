//! Rich text: decompressed ([MS-OXRTFCP]), and without its formatting.

use super::super::charset;
use super::{Stream, TEXT, charset_of};

/// The dictionary that every compressed text begins with ([MS-OXRTFCP] §2.1.2.1).
const DICTIONARY: &[u8; 207] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \
    \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
    \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const WINDOW: usize = 4096;

/// Decompresses PidTagRtfCompressed to about `most` bytes; what is cut off or too long is left out.
pub(super) fn decompress(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut stream = Stream(bytes);
    stream.u32()?; // the size of the whole
    let size = stream.length()?.min(most);
    let form = stream.take(4)?;
    stream.u32()?; // a checksum
    match form {
        b"MELA" => Some(stream.0.get(..size).unwrap_or(stream.0).to_vec()),
        b"LZFu" => Some(inflate(stream.0, size)),
        _ => None,
    }
}

/// [MS-OXRTFCP] §2.2.2.2: eight bits announce eight tokens: a byte, or a place in the window and a length.
fn inflate(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut window = [b' '; WINDOW];
    let mut out = Vec::with_capacity(size);
    let mut at = 0;
    let put = |window: &mut [u8; WINDOW], at: &mut usize, byte: u8| {
        if let Some(place) = window.get_mut(*at % WINDOW) {
            *place = byte;
        }
        *at += 1;
    };
    DICTIONARY.iter().for_each(|&byte| put(&mut window, &mut at, byte));
    let mut bytes = bytes.iter().copied();
    'runs: while let Some(control) = bytes.next() {
        for bit in 0..8 {
            if out.len() >= size {
                break 'runs;
            }
            let Some(first) = bytes.next() else { break 'runs };
            if control >> bit & 1 == 0 {
                put(&mut window, &mut at, first);
                out.push(first);
                continue;
            }
            let Some(second) = bytes.next() else { break 'runs };
            let from = usize::from(first) << 4 | usize::from(second >> 4);
            if from == at % WINDOW {
                break 'runs; // the end
            }
            for step in 0..usize::from(second & 0x0F) + 2 {
                let byte = window.get((from + step) % WINDOW).copied().unwrap_or_default();
                put(&mut window, &mut at, byte);
                out.push(byte);
            }
        }
    }
    out
}

/// Groups that hold no text of the mail; `\*` marks the others.
const ASIDE: [&str; 10] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "header",
    "footer",
    "listtable",
    "filetbl",
];

/// The words of an RTF text, its paragraphs as lines.
pub(super) fn to_text(rtf: &[u8]) -> String {
    let mut reader = Reader::default();
    let mut rest = rtf;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'{' => {
                reader.open();
                after
            }
            b'}' => {
                reader.close();
                after
            }
            b'\\' => reader.control(after),
            b'\r' | b'\n' => after,
            _ => {
                reader.byte(byte);
                after
            }
        };
        if reader.text.len() > TEXT {
            break;
        }
    }
    reader.flush();
    reader.text
}

#[derive(Default)]
struct Reader {
    text: String,
    /// Bytes in the code page, not yet decoded.
    pending: Vec<u8>,
    code_page: Option<&'static str>,
    depth: usize,
    /// The depth of the outermost group whose text does not count.
    aside: Option<usize>,
    /// How many characters after `\u` stand for it in older programs, and how many of them are to come.
    fallback: usize,
    to_skip: usize,
    /// The first half of a pair in UTF-16.
    high: Option<u32>,
}

impl Reader {
    fn open(&mut self) {
        self.depth += 1;
        self.to_skip = 0;
    }

    fn close(&mut self) {
        if self.aside == Some(self.depth) {
            self.aside = None;
        }
        self.depth = self.depth.saturating_sub(1);
        self.to_skip = 0;
    }

    fn byte(&mut self, byte: u8) {
        if self.to_skip > 0 {
            self.to_skip -= 1;
        } else if self.aside.is_none() {
            self.pending.push(byte);
        }
    }

    fn push(&mut self, c: char) {
        if self.aside.is_none() {
            self.flush();
            self.text.push(c);
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.text.push_str(&charset::decode(&self.pending, self.code_page.or(Some("windows-1252"))).text);
            self.pending.clear();
        }
    }

    /// Reads what follows a backslash, and gives the rest.
    fn control<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if letters == 0 {
            return self.symbol(rest);
        }
        let (word, rest) = rest.split_at(letters);
        let digits = rest
            .iter()
            .enumerate()
            .take_while(|(at, byte)| byte.is_ascii_digit() || *at == 0 && **byte == b'-')
            .count();
        let (number, rest) = rest.split_at(digits);
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i32>().ok());
        self.word(std::str::from_utf8(word).unwrap_or_default(), number);
        rest.strip_prefix(b" ").unwrap_or(rest)
    }

    fn symbol<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let Some((&symbol, after)) = rest.split_first() else { return rest };
        match symbol {
            b'\'' => {
                let (hex, after) = after.split_at_checked(2).unwrap_or((after, &[]));
                let byte = std::str::from_utf8(hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                byte.into_iter().for_each(|byte| self.byte(byte));
                return after;
            }
            b'*' => self.set_aside(),
            b'~' => self.byte(b' '),
            b'\\' | b'{' | b'}' => self.byte(symbol),
            b'\r' | b'\n' => self.push('\n'),
            _ => {}
        }
        after
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        match (word, number) {
            ("rtf", _) => self.fallback = 1,
            ("ansicpg", Some(page)) => self.code_page = u32::try_from(page).ok().and_then(charset_of),
            ("par" | "line" | "row", _) => self.push('\n'),
            ("tab" | "cell", _) => self.push('\t'),
            ("emdash", _) => self.push('—'),
            ("endash", _) => self.push('–'),
            ("lquote" | "rquote", _) => self.push('\''),
            ("ldblquote" | "rdblquote", _) => self.push('"'),
            ("bullet", _) => self.push('•'),
            ("uc", Some(count)) => self.fallback = usize::try_from(count).unwrap_or_default().min(8),
            ("u", Some(unit)) => {
                self.utf16(u32::from(
                    unit.to_le_bytes().first_chunk().map_or(0, |half| u16::from_le_bytes(*half)),
                ));
                self.to_skip = self.fallback;
            }
            _ if ASIDE.contains(&word) => self.set_aside(),
            _ => {}
        }
    }

    /// A unit of UTF-16; a pair stands for one character.
    fn utf16(&mut self, unit: u32) {
        match (self.high.take(), unit) {
            (Some(high), 0xDC00..0xE000) => {
                let c = 0x1_0000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
                self.push(char::from_u32(c).unwrap_or('\u{FFFD}'));
            }
            (_, 0xD800..0xDC00) => self.high = Some(unit),
            _ => self.push(char::from_u32(unit).unwrap_or('\u{FFFD}')),
        }
    }

    fn set_aside(&mut self) {
        self.aside.get_or_insert(self.depth);
    }
}
