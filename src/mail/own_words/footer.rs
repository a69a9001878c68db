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
            let above = lines.get(..index)?.iter().any(|line| !line.trim().is_empty());
            return above.then_some(index);
        }
        below += usize::from(!line.trim().is_empty());
        if below > SIGNATURE_LINES {
            return None;
        }
    }
    None
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

fn is_mobile_footer(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['*', '_', '<', '(', '[']);
    if line.len() > 100 || line.contains(", ") && line.ends_with('.') {
        return false; // "Sent from my desk, which is easier." is a sentence
    }
    let line = line.to_lowercase();
    MOBILE.iter().any(|footer| line.starts_with(footer))
}

static DISCLAIMER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)^[\s*_=\[(-]*(?:
            aviso\s(?:legal|de\sconfidencialidad|de\sprivacidad) | nota\sde\sconfidencialidad | confidencialidad\b
          | cl\x{e1}usula\sde\sconfidencialidad | la\sinformaci[o\x{f3}]n\scontenida\sen\seste
          | este\s(?:mensaje|correo|e-?mail)\b.{0,120}\b(?:confidencial|destinatari|privilegiad)
          | este\s(?:mensaje|correo)\b.{0,60}\b(?:analizado|comprobado|revisado|virus)
          | libre\sde\svirus | antes\sde\simprimir | no\simprima | piense\santes\sde\simprimir
          | virus-free | this\s(?:e-?mail|message|communication)\b.{0,160}\b(?:confidential|intended|privileged|virus)
          | confidential(?:ity)?\s(?:notice|note) | disclaimer\b | legal\snotice | the\sinformation\scontained\sin\sthis
          | please\sconsider\sthe\senvironment | avast\slogo | no\svirus\sfound
        )",
    )
});

/// Where a disclaimer begins: a paragraph near the end that opens like one, with text above.
fn disclaimer(lines: &[&str]) -> Option<usize> {
    let mut seen = false; // text above
    let mut starts_paragraph = true;
    let mut found = None;
    for (index, line) in lines.iter().enumerate() {
        let blank = line.trim().is_empty() || is_rule(line.trim());
        if !blank && starts_paragraph && seen {
            let head = line.get(..line.floor_char_boundary(300)).unwrap_or(line);
            if found.is_none() && DISCLAIMER.is_match(head) {
                found = Some(index);
            }
        }
        seen |= !blank;
        starts_paragraph = blank;
    }
    footer_at(lines, found?)
}

/// What disclaimers say somewhere in their midst.
static LEGALESE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) confiden[ct]ial | privileged | addressee | named\srecipient | intended\s(?:only|solely|recipient|for)
          | (?:received|sent)\b.{0,40}\bin\serror\b | unauthori[sz]ed\s(?:use|disclosure|copying|review) | disclaim
          | (?:mail|messages?|communications?)\b.{0,40}\bmonitored | monitors\sall
          | (?:scanned|screened|swept|checked)\b.{0,40}\bvirus
          | destinatari[oa] | recib\w+\b.{0,60}\bpor\serror\b | privilegiad | divulgaci[o\x{f3}]n
          | protecci[o\x{f3}]n\sde\sdatos | habeas\sdata",
    )
});

/// Where a disclaimer begins that a rule sets apart: two words of lawyers below it, whatever its first ones are.
fn fenced_disclaimer(lines: &[&str]) -> Option<usize> {
    let (mut found, mut weight) = (None, 0);
    let mut said: Vec<String> = Vec::new();
    for (index, line) in lines.iter().enumerate().rev() {
        weight += usize::from(!line.trim().is_empty());
        if weight > LONGEST_DISCLAIMER {
            break;
        }
        if !is_rule(line.trim()) {
            said.extend(LEGALESE.find_iter(line).map(|word| word.as_str().to_lowercase()));
            said.sort_unstable();
            said.dedup();
        } else if said.len() >= 2 {
            found = Some(index);
        }
    }
    footer_at(lines, found?)
}

/// A footer has text above it, and is short: much text below is somebody who asks about a disclaimer.
fn footer_at(lines: &[&str], at: usize) -> Option<usize> {
    let (above, below) = lines.split_at_checked(at)?;
    let weight = below.iter().filter(|line| !line.trim().is_empty()).count();
    (weight <= LONGEST_DISCLAIMER && above.iter().any(|line| !line.trim().is_empty())).then_some(at)
}
