//! The `acuse` command: parse, run, exit with its code.

fn main() {}
