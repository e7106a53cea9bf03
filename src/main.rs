//! The program: parse, run, print the error chain.

fn main() {}
