//! The words that phrases name, and where a text has them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Range;

use super::few::Few;
use super::near::{Nears, is_near};
use super::negation;
use super::phrase::{Alternative, Alternatives, Unit};
use super::sentences::Sentences;
use super::text::{self, Folded};

/// One word as some phrase names it, such as `caid*`: a place in the vocabulary.
type Symbol = usize;

/// Symbols in a row: a place in [`Vocabulary::rows`].
type RowId = usize;

/// Alternatives as one set or one word has them: a place in [`Vocabulary::lists`].
pub(super) type ListId = usize;

/// Lists of alternatives of which one must be there: a place in [`Vocabulary::choices`].
pub(super) type ChoiceId = usize;

/// Places of one alternative beyond this many are not looked at: who says *servidor* a thousand times says nothing
/// new the next time.
const MAX_PLACES: usize = 1000;

/// Gives equal values the same number, counted from 0.
#[derive(Debug)]
struct Interner<T>(HashMap<T, usize>);

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Interner<T> {
    fn id(&mut self, value: T) -> usize {
        let next = self.0.len();
        *self.0.entry(value).or_insert(next)
    }

    fn into_values(self) -> Vec<T> {
        let mut values: Vec<(T, usize)> = self.0.into_iter().collect();
        values.sort_unstable_by_key(|(_, id)| *id);
        values.into_iter().map(|(value, _)| value).collect()
    }
}

/// Collects the words of all phrases.
#[derive(Debug, Default)]
pub(super) struct VocabularyBuilder {
    symbols: Interner<Unit>,
    rows: Interner<Alternative>,
    lists: Interner<Vec<RowId>>,
    choices: Interner<Vec<ListId>>,
    /// Word sets that were met already, by their address; each is kept, so that no other can be there.
    known: BTreeMap<*const Alternative, (Alternatives, ListId)>,
}

impl VocabularyBuilder {
    /// The choice among these alternatives; the same ones in the same order are the same choice.
    pub fn choice(&mut self, lists: &[Alternatives]) -> ChoiceId {
        let lists = lists.iter().map(|list| self.list(list)).collect();
        self.choices.id(lists)
    }

    fn list(&mut self, list: &Alternatives) -> ListId {
        if let Some((_, known)) = self.known.get(&list.as_ptr()) {
            return *known;
        }
        let rows = list.iter().map(|alternative| self.rows.id(Alternative::clone(alternative)));
        let id = self.lists.id(rows.collect());
        if list.len() > 1 {
            self.known.insert(list.as_ptr(), (Alternatives::clone(list), id));
        }
        id
    }

    /// The vocabulary of all of them.
    pub fn build(mut self) -> Vocabulary {
        let rows = self.rows.into_values();
        let rows: Vec<Vec<Symbol>> = rows
            .iter()
            .map(|units| units.iter().map(|unit| self.symbols.id(unit.clone())).collect())
            .collect();
        let head = |row: &RowId| Some((*rows.get(*row)?.first()?, *row));
        let lists = self.lists.into_values();
        let lists: Vec<Vec<(Symbol, RowId)>> =
            lists.iter().map(|rows| rows.iter().filter_map(head).collect()).collect();
        let symbols = self.symbols.into_values();

        let mut begun = vec![Vec::new(); symbols.len()];
        for (list, alternatives) in lists.iter().enumerate() {
            for (head, _) in alternatives {
                if let Some(lists) = begun.get_mut(*head)
                    && lists.last() != Some(&list)
                {
                    lists.push(list);
                }
            }
        }
        let nears = symbols.iter().enumerate().filter_map(|(symbol, unit)| match unit {
            Unit::Near(word) => Some((word.clone(), symbol)),
            _ => None,
        });
        let choices = self.choices.into_values();
        let mut within = vec![Vec::new(); lists.len()];
        for (choice, lists) in choices.iter().enumerate() {
            for list in lists {
                within.get_mut(*list).into_iter().for_each(|choices| choices.push(choice));
            }
        }
        Vocabulary {
            nears: Nears::new(nears),
            entries: entries(&symbols),
            rows,
            lists,
            choices,
            within,
            begun,
            symbols,
        }
    }
}

