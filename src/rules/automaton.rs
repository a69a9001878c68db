//! Part of a phrase → the automaton that finds it.

use std::fmt::Write as _;
use std::ops::Range;

use super::index::{GroupId, Hits, IndexBuilder, Needs};
use super::phrase::{Element, Fault, Part, Unit, ambiguous_stem};
use super::text::Folded;

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

/// Places of one part in one text beyond this many are not looked at.
const MAX_OCCURRENCES: usize = 256;

/// Finds one part of a phrase; shared by all phrases with that part.
#[derive(Debug)]
pub(super) struct Atom {
    automaton: Automaton,
    needs: Needs,
}

#[derive(Debug)]
enum Automaton {
    /// Tried where the keys of a group begin. Like [`Automaton::Scanning`] on the bytes of [`Folded::as_str`]; a
    /// match takes the separators on both sides.
    Anchored(regex::bytes::Regex, GroupId),
    /// Searched for.
    Scanning(regex::bytes::Regex),
    /// Searched for in [`Folded::plain`].
    Escape(regex::Regex),
}

impl Atom {
    /// Compiles a part.
    pub fn new(part: &Part, index: &mut IndexBuilder) -> Result<Self, Fault> {
        let needs = index.needs(part);
        let words = |pattern: &str| {
            let regex =
                regex::bytes::RegexBuilder::new(pattern).unicode(false).size_limit(SIZE_LIMIT).build();
            regex.map_err(refused)
        };
        let automaton = match (part, needs.start) {
            (Part::Words(elements), Some(start)) => {
                Automaton::Anchored(words(&format!(r"\A{}", pattern(elements)))?, start)
            }
            (Part::Words(elements), None) => Automaton::Scanning(words(&pattern(elements))?),
            (Part::Regex(written), _) => {
                let regex =
                    regex::RegexBuilder::new(written).size_limit(SIZE_LIMIT).build().map_err(refused)?;
                if regex.is_match("") || regex.is_match("\n") {
                    return Err(Fault::MatchesNothing);
                }
                Automaton::Escape(regex)
            }
        };
        Ok(Self { automaton, needs })
    }

    /// Whether the part can be in a text with these keys.
    pub fn may_be_in(&self, hits: &Hits) -> bool {
        hits.satisfy(&self.needs, &(0..usize::MAX))
    }

    /// Where the part stands in the folded text, words only, in order. `plain` makes [`Folded::plain`].
    pub fn find<'t>(
        &self,
        folded: &'t Folded,
        hits: &Hits,
        plain: impl FnOnce() -> &'t str,
    ) -> Vec<Range<usize>> {
        let text = folded.as_str().as_bytes();
        match &self.automaton {
            Automaton::Anchored(regex, start) => {
                let at = |place: &usize| {
                    let sentence = *place..folded.sentence_end(*place);
                    if !hits.satisfy(&self.needs, &sentence) {
                        return None;
                    }
                    let found = regex.find(text.get(*place..)?)?;
                    Some(place + 1..place + found.end() - 1)
                };
                hits.of(*start).iter().filter_map(at).take(MAX_OCCURRENCES).collect()
            }
            Automaton::Scanning(regex) => {
                let mut from = 0;
                let next = || {
                    let found = regex.find_at(text, from)?;
                    // The separator behind a match is also the one before the next.
                    from = found.end() - 1;
                    Some(found.start() + 1..found.end() - 1)
                };
                std::iter::from_fn(next).take(MAX_OCCURRENCES).collect()
            }
            Automaton::Escape(regex) => {
                let words = |found: regex::Match<'_>| {
                    let led = found.as_str().trim_start();
                    let start = found.end() - led.len();
                    start..start + led.trim_end().len()
                };
                let ranges = regex.find_iter(plain()).map(words);
                ranges.filter(|range| !range.is_empty()).take(MAX_OCCURRENCES).collect()
            }
        }
    }
}

fn refused(error: regex::Error) -> Fault {
    match error {
        regex::Error::CompiledTooBig(_) => Fault::TooLarge,
        other => Fault::BadRegex(first_line(&other.to_string())),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::phrase::{Phrase, Sets};
    use super::super::text::Reading;
    use super::*;

    /// Few words, so that phrases and texts meet often; with every operator that makes a row.
    fn rows() -> impl Strategy<Value = String> {
        let word = "(no|ni\\*|a|ab|ab\\*|a-b|a\\|no|a-b\\*\\|b|<host>|<ip>|~servidor)";
        proptest::string::string_regex(&format!(r"{word}( (\.\.[1-3] )?(\[[ab]\] )?{word}){{0,3}}")).unwrap()
    }

    proptest! {
        /// The index is a shortcut: what an unanchored search of the whole text finds first, it must not hide.
        #[test]
        fn the_index_hides_nothing(
            row in rows(),
            text in "(no |ni |nivel |a |ab |abb |b |a\\.co |10\\.0\\.0\\.1 |serbidor |\\. |, ){0,14}",
        ) {
            let phrase = Phrase::parse(&row, &Sets::new()).map_err(|fault| TestCaseError::fail(format!("{row}: {fault:?}")))?;
            let part = &phrase.clauses[0][0];
            let Part::Words(elements) = part else { panic!("{part:?}") };
            let mut index = IndexBuilder::default();
            let atom = Atom::new(part, &mut index).unwrap();
            let folded = Folded::new(&text, Reading::Prose);
            let hits = index.build().scan(folded.as_str());
            let found = atom.find(&folded, &hits, || unreachable!()).first().cloned();
            let whole = regex::bytes::RegexBuilder::new(&pattern(elements)).unicode(false).build().unwrap();
            let wanted = whole.find(folded.as_str().as_bytes()).map(|m| m.start() + 1..m.end() - 1);
            prop_assert_eq!(&found, &wanted, "`{}` in {:?}", row, folded.as_str());
            prop_assert!(atom.may_be_in(&hits) || wanted.is_none());
        }
    }
}
