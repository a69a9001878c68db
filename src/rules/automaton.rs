//! Part of a phrase → the automaton that finds it, and the words without which it need not be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::phrase::{Element, Fault, Part, Unit};
use super::text::{self, Folded};

/// A compiled regular expression may take so many bytes; the largest of a sane phrase takes a tenth.
const SIZE_LIMIT: usize = 2 << 20;

/// The separators, as a class of a regular expression on bytes.
const SEPARATORS: &str = r"[ \n\x01\x03-\x06]";
/// What words are made of.
const LETTER: &str = r"[^ \n\x01\x03-\x06]";
/// What separates a word that does not negate.
const BEFORE_GAP_WORD: &str = r"[ \x03-\x06]";
/// What separates a word of letters, negator or not.
const BEFORE_WORD: &str = r"[ \x01]";

/// Finds one part of a phrase.
#[derive(Debug)]
pub(super) enum Automaton {
    /// On the bytes of [`Folded::as_str`]; a match takes the separators on both sides.
    Words(regex::bytes::Regex),
    /// On [`Folded::plain`].
    Escape(regex::Regex),
}

impl Automaton {
    /// Compiles a part.
    pub fn new(part: &Part) -> Result<Self, Fault> {
        let refused = |error| match error {
            regex::Error::CompiledTooBig(_) => Fault::TooLarge,
            other => Fault::BadRegex(first_line(&other.to_string())),
        };
        match part {
            Part::Words(elements) => regex::bytes::RegexBuilder::new(&pattern(elements))
                .unicode(false)
                .size_limit(SIZE_LIMIT)
                .build()
                .map(Self::Words)
                .map_err(refused),
            Part::Regex(written) => {
                let regex =
                    regex::RegexBuilder::new(written).size_limit(SIZE_LIMIT).build().map_err(refused)?;
                match regex.is_match("") || regex.is_match("\n") {
                    true => Err(Fault::MatchesNothing),
                    false => Ok(Self::Escape(regex)),
                }
            }
        }
    }

    /// Where the part stands in the folded text, words only, in order. `plain` makes [`Folded::plain`].
    pub fn find<'t>(
        &'t self,
        folded: &'t Folded,
        plain: impl FnOnce() -> &'t str,
    ) -> Box<dyn Iterator<Item = Range<usize>> + 't> {
        match self {
            Self::Words(regex) => {
                let text = folded.as_str().as_bytes();
                let mut from = 0;
                Box::new(std::iter::from_fn(move || {
                    let found = regex.find_at(text, from)?;
                    // The separator behind a match is also the one before the next.
                    from = found.end() - 1;
                    Some(found.start() + 1..found.end() - 1)
                }))
            }
            Self::Escape(regex) => Box::new(
                regex.find_iter(plain()).map(|found| found.range()).filter(|range| !range.is_empty()),
            ),
        }
    }
}

fn first_line(error: &str) -> String {
    let last = error.lines().rev().find_map(|line| line.strip_prefix("error: "));
    last.unwrap_or(error).to_owned()
}

/// The regular expression of a row of words.
pub(super) fn pattern(elements: &[Element]) -> String {
    let mut pattern = String::new();
    for element in elements {
        match element {
            Element::Gap(words) => {
                pattern.push_str(&format!("(?:{BEFORE_GAP_WORD}{LETTER}+){{0,{words}}}?"));
            }
            Element::OneOf { alternatives, optional } => {
                let written: Vec<String> =
                    alternatives.iter().map(|units| units.iter().map(unit_pattern).collect()).collect();
                let _ = write!(pattern, "(?:{})", written.join("|"));
                pattern.push_str(if *optional { "?" } else { "" });
            }
        }
    }
    pattern.push_str(SEPARATORS);
    pattern
}

fn unit_pattern(unit: &Unit) -> String {
    match unit {
        Unit::Exact(words) => regex::escape(words),
        Unit::Stem(words) => match ambiguous_stem(words) {
            Some((before, stem)) => {
                format!("{}{BEFORE_WORD}{}{LETTER}*", regex::escape(before), regex::escape(stem))
            }
            None => format!("{}{LETTER}*", regex::escape(words)),
        },
        Unit::Near(word) => near_pattern(word),
        Unit::Token(kinds) => format!("[{}]{LETTER}+", kinds.iter().collect::<String>()),
    }
}

/// Splits a stem off the words before it, when a negator may begin so: `ni*` is *nivel* and *ni*.
fn ambiguous_stem(words: &str) -> Option<(&str, &str)> {
    let (before, stem) = words.rsplit_once([text::WORD, text::NEGATOR])?;
    text::begins_a_negator(stem).then_some((before, stem))
}