/// What words are looked up in, sorted.
fn entries(symbols: &[Unit]) -> Vec<Entry> {
    let mut written: Vec<(String, bool, Symbol)> = Vec::with_capacity(symbols.len());
    for (symbol, unit) in symbols.iter().enumerate() {
        match unit {
            Unit::Exact(word) => written.push((word.clone(), true, symbol)),
            Unit::Stem(stem) => {
                // `ni*` is *nivel*, and the negator *ni*.
                let letters = stem.strip_prefix([text::WORD, text::NEGATOR]);
                match letters.filter(|letters| negation::begins_a_negator(letters)) {
                    Some(letters) => written.extend(
                        [text::WORD, text::NEGATOR].map(|kind| (format!("{kind}{letters}"), false, symbol)),
                    ),
                    None => written.push((stem.clone(), false, symbol)),
                }
            }
            Unit::Token(kinds) => {
                written.extend(kinds.iter().map(|kind| (kind.to_string(), false, symbol)));
            }
            Unit::Near(_) => {}
        }
    }
    written.sort_unstable();
    let mut entries: Vec<Entry> = Vec::with_capacity(written.len());
    for (text, is_whole, symbol) in written {
        if entries.last().is_none_or(|last| *last.text != *text) {
            let mut shorter = entries.len().checked_sub(1);
            while let Some(entry) = shorter.and_then(|place| entries.get(place))
                && !text.starts_with(&*entry.text)
            {
                shorter = entry.shorter;
            }
            entries.push(Entry {
                head: head(&text),
                text: text.into(),
                shorter,
                whole: None,
                begun: Vec::new(),
            });
        }
        if let Some(entry) = entries.last_mut() {
            match is_whole {
                true => entry.whole = Some(symbol),
                false => entry.begun.push(symbol),
            }
        }
    }
    entries
}

/// A word or the beginning of one.
#[derive(Debug)]
struct Entry {
    /// The [`head`] of `text`, which decides most comparisons.
    head: u64,
    /// With its separator in front.
    text: Box<str>,
    /// The longest other entry that this one begins with.
    shorter: Option<usize>,
    /// What a word is that reads so.
    whole: Option<Symbol>,
    /// What a word is that begins so.
    begun: Vec<Symbol>,
}

/// The first eight bytes of a word as a number, which sorts as the word does: no folded word holds a zero.
fn head(word: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(word.bytes()).for_each(|(slot, byte)| *slot = byte);
    u64::from_be_bytes(bytes)
}

/// The words of all phrases.
#[derive(Debug)]
pub(super) struct Vocabulary {
    entries: Vec<Entry>,
    /// Words one letter of which may be wrong, without separator.
    nears: Nears,
    rows: Vec<Vec<Symbol>>,
    /// Per list, its alternatives as written, each with its first word.
    lists: Vec<Vec<(Symbol, RowId)>>,
    choices: Vec<Vec<ListId>>,
    /// Per list, the choices that it is in.
    within: Vec<Vec<ChoiceId>>,
    /// Per symbol, the lists with an alternative that begins with it.
    begun: Vec<Vec<ListId>>,
    /// The words themselves.
    symbols: Vec<Unit>,
}

impl Vocabulary {
    /// Whether each alternative of `narrow` is found wherever one of `wide` is looked for.
    pub fn covers(&self, wide: ChoiceId, narrow: ChoiceId) -> bool {
        let covers = |wide: &[Symbol], narrow: &[Symbol]| {
            wide.len() == narrow.len()
                && wide.iter().zip(narrow).all(|(wide, narrow)| self.word_covers(*wide, *narrow))
        };
        wide == narrow
            || self.rows_of(narrow).all(|narrow| self.rows_of(wide).any(|wide| covers(wide, narrow)))
    }

