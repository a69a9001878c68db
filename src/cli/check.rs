//! `acuse check`: everything that the operator wrote, every problem at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::context::{Context, shown};
use super::report::{Code, Done, Failure};
use super::rules::check as rules;
use crate::config::{self, Config, ConfigError, Secrets};
use crate::notify::Topic;
use crate::plan::Clock;
use crate::policy::Policy;
use crate::problem::{Problem, Severity, Source, any_error};
use crate::store::DATABASE;

/// So many customers are named.
const NAMED: usize = 5;

/// Checks configuration and policy, and whether the directory fits them; an error makes the exit code 78.
pub fn check(context: &Context) -> Done {
    let (config, mut problems) = match context.load(Secrets::Read) {
        Ok(loaded) => (Some(loaded.config), loaded.warnings),
        Err(ConfigError::Wrong(problems)) => (None, problems),
        Err(error) => return Err(error.into()),
    };
    let files = match &config {
        Some(config) => context.policy_files(Some(config))?,
        None => config::policy_files_despite(&context.config_path())?,
    };
    let (policy, found) = Policy::compile(&files);
    problems.extend(found);
    if let Some(policy) = &policy {
        problems.extend(rules::problems(context, config.as_ref(), &files, policy)?);
        if let Some(config) = &config {
            problems.extend(unstaffed(context, config, policy));
            problems.extend(unserved(context, config, policy)?);
        }
    }
    show(context, &problems)?;
    if any_error(&problems) {
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        let word = if errors == 1 { "problem" } else { "problems" };
        return Err(Failure::new(Code::Config, format!("{errors} {word}")));
    }
    if let (Some(policy), false) = (policy, context.json) {
        let (rules, warnings) = (policy.rules.rules().count(), problems.len());
        context.line(format!("good: {rules} rules, policy {}, {warnings} warnings", policy.hash))?;
    }
    Ok(())
}

/// Something is promised around the clock, the staff's hours are not, and nobody is told.
fn unstaffed(context: &Context, config: &Config, policy: &Policy) -> Option<Problem> {
    let mut windows = policy.plans.plans.iter().flat_map(|plan| plan.windows);
    let promised = windows.any(|window| window.clock == Clock::Always);
    let told = config.notify.iter().any(|notify| notify.on.contains(&Topic::HighImpact));
    if !promised || told || policy.calendar.is_always_open() {
        return None;
    }
    Some(warning(
        &context.config_path(),
        "answers are promised around the clock, the working hours cover a part of the week, and nobody is notified",
        "[[notify]] with mail = [\"…\"] reaches a person, also at night",
    ))
}

/// Customers of a plan that `plans.toml` has no longer are served as if they had none.
fn unserved(context: &Context, config: &Config, policy: &Policy) -> Result<Option<Problem>, Failure> {
    if !config.has_database() {
        return Ok(None);
    }
    let now = context.now(policy.calendar.zone())?;
    let rows = context.store(config)?.read(|tx| tx.customers(None))?;
    let unserved: BTreeMap<&str, &str> = rows
        .iter()
        .filter(|row| policy.plans.plan(&row.plan).is_none() && row.until.is_none_or(|until| now < until))
        .map(|row| (row.key.as_str(), row.plan.as_str()))
        .collect();
    let mut named: Vec<String> =
        unserved.iter().take(NAMED).map(|(key, plan)| format!("{} ({})", shown(key), shown(plan))).collect();
    if unserved.len() > NAMED {
        named.push(format!("… and {} more", unserved.len() - NAMED));
    }
    let customers = match unserved.len() {
        0 => return Ok(None),
        1 => "1 customer has".to_owned(),
        count => format!("{count} customers have"),
    };
    Ok(Some(warning(
        &config.state_dir.join(DATABASE),
        &format!(
            "{customers} a plan that is not in plans.toml, which counts for no more than the default {}: {}",
            policy.plans.default.id,
            named.join(", ")
        ),
        "put the plan back, or give them another: `acuse customers set KEY --plan …`, or import the directory anew",
    )))
}

fn warning(file: &Path, message: &str, hint: &str) -> Problem {
    Problem {
        source: Arc::new(Source { name: file.display().to_string(), text: String::new() }),
        span: None,
        severity: Severity::Warning,
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    }
}

/// Prints the problems as people or programs read them (docs/json.md), in the order of the files.
pub fn show(context: &Context, problems: &[Problem]) -> Done {
    if context.json {
        let mut sorted: Vec<&Problem> = problems.iter().collect();
        sorted.sort_by_key(|problem| problem.place());
        return context.json(&sorted.into_iter().map(row).collect::<Vec<_>>());
    }
    match crate::problem::report(problems, context.colours()).trim_end() {
        "" => Ok(()),
        report => context.line(report),
    }
}

fn row(problem: &Problem) -> serde_json::Value {
    let (line, column) = problem.line_and_column().unzip();
    serde_json::json!({
        "file": problem.source.name,
        "line": line,
        "column": column,
        "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": problem.message,
        "hint": problem.hint,
    })
}
