//! Text → [`Verdict`]: which phrases stand where, what is set aside, and which rule decides.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::atom::Atom;
use super::few::Few;
use super::sentences::Sentences;
use super::text::{Folded, Reading};
use super::vocabulary::Sightings;
use super::{
    AtomId, CompiledPhrase, Context, Field, Mark, Match, PhraseId, Rule, RuleSet, SetAside, Shadow, Text,
    Verdict,
};

/// Names of attachments beyond this many are not read.
const MAX_ATTACHMENTS: usize = 64;

impl RuleSet {
    /// The verdict on a text, with one rule taken out of the shadow.
    pub(super) fn judge_with(&self, text: &Text<'_>, acting: Option<usize>) -> Verdict {
        let mail = Reader::new(self, text);
        let stances: Vec<Heard<'_>> =
            mail.rules().filter_map(|(place, rule)| mail.hear(place, rule)).collect();
        Verdict {
            shadow: self.shadow(&stances),
            contexts: mail.marks.into_iter().flatten().collect(),
            ..self.verdict(&stances, acting)
        }
    }

    /// The phrases of rules that are in the text, whatever comes of it.
    pub(super) fn phrases_in(&self, text: &Text<'_>) -> Vec<PhraseId> {
        let mail = Reader::new(self, text);
        let is_there = |rule: &Rule, phrase: &CompiledPhrase| {
            matches!(mail.phrase(phrase, &rule.fields, rule.negatable), Found::There(_))
        };
        let found = mail.rules().flat_map(|(_, rule)| {
            mail.possible(&rule.any).filter(move |phrase| is_there(rule, phrase)).map(|phrase| phrase.id)
        });
        found.collect()
    }

    /// The highest impact decides, and among rules of the same impact the first in the order of the files.
    fn verdict(&self, heard: &[Heard<'_>], acting: Option<usize>) -> Verdict {
        let acts = |heard: &&Heard<'_>| !heard.rule.shadow || acting == Some(heard.place);
        let heard: Vec<&Heard<'_>> = heard.iter().filter(acts).collect();
        let victors = victors(&heard);
        let mut fired: Vec<(&Rule, &[Match])> = Vec::new();
        let mut set_aside = Vec::new();
        for Heard { place, rule, stance } in heard {
            match (stance, victors.get(place)) {
                (Stance::SetAside(aside), _) => set_aside.push(aside.clone()),
                (Stance::Stands(matches), None) => fired.push((rule, matches)),
                (Stance::Stands(matches), Some(victor)) => set_aside.push(SetAside {
                    rule: rule.id.clone(),
                    because: format!("beaten by {}", victor.id),
                    text: matches.first().map(|found| found.text.clone()),
                    by: None,
                }),
            }
        }
        fired.sort_by_key(|(rule, _)| std::cmp::Reverse(self.impact(rule)));
        let deciding = fired.first().map(|(rule, _)| *rule);
        Verdict {
            impact: deciding.and_then(|rule| self.impact(rule)),
            rule: deciding.map(|rule| rule.id.clone()),
            case: deciding.and_then(|rule| self.cases.get(rule.case)).map(|case| case.id.clone()),
            set_aside,
            matches: fired.into_iter().flat_map(|(_, matches)| matches).cloned().collect(),
            ..Verdict::default()
        }
    }

    /// The rules in the shadow that would stand if they acted, each alone.
    fn shadow(&self, heard: &[Heard<'_>]) -> Vec<Shadow> {
        let told =
            heard.iter().filter(|heard| heard.rule.shadow).filter_map(|Heard { place, rule, stance }| {
                let Stance::Stands(_) = stance else { return None };
                let with = self.verdict(heard, Some(*place));
                let found = with.matches.iter().find(|found| found.rule == rule.id)?;
                Some(Shadow {
                    rule: rule.id.clone(),
                    case: self.cases.get(rule.case)?.id.clone(),
                    impact: found.impact,
                    text: found.text.clone(),
                    decides: with.rule.as_ref() == Some(&rule.id),
                })
            });
        told.collect()
    }
}

/// A rule with something to say, and its place.
struct Heard<'r> {
    place: usize,
    rule: &'r Rule,
    stance: Stance,
}

/// What a rule says before `beats`.
enum Stance {
    Stands(Vec<Match>),
    SetAside(SetAside),
}

/// Per place of a beaten rule, the standing rule that beats it. Every rule is asked after those that beat it, so its own
/// standing is settled when its turn comes, and a beaten rule beats nobody.
fn victors<'r>(heard: &[&Heard<'r>]) -> BTreeMap<usize, &'r Rule> {
    let stands = |heard: &&&Heard<'_>| matches!(heard.stance, Stance::Stands(_));
    let mut standing: Vec<&&Heard<'r>> = heard.iter().filter(stands).collect();
    standing.sort_unstable_by_key(|heard| heard.rule.rank);
    let mut victors = BTreeMap::new();
    for Heard { place, rule, .. } in standing {
        if victors.contains_key(place) {
            continue;
        }
        for beaten in &rule.beats {
            victors.entry(*beaten).or_insert(*rule);
        }
    }
    victors
}

