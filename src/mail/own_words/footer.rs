//! What stands below a mail's words: signature, mobile footer, disclaimer.

use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::is_rule;

/// A signature has at most this many lines.
const SIGNATURE_LINES: usize = 14;
/// A disclaimer has at most this many.
const LONGEST_DISCLAIMER: usize = 40;

/// Takes signature, mobile footers and disclaimers off the end.
pub(super) fn without_footers<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let mut own: Vec<&str> = lines.to_vec();
    // a signature may have a disclaimer below, too long for it, or one inside
    for footer in [list_footer, fenced_disclaimer, signature, disclaimer, signature] {
        if let Some(at) = footer(&own) {
            own.truncate(at);
        }
    }
    loop {
        while own.last().is_some_and(|line| line.trim().is_empty() || is_rule(line.trim())) {
            own.pop();
        }
        match own.last() {
            Some(line) if is_mobile_footer(line) => own.pop(),
            _ => break,
        };
    }
    own
}

/// Where a signature begins: the last `-- ` line (RFC 3676 §4.3) with few lines below and text above.
fn signature(lines: &[&str]) -> Option<usize> {
    let mut below = 0;
    for (index, line) in lines.iter().enumerate().rev() {
        if matches!(*line, "-- " | "--" | "—" | "__") {
            let (above, below) = lines.split_at_checked(index)?;
            // people draw the other marks between their own paragraphs too
            let is_text = *line != "-- " && (below.iter().any(asks) || !is_contact_card(below));
            return (above.iter().any(|line| !line.trim().is_empty()) && !is_text).then_some(index);
        }
        below += usize::from(!line.trim().is_empty());
        if below > SIGNATURE_LINES {
            return None;
        }
    }
    None
}

/// Names, posts, numbers, a lawyer's words: no line is a sentence about a server.
fn is_contact_card(lines: &[&str]) -> bool {
    let is_sentence = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let titles = words.iter().filter(|word| !word.starts_with(char::is_lowercase)).count();
        let most = if CONTACT.is_match(line) { 10 } else { 3 };
        words.len() > most && titles * 2 < words.len() && !LEGALESE.is_match(line)
    };
    !lines.iter().any(is_sentence)
}

/// How somebody is reached: a telephone number, an address, a page.
static CONTACT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?ix)\S@\S | www\. | https?: | (?:[0-9][\s().-]{0,2}){6}"));

/// Whether a line asks something, which no footer does.
fn asks(line: &&str) -> bool {
    line.contains('¿') || line.trim_end().ends_with('?')
}

/// Where the lines begin that list software puts under a mail: a rule, and soon below it the name of the list.
fn list_footer(lines: &[&str]) -> Option<usize> {
    let names_list = |line: &&str| {
        let line = line.to_lowercase();
        ["mailing list", "lista de correo", "liste de diffusion", "/mailman/"]
            .iter()
            .any(|name| line.contains(name))
    };
    let at = lines.iter().rposition(|line| is_rule(line.trim()))?;
    let (above, below) = lines.split_at_checked(at)?;
    let is_footer = below.len() <= SIGNATURE_LINES && below.iter().take(3).any(names_list);
    (is_footer && above.iter().any(|line| !line.trim().is_empty())).then_some(at)
}

const MOBILE: &[&str] = &[
    "sent from my ",
    "sent from mobile",
    "sent from outlook",
    "sent from yahoo mail",
    "sent from mailbox",
    "sent via ",
    "sent from mail for",
    "envoyé à partir de",
    "sent with ",
    "get outlook for",
    "enviado desde mi ",
    "enviado desde outlook",
    "enviado desde el ",
    "enviado desde correo",
    "enviado desde yahoo",
    "enviado de mi ",
    "enviado con ",
    "enviado a través de mi",
    "obtener outlook para",
    "obtén outlook para",
    "descargar outlook para",
    "enviado do meu",
    "envoyé de mon",
    "von meinem ",
    "sendt fra min",
    "skickat från min",
    "inviato da ",
    "verzonden vanaf",
    "outlook para android",
    "outlook para ios",
    "отправлено с",
];

/// What a sentence says of a mail, and no footer: "Enviado desde el celular no llega".
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)\b(?: no | s\x{ed} | ya | tampoco | nunca | not | never | llegan? | sale[n]? | rebotan? | funcionan? | fallan?
          | works? | fails? | arrives? | bounces? | comes?)\b | , .* \.$ | \?$",
    )
});

fn is_mobile_footer(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['*', '_', '<', '(', '[']);
    if line.len() > 100 || SENTENCE.is_match(line) {
        return false;
    }
    let line = line.to_lowercase();
    MOBILE.iter().any(|footer| line.starts_with(footer))
}

/// How a disclaimer begins; `sure` needs no more to be one.
static DISCLAIMER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)^[\s*_=\[(-]*(?:
            (?P<sure> libre\sde\svirus\b.{0,3}\s*(?:www|http|<|$) | virus-free\b | no\svirus\sfound | avast\slogo
              | .{0,40}\b(?:antes\sde\simprimir|no\simprima|before\sprinting|do\snot\sprint)\b
                .{0,80}\b(?:ambiente|ecol\w+|planeta|\x{e1}rbol\w*|papel|necesario|environment|planet|tree\w*|paper|necessary|need\sto)\b
              | .{0,40}\b(?:ambiente|ecol\w+|planeta|environment)\b.{0,80}\b(?:imprimir|printing|print)\b
              | este\s(?:mensaje|correo|e-?mail)\b.{0,60}\b(?:analizado|comprobado|revisado)\b.{0,40}\bvirus
              | el\ssoftware\sde\santivirus | this\s(?:e-?mail|message)\b.{0,60}\b(?:checked|scanned)\b.{0,40}\bvirus )
          | aviso\s(?:legal|de\sconfidencialidad|de\sprivacidad|importante) | nota\sde\sconfidencialidad
          | confidencialidad\b | cl\x{e1}usula\sde\sconfidencialidad | la\sinformaci[o\x{f3}]n\scontenida\sen\seste
          | (?:este|el\spresente)\s(?:mensaje|correo|e-?mail)\b | this\s(?:e-?mail|message|communication|transmission)\b
          | confidential(?:ity)?\s(?:notice|note) | (?:legal\s)?disclaimer\b | legal\snotice
          | the\sinformation\scontained\sin\sthis
        )",
    )
});

