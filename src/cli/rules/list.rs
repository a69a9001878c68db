//! `acuse rules list`: the rules in force, in the order in which they decide.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::super::context::{Context, table};
use super::super::report::{Code, Done, Failure};
use crate::config::Config;
use crate::problem::did_you_mean;
use crate::rules::{Field, RuleSet, RuleSummary};
use crate::store::Hits;

/// So many columns the list takes: what beats a rule may be long.
const WIDTH: u16 = 140;

/// `acuse rules list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Show this rule whole
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// Show every rule whole: phrases, what sets it aside, examples, where it is defined
    #[arg(long)]
    phrases: bool,
}

/// A rule and what the kept mails say of it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    rule: RuleSummary<'a>,
    /// `None` without a database.
    hits: Option<Hits>,
}

/// Lists the rules: of those that stand, the first listed decides.
pub fn list(context: &Context, config: Option<&Config>, rules: &RuleSet, args: &ListArgs) -> Done {
    let hits = match config.filter(|config| config.has_database()) {
        Some(config) => Some(context.store(config)?.read(|tx| tx.rule_hits())?),
        None => None,
    };
    let of = |id: &str| {
        hits.as_ref().map(|hits: &BTreeMap<String, Hits>| hits.get(id).copied().unwrap_or_default())
    };
    let mut all: Vec<Listed<'_>> = rules.rules().map(|rule| Listed { hits: of(rule.id), rule }).collect();
    all.sort_by_key(|listed| Reverse(listed.rule.impact));
    if let Some(wanted) = &args.rule {
        if !all.iter().any(|listed| listed.rule.id == wanted) {
            let near = did_you_mean(wanted, all.iter().map(|listed| listed.rule.id));
            let hint = near.unwrap_or_else(|| "`acuse rules list` prints every rule".to_owned());
            return Err(Failure::new(Code::Usage, format!("there is no rule `{wanted}`")).hint(hint));
        }
        all.retain(|listed| listed.rule.id == wanted);
    }
    if context.json {
        return context.json(&all);
    }
    if args.phrases || args.rule.is_some() {
        let pages: Vec<String> = all.iter().map(|listed| page(context, listed)).collect();
        return context.line(pages.join("\n\n"));
    }
    let mut lines = table(&["rule", "impact", "case", "phrases", "stood", "decided", "beaten by"]);
    lines.set_content_arrangement(comfy_table::ContentArrangement::Dynamic).set_width(WIDTH);
    for Listed { rule, hits } in &all {
        let count = |of: fn(&Hits) -> u32| hits.as_ref().map_or("-".to_owned(), |hits| of(hits).to_string());
        let id = if rule.shadow { format!("{} (shadow)", rule.id) } else { rule.id.to_owned() };
        lines.add_row([
            id.as_str(),
            rule.impact.as_str(),
            rule.case,
            &rule.phrases.len().to_string(),
            &count(|hits| hits.stood),
            &count(|hits| hits.decided),
            &rule.beaten_by.join(", "),
        ]);
    }
    context.line(format!(
        "{lines}\nof those that stand the first listed decides; what beats a rule sets it aside before"
    ))
}

/// One rule whole.
fn page(context: &Context, listed: &Listed<'_>) -> String {
    let Listed { rule, hits } = listed;
    let shadow = if rule.shadow { ", in the shadow: it decides nothing" } else { "" };
    let head = format!("{} ({}, {}{shadow})", context.strong(rule.id), rule.impact, rule.case);
    let mut lines = vec![head, format!("  defined      {}:{}", rule.file, rule.line)];
    let mut row = |name: &str, entries: &[&str]| {
        let named = std::iter::once(name).chain(std::iter::repeat(""));
        lines.extend(entries.iter().zip(named).map(|(entry, name)| format!("  {name:<13}{entry}")));
    };
    if rule.fields.len() < Field::ALL.len() {
        let fields: Vec<&str> = rule.fields.iter().map(|field| field.as_str()).collect();
        row("reads only", &fields);
    }
    if !rule.negatable {
        row("negatable", &["no: \"no es …\" counts too"]);
    }
    row("any", &rule.phrases);
    row("unless", &rule.unless);
    row("silenced by", &rule.silenced_by);
    row("beats", &rule.beats);
    row("beaten by", &rule.beaten_by);
    row("yes", &rule.yes);
    row("no", &rule.no);
    if let Some(hits) = hits {
        let verb = if rule.shadow { "would have decided" } else { "decided" };
        row("stood", &[&format!("in {} mails, of which it {verb} {}", hits.stood, hits.decided)]);
    }
    lines.join("\n")
}
