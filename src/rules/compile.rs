//! Rule files → [`RuleSet`]: merged, cross-checked and compiled, every problem of every file at once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

mod beats;

use super::atom::{Atom, Row};
use super::examples::Example;
use super::file::{
    Extend, RuleFile, WordSet, Written, WrittenCase, WrittenContext, WrittenField, WrittenRule,
};
use super::index::Index;
use super::phrase::{self, Alternative, Fault, Part, Phrase, Sets};
use super::vocabulary::VocabularyBuilder;
use super::{AtomId, Case, CompiledPhrase, Context, Field, Origin, Rule, RuleFiles, RuleSet};
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

        let mut sets: BTreeMap<String, Vec<Alternative>> = BTreeMap::new();
        for (source, set) in
            read.iter().flat_map(|(source, file)| file.words.iter().map(move |set| (source, set)))
        {
            sets.entry(set.name.get_ref().clone()).or_default().extend(self.members(source, set));
        }
        self.sets = sets.into_iter().map(|(name, members)| (name, members.into())).collect();
        let cases = self.cases(&read);
        let contexts = self.contexts(&read);
        let mut rules = self.rules(&read, &cases, &contexts);
        self.extend_rules(&read, &mut rules);
        let disabled = self.disabled(&read, &rules);
        self.extends_in_vain(&read, &disabled);
        let mut rules = self.without(rules, &disabled);
        self.rank(&mut rules);
        let written = |case: &Case| {
            let mut all =
                read.iter().flat_map(|(source, file)| file.cases.iter().map(move |case| (source, &case.id)));
            all.find(|(_, id)| *id.get_ref() == case.id).map(|(source, id)| origin(source, id))
        };
        let case_origins = cases.iter().filter_map(written).collect();
        let mut contexts: Vec<Context> = contexts.into_values().map(|(_, context)| context).collect();
        let mut rules: Vec<Rule> = rules.into_iter().map(|draft| draft.rule).collect();
        let atoms = std::mem::take(&mut self.atoms);
        let vocabulary = std::mem::take(&mut self.vocabulary).build();
        let index = Index::new(&mut contexts, &mut rules, &atoms, &vocabulary);
        RuleSet { cases, contexts, rules, case_origins, disabled, atoms, vocabulary, index }
    }

    fn refuse(&mut self, source: &Arc<Source>, place: &Written, message: String, hint: impl Into<String>) {
        self.problems.push(Problem::error(source, Some(place.span()), message).with_hint(hint));
    }

    fn members(&mut self, source: &Arc<Source>, set: &WordSet) -> Vec<Alternative> {
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
        members
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
                origin: origin(source, &written.id),
                case: case.unwrap_or_default(),
                any: self.phrases(source, &written.any),
                unless: self.phrases(source, &written.unless),
                silenced_by: self.silencers(source, written, contexts),
                beats: Vec::new(),
                beats_at: Vec::new(),
                rank: 0,
                fields: written.fields.get_ref().iter().map(|field| Field::from(*field)).collect(),
                negatable: written.negatable,
                shadow: written.shadow,
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

    fn disabled(&mut self, read: &[Read<'_>], drafts: &[Draft<'_>]) -> Vec<(String, usize)> {
        let mut disabled = Vec::new();
        for (source, written) in
            read.iter().flat_map(|(source, file)| file.disables.iter().map(move |d| (source, d)))
        {
            match drafts.iter().find(|draft| draft.rule.id == *written.rule.get_ref()) {
                Some(draft) => disabled.push((draft.rule.id.clone(), draft.rule.case)),
                None => self.unknown_rule(source, &written.rule, drafts),
            }
        }
        disabled
    }

    /// What is added to a rule that is switched off.
    fn extends_in_vain(&mut self, read: &[Read<'_>], disabled: &[(String, usize)]) {
        let extends =
            read.iter().flat_map(|(source, file)| file.extends.iter().map(move |e| (source, &e.rule)));
        for (source, name) in extends {
            if disabled.iter().any(|(id, _)| id == name.get_ref()) {
                let message = format!("the rule `{}` is disabled, so this changes nothing", name.get_ref());
                let warning = Problem::warning(source, Some(name.span()), message);
                self.problems.push(warning.with_hint("remove this [[extend]], or the [[disable]]"));
            }
        }
    }

    fn unknown_rule(&mut self, source: &Arc<Source>, name: &Written, drafts: &[Draft<'_>]) {
        let hint = did_you_mean(name.get_ref(), drafts.iter().map(|draft| draft.rule.id.as_str()))
            .unwrap_or_else(|| "`acuse rules list` prints every rule".into());
        self.refuse(source, name, format!("unknown rule `{}`", name.get_ref()), hint);
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
            Ok(clauses) => Some(CompiledPhrase {
                id: 0,
                written: text.clone(),
                origin: origin(source, written),
                clauses,
            }),
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
            origin: origin(source, line),
            line: line.get_ref().clone(),
            wanted,
        }));
    }
}

fn origin(source: &Arc<Source>, written: &Written) -> Origin {
    Origin { source: Arc::clone(source), span: written.span() }
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
