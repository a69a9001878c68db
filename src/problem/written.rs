//! TOML as an operator wrote it → values: every problem of a table at once, in words for a person.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{LAST, Problem, Source, did_you_mean};

/// So many syntax errors of a file are told one by one.
const MAX_SYNTAX: usize = 5;

impl Problem {
    /// What the TOML reader refused; what serde expected becomes the hint.
    pub fn of_toml(source: &Arc<Source>, error: &toml::de::Error) -> Self {
        let message = error.message();
        let problem = Self::error(source, error.span(), message);
        let Some((head, expected)) = message.split_once(", expected ") else { return problem };
        let what = match head.split(" `").next() {
            Some("unknown field") => "unknown key",
            Some("unknown variant") => "unknown word",
            _ if head == "invalid type: map" && expected == "a sequence" => {
                let hint = "of this there may be several: head each with two brackets, [[…]]";
                return Self { message: head.to_owned(), ..problem }.with_hint(hint);
            }
            _ => return Self { message: head.to_owned(), ..problem }.with_hint(in_words(expected)),
        };
        let wrong = backticked(head).next().unwrap_or_default();
        let hint = did_you_mean(wrong, backticked(expected));
        Self { message: format!("{what} `{wrong}`"), ..problem }
            .with_hint(hint.unwrap_or_else(|| format!("expected {expected}")))
    }

    /// What a TOML reader that goes on after an error could not read, one problem for each of the first few: a
    /// forgotten quote makes the rest of the file look wrong.
    pub fn of_syntax(source: &Arc<Source>, errors: &[toml::de::Error]) -> Vec<Self> {
        let shown = errors.iter().take(MAX_SYNTAX).map(|error| Self::of_toml(source, error));
        let more = errors.len().saturating_sub(MAX_SYNTAX);
        let message =
            format!("and {more} more syntax errors in this file: they usually follow from the first");
        let rest = (more > 0).then(|| Self::error(source, Some(LAST), message));
        shown.chain(rest).collect()
    }
}

/// Reads a value of a file. serde stops at the first wrong entry, so that entry is noted, struck out, and the rest read
/// again; `None` when nothing can be made of what is left.
pub fn read<T: DeserializeOwned>(
    source: &Arc<Source>,
    mut value: Spanned<DeValue<'_>>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut struck = Vec::new();
    loop {
        let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let is_missing = error.message().starts_with("missing field");
        // What was struck out is missing now, and nobody's mistake.
        if !is_missing || backticked(error.message()).all(|key| !struck.iter().any(|it| it == key)) {
            problems.push(Problem::of_toml(source, &error));
        }
        let span = error.span()?;
        if !strike_out_inside(value.get_mut(), &span, &mut struck) {
            return None;
        }
    }
}

/// Removes the innermost entry that an error points at, and notes its key; false when there is none.
fn strike_out(table: &mut DeTable<'_>, span: &Range<usize>, struck: &mut Vec<String>) -> bool {
    if table.iter_mut().any(|(_, value)| strike_out_inside(value.get_mut(), span, struck)) {
        return true;
    }
    let found = table.iter().find(|(key, value)| covers(&key.span(), span) || covers(&value.span(), span));
    let Some(key) = found.map(|(key, _)| key.clone()) else { return false };
    struck.push(key.get_ref().to_string());
    table.remove(&key).is_some()
}

