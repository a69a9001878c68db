//! Which phrase is found wherever another is, so that the other adds nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::atom::{Atom, Row, Step};
use super::vocabulary::ChoiceId;
use super::{AtomId, CompiledPhrase, RuleSet};

/// Compares the phrases of one [`RuleSet`]. What it affirms is so; what it denies may still be so.
pub(super) struct Covers<'r> {
    rules: &'r RuleSet,
    /// What was asked of two choices already.
    choices: RefCell<BTreeMap<(ChoiceId, ChoiceId), bool>>,
}

impl<'r> Covers<'r> {
    pub fn new(rules: &'r RuleSet) -> Self {
        Self { rules, choices: RefCell::default() }
    }

    /// Whether `wide` is found wherever `narrow` is, in the same fields.
    pub fn phrase(&self, wide: &CompiledPhrase, narrow: &CompiledPhrase, negatable: bool) -> bool {
        wide.clauses.iter().all(|clause| {
            let covers = |other: &Vec<AtomId>| {
                clause.iter().all(|part| other.iter().any(|other| self.part(*part, *other, negatable)))
            };
            narrow.clauses.iter().any(covers)
        })
    }

    fn part(&self, wide: AtomId, narrow: AtomId, negatable: bool) -> bool {
        match (self.rules.atoms.get(wide), self.rules.atoms.get(narrow)) {
            (Some(Atom::Row(wide)), Some(Atom::Row(narrow))) => self.row(wide, narrow, negatable),
            (Some(Atom::Escape(wide)), Some(Atom::Escape(narrow))) => wide.as_str() == narrow.as_str(),
            _ => false,
        }
    }

    fn row(&self, wide: &Row, narrow: &Row, negatable: bool) -> bool {
        if wide == narrow {
            return true;
        }
        // Where an optional word begins the row decides what a negator before it denies.
        if negatable && matches!(wide.steps.first(), Some(Step::OneOf { optional: true, .. })) {
            return false;
        }
        // Behind a word of the narrow row that negates, the wide one may be denied.
        let is_denied = |steps: &[Step]| negatable && steps.iter().any(|step| self.may_negate(*step));
        (0..narrow.steps.len()).any(|from| {
            let (before, rest) = narrow.steps.split_at(from);
            !is_denied(before) && self.goes_on(&wide.steps, rest, 0)
        })
    }

    /// Whether the steps fit, the first of them within so many words.
    fn goes_on(&self, wide: &[Step], narrow: &[Step], room: usize) -> bool {
        match wide.split_first() {
            None => true,
            Some((Step::Gap(words), rest)) => self.goes_on(rest, narrow, room + usize::from(*words)),
            Some((Step::OneOf { choice, optional }, rest)) => {
                (*optional && self.goes_on(rest, narrow, room)) || self.finds(*choice, rest, narrow, room)
            }
        }
    }

    fn finds(&self, choice: ChoiceId, rest: &[Step], narrow: &[Step], room: usize) -> bool {
        let Some((step, after)) = narrow.split_first() else { return false };
        let is_there =
            matches!(step, Step::OneOf { choice: other, optional: false } if self.choice(choice, *other));
        if is_there && self.goes_on(rest, after, 0) {
            return true;
        }
        let words = match step {
            Step::Gap(words) => usize::from(*words),
            Step::OneOf { choice, .. } => self.rules.vocabulary.longest(*choice),
        };
        let passed = room.checked_sub(words).filter(|_| !self.may_negate(*step));
        passed.is_some_and(|room| self.finds(choice, rest, after, room))
    }

    fn may_negate(&self, step: Step) -> bool {
        match step {
            Step::Gap(_) => false,
            Step::OneOf { choice, .. } => self.rules.vocabulary.may_negate(choice),
        }
    }

    fn choice(&self, wide: ChoiceId, narrow: ChoiceId) -> bool {
        let known = self.choices.borrow().get(&(wide, narrow)).copied();
        known.unwrap_or_else(|| {
            let covers = self.rules.vocabulary.covers(wide, narrow);
            self.choices.borrow_mut().insert((wide, narrow), covers);
            covers
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{body, compile, one_rule};
    use super::*;

    /// Whether the first phrase is found wherever the second is, when negators count, and when not.
    fn covers(wide: &str, narrow: &str) -> (bool, bool) {
        let set = one_rule(&[wide, narrow]);
        let phrases = &set.rules[0].any;
        let covers = |negatable| Covers::new(&set).phrase(&phrases[0], &phrases[1], negatable);
        (covers(true), covers(false))
    }

    #[test]
    fn a_shorter_phrase_is_found_wherever_a_longer_one_is() {
        for (wide, narrow) in [
            ("caid*", "servidor caido"),
            ("caid*", "caida*"),
            ("a|b", "b"),
            ("{servicio} ..5 {caido}", "el servidor ..2 esta caido"),
            ("{servicio} ..5 {caido}", "sitio down hoy"),
            ("se [me] cayo", "se me cayo"),
            ("se [me] cayo", "se cayo"),
            ("a ..3 b", "a x [y] ..1 b"),
            ("a & b", "b ..4 a"),
            ("a", "b && a"),
            ("~servidor", "serbidor"),
            ("<host>", "gmail.com"),
            ("no carga", "ya no carga"),
            ("/a+/", "/a+/"),
        ] {
            assert_eq!(covers(wide, narrow), (true, true), "{wide} | {narrow}");
            assert_eq!(covers(narrow, wide).0, wide == narrow, "{narrow} | {wide}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_covers_a_phrase_stands_wherever_that_does(
            wide in "(\\[a\\] )?(a|b\\*|a\\|b|no|ni\\*)( (\\.\\.[1-3] |\\[c\\] |&& |& )?(a|b|c\\*|no))?",
            narrow in "(\\[c\\] )?(a|b|bb|no|ni)( (\\.\\.[1-2] |\\[c\\] |c |no )?(a|b|c|bb)){0,3}( && no)?",
            text in "(no |ni |sin |la |a |b |bb |c |cc |\\. |, ){0,12}",
        ) {
            for negatable in [true, false] {
                let stands = |written: &str| {
                    let rule = format!(
                        "[[rule]]\nid = \"r\"\ncase = \"outage\"\nany = [\"{written}\"]\nnegatable = {negatable}\nyes = [\"x\"]"
                    );
                    compile(&rule, &[]).evaluate(&body(&text)).rule.is_some()
                };
                if stands(&narrow) && !stands(&wide) {
                    let (when, otherwise) = covers(&wide, &narrow);
                    prop_assert!(!(if negatable { when } else { otherwise }), "`{}` | `{}` in {:?}", wide, narrow, text);
                }
            }
        }
    }

    #[test]
    fn what_may_miss_something_is_not_said_to_cover() {
        for (wide, narrow) in [
            ("caido", "caid*"),
            ("servidor caido", "servidor ..1 caido"),
            ("a ..3 b", "a ..4 b"),
            ("a ..3 b", "a x y z w b"),
            ("a ..3 b", "a no b"),
            ("a b", "a [x] b"),
            ("a & b", "a && b"),
            ("a b", "a|c b"),
            ("~servidor", "servid*"),
            ("a", "/a/"),
        ] {
            assert_eq!(covers(wide, narrow), (false, false), "{wide} | {narrow}");
        }
    }

    #[test]
    fn a_negator_of_the_longer_phrase_may_deny_the_shorter() {
        assert_eq!(covers("puedo entrar", "no puedo entrar"), (false, true));
        assert_eq!(covers("[cambiar] clave", "clave"), (false, true));
    }
}
