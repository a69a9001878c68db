//! Text → [`Verdict`]: which phrases stand where, what is set aside, and which rule decides.

use std::cell::OnceCell;
use std::ops::Range;

use super::atom::Atom;
use super::text::{Folded, Reading};
use super::vocabulary::Sightings;
use super::{AtomId, CompiledPhrase, Context, Field, Match, Rule, RuleSet, SetAside, Text, Verdict};

/// Names of attachments beyond this many are not read.
const MAX_ATTACHMENTS: usize = 64;

impl RuleSet {
    pub(super) fn judge(&self, text: &Text<'_>) -> Verdict {
        let mail = Reader::new(self, text);
        let mut standing: Vec<Option<Vec<Match>>> = Vec::with_capacity(self.rules.len());
        let mut aside: Vec<Option<String>> = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let (stands, because) = match mail.rule(rule) {
                Stance::Silent => (None, None),
                Stance::Stands(matches) => (Some(matches), None),
                Stance::SetAside(because) => (None, Some(because)),
            };
            standing.push(stands);
            aside.push(because);
        }
        self.apply_beats(&mut standing, &mut aside);
        self.verdict(standing, aside)
    }

    /// Sets aside what a standing rule beats. Every rule comes after those that beat it, so its own standing is
    /// settled when its turn comes, and a beaten rule beats nobody.
    fn apply_beats(&self, standing: &mut [Option<Vec<Match>>], aside: &mut [Option<String>]) {
        for place in &self.order {
            let Some(rule) = self.rules.get(*place) else { continue };
            if !matches!(standing.get(*place), Some(Some(_))) {
                continue;
            }
            for beaten in &rule.beats {
                if let (Some(stands), Some(because)) = (standing.get_mut(*beaten), aside.get_mut(*beaten))
                    && stands.take().is_some()
                {
                    *because = Some(format!("beaten by {}", rule.id));
                }
            }
        }
    }

    /// The highest impact decides, and among rules of the same impact the first in the order of the files.
    fn verdict(&self, standing: Vec<Option<Vec<Match>>>, aside: Vec<Option<String>>) -> Verdict {
        let mut fired: Vec<(&Rule, Vec<Match>)> =
            self.rules.iter().zip(standing).filter_map(|(rule, stands)| Some((rule, stands?))).collect();
        fired.sort_by_key(|(rule, _)| std::cmp::Reverse(self.impact(rule)));
        let set_aside =
            self.rules.iter().zip(aside).filter_map(|(rule, because)| {
                because.map(|because| SetAside { rule: rule.id.clone(), because })
            });
        let deciding = fired.first().map(|(rule, _)| *rule);
        Verdict {
            impact: deciding.and_then(|rule| self.impact(rule)),
            rule: deciding.map(|rule| rule.id.clone()),
            case: deciding.and_then(|rule| self.cases.get(rule.case)).map(|case| case.id.clone()),
            set_aside: set_aside.collect(),
            matches: fired.into_iter().flat_map(|(_, matches)| matches).collect(),
        }
    }
}

/// What a rule says before `beats`.
enum Stance {
    Silent,
    Stands(Vec<Match>),
    SetAside(String),
}

/// Whether a phrase is there.
enum Found<'r> {
    Nowhere,
    /// Only where a negator takes it back.
    Negated,
    There(Vec<Hit<'r>>),
}

/// A clause's part in a page, in words.
struct Hit<'r> {
    page: &'r Page<'r>,
    range: Range<usize>,
}

/// A mail being read.
struct Reader<'r> {
    rules: &'r RuleSet,
    pages: Vec<Page<'r>>,
}

/// One text of the mail: a field, or one attachment's name.
struct Page<'r> {
    field: Field,
    original: &'r str,
    folded: Folded,
    plain: OnceCell<String>,
    sightings: Sightings<'r>,
    /// Per atom, once asked; those that cannot be in the text are answered from the start.
    found: Vec<OnceCell<Box<[Occurrence]>>>,
}

/// Where a part was found.
#[derive(Debug)]
struct Occurrence {
    /// In words.
    range: Range<usize>,
    sentence: Option<usize>,
    negated: bool,
}

impl<'r> Page<'r> {
    fn new(rules: &'r RuleSet, field: Field, original: &'r str, reading: Reading) -> Self {
        let folded = Folded::new(original, reading);
        let sightings = rules.vocabulary.look_up(&folded);
        let cell = |atom: &Atom| match atom.may_be_in(&sightings) {
            true => OnceCell::new(),
            false => OnceCell::from(Box::default()),
        };
        let found = rules.atoms.iter().map(cell).collect();
        Self { field, original, folded, plain: OnceCell::new(), sightings, found }
    }

    /// Whether every part of the clause can be in the text, as far as is known without looking.
    fn may_hold(&self, clause: &[AtomId]) -> bool {
        let may_hold = |cell: &OnceCell<Box<[Occurrence]>>| cell.get().is_none_or(|found| !found.is_empty());
        clause.iter().all(|id| self.found.get(*id).is_some_and(may_hold))
    }

