//! `acuse rules check`: what is wrong or hardly meant in the policy, without trying it on anything but kept mail.

use super::super::check::show;
use super::super::context::{Context, tell};
use super::super::report::{Done, Failure};
use super::stored::{Past, Which};
use crate::config::Config;
use crate::policy::{Policy, PolicyFiles};
use crate::problem::{Problem, any_error};
use crate::rules::Breadth;
use crate::triage;

/// So many of the latest mails say how common a phrase is.
const LATEST: u32 = 2000;

/// Prints every problem of every file of the policy; errors are findings, warnings are not.
pub fn check(context: &Context) -> Done {
    let config = context.named_config()?;
    let files = context.policy_files(config.as_ref())?;
    let (policy, mut problems) = Policy::compile(&files);
    if let Some(policy) = &policy {
        problems.extend(self::problems(context, config.as_ref(), &files, policy)?);
    }
    show(context, &problems)?;
    if any_error(&problems) {
        return Err(Failure::findings());
    }
    if let (Some(policy), false) = (policy, context.json) {
        tell(format!("good: {} rules, {} warnings", policy.rules.rules().count(), problems.len()));
    }
    Ok(())
}

/// What is found in a policy that compiles; where a configuration with a database is given, in its latest mails too.
pub fn problems(
    context: &Context,
    config: Option<&Config>,
    files: &PolicyFiles,
    policy: &Policy,
) -> Result<Vec<Problem>, Failure> {
    let mut problems = policy.rules.check(|source| files.is_shipped(source));
    if let Some(config) = config.filter(|config| config.has_database()) {
        let store = context.store(config)?;
        let past = Past { context, config, policy, store: &store };
        let latest = Which { since: None, limit: Some(LATEST) };
        let (mails, _) = past
            .read(latest, |_, message| triage::with_text(message, |text| policy.rules.phrases_found(text)))?;
        let mut breadth = Breadth::new(&policy.rules);
        mails.iter().for_each(|mail| breadth.add(mail));
        problems.extend(breadth.problems());
    }
    Ok(problems)
}
