//! Text → [`Verdict`]: the operator's rules, compiled once and read by everyone the same way.
//!
//! A rule *matches* when one of its phrases is in the text and no negator takes it back. A match *stands* unless
//! the rule's `unless` or a context that silences it is in the mail, or a rule that stands beats it. The standing
//! rule of the highest impact decides; among several, the first in the files.
//!
//! `text` folds the mail, `vocabulary` tells which words of the phrases are in it, `index` which rules that concerns,
//! `atom` finds the phrases, and `evaluate` decides.
//! `file` reads what operators write, `phrase` its language, and `compile` makes a [`RuleSet`] of both. `lint` finds
//! what is allowed and hardly meant: `cover` which phrase makes another needless, `breadth` which is in too many mails.

mod atom;
mod breadth;
mod compile;
mod cover;
mod evaluate;
mod examples;
mod few;
mod file;
mod index;
mod lint;
mod near;
mod negation;
mod phrase;
mod score;
mod sentences;
mod telling;
mod text;
mod token;
mod vocabulary;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Source};
use crate::ticket::{Bilingual, Impact};
use atom::Atom;
use examples::Example;
use index::Index;
use vocabulary::Vocabulary;

pub use breadth::{Breadth, PhrasesFound};
pub use score::{PerImpact, Row, Score, Wrong};
pub use telling::{Heap, Idea, TellingWord, WordCounts, content_words, ideas, sentence_with};

/// The files that rules are made of, each with the name its problems print.
#[derive(Debug, Clone)]
pub struct RuleFiles {
    /// `cases.toml`.
    pub cases: Arc<Source>,
    /// `words.toml`.
    pub words: Arc<Source>,
    /// `contexts.toml`.
    pub contexts: Arc<Source>,
    /// `high.toml`, `medium.toml`, `low.toml`, in this order.
    pub rules: Vec<Arc<Source>>,
    /// The `*.toml` files of `local_dir` other than `plans.toml` and `calendar.toml`, by name: each may hold
    /// `[[rule]]`, `[[case]]`, `[words]`, `[[context]]`, `[[extend]]` and `[[disable]]`.
    pub local: Vec<Arc<Source>>,
}

/// One kind of case of the manual, from `cases.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The id that rules name.
    pub id: String,
    /// Its impact.
    pub impact: Impact,
    /// The manual's own words, verbatim; `None` for a case of ours.
    pub manual: Option<String>,
    /// What the ack calls it.
    pub label: Bilingual,
}

/// The compiled rules.
#[derive(Debug)]
pub struct RuleSet {
    cases: Vec<Case>,
    contexts: Vec<Context>,
    rules: Vec<Rule>,
    /// Where each case is first written.
    case_origins: Vec<Origin>,
    /// The rules that `[[disable]]` switched off, and their cases.
    disabled: Vec<(String, usize)>,
    atoms: Vec<Atom>,
    vocabulary: Vocabulary,
    index: Index,
}

impl RuleSet {
    /// Compiles the files. Every problem of every file is added to `problems`; `None` when one is an error.
    pub fn compile(files: &RuleFiles, problems: &mut Vec<Problem>) -> Option<Self> {
        compile::compile(files, problems)
    }

    /// What the rules say of a text. Pure and total; linear in the text's length.
    ///
    /// The highest standing impact decides; among rules of that impact, the one that comes first in the files
    /// (shipped before local, high before medium before low).
    pub fn evaluate(&self, text: &Text<'_>) -> Verdict {
        self.judge_with(text, None)
    }

