//! What an operator types: one file per noun.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod ack;
mod attachments;
mod calendar;
mod check;
pub mod context;
mod customers;
mod db;
mod explain;
mod ingest;
mod inspect;
mod login;
mod mailbox;
mod manual;
mod outbox;
mod quarantine;
mod reload;
pub mod report;
mod rules;
mod run;
mod sla;
mod tickets;

use context::Context;
use report::{Code, Done, Failure};

use crate::ingest::STACK;

/// Reads support mailboxes, opens tickets, and acknowledges each sender with the response time of their plan.
#[derive(Debug, Parser)]
#[command(name = "acuse", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Global {
    /// The configuration [default: /etc/acuse/acuse.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// A directory whose files stand for the shipped policy's of the same name
    #[arg(long, value_name = "DIR", global = true)]
    policy: Option<PathBuf>,
    /// Take this for the present time, so that output can be repeated
    #[arg(long, value_name = "TIME", global = true)]
    now: Option<String>,
    /// Print JSON for other programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create the state directory, the database and the thread key
    Init,
    /// Run the daemon until SIGTERM
    Run(run::RunArgs),
    /// Check the policy's files and put them in force in the running daemon; wrong ones change nothing
    Reload,
    /// Check configuration, rules, plans, calendar and texts: every problem at once
    Check,
    /// Take in one mail, as an MTA's pipe delivers it; exits with 0 or 75 and nothing else
    Ingest(ingest::IngestArgs),
    /// Show what is read in a mail; nothing is decided
    Inspect(inspect::InspectArgs),
    /// Show the whole decision on a mail, a ticket or a text, and why
    Explain(explain::ExplainArgs),
    /// Try the rules
    #[command(subcommand)]
    Rules(rules::RulesVerb),
    /// Work out response times
    #[command(subcommand)]
    Sla(sla::SlaVerb),
    /// Show business hours and holidays
    #[command(subcommand)]
    Calendar(calendar::CalendarVerb),
    /// Try the acknowledgements
    #[command(subcommand)]
    Ack(ack::AckVerb),
    /// List and show tickets
    #[command(subcommand)]
    Tickets(tickets::TicketsVerb),
    /// List, show and set the customer directory
    #[command(subcommand)]
    Customers(customers::CustomersVerb),
    /// List and show the acknowledgements; try them again, drop them, let them go; sign in to the relay
    #[command(subcommand)]
    Outbox(outbox::OutboxVerb),
    /// List, sign in, pause, resume and rescan the mailboxes
    #[command(subcommand)]
    Mailbox(mailbox::MailboxVerb),
    /// List the mails that were set aside
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineVerb),
    /// Check and copy the database
    #[command(subcommand)]
    Db(db::DbVerb),
    /// Print an example of the configuration
    #[command(subcommand)]
    Config(manual::ConfigVerb),
    /// Print what a shell completes command lines of acuse with
    Completions(manual::CompletionsArgs),
    /// Write the manual's pages, one for each command
    Man(manual::ManArgs),
}

/// Runs a command line; what it has to say of errors goes to stderr.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    panic_in_one_line();
    let arguments: Vec<_> = arguments.into_iter().collect();
    // an MTA bounces the customer's mail on any code but 75, so that even a misspelt option must be 75 there
    let is_ingest = verb(&arguments).is_some_and(|verb| verb == "ingest");
    let (done, code) = match Cli::try_parse_from(arguments) {
        Ok(cli) => match apart(|| run(cli)) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => (failure.to_string(), failure.code as u8),
        },
        Err(error) if !error.use_stderr() => {
            drop(error.print()); // --help and --version: a closed pipe is no failure
            return ExitCode::SUCCESS;
        }
        Err(error) => (error.render().to_string(), Code::Usage as u8),
    };
    if !done.trim().is_empty() {
        use std::io::Write as _;
        drop(writeln!(std::io::stderr().lock(), "{}", done.trim_end())); // nowhere left to complain to
    }
    ExitCode::from(if is_ingest { Code::TryAgain as u8 } else { code })
}

/// Runs a command on a thread with a reader's stack, for most of them read mails; a panic there is a failure like any
/// other.
fn apart(command: impl FnOnce() -> Done + Send + 'static) -> Done {
    let thread = std::thread::Builder::new().name("command".to_owned()).stack_size(STACK).spawn(command)?;
    thread.join().unwrap_or_else(|_| {
        Err(Failure::new(Code::Software, "acuse panicked, at the place named above")
            .hint("this is an error in acuse: please report that line"))
    })
}

/// What a panic says may quote a mail, over several lines; where it was says enough (I16, I17).
fn panic_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        use std::io::Write as _;
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        drop(writeln!(std::io::stderr().lock(), "thread '{name}' panicked at {place}"));
    }));
}

/// The verb of a command line, be the rest of it right or wrong.
fn verb(arguments: &[std::ffi::OsString]) -> Option<&std::ffi::OsString> {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--config" | "--policy" | "--now") => drop(rest.next()),
            Some(option) if option.starts_with('-') => {}
            _ => return Some(argument),
        }
    }
    None
}

fn run(cli: Cli) -> Done {
    let Global { config, policy, now, json } = cli.global;
    let context = Context { config, policy, now, json };
    match cli.verb {
        Verb::Init => run::init(&context),
        Verb::Run(args) => run::run(&context, &args),
        Verb::Reload => reload::reload(&context),
        Verb::Check => check::check(&context),
        Verb::Ingest(args) => ingest::ingest(&context, &args),
        Verb::Inspect(args) => inspect::inspect(&context, &args),
        Verb::Explain(args) => explain::explain(&context, &args),
        Verb::Rules(verb) => rules::rules(&context, &verb),
        Verb::Sla(verb) => sla::sla(&context, &verb),
        Verb::Calendar(verb) => calendar::calendar(&context, &verb),
        Verb::Ack(verb) => ack::ack(&context, &verb),
        Verb::Tickets(verb) => tickets::tickets(&context, &verb),
        Verb::Customers(verb) => customers::customers(&context, &verb),
        Verb::Outbox(verb) => outbox::outbox(&context, &verb),
        Verb::Mailbox(verb) => mailbox::mailbox(&context, &verb),
        Verb::Quarantine(verb) => quarantine::quarantine(&context, &verb),
        Verb::Db(verb) => db::db(&context, &verb),
        Verb::Config(verb) => manual::config(&verb),
        Verb::Completions(args) => manual::completions(&args),
        Verb::Man(args) => manual::man(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure() {
        let failure = apart(|| panic!("a parser's")).unwrap_err();
        assert_eq!(failure.code, Code::Software);
        assert!(apart(|| Ok(())).is_ok());
    }
}