    /// Where the parts of the clause stand in the first sentence that holds them all.
    fn sentence_with(&self, clause: &[AtomId], atoms: &[Atom], negatable: bool) -> Option<Vec<Range<usize>>> {
        let counts = |occurrence: &&Occurrence| !(negatable && occurrence.negated);
        let occurrences = |id: &AtomId| Some(self.occurrences(*id, atoms.get(*id)?));
        let parts: Vec<&[Occurrence]> = clause.iter().map(occurrences).collect::<Option<_>>()?;
        let (first, others) = parts.split_first()?;
        first.iter().filter(counts).find_map(|anchor| {
            let in_sentence = |part: &&[Occurrence]| {
                let from = part.partition_point(|other| other.sentence < anchor.sentence);
                let mut same = part.iter().skip(from).take_while(|other| other.sentence == anchor.sentence);
                same.find(counts).map(|other| other.range.clone())
            };
            let rest: Option<Vec<Range<usize>>> = others.iter().map(in_sentence).collect();
            Some(std::iter::once(anchor.range.clone()).chain(rest?).collect())
        })
    }

    fn occurrences(&self, id: AtomId, atom: &Atom) -> &[Occurrence] {
        let Some(cell) = self.found.get(id) else { return &[] };
        cell.get_or_init(|| {
            let plain = || self.plain.get_or_init(|| self.folded.plain()).as_str();
            let occurrence = |range: Range<usize>| Occurrence {
                sentence: self.folded.sentence(range.start),
                negated: self.folded.is_negated(range.start),
                range,
            };
            atom.find(&self.folded, &self.sightings, plain).into_iter().map(occurrence).collect()
        })
    }
}

impl<'r> Reader<'r> {
    fn new(rules: &'r RuleSet, text: &Text<'r>) -> Self {
        let subject = text.subject.map(|subject| Page::new(rules, Field::Subject, subject, Reading::Prose));
        let own_text = Page::new(rules, Field::OwnText, text.own_text, Reading::Prose);
        let names = text.attachments.iter().take(MAX_ATTACHMENTS);
        let attachments = names.map(|name| Page::new(rules, Field::Attachments, name, Reading::FileName));
        Self { rules, pages: subject.into_iter().chain([own_text]).chain(attachments).collect() }
    }

    fn rule(&self, rule: &Rule) -> Stance {
        let mut matches = Vec::new();
        let mut negated = false;
        for phrase in &rule.any {
            match self.phrase(phrase, &rule.fields, rule.negatable) {
                Found::Nowhere => {}
                Found::Negated => negated = true,
                Found::There(hits) => {
                    matches.extend(hits.iter().filter_map(|hit| self.report(rule, phrase, hit)))
                }
            }
        }
        if matches.is_empty() {
            return if negated { Stance::SetAside("negated".into()) } else { Stance::Silent };
        }
        if let Some(phrase) = rule.unless.iter().find(|phrase| self.is_there(phrase, &rule.fields)) {
            return Stance::SetAside(format!("unless \"{}\"", phrase.written));
        }
        let mut contexts = rule.silenced_by.iter().filter_map(|place| self.rules.contexts.get(*place));
        if let Some(context) = contexts.find(|context| self.is_about(context)) {
            return Stance::SetAside(format!("silenced by {}", context.id));
        }
        Stance::Stands(matches)
    }

    fn is_about(&self, context: &Context) -> bool {
        let any_is_there =
            |phrases: &[CompiledPhrase]| phrases.iter().any(|phrase| self.is_there(phrase, &Field::ALL));
        any_is_there(&context.any) && !any_is_there(&context.unless)
    }

    fn is_there(&self, phrase: &CompiledPhrase, fields: &[Field]) -> bool {
        matches!(self.phrase(phrase, fields, true), Found::There(_))
    }

    /// A phrase is there when each of its clauses is in some field that the rule reads.
    fn phrase(&self, phrase: &CompiledPhrase, fields: &[Field], negatable: bool) -> Found<'_> {
        let may_hold = |clause: &Vec<AtomId>| self.pages(fields).any(|page| page.may_hold(clause));
        if !phrase.clauses.iter().all(may_hold) {
            return Found::Nowhere;
        }
        let mut hits = Vec::new();
        let mut negated = false;
        for clause in &phrase.clauses {
            match self.clause(clause, fields, negatable) {
                Found::Nowhere => return Found::Nowhere,
                Found::Negated => negated = true,
                Found::There(found) => hits.extend(found),
            }
        }
        if negated { Found::Negated } else { Found::There(hits) }
    }

    /// The first place of a clause in each field.
    fn clause(&self, clause: &[AtomId], fields: &[Field], negatable: bool) -> Found<'_> {
        let mut hits: Vec<Hit<'_>> = Vec::new();
        let mut negated = false;
        for page in self.pages(fields).filter(|page| page.may_hold(clause)) {
            if hits.last().is_some_and(|hit| hit.page.field == page.field) {
                continue; // another attachment has it
            }
            if let Some(ranges) = page.sentence_with(clause, &self.rules.atoms, negatable) {
                hits.extend(ranges.into_iter().map(|range| Hit { page, range }));
            } else if negatable {
                negated |= page.sentence_with(clause, &self.rules.atoms, false).is_some();
            }
        }
        match (hits.is_empty(), negated) {
            (false, _) => Found::There(hits),
            (true, true) => Found::Negated,
            (true, false) => Found::Nowhere,
        }
    }

    fn pages<'a>(&'a self, fields: &[Field]) -> impl Iterator<Item = &'a Page<'r>> {
        self.pages.iter().filter(|page| fields.contains(&page.field))
    }

    fn report(&self, rule: &Rule, phrase: &CompiledPhrase, hit: &Hit<'_>) -> Option<Match> {
        let place = hit.page.folded.place(&hit.range)?;
        Some(Match {
            rule: rule.id.clone(),
            impact: self.rules.impact(rule)?,
            phrase: phrase.written.clone(),
            field: hit.page.field,
            text: hit.page.original.get(place.bytes)?.to_owned(),
            start: place.chars.start,
            end: place.chars.end,
        })
    }
}
