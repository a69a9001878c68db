//! The rule files as written: TOML tables with their places, every key known, every problem noted.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, Source, did_you_mean, read};
use crate::ticket::{Bilingual, Impact};

/// A text and where it stands.
pub(super) type Written = Spanned<String>;

/// What one file holds.
#[derive(Debug, Default)]
pub(super) struct RuleFile {
    pub cases: Vec<WrittenCase>,
    pub words: Vec<WordSet>,
    pub contexts: Vec<WrittenContext>,
    pub rules: Vec<WrittenRule>,
    pub extends: Vec<Extend>,
    pub disables: Vec<Disable>,
}

/// `[[case]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCase {
    pub id: Written,
    pub impact: Spanned<Impact>,
    pub manual: Option<String>,
    pub label: Option<Bilingual>,
}

/// `servicio = ["servidor", "sitio", …]`
#[derive(Debug)]
pub(super) struct WordSet {
    pub name: Written,
    pub words: Vec<Written>,
}

/// `[[context]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenContext {
    pub id: Written,
    #[serde(default)]
    pub any: Vec<Written>,
    #[serde(default)]
    pub unless: Vec<Written>,
}

/// `[[rule]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRule {
    pub id: Written,
    pub case: Written,
    #[serde(default)]
    pub any: Vec<Written>,
    #[serde(default)]
    pub unless: Vec<Written>,
    #[serde(default)]
    pub silenced_by: Vec<Written>,
    #[serde(default)]
    pub beats: Vec<Written>,
    #[serde(default = "everywhere", rename = "where")]
    pub fields: Spanned<Vec<WrittenField>>,
    #[serde(default = "yes")]
    pub negatable: bool,
    #[serde(default)]
    pub shadow: bool,
    #[serde(default)]
    pub yes: Vec<Written>,
    #[serde(default)]
    pub no: Vec<Written>,
}

/// A word of `where`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WrittenField {
    Subject,
    Body,
    Attachments,
}

/// `[[extend]]`: more phrases and examples for a rule of another file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extend {
    pub rule: Written,
    #[serde(default)]
    pub any: Vec<Written>,
    #[serde(default)]
    pub unless: Vec<Written>,
    #[serde(default)]
    pub yes: Vec<Written>,
    #[serde(default)]
    pub no: Vec<Written>,
}

/// `[[disable]]`: a rule of another file that no longer counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disable {
    pub rule: Written,
}

fn everywhere() -> Spanned<Vec<WrittenField>> {
    Spanned::new(0..0, vec![WrittenField::Subject, WrittenField::Body, WrittenField::Attachments])
}

fn yes() -> bool {
    true
}

/// The tables that a rule file may hold.
const TABLES: [&str; 6] = ["case", "context", "disable", "extend", "rule", "words"];

impl RuleFile {
    /// Reads a file of tables; what cannot be read becomes a problem and the rest is read on.
    pub fn read(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Self {
        let mut file = Self::default();
        for (name, value) in top_level(source, problems) {
            let mut reader = Reader { source, problems };
            match name.get_ref().as_str() {
                "case" => file.cases = reader.tables(&name, value),
                "context" => file.contexts = reader.tables(&name, value),
                "rule" => file.rules = reader.tables(&name, value),
                "extend" => file.extends = reader.tables(&name, value),
                "disable" => file.disables = reader.tables(&name, value),
                "words" => match value.into_inner() {
                    DeValue::Table(sets) => file.words = reader.word_sets(sets),
                    _ => reader.refuse(&name, "`words` is a table of word sets".into(), "write [words]"),
                },
                "" => {} // a key that could not be read: the syntax error stands already
                other => {
                    let hint = did_you_mean(other, TABLES).unwrap_or_else(|| {
                        "a rule file holds [[rule]], [[case]], [[context]], [[extend]], [[disable]] and [words]".into()
                    });
                    reader.refuse(&name, format!("unknown key `{other}`"), &hint);
                }
            }
        }
        file
    }

    /// Reads `words.toml`, whose top level is the word sets.
    pub fn read_words(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Self {
        let sets = top_level(source, problems);
        let mut reader = Reader { source, problems };
        let words = sets.into_iter().filter_map(|(name, value)| reader.word_set(name, value)).collect();
        Self { words, ..Self::default() }
    }
}

/// The file's keys in the order of the file, and every syntax error as a problem.
fn top_level<'a>(
    source: &'a Arc<Source>,
    problems: &mut Vec<Problem>,
) -> Vec<(Written, Spanned<DeValue<'a>>)> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    problems.extend(Problem::of_syntax(source, &errors));
    in_order(table.into_inner())
}

fn in_order<'a>(table: DeTable<'a>) -> Vec<(Written, Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| (Spanned::new(key.span(), key.into_inner().into_owned()), value))
        .collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Reads values of one file.
struct Reader<'a> {
    source: &'a Arc<Source>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, place: &Written, message: String, hint: &str) {
        self.problems.push(Problem::error(self.source, Some(place.span()), message).with_hint(hint));
    }

    fn tables<T: DeserializeOwned>(&mut self, name: &Written, value: Spanned<DeValue<'_>>) -> Vec<T> {
        match value.into_inner() {
            DeValue::Array(tables) => {
                tables.into_iter().filter_map(|table| read(self.source, table, self.problems)).collect()
            }
            _ => {
                let name_text = name.get_ref();
                self.refuse(
                    name,
                    format!("`{name_text}` is a list of tables"),
                    &format!("write [[{name_text}]]"),
                );
                Vec::new()
            }
        }
    }

    fn word_sets(&mut self, sets: DeTable<'_>) -> Vec<WordSet> {
        in_order(sets).into_iter().filter_map(|(name, value)| self.word_set(name, value)).collect()
    }

    fn word_set(&mut self, name: Written, value: Spanned<DeValue<'_>>) -> Option<WordSet> {
        let words = read(self.source, value, self.problems)?;
        Some(WordSet { name, words })
    }
}