    fn word_covers(&self, wide: Symbol, narrow: Symbol) -> bool {
        let (Some(a), Some(b)) = (self.symbols.get(wide), self.symbols.get(narrow)) else { return false };
        let letters = |word: &str| word.strip_prefix([text::WORD, text::NEGATOR]).map(str::to_owned);
        match (a, b) {
            _ if a == b => true,
            (Unit::Stem(stem), Unit::Exact(word) | Unit::Stem(word)) => {
                match (letters(stem), letters(word)) {
                    (Some(stem), Some(word)) => word.starts_with(&stem),
                    _ => word.starts_with(stem.as_str()),
                }
            }
            (Unit::Near(near), Unit::Exact(word)) => {
                letters(word).is_some_and(|word| is_near(near.as_bytes(), word.as_bytes()))
            }
            (Unit::Token(kinds), Unit::Exact(word)) => word.starts_with(*kinds),
            (Unit::Token(kinds), Unit::Token(others)) => others.iter().all(|kind| kinds.contains(kind)),
            _ => false,
        }
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// The lists of a choice, in order.
    pub fn lists_of(&self, choice: ChoiceId) -> &[ListId] {
        self.choices.get(choice).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many alternatives a choice has.
    pub fn breadth(&self, choice: ChoiceId) -> usize {
        self.alternatives(choice).count()
    }

    /// The most words that an alternative has.
    pub fn longest(&self, choice: ChoiceId) -> usize {
        self.rows_of(choice).map(<[Symbol]>::len).max().unwrap_or_default()
    }

    /// Whether a word of an alternative may be one that negates.
    pub fn may_negate(&self, choice: ChoiceId) -> bool {
        let may_negate = |symbol: &Symbol| match self.symbols.get(*symbol) {
            Some(Unit::Exact(word)) => word.starts_with(text::NEGATOR),
            Some(Unit::Stem(stem)) => {
                let letters = stem.strip_prefix([text::WORD, text::NEGATOR]);
                letters.is_some_and(negation::begins_a_negator)
            }
            Some(Unit::Near(_)) => true,
            Some(Unit::Token(_)) | None => false,
        };
        self.rows_of(choice).any(|row| row.iter().any(may_negate))
    }

    fn rows_of(&self, choice: ChoiceId) -> impl Iterator<Item = &[Symbol]> {
        self.alternatives(choice).filter_map(|(_, row)| self.rows.get(*row)).map(Vec::as_slice)
    }

    /// The alternatives of a choice, each with its first word, in the order written.
    fn alternatives(&self, choice: ChoiceId) -> impl Iterator<Item = &(Symbol, RowId)> {
        self.lists_of(choice).iter().filter_map(|list| self.lists.get(*list)).flatten()
    }

    /// Looks every word of a text up.
    pub fn look_up(&self, folded: &Folded) -> Sightings<'_> {
        let mut bounds = vec![0];
        let mut symbols = Vec::new();
        let mut runs: Few<Run> = Few::of(self.symbols.len());
        for (place, word) in folded.words().enumerate() {
            let here = Sentences::one(folded.sentence(place).unwrap_or_default());
            self.symbols_of(word, |symbol| {
                symbols.push(symbol);
                if let Some(run) = runs.value_or(symbol, Run::default) {
                    run.places.end += 1;
                    run.sentences = run.sentences.or(here);
                }
            });
            bounds.push(symbols.len());
        }
        let mut from = 0;
        for run in runs.values_mut() {
            let words = std::mem::replace(&mut run.places, from..from).end;
            from += words;
        }
        let mut places = vec![0; symbols.len()];
        for (place, (from, to)) in bounds.iter().zip(bounds.iter().skip(1)).enumerate() {
            for symbol in symbols.get(*from..*to).into_iter().flatten() {
                let Some(run) = runs.value_or(*symbol, Run::default) else { continue };
                places.get_mut(run.places.end).into_iter().for_each(|slot| *slot = place);
                run.places.end += 1;
            }
        }
        let mut lists: Few<Seen> = Few::of(self.lists.len());
        for (symbol, run) in runs.iter() {
            for list in self.begun.get(symbol).into_iter().flatten() {
                let seen = lists.value_or(*list, Seen::default).into_iter();
                seen.for_each(|seen| seen.sentences = seen.sentences.or(run.sentences));
            }
        }
        let mut choices = vec![Sentences::default(); self.choices.len()];
        for (list, seen) in lists.iter() {
            for choice in self.within.get(list).into_iter().flatten() {
                choices.get_mut(*choice).into_iter().for_each(|all| *all = all.or(seen.sentences));
            }
        }
        Sightings { vocabulary: self, symbols, bounds, runs, places, lists, choices }
    }

    /// All that a word is, separator in front.
    fn symbols_of(&self, word: &str, mut see: impl FnMut(Symbol)) {
        // Whatever the word begins with, the last entry not behind the word begins with too.
        let wanted = (head(word), word);
        let behind = self.entries.partition_point(|entry| (entry.head, &*entry.text) <= wanted);
        let mut place = behind.checked_sub(1);
        while let Some(entry) = place.and_then(|place| self.entries.get(place)) {
            if word.starts_with(&*entry.text) {
                entry.whole.filter(|_| word.len() == entry.text.len()).into_iter().for_each(&mut see);
                entry.begun.iter().copied().for_each(&mut see);
            }
            place = entry.shorter;
        }
        if let Some(letters) = word.strip_prefix([text::WORD, text::NEGATOR]) {
            self.nears.look_up(letters.as_bytes(), see);
        }
    }
}

/// Words in a row, counted in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub start: usize,
    /// Which of its list's alternatives it is; of several, the first written is wanted first.
    rank: usize,
    pub end: usize,
}

/// Where one text has the words of the vocabulary.
#[derive(Debug)]
pub(super) struct Sightings<'v> {
    vocabulary: &'v Vocabulary,
    /// What the words are, word after word.
    symbols: Vec<Symbol>,
    /// Where in `symbols` each word begins, and at last their end.
    bounds: Vec<usize>,
    /// Per symbol that a word is.
    runs: Few<Run>,
    places: Vec<usize>,
    /// Per list of which the first word of an alternative is here.
    lists: Few<Seen>,
    /// Per choice, the sentences with such a word of one of its lists.
    choices: Vec<Sentences>,
}

