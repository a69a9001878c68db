//! `acuse completions`, `acuse man` and `acuse config example`: made from the command line's own types, and from the one
//! page on the configuration, whose keys a test compares with the types that read them.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, roman};

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
    /// Where man looks: man1/acuse.1, man1/acuse-tickets-list.1 and so on are written below it, and man5/acuse.toml.5
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// `acuse config …`
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print a configuration with every key there is, its meaning and its default
    Example,
}

const EXAMPLE: &str = include_str!("../../acuse.example.toml");

/// Prints what a shell completes a command line with.
pub fn completions(args: &CompletionsArgs) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "acuse", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

/// Prints the example.
pub fn config(verb: &ConfigVerb) -> Done {
    match verb {
        ConfigVerb::Example => Ok(std::io::stdout().lock().write_all(EXAMPLE.as_bytes())?),
    }
}

/// Writes the manual's pages.
pub fn man(args: &ManArgs) -> Done {
    write_pages(&args.directory).map_err(|why| {
        let message = format!("the pages cannot be written to {}: {why}", args.directory.display());
        Failure::new(Code::Usage, message).hint("name a directory that is there and may be written to")
    })
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    let [commands, files] = ["man1", "man5"].map(|section| directory.join(section));
    for section in [&commands, &files] {
        match std::fs::create_dir(section) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    clap_mangen::generate_to(Cli::command(), &commands)?;
    let mut page = Roff::new();
    page.control("TH", ["acuse.toml", "5"])
        .control("SH", ["NAME"])
        .text([roman(
            "acuse.toml - the configuration of acuse, in /etc/acuse/acuse.toml unless --config names another",
        )])
        .control("SH", ["EVERY KEY"])
        .control("nf", []); // as written, not filled
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []).control("SH", ["SEE ALSO"]).text([roman("acuse(1), acuse-check(1)")]);
    std::fs::write(files.join("acuse.toml.5"), page.to_roff())
}
