//! The reply texts: compiled once, every name in them checked, every one tried before it is ever sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Serde, Value};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, escape_formatter};
use regex::Regex;

use super::ReplyKind;
use super::variables::Variables;

mod blocks;
use crate::problem::{Problem, Severity, Source};
use crate::ticket::Language;

/// Steps that one text may take; ours take some three hundred.
const FUEL: u64 = 20_000;

/// The two parts of an acknowledgement, by the suffix of their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `.txt`
    Text,
    /// `.html`: every variable is escaped.
    Html,
}

impl Format {
    const ALL: [Self; 2] = [Self::Text, Self::Html];

    fn suffix(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Html => "html",
        }
    }
}

/// The compiled texts of `replies/{es,en}/{kind}.{txt,html}`.
#[derive(Debug)]
pub struct Templates {
    texts: Environment<'static>,
}

impl Templates {
    /// Compiles the files, named `es/ack.txt` and so on in their `Source`s' last two path parts; those that begin
    /// with `_` are for others to include or extend. Of two files of one name the later stands. A missing file, an
    /// unknown variable or a syntax error is a problem; `None` when one is an error.
    pub fn compile(files: &[Arc<Source>], problems: &mut Vec<Problem>) -> Option<Self> {
        let mut texts = Environment::new();
        texts.set_undefined_behavior(UndefinedBehavior::Strict);
        texts.set_fuel(Some(FUEL));
        texts.set_debug(true); // errors know their place in the file
        texts.set_formatter(|out, state, value| match value.is_none() {
            true => Ok(()), // what there is not is not written, least of all as "None"
            false => escape_formatter(out, state, value),
        });
        let sources: BTreeMap<&str, &Arc<Source>> =
            files.iter().map(|file| (key(&file.name), file)).collect();

        let mut found: Vec<Problem> = Vec::new();
        for (key, source) in &sources {
            if let Err(error) = texts.add_template_owned((*key).to_owned(), source.text.clone()) {
                found.push(located(&error, source));
            }
        }
        found.extend(missing_files(files, &sources));
        found.extend(stray_files(&sources));
        found.extend(unknown_names(&texts, &sources));
        found.extend(sources.values().flat_map(|source| unknown_calls(&texts, source)));
        found.extend(sources.values().flat_map(|source| blocks::unknown(source, &sources)));
        let templates = Self { texts };
        if !found.iter().any(|problem| problem.severity == Severity::Error) {
            found.extend(templates.try_all(&sources));
        }
        if !found.iter().any(|problem| problem.severity == Severity::Error) {
            found.extend(halves(&sources));
        }
        let usable = !found.iter().any(|problem| problem.severity == Severity::Error);
        problems.append(&mut found);
        usable.then_some(templates)
    }

    /// Fills a text in.
    ///
    /// # Errors
    /// What a text does with its variables may fail even after it was tried: nothing is promised beyond [`FUEL`].
    pub(super) fn render(
        &self,
        kind: ReplyKind,
        language: Language,
        format: Format,
        variables: &Variables,
    ) -> Result<String, minijinja::Error> {
        self.texts.get_template(&file_name(kind, language, format))?.render(Serde(variables))
    }

    /// Renders every text with every shape of variables; one problem per place and message.
    fn try_all(&self, sources: &BTreeMap<&str, &Arc<Source>>) -> Vec<Problem> {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for (kind, language, format) in every_text() {
            let name = file_name(kind, language, format);
            let Some(own) = sources.get(name.as_str()) else { continue };
            for sample in Variables::samples(language) {
                let problem = match self.render(kind, language, format, &sample) {
                    Ok(text) => match lacks(&text, kind, &sample, says_none(own, sources)) {
                        Some((severity, message, hint)) => Problem {
                            source: Arc::clone(own),
                            span: None,
                            severity,
                            message: message.to_owned(),
                            hint: Some(hint.to_owned()),
                        },
                        None => continue,
                    },
                    // The fault may lie in a part that the text includes.
                    Err(error) => {
                        located(&error, error.name().and_then(|name| sources.get(name)).unwrap_or(own))
                    }
                };
                if seen.insert((problem.to_string(), problem.span.clone().map(|span| span.start))) {
                    problems.push(problem);
                }
            }
        }
        problems
    }
}

