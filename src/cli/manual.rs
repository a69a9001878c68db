//! `acuse completions` and `acuse man`: made from the command line's own types.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::report::{Code, Done, Failure};

/// `acuse completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that reads them
    #[arg(value_enum)]
    shell: Shell,
}

/// `acuse man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// An existing directory for them: a page for each command, such as acuse.1 and acuse-tickets-list.1
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Prints what a shell completes a command line with.
pub fn completions(args: &CompletionsArgs) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "acuse", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

/// Writes the manual's pages.
pub fn man(args: &ManArgs) -> Done {
    clap_mangen::generate_to(Cli::command(), &args.directory).map_err(|why| {
        let message = format!("the pages cannot be written to {}: {why}", args.directory.display());
        Failure::new(Code::Usage, message).hint("name a directory that is there and may be written to")
    })
}
