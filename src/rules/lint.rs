//! What rules say that compiles and is hardly meant.

use super::cover::Covers;
use super::{Case, Origin, Rule, RuleSet};
use crate::problem::Problem;
use crate::ticket::Impact;

impl RuleSet {
    /// Everything that is found; `is_shipped` tells what only a release can change.
    pub(super) fn lint(&self, is_shipped: &dyn Fn(&Origin) -> bool) -> Vec<Problem> {
        let examples = self.failures().into_iter().map(|failure| failure.problem);
        let cases = self.cases.iter().zip(&self.case_origins).enumerate();
        let unclaimed = cases.filter_map(|(place, (case, origin))| self.unclaimed(place, case, origin));
        let covers = Covers::new(self);
        let rules = self.rules.iter();
        examples
            .chain(unclaimed)
            .chain(rules.clone().flat_map(|rule| self.low_beats_high(rule, is_shipped)))
            .chain(rules.flat_map(|rule| needless(rule, &covers, is_shipped)))
            .collect()
    }

    /// A case of the manual that no rule gives: nobody's mail comes out as it.
    fn unclaimed(&self, place: usize, case: &Case, origin: &Origin) -> Option<Problem> {
        let gives = |rule: &&Rule| rule.case == place;
        if case.manual.is_none() || self.rules.iter().any(|rule| gives(&rule) && !rule.shadow) {
            return None;
        }
        let message = format!("no rule gives the case `{}` of the manual", case.id);
        let disabled = self.disabled.iter().find(|(_, of)| *of == place);
        Some(match (self.rules.iter().find(gives), disabled) {
            (Some(rule), _) => origin.warning(message).with_hint(format!("`{}` is in the shadow", rule.id)),
            (None, Some((rule, _))) => origin.warning(message).with_hint(format!("`{rule}` is disabled")),
            (None, None) => {
                origin.error(message).with_hint(format!("write a [[rule]] with case = \"{}\"", case.id))
            }
        })
    }

    /// A rule of low impact that sets one of high impact aside: whoever writes both waits long.
    fn low_beats_high(&self, rule: &Rule, is_shipped: &dyn Fn(&Origin) -> bool) -> Vec<Problem> {
        let is_high = |beaten: &Rule| self.impact(beaten) == Some(Impact::High);
        if self.impact(rule) != Some(Impact::Low) {
            return Vec::new();
        }
        let beaten = rule.beats.iter().zip(&rule.beats_at);
        let warning = |(place, origin): (&usize, &Origin)| {
            let beaten = self.rules.get(*place).filter(|beaten| is_high(beaten))?;
            if is_shipped(origin) && is_shipped(&beaten.origin) {
                return None;
            }
            let message = format!("`{}` is low and beats `{}`, which is high", rule.id, beaten.id);
            let hint = format!("a mail that says both is answered as low: narrow `{}` instead", beaten.id);
            Some(origin.warning(message).with_hint(hint))
        };
        beaten.filter_map(warning).collect()
    }
}

/// Phrases that find nothing which another of their rule does not find.
fn needless(rule: &Rule, covers: &Covers<'_>, is_shipped: &dyn Fn(&Origin) -> bool) -> Vec<Problem> {
    let is_needless = |place: usize| {
        let narrow = rule.any.get(place)?;
        let wide = rule.any.iter().enumerate().find(|(other, wide)| {
            // Of two that find the same, the later is needless.
            *other != place
                && !(is_shipped(&narrow.origin) && is_shipped(&wide.origin))
                && covers.phrase(wide, narrow, rule.negatable)
                && (*other < place || !covers.phrase(narrow, wide, rule.negatable))
        });
        let (_, wide) = wide?;
        if wide.written == narrow.written {
            let message = format!("\"{}\" is there twice", narrow.written);
            return Some(narrow.origin.warning(message).with_hint("remove one of the two"));
        }
        let message = format!("\"{}\" adds nothing to \"{}\"", narrow.written, wide.written);
        let hint = format!("whatever it finds, the other finds too ({}): remove it", wide.origin);
        Some(narrow.origin.warning(message).with_hint(hint))
    };
    (0..rule.any.len()).filter_map(is_needless).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{compile, refused};
    use super::*;
    use crate::problem::report;

    fn linted(rules: &str, local: &[&str]) -> String {
        let problems: Vec<Problem> = compile(rules, local).check(|_| false);
        report(&problems, false)
    }

    #[test]
    fn what_is_hardly_meant_is_a_warning() {
        let rules = r#"
[[rule]]
id = "down"
case = "outage"
any = ["caid*", "servidor caido", "no abre", "caid*"]
yes = ["caído"]
[[rule]]
id = "key"
case = "access"
any = ["clave"]
beats = ["down"]
yes = ["clave"]
"#;
        insta::assert_snapshot!(linted(rules, &[]), @r#"
        warning: "servidor caido" adds nothing to "caid*"
         --> rules/high.toml:5:17
          |
        5 | any = ["caid*", "servidor caido", "no abre", "caid*"]
          |                 ^^^^^^^^^^^^^^^^
        hint: whatever it finds, the other finds too (rules/high.toml:5:8): remove it

        warning: "caid*" is there twice
         --> rules/high.toml:5:46
          |
        5 | any = ["caid*", "servidor caido", "no abre", "caid*"]
          |                                              ^^^^^^^
        hint: remove one of the two

        warning: `key` is low and beats `down`, which is high
          --> rules/high.toml:11:10
           |
        11 | beats = ["down"]
           |          ^^^^^^
        hint: a mail that says both is answered as low: narrow `down` instead
        "#);
    }

    #[test]
    fn a_case_of_the_manual_that_no_rule_gives_is_an_error_unless_somebody_chose_so() {
        let rule = |id: &str, case: &str, more: &str| {
            format!(
                "[[rule]]\nid = \"{id}\"\ncase = \"{case}\"\nany = [\"{id}\"]\nyes = [\"{id}\"]\n{more}\n"
            )
        };
        let none = linted(&rule("a", "attack", ""), &[]);
        assert!(
            none.contains("error: no rule gives the case `outage` of the manual\n --> rules/cases.toml:3:6"),
            "{none}"
        );
        assert_eq!(none.matches("no rule gives").count(), 1, "the others are no cases of the manual: {none}");
        let disabled = linted(&rule("a", "outage", ""), &["[[disable]]\nrule = \"a\""]);
        assert!(
            disabled.contains("warning: no rule gives") && disabled.contains("`a` is disabled"),
            "{disabled}"
        );
        let shadow = linted(&rule("a", "outage", "shadow = true"), &[]);
        assert!(shadow.contains("warning: no rule gives") && shadow.contains("in the shadow"), "{shadow}");
        assert_eq!(linted(&rule("a", "outage", ""), &[]), "");
    }

    #[test]
    fn a_sentence_that_was_pasted_as_a_phrase_is_refused() {
        let words = vec!["palabra"; 31].join(" ");
        let rule =
            format!("[[rule]]\nid = \"a\"\ncase = \"outage\"\nany = [\"{words}\"]\nyes = [\"{words}\"]\n");
        let refused = refused(&rule, &[]);
        assert!(refused.contains("error: the phrase needs 31 words in a row"), "{refused}");
        let short = rule.replacen("palabra ", "", 1);
        assert_eq!(linted(&short, &[]), "");
    }
}