/// What is wrong with a text that was written, and what to do about it. `says_none`: the word *none* is its own.
fn lacks(
    text: &str,
    kind: ReplyKind,
    sample: &Variables,
    says_none: bool,
) -> Option<(Severity, &'static str, &'static str)> {
    let promises = kind != ReplyKind::Late && !sample.overdue;
    if text.trim().is_empty() {
        return Some((Severity::Error, "this text is empty", "remove the file to send the shipped text"));
    }
    if !says_none && NONE.is_match(text) {
        let hint = "a variable that may be missing goes through a filter or `~`: {% if case %}{{ case|title }}{% endif %}";
        return Some((Severity::Error, "this text says \"none\" where a value is missing", hint));
    }
    if !text.contains(&sample.number) {
        let hint = "customers quote it on the telephone: {{ number }}";
        return Some((Severity::Warning, "this text does not always say the case number", hint));
    }
    (promises && !text.contains(&sample.due)).then_some((
        Severity::Warning,
        "this text does not always say until when a person answers",
        "that is what the customer waits for: {{ due }}",
    ))
}

/// What filters make of a value that is missing.
static NONE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)\bnone\b"));

/// Whether a text, or a part that its folder shares, writes the word *none* itself.
fn says_none(own: &Source, sources: &BTreeMap<&str, &Arc<Source>>) -> bool {
    let writes = |source: &Source| NONE.is_match(&INSIDE.replace_all(&source.text, " "));
    writes(own) || sources.iter().any(|(key, source)| key.contains("/_") && writes(source))
}

fn every_text() -> impl Iterator<Item = (ReplyKind, Language, Format)> {
    Language::ALL.into_iter().flat_map(|language| {
        ReplyKind::ALL
            .into_iter()
            .flat_map(move |kind| Format::ALL.into_iter().map(move |format| (kind, language, format)))
    })
}

/// `es/ack.txt`.
fn file_name(kind: ReplyKind, language: Language, format: Format) -> String {
    format!("{}/{}.{}", language.as_str(), kind.as_str(), format.suffix())
}

/// The last two parts of a path.
fn key(path: &str) -> &str {
    path.rmatch_indices('/').nth(1).and_then(|(slash, _)| path.get(slash + 1..)).unwrap_or(path)
}

fn missing_files<'a>(
    files: &'a [Arc<Source>],
    sources: &'a BTreeMap<&str, &Arc<Source>>,
) -> impl Iterator<Item = Problem> + 'a {
    let folder = files.first().and_then(|file| file.name.strip_suffix(key(&file.name))).unwrap_or("replies/");
    every_text().map(|(kind, language, format)| file_name(kind, language, format)).filter_map(move |name| {
        (!sources.contains_key(name.as_str())).then(|| Problem {
            source: Arc::new(Source { name: format!("{folder}{name}"), text: String::new() }),
            span: None,
            severity: Severity::Error,
            message: "this reply text is missing".to_owned(),
            hint: Some("every reply needs its .txt and its .html in both languages".to_owned()),
        })
    })
}

/// Texts of which only one part was replaced: most readers show the HTML part, so both should say the same.
fn halves(sources: &BTreeMap<&str, &Arc<Source>>) -> Vec<Problem> {
    let place = |source: &Source| source.name.rsplit_once('/').map(|(place, _)| place.to_owned());
    let shipped = |source: &Source| source.name.starts_with("rules/replies/");
    let halves = sources.iter().filter_map(|(key, text)| {
        let html = sources.get(format!("{}.html", key.strip_suffix(".txt")?).as_str())?;
        (place(text) != place(html)).then_some(if shipped(text) { (html, "text") } else { (text, "HTML") })
    });
    halves
        .map(|(ours, other)| {
            Problem::warning(ours, None, format!("the {other} part beside this one is still the shipped one"))
                .with_hint("customers see one part or the other: replace both, .txt and .html")
        })
        .collect()
}

/// A file that nothing will ever read is most likely a misspelt one.
fn stray_files<'a>(sources: &'a BTreeMap<&str, &Arc<Source>>) -> impl Iterator<Item = Problem> + 'a {
    let known: BTreeSet<String> =
        every_text().map(|(kind, language, format)| file_name(kind, language, format)).collect();
    let is_part = |key: &str| matches!(key.split_once("/_"), Some(("es" | "en", _)));
    let strays = sources.iter().filter(move |(key, _)| !known.contains(**key) && !is_part(key));
    strays.map(|(key, source)| {
        let language = key.split('/').next().unwrap_or_default();
        let mut names = every_text().map(|(kind, language, format)| file_name(kind, language, format));
        let hint = match names.find(|name| *name == key.to_lowercase()) {
            Some(meant) => format!("file names are read to the letter: call it {meant}"),
            None if !["es", "en"].contains(&language) => {
                "customers are answered in Spanish and English: it belongs into replies/es/ or replies/en/"
                    .to_owned()
            }
            None => format!(
                "the replies are {}, each as .txt and as .html; a part that they share begins with `_`",
                ReplyKind::ALL.map(ReplyKind::as_str).join(", ")
            ),
        };
        Problem::warning(source, None, "no reply uses this file").with_hint(hint)
    })
}

