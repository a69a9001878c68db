//! What is wrong in an operator's file: where, and what to do.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

mod written;

pub use written::read;

/// One file of the policy or the configuration, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name that problems print: a path, or `rules/high.toml` for a shipped file.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// The line and column of a byte, both from 1, the column in characters.
    pub fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte.min(self.text.len())).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; nothing is refused.
    Warning,
    /// The file is refused.
    Error,
}

/// So many problems of a file are printed.
const MAX_PRINTED: usize = 50;

/// The place of what is said last of a file.
const LAST: Range<usize> = usize::MAX..usize::MAX;

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

impl Problem {
    /// Something for which the file is refused.
    pub fn error(source: &Arc<Source>, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self {
            source: Arc::clone(source),
            span,
            severity: Severity::Error,
            message: message.into(),
            hint: None,
        }
    }

    /// Something worth a look.
    pub fn warning(source: &Arc<Source>, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(source, span, message) }
    }

    /// The line and column that it begins at, both from 1, the column in characters; `None` for the whole file.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let start = self.span.as_ref().filter(|span| **span != LAST)?.start;
        Some(self.source.line_and_column(start))
    }

    /// What problems are sorted by: the file, and the place in it.
    pub fn place(&self) -> (&str, Option<usize>) {
        (&self.source.name, self.span.as_ref().map(|span| span.start))
    }

    /// The same problem, saying what to do.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The problem as rustc would print it: `error: …`, `file:line:column`, a caret, and `hint: …`.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let title = level.primary_title(&self.message);
        let text = &self.source.text;
        let snippet = Snippet::source(text).path(&self.source.name);
        let group = match self.first_line_of_span() {
            Some(span) => title.element(snippet.annotation(AnnotationKind::Primary.span(span))),
            None => title.element(annotate_snippets::Origin::path(&self.source.name)),
        };
        let mut out = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
        if let Some(hint) = &self.hint {
            out.push_str("\nhint: ");
            out.push_str(hint);
        }
        out
    }

    /// `file:line:column: message`, for a log.
    pub fn in_one_line(&self) -> String {
        let Self { source, message, .. } = self;
        let before = self.span.as_ref().and_then(|span| source.text.get(..span.start));
        let place = before.map_or_else(String::new, |before| {
            let (line, column) =
                (before.matches('\n').count(), before.chars().rev().take_while(|c| *c != '\n').count());
            format!("{}:{}:", line + 1, column + 1)
        });
        format!("{}:{place} {}", source.name, message.lines().next().unwrap_or_default())
    }

    /// The span, cut at its first line's end: a whole table would drown its own caret.
    fn first_line_of_span(&self) -> Option<Range<usize>> {
        let span = self.span.clone()?;
        let marked = self.source.text.get(span.clone())?;
        let first_line = marked.split(['\n', '\r']).next().unwrap_or(marked);
        Some(span.start..span.start + first_line.len())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Sorts the problems by file and place and prints them, a blank line between two, the first 50 of each file.
pub fn report(problems: &[Problem], colour: bool) -> String {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| problem.place());
    let rendered = sorted.chunk_by(|a, b| a.source.name == b.source.name).flat_map(|of_file| {
        let (last, placed): (Vec<&Problem>, Vec<&Problem>) =
            of_file.iter().partition(|problem| problem.span == Some(LAST));
        let more = placed.len().saturating_sub(MAX_PRINTED);
        let more = placed.first().filter(|_| more > 0).map(|problem| Problem {
            message: format!("and {more} more problems in this file"),
            span: None,
            hint: None,
            ..Problem::clone(problem)
        });
        let shown = placed.into_iter().take(MAX_PRINTED).chain(more.as_ref()).chain(last);
        shown.map(|problem| problem.render(colour)).collect::<Vec<_>>()
    });
    rendered.collect::<Vec<_>>().join("\n\n")
}

