//! The phrase language: what an operator writes → what must stand in the text.
//!
//! | written | means |
//! |---|---|
//! | `firewall` | that word, whole, any case or accent |
//! | `caid*` | words beginning so |
//! | `no carga` | those words in a row |
//! | `a\|b`, `[x]` | one of these words, an optional word |
//! | `{servicio}`, `<host>` `<ip>` `<url>` `<email>` | one of a named set, such a token |
//! | `x ..5 y` | up to five words between, same sentence, no negator among them |
//! | `x & y`, `x && y` | both in any order, in one sentence / anywhere in the mail |
//! | `~servidor` | one typing error allowed |
//! | `/…/` | a regular expression on the folded text |

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::text::{self, Folded, Reading};
use crate::problem::did_you_mean;

/// A phrase: clauses that must all be found, each in any field (`&&`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    pub clauses: Vec<Clause>,
}

/// Parts that must all stand in one sentence (`&`).
pub(super) type Clause = Vec<Part>;

/// What must stand in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Words in a row, with gaps.
    Words(Vec<Element>),
    /// The escape hatch, on [`Folded::plain`].
    Regex(String),
}

/// A step of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// One of these, list after list.
    OneOf { lists: Vec<Alternatives>, optional: bool },
    /// Up to so many words that do not negate.
    Gap(u8),
}

/// Words in a row, as one alternative: a hyphenated word or a set's member may be several.
pub(super) type Alternative = Arc<[Unit]>;

/// One word of an alternative.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    /// A folded word with its separator in front.
    Exact(String),
    /// Likewise, and it goes on in any way.
    Stem(String),
    /// A folded word without separator, one letter of which may be wrong.
    Near(String),
    /// Any token with one of these separators.
    Token(&'static [char]),
}

/// A word set, which every phrase that names it shares, or one word.
pub(super) type Alternatives = Arc<[Alternative]>;

/// The named word sets.
pub(super) type Sets = BTreeMap<String, Alternatives>;

/// Why a phrase is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the phrase is empty")]
    Empty,
    #[error("the phrase matches the empty text, so it would match every mail")]
    MatchesNothing,
    #[error("nothing stands beside `{0}`")]
    NothingBeside(&'static str),
    #[error("an alternative is one word")]
    SpacedAlternative,
    #[error("an optional word stands alone in its brackets")]
    SpacedOptional,
    #[error("a gap stands between two words")]
    GapAtEdge,
    #[error("`{0}` is not a gap")]
    BadGap(String),
    #[error("unknown set `{0}`")]
    UnknownSet(String, Option<String>),
    #[error("unknown token `<{0}>`")]
    UnknownToken(String),
    #[error("`{0}` is too short for a typing error")]
    ShortNear(String),
    #[error("`{0}` stands for every word")]
    BareStar(String),
    #[error("`{0}` means nothing here")]
    Stray(char),
    #[error("there is no word in `{0}`")]
    NoWord(String),
    #[error("the regular expression does not end with `/`")]
    OpenRegex,
    #[error("{0}")]
    BadRegex(String),
    #[error("the phrase needs {0} words in a row")]
    TooLong(usize),
    #[error("the phrase makes too large an automaton")]
    TooLarge,
}

impl Fault {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "remove it, or write words".into(),
            Self::MatchesNothing => "make at least one word mandatory".into(),
            Self::NothingBeside(_) => "write words on both sides of it, with a space between".into(),
            Self::SpacedAlternative => {
                "write `a|b` without spaces; for alternatives of several words, write two phrases".into()
            }
            Self::SpacedOptional => "write `[a] [la]`, one pair of brackets for each word".into(),
            Self::GapAtEdge => "write words on both sides of `..N`; use `&` for any order".into(),
            Self::BadGap(_) => format!("write `..5`, from 1 to {MAX_GAP}"),
            Self::UnknownSet(_, near) => near
                .clone()
                .unwrap_or_else(|| "add the set to words.toml, or to [words] of a local file".into()),
            Self::UnknownToken(name) => did_you_mean(name, TOKENS.iter().map(|(name, _)| *name))
                .unwrap_or_else(|| "write <host>, <ip>, <url> or <email>".into()),
            Self::ShortNear(_) => {
                format!(
                    "only words of {NEAR_LETTERS} letters and more; write the misspelling out as an alternative"
                )
            }
            Self::BareStar(_) => {
                "write the beginning of a word before the `*`, or a gap such as `..1`".into()
            }
            Self::Stray('(' | ')') => "there are no groups: write `a|b` for alternatives of one word".into(),
            Self::Stray('*') => "`*` goes at the end of a word".into(),
            Self::Stray('&') => "write `&` and `&&` with a space on both sides".into(),
            Self::Stray(_) => "a phrase is made of words; punctuation is not read".into(),
            Self::NoWord(_) => "write letters or digits".into(),
            Self::OpenRegex => "write '/…/' with a slash at both ends".into(),
            Self::BadRegex(_) => "see https://docs.rs/regex for the syntax; there is no look-around".into(),
            Self::TooLong(_) => format!(
                "no customer writes {MAX_WORDS} words the same: keep those that tell, with `..N` between; the sentence \
                 itself belongs to `yes`"
            ),
            Self::TooLarge => "use smaller gaps, smaller sets or shorter repetitions".into(),
        }
    }
}

