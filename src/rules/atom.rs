//! Part of a phrase, and where it stands in a text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::phrase::{Element, Fault, Part};
use super::sentences::Sentences;
use super::text::Folded;
use super::vocabulary::{ChoiceId, Sightings, Span, Vocabulary, VocabularyBuilder};

/// A compiled regular expression may take so many bytes.
const SIZE_LIMIT: usize = 2 << 20;

/// Places of one part in one text beyond this many are not looked at.
const MAX_OCCURRENCES: usize = 256;

/// Finds one part of a phrase; shared by all phrases with that part.
#[derive(Debug)]
pub(super) enum Atom {
    /// Words in a row.
    Row(Row),
    /// A regular expression, searched for in [`Folded::plain`].
    Escape(regex::Regex),
}

impl Atom {
    /// Compiles a part.
    pub fn new(part: &Part, vocabulary: &mut VocabularyBuilder) -> Result<Self, Fault> {
        match part {
            Part::Words(elements) => Ok(Self::Row(Row::new(elements, vocabulary))),
            Part::Regex(written) => {
                let regex =
                    regex::RegexBuilder::new(written).size_limit(SIZE_LIMIT).build().map_err(refused)?;
                if regex.is_match("") || regex.is_match("\n") {
                    return Err(Fault::MatchesNothing);
                }
                Ok(Self::Escape(regex))
            }
        }
    }

    /// The mandatory choice that the fewest texts have, as far as its alternatives tell; `None` when the part may be
    /// in any text.
    pub fn rarest(&self, vocabulary: &Vocabulary) -> Option<ChoiceId> {
        match self {
            Self::Row(row) => {
                row.needs.iter().map(|(choice, _)| *choice).min_by_key(|choice| vocabulary.breadth(*choice))
            }
            Self::Escape(_) => None,
        }
    }

    /// The sentences that the part can be in, as far as is known without looking.
    pub fn sentences(&self, sightings: &Sightings<'_>) -> Sentences {
        match self {
            Self::Row(row) => row.sentences(sightings),
            Self::Escape(_) => Sentences::ALL,
        }
    }

    /// Where the part stands in the text, in words, in order. `plain` makes [`Folded::plain`].
    pub fn find<'t>(
        &self,
        folded: &'t Folded,
        sightings: &Sightings<'_>,
        plain: impl FnOnce() -> &'t str,
    ) -> Vec<Range<usize>> {
        match self {
            Self::Row(row) => row.find(folded, sightings),
            Self::Escape(regex) => {
                let words = |found: regex::Match<'_>| {
                    let led = found.as_str().trim_start();
                    let start = found.end() - led.len();
                    let bytes = start..start + led.trim_end().len();
                    (!bytes.is_empty()).then(|| folded.words_in(&bytes))
                };
                regex.find_iter(plain()).filter_map(words).take(MAX_OCCURRENCES).collect()
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

/// Words in a row, with gaps, in one sentence.
///
/// It stands where a regular expression would match first: alternatives are tried in the order written, an optional
/// word is rather there than not, and a gap is as narrow as can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub steps: Vec<Step>,
    /// What must be there, and how many words behind the row's first word at most.
    needs: Vec<(ChoiceId, usize)>,
}

/// A step of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    OneOf { choice: ChoiceId, optional: bool },
    Gap(u8),
}

impl Row {
    fn new(elements: &[Element], vocabulary: &mut VocabularyBuilder) -> Self {
        let mut row = Self { steps: Vec::with_capacity(elements.len()), needs: Vec::new() };
        let mut longest = 0;
        for element in elements {
            let step = match element {
                Element::Gap(words) => {
                    longest += usize::from(*words);
                    Step::Gap(*words)
                }
                Element::OneOf { lists, optional } => {
                    let choice = vocabulary.choice(lists);
                    if !optional {
                        row.needs.push((choice, longest));
                    }
                    let words = lists.iter().flat_map(|list| list.iter()).map(|units| units.len());
                    longest += words.max().unwrap_or_default();
                    Step::OneOf { choice, optional: *optional }
                }
            };
            row.steps.push(step);
        }
        row
    }

    /// Those that have something of all that it needs.
    fn sentences(&self, sightings: &Sightings<'_>) -> Sentences {
        let needs = self.needs.iter().map(|(choice, _)| sightings.sentences(*choice));
        needs.fold(Sentences::ALL, Sentences::and)
    }

