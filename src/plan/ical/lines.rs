//! The lines of an iCalendar file: unfolded, decoded, and taken apart into name, parameters and value (RFC 5545 §3.1).

use super::Wrong;

/// A content line: `NAME;PARAMETER=…:value`.
#[derive(Debug)]
pub(super) struct ContentLine {
    /// The line of the file on which it begins, from 1.
    pub(super) line: usize,
    /// In capitals.
    pub(super) name: String,
    /// The names of its parameters, in capitals.
    parameters: Vec<String>,
    pub(super) value: String,
}

impl ContentLine {
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter == name)
    }

    /// What is wrong with it, and what to do.
    pub(super) fn wrong(&self, message: &'static str, hint: &'static str) -> Wrong {
        Wrong { line: self.line, message, hint }
    }
}

/// Every line of a file, whichever way its lines end.
pub(super) fn content_lines(bytes: &[u8]) -> impl Iterator<Item = Result<ContentLine, Wrong>> {
    unfold(bytes).into_iter().map(|(line, bytes)| {
        let wrong = |message, hint| Wrong { line, message, hint };
        let text = String::from_utf8(bytes)
            .map_err(|_| wrong("this is not UTF-8", "export the calendar anew; iCalendar is always UTF-8"))?;
        parse(line, &text).ok_or_else(|| {
            wrong(
                "this is no line of iCalendar",
                "a line is NAME:value; one that goes on begins with a space",
            )
        })
    })
}

/// Joins what was folded, in bytes: a fold may stand within a character.
fn unfold(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line, lines.last_mut()) {
            ([b' ' | b'\t', rest @ ..], Some((_, folded))) => folded.extend_from_slice(rest),
            _ if line.trim_ascii().is_empty() => {}
            _ => lines.push((number, line.to_vec())),
        }
    }
    lines
}

fn parse(line: usize, text: &str) -> Option<ContentLine> {
    let head = outside_quotes(text, ':').next()?;
    let value = text.get(head.len() + 1..)?.to_owned();
    let mut parts = outside_quotes(head, ';');
    let name = parts.next()?.to_ascii_uppercase();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let parameters = parts.filter_map(|part| part.split_once('=')).map(|(name, _)| name.to_ascii_uppercase());
    is_name.then(|| ContentLine { line, name, parameters: parameters.collect(), value })
}

/// The parts between separators that no quotation marks protect.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// TEXT as it is meant: `\,`, `\;` and `\\` stand for themselves, `\n` for a new line (RFC 5545 §3.3.11).
pub(super) fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.extend(characters.next().map(|c| if matches!(c, 'n' | 'N') { '\n' } else { c })),
            c => text.push(c),
        }
    }
    text
}