fn strike_out_inside(value: &mut DeValue<'_>, span: &Range<usize>, struck: &mut Vec<String>) -> bool {
    match value {
        DeValue::Table(table) => strike_out(table, span, struck),
        DeValue::Array(array) => {
            if array.iter_mut().any(|item| strike_out_inside(item.get_mut(), span, struck)) {
                return true;
            }
            let before = array.len();
            *array = array.iter().filter(|item| !covers(&item.span(), span)).cloned().collect();
            array.len() < before
        }
        _ => false,
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What serde expected, as an operator would say it.
fn in_words(expected: &str) -> String {
    let number = |most: &str| format!("write a whole number from 0 to {most}, without quotes");
    match expected {
        "a string" => "write a text in quotes: \"…\"".to_owned(),
        "a path string" => "write a path in quotes: \"…\"".to_owned(),
        "a boolean" => "write true or false, without quotes".to_owned(),
        "a sequence" => "write a list: [\"…\", \"…\"]".to_owned(),
        "u8" => number("255"),
        "u16" => number("65535"),
        "u32" => number(&u32::MAX.to_string()),
        "u64" | "usize" => "write a whole number without quotes".to_owned(),
        _ if expected.starts_with("struct ") || expected == "a map" => "write a table of keys".to_owned(),
        _ => format!("expected {expected}"),
    }
}

/// The words between backticks.
fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::report;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "rules/high.toml".into(), text: text.into() })
    }

    #[test]
    fn every_wrong_type_of_a_file_is_told_at_once_and_what_is_missing_for_it_is_not() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only their names and types matter")]
        struct Server {
            port: u16,
            user: String,
            folders: Option<Vec<String>>,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Written {
            server: Vec<Server>,
        }
        let source = source(
            "[[server]]\nport = \"993\"\nuser = 3\nfolders = [\"a\", 1, true]\n[[server]]\nport = 99999\nhots = 1\n",
        );
        let (table, _) = DeTable::parse_recoverable(&source.text);
        let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut problems = Vec::new();
        assert!(
            read::<Written>(&source, value, &mut problems).is_some_and(|written| written.server.is_empty())
        );
        insta::assert_snapshot!(report(&problems, false), @r#"
        error: invalid type: string "993"
         --> rules/high.toml:2:8
          |
        2 | port = "993"
          |        ^^^^^
        hint: write a whole number from 0 to 65535, without quotes

        error: invalid type: integer `3`
         --> rules/high.toml:3:8
          |
        3 | user = 3
          |        ^
        hint: write a text in quotes: "…"

        error: invalid type: integer `1`
         --> rules/high.toml:4:17
          |
        4 | folders = ["a", 1, true]
          |                 ^
        hint: write a text in quotes: "…"

        error: invalid type: boolean `true`
         --> rules/high.toml:4:20
          |
        4 | folders = ["a", 1, true]
          |                    ^^^^
        hint: write a text in quotes: "…"

        error: invalid value: integer `99999`
         --> rules/high.toml:6:8
          |
        6 | port = 99999
          |        ^^^^^
        hint: write a whole number from 0 to 65535, without quotes

        error: unknown key `hots`
         --> rules/high.toml:7:1
          |
        7 | hots = 1
          | ^^^^
        hint: expected one of `port`, `user`, `folders`
        "#);
    }

    #[test]
    fn an_unknown_toml_key_is_answered_with_the_nearest_known_one() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            #[expect(dead_code, reason = "only its name matters")]
            silenced_by: Option<String>,
        }
        let source = source("silencedby = \"x\"\n");
        let error = toml::from_str::<Written>(&source.text).unwrap_err();
        insta::assert_snapshot!(Problem::of_toml(&source, &error), @r#"
        error: unknown key `silencedby`
         --> rules/high.toml:1:1
          |
        1 | silencedby = "x"
          | ^^^^^^^^^^
        hint: did you mean `silenced_by`?
        "#);
    }

    #[test]
    fn what_follows_from_a_syntax_error_is_counted_not_told() {
        let source = source(&"= 1\n".repeat(40));
        let (_, errors) = toml::de::DeTable::parse_recoverable(&source.text);
        let problems = Problem::of_syntax(&source, &errors);
        let text = report(&problems, false);
        assert_eq!(text.matches("^").count(), MAX_SYNTAX, "{text}");
        let more = format!("error: and {} more syntax errors", errors.len() - MAX_SYNTAX);
        assert!(text.contains(&more) && text.ends_with("--> rules/high.toml"), "{text}");
        assert_eq!(Problem::of_syntax(&source, &errors[..MAX_SYNTAX]).len(), MAX_SYNTAX);
    }
}