/// Whether a phrase is there.
enum Found<'r> {
    Nowhere,
    /// Only where this negator takes it back.
    Negated {
        hit: Hit<'r>,
        negator: usize,
    },
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
    /// The phrases that may be in it, in order.
    phrases: Vec<PhraseId>,
    /// Per context, whether it marks the mail.
    marks: Vec<Option<Mark>>,
}

/// One text of the mail: a field, or one attachment's name.
struct Page<'r> {
    field: Field,
    original: &'r str,
    folded: Folded,
    plain: OnceCell<String>,
    sightings: Sightings<'r>,
    /// Per atom that may be in the text.
    sought: Few<Sought>,
}

/// A part that may be in a text.
struct Sought {
    /// Where it may be.
    sentences: Sentences,
    /// Where it is, once asked.
    found: OnceCell<Box<[Occurrence]>>,
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
        let mut sought = Few::of(rules.atoms.len());
        for (atom, sentences) in rules.index.atoms_in(&rules.atoms, &sightings) {
            sought.value_or(atom, || Sought { sentences, found: OnceCell::new() });
        }
        Self { field, original, folded, plain: OnceCell::new(), sightings, sought }
    }

    /// Whether every part of the clause can be in one sentence of the text, as far as is known without looking.
    fn may_hold(&self, clause: &[AtomId]) -> bool {
        let shared = clause.iter().try_fold(Sentences::ALL, |shared, id| {
            let Sought { sentences, found } = self.sought.get(*id)?;
            let is_nowhere = found.get().is_some_and(|found| found.is_empty());
            Some(shared.and(*sentences)).filter(|shared| !is_nowhere && !shared.is_none())
        });
        shared.is_some()
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
        let Some(sought) = self.sought.get(id) else { return &[] };
        sought.found.get_or_init(|| {
            let plain = || self.plain.get_or_init(|| self.folded.plain()).as_str();
            let occurrence = |range: Range<usize>| Occurrence {
                sentence: self.folded.sentence(range.start),
                negated: self.folded.negator_of(range.start).is_some(),
                range,
            };
            atom.find(&self.folded, &self.sightings, plain).into_iter().map(occurrence).collect()
        })
    }
}

impl Hit<'_> {
    /// The words as the customer wrote them.
    fn text(&self) -> Option<String> {
        let place = self.page.folded.place(&self.range)?;
        Some(self.page.original.get(place.bytes)?.to_owned())
    }
}

impl<'r> Reader<'r> {
    fn new(rules: &'r RuleSet, text: &Text<'r>) -> Self {
        let subject = text.subject.map(|subject| Page::new(rules, Field::Subject, subject, Reading::Prose));
        let own_text = Page::new(rules, Field::OwnText, text.own_text, Reading::Prose);
        let names = text.attachments.iter().take(MAX_ATTACHMENTS);
        let attachments = names.map(|name| Page::new(rules, Field::Attachments, name, Reading::FileName));
        let pages: Vec<Page<'_>> = subject.into_iter().chain([own_text]).chain(attachments).collect();
        let phrases =
            rules.index.phrases_of(pages.iter().flat_map(|page| page.sought.iter().map(|(atom, _)| atom)));
        let mut mail = Self { rules, pages, phrases, marks: Vec::new() };
        mail.marks = rules.contexts.iter().map(|context| mail.mark(context)).collect();
        mail
    }

    /// The rules that may stand, in the order of the files.
    fn rules(&self) -> impl Iterator<Item = (usize, &'r Rule)> {
        let rules = self.rules;
        rules.index.rules_of(&self.phrases).filter_map(|place| Some((place, rules.rules.get(place)?)))
    }

