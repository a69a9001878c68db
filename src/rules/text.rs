//! Folding: a customer's text → lower-case words without accents, sentence ends and negators marked, and the
//! way back to the original characters.
//!
//! Every word of the folded text follows one separator byte that says what kind of word it is, and every
//! sentence ends with a newline: `Tu sitio, no. ¿tienda.co?` becomes `␣tu␣sitio␁no⏎␃tienda.co⏎`. So what a
//! word is, a negator or a host, shows in its first byte, and words that stand in one piece are a row of bytes.
//! Separators cannot be forged: no control character of a mail survives folding.

use std::ops::Range;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use super::{negation, token};

/// Before an ordinary word.
pub(super) const WORD: char = ' ';
/// Before a word that negates, such as `no`, `sin` or `isn't`.
pub(super) const NEGATOR: char = '\x01';
/// Before a host name.
pub(super) const HOST: char = '\x03';
/// Before an IP address.
pub(super) const IP: char = '\x04';
/// Before a URL.
pub(super) const URL: char = '\x05';
/// Before an e-mail address.
pub(super) const EMAIL: char = '\x06';
/// After a sentence.
const SENTENCE_END: char = '\n';

/// Folded text beyond this many bytes, some ten thousand words, is not read: no customer describes a problem that far
/// down.
const LIMIT: usize = 64 * 1024;

/// How many words before a match are looked at for a negator: *no es por la* clave.
const NEGATION_REACH: usize = 5;

/// How a text is cut into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Sentences; hosts, addresses and URLs are words.
    Prose,
    /// A file's name: one sentence, cut at punctuation, at `paso2` and at `pagoHosting`.
    FileName,
}

/// A text as rules read it.
#[derive(Debug, Default)]
pub(super) struct Folded {
    text: String,
    words: Vec<Word>,
    sentences: usize,
}

/// A word of the folded text and where it came from.
#[derive(Debug, Clone)]
struct Word {
    /// In the folded text, from its separator on.
    at: Range<usize>,
    /// Which sentence it is in, counted from 0.
    sentence: usize,
    /// In the original, in bytes.
    bytes: Range<usize>,
    /// In the original, in Unicode scalar values.
    chars: Range<usize>,
    /// Whether a comma or colon follows.
    pauses: bool,
}

/// A piece of the original text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// In bytes.
    pub bytes: Range<usize>,
    /// In Unicode scalar values.
    pub chars: Range<usize>,
}

impl Folded {
    /// Folds a text.
    pub fn new(original: &str, reading: Reading) -> Self {
        let mut folder = Folder { original, folded: Self::default(), open: None };
        match reading {
            Reading::Prose => folder.prose(),
            Reading::FileName => folder.file_name(),
        }
        folder.folded
    }

    /// The words, each with its separator in front.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| self.text.get(word.at.clone()).unwrap_or_default())
    }

    /// The folded text, which ends with a newline unless it is empty.
    #[cfg(test)]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many sentences there are.
    pub fn sentences(&self) -> usize {
        self.sentences
    }

    /// The folded text as the escape hatch `'/…/'` sees it: one space before each word, whatever its kind.
    pub fn plain(&self) -> String {
        let separate = |c| if matches!(c, '\x01' | '\x03'..='\x06') { ' ' } else { c };
        self.text.chars().map(separate).collect()
    }

    /// The words that a range of bytes of [`Folded::plain`] touches.
    pub fn words_in(&self, bytes: &Range<usize>) -> Range<usize> {
        let touched = |at| self.words.partition_point(|word| word.at.start <= at).saturating_sub(1);
        // A range that begins with a separator begins with the word behind it.
        let first = touched(bytes.start.max(1));
        first..touched(bytes.end.saturating_sub(1)).max(first) + 1
    }

    /// Which sentence the word is in, counted from 0; `None` behind the last word.
    pub fn sentence(&self, word: usize) -> Option<usize> {
        self.words.get(word).map(|word| word.sentence)
    }

    /// The original of these words; `None` when there are none.
    pub fn place(&self, words: &Range<usize>) -> Option<Place> {
        let words = self.words.get(words.clone())?;
        let (first, last) = (words.first()?, words.last()?);
        Some(Place { bytes: first.bytes.start..last.bytes.end, chars: first.chars.start..last.chars.end })
    }

    /// Whether the word negates.
    pub fn negates(&self, word: usize) -> bool {
        self.folded_word(word).starts_with(NEGATOR)
    }

    /// The negator that stands before this word with nothing but copulas, articles and possessives between:
    /// *no es la* clave, *not my* firewall, *sin* firewall; but not "no *puedo cambiar* la clave". A word that
    /// negates is never negated itself: `no carga` is what it says.
    pub fn negator_of(&self, word: usize) -> Option<usize> {
        if self.negates(word) {
            return None;
        }
        let sentence = self.sentence(word);
        let before = (0..word).rev().take_while(|i| self.sentence(*i) == sentence);
        for i in before.take(NEGATION_REACH) {
            if self.negates(i) {
                return self.words.get(i).filter(|word| !word.pauses).map(|_| i);
            }
            let letters = self.folded_word(i).get(1..).unwrap_or_default();
            if !negation::is_transparent(letters) {
                return None;
            }
        }
        None
    }

    fn folded_word(&self, word: usize) -> &str {
        self.words.get(word).and_then(|word| self.text.get(word.at.clone())).unwrap_or_default()
    }
}

