//! The new words of a mail: what is quoted, signed and disclaimed comes off. In doubt it stays.

mod footer;
mod quotation;

use footer::without_footers;
use quotation::{Style, quotation_header};

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
/// a line of the text, in its order. Linear in the text.
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
    let mut written = false;
    let mut index = 0;
    while let Some(&line) = lines.get(index) {
        let rest = lines.get(index..).unwrap_or_default();
        if is_quoted(line) {
            index += 1;
        } else if let Some(header) = quotation_header(rest) {
            let quoted = rest.get(header.lines..).unwrap_or_default();
            if header.style == Style::Forward && kind == Kind::New {
                own.extend(rest); // the subject was rewritten, the mail is still a forward
                break;
            } else if header.is_whole || marks_every_line(quoted) {
                index += header.lines; // its lines say themselves where it ends; answers may stand between
            } else if written {
                break;
            } else {
                index += header.lines; // nothing above: the answer stands below
            }
        } else {
            written |= !line.trim().is_empty();
            own.push(line);
            index += 1;
        }
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
