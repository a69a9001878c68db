//! From the words of a text to the few rules that it concerns.

use super::atom::Atom;
use super::sentences::Sentences;
use super::vocabulary::{ListId, Sightings, Vocabulary};
use super::{AtomId, CompiledPhrase, Context, PhraseId, Rule};

/// What hangs on what: a mail's cost goes by its own words, not by how many phrases there are.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Per list of alternatives, the atoms that are looked for when one of them may be in a text.
    atoms: Vec<Vec<AtomId>>,
    /// The atoms that may be in any text.
    everywhere: Vec<AtomId>,
    /// Per atom, the phrases that begin with it.
    phrases: Vec<Vec<PhraseId>>,
    /// Per phrase, the rule that it lets stand; `None` for exceptions and for those of contexts.
    rules: Vec<Option<usize>>,
}

impl Index {
    /// Numbers the phrases and enters them.
    pub fn new(
        contexts: &mut [Context],
        rules: &mut [Rule],
        atoms: &[Atom],
        vocabulary: &Vocabulary,
    ) -> Self {
        let mut index = Self { phrases: vec![Vec::new(); atoms.len()], ..Self::default() };
        for context in contexts {
            index.enter(&mut context.any, None);
            index.enter(&mut context.unless, None);
        }
        for (place, rule) in rules.iter_mut().enumerate() {
            index.enter(&mut rule.any, Some(place));
            index.enter(&mut rule.unless, None);
        }
        index.atoms = vec![Vec::new(); vocabulary.lists()];
        for (id, atom) in atoms.iter().enumerate() {
            let Some(choice) = atom.rarest(vocabulary) else {
                index.everywhere.push(id);
                continue;
            };
            for list in vocabulary.lists_of(choice) {
                index.atoms.get_mut(*list).into_iter().for_each(|atoms| atoms.push(id));
            }
        }
        index
    }

    fn enter(&mut self, phrases: &mut [CompiledPhrase], rule: Option<usize>) {
        for phrase in phrases {
            phrase.id = self.rules.len();
            self.rules.push(rule);
            let first = phrase.clauses.first().and_then(|clause| clause.first());
            if let Some(entered) = first.and_then(|atom| self.phrases.get_mut(*atom)) {
                entered.push(phrase.id);
            }
        }
    }

    /// How many phrases there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The atoms that may be in a text, each with the sentences that it may be in.
    pub fn atoms_in(
        &self,
        atoms: &[Atom],
        sightings: &Sightings<'_>,
    ) -> impl Iterator<Item = (AtomId, Sentences)> {
        let of = |list: ListId| self.atoms.get(list).into_iter().flatten();
        let may_be = move |id: AtomId| {
            let sentences = atoms.get(id)?.sentences(sightings);
            (!sentences.is_none()).then_some((id, sentences))
        };
        self.everywhere.iter().chain(sightings.lists().flat_map(of)).copied().filter_map(may_be)
    }

    /// The phrases that begin with one of these atoms, in order, each once.
    pub fn phrases_of(&self, atoms: impl Iterator<Item = AtomId>) -> Vec<PhraseId> {
        let phrases = atoms.filter_map(|atom| self.phrases.get(atom));
        let mut phrases: Vec<PhraseId> = phrases.flatten().copied().collect();
        phrases.sort_unstable();
        phrases.dedup();
        phrases
    }

    /// The rules that one of these phrases may let stand, in order, each once.
    pub fn rules_of(&self, phrases: &[PhraseId]) -> impl Iterator<Item = usize> {
        let mut rules: Vec<usize> = phrases.iter().filter_map(|phrase| *self.rules.get(*phrase)?).collect();
        rules.dedup();
        rules.into_iter()
    }
}
