//! `acuse rules`: trying the rules before they are in force.

use clap::Subcommand;

use super::check::show;
use super::context::{Context, tell_if_no_local_dir};
use super::report::{Done, Failure};
use crate::rules::RuleSet;

mod backtest;
mod cases;
pub mod check;
mod learn;
mod list;
mod score;
mod stats;
mod stored;
mod unmatched;

/// `acuse rules …`
#[derive(Debug, Subcommand)]
pub enum RulesVerb {
    /// Check every file of the policy: every problem at once, and what is hardly meant
    Check,
    /// Run every rule's yes and no lines under the whole policy
    Test,
    /// List the rules in force, in the order in which they decide
    List(list::ListArgs),
    /// List the cases that a rule may name, and the rules that give each
    Cases,
    /// Compare the rules with labelled mails, one JSON object a line
    Score(score::ScoreArgs),
    #[command(flatten)]
    Stored(stored::StoredVerb),
}

/// Checks, tests, lists or scores the rules.
pub fn rules(context: &Context, verb: &RulesVerb) -> Done {
    let config = context.named_config()?;
    if let (RulesVerb::Check | RulesVerb::Test, Some(config)) = (verb, &config) {
        tell_if_no_local_dir(config);
    }
    if matches!(verb, RulesVerb::Check) {
        return check::check(context); // a policy that does not compile is what it is for
    }
    let policy = context.policy(config.as_ref())?;
    let rules = &policy.rules;
    match verb {
        RulesVerb::Stored(verb) => stored::stored(context, verb),
        RulesVerb::Check => Ok(()),
        RulesVerb::Test => test(context, rules),
        RulesVerb::List(args) => list::list(context, config.as_ref(), rules, args),
        RulesVerb::Cases => cases::cases(context, rules),
        RulesVerb::Score(args) => score::score(context, rules, args),
    }
}

fn test(context: &Context, rules: &RuleSet) -> Done {
    let failures: Vec<_> = rules.run_examples().into_iter().map(|failure| failure.problem).collect();
    if context.json || !failures.is_empty() {
        show(context, &failures)?;
    }
    let lines: usize = rules.rules().map(|rule| rule.yes.len() + rule.no.len()).sum();
    match failures.len() {
        0 if context.json => Ok(()),
        0 => {
            let rules = rules.rules().count();
            context
                .line(format!("every yes and no line of {rules} rules comes out as it says ({lines} lines)"))
        }
        wrong => {
            if !context.json {
                context.line(format!("{wrong} of {lines} lines come out otherwise"))?;
            }
            Err(Failure::findings())
        }
    }
}