    /// Those of a list's phrases that may be in the mail; their numbers follow each other.
    fn possible<'p>(&self, list: &'p [CompiledPhrase]) -> impl Iterator<Item = &'p CompiledPhrase> {
        let first = list.first().map_or(PhraseId::MAX, |phrase| phrase.id);
        let from = self.phrases.partition_point(|id| *id < first);
        self.phrases.iter().skip(from).map_while(move |id| list.get(id - first))
    }

    fn hear(&self, place: usize, rule: &'r Rule) -> Option<Heard<'r>> {
        Some(Heard { place, rule, stance: self.stance(rule)? })
    }

    fn stance(&self, rule: &Rule) -> Option<Stance> {
        let mut matches = Vec::new();
        let mut denied = None;
        for phrase in self.possible(&rule.any) {
            match self.phrase(phrase, &rule.fields, rule.negatable) {
                Found::Nowhere => {}
                Found::Negated { hit, negator } => denied = denied.or(Some((hit, negator))),
                Found::There(hits) => {
                    matches.extend(hits.iter().filter_map(|hit| self.report(rule, phrase, hit)))
                }
            }
        }
        let aside = |because: String, text: Option<String>, by: Option<String>| {
            Some(Stance::SetAside(SetAside { rule: rule.id.clone(), because, text, by }))
        };
        let Some(first) = matches.first().map(|found: &Match| found.text.clone()) else {
            let (hit, negator) = denied?;
            let denial = Hit { page: hit.page, range: negator..hit.range.end };
            return aside("negated".into(), hit.text(), denial.text());
        };
        let mut exceptions = self.possible(&rule.unless);
        if let Some((phrase, by)) =
            exceptions.find_map(|phrase| Some((phrase, self.words(phrase, &rule.fields)?)))
        {
            return aside(format!("unless \"{}\"", phrase.written), Some(first), Some(by));
        }
        let mut marks = rule.silenced_by.iter().filter_map(|place| self.marks.get(*place)?.as_ref());
        if let Some(mark) = marks.next() {
            return aside(format!("silenced by {}", mark.context), Some(first), Some(mark.text.clone()));
        }
        Some(Stance::Stands(matches))
    }

    fn mark(&self, context: &'r Context) -> Option<Mark> {
        let first = |phrases: &'r [CompiledPhrase]| {
            self.possible(phrases).find_map(|phrase| Some((phrase, self.words(phrase, &Field::ALL)?)))
        };
        let (phrase, text) = first(&context.any)?;
        match first(&context.unless) {
            Some(_) => None,
            None => Some(Mark { context: context.id.clone(), phrase: phrase.written.clone(), text }),
        }
    }

    /// The first words that a phrase finds.
    fn words(&self, phrase: &CompiledPhrase, fields: &[Field]) -> Option<String> {
        match self.phrase(phrase, fields, true) {
            Found::There(hits) => hits.first()?.text(),
            Found::Nowhere | Found::Negated { .. } => None,
        }
    }

    /// A phrase is there when each of its clauses is in some field that the rule reads.
    fn phrase(&self, phrase: &CompiledPhrase, fields: &[Field], negatable: bool) -> Found<'_> {
        let may_hold = |clause: &Vec<AtomId>| self.pages(fields).any(|page| page.may_hold(clause));
        if !phrase.clauses.iter().all(may_hold) {
            return Found::Nowhere;
        }
        let mut hits = Vec::new();
        let mut denied = None;
        for clause in &phrase.clauses {
            match self.clause(clause, fields, negatable) {
                Found::Nowhere => return Found::Nowhere,
                Found::There(found) => hits.extend(found),
                negated => denied = denied.or(Some(negated)),
            }
        }
        denied.unwrap_or(Found::There(hits))
    }

    /// The first place of a clause in each field.
    fn clause(&self, clause: &[AtomId], fields: &[Field], negatable: bool) -> Found<'_> {
        let mut hits: Vec<Hit<'_>> = Vec::new();
        let mut denied = None;
        for page in self.pages(fields).filter(|page| page.may_hold(clause)) {
            if hits.last().is_some_and(|hit| hit.page.field == page.field) {
                continue; // another attachment has it
            }
            if let Some(ranges) = page.sentence_with(clause, &self.rules.atoms, negatable) {
                hits.extend(ranges.into_iter().map(|range| Hit { page, range }));
            } else if negatable && let Some(ranges) = page.sentence_with(clause, &self.rules.atoms, false) {
                let negated = |range: Range<usize>| {
                    let negator = page.folded.negator_of(range.start)?;
                    Some(Found::Negated { hit: Hit { page, range }, negator })
                };
                denied = denied.or(ranges.into_iter().find_map(negated));
            }
        }
        if hits.is_empty() { denied.unwrap_or(Found::Nowhere) } else { Found::There(hits) }
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
            text: hit.text()?,
            start: place.chars.start,
            end: place.chars.end,
        })
    }
}
