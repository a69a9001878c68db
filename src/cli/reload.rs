//! `acuse reload`: the policy's files are checked here, and put in force by the daemon that runs.

use std::time::Duration;

use serde_json::json;

use super::context::{Context, for_people, rfc3339, tell, tell_if_no_local_dir};
use super::report::{Code, Done, Failure};
use crate::config::{Config, ConfigError, Secrets};
use crate::daemon;
use crate::policy::Policy;
use crate::store::{Generation, Reloaded, Store};

/// How soon an answer is seen. The daemon sees the question within a second, and reads the files in less.
const LOOK: Duration = Duration::from_millis(50);
/// So many looks, and nobody waits any longer: half a minute.
const LOOKS: usize = 600;

/// Checks the policy, hands it to the daemon and waits until it is in force.
pub fn reload(context: &Context) -> Done {
    let config = context.config(Secrets::Skip)?;
    tell_if_no_local_dir(&config);
    let policy = match config.policy() {
        Ok(policy) => policy,
        Err(error) => return Err(refused(context, &config, &error)),
    };
    if !is_running(&config)? {
        return Err(no_daemon(&config, &policy));
    }
    let mut store = context.store(&config)?;
    let now = daemon::clock::now();
    let (before, row) = store.transaction(|tx| Ok((tx.in_force()?, tx.ask_reload(now)?)))?;
    match answer(&store, row, &config, &policy)? {
        Reloaded::Refused(report) => {
            tell(report);
            Err(stays("the daemon read other files, which are wrong"))
        }
        Reloaded::InForce(generation) if generation.hash != policy.hash => Err(other(&generation, &policy)),
        Reloaded::InForce(generation) => {
            let changed = before.is_none_or(|before| before.number != generation.number);
            report(context, &generation, &policy, changed)
        }
    }
}

/// What is in force now, and whether that is new.
fn report(context: &Context, generation: &Generation, policy: &Policy, changed: bool) -> Done {
    let Generation { number, hash, since, by } = generation;
    let since = policy.calendar.to_local(*since);
    if context.json {
        return context.json(&json!({
            "generation": number, "hash": hash, "since": rfc3339(&since), "by": by, "changed": changed,
        }));
    }
    let rules = policy.rules.rules().count();
    context.line(if changed {
        format!("policy {number} ({hash}) is in force: {rules} rules")
    } else {
        format!("nothing changed: policy {number} ({hash}) is in force since {}", for_people(&since))
    })
}

/// Waits for the daemon's answer.
fn answer(store: &Store, row: i64, config: &Config, policy: &Policy) -> Result<Reloaded, Failure> {
    for _ in 0..LOOKS {
        if let Some(answer) = store.read(|tx| tx.reload_answer(row))? {
            return Ok(answer);
        }
        if !is_running(config)? {
            return Err(no_daemon(config, policy));
        }
        std::thread::sleep(LOOK);
    }
    Err(Failure::new(Code::TryAgain, "the daemon has not answered")
        .hint("its log says why; the files are right, and it reads them as soon as it can"))
}

/// Prints what is wrong, and notes it for the administrator: the daemon may not start with these files.
fn refused(context: &Context, config: &Config, error: &ConfigError) -> Failure {
    if let Ok(mut store) = context.store(config) {
        let noted = store.transaction(|tx| tx.policy_refused(&error.summary(), daemon::clock::now()));
        drop(noted); // what counts is printed
    }
    tell(error.report());
    stays("these files are wrong")
}

fn stays(why: &str) -> Failure {
    Failure::new(Code::Config, format!("{why}: the policy in force stays"))
        .hint("put them right and reload; `acuse check` shows every problem without changing anything")
}

fn is_running(config: &Config) -> Result<bool, Failure> {
    daemon::is_held(&config.state_dir).map_err(|error| {
        Failure::new(Code::Io, error.to_string())
            .hint("run it as the daemon's user: sudo -u acuse acuse reload")
    })
}

fn no_daemon(config: &Config, policy: &Policy) -> Failure {
    let message = format!("no daemon runs on {}", config.state_dir.display());
    let hint = format!("the policy {} is right, and takes effect when the daemon starts", policy.hash);
    Failure::new(Code::Unavailable, message).hint(hint)
}

fn other(generation: &Generation, policy: &Policy) -> Failure {
    let Generation { number, hash, .. } = generation;
    let message =
        format!("the daemon has policy {number} ({hash}) in force, and these files are {}", policy.hash);
    Failure::new(Code::Config, message).hint(
        "restart it if acuse.toml names other directories since it started, or acuse was upgraded; \
         if a file was saved meanwhile, reload again",
    )
}
