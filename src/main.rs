//! The program: parse, run, print the error chain.

use std::process::ExitCode;

fn main() -> ExitCode {
    anodiff::cli::main()
}
