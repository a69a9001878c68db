//! `acuse init` and `acuse run`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::DumpableBehavior;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::report::{Code, Done, Failure};
use crate::config::Secrets;
use crate::daemon;

/// How long a thread that waits for the network may keep the process from its end.
const PARTING: Duration = Duration::from_secs(5);

/// `acuse run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// How much to log: error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: tracing::Level,
}

/// Makes the state directory ready.
pub fn init(context: &Context) -> Done {
    let config = context.config(Secrets::Skip)?;
    daemon::init(&config.state_dir)?;
    context.line(format!("{} is ready: database and thread key", config.state_dir.display()))
}

/// Runs the daemon until SIGTERM or SIGINT; SIGHUP has it read the policy anew.
pub fn run(context: &Context, args: &RunArgs) -> Done {
    log_to_stderr(args.log)?;
    // I16: no core to be written, no memory to be read, by others than root
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(std::io::Error::from)?;
    let config = context.config(Secrets::Read)?;
    if config.mailboxes.is_empty() {
        return Err(Failure::new(Code::Config, "there is no [[mailbox]] to watch")
            .hint("README.md shows an example; without one, `acuse ingest` takes mails from an MTA's pipe"));
    }
    let policy = context.policy(Some(&config))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    let ran = runtime.block_on(async {
        let (mut terminate, mut interrupt, mut hangup) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        );
        let (asked, rung) = (stop.clone(), Arc::new(Notify::new()));
        let ring = Arc::clone(&rung);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hangup.recv() => ring.notify_one(),
                }
            }
            asked.cancel();
        });
        Ok::<_, Failure>(daemon::run(config, policy, stop, rung).await?)
    });
    runtime.shutdown_timeout(PARTING); // a request for a token may be under way, and its answer has to be kept
    ran
}

/// One line per event. Libraries that could show a password or a mail stay at `warn`, whatever is asked (I16).
fn log_to_stderr(level: tracing::Level) -> Done {
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,acuse={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init()
        .map_err(|error| Failure::new(Code::Io, format!("cannot log: {error}")))
}
