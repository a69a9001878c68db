//! Which phrases are in too many mails to tell anything.

use super::{PhraseId, RuleSet, Text};
use crate::problem::Problem;

/// A phrase in more than one of so many mails hardly tells one kind from another.
const ONE_IN: usize = 5;

/// Fewer mails say nothing of a share.
const FEWEST: usize = 50;

/// Which phrases are in one mail.
#[derive(Debug)]
pub struct PhrasesFound(Vec<PhraseId>);

impl RuleSet {
    /// Finds every phrase that is in a text.
    pub fn phrases_found(&self, text: &Text<'_>) -> PhrasesFound {
        PhrasesFound(self.phrases_in(text))
    }
}

/// In how many of some mails each phrase of a [`RuleSet`] is.
#[derive(Debug)]
pub struct Breadth<'r> {
    rules: &'r RuleSet,
    mails: usize,
    /// Per phrase.
    counts: Vec<usize>,
}

impl<'r> Breadth<'r> {
    /// No mail counted yet.
    pub fn new(rules: &'r RuleSet) -> Self {
        Self { rules, mails: 0, counts: vec![0; rules.index.len()] }
    }

    /// Counts one mail, read by the same rules.
    pub fn add(&mut self, mail: &PhrasesFound) {
        self.mails += 1;
        for phrase in &mail.0 {
            self.counts.get_mut(*phrase).into_iter().for_each(|count| *count += 1);
        }
    }

    /// A warning for each phrase that is in more than a fifth of the mails; none of fewer than 50 mails.
    pub fn problems(&self) -> Vec<Problem> {
        if self.mails < FEWEST {
            return Vec::new();
        }
        let phrases =
            self.rules.rules.iter().flat_map(|rule| rule.any.iter().map(move |phrase| (rule, phrase)));
        let phrases = phrases.filter_map(|(rule, phrase)| Some((rule, phrase, *self.counts.get(phrase.id)?)));
        let broad = phrases.filter(|(_, _, count)| count * ONE_IN > self.mails);
        let warning = |(rule, phrase, count): (&super::Rule, &super::CompiledPhrase, usize)| {
            let message = format!("\"{}\" is in {count} of the last {} mails", phrase.written, self.mails);
            let hint = format!("it makes nearly everything `{}`: narrow it", rule.id);
            phrase.origin.warning(message).with_hint(hint)
        };
        broad.map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, one_rule};
    use super::*;

    #[test]
    fn a_phrase_of_more_than_a_fifth_of_the_mails_is_told_once_there_are_fifty() {
        let set = one_rule(&["hola", "caido", "correo"]);
        let mut breadth = Breadth::new(&set);
        for mail in 0..50 {
            assert_eq!(breadth.problems().len(), 0, "{mail} mails say nothing");
            let greeting = if mail % 4 == 0 { "Hola, el sitio" } else { "El sitio" };
            let state = if mail % 5 == 0 { "está caído" } else { "no es el correo" };
            breadth.add(&set.phrases_found(&body(&format!("{greeting} {state}"))));
        }
        let problems: Vec<String> = breadth.problems().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(problems.join("\n"), @r#"
        warning: "hola" is in 13 of the last 50 mails
         --> rules/high.toml:4:8
          |
        4 | any = ["hola", "caido", "correo"]
          |        ^^^^^^
        hint: it makes nearly everything `r`: narrow it
        "#);
    }
}