    /// The case of that id.
    pub fn case(&self, id: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.id == id)
    }

    /// Every case, in the order of the files.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Every rule in force, in the order of the files.
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.rules.iter().enumerate().filter_map(|(place, rule)| self.summary(place, rule))
    }

    fn summary<'a>(&'a self, place: usize, rule: &'a Rule) -> Option<RuleSummary<'a>> {
        fn written(phrases: &[CompiledPhrase]) -> Vec<&str> {
            phrases.iter().map(|phrase| phrase.written.as_str()).collect()
        }
        let lines = |wanted: bool| {
            let lines = rule.examples.iter().filter(|example| example.wanted == wanted);
            lines.map(|example| example.line.as_str()).collect()
        };
        let case = self.cases.get(rule.case)?;
        let ids = |rules: &[usize]| {
            rules.iter().filter_map(|rule| Some(self.rules.get(*rule)?.id.as_str())).collect()
        };
        let silencers = rule.silenced_by.iter().filter_map(|place| self.contexts.get(*place));
        let victors = self.rules.iter().filter(|other| other.beats.contains(&place));
        let (line, _) = rule.origin.line_and_column();
        Some(RuleSummary {
            id: &rule.id,
            case: &case.id,
            impact: case.impact,
            shadow: rule.shadow,
            phrases: written(&rule.any),
            unless: written(&rule.unless),
            silenced_by: silencers.map(|context| context.id.as_str()).collect(),
            beats: ids(&rule.beats),
            beaten_by: victors.map(|other| other.id.as_str()).collect(),
            fields: &rule.fields,
            negatable: rule.negatable,
            yes: lines(true),
            no: lines(false),
            file: &rule.origin.source.name,
            line,
        })
    }

    /// What is wrong or hardly meant in rules that compile: every `yes` and `no` line that comes out otherwise, every
    /// case of the manual that no rule claims, and warnings. What is hardly meant among shipped files alone is left out.
    pub fn check(&self, is_shipped: impl Fn(&Source) -> bool) -> Vec<Problem> {
        self.lint(&|origin| is_shipped(&origin.source))
    }

    /// Runs every rule's `yes` and `no` lines under the whole set; one failure per line that comes out otherwise.
    ///
    /// A line is read as the body, or, by a rule whose `where` leaves the body out, as the subject or the name
    /// of an attachment.
    pub fn run_examples(&self) -> Vec<ExampleFailure> {
        self.failures()
    }

    fn impact(&self, rule: &Rule) -> Option<Impact> {
        self.cases.get(rule.case).map(|case| case.impact)
    }
}

/// A rule as `acuse rules list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSummary<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its case.
    pub case: &'a str,
    /// Its case's impact.
    pub impact: Impact,
    /// It is tried, and decides nothing.
    pub shadow: bool,
    /// Its phrases as written.
    pub phrases: Vec<&'a str>,
    /// The phrases that set it aside.
    pub unless: Vec<&'a str>,
    /// The contexts that silence it.
    pub silenced_by: Vec<&'a str>,
    /// The rules that it sets aside.
    pub beats: Vec<&'a str>,
    /// The rules that set it aside.
    pub beaten_by: Vec<&'a str>,
    /// What it reads.
    #[serde(rename = "where")]
    pub fields: &'a [Field],
    /// Whether a negator takes its matches back.
    pub negatable: bool,
    /// What must come out as its case.
    pub yes: Vec<&'a str>,
    /// What must not.
    pub no: Vec<&'a str>,
    /// The file that defines it.
    pub file: &'a str,
    /// The line of its id, from 1.
    pub line: usize,
}

/// Where in an operator's file something stands.
#[derive(Debug, Clone)]
struct Origin {
    source: Arc<Source>,
    span: Range<usize>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

impl Origin {
    fn error(&self, message: impl Into<String>) -> Problem {
        Problem::error(&self.source, Some(self.span.clone()), message)
    }

    fn warning(&self, message: impl Into<String>) -> Problem {
        Problem::warning(&self.source, Some(self.span.clone()), message)
    }

