//! The `yes` and `no` lines beside each rule, judged by the whole policy.

use super::{ExampleFailure, Field, Origin, Rule, RuleSet, Text, Verdict};

/// A `yes` or `no` line.
#[derive(Debug)]
pub(super) struct Example {
    pub origin: Origin,
    pub line: String,
    /// Whether it is a `yes`.
    pub wanted: bool,
}

impl RuleSet {
    pub(super) fn failures(&self) -> Vec<ExampleFailure> {
        let rules = self.rules.iter().enumerate();
        let examples =
            rules.flat_map(|(place, rule)| rule.examples.iter().map(move |example| (place, rule, example)));
        examples.filter_map(|(place, rule, example)| self.failure(place, rule, example)).collect()
    }

    /// A rule in the shadow is tried as if it acted, so that taking it out of the shadow breaks nothing.
    fn failure(&self, place: usize, rule: &Rule, example: &Example) -> Option<ExampleFailure> {
        let verdict = self.judge_with(&example.as_text(rule, &[&example.line]), Some(place));
        let case = self.cases.get(rule.case)?.id.as_str();
        if (verdict.case.as_deref() == Some(case)) == example.wanted {
            return None;
        }
        let message = match &verdict.case {
            Some(_) if !example.wanted => format!("this line comes out as `{case}`"),
            Some(other) => format!("this line comes out as `{other}`, not as `{case}`"),
            None => format!("this line comes out as nothing, not as `{case}`"),
        };
        let problem = example.origin.error(message);
        Some(ExampleFailure { problem: problem.with_hint(why(rule, &verdict, example.wanted)) })
    }
}

impl Example {
    /// The line where the rule reads: as the body if it may, else as the subject, else as a file's name.
    fn as_text<'a>(&'a self, rule: &Rule, name: &'a [&'a str]) -> Text<'a> {
        let line = self.line.as_str();
        match rule.fields.as_slice() {
            fields if fields.contains(&Field::OwnText) => {
                Text { subject: None, own_text: line, attachments: &[] }
            }
            fields if fields.contains(&Field::Subject) => {
                Text { subject: Some(line), own_text: "", attachments: &[] }
            }
            _ => Text { subject: None, own_text: "", attachments: name },
        }
    }
}

/// What decided instead, and what to do.
fn why(rule: &Rule, verdict: &Verdict, wanted: bool) -> String {
    let id = &rule.id;
    let aside = verdict.set_aside.iter().find(|aside| aside.rule == *id);
    match (aside, verdict.matches.first()) {
        (Some(aside), _) if wanted => format!("`{id}` matches but is set aside: {}", aside.because),
        (_, Some(won)) if wanted && verdict.matches.iter().any(|m| m.rule == *id) => {
            format!("`{}` decides by \"{}\"; let `{id}` beat it, or narrow that phrase", won.rule, won.phrase)
        }
        (_, Some(won)) if wanted => {
            format!("`{}` decides by \"{}\", and no phrase of `{id}` matches", won.rule, won.phrase)
        }
        (_, Some(won)) => {
            format!("`{}` decides by \"{}\"; narrow it, or add an `unless`", won.rule, won.phrase)
        }
        (_, None) => format!("no phrase of `{id}` matches; add one"),
    }
}
