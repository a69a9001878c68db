//! What announces a quotation: separators, blocks of fields, attribution lines.

use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::fields::field_block;
use super::{is_rule, marks_every_line};

/// Lines longer than this are text, not a header of a quotation.
const LONGEST_HEADER: usize = 400;

/// Whether a quotation answers or forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Reply,
    Forward,
}

/// What announces a quotation: how many lines it takes, and which kind follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuotationHeader {
    pub lines: usize,
    /// The quotation itself is among these lines.
    pub is_whole: bool,
    pub style: Style,
}

/// The header of a quotation that the first of these lines begins.
pub(super) fn quotation_header(lines: &[&str]) -> Option<QuotationHeader> {
    let first = lines.first()?.trim();
    if first.is_empty() || first.len() > LONGEST_HEADER {
        return None;
    }
    if let Some(style) = separator(first) {
        // "-----Mensaje original-----", often with a block of fields below
        let below = lines.get(1..).unwrap_or_default();
        let blank = below.iter().take(2).take_while(|line| line.trim().is_empty()).count();
        let fields = field_block(below.get(blank..).unwrap_or_default());
        return Some(QuotationHeader {
            lines: 1 + fields.map_or(0, |fields| blank + fields),
            is_whole: false,
            style,
        });
    }
    if let Some(fields) = field_block(lines) {
        return Some(QuotationHeader { lines: fields, is_whole: false, style: Style::Reply });
    }
    if is_rule(first) {
        let fields = field_block(lines.get(1..)?)?;
        return Some(QuotationHeader { lines: 1 + fields, is_whole: false, style: Style::Reply });
    }
    let announced = attribution(lines).map(|lines| (lines, false));
    let found = announced.or_else(|| Some((barred_quotation(lines)?, true)));
    found.map(|(lines, is_whole)| QuotationHeader { lines, is_whole, style: Style::Reply })
}

/// "2026/11/2 Ana <ana@…>" without a verb, and below it a quotation whose lines begin with a bar.
fn barred_quotation(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?.trim();
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !first.contains('@') || !first.ends_with('>') {
        return None;
    }
    let below = lines.get(1..)?;
    let blank = below.iter().take_while(|line| line.trim().is_empty()).count();
    let barred = below.iter().skip(blank).take_while(|line| line.starts_with('|')).count();
    (barred > 0).then_some(1 + blank + barred)
}

static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)^ [-_=*\s]{2,} \s* (?:
            (?P<reply> original\s(?:message|mail|e-?mail|appointment) | mensaje\soriginal | correo\soriginal
              | reply\smessage | message\sd'origine | message\soriginal | (?:urspr\x{fc}ngliche|antwort)\s(?:nachricht|e-?mail)
              | messaggio\soriginale | mensagem\soriginal | oprindelig\s(?:meddelelse|besked) | ursprungligt\smeddelande
              | oorspronkelijk\sbericht | opprinnelig\smelding | alkuper\x{e4}inen\sviesti | oryginalna\swiadomo\x{15b}\x{107}
              | wiadomo\x{15b}\x{107}\soryginalna | p\x{16f}vodn\x{ed}\szpr\x{e1}va | исходное\sсообщение | 原始邮件 | 元のメッセージ
              | .{1,120}\s(?:wrote|escribi[o\x{f3}]|schrieb|escreveu|a\s\x{e9}crit|ha\sscritto) )
          | (?P<forward> (?:begin\s)?forwarded\smessage | (?:mensaje|correo)\s(?:re)?enviado | mensaje\sreenviado
              | message\stransf\x{e9}r\x{e9} | weitergeleitete\snachricht | messaggio\sinoltrato
              | mensagem\sencaminhada | doorgestuurd\sbericht | videresendt?\s(?:meddelelse|besked|melding)
              | przekazana\swiadomo\x{15b}\x{107} | пересылаемое\sсообщение | 转发邮件 )
        ) \s* :? \s* [-_=*\s]{2,} $",
    )
});

/// What other ticket systems write above their own text: "##- Please type your reply above this line -##".
static REPLY_ABOVE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) \breply\b .{0,20} \b above\b .{0,20} \bline\b | \babove\sthis\sline\b .{0,20} \breply\b
          | \b (?:respond|respuesta|contest|escrib) .{0,40} \b (?:encima|arriba)\sde\sesta\sl[i\x{ed}]nea",
    )
});

