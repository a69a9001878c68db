//! A directory's file, CSV, TSV or JSON Lines: its rows as written, each with the number of its line.

use std::path::Path;

use csv::StringRecord;
use serde::de::IgnoredAny;

use super::row::Line;
use crate::cli::context::{read, shown};
use crate::cli::report::{Code, Failure};
use crate::problem::did_you_mean;

/// Each row or what is wrong with it, by the number of its line.
pub type Lines = Vec<(u64, Result<Line, String>)>;

const COLUMNS: [&str; 7] = ["key", "plan", "name", "language", "from", "until", "id"];

/// Reads a file: JSON Lines when its name ends in `.jsonl`, else CSV with a header.
pub fn lines(file: &Path) -> Result<Lines, Failure> {
    let text = String::from_utf8(read(file)?).map_err(|_| {
        Failure::new(Code::Usage, format!("{} is not UTF-8", file.display()))
            .hint("export it as UTF-8; in a spreadsheet: save as \"CSV UTF-8\"")
    })?;
    let text = text.trim_start_matches('\u{FEFF}');
    let is_json = file.extension().is_some_and(|extension| extension == "jsonl");
    whole(file, text, is_json)?;
    if is_json { Ok(json_lines(text)) } else { csv_lines(file, text) }
}

/// A last line that does not end may be the first half of one: a plan, a name or a date would be cut short without a trace.
/// An object of JSON that is closed proves itself.
fn whole(file: &Path, text: &str, is_json: bool) -> Result<(), Failure> {
    let last = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    if last.trim().is_empty() || is_json && serde_json::from_str::<IgnoredAny>(last).is_ok() {
        return Ok(());
    }
    let line = text.lines().count();
    Err(Failure::new(
        Code::Usage,
        format!("{}:{line}: the last line does not end: the file is probably cut off", file.display()),
    )
    .hint("export it again; if nothing is missing, put a newline at its end"))
}

fn json_lines(text: &str) -> Lines {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| (number, serde_json::from_str(line).map_err(|error| json_error(&error))))
        .collect()
}

/// The message without the line, which is always the first of the one that was read.
fn json_error(error: &serde_json::Error) -> String {
    let (message, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    format!("{} (column {column})", message.strip_suffix(&place).unwrap_or(&message))
}

/// Fields may be divided by commas, by semicolons, as spreadsheets do where the comma is decimal, or by tabs, as databases do.
fn csv_lines(file: &Path, text: &str) -> Result<Lines, Failure> {
    let (separator, text) = match separator(text) {
        Some((separator, rest)) => (Some(separator), rest),
        None => (None, text),
    };
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let told_by_header = [b'\t', b';'].into_iter().find(|delimiter| header.as_bytes().contains(delimiter));
    let delimiter = separator.or(told_by_header).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        // `mysql --batch` quotes nothing: a name that begins with a quote must not swallow the lines below it
        .quoting(delimiter != b'\t')
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut count = LineCount { text: text.as_bytes(), at: 0, line: 1 + u64::from(separator.is_some()) };
    let top = count.at(0);
    let refuse = |message: String, hint: String| {
        Failure::new(Code::Usage, format!("{}:{top}: {message}", file.display())).hint(hint)
    };
    let known = format!("the columns are {}", COLUMNS.join(", "));
    let header = reader.headers().map_err(|error| refuse(error.to_string(), known.clone()))?.clone();
    let place = |column: &str| header.iter().position(|name| name.eq_ignore_ascii_case(column));
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.iter().any(|column| name.eq_ignore_ascii_case(column)) {
            let hint = did_you_mean(name, COLUMNS).unwrap_or_else(|| known.clone());
            return Err(refuse(format!("unknown column `{}`", shown(name)), hint));
        }
        if place(name) != Some(at) {
            return Err(refuse(format!("column `{}` stands twice", shown(name)), known));
        }
    }
    if let Some(missing) = ["key", "plan"].into_iter().find(|name| place(name).is_none()) {
        return Err(refuse(format!("no column `{missing}`"), known));
    }
    let places = COLUMNS.map(place);
    let unquote = if delimiter == b'\t' { unquoted } else { str::to_owned };
    let mut lines = Vec::new();
    for record in reader.records() {
        lines.push(match record {
            Ok(record) => (count.of(record.position()), Ok(line(&record, places, unquote))),
            Err(error) => (count.of(error.position()), Err(wrong_width(&error))),
        });
    }
    Ok(lines)
}

/// The `sep=;` with which a spreadsheet may begin, and what follows it.
fn separator(text: &str) -> Option<(u8, &str)> {
    let (first, rest) = text.split_once('\n')?;
    match first.trim_end_matches(['\r', ' ']).as_bytes() {
        [s, e, p, b'=', separator] if [s, e, p].map(u8::to_ascii_lowercase) == *b"sep" => {
            Some((*separator, rest))
        }
        _ => None,
    }
}

fn line(record: &StringRecord, places: [Option<usize>; 7], unquote: fn(&str) -> String) -> Line {
    let field = |place: Option<usize>| place.and_then(|place| record.get(place)).map(unquote);
    let [key, plan, optional @ ..] = places.map(field);
    let (key, plan) = (key.unwrap_or_default(), plan.unwrap_or_default());
    // what MySQL's client and phpMyAdmin write for no value
    let [name, language, from, until, id] = optional.map(|text| text.filter(|text| text != "NULL"));
    Line { key, plan, name, language, from, until, id, _kind: None }
}

/// A field of TSV without the quotes in which it stands as a whole: databases write none, spreadsheets do.
fn unquoted(field: &str) -> String {
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| field.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// Numbers lines at growing offsets: the CSV reader's own numbers are wrong after CRLF and after empty lines.
struct LineCount<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl LineCount<'_> {
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        self.at(position.and_then(|position| position.byte().try_into().ok()).unwrap_or_default())
    }

    /// The line of the first record that begins at an offset or after it.
    fn at(&mut self, offset: usize) -> u64 {
        let rest = self.text.get(offset..).unwrap_or_default();
        let begins = offset + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = self.text.get(self.at..begins).unwrap_or_default();
        let ends = passed.iter().filter(|byte| **byte == b'\n').count();
        self.line += u64::try_from(ends).unwrap_or_default();
        self.at = self.at.max(begins);
        self.line
    }
}

fn wrong_width(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "{len} fields, where the header has {expected_len}; quote a field that holds the delimiter"
            )
        }
        _ => error.to_string(),
    }
}
