//! `acuse rules score`: the rules against labelled mails.

use std::path::PathBuf;

use clap::Args;

use super::super::context::{Context, read, table};
use super::super::explain::as_mail;
use super::super::report::{Code, Done, Failure};
use crate::rules::{Row, RuleSet, Score, Text, Verdict};

/// `acuse rules score`
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// The labelled mails
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// List the mails that come out otherwise, each with the rule that decided
    #[arg(long)]
    wrong: bool,
}

/// Compares the rules with labelled mails.
pub fn score(context: &Context, rules: &RuleSet, args: &ScoreArgs) -> Done {
    let file = &args.file;
    let text = String::from_utf8_lossy(&read(file)?).into_owned();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (mut rows, mut unread) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        match serde_json::from_str::<Row>(line) {
            Ok(row) => rows.push(row),
            Err(error) => unread.push(format!("{}:{}: {error}", file.display(), number + 1)),
        }
    }
    if unread.is_empty() && rows.is_empty() {
        unread.push(format!("{}: there is no labelled mail in it", file.display()));
    }
    if !unread.is_empty() {
        let hint = "a line is {\"id\", \"subject\", \"body\", \"impact\", \"case\"}";
        return Err(Failure::new(Code::Usage, unread.join("\n")).hint(hint));
    }
    let score = Score::of(rows.iter().map(|row| (row, verdict(rules, row))));
    if context.json {
        return context.json(&score);
    }
    context.line(confusion(&score))?;
    if args.wrong && !score.wrong.is_empty() {
        context.line(format!("\n{}", wrong(&score)))?;
    }
    Ok(())
}

/// The mails that come out otherwise.
fn wrong(score: &Score) -> String {
    let mut lines = table(&["mail", "wanted", "came out", "because of"]);
    for wrong in &score.wrong {
        let rule = wrong.rule.as_deref().unwrap_or("no rule stands");
        lines.add_row([wrong.id.as_str(), wrong.want, wrong.got, rule]);
    }
    lines.to_string()
}

/// A labelled mail through the same reading as any other.
fn verdict(rules: &RuleSet, row: &Row) -> Verdict {
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