    fn find(&self, folded: &Folded, sightings: &Sightings<'_>) -> Vec<Range<usize>> {
        let sentences = self.sentences(sightings);
        let mut needs: Vec<(Cow<'_, [Span]>, usize)> = Vec::with_capacity(self.needs.len());
        for (choice, reach) in &self.needs {
            match sightings.of(*choice, folded) {
                spans if spans.is_empty() => return Vec::new(),
                spans => needs.push((spans, *reach)),
            }
        }
        let mut ahead: Vec<Ahead<'_>> =
            needs.iter().map(|(spans, reach)| Ahead { spans, reach: *reach }).collect();
        let Some(Ahead { spans: anchors, reach: lead }) = ahead.first().copied() else { return Vec::new() };
        let mut found = Vec::new();
        let mut search = Search { row: self, folded, sightings, failed: BTreeSet::new(), sentence: 0 };
        let mut next = 0;
        let is_in = |anchor: &&Span| {
            folded
                .sentence(anchor.start)
                .is_some_and(|number| !sentences.and(Sentences::one(number)).is_none())
        };
        for anchor in anchors.iter().filter(is_in) {
            next = next.max(anchor.start.saturating_sub(lead));
            while next <= anchor.start && found.len() < MAX_OCCURRENCES {
                let may_be = ahead.iter_mut().all(|needed| needed.is_near(next));
                match may_be.then(|| search.from(next)).flatten() {
                    Some(end) => {
                        found.push(next..end);
                        // `[muy] lento` is not there once more at *lento*.
                        next = if lead == 0 { next + 1 } else { end };
                    }
                    None => next += 1,
                }
            }
        }
        found
    }
}

/// What a row needs and has not gone past yet.
#[derive(Debug, Clone, Copy)]
struct Ahead<'s> {
    spans: &'s [Span],
    reach: usize,
}

impl Ahead<'_> {
    /// Whether a row that begins here may still reach one; asked for words in order.
    fn is_near(&mut self, word: usize) -> bool {
        while let [first, rest @ ..] = self.spans
            && first.start < word
        {
            self.spans = rest;
        }
        self.spans.first().is_some_and(|next| next.start <= word + self.reach)
    }
}

/// A row being looked for.
struct Search<'s> {
    row: &'s Row,
    folded: &'s Folded,
    sightings: &'s Sightings<'s>,
    /// Steps that lead nowhere from a word, in this sentence: each is tried once, so gaps within gaps stay linear.
    failed: BTreeSet<(usize, usize)>,
    sentence: usize,
}

impl Search<'_> {
    /// Where the row ends that begins with this word.
    fn from(&mut self, word: usize) -> Option<usize> {
        let sentence = self.folded.sentence(word)?;
        if sentence != self.sentence {
            self.sentence = sentence;
            self.failed.clear();
        }
        self.rest(0, word)
    }

    /// Where the row ends whose steps from this one on begin with this word.
    fn rest(&mut self, step: usize, word: usize) -> Option<usize> {
        let Some(tried) = self.row.steps.get(step) else { return Some(word) };
        if self.failed.contains(&(step, word)) {
            return None;
        }
        let end = match *tried {
            Step::Gap(words) => self.gap(usize::from(words), step + 1, word),
            Step::OneOf { choice, optional } => {
                let (sightings, folded) = (self.sightings, self.folded);
                let stays = self.is_in_sentence(word);
                let mut spans = sightings.at(choice, word, folded).filter(|_| stays);
                let found = spans.find_map(|span| self.rest(step + 1, span.end));
                found.or_else(|| optional.then(|| self.rest(step + 1, word)).flatten())
            }
        };
        if end.is_none() {
            self.failed.insert((step, word));
        }
        end
    }

    fn gap(&mut self, widest: usize, step: usize, word: usize) -> Option<usize> {
        for next in word..=word + widest {
            if let Some(end) = self.rest(step, next) {
                return Some(end);
            }
            if !self.is_in_sentence(next) || self.folded.negates(next) {
                break;
            }
        }
        None
    }

    fn is_in_sentence(&self, word: usize) -> bool {
        self.folded.sentence(word) == Some(self.sentence)
    }
}

#[cfg(test)]
mod tests;