fn separator(line: &str) -> Option<Style> {
    let fenced = line.starts_with(['-', '_', '=', '*', '#']) && line.ends_with(['-', '_', '=', '*', '#']);
    if !fenced {
        let forwarded = ["begin forwarded message:", "inicio del mensaje reenviado:"];
        return forwarded.contains(&line.to_lowercase().as_str()).then_some(Style::Forward);
    }
    if REPLY_ABOVE.is_match(line) {
        return Some(Style::Reply);
    }
    let found = SEPARATOR.captures(line)?;
    Some(if found.name("forward").is_some() { Style::Forward } else { Style::Reply })
}

/// First words of "On … wrote:" in the languages that customers' programs speak.
const OPENINGS: &[&str] = &[
    "on", "el", "le", "am", "em", "il", "op", "den", "w", "pe", "dnia", "vào", "na", "at", "en", "lun",
    "mar", "mié", "jue", "vie", "sáb", "dom",
];
/// Last words before its colon.
const VERBS: &[&str] = &[
    "wrote",
    "writes",
    "said",
    "escribió",
    "escribio",
    "escribiÃ³",
    "escribe",
    "ha escrito",
    "a écrit",
    "schrieb",
    "geschrieben",
    "escreveu",
    "ha scritto",
    "schreef",
    "skrev",
    "napisał",
    "napisała",
    "napisał(a)",
    "a scris",
    "пишет",
    "пише",
    "pisze",
    "geschreven",
    "ha escrit",
    "sent",
    "写道",
    "viết",
    "kirjoitti",
    "написал",
    "написа",
    "написала",
    "написав",
    "dijo",
    "crivait",
    "napsal",
    "napsal(a)",
    "napísal(a)",
    "írta",
    "yazdı",
    "έγραψε",
    "написал(а)",
    "書きました",
    "작성",
    "wrote ----",
    "escribió ----",
];

static TIME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[0-9]{1,2}[:.][0-9]{2}\b"));
/// A year, or a date in digits.
static DAY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?:19|20)[0-9]{2}\b|\b[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}\b|年"));
/// "… my customer wrote:", "… el contador me escribió:": somebody tells a story.
static STORY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?x) \b (?: (?:me|nos|le|les|te|lo|y|que|and|he|she|they) \s+
          | (?:mi|el|la|un|una|su|nuestr[oa]|my|the|our|his|her) \s+ \p{Ll}\p{L}* \s+ ) \p{L}+ \s* : $",
    )
});
/// Yahoo's program for Android goes on with the quotation in the same line.
static GLUED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"[0-9].*@.*>\s*(?:wrote|escribi\x{f3}|a\s\x{e9}crit|escreveu|ha\sscritto|schrieb)\s?:\s{2,}\S")
});
/// Who an attribution names takes no more words than this, the date among them.
const WORDS_BEFORE_ADDRESS: usize = 10;

/// The lines of "El lun, 2 nov 2026 a las 10:00, Ana (<ana@…>) escribió:", wrapped over up to four.
fn attribution(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?.trim();
    let opens = opens_attribution(first);
    if !opens && !first.contains(['@', '<']) && !ends_attribution(first) && !begins_citation(first) {
        return None;
    }
    if opens && first.len() <= LONGEST_HEADER && GLUED.is_match(first) {
        return Some(1);
    }
    let may_end = |line: &&str| line.trim_end().ends_with([':', '：', '-', '>']);
    if !lines.iter().take(4).any(may_end) {
        return None;
    }
    let mut joined = String::new();
    for (index, line) in lines.iter().take(4).enumerate() {
        let line = line.trim();
        if line.is_empty() && index > 0 {
            return None;
        }
        joined.push_str(line);
        if joined.len() > LONGEST_HEADER {
            return None;
        }
        let below = lines.get(index + 1..).unwrap_or_default();
        if ends_attribution(&joined) {
            return is_attribution(&joined, opens, below).then_some(index + 1);
        }
        // "2026/11/2 Ana <ana@…>", where a program left the verb out
        let begins_with_date = first.starts_with(|c: char| c.is_ascii_digit()) && DAY.is_match(&joined);
        if begins_with_date && line.ends_with('>') && joined.contains('@') && marks_every_line(below) {
            return Some(index + 1);
        }
        if line.ends_with(':') || (index == 0 && line.ends_with(['?', '!'])) {
            return is_bare_attribution(&joined, below).then_some(index + 1);
        }
        joined.push(' ');
    }
    None
}

