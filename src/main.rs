//! The `acuse` command: parse, run, exit with its code.

fn main() -> std::process::ExitCode {
    acuse::cli::main(std::env::args_os())
}