/// How many errors there are, and the first, in one line: `2 problems, the first: file:line:column: message`.
pub fn summary(problems: &[Problem]) -> String {
    let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
    let first = errors().map(Problem::in_one_line).next().unwrap_or_default();
    match errors().count() {
        1 => format!("1 problem: {first}"),
        count => format!("{count} problems, the first: {first}"),
    }
}

/// Whether a file was refused.
pub fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// ``did you mean `x`?`` for the nearest candidate, unless more than a third of its letters are off.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (distance, nearest) =
        candidates.into_iter().map(|candidate| (edits(word, candidate), candidate)).min()?;
    (distance <= nearest.chars().count().div_ceil(3)).then(|| format!("did you mean `{nearest}`?"))
}

/// How many letters to insert, delete or replace to make one of the other (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "rules/high.toml".into(), text: text.into() })
    }

    #[test]
    fn a_problem_points_at_its_place_and_says_what_to_do() {
        let source = source("[[rule]]\nid = \"a\"\ncase = \"outaje\"\n");
        let problem = Problem::error(&source, Some(25..33), "unknown case `outaje`")
            .with_hint("did you mean `outage`?");
        insta::assert_snapshot!(problem, @r#"
        error: unknown case `outaje`
         --> rules/high.toml:3:8
          |
        3 | case = "outaje"
          |        ^^^^^^^^
        hint: did you mean `outage`?
        "#);
        assert_eq!(problem.in_one_line(), "rules/high.toml:3:8: unknown case `outaje`");
    }

    #[test]
    fn a_long_span_is_marked_on_its_first_line_only() {
        let source = source("[[rule]]\nid = \"a\"\n");
        insta::assert_snapshot!(Problem::warning(&source, Some(0..17), "no examples"), @r#"
        warning: no examples
         --> rules/high.toml:1:1
          |
        1 | [[rule]]
          | ^^^^^^^^
        "#);
    }

    #[test]
    fn a_problem_of_the_whole_file_names_it() {
        let problem = Problem::error(&source(""), None, "no case in it");
        insta::assert_snapshot!(problem, @r#"
        error: no case in it
        --> rules/high.toml
        "#);
        assert_eq!(problem.in_one_line(), "rules/high.toml: no case in it");
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_does_not_panic() {
        for span in [0..900, 1..2, Range { start: 7, end: 3 }] {
            let rendered = Problem::error(&source("ñ"), Some(span), "x").to_string();
            assert!(rendered.contains("rules/high.toml"), "{rendered}");
        }
    }

    #[test]
    fn a_report_is_in_the_order_of_the_file() {
        let source = source("aa\nbb\n");
        let problems =
            [Problem::error(&source, Some(3..5), "second"), Problem::error(&source, Some(0..2), "first")];
        let text = report(&problems, false);
        assert!(text.find("first") < text.find("second"), "{text}");
        assert!(any_error(&problems));
        assert_eq!(summary(&problems), "2 problems, the first: rules/high.toml:2:1: second");
        assert_eq!(summary(&problems[..1]), "1 problem: rules/high.toml:2:1: second");
    }

    #[test]
    fn a_report_stops_after_fifty_problems_of_a_file_and_goes_on_with_the_next() {
        let problems = |name: &str, count: usize| {
            let source = Arc::new(Source { name: name.into(), text: "\n".repeat(count) });
            (0..count).map(|at| Problem::error(&source, Some(at..at), "wrong")).collect::<Vec<_>>()
        };
        let text =
            report(&[problems("a.toml", MAX_PRINTED + 7), problems("b.toml", MAX_PRINTED)].concat(), false);
        assert_eq!(text.matches("error: wrong").count(), 2 * MAX_PRINTED);
        assert!(
            text.contains("error: and 7 more problems in this file\n--> a.toml\n\nerror: wrong"),
            "{text}"
        );
    }

    #[test]
    fn the_distance_is_levenshtein() {
        for (a, b, distance) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ñu", "nu", 1)] {
            assert_eq!((edits(a, b), edits(b, a)), (distance, distance), "{a} {b}");
        }
        assert_eq!(did_you_mean("zzz", ["outage"]), None);
    }
}