/// The word itself or with one letter replaced, left out, put in, or two swapped.
fn near_pattern(word: &str) -> String {
    let mut pattern = format!("{BEFORE_WORD}(?:{word}");
    for (i, letter) in word.char_indices() {
        let (before, from) = word.split_at(i);
        let after: String = from.chars().skip(1).collect();
        let _ = write!(pattern, "|{before}(?:{LETTER}?{after}|{LETTER}{from}");
        if let Some(next) = after.chars().next() {
            let _ = write!(pattern, "|{next}{letter}{}", after.chars().skip(1).collect::<String>());
        }
        pattern.push(')');
    }
    let _ = write!(pattern, "|{word}{LETTER})");
    pattern
}

/// A literal that a part needs, with its separator in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    literal: String,
    /// Whether a word ends where it ends.
    whole: bool,
}

/// One of these keys must be seen.
type KeyGroup = BTreeSet<Key>;

/// A group of keys that a part waits for.
pub(super) type GroupId = usize;

/// Collects the keys of all parts.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    groups: BTreeMap<KeyGroup, GroupId>,
}

impl IndexBuilder {
    /// The groups of which a text must have seen a key each, or the part is not in it.
    pub fn groups(&mut self, part: &Part) -> Vec<GroupId> {
        let Part::Words(elements) = part else { return Vec::new() };
        let mut ids = Vec::new();
        for element in elements {
            let Element::OneOf { alternatives, optional: false } = element else { continue };
            let keys: Option<Vec<Vec<Key>>> = alternatives.iter().map(|units| keys(units)).collect();
            let Some(keys) = keys else { continue };
            let next = self.groups.len();
            ids.push(*self.groups.entry(keys.into_iter().flatten().collect()).or_insert(next));
        }
        ids
    }

    /// The index over all of them.
    pub fn build(self) -> Index {
        let mut by_key: BTreeMap<&Key, Vec<GroupId>> = BTreeMap::new();
        for (group, id) in &self.groups {
            group.iter().for_each(|key| by_key.entry(key).or_default().push(*id));
        }
        let automaton = AhoCorasick::new(by_key.keys().map(|key| &key.literal)).ok();
        let keys = by_key.into_iter().map(|(key, groups)| (key.whole, groups)).collect();
        Index { automaton, keys, groups: self.groups.len() }
    }
}

/// The literals one of which an alternative needs; `None` when no literal is needed.
fn keys(units: &[Unit]) -> Option<Vec<Key>> {
    let mut literal = String::new();
    for unit in units {
        match unit {
            Unit::Exact(words) => literal.push_str(words),
            Unit::Stem(words) => {
                let key = |separator: char, (before, stem): (&str, &str)| Key {
                    literal: format!("{literal}{before}{separator}{stem}"),
                    whole: false,
                };
                return Some(match ambiguous_stem(words) {
                    Some(stem) => vec![key(text::WORD, stem), key(text::NEGATOR, stem)],
                    None => vec![Key { literal: literal + words, whole: false }],
                });
            }
            Unit::Token(kinds) if literal.is_empty() => {
                return Some(
                    kinds.iter().map(|kind| Key { literal: kind.to_string(), whole: false }).collect(),
                );
            }
            Unit::Near(_) if literal.is_empty() => return None,
            Unit::Token(_) | Unit::Near(_) => break,
        }
    }
    Some(vec![Key { literal, whole: true }])
}

/// Tells in one pass which parts can be in a text at all.
#[derive(Debug)]
pub(super) struct Index {
    automaton: Option<AhoCorasick>,
    /// Per pattern: whether it is a whole word, and the groups it belongs to.
    keys: Vec<(bool, Vec<GroupId>)>,
    groups: usize,
}

impl Index {
    /// For each group, whether one of its keys is in the text.
    pub fn seen(&self, folded: &str) -> Vec<bool> {
        let Some(automaton) = &self.automaton else { return vec![true; self.groups] };
        let mut seen = vec![false; self.groups];
        for found in automaton.find_overlapping_iter(folded) {
            let Some((whole, groups)) = self.keys.get(found.pattern().as_usize()) else { continue };
            let ends_word =
                || folded.as_bytes().get(found.end()).is_none_or(|next| text::is_separator(*next));
            if !whole || ends_word() {
                for group in groups {
                    if let Some(seen) = seen.get_mut(*group) {
                        *seen = true;
                    }
                }
            }
        }
        seen
    }
}
