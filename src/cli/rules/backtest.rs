//! `acuse rules backtest`: what a policy would have made of the mail that came.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::super::context::{shown, table, tell};
use super::super::report::{Code, Done, Failure};
use super::stored::{Past, Since, Which};
use crate::config::{self, ConfigError};
use crate::policy::{Policy, PolicyFiles};
use crate::rules::{Row, Score, Verdict};
use crate::store::Correction;
use crate::ticket::{Impact, TicketNumber};
use crate::triage::{Action, classify};

/// `acuse rules backtest`
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// A candidate: its files are added to the present policy like those of local_dir, and one of the same name as a file
    /// there stands for it. Without it, the present policy is compared with what was decided when the mail came
    #[arg(long, value_name = "DIR")]
    with: Option<PathBuf>,
    #[command(flatten)]
    since: Since,
    /// Only the latest so many mails
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// What rules say, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The impact; `None`: no rule stands.
    pub impact: Option<Impact>,
    /// The case.
    pub case: Option<String>,
    /// The rule.
    pub rule: Option<String>,
}

impl Said {
    fn of(verdict: Verdict) -> Self {
        Self { impact: verdict.impact, case: verdict.case, rule: verdict.rule }
    }

    fn word(&self) -> &'static str {
        self.impact.map_or("none", Impact::as_str)
    }

    fn verdict(&self) -> Verdict {
        Verdict {
            impact: self.impact,
            case: self.case.clone(),
            rule: self.rule.clone(),
            ..Verdict::default()
        }
    }
}

/// A stored mail, judged twice.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its ticket.
    pub ticket: TicketNumber,
    /// It opened that ticket; else it is a follow-up.
    pub opened: bool,
    /// Its subject.
    pub subject: String,
    /// What was said before.
    pub before: Said,
    /// What is said after.
    pub after: Said,
}

impl Judged {
    /// Whether the impact comes out otherwise.
    pub fn changes(&self) -> bool {
        self.before.impact != self.after.impact
    }
}

/// Judges stored mail by a policy, and by another, or as it was decided when it came. Also how many could not be read.
pub fn judge(
    past: &Past<'_>,
    which: Which,
    before: Option<&Policy>,
    after: &Policy,
) -> Result<(Vec<Judged>, usize), Failure> {
    past.read(which, |mail, message| {
        let before = before.map(|policy| classify(message, policy));
        Judged {
            ticket: mail.ticket,
            opened: mail.decision.action == Action::Open,
            subject: message.subject.clone(),
            before: Said::of(before.unwrap_or_else(|| mail.decision.verdict.clone())),
            after: Said::of(classify(message, after)),
        }
    })
}

/// Compares two policies over the stored mail.
pub fn backtest(past: &Past<'_>, args: &BacktestArgs) -> Done {
    let which = Which { since: past.since(&args.since)?, limit: args.limit };
    let candidate = args.with.as_ref().map(|dir| {
        let mut files = past.context.policy_files(Some(past.config))?;
        config::add_from(&mut files, dir)?;
        proved(&files)
    });
    let candidate = candidate.transpose()?;
    let (before, after) = match &candidate {
        Some(candidate) => (Some(past.policy), candidate),
        None => (None, past.policy),
    };
    let (judged, unread) = judge(past, which, before, after)?;
    let corrections = past.corrections()?;
    let corrected: Vec<(&Judged, &Correction)> = judged
        .iter()
        .filter(|mail| mail.opened)
        .filter_map(|mail| corrections.get(&mail.ticket).map(|word| (mail, word)))
        .collect();
    let missed: Vec<&Judged> = corrected
        .iter()
        .filter(|(mail, word)| word.impact == Impact::High && mail.after.impact != Some(Impact::High))
        .map(|(mail, _)| *mail)
        .collect();
    let report = Report {
        unread,
        before: score(&corrected, |mail| &mail.before),
        after: score(&corrected, |mail| &mail.after),
        corrected: corrected.len(),
        missed,
        judged: &judged,
    };
    if past.context.json {
        let policies = [before.map(|policy| policy.hash.as_str()), Some(after.hash.as_str())];
        past.context.json(&report.document(past, which, policies))?;
    } else {
        past.context.line(report.page(past, candidate.is_some()))?;
    }
    if report.missed.is_empty() { Ok(()) } else { Err(Failure::findings()) }
}

/// A candidate that a reload would put in force.
fn proved(files: &PolicyFiles) -> Result<Policy, Failure> {
    let (policy, problems) = Policy::prove(files);
    policy.ok_or_else(|| {
        tell(ConfigError::Wrong(problems).report());
        Failure::new(Code::Findings, "a reload would refuse the candidate: nothing was compared")
            .hint("put right what is told above, and compare again")
    })
}

/// How well mails come out that a person gave an impact.
fn score(corrected: &[(&Judged, &Correction)], said: impl Fn(&Judged) -> &Said) -> Score {
    let rows: Vec<(Row, Verdict)> = corrected
        .iter()
        .map(|(mail, word)| {
            let row = Row {
                id: mail.ticket.0.to_string(),
                subject: String::new(),
                body: String::new(),
                impact: Some(word.impact),
                case: word.case.clone(),
                attachments: Vec::new(),
            };
            (row, said(mail).verdict())
        })
        .collect();
    Score::of(rows.iter().map(|(row, verdict)| (row, verdict.clone())))
}

