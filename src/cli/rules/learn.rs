//! `acuse rules learn`: from a ticket that a person put right to the lines that teach it to the rules.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::super::context::{shown, tell};
use super::super::report::{Code, Done, Failure};
use super::backtest::{Judged, judge};
use super::stored::{Past, Which};
use super::unmatched::words_of;
use crate::ingest;
use crate::mail::Message;
use crate::policy::{Policy, PolicyFiles};
use crate::problem::Source;
use crate::rules::{Field, Heap, Idea, Verdict, WordCounts, content_words, ideas, sentence_with};
use crate::store::Correction;
use crate::ticket::TicketNumber;
use crate::triage::{Action, classify};

/// `acuse rules learn`
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// The number of a ticket that was reclassified, such as ACU-12
    number: String,
    /// A word on it, for who reads the file later [default: that of `tickets reclassify`]
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
}

/// So many phrases are tried before none is found.
const MOST_TRIES: usize = 6;
/// The candidate's name where problems name a file.
const CANDIDATE: &str = "the lines above";

/// Lines for a local file, and what they come to.
struct Lesson {
    toml: String,
    rule: String,
    phrase: Option<String>,
    yes: String,
    /// The `yes` and `no` lines that come out otherwise with it, and did not before.
    failures: Vec<String>,
    /// The policy with it; `None`: it does not compile.
    policy: Option<Policy>,
}

/// What the lesson is about.
struct Pupil<'a> {
    number: TicketNumber,
    name: String,
    case: &'a str,
    because: String,
    verdict: Verdict,
}

/// Prints what to paste, and says on stderr what it would change.
pub fn learn(past: &Past<'_>, args: &LearnArgs) -> Done {
    let prefix = &past.config.site.prefix;
    let number = TicketNumber::parse(&args.number, prefix).ok_or_else(|| {
        Failure::new(Code::Usage, format!("not a ticket's number: `{}`", shown(&args.number)))
            .hint(format!("such as {prefix}-12"))
    })?;
    let name = past.name(number);
    let (decision, raw) = past
        .store
        .read(|tx| tx.opening_of(number))?
        .ok_or_else(|| Failure::new(Code::Usage, format!("there is no ticket `{name}`")))?;
    let corrections = past.corrections()?;
    let word = corrections.get(&number).ok_or_else(|| {
        Failure::new(Code::Usage, format!("nobody has said yet what {name} is"))
            .hint(format!("acuse tickets reclassify {name} --case CASE --because \"…\""))
    })?;
    let case = named_case(past, &name, word)?;
    let message = ingest::read(&raw, ingest::reading_again(&decision));
    let verdict = classify(&message, past.policy);
    let because = args.because.clone().unwrap_or_else(|| word.because.clone());
    let pupil = Pupil { number, name, case, because, verdict };
    let lesson = lesson(past, &pupil, &message)?;
    let changed = match &lesson.policy {
        Some(policy) => judge(past, Which::default(), Some(past.policy), policy)?,
        None => (Vec::new(), 0),
    };
    report(past, &pupil, &lesson, &changed.0)
}

/// The case that a person named; a rule needs one.
fn named_case<'a>(past: &Past<'_>, name: &str, word: &'a Correction) -> Result<&'a str, Failure> {
    let rules = &past.policy.rules;
    let of_impact = rules.cases().iter().filter(|case| case.impact == word.impact);
    let ids: Vec<&str> = of_impact.map(|case| case.id.as_str()).collect();
    let hint = format!("acuse tickets reclassify {name} --case {} --because \"…\"", ids.join("|"));
    match &word.case {
        Some(case) if rules.case(case).is_some() => Ok(case),
        Some(case) => {
            Err(Failure::new(Code::Usage, format!("the policy has no case `{case}` any more")).hint(hint))
        }
        None => {
            let what = format!("{name} was called {}, and a rule needs a case", word.impact);
            Err(Failure::new(Code::Usage, what).hint(hint))
        }
    }
}

/// A `yes` line where the policy is right already, else the first phrase that passes.
fn lesson(past: &Past<'_>, pupil: &Pupil<'_>, message: &Message) -> Result<Lesson, Failure> {
    let files = past.context.policy_files(Some(past.config))?;
    let before: BTreeSet<String> = failures(past.policy).into_iter().map(|(_, failure)| failure).collect();
    let names = message.from.iter().flat_map(|from| {
        content_words(&format!("{} {}", from.name, from.address.replace(['.', '@', '-', '_'], " ")))
    });
    let names: BTreeSet<String> = names.collect();
    if pupil.verdict.case.as_deref() == Some(pupil.case)
        && let (Some(rule), Some(found)) = (&pupil.verdict.rule, pupil.verdict.matches.first())
    {
        let yes = match found.field {
            Field::Subject => sentence_with(&message.subject, found.start..found.end, &names),
            Field::OwnText => sentence_with(&message.own_text, found.start..found.end, &names),
            Field::Attachments => found.text.clone(),
        };
        let toml = format!("[[extend]]\nrule = {}\nyes  = [{}]\n", quoted(rule), quoted(&yes));
        return Ok(tried(&files, &before, toml, rule.clone(), None, yes));
    }
    let counts = counts(past, pupil.case)?;
    let mut found = ideas(&message.own_text, &counts, &names);
    if !message.is_reply() {
        found.extend(ideas(&message.subject, &counts, &names));
    }
    let mut best: Option<Lesson> = None;
    for idea in found.into_iter().take(MOST_TRIES) {
        let (toml, rule) = pupil.written(past, &idea);
        let lesson = tried(&files, &before, toml, rule, Some(idea.phrase), idea.sentence);
        if lesson.failures.is_empty() {
            return Ok(lesson);
        }
        best = best.or(Some(lesson));
    }
    best.ok_or_else(|| {
        Failure::new(Code::Findings, format!("{} has no word that tells what it is", pupil.name))
            .hint("write a rule by hand: rules/README.md")
    })
}

