//! `acuse rules check`: what is wrong or hardly meant in the policy, without trying it on anything but kept mail.

use super::super::check::show;
use super::super::context::{Context, tell};
use super::super::report::{Done, Failure};
use crate::config::Config;
use crate::ingest::{self, Reading};
use crate::policy::Policy;
use crate::problem::{Problem, any_error};
use crate::rules::Breadth;
use crate::store::Role;
use crate::triage;

/// So many of the latest mails say how common a phrase is.
const LATEST: u32 = 2000;

/// Prints every problem of every file of the policy; errors are findings, warnings are not.
pub fn check(context: &Context) -> Done {
    let config = context.named_config()?;
    let (policy, mut problems) = Policy::compile(&context.policy_files(config.as_ref())?);
    if let Some(policy) = &policy {
        problems.extend(self::problems(context, config.as_ref(), policy)?);
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
    policy: &Policy,
) -> Result<Vec<Problem>, Failure> {
    let mut problems = policy.rules.check();
    if let Some(config) = config.filter(|config| config.has_database()) {
        let mut breadth = Breadth::new(&policy.rules);
        context.store(config)?.read(|tx| {
            tx.kept(None, Some(LATEST), |mail| {
                if mail.role == Some(Role::Message) {
                    triage::with_text(&ingest::read(&mail.raw, Reading::Whole), |text| breadth.read(text));
                }
                Ok(())
            })
        })?;
        problems.extend(breadth.problems());
    }
    Ok(problems)
}
