//! Reads one policy file whole: each wrong entry becomes a problem, and the entries that are right are kept.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{self, Problem, Severity, Source};

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
    /// Reads a file as far as it can be read.
    pub(super) fn read(source: &Arc<Source>, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        problems.extend(Problem::of_syntax(source, &errors));
        let mut whole = errors.is_empty();
        if !whole {
            // What a syntax error leaves over is guesswork.
            return Self { file: T::default(), source: Arc::clone(source), whole };
        }
        let before = problems.len();
        let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let file = problem::read(source, value, problems);
        whole = problems.len() == before;
        let file = file.unwrap_or_default();
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

    /// Its place alone.
    pub(super) fn place(&self) -> Placed<'a, ()> {
        Placed { value: &(), span: self.span.clone(), source: self.source }
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