    fn line_and_column(&self) -> (usize, usize) {
        self.source.line_and_column(self.span.start)
    }
}

/// A rule, its names resolved to places in the [`RuleSet`].
#[derive(Debug)]
struct Rule {
    id: String,
    /// Where its id stands.
    origin: Origin,
    case: usize,
    any: Vec<CompiledPhrase>,
    unless: Vec<CompiledPhrase>,
    silenced_by: Vec<usize>,
    beats: Vec<usize>,
    /// Where each of those is named.
    beats_at: Vec<Origin>,
    /// Its place in an order in which each rule comes before those it beats.
    rank: usize,
    fields: Vec<Field>,
    negatable: bool,
    shadow: bool,
    examples: Vec<Example>,
}

/// A mark of the whole mail that silences rules.
#[derive(Debug)]
struct Context {
    id: String,
    any: Vec<CompiledPhrase>,
    unless: Vec<CompiledPhrase>,
}

/// A phrase: clauses (`&&`) of parts (`&`), each part found on its own.
#[derive(Debug)]
struct CompiledPhrase {
    id: PhraseId,
    written: String,
    origin: Origin,
    clauses: Vec<Vec<AtomId>>,
}

/// A place in [`RuleSet::atoms`].
type AtomId = usize;

/// A number of a phrase, counted over all contexts and rules in order.
type PhraseId = usize;

/// The text that rules read.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The subject; `None` in a reply, whose subject is somebody's old words.
    pub subject: Option<&'a str>,
    /// The customer's own new words.
    pub own_text: &'a str,
    /// The names of the attachments.
    pub attachments: &'a [&'a str],
}

/// What the rules say; stored with the message, printed by `explain` (keys fixed, docs/json.md).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The highest standing impact; `None` when nothing stands.
    pub impact: Option<Impact>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Its case.
    pub case: Option<String>,
    /// Every standing match, the deciding rule's first.
    pub matches: Vec<Match>,
    /// The rules that matched and do not stand.
    pub set_aside: Vec<SetAside>,
    /// The contexts that mark the mail, each with the words that say so.
    #[serde(default)]
    pub contexts: Vec<Mark>,
    /// The rules in the shadow that would stand.
    #[serde(default)]
    pub shadow: Vec<Shadow>,
}

/// Words of a mail that a rule recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The rule's id.
    pub rule: String,
    /// The rule's impact.
    pub impact: Impact,
    /// The phrase as the operator wrote it.
    pub phrase: String,
    /// Where.
    pub field: Field,
    /// The words as the customer wrote them.
    pub text: String,
    /// First character, in Unicode scalar values of the field (of the one name, for an attachment).
    pub start: usize,
    /// Past the last character.
    pub end: usize,
}

/// A part of the mail that rules read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The subject.
    Subject,
    /// The own words.
    OwnText,
    /// The attachments' names.
    Attachments,
}

impl Field {
    /// Every field, in the order in which they are read.
    pub const ALL: [Self; 3] = [Self::Subject, Self::OwnText, Self::Attachments];

    /// Its word in a rule's `where`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::OwnText => "body",
            Self::Attachments => "attachments",
        }
    }
}

/// A rule that matched and was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The rule's id.
    pub rule: String,
    /// Why, in words for a person: `beaten by service-down`, `unless "fue la luz"`, `silenced by resolved`, `negated`.
    pub because: String,
    /// What it had recognised, as the customer wrote it.
    #[serde(default)]
    pub text: Option<String>,
    /// The words that set it aside: what `unless` or the context found, or from the negator on; `None` when a rule
    /// did, whose matches stand above.
    #[serde(default)]
    pub by: Option<String>,
}

/// A context that marks a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The context's id.
    pub context: String,
    /// The phrase that was found first.
    pub phrase: String,
    /// The words as the customer wrote them.
    pub text: String,
}

/// A rule in the shadow that matched a mail: what would happen if it acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// The rule's id.
    pub rule: String,
    /// Its case.
    pub case: String,
    /// Its impact.
    pub impact: Impact,
    /// The words that it recognised first, as the customer wrote them.
    pub text: String,
    /// Whether it would decide.
    pub decides: bool,
}

/// A `yes` or `no` line that came out otherwise.
#[derive(Debug, Clone)]
pub struct ExampleFailure {
    /// Where the line stands, with what won and why in the message.
    pub problem: Problem,
}

#[cfg(test)]
mod tests;
