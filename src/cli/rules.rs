//! `acuse rules`: trying the rules before they are in force.

use std::path::PathBuf;

use clap::Subcommand;

use super::context::{Context, read, table};
use super::explain::as_mail;
use super::report::{Code, Done, Failure};
use crate::problem;
use crate::rules::{Row, Score, Text, Verdict};

mod backtest;
mod learn;
mod stats;
mod stored;
mod unmatched;

/// `acuse rules …`
#[derive(Debug, Subcommand)]
pub enum RulesVerb {
    /// Run every rule's yes and no lines under the whole policy
    Test,
    /// List the rules in force
    List,
    /// Compare the rules with labelled mails, one JSON object a line
    Score {
        /// The labelled mails
        #[arg(value_name = "FILE.jsonl")]
        file: PathBuf,
    },
    #[command(flatten)]
    Stored(stored::StoredVerb),
}

/// Tests, lists or scores the rules.
pub fn rules(context: &Context, verb: &RulesVerb) -> Done {
    let config = context.named_config()?;
    let policy = context.policy(config.as_ref())?;
    let rules = &policy.rules;
    match verb {
        RulesVerb::Stored(verb) => stored::stored(context, verb),
        RulesVerb::Test => {
            let failures: Vec<_> = rules.run_examples().into_iter().map(|failure| failure.problem).collect();
            if failures.is_empty() {
                return context.line(format!(
                    "every yes and no line of {} rules comes out as it says",
                    rules.rules().count()
                ));
            }
            context.line(problem::report(&failures, false).trim_end())?;
            context.line(format!("{} lines come out otherwise", failures.len()))?;
            Err(Failure::findings())
        }
        RulesVerb::List => {
            let all: Vec<_> = rules.rules().collect();
            if context.json {
                return context.json(&all);
            }
            let mut lines = table(&["rule", "impact", "case", "phrases"]);
            for rule in &all {
                lines.add_row([rule.id, rule.impact.as_str(), rule.case, &rule.phrases.len().to_string()]);
            }
            context.line(lines.to_string())
        }
        RulesVerb::Score { file } => {
            let text = String::from_utf8_lossy(&read(file)?).into_owned();
            let rows =
                text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(number, line)| {
                    serde_json::from_str::<Row>(line).map_err(|error| {
                        Failure::new(Code::Usage, format!("{}:{}: {error}", file.display(), number + 1))
                            .hint("a line is {\"id\", \"subject\", \"body\", \"impact\", \"case\"}")
                    })
                });
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let score = Score::of(rows.iter().map(|row| (row, verdict(rules, row))));
            if context.json { context.json(&score) } else { context.line(confusion(&score)) }
        }
    }
}

/// A labelled mail through the same reading as any other.
fn verdict(rules: &crate::rules::RuleSet, row: &Row) -> Verdict {
    let message = crate::mail::parse(&as_mail(&row.subject, &row.body));
    let attachments: Vec<&str> = row.attachments.iter().map(String::as_str).collect();
    rules.evaluate(&Text {
        subject: (!message.is_reply()).then_some(message.subject.as_str()),
        own_text: &message.own_text,
        attachments: &attachments,
    })
}

/// What was wanted against what came out, for people.
fn confusion(score: &Score) -> String {
    const WORDS: [&str; 4] = ["high", "medium", "low", "none"];
    let mut lines = table(&["wanted", "high", "medium", "low", "none", "precision", "recall"]);
    for want in WORDS {
        let got =
            |got| score.confusion.get(want).and_then(|row| row.get(got)).copied().unwrap_or(0).to_string();
        let per = score.per_impact.get(want).copied().unwrap_or_default();
        let mut cells = vec![want.to_owned()];
        cells.extend(WORDS.map(got));
        cells.extend([format!("{:.3}", per.precision), format!("{:.3}", per.recall)]);
        lines.add_row(cells);
    }
    format!(
        "{lines}\n{} of {} right: accuracy {:.3}, macro F1 {:.3}, case accuracy {:.3}",
        score.correct, score.total, score.accuracy, score.macro_f1, score.case_accuracy
    )
}