/// Whether a text that ends in "… wrote:" announces a quotation. A date, an address, or the quotation itself tells it
/// from prose such as "the error says, and I wrote:".
fn is_attribution(text: &str, opens: bool, below: &[&str]) -> bool {
    let is_addressed = text.contains('@');
    let has_digit = text.chars().any(|c| c.is_ascii_digit());
    if !is_addressed && STORY.is_match(text) {
        return false;
    }
    let is_dated = DAY.is_match(text) || TIME.is_match(text);
    if opens {
        return is_addressed || is_dated || has_digit && marks_every_line(below);
    }
    let names_somebody = words_before_address(text) <= WORDS_BEFORE_ADDRESS;
    names_somebody
        && (is_addressed || DAY.is_match(text) && TIME.is_match(text) || has_digit && marks_every_line(below))
}

/// "2026/11/02 Ana <ana@…>:" has no verb at all, and "Quoting Ana <ana@…>:" has it in front.
fn is_bare_attribution(text: &str, below: &[&str]) -> bool {
    if !text.contains('@') || words_before_address(text) > WORDS_BEFORE_ADDRESS {
        return false;
    }
    let word = text.split(' ').next().unwrap_or_default();
    let begins_with_date = word.starts_with(|c: char| c.is_ascii_digit())
        || word.ends_with([',', '.']) && TIME.is_match(text) && DAY.is_match(text);
    text.ends_with(">:") && (begins_with_date || TIME.is_match(text) && marks_every_line(below))
        || begins_citation(text) && marks_every_line(below)
}

/// As Horde writes.
fn begins_citation(line: &str) -> bool {
    ["Quoting ", "Citando a ", "Citando ", "Zitat von ", "Citation de "]
        .iter()
        .any(|verb| line.starts_with(verb))
}

fn words_before_address(text: &str) -> usize {
    text.split(['<', '(', '@']).next().unwrap_or_default().split_whitespace().count()
}

/// Where an attribution begins that stands behind the writer's words on one line, and how many lines it takes.
pub(super) fn shared_line<'a>(lines: &[&'a str]) -> Option<(&'a str, usize)> {
    static SHARED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(.*[^\s-])(?:\s*-{2,}\s+|\s+)(?:On|El|Le|Am|Em|Op|Den|Il\sgiorno)\s[^:]*[0-9]")
    });
    let first = lines.first()?.trim_end();
    if first.len() > LONGEST_HEADER || opens_attribution(first.trim_start()) {
        return None;
    }
    let own = SHARED.captures(first)?.get(1)?.as_str();
    let tail = first.get(own.len()..)?.trim_start_matches([' ', '-']);
    let mut unshared = vec![tail];
    unshared.extend(lines.iter().skip(1).take(4));
    let taken = attribution(&unshared)?;
    let below = lines.get(taken..).unwrap_or_default();
    let is_addressed = unshared.iter().take(taken).any(|line| line.contains('@'));
    (is_addressed || marks_every_line(below)).then_some((own, taken))
}

fn opens_attribution(line: &str) -> bool {
    let line = line.trim_start_matches(['-', ' ', '*']);
    let word = line.split([' ', ',', '.', '\u{A0}']).next().unwrap_or_default();
    line.starts_with(|c: char| c.is_ascii_digit())
        || OPENINGS.iter().any(|opening| word.eq_ignore_ascii_case(opening))
}

fn ends_attribution(text: &str) -> bool {
    let tail = text.trim_end().trim_end_matches(['-', ' ']);
    let (tail, colon) = match tail.strip_suffix([':', '：']) {
        Some(tail) => (tail.trim_end(), true),
        None => (tail, false),
    };
    let dashed = text.ends_with("----");
    if !colon && !dashed {
        return false;
    }
    let tail = last_chars(tail, 80).to_lowercase();
    VERBS
        .iter()
        .any(|verb| tail.strip_suffix(verb).is_some_and(|before| !before.ends_with(char::is_alphabetic)))
        || ["skrev ", "schrieb ", "kirjoitti ", "écrit "].iter().any(|verb| tail.contains(verb))
}

fn last_chars(text: &str, count: usize) -> &str {
    let at = text.char_indices().rev().nth(count).map_or(0, |(at, _)| at);
    text.get(at..).unwrap_or(text)
}