/// Below this width a line's end is a sentence's end: mail programs wrap at 72 to 78 characters.
const WRAPPED_LINE: usize = 55;

/// Folds one text.
struct Folder<'a> {
    original: &'a str,
    folded: Folded,
    open: Option<Word>,
}

/// A character of the original and its place in both counts.
#[derive(Debug, Clone, Copy)]
struct At {
    c: char,
    byte: usize,
    index: usize,
}

impl<'a> Folder<'a> {
    fn is_full(&self) -> bool {
        self.folded.text.len() >= LIMIT
    }

    fn rest(&self, byte: usize) -> &'a str {
        self.original.get(byte..).unwrap_or_default()
    }

    fn places(&self) -> impl Iterator<Item = At> + use<'a> {
        self.original.char_indices().enumerate().map(|(index, (byte, c))| At { c, byte, index })
    }

    fn prose(&mut self) {
        let mut chunk: Option<At> = None;
        let mut line_start = 0;
        for at in self.places() {
            if !ends_chunk(at.c) {
                chunk = chunk.or(Some(at));
                continue;
            }
            if let Some(start) = chunk.take() {
                self.chunk(start, at.byte);
            }
            if self.is_full() {
                break;
            }
            match at.c {
                '\n' => {
                    if at.index - line_start < WRAPPED_LINE || begins_paragraph(self.rest(at.byte + 1)) {
                        self.end_sentence();
                    }
                    line_start = at.index + 1;
                }
                '¿' | '¡' | ';' => self.end_sentence(),
                ',' | '(' | ')' | '"' => self.pause(),
                _ => {}
            }
        }
        if let Some(start) = chunk {
            self.chunk(start, self.original.len());
        }
        self.end_sentence();
    }

    /// Reads what stands between two spaces.
    fn chunk(&mut self, start: At, end: usize) {
        let chunk = self.original.get(start.byte..end).unwrap_or_default();
        let core = chunk.trim_matches(is_wrapping);
        let Some(kind) = token::kind(core) else {
            return self.words(start, chunk);
        };
        let lead = chunk.len() - chunk.trim_start_matches(is_wrapping).len();
        let lead_chars = chunk.get(..lead).unwrap_or_default().chars().count();
        let core_start = At { byte: start.byte + lead, index: start.index + lead_chars, ..start };
        let core_chars = core.chars().count();
        self.open_word(core_start, kind);
        for c in core.chars() {
            self.push_folded(c, |c| !c.is_control() && c != ' ');
        }
        self.extend_word(core_start.byte + core.len(), core_start.index + core_chars);
        self.close_word();
        let tail_at = lead + core.len();
        if let Some(tail) = chunk.get(tail_at..).filter(|tail| !tail.is_empty()) {
            let byte = start.byte + tail_at;
            self.words(At { byte, index: core_start.index + core_chars, ..start }, tail);
        }
    }

    /// Reads ordinary words and the punctuation at them.
    fn words(&mut self, start: At, chunk: &str) {
        let mut skip_to = 0;
        for (offset, (byte, c)) in chunk.char_indices().enumerate() {
            let at = At { c, byte: start.byte + byte, index: start.index + offset };
            let next_byte = at.byte + c.len_utf8();
            if at.byte < skip_to {
                continue;
            }
            if self.is_full() {
                break;
            }
            match c {
                _ if is_letter(c) => self.letter(at),
                _ if is_combining_mark(c) || is_invisible(c) => self.extend_word(next_byte, at.index + 1),
                '\'' | '’' | '´' | '`' if self.contracts_not(next_byte) => {
                    self.extend_word(next_byte, at.index + 1);
                }
                '?' | '!' => self.end_sentence(),
                '.' | '…' => {
                    let run = self.rest(at.byte);
                    let after = run.trim_start_matches(['.', '…']);
                    skip_to = self.original.len() - after.len();
                    self.full_stop(at, run.len() - after.len(), after);
                }
                ':' => self.pause(),
                _ => self.close_word(),
            }
        }
        self.close_word();
    }

    /// Ends the sentence unless the stop belongs to an abbreviation (`p. m.`), a number (`8.1`), a name
    /// (`index.php`), or is a mere pause (`el sitio... no abre`).
    fn full_stop(&mut self, at: At, run: usize, after: &str) {
        let next = after.chars().next();
        let single_letter = self.open.as_ref().is_some_and(|word| {
            let letters = self.rest(word.bytes.start);
            word.chars.len() == 1 && letters.starts_with(char::is_alphabetic)
        });
        let before = self.original.get(..at.byte).and_then(|text| text.chars().next_back());
        let ends = match next {
            None => true,
            _ if run > 1 || at.c == '…' => !after.trim_start().starts_with(char::is_lowercase),
            _ if single_letter => false,
            Some(c) if is_letter(c) => c.is_uppercase() && before.is_some_and(char::is_lowercase),
            Some(_) => true,
        };
        if ends { self.end_sentence() } else { self.close_word() }
    }

    /// Whether the apostrophe before this byte is the one of `don't`.
    fn contracts_not(&self, byte: usize) -> bool {
        let mut rest = self.rest(byte).chars();
        self.open.is_some()
            && self.folded.text.ends_with('n')
            && rest.next().is_some_and(|c| c.eq_ignore_ascii_case(&'t'))
            && !rest.next().is_some_and(is_letter)
    }

    fn file_name(&mut self) {
        let mut before = ' ';
        let mut lower_run = 0;
        for at in self.places() {
            if self.is_full() {
                break;
            }
            if is_letter(at.c) {
                let hump = at.c.is_uppercase() && lower_run > 2;
                let digits = is_letter(before) && at.c.is_numeric() != before.is_numeric();
                if hump || digits {
                    self.close_word();
                }
                self.letter(at);
                lower_run = if at.c.is_lowercase() { lower_run + 1 } else { 0 };
            } else if is_combining_mark(at.c) || is_invisible(at.c) {
                self.extend_word(at.byte + at.c.len_utf8(), at.index + 1);
                continue;
            } else {
                self.close_word();
            }
            before = at.c;
        }
        self.end_sentence();
    }

    fn letter(&mut self, at: At) {
        if self.open.is_none() {
            self.open_word(at, WORD);
        }
        self.push_folded(at.c, char::is_alphanumeric);
        self.extend_word(at.byte + at.c.len_utf8(), at.index + 1);
    }

    fn push_folded(&mut self, c: char, keep: impl Fn(char) -> bool) {
        if c.is_ascii() {
            if keep(c) {
                self.folded.text.push(c.to_ascii_lowercase());
            }
            return;
        }
        let text = &mut self.folded.text;
        // Lower case may bring a mark of its own: `İ` is `i` and a dot above.
        decompose_compatible(c, |part| {
            text.extend(part.to_lowercase().filter(|c| keep(*c) && !is_combining_mark(*c)));
        });
    }

    fn open_word(&mut self, at: At, separator: char) {
        let (bytes, chars) = (at.byte..at.byte, at.index..at.index);
        let at = self.folded.text.len();
        self.open = Some(Word { at: at..at, sentence: self.folded.sentences, bytes, chars, pauses: false });
        self.folded.text.push(separator);
    }

    fn extend_word(&mut self, byte_end: usize, char_end: usize) {
        if let Some(word) = &mut self.open {
            word.bytes.end = byte_end;
            word.chars.end = char_end;
        }
    }

    fn close_word(&mut self) {
        let Some(mut word) = self.open.take() else { return };
        let text = &mut self.folded.text;
        let at = word.at.start;
        let letters = text.get(at + 1..).unwrap_or_default();
        if letters.is_empty() {
            text.truncate(at);
            return;
        }
        if text.get(at..=at) == Some(" ") && negation::negates(letters) {
            text.replace_range(at..=at, NEGATOR.encode_utf8(&mut [0; 4]));
        }
        word.at.end = text.len();
        self.folded.words.push(word);
    }

    fn pause(&mut self) {
        self.close_word();
        if let Some(word) = self.folded.words.last_mut() {
            word.pauses = true;
        }
    }

    fn end_sentence(&mut self) {
        self.close_word();
        if !self.folded.text.is_empty() && !self.folded.text.ends_with(SENTENCE_END) {
            self.folded.sentences += 1;
            self.folded.text.push(SENTENCE_END);
        }
    }
}

/// A letter or digit of a word; the ordinal signs are none: `nº` would fold to the negator `no`.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && !matches!(c, 'º' | 'ª' | '№')
}

/// Soft hyphens, joiners and marks of direction: inside a word they change nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What stands around a host, address or URL without being part of it.
fn is_wrapping(c: char) -> bool {
    c.is_ascii_punctuation() || matches!(c, '…' | '’' | '‘' | '´') || is_invisible(c)
}

/// Whether the character separates two chunks, none of which may be part of a URL.
fn ends_chunk(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            ',' | ';'
                | '('
                | ')'
                | '['
                | ']'
                | '{'
                | '}'
                | '<'
                | '>'
                | '"'
                | '“'
                | '”'
                | '«'
                | '»'
                | '|'
                | '*'
                | '¿'
                | '¡'
        )
}

/// Whether the text after a line's end begins a paragraph or a list's item.
fn begins_paragraph(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t', '\r']).starts_with(['\n', '-', '*', '•', '·', '–', '—', '>', '#'])
}

#[cfg(test)]
mod tests;