struct Report<'a> {
    judged: &'a [Judged],
    unread: usize,
    corrected: usize,
    before: Score,
    after: Score,
    missed: Vec<&'a Judged>,
}

/// The words of impacts as tables print them.
const IMPACTS: [&str; 4] = ["high", "medium", "low", "none"];
/// A page shows so many tickets; JSON has all.
const MOST_TICKETS: usize = 50;

impl Report<'_> {
    fn changed(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|mail| mail.changes())
    }

    /// From impact → to impact → mails.
    fn changes(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, usize>> {
        let mut changes = BTreeMap::<_, BTreeMap<_, usize>>::new();
        for mail in self.changed() {
            *changes.entry(mail.before.word()).or_default().entry(mail.after.word()).or_default() += 1;
        }
        changes
    }

    fn document(&self, past: &Past<'_>, which: Which, policies: [Option<&str>; 2]) -> serde_json::Value {
        let ticket = |mail: &Judged| {
            json!({ "number": past.name(mail.ticket), "subject": mail.subject, "opened": mail.opened,
                    "from": mail.before, "to": mail.after })
        };
        let [before, after] = policies;
        json!({
            "mails": self.judged.len(),
            "unread": self.unread,
            "since": which.since.map(|at| past.local(at)),
            "policy": { "before": before, "after": after },
            "changed": self.changed().count(),
            "changes": self.changes(),
            "tickets": self.changed().map(ticket).collect::<Vec<_>>(),
            "corrected": { "total": self.corrected, "before": figures(&self.before), "after": figures(&self.after) },
            "missed": self.missed.iter().map(|mail| ticket(mail)).collect::<Vec<_>>(),
        })
    }

    fn page(&self, past: &Past<'_>, candidate: bool) -> String {
        let changed = self.changed().count();
        let judged = self.judged.len();
        let against = if candidate { "the candidate" } else { "the present policy" };
        let mut lines = vec![format!(
            "{judged} mails: {} come out the same, {changed} otherwise by {against}",
            judged - changed
        )];
        if self.unread > 0 {
            lines.push(format!("{} could not be read", self.unread));
        }
        if changed > 0 {
            lines.push(String::new());
            lines.push(self.matrix());
            lines.push(String::new());
            let mut tickets = table(&["ticket", "was", "is", "by", "subject"]);
            for mail in self.changed().take(MOST_TICKETS) {
                let by = mail.after.rule.clone().unwrap_or_else(|| "-".to_owned());
                let follow_up = if mail.opened { "" } else { " (follow-up)" };
                tickets.add_row([
                    past.name(mail.ticket),
                    mail.before.word().to_owned(),
                    mail.after.word().to_owned(),
                    by,
                    format!("{}{follow_up}", shown(&mail.subject)),
                ]);
            }
            lines.push(tickets.to_string());
            if changed > MOST_TICKETS {
                lines.push(format!("and {} more: --json has them all", changed - MOST_TICKETS));
            }
        }
        if self.corrected > 0 {
            lines.push(String::new());
            lines.push(self.against_people());
        }
        for mail in &self.missed {
            let by = mail.after.rule.as_deref().unwrap_or("no rule");
            let name = past.name(mail.ticket);
            let (subject, is) = (shown(&mail.subject), mail.after.word());
            lines.push(format!(
                "missed: {name} «{subject}» is high, a person said, and comes out as {is} ({by})"
            ));
        }
        lines.join("\n")
    }

    fn matrix(&self) -> String {
        let changes = self.changes();
        let mut lines = table(&[&["was"], IMPACTS.as_slice()].concat());
        for from in IMPACTS {
            let count = |to| changes.get(from).and_then(|row| row.get(to)).copied();
            let cell = |to| if to == from { "-".to_owned() } else { count(to).unwrap_or(0).to_string() };
            lines.add_row([vec![from.to_owned()], IMPACTS.map(cell).to_vec()].concat());
        }
        lines.to_string()
    }

    fn against_people(&self) -> String {
        let mut lines = table(&["said", "mails", "precision before", "after", "recall before", "after"]);
        for impact in ["high", "medium", "low"] {
            let of = |score: &Score| score.per_impact.get(impact).copied().unwrap_or_default();
            let (before, after) = (of(&self.before), of(&self.after));
            lines.add_row([
                impact.to_owned(),
                after.support.to_string(),
                format!("{:.3}", before.precision),
                format!("{:.3}", after.precision),
                format!("{:.3}", before.recall),
                format!("{:.3}", after.recall),
            ]);
        }
        format!(
            "against {} tickets of which people said what they are: {} right before, {} after\n{lines}",
            self.corrected, self.before.correct, self.after.correct
        )
    }
}

fn figures(score: &Score) -> serde_json::Value {
    json!({ "correct": score.correct, "accuracy": score.accuracy, "per_impact": score.per_impact })
}
