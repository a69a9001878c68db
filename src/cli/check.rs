//! `acuse check`: everything that the operator wrote, every problem at once.

use super::context::Context;
use super::report::{Code, Done, Failure};
use crate::config::{ConfigError, Secrets};
use crate::policy::{Policy, PolicyFiles};
use crate::problem::{self, Problem, Severity};

/// Checks configuration and policy; problems go to stderr, and make the exit code 78.
pub fn check(context: &Context) -> Done {
    let (config, mut problems) = match context.load(Secrets::Read) {
        Ok(loaded) => (Some(loaded.config), loaded.warnings),
        Err(ConfigError::Wrong(problems)) => (None, problems),
        Err(error) => return Err(error.into()),
    };
    let files = match &config {
        Some(_) => context.policy_files(config.as_ref())?,
        None => PolicyFiles::shipped(),
    };
    let (policy, found) = Policy::prove(&files);
    problems.extend(found);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if context.json {
        context.json(&problems.iter().map(row).collect::<Vec<_>>())?;
    } else if !problems.is_empty() {
        context.line(problem::report(&problems, false).trim_end())?;
    }
    if errors > 0 {
        let problems = if errors == 1 { "problem" } else { "problems" };
        return Err(Failure::new(Code::Config, format!("{errors} {problems}")));
    }
    if let (Some(policy), false) = (policy, context.json) {
        let (rules, warnings) = (policy.rules.rules().count(), problems.len());
        context.line(format!("good: {rules} rules, policy {}, {warnings} warnings", policy.hash))?;
    }
    Ok(())
}

fn row(problem: &Problem) -> serde_json::Value {
    serde_json::json!({
        "file": problem.source.name,
        "level": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": problem.message,
        "hint": problem.hint,
    })
}