/// A fault and the bytes of the phrase it lies in.
pub(super) type Located = (Range<usize>, Fault);

/// The widest gap; beyond it `&` says what is meant.
const MAX_GAP: u8 = 20;

/// A row of more words than this was pasted, not thought of.
const MAX_WORDS: usize = 30;

/// Words shorter than this are one error away from too many others (*parado*, *pagado*).
const NEAR_LETTERS: usize = 7;

/// Tokens by name; a URL names a host as well.
const TOKENS: [(&str, &[char]); 4] = [
    ("host", &[text::HOST, text::URL]),
    ("ip", &[text::IP]),
    ("url", &[text::URL]),
    ("email", &[text::EMAIL]),
];

impl Phrase {
    /// Reads a phrase as written.
    pub fn parse(written: &str, sets: &Sets) -> Result<Self, Located> {
        let trimmed = written.trim();
        let whole = 0..written.len();
        if let Some(rest) = trimmed.strip_prefix('/') {
            let pattern = rest.strip_suffix('/').ok_or((whole.clone(), Fault::OpenRegex))?;
            if pattern.trim().is_empty() {
                return Err((whole, Fault::Empty));
            }
            return Ok(Self { clauses: vec![vec![Part::Regex(pattern.into())]] });
        }
        if trimmed.is_empty() {
            return Err((whole, Fault::Empty));
        }
        let items: Vec<Item<'_>> = items(written).collect();
        let clauses = split(&items, "&&", &whole)?
            .into_iter()
            .map(|clause| {
                let parts = split(clause, "&", &whole)?;
                parts.into_iter().map(|part| Part::parse(part, sets)).collect()
            })
            .collect::<Result<_, Located>>()?;
        Ok(Self { clauses })
    }
}

impl Part {
    fn parse(items: &[Item<'_>], sets: &Sets) -> Result<Self, Located> {
        let elements =
            items.iter().map(|item| Element::parse(item, sets)).collect::<Result<Vec<_>, Located>>()?;
        let span = match (items.first(), items.last()) {
            (Some(first), Some(last)) => first.at..last.at + last.text.len(),
            _ => 0..0,
        };
        let is_mandatory = |element: &Element| matches!(element, Element::OneOf { optional: false, .. });
        let is_gap = |element: &&Element| matches!(element, Element::Gap(_));
        if elements.first().as_ref().is_some_and(is_gap) || elements.last().as_ref().is_some_and(is_gap) {
            return Err((span, Fault::GapAtEdge));
        }
        if !elements.iter().any(is_mandatory) {
            return Err((span, Fault::MatchesNothing));
        }
        let words = elements.iter().map(Element::fewest_words).sum();
        if words > MAX_WORDS {
            return Err((span, Fault::TooLong(words)));
        }
        Ok(Self::Words(elements))
    }
}

impl Element {
    /// How many words it takes at least.
    fn fewest_words(&self) -> usize {
        match self {
            Self::OneOf { lists, optional: false } => {
                lists.iter().flat_map(|list| list.iter()).map(|units| units.len()).min().unwrap_or_default()
            }
            Self::OneOf { .. } | Self::Gap(_) => 0,
        }
    }

