//! Rule files → [`RuleSet`]: merged, cross-checked and compiled, every problem of every file at once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::atom::{Atom, Row};
use super::examples::Example;
use super::file::{
    Extend, RuleFile, WordSet, Written, WrittenCase, WrittenContext, WrittenField, WrittenRule,
};
use super::phrase::{self, Fault, Part, Phrase, Sets};
use super::vocabulary::VocabularyBuilder;
use super::{AtomId, Case, CompiledPhrase, Context, Field, Rule, RuleFiles, RuleSet};
use crate::problem::{Problem, Severity, Source, did_you_mean};

/// Compiles the files; `None` when a problem among those added is an error.
pub(super) fn compile(files: &RuleFiles, problems: &mut Vec<Problem>) -> Option<RuleSet> {
    let before = problems.len();
    let mut compiler = Compiler {
        problems,
        sets: Sets::new(),
        atoms: Vec::new(),
        rows: HashMap::new(),
        vocabulary: VocabularyBuilder::default(),
    };
    let set = compiler.compile(files);
    let refused = problems.iter().skip(before).any(|problem| problem.severity == Severity::Error);
    (!refused).then_some(set)
}

struct Compiler<'p> {
    problems: &'p mut Vec<Problem>,
    sets: Sets,
    atoms: Vec<Atom>,
    rows: HashMap<Row, AtomId>,
    vocabulary: VocabularyBuilder,
}

/// A file and what it holds.
type Read<'a> = (&'a Arc<Source>, RuleFile);

