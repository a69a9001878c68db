//! What is wrong in an operator's file: where, and what to do.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One file of the policy or the configuration, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name that problems print: a path, or `rules/high.toml` for a shipped file.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; nothing is refused.
    Warning,
    /// The file is refused.
    Error,
}

/// One thing wrong in one file.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The file.
    pub source: Arc<Source>,
    /// Where in it, in bytes; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
    /// How bad.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source.name, self.message)
    }
}