    fn parse(item: &Item<'_>, sets: &Sets) -> Result<Self, Located> {
        let fail = |fault| Err((item.span(), fault));
        if let Some(number) = item.text.strip_prefix("..") {
            return match number.parse() {
                Ok(words @ 1..=MAX_GAP) => Ok(Self::Gap(words)),
                _ => fail(Fault::BadGap(item.text.into())),
            };
        }
        let (inner, optional) = match item.text.strip_prefix('[') {
            None => (item.text, false),
            Some(rest) => match rest.strip_suffix(']') {
                Some(inner) => (inner, true),
                None => return fail(Fault::SpacedOptional),
            },
        };
        let mut at = item.at + usize::from(optional);
        let mut lists = Vec::new();
        for written in inner.split('|') {
            if written.is_empty() {
                return fail(Fault::SpacedAlternative);
            }
            lists.push(alternatives(written, sets).map_err(|fault| (at..at + written.len(), fault))?);
            at += written.len() + 1;
        }
        Ok(Self::OneOf { lists, optional })
    }
}

/// Reads a set's member: a word, or words in a row.
pub(super) fn member(written: &str) -> Result<Alternative, Located> {
    if written.trim().is_empty() {
        return Err((0..written.len(), Fault::Empty));
    }
    let units = items(written).map(|item| units(item.text).map_err(|fault| (item.span(), fault)));
    Ok(units.collect::<Result<Vec<_>, _>>()?.concat().into())
}

/// Reads what stands between two bars.
fn alternatives(written: &str, sets: &Sets) -> Result<Alternatives, Fault> {
    let Some(name) = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Ok([units(written)?.into()].into());
    };
    let unknown = || {
        let near = did_you_mean(name, sets.keys().map(String::as_str));
        Fault::UnknownSet(name.into(), near)
    };
    sets.get(name).cloned().ok_or_else(unknown)
}

/// Reads what stands between two spaces or bars; a hyphenated word is several.
fn units(written: &str) -> Result<Vec<Unit>, Fault> {
    if let Some(name) = written.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        let token = TOKENS.iter().find(|(known, _)| *known == name);
        return token
            .map(|(_, kinds)| vec![Unit::Token(kinds)])
            .ok_or_else(|| Fault::UnknownToken(name.into()));
    }
    if let Some(word) = written.strip_prefix('~') {
        return match fold(word)?.as_slice() {
            [one] if one.is_ascii() && one.len() > NEAR_LETTERS => {
                Ok(vec![Unit::Near(one.chars().skip(1).collect())])
            }
            _ => Err(Fault::ShortNear(word.into())),
        };
    }
    match written.strip_suffix('*') {
        Some(stem) if stem.chars().any(char::is_alphanumeric) => {
            let mut words = fold(stem)?;
            let last = words.pop().map(Unit::Stem);
            Ok(words.into_iter().map(Unit::Exact).chain(last).collect())
        }
        Some(_) => Err(Fault::BareStar(written.into())),
        None => Ok(fold(written)?.into_iter().map(Unit::Exact).collect()),
    }
}

/// A word of a phrase, folded like a customer's: its pieces, each with its separator in front.
fn fold(word: &str) -> Result<Vec<String>, Fault> {
    let is_plain = |c: char| c.is_alphanumeric() || !c.is_ascii() || "-_.'@:/+#%".contains(c);
    if let Some(stray) = word.chars().find(|c| !is_plain(*c)) {
        return Err(Fault::Stray(stray));
    }
    let folded = Folded::new(word, Reading::Prose);
    match folded.sentences() {
        1 => Ok(folded.words().map(str::to_owned).collect()),
        _ => Err(Fault::NoWord(word.into())),
    }
}

/// What stands between two spaces of a phrase.
#[derive(Debug, Clone, Copy)]
struct Item<'a> {
    text: &'a str,
    at: usize,
}

impl Item<'_> {
    fn span(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

fn items(written: &str) -> impl Iterator<Item = Item<'_>> {
    let mut at = 0;
    written.split(char::is_whitespace).filter_map(move |text| {
        let item = Item { text, at };
        at += text.len() + written.get(at + text.len()..)?.chars().next().map_or(0, char::len_utf8);
        (!text.is_empty()).then_some(item)
    })
}

/// Splits at an operator, both sides of which must hold something.
fn split<'a, 'b>(
    items: &'a [Item<'b>],
    operator: &'static str,
    whole: &Range<usize>,
) -> Result<Vec<&'a [Item<'b>]>, Located> {
    let pieces: Vec<_> = items.split(|item| item.text == operator).collect();
    if pieces.iter().any(|piece| piece.is_empty()) {
        let place = items.iter().find(|item| item.text == operator).map_or(whole.clone(), Item::span);
        return Err((place, Fault::NothingBeside(operator)));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
