//! What announces a quotation: separators, blocks of fields, attribution lines.

use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::is_rule;

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
              | on\s.*\swrote | el\s.*\sescribi[o\x{f3}] )
          | (?P<forward> (?:begin\s)?forwarded\smessage | (?:mensaje|correo)\s(?:re)?enviado | mensaje\sreenviado
              | message\stransf\x{e9}r\x{e9} | weitergeleitete\snachricht | messaggio\sinoltrato
              | mensagem\sencaminhada )
        ) \s* :? \s* [-_=*\s]{2,} $",
    )
});

fn separator(line: &str) -> Option<Style> {
    let fenced = line.starts_with(['-', '_', '=', '*']) && line.ends_with(['-', '_', '=', '*']);
    if !fenced {
        let forwarded = ["begin forwarded message:", "inicio del mensaje reenviado:"];
        return forwarded.contains(&line.to_lowercase().as_str()).then_some(Style::Forward);
    }
    let found = SEPARATOR.captures(line)?;
    Some(if found.name("forward").is_some() { Style::Forward } else { Style::Reply })
}

/// The sender's label in the field block that Outlook and its like put above a quotation.
const SENDER: &[&str] =
    &["from", "de", "von", "da", "van", "från", "fra", "od", "от", "发件人", "差出人", "lähettäjä", "kimden"];
/// The label of the date, with which some programs begin.
const DATE: &[&str] = &["date", "fecha", "gesendet", "enviado", "sent", "message du"];
/// The other labels.
const OTHERS: &[&str] = &[
    "sent",
    "date",
    "to",
    "subject",
    "cc",
    "enviado",
    "enviado el",
    "enviada em",
    "fecha",
    "para",
    "asunto",
    "data",
    "a",
    "oggetto",
    "inviato",
    "envoyé",
    "envoyé le",
    "date d'envoi",
    "à",
    "objet",
    "gesendet",
    "datum",
    "an",
    "betreff",
    "assunto",
    "skickat",
    "till",
    "ämne",
    "sendt",
    "til",
    "emne",
    "verzonden",
    "aan",
    "onderwerp",
    "reply-to",
    "responder a",
    "risposta",
    "importancia",
    "importance",
    "发送时间",
    "收件人",
    "主题",
    "wysłano",
    "do",
    "temat",
    "дата",
    "кому",
    "тема",
    "send",
];

/// The lines that a block of fields takes: a sender and at least two more within the next lines.
fn field_block(lines: &[&str]) -> Option<usize> {
    let label = label_of(lines.first()?)?;
    let mut has_sender = SENDER.contains(&label.as_str());
    if !has_sender && !DATE.contains(&label.as_str()) {
        return None;
    }
    let (mut fields, mut taken, mut misses) = (0, 1, 0);
    for (index, line) in lines.iter().enumerate().skip(1).take(10) {
        let label = label_of(line).unwrap_or_default();
        let is_sender = SENDER.contains(&label.as_str());
        if is_sender || OTHERS.contains(&label.as_str()) {
            has_sender |= is_sender;
            fields += 1;
            taken = index + 1;
            misses = 0;
        } else {
            misses += 1; // a long list of addresses goes on, or a blank line stands between
            if misses > 2 {
                break;
            }
        }
    }
    // "From:" with the date right below it is enough; any other pair may be the writer's own list.
    let dated = taken == 2
        && lines.get(1).and_then(|line| label_of(line)).is_some_and(|l| DATE.contains(&l.as_str()));
    (has_sender && (fields >= 2 || dated)).then_some(taken)
}

/// The label of a line such as `*De:* Ana`, lower case.
fn label_of(line: &str) -> Option<String> {
    let line = line.trim().trim_start_matches(['*', '_']);
    let head = line.get(..line.floor_char_boundary(48)).unwrap_or(line);
    let (label, _) = head.split_once(':').or_else(|| head.split_once('：'))?;
    let label = label.trim_matches(['*', '_', ' ', '\u{A0}']).to_lowercase();
    (!label.is_empty()).then_some(label)
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
    "wrote ----",
    "escribió ----",
];

static TIME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[0-9]{1,2}[:.][0-9]{2}\b"));

/// The lines of "El lun, 2 nov 2026 a las 10:00, Ana (<ana@…>) escribió:", wrapped over up to four.
fn attribution(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?.trim();
    let opens = opens_attribution(first);
    if !opens && !first.contains(['@', '<']) && !ends_attribution(first) {
        return None;
    }
    let may_end = |line: &&str| line.trim_end().ends_with([':', '：', '-']);
    if !lines.iter().take(4).any(may_end) {
        return None;
    }
    let begins_with_digit = first.starts_with(|c: char| c.is_ascii_digit());
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
        // A date or an address tells it from prose such as "the error says, and I wrote:".
        let has_proof = joined.contains('@') || joined.chars().any(|c| c.is_ascii_digit());
        if has_proof && ends_attribution(&joined) {
            return Some(index + 1);
        }
        if line.ends_with(':') || (index == 0 && line.ends_with(['?', '!'])) {
            // "2026/11/02 Ana <ana@…>:" has no verb at all
            let bare = joined.ends_with(">:")
                && joined.contains('@')
                && (TIME.is_match(&joined) || begins_with_digit);
            return bare.then_some(index + 1);
        }
        joined.push(' ');
    }
    // Phones in some languages put the sender last: "Den 2. nov. kl. 10.00 skrev Ana <a@b.co>:"
    None
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
