//! The new words of a mail: what is quoted, signed and disclaimed comes off. In doubt it stays.

mod fields;
mod footer;
mod quotation;

use footer::without_footers;
use quotation::{QuotationHeader, Style, quotation_header, shared_line};

/// What a mail is among others; it decides what its quoted part means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A first mail, or one that we know nothing of: a text that is all quotation stays whole.
    New,
    /// An answer: what it quotes has been said before, even when nothing else is left.
    Reply,
    /// A forward: the quoted part *is* the message.
    Forward,
}

/// Takes quotations, signature, mobile footers and disclaimers off a text (LF or CRLF). Every line that comes back is
/// a line of the text, or the part of it before an attribution, in their order. Linear in the text.
pub fn strip(text: &str, kind: Kind) -> String {
    let all: Vec<&str> = text.lines().collect();
    let lines = match kind {
        Kind::Forward => all.clone(),
        Kind::New | Kind::Reply => unquoted(&all, kind),
    };
    let own = without_footers(&lines);
    if own.iter().all(|line| line.trim().is_empty()) {
        return match kind {
            Kind::Reply => String::new(),
            Kind::New | Kind::Forward => text.trim().to_owned(),
        };
    }
    own.join("\n").trim().to_owned()
}

/// The lines that the writer of this mail wrote.
fn unquoted<'a>(lines: &[&'a str], kind: Kind) -> Vec<&'a str> {
    let mut own = Vec::with_capacity(lines.len());
    let mut by_hand = Vec::new(); // marked as quoted with nothing that says from where
    let (mut written, mut attributed) = (false, false);
    let mut index = 0;
    while let Some(&line) = lines.get(index) {
        let rest = lines.get(index..).unwrap_or_default();
        if is_quoted(line) {
            let unmarked = line.trim_start().trim_start_matches(['>', '|', ' ']);
            attributed |= by_hand.is_empty() && quotation_header(&[unmarked]).is_some();
            by_hand.push(line);
            index += 1;
            continue;
        }
        let shared = shared_line(rest);
        let header = match shared {
            Some((_, lines)) => Some(QuotationHeader { lines, is_whole: false, style: Style::Reply }),
            None => quotation_header(rest),
        };
        let Some(header) = header else {
            if !line.trim().is_empty() {
                if written && !attributed {
                    own.append(&mut by_hand); // the writer quotes something and goes on
                }
                by_hand.clear();
                written = true;
            }
            own.push(line);
            index += 1;
            continue;
        };
        if let Some((words, _)) = shared {
            own.push(words);
            written = true;
        }
        let quoted = rest.get(header.lines..).unwrap_or_default();
        let marks_its_end = header.is_whole || marks_every_line(quoted);
        if kind == Kind::New && shared.is_none() && (header.style == Style::Forward || !marks_its_end) {
            own.extend(rest); // no answer, and still another's words: a forward whose subject was rewritten
            break;
        }
        if written && !marks_its_end {
            break;
        }
        attributed = true;
        index += header.lines; // answers may stand between its lines or, where nothing stands above, below
    }
    own
}

fn is_quoted(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('>') || line.starts_with("|>")
}

/// Whether the first line with text is marked as quoted.
fn marks_every_line(lines: &[&str]) -> bool {
    lines.iter().find(|line| !line.trim().is_empty()).is_some_and(|line| is_quoted(line))
}

/// "________________________________", as Outlook draws it above the fields.
fn is_rule(line: &str) -> bool {
    let strokes = || line.chars().filter(|c| *c != ' ');
    strokes().count() >= 5 && strokes().all(|c| matches!(c, '_' | '-' | '*' | '='))
}

#[cfg(test)]
mod tests;
