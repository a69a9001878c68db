//! Rows against the regular expressions that say what they mean.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::phrase::{Element, Phrase, Sets, Unit, member};
use super::super::text::{NEGATOR, Reading, WORD};
use super::*;

/// The separators, as a class of a regular expression on bytes.
const SEPARATORS: &str = r"[ \n\x01\x03-\x06]";
/// What words are made of.
const LETTER: &str = r"[^ \n\x01\x03-\x06]";
/// What separates a word that does not negate.
const BEFORE_GAP_WORD: &str = r"[ \x03-\x06]";
/// What separates a word of letters, negator or not.
const BEFORE_WORD: &str = r"[ \x01]";

/// The regular expression of a row of words, on the bytes of a folded text.
fn pattern(elements: &[Element]) -> String {
    let mut pattern = String::new();
    for element in elements {
        match element {
            Element::Gap(words) => {
                let _ = write!(pattern, "(?:{BEFORE_GAP_WORD}{LETTER}+){{0,{words}}}?");
            }
            Element::OneOf { lists, optional } => {
                let alternatives = lists.iter().flat_map(|list| list.iter());
                let written: Vec<String> =
                    alternatives.map(|units| units.iter().map(unit_pattern).collect()).collect();
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
        Unit::Exact(word) => regex::escape(word),
        // Some negator begins with `n`.
        Unit::Stem(stem) => match stem.strip_prefix([WORD, NEGATOR]) {
            Some(letters) if letters.starts_with('n') => format!("{BEFORE_WORD}{letters}{LETTER}*"),
            _ => format!("{}{LETTER}*", regex::escape(stem)),
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

/// Where the regular expression says that the row is: at every word where it begins with a mandatory word, else
/// from where the last one ended.
fn places(elements: &[Element], folded: &str) -> Vec<Range<usize>> {
    let regex = regex::bytes::RegexBuilder::new(&pattern(elements)).unicode(false).build().unwrap();
    let every_word = matches!(elements.first(), Some(Element::OneOf { optional: false, .. }));
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(place) = regex.find_at(folded.as_bytes(), from) {
        from = if every_word { place.start() + 1 } else { place.end() - 1 };
        found.push(place.start()..place.end() - 1);
    }
    found
}

/// Few words, so that phrases and texts meet often; with every operator that makes a row.
fn rows() -> impl Strategy<Value = String> {
    let word = r"(no|ni\*|a|ab|ab\*|a-b|a\|no|a-b\*\|b|a\|\{row\}|\{row\}\|b|<host>|<ip>|~servidor)";
    let gap = r"(\.\.[1-3] )?(\[(a|b|\{row\})\] )?(\.\.[1-3] )?";
    proptest::string::string_regex(&format!(r"(\[[ab]\] (\.\.[1-3] )?)?{word}( {gap}{word}){{0,3}}( \[b\])?"))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_row_stands_where_its_regular_expression_matches(
        row in rows(),
        text in "(no |ni |nivel |a |ab |abb |b |a\\.co |10\\.0\\.0\\.1 |serbidor |\\. |, ){0,20}",
    ) {
        let set = ["a no b", "b", "a b* a"].map(|written| member(written).unwrap());
        let sets = Sets::from([("row".to_owned(), set.into())]);
        let phrase = Phrase::parse(&row, &sets).map_err(|fault| TestCaseError::reject(format!("{row}: {fault:?}")))?;
        let part = &phrase.clauses[0][0];
        let Part::Words(elements) = part else { panic!("{part:?}") };
        let mut builder = VocabularyBuilder::default();
        let atom = Atom::new(part, &mut builder).unwrap();
        let vocabulary = builder.build();
        let folded = Folded::new(&text, Reading::Prose);
        let sightings = vocabulary.look_up(&folded);
        let sentences = atom.sentences(&sightings);
        let found = atom.find(&folded, &sightings, || unreachable!());
        let wanted: Vec<_> = places(elements, folded.as_str()).iter().map(|place| folded.words_in(place)).collect();
        let is_expected = |place: &Range<usize>| {
            !sentences.and(Sentences::one(folded.sentence(place.start).unwrap())).is_none()
        };
        prop_assert!(wanted.iter().all(is_expected));
        prop_assert_eq!(found, wanted, "`{}` in {:?}", row, folded.as_str());
    }
}
