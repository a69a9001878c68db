//! Every mail of `fixtures/broken` is read as the JSON beside it says: one weakness of mail, or of the parser, each.

use std::fs;
use std::path::Path;

use acuse::ingest::{Reading, read};
use serde_json::Value;

#[test]
fn every_broken_mail_is_read_as_its_reader_would() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/broken");
    let mut wrong = Vec::new();
    let mut tried = 0;
    for entry in fs::read_dir(directory).expect("fixtures/broken") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let want = fs::read(path.with_extension("json")).expect("what is expected of it");
        let want: serde_json::Map<String, Value> = serde_json::from_slice(&want).expect("an object");
        let message = read(&fs::read(&path).expect("a mail"), Reading::Whole);
        let got = serde_json::to_value(message.view()).expect("the contract's object");
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(!want.is_empty(), "{name}.json expects nothing");
        let differs = want.iter().filter(|(key, value)| got.get(key.as_str()) != Some(value));
        wrong.extend(differs.map(|(key, value)| format!("{name}: {key} is {}, not {value}", got[key])));
        tried += 1;
    }
    assert!(wrong.is_empty(), "of {tried} mails:\n{}", wrong.join("\n"));
    assert!(tried > 0, "no mail in fixtures/broken");
}