/// Where a disclaimer begins: a paragraph near the end that opens like one, with text above.
fn disclaimer(lines: &[&str]) -> Option<usize> {
    let mut seen = false; // text above
    let mut starts_paragraph = true;
    let mut ornaments = 0; // right above
    for (index, line) in lines.iter().enumerate() {
        let ornament = is_ornament(line);
        if !ornament && starts_paragraph && seen {
            let head = line.get(..line.floor_char_boundary(300)).unwrap_or(line);
            let below = lines.get(index..).unwrap_or_default();
            let is_sure = |found: regex::Captures<'_>| found.name("sure").is_some();
            if DISCLAIMER.captures(head).is_some_and(|found| is_sure(found) || is_legal(paragraph(below))) {
                return footer_at(lines, index - ornaments).filter(|_| is_all_legal(below));
            }
        }
        seen |= !ornament;
        starts_paragraph = ornament;
        ornaments = if ornament { ornaments + 1 } else { 0 };
    }
    None
}

/// Whether these lines say two different things that lawyers say.
fn is_legal<'l>(lines: impl Iterator<Item = &'l &'l str>) -> bool {
    let mut said: Vec<String> = Vec::new();
    for line in lines.take(LONGEST_DISCLAIMER) {
        said.extend(LEGALESE.find_iter(line).map(|word| word.as_str().to_lowercase()));
    }
    said.sort_unstable();
    said.dedup();
    said.len() >= 2
}

/// Whether no paragraph but the first is plain sentences, which the writer may have put below.
fn is_all_legal(lines: &[&str]) -> bool {
    let mut paragraphs = lines.split(|line| is_ornament(line)).filter(|lines| !lines.is_empty()).skip(1);
    paragraphs.all(|lines| lines.iter().any(|line| LEGALESE.is_match(line) || CONTACT.is_match(line)))
}

/// The lines up to a blank one.
fn paragraph<'l>(lines: &'l [&'l str]) -> impl Iterator<Item = &'l &'l str> {
    lines.iter().take_while(|line| !line.trim().is_empty())
}

/// Blank, a rule, or nothing but a link or the name of a picture.
fn is_ornament(line: &str) -> bool {
    let line = line.trim();
    let bracketed =
        line.starts_with('<') && line.ends_with('>') || line.starts_with('[') && line.ends_with(']');
    line.is_empty() || is_rule(line) || bracketed
}

/// What disclaimers say somewhere in their midst.
static LEGALESE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) confiden[ct]ial | privileged | addressee | named\srecipient | intended\s(?:only|solely|recipient|for)
          | (?:received|sent)\b.{0,40}\bin\serror\b | unauthori[sz]ed\s(?:use|disclosure|copying|review) | disclaim
          | (?:mail|messages?|communications?)\b.{0,60}\bmonitored | monitors\sall | for\scompliance
          | (?:scanned|screened|swept|checked)\b.{0,40}\bvirus
          | destinatari[oa] | recib\w+\b.{0,60}\bpor\serror\b | privilegiad | divulgaci[o\x{f3}]n
          | protecci[o\x{f3}]n\sde\sdatos | habeas\sdata",
    )
});

/// Where a disclaimer begins that a rule sets apart, whatever its first words are. Between two rules all of it
/// counts; below the last one only the paragraph right there, for the writer may have drawn it.
fn fenced_disclaimer(lines: &[&str]) -> Option<usize> {
    let (mut found, mut weight) = (None, 0);
    let mut end = lines.len();
    for (index, line) in lines.iter().enumerate().rev() {
        weight += usize::from(!line.trim().is_empty());
        if weight > LONGEST_DISCLAIMER {
            break;
        }
        if !is_rule(line.trim()) {
            continue;
        }
        let section = lines.get(index + 1..end).unwrap_or_default();
        let blank = section.iter().take_while(|line| line.trim().is_empty()).count();
        let text = section.get(blank..).unwrap_or_default();
        let is_disclaimer = if end < lines.len() { is_legal(text.iter()) } else { is_legal(paragraph(text)) };
        if is_disclaimer {
            found = Some(index);
        } else if !text.iter().all(|line| is_ornament(line)) {
            break; // the writer's
        }
        end = index;
    }
    footer_at(lines, found?)
}

/// A footer has text above it, is short, and asks nothing: otherwise somebody writes about a disclaimer.
fn footer_at(lines: &[&str], at: usize) -> Option<usize> {
    let (above, below) = lines.split_at_checked(at)?;
    let weight = below.iter().filter(|line| !line.trim().is_empty()).count();
    let is_footer = weight <= LONGEST_DISCLAIMER && !below.iter().any(asks);
    (is_footer && above.iter().any(|line| !line.trim().is_empty())).then_some(at)
}
