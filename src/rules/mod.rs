//! Text → [`Verdict`]: the operator's rules, compiled once and read by everyone the same way.
//!
//! A rule *matches* when one of its phrases is in the text and no negator takes it back. A match *stands* unless
//! the rule's `unless` or a context that silences it is in the mail, or a rule that stands beats it. The standing
//! rule of the highest impact decides; among several, the first in the files.
//!
//! `text` folds the mail, `vocabulary` tells which words of the phrases are in it, `atom` finds the phrases, and
//! `evaluate` decides.
//! `file` reads what operators write, `phrase` its language, and `compile` makes a [`RuleSet`] of both.

mod atom;
mod compile;
mod evaluate;
mod examples;
mod file;
mod negation;
mod phrase;
mod score;
mod telling;
mod text;
mod token;
mod vocabulary;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Source};
use crate::ticket::{Bilingual, Impact};
use atom::Atom;
use examples::Example;
use vocabulary::Vocabulary;

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
    /// The rules' places, each before those it beats.
    order: Vec<usize>,
    atoms: Vec<Atom>,
    vocabulary: Vocabulary,
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
        self.judge(text)
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
        self.rules.iter().filter_map(|rule| {
            let case = self.cases.get(rule.case)?;
            let phrases = rule.any.iter().map(|phrase| phrase.written.as_str()).collect();
            Some(RuleSummary { id: &rule.id, case: &case.id, impact: case.impact, phrases })
        })
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
    /// Its phrases as written.
    pub phrases: Vec<&'a str>,
}

/// A rule, its names resolved to places in the [`RuleSet`].
#[derive(Debug)]
struct Rule {
    id: String,
    case: usize,
    any: Vec<CompiledPhrase>,
    unless: Vec<CompiledPhrase>,
    silenced_by: Vec<usize>,
    beats: Vec<usize>,
    fields: Vec<Field>,
    negatable: bool,
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
    written: String,
    clauses: Vec<Vec<AtomId>>,
}

/// A place in [`RuleSet::atoms`].
type AtomId = usize;

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
}

/// A rule that matched and was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The rule's id.
    pub rule: String,
    /// Why, in words for a person: `beaten by service-down`, `unless "fue la luz"`, `silenced by resolved`, `negated`.
    pub because: String,
}

/// A `yes` or `no` line that came out otherwise.
#[derive(Debug, Clone)]
pub struct ExampleFailure {
    /// Where the line stands, with what won and why in the message.
    pub problem: Problem,
}

#[cfg(test)]
mod tests;
