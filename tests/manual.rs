//! The shipped rules claim the whole of the support manual: every example of its three kinds of case.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::sync::Arc;

use acuse::problem::{Problem, Source};
use acuse::rules::{RuleFiles, RuleSet, Text};
use acuse::ticket::Impact;

/// "Tipos de Casos" of the manual, each from its `Ejemplo:` on, spelled as it is there.
const EXAMPLES: [(Impact, &str); 3] = [
    (
        Impact::High,
        "Caida del servicio o servidor, servicio no funcional o intermitencia prolongada, ataque de un tercero o \
         hacker, reportes de pago para activación de nuevo servicio.",
    ),
    (
        Impact::Medium,
        "Bloqueo de IP en el firewall, reactivación de servicio por suspensión de pago, perdida de información o \
         datos involuntaria del usuario, restauración de backups, errores de programación o bases de datos del \
         usuario, errores de licenciamiento, configuraciones de DNS",
    ),
    (
        Impact::Low,
        "Restablecimiento o cambios de contraseñas o acceso a paneles de control, reportes de pago para renovación, \
         solicitud de informes o logs, instrucciones o guía de uso de las herramientas o paneles de control, ",
    ),
];

fn shipped() -> RuleSet {
    let source = |name: &str, text: &str| Arc::new(Source { name: name.into(), text: text.into() });
    let files = RuleFiles {
        cases: source("rules/cases.toml", include_str!("../rules/cases.toml")),
        words: source("rules/words.toml", include_str!("../rules/words.toml")),
        contexts: source("rules/contexts.toml", include_str!("../rules/contexts.toml")),
        rules: vec![
            source("rules/high.toml", include_str!("../rules/high.toml")),
            source("rules/medium.toml", include_str!("../rules/medium.toml")),
            source("rules/low.toml", include_str!("../rules/low.toml")),
        ],
        local: Vec::new(),
    };
    let mut problems = Vec::new();
    let rules = RuleSet::compile(&files, &mut problems);
    assert!(problems.is_empty(), "{}", listed(&problems));
    rules.expect("rules without a problem compile")
}

fn listed(problems: &[Problem]) -> String {
    let line = |problem: &Problem| {
        let before = problem.span.as_ref().and_then(|span| problem.source.text.get(..span.start));
        let number = before.map_or(0, |text| text.matches('\n').count()) + 1;
        let quoted = problem.span.as_ref().and_then(|span| problem.source.text.get(span.clone()));
        format!(
            "{}:{number}: {} {}\n    {}\n",
            problem.source.name,
            problem.message,
            quoted.unwrap_or_default(),
            problem.hint.as_deref().unwrap_or_default()
        )
    };
    problems.iter().map(line).collect()
}

#[test]
fn nothing_of_the_manuals_examples_is_left_over() {
    let rules = shipped();
    for (impact, sentence) in EXAMPLES {
        let mut rest = sentence.to_owned();
        let claimed = rules.cases().iter().filter(|case| case.impact == impact);
        for text in claimed.filter_map(|case| case.manual.as_deref()) {
            assert_eq!(rest.matches(text).count(), 1, "{impact}: \u{ab}{text}\u{bb} is there once");
            rest = rest.replace(text, "");
        }
        let words =
            rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "o");
        assert_eq!(words.collect::<Vec<_>>(), Vec::<&str>::new(), "{impact}: words that no case claims");
    }
}

#[test]
fn every_example_alone_comes_out_as_its_case() {
    let rules = shipped();
    for case in rules.cases() {
        let Some(manual) = case.manual.as_deref() else { continue };
        let verdict = rules.evaluate(&Text { subject: None, own_text: manual, attachments: &[] });
        assert_eq!(
            (verdict.impact, verdict.case.as_deref()),
            (Some(case.impact), Some(case.id.as_str())),
            "\u{ab}{manual}\u{bb} by {:?}, {:?} set aside",
            verdict.rule,
            verdict.set_aside
        );
    }
}

#[test]
fn every_case_has_a_rule() {
    let rules = shipped();
    for case in rules.cases() {
        assert!(rules.rules().any(|rule| rule.case == case.id), "{} has no rule", case.id);
    }
}

#[test]
fn every_example_line_of_the_shipped_rules_holds() {
    let failures: Vec<Problem> =
        shipped().run_examples().into_iter().map(|failure| failure.problem).collect();
    assert!(failures.is_empty(), "{}", listed(&failures));
}

#[test]
fn every_rule_shows_itself_twice() {
    let shown = [
        include_str!("../rules/high.toml"),
        include_str!("../rules/medium.toml"),
        include_str!("../rules/low.toml"),
    ];
    for file in shown {
        let file: toml::Table = file.parse().expect("the shipped rules are TOML");
        for rule in file["rule"].as_array().expect("[[rule]]") {
            let yes = rule["yes"].as_array().map_or(0, Vec::len);
            assert!(yes >= 2, "{} has {yes} `yes` lines", rule["id"]);
        }
    }
}
