//! Any text as a rule file of the operator's: compiled, or refused with places within the file; and what is compiled reads
//! any mail.
#![no_main]

use std::sync::Arc;

use acuse::problem::Source;
use acuse::rules::{RuleFiles, RuleSet, Text};
use libfuzzer_sys::fuzz_target;

const CASES: &str = "[[case]]\nid = \"a\"\nimpact = \"high\"\nlabel = { es = \"a\", en = \"a\" }\n";

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.to_owned(), text: text.to_owned() })
}

fuzz_target!(|input: (&str, &str, &str)| {
    let (local, phrase, mail) = input;
    let quoted = toml_string(phrase);
    let rule = format!("[[rule]]\nid = \"r\"\ncase = \"a\"\nany = [{quoted}]\nyes = [{quoted}]\n");
    for text in [local, &rule] {
        let files = RuleFiles {
            cases: source("cases.toml", CASES),
            words: source("words.toml", ""),
            contexts: source("contexts.toml", ""),
            rules: vec![source("high.toml", "")],
            local: vec![source("local.toml", text)],
        };
        let mut problems = Vec::new();
        let compiled = RuleSet::compile(&files, &mut problems);
        for problem in &problems {
            let _ = problem.to_string(); // shows the place with a caret
        }
        match compiled {
            None => assert!(!problems.is_empty(), "refused without a word"),
            Some(rules) => {
                let _ = rules.run_examples();
                let text = Text { subject: Some(mail), own_text: mail, attachments: &[] };
                assert_eq!(rules.evaluate(&text), rules.evaluate(&text), "the same mail, the same verdict");
            }
        }
    }
});

/// A basic string (TOML 1.0).
fn toml_string(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
