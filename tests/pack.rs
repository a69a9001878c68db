//! The shipped rules on labelled mails that several authors wrote without having read a rule.
//!
//! The rules were made with those of `fixtures/labelled/tuned`; nobody who tunes reads those of `held`, so that their
//! share tells what mail may expect that nobody has seen. `cargo test --test pack -- --nocapture` prints both.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What `acuse rules score --json` says of all files of a directory.
fn score(directory: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/labelled").join(directory);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let rows: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    fs::write(&file, rows).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_acuse"))
        .args(["rules", "score", "--json"])
        .arg(file.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_shipped_rules_recognise_mail_that_nobody_tuned_them_on() {
    // the least that must hold: under what is reached, so that it tells that something broke
    for (directory, accuracy, recall_of_high) in [("tuned", 0.95, 0.95), ("held", 0.87, 0.89)] {
        let score = score(directory);
        let per_high = &score["per_impact"]["high"];
        println!(
            "{directory}: {} mails, accuracy {:.3}, high: precision {:.3}, recall {:.3}, case accuracy {:.3}",
            score["total"],
            score["accuracy"].as_f64().unwrap(),
            per_high["precision"].as_f64().unwrap(),
            per_high["recall"].as_f64().unwrap(),
            score["case_accuracy"].as_f64().unwrap(),
        );
        assert!(score["accuracy"].as_f64().unwrap() >= accuracy, "{directory}: {score}");
        assert!(per_high["recall"].as_f64().unwrap() >= recall_of_high, "{directory}: {score}");
    }
}