/// The words of every stored mail: of this case or of none, against those of other cases. What a person said of a mail
/// stands before what the rules say.
fn counts(past: &Past<'_>, case: &str) -> Result<WordCounts, Failure> {
    let corrections = past.corrections()?;
    let (mails, _) = past.read(Which::default(), |mail, message| {
        let opened = mail.decision.action == Action::Open;
        let is = match corrections.get(&mail.ticket).filter(|_| opened) {
            Some(word) => word.case.clone(),
            None => classify(message, past.policy).case,
        };
        let other = is.is_some_and(|is| is != case);
        (words_of(message), if other { Heap::There } else { Heap::Here })
    })?;
    let mut counts = WordCounts::default();
    mails.iter().for_each(|(words, heap)| counts.add(words, *heap));
    Ok(counts)
}

impl Pupil<'_> {
    /// A phrase for a rule of the case; a rule of its own where rules of other cases must be beaten.
    fn written(&self, past: &Past<'_>, idea: &Idea) -> (String, String) {
        let rules = &past.policy.rules;
        let Idea { phrase, sentence } = idea;
        let lines = format!("any  = [{}]\nyes  = [{}]\n", quoted(phrase), quoted(sentence));
        let of_case = |id: &str| rules.rules().any(|rule| rule.id == id && rule.case == self.case);
        let standing: BTreeSet<&str> = self.verdict.matches.iter().map(|found| found.rule.as_str()).collect();
        let beaten: Vec<String> = standing.into_iter().filter(|id| !of_case(id)).map(quoted).collect();
        match rules.rules().find(|rule| rule.case == self.case && !rule.shadow) {
            Some(rule) if beaten.is_empty() => {
                (format!("[[extend]]\nrule = {}\n{lines}", quoted(rule.id)), rule.id.to_owned())
            }
            _ => {
                let id = format!("{}-{}", self.case, self.number.0);
                let beats = if beaten.is_empty() {
                    String::new()
                } else {
                    format!("beats = [{}]\n", beaten.join(", "))
                };
                let head = format!("[[rule]]\nid   = {}\ncase = {}\n", quoted(&id), quoted(self.case));
                (format!("{head}{lines}{beats}"), id)
            }
        }
    }
}

/// Runs the candidate over every `yes` and `no` line.
fn tried(
    files: &PolicyFiles,
    before: &BTreeSet<String>,
    toml: String,
    rule: String,
    phrase: Option<String>,
    yes: String,
) -> Lesson {
    let mut files = files.clone();
    files.add_local("acuse-rules-learn.toml", Source { name: CANDIDATE.to_owned(), text: toml.clone() });
    let (policy, problems) = Policy::compile(&files);
    let failures = match &policy {
        None => problems.iter().map(|problem| problem.message.clone()).collect(),
        Some(policy) => {
            let new = failures(policy).into_iter().filter(|(_, key)| !before.contains(key));
            new.map(|(told, _)| told).collect()
        }
    };
    Lesson { toml, rule, phrase, yes, failures, policy }
}

/// The lines that come out otherwise: as told, and by what they are known again.
fn failures(policy: &Policy) -> Vec<(String, String)> {
    let failed = policy.rules.run_examples().into_iter().map(|failure| failure.problem);
    failed
        .map(|problem| (problem.message.clone(), format!("{:?} {:?}", problem.source.name, problem.span)))
        .collect()
}

fn quoted(text: impl AsRef<str>) -> String {
    toml::Value::from(text.as_ref()).to_string()
}

fn report(past: &Past<'_>, pupil: &Pupil<'_>, lesson: &Lesson, judged: &[Judged]) -> Done {
    let passes = lesson.failures.is_empty();
    let changed: Vec<&Judged> = judged.iter().filter(|mail| mail.changes()).collect();
    if past.context.json {
        let change = |mail: &&Judged| json!({ "number": past.name(mail.ticket), "subject": mail.subject, "from": mail.before, "to": mail.after });
        past.context.json(&json!({
            "number": pupil.name, "case": pupil.case, "toml": lesson.toml, "rule": lesson.rule,
            "phrase": lesson.phrase, "yes": lesson.yes, "passes": passes, "failures": lesson.failures,
            "mails": judged.len(), "changes": changed.iter().map(change).collect::<Vec<_>>(),
        }))?;
    } else {
        past.context.line(format!(
            "# {}: {}\n{}",
            pupil.name,
            shown(&pupil.because),
            lesson.toml.trim_end()
        ))?;
        for failure in &lesson.failures {
            tell(format!("rules test: {failure}"));
        }
        let verdict =
            if passes { "every yes and no line comes out as it says" } else { "not yet: narrow it by hand" };
        let name = |mail: &&Judged| {
            let word =
                |said: &super::backtest::Said| said.impact.map_or("none", crate::ticket::Impact::as_str);
            format!("{} {} → {}", past.name(mail.ticket), word(&mail.before), word(&mail.after))
        };
        let names: Vec<String> = changed.iter().take(10).map(name).collect();
        let more = if changed.len() > names.len() { ", …" } else { "" };
        tell(format!(
            "{verdict}; of {} stored mails {} come out with another impact{}{}{more}",
            judged.len(),
            changed.len(),
            if names.is_empty() { "" } else { ": " },
            names.join(", "),
        ));
    }
    if passes { Ok(()) } else { Err(Failure::findings()) }
}