/// Names that no reply has, in whatever branch of the text: trying it would miss those it does not take.
fn unknown_names(texts: &Environment<'_>, sources: &BTreeMap<&str, &Arc<Source>>) -> Vec<Problem> {
    let variables = Variables::names();
    let globals: BTreeSet<&str> = texts.globals().map(|(name, _)| name).collect();
    let mut problems = Vec::new();
    for (key, source) in sources {
        let Ok(template) = texts.get_template(key) else { continue };
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        for name in used {
            if variables.contains(&name)
                || globals.contains(name.as_str())
                || name == "super"
                || name == "self"
            {
                continue;
            }
            problems.push(Problem {
                source: Arc::clone(source),
                span: word(&source.text, &name),
                severity: Severity::Error,
                message: format!("`{name}` is not a variable of the reply texts"),
                hint: Some(format!(
                    "the variables are {}",
                    variables.iter().cloned().collect::<Vec<_>>().join(", ")
                )),
            });
        }
    }
    problems
}

/// What stands between the marks of a text, comments apart: `{{ … }}` and `{% … %}`.
static INSIDE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)\{#.*?#\}|\{\{(?P<value>.*?)\}\}|\{%(?P<statement>.*?)%\}"));

/// A string, which holds neither; or a filter's name, or a test's.
static CALL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#""[^"]*"|'[^']*'|\|\s*(?P<filter>[A-Za-z_]\w*)|\bis\s+(?:not\s+)?(?P<test>[A-Za-z_]\w*)"#)
});

#[expect(clippy::expect_used, reason = "the patterns are constants, and a test runs each")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern compiles")
}

/// Filters and tests that there are not, in whatever branch: they are looked up only where a text takes it.
fn unknown_calls(texts: &Environment<'_>, source: &Arc<Source>) -> Vec<Problem> {
    let mut state = texts.empty_state();
    let mut problems = Vec::new();
    for inside in INSIDE.captures_iter(&source.text) {
        let Some(code) = inside.name("value").or(inside.name("statement")) else { continue };
        for call in CALL.captures_iter(code.as_str()) {
            let (name, what, unknown) = match (call.name("filter"), call.name("test")) {
                (Some(name), _) => {
                    let tried = state.apply_filter(name.as_str(), &[Value::from("")]);
                    (name, "filter", tried.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter))
                }
                (None, Some(name)) => {
                    let tried = state.perform_test(name.as_str(), &[Value::from("")]);
                    (name, "test", tried.is_err_and(|error| error.kind() == ErrorKind::UnknownTest))
                }
                (None, None) => continue,
            };
            if unknown {
                problems.push(Problem {
                    source: Arc::clone(source),
                    span: Some(code.start() + name.start()..code.start() + name.end()),
                    severity: Severity::Error,
                    message: format!("there is no {what} `{}`", name.as_str()),
                    hint: Some(
                        "https://docs.rs/minijinja lists the filters and tests of the reply texts".to_owned(),
                    ),
                });
            }
        }
    }
    problems
}

/// Where a name first stands inside `{{ }}` or `{% %}`.
fn word(text: &str, name: &str) -> Option<Range<usize>> {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).map(|(start, _)| start..start + name.len()).find(|span| {
        let (before, after) = (text.get(..span.start).unwrap_or(""), text.get(span.end..).unwrap_or(""));
        let inside = before.rfind('{').is_some_and(|open| !before.get(open..).unwrap_or("").contains('}'));
        inside && !part_of_name(before.chars().next_back()) && !part_of_name(after.chars().next())
    })
}

fn located(error: &minijinja::Error, source: &Arc<Source>) -> Problem {
    let line = || {
        let number = error.line()?;
        let start: usize =
            source.text.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
        let length = source.text.get(start..)?.lines().next()?.len();
        Some(start..start + length)
    };
    let hint = match error.kind() {
        ErrorKind::TemplateNotFound => {
            "the shipped parts are es/_frame.txt, es/_frame.html, en/_frame.txt and en/_frame.html"
        }
        _ => "rules/README.md lists what a reply text may use",
    };
    Problem {
        source: Arc::clone(source),
        span: error.range().filter(|range| source.text.get(range.clone()).is_some()).or_else(line),
        severity: Severity::Error,
        message: match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        },
        hint: Some(hint.to_owned()),
    }
}

#[cfg(test)]
mod tests;