impl Compiler<'_> {
    fn compile(&mut self, files: &RuleFiles) -> RuleSet {
        let mut read: Vec<Read<'_>> = vec![(&files.words, RuleFile::read_words(&files.words, self.problems))];
        let tables = [&files.cases, &files.contexts].into_iter().chain(&files.rules).chain(&files.local);
        read.extend(tables.map(|source| (source, RuleFile::read(source, self.problems))));

        for (source, file) in &read {
            file.words.iter().for_each(|set| self.word_set(source, set));
        }
        let cases = self.cases(&read);
        let contexts = self.contexts(&read);
        let mut rules = self.rules(&read, &cases, &contexts);
        self.extend_rules(&read, &mut rules);
        let disabled = self.disabled(&read, &rules);
        let rules = self.without(rules, &disabled);
        let order = self.order_of_beats(&rules);
        RuleSet {
            cases,
            contexts: contexts.into_values().map(|(_, context)| context).collect(),
            rules: rules.into_iter().map(|draft| draft.rule).collect(),
            order,
            atoms: std::mem::take(&mut self.atoms),
            vocabulary: std::mem::take(&mut self.vocabulary).build(),
        }
    }

    fn refuse(&mut self, source: &Arc<Source>, place: &Written, message: String, hint: impl Into<String>) {
        self.problems.push(Problem::error(source, Some(place.span()), message).with_hint(hint));
    }

    fn word_set(&mut self, source: &Arc<Source>, set: &WordSet) {
        if set.words.is_empty() {
            self.refuse(
                source,
                &set.name,
                format!("the set `{}` is empty", set.name.get_ref()),
                "list its words",
            );
        }
        let mut members = Vec::with_capacity(set.words.len());
        for written in &set.words {
            match phrase::member(written.get_ref()) {
                Ok(member) => members.push(member),
                Err((at, fault)) => self.fault(source, written, at, &fault),
            }
        }
        self.sets.entry(set.name.get_ref().clone()).or_default().extend(members);
    }

    fn cases(&mut self, read: &[Read<'_>]) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        let mut seen: BTreeMap<&str, &Arc<Source>> = BTreeMap::new();
        for (source, written) in
            read.iter().flat_map(|(source, file)| file.cases.iter().map(move |c| (source, c)))
        {
            let id = written.id.get_ref();
            let known = cases.iter_mut().find(|case| case.id == *id);
            match (known, seen.insert(id, source)) {
                (Some(case), Some(earlier)) if !Arc::ptr_eq(earlier, source) => {
                    self.adjust_case(source, case, written);
                }
                (Some(_), _) => {
                    let message = format!("the case `{id}` is there twice");
                    self.refuse(source, &written.id, message, "remove one of the two");
                }
                (None, _) => match &written.label {
                    Some(label) => cases.push(Case {
                        id: id.clone(),
                        impact: *written.impact.get_ref(),
                        manual: written.manual.clone(),
                        label: label.clone(),
                    }),
                    None => {
                        let hint =
                            "write label = { es = \"…\", en = \"…\" }: the acknowledgement names the case";
                        self.refuse(source, &written.id, format!("the case `{id}` has no label"), hint);
                    }
                },
            }
        }
        cases
    }

    /// A local `[[case]]` of a known id changes what the manual says; `check` says so.
    fn adjust_case(&mut self, source: &Arc<Source>, case: &mut Case, written: &WrittenCase) {
        let impact = *written.impact.get_ref();
        if case.impact != impact {
            let message = format!("the case `{}` is {impact} here, {} in the manual", case.id, case.impact);
            self.problems.push(Problem::warning(source, Some(written.impact.span()), message));
        }
        case.impact = impact;
        case.manual = written.manual.clone().or(case.manual.take());
        if let Some(label) = &written.label {
            case.label = label.clone();
        }
    }

    /// The contexts by id, each with its place in the [`RuleSet`].
    fn contexts(&mut self, read: &[Read<'_>]) -> BTreeMap<String, (usize, Context)> {
        let mut contexts = BTreeMap::new();
        for (source, written) in
            read.iter().flat_map(|(source, file)| file.contexts.iter().map(move |c| (source, c)))
        {
            let WrittenContext { id, any, unless } = written;
            let context = Context {
                id: id.get_ref().clone(),
                any: self.phrases(source, any),
                unless: self.phrases(source, unless),
            };
            if any.is_empty() {
                self.refuse(
                    source,
                    id,
                    format!("the context `{}` has no phrase", context.id),
                    "write any = [\"…\"]",
                );
            }
            if contexts.insert(context.id.clone(), (0, context)).is_some() {
                let message = format!("the context `{}` is there twice", id.get_ref());
                self.refuse(source, id, message, "give one of the two another id");
            }
        }
        for (place, (index, _)) in contexts.values_mut().enumerate() {
            *index = place;
        }
        contexts
    }

    fn rules<'a>(
        &mut self,
        read: &'a [Read<'a>],
        cases: &[Case],
        contexts: &BTreeMap<String, (usize, Context)>,
    ) -> Vec<Draft<'a>> {
        let mut drafts: Vec<Draft<'a>> = Vec::new();
        for (source, written) in
            read.iter().flat_map(|(source, file)| file.rules.iter().map(move |r| (*source, r)))
        {
            let id = written.id.get_ref();
            if let Some(earlier) = drafts.iter().find(|draft| draft.rule.id == *id) {
                let hint = format!(
                    "{} has it; write [[extend]] rule = \"{id}\" to add phrases to it",
                    earlier.source.name
                );
                self.refuse(source, &written.id, format!("the rule `{id}` is there twice"), hint);
                continue;
            }
            let case = cases.iter().position(|case| case.id == *written.case.get_ref());
            if case.is_none() {
                let name = written.case.get_ref();
                let near = did_you_mean(name, cases.iter().map(|case| case.id.as_str()));
                let hint = near.unwrap_or_else(|| "the cases stand in cases.toml".into());
                self.refuse(source, &written.case, format!("unknown case `{name}`"), hint);
            }
            if written.any.is_empty() {
                self.refuse(
                    source,
                    &written.id,
                    format!("the rule `{id}` has no phrase"),
                    "write any = [\"…\"]",
                );
            }
            if written.yes.is_empty() {
                let hint = "add yes = [\"…\"], a mail's sentence that must come out as this case";
                self.refuse(source, &written.id, format!("the rule `{id}` has no example"), hint);
            }
            if written.fields.get_ref().is_empty() {
                let span = Some(written.fields.span());
                let hint =
                    "write some of \"subject\", \"body\", \"attachments\", or leave `where` out for all";
                self.problems.push(Problem::error(source, span, "the rule reads no field").with_hint(hint));
            }
            let rule = Rule {
                id: id.clone(),
                case: case.unwrap_or_default(),
                any: self.phrases(source, &written.any),
                unless: self.phrases(source, &written.unless),
                silenced_by: self.silencers(source, written, contexts),
                beats: Vec::new(),
                fields: written.fields.get_ref().iter().map(|field| Field::from(*field)).collect(),
                negatable: written.negatable,
                examples: Vec::new(),
            };
            let mut draft = Draft { source, written, rule };
            draft.add_examples(source, &written.yes, &written.no);
            drafts.push(draft);
        }
        drafts
    }

    fn silencers(
        &mut self,
        source: &Arc<Source>,
        rule: &WrittenRule,
        contexts: &BTreeMap<String, (usize, Context)>,
    ) -> Vec<usize> {
        let mut silencers = Vec::new();
        for name in &rule.silenced_by {
            match contexts.get(name.get_ref()) {
                Some((index, _)) => silencers.push(*index),
                None => {
                    let hint = did_you_mean(name.get_ref(), contexts.keys().map(String::as_str))
                        .unwrap_or_else(|| "the contexts stand in contexts.toml".into());
                    self.refuse(source, name, format!("unknown context `{}`", name.get_ref()), hint);
                }
            }
        }
        silencers
    }

    fn extend_rules<'a>(&mut self, read: &'a [Read<'a>], drafts: &mut [Draft<'a>]) {
        for (source, written) in
            read.iter().flat_map(|(source, file)| file.extends.iter().map(move |e| (*source, e)))
        {
            let Extend { rule, any, unless, yes, no } = written;
            let (any, unless) = (self.phrases(source, any), self.phrases(source, unless));
            match drafts.iter_mut().find(|draft| draft.rule.id == *rule.get_ref()) {
                Some(draft) => {
                    draft.rule.any.extend(any);
                    draft.rule.unless.extend(unless);
                    draft.add_examples(source, yes, no);
                }
                None => self.unknown_rule(source, rule, drafts),
            }
        }
    }

    fn disabled(&mut self, read: &[Read<'_>], drafts: &[Draft<'_>]) -> Vec<String> {
        let mut disabled = Vec::new();
        for (source, written) in
            read.iter().flat_map(|(source, file)| file.disables.iter().map(move |d| (source, d)))
        {
            match drafts.iter().any(|draft| draft.rule.id == *written.rule.get_ref()) {
                true => disabled.push(written.rule.get_ref().clone()),
                false => self.unknown_rule(source, &written.rule, drafts),
            }
        }
        disabled
    }

    fn unknown_rule(&mut self, source: &Arc<Source>, name: &Written, drafts: &[Draft<'_>]) {
        let hint = did_you_mean(name.get_ref(), drafts.iter().map(|draft| draft.rule.id.as_str()))
            .unwrap_or_else(|| "`acuse rules list` prints every rule".into());
        self.refuse(source, name, format!("unknown rule `{}`", name.get_ref()), hint);
    }

    /// Resolves `beats` over all rules, then leaves the disabled ones out.
    fn without<'a>(&mut self, drafts: Vec<Draft<'a>>, disabled: &[String]) -> Vec<Draft<'a>> {
        for draft in &drafts {
            for name in &draft.written.beats {
                if !drafts.iter().any(|other| other.rule.id == *name.get_ref()) {
                    self.unknown_rule(draft.source, name, &drafts);
                }
            }
        }
        let mut kept: Vec<Draft<'a>> =
            drafts.into_iter().filter(|draft| !disabled.contains(&draft.rule.id)).collect();
        let places: BTreeMap<String, usize> =
            kept.iter().enumerate().map(|(place, draft)| (draft.rule.id.clone(), place)).collect();
        for draft in &mut kept {
            let beaten = draft.written.beats.iter().filter_map(|name| places.get(name.get_ref()).copied());
            draft.rule.beats = beaten.collect();
        }
        kept
    }

    /// The rules in an order in which each comes before those it beats; of several orders, the files' own.
    fn order_of_beats(&mut self, drafts: &[Draft<'_>]) -> Vec<usize> {
        let mut order = Vec::with_capacity(drafts.len());
        let mut left: Vec<usize> = (0..drafts.len()).collect();
        let beats = |a: usize, b: usize| drafts.get(a).is_some_and(|draft| draft.rule.beats.contains(&b));
        while !left.is_empty() {
            let free = left.iter().position(|rule| !left.iter().any(|other| beats(*other, *rule)));
            match free {
                Some(place) => order.push(left.remove(place)),
                None => {
                    self.cycle(drafts, &left);
                    break;
                }
            }
        }
        order
    }

    /// Reports a cycle among rules of which each is beaten by another: walking from victor to victor finds one.
    fn cycle(&mut self, drafts: &[Draft<'_>], left: &[usize]) {
        let victor = |rule: usize| {
            left.iter()
                .copied()
                .find(|other| drafts.get(*other).is_some_and(|draft| draft.rule.beats.contains(&rule)))
        };
        let mut walk: Vec<usize> = left.iter().copied().take(1).collect();
        while let Some(next) = walk.last().and_then(|last| victor(*last)) {
            if let Some(start) = walk.iter().position(|rule| *rule == next) {
                walk.drain(..start);
                break;
            }
            walk.push(next);
        }
        walk.reverse();
        // Begin where the files begin, so that the message does not depend on the walk.
        let first = walk.iter().enumerate().min_by_key(|(_, rule)| **rule).map_or(0, |(place, _)| place);
        walk.rotate_left(first);
        let Some(draft) = walk.first().and_then(|rule| drafts.get(*rule)) else { return };
        let names: Vec<String> = walk
            .iter()
            .chain(walk.first())
            .filter_map(|rule| drafts.get(*rule).map(|draft| format!("`{}`", draft.rule.id)))
            .collect();
        let message = format!("rules beat each other in a circle: {}", names.join(" beats "));
        let place = walk
            .get(1)
            .or(walk.first())
            .and_then(|next| drafts.get(*next))
            .and_then(|next| draft.written.beats.iter().find(|name| *name.get_ref() == next.rule.id));
        self.refuse(draft.source, place.unwrap_or(&draft.written.id), message, "remove one of these `beats`");
    }

    fn phrases(&mut self, source: &Arc<Source>, written: &[Written]) -> Vec<CompiledPhrase> {
        written.iter().filter_map(|written| self.phrase(source, written)).collect()
    }

    fn phrase(&mut self, source: &Arc<Source>, written: &Written) -> Option<CompiledPhrase> {
        let text = written.get_ref();
        let compiled = Phrase::parse(text, &self.sets).and_then(|phrase| {
            let whole = |fault| (0..text.len(), fault);
            let clauses =
                phrase.clauses.iter().map(|clause| clause.iter().map(|part| self.atom(part)).collect());
            clauses.collect::<Result<_, Fault>>().map_err(whole)
        });
        match compiled {
            Ok(clauses) => Some(CompiledPhrase { written: text.clone(), clauses }),
            Err((at, fault)) => {
                self.fault(source, written, at, &fault);
                None
            }
        }
    }

    /// The atom of a part; the same row in two phrases is one atom, looked for once.
    fn atom(&mut self, part: &Part) -> Result<AtomId, Fault> {
        let atom = Atom::new(part, &mut self.vocabulary)?;
        let next = self.atoms.len();
        let id = match &atom {
            Atom::Row(row) => *self.rows.entry(row.clone()).or_insert(next),
            Atom::Escape(_) => next,
        };
        if id == next {
            self.atoms.push(atom);
        }
        Ok(id)
    }

    /// Notes a fault at its place inside the string, or at the string where escapes hide the place.
    fn fault(&mut self, source: &Arc<Source>, written: &Written, at: Range<usize>, fault: &Fault) {
        let span = written.span();
        let verbatim = source.text.get(span.start + 1..span.start + 1 + written.get_ref().len());
        let place = match verbatim == Some(written.get_ref()) && !at.is_empty() {
            true => span.start + 1 + at.start..span.start + 1 + at.end,
            false => span,
        };
        self.problems.push(Problem::error(source, Some(place), fault.to_string()).with_hint(fault.hint()));
    }
}

/// A rule in the making.
struct Draft<'a> {
    source: &'a Arc<Source>,
    written: &'a WrittenRule,
    rule: Rule,
}

impl Draft<'_> {
    fn add_examples(&mut self, source: &Arc<Source>, yes: &[Written], no: &[Written]) {
        let lines = yes.iter().map(|line| (line, true)).chain(no.iter().map(|line| (line, false)));
        self.rule.examples.extend(lines.map(|(line, wanted)| Example {
            source: Arc::clone(source),
            span: line.span(),
            line: line.get_ref().clone(),
            wanted,
        }));
    }
}

impl From<WrittenField> for Field {
    fn from(written: WrittenField) -> Self {
        match written {
            WrittenField::Subject => Self::Subject,
            WrittenField::Body => Self::OwnText,
            WrittenField::Attachments => Self::Attachments,
        }
    }
}

#[cfg(test)]
mod tests;