/// The words that are a symbol.
#[derive(Debug, Default)]
struct Run {
    /// Where in [`Sightings::places`] they are.
    places: Range<usize>,
    sentences: Sentences,
}

/// A list of which something may be in the text.
#[derive(Debug, Default)]
struct Seen {
    /// Those with the first word of an alternative.
    sentences: Sentences,
    /// Where its alternatives stand, once asked.
    spans: OnceCell<Box<[Span]>>,
}

impl Sightings<'_> {
    /// The lists of which the text may have an alternative.
    pub fn lists(&self) -> impl Iterator<Item = ListId> {
        self.lists.iter().map(|(list, _)| list)
    }

    /// The sentences that one of the alternatives can be in, as far as is known without looking.
    pub fn sentences(&self, choice: ChoiceId) -> Sentences {
        self.choices.get(choice).copied().unwrap_or_default()
    }

    /// Where the alternatives stand, each within a sentence, in order.
    pub fn of(&self, choice: ChoiceId, folded: &Folded) -> Cow<'_, [Span]> {
        match self.vocabulary.lists_of(choice) {
            [one] => Cow::Borrowed(self.of_list(*one, folded)),
            several => {
                let spans = several.iter().flat_map(|list| self.of_list(*list, folded));
                let mut spans: Vec<Span> = spans.copied().collect();
                spans.sort_unstable();
                Cow::Owned(spans)
            }
        }
    }

    /// Where one of the alternatives begins at this word, the first written first.
    pub fn at(&self, choice: ChoiceId, word: usize, folded: &Folded) -> impl Iterator<Item = Span> {
        self.vocabulary.lists_of(choice).iter().flat_map(move |list| {
            let spans = self.of_list(*list, folded);
            let from = spans.partition_point(|span| span.start < word);
            spans.iter().skip(from).take_while(move |span| span.start == word).copied()
        })
    }

    fn of_list(&self, list: ListId, folded: &Folded) -> &[Span] {
        let Some(seen) = self.lists.get(list) else { return &[] };
        seen.spans.get_or_init(|| {
            let mut spans: Vec<Span> = Vec::new();
            for (rank, (head, row)) in self.vocabulary.lists.get(list).into_iter().flatten().enumerate() {
                if let Some(heads) = self.runs.get(*head).and_then(|run| self.places.get(run.places.clone()))
                {
                    spans.extend(self.of_row(rank, *row, heads, folded));
                }
            }
            spans.sort_unstable();
            spans.into()
        })
    }

    /// Where an alternative stands whose first word is at these places.
    fn of_row(
        &self,
        rank: usize,
        row: RowId,
        heads: &[usize],
        folded: &Folded,
    ) -> impl Iterator<Item = Span> {
        let row = self.vocabulary.rows.get(row).map(Vec::as_slice).unwrap_or_default();
        let tail = row.get(1..).unwrap_or_default();
        let goes_on = move |start: usize| {
            let mut next = start;
            tail.iter().all(|symbol| {
                next += 1;
                self.is(next, *symbol) && folded.sentence(next) == folded.sentence(start)
            })
        };
        let spans = heads.iter().copied().filter(move |start| goes_on(*start));
        spans.take(MAX_PLACES).map(move |start| Span { start, rank, end: start + row.len() })
    }

    fn is(&self, word: usize, symbol: Symbol) -> bool {
        let bounds = self.bounds.get(word).zip(self.bounds.get(word + 1));
        bounds
            .and_then(|(from, to)| self.symbols.get(*from..*to))
            .is_some_and(|symbols| symbols.contains(&symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_everything_that_some_phrase_calls_it() {
        let exact = |word: &str| Unit::Exact(format!(" {word}"));
        let stem = |word: &str| Unit::Stem(format!(" {word}"));
        let units =
            [exact("caida"), stem("cai"), stem("caid"), stem("c"), exact("caid"), stem("n"), stem("caidos")];
        let mut builder = VocabularyBuilder::default();
        for unit in &units {
            builder.choice(&[[[unit.clone()].into()].into()]);
        }
        let vocabulary = builder.build();
        let symbols = |word: &str| {
            let mut found = Vec::new();
            vocabulary.symbols_of(word, |symbol| found.push(symbol));
            found.sort_unstable();
            found
        };
        assert_eq!(symbols(" caida"), [0, 1, 2, 3]);
        assert_eq!(symbols(" caid"), [1, 2, 3, 4]);
        assert_eq!(symbols(" caidas"), [1, 2, 3]);
        assert_eq!(symbols(" caz"), [3]);
        assert_eq!((symbols(" nivel"), symbols("\u{1}no")), (vec![5], vec![5]));
        assert!(symbols(" a").is_empty());
    }
}
