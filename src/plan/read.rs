//! Reads one policy file whole: each wrong entry becomes a problem, and the entries that are right are kept.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, Severity, Source};

/// One file as written, and where it came from.
#[derive(Debug)]
pub(super) struct Layer<T> {
    pub(super) file: T,
    pub(super) source: Arc<Source>,
    /// Whether every entry could be read. If not, nothing that is missing is worth a problem of its own.
    pub(super) whole: bool,
}

/// A value and where an operator wrote it.
#[derive(Debug)]
pub(super) struct Placed<'a, T> {
    pub(super) value: &'a T,
    span: Range<usize>,
    source: &'a Arc<Source>,
}

impl<T: DeserializeOwned + Default> Layer<T> {
    /// Reads a file. serde stops at the first wrong entry, so that entry is struck out and the rest read again.
    pub(super) fn read(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Self {
        let (mut table, errors) = DeTable::parse_recoverable(&source.text);
        problems.extend(Problem::of_syntax(source, &errors));
        let mut whole = errors.is_empty();
        if !whole {
            // What a syntax error leaves over is guesswork.
            return Self { file: T::default(), source: Arc::clone(source), whole };
        }
        let file = loop {
            let error = match T::deserialize(toml::Deserializer::from(table.clone())) {
                Ok(file) => break file,
                Err(error) => error,
            };
            whole = false;
            problems.push(unreadable(source, &error));
            if !error.span().is_some_and(|span| strike_out(table.get_mut(), &span)) {
                break T::default();
            }
        };
        Self { file, source: Arc::clone(source), whole }
    }
}

impl<T> Layer<T> {
    /// Says where in this file a value stands.
    pub(super) fn place<'a, V>(&'a self, value: &'a Spanned<V>) -> Placed<'a, V> {
        Placed { value: value.get_ref(), span: value.span(), source: &self.source }
    }
}

/// What the topmost layer that speaks of a key says of it.
pub(super) fn topmost<'a, T, V>(
    layers: &'a [Layer<T>],
    key: impl Fn(&'a T) -> Option<&'a Spanned<V>>,
) -> Option<Placed<'a, V>> {
    layers.iter().find_map(|layer| key(&layer.file).map(|value| layer.place(value)))
}

/// A problem of the undermost file: no layer says what one must. Silent when a layer could not be read whole, which may
/// have said it.
pub(super) fn missing<T>(
    layers: &[Layer<T>],
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Option<Problem> {
    let shipped = layers.last().filter(|_| layers.iter().all(|layer| layer.whole))?;
    Some(Problem {
        source: Arc::clone(&shipped.source),
        span: None,
        severity: Severity::Error,
        message: message.into(),
        hint: Some(hint.into()),
    })
}

impl<'a, T> Placed<'a, T> {
    /// A part of this value, in the same file.
    pub(super) fn part<V>(&self, value: &'a Spanned<V>) -> Placed<'a, V> {
        Placed { value: value.get_ref(), span: value.span(), source: self.source }
    }

    /// What is wrong with it, and what to write.
    pub(super) fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        self.problem(Severity::Error, message.into(), hint.into())
    }

    /// What deserves a look, and what to write.
    pub(super) fn warning(&self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        self.problem(Severity::Warning, message.into(), hint.into())
    }

    fn problem(&self, severity: Severity, message: String, hint: String) -> Problem {
        Problem {
            source: Arc::clone(self.source),
            span: Some(self.span.clone()),
            severity,
            message,
            hint: Some(hint),
        }
    }
}

fn unreadable(source: &Arc<Source>, error: &toml::de::Error) -> Problem {
    let (message, hint) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, Some(format!("expected {expected}"))),
        None => (error.message(), None),
    };
    Problem {
        source: Arc::clone(source),
        span: error.span(),
        severity: Severity::Error,
        message: message.to_owned(),
        hint,
    }
}

/// Removes the innermost entry that an error points at; false when there is none.
fn strike_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    if table.iter_mut().any(|(_, value)| strike_out_inside(value.get_mut(), span)) {
        return true;
    }
    let struck = table.iter().find(|(key, value)| covers(&key.span(), span) || covers(&value.span(), span));
    let struck = struck.map(|(key, _)| key.clone());
    struck.is_some_and(|key| table.remove(&key).is_some())
}

fn strike_out_inside(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => strike_out(table, span),
        DeValue::Array(array) => {
            if array.iter_mut().any(|item| strike_out_inside(item.get_mut(), span)) {
                return true;
            }
            let before = array.len();
            let kept = array.iter().filter(|item| !item.get_ref().is_table() || !covers(&item.span(), span));
            *array = kept.cloned().collect();
            array.len() < before
        }
        _ => false,
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
