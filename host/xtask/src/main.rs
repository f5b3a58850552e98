//! `cargo xtask`: set-up and the project's own chores, each one command on a
//! fresh machine. It builds and starts things; it is no part of the node.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "steps are timed for the reader; nothing is decided by the time"
)]

mod commands;
mod languages;
mod peers;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND [ARGUMENTS]

  setup    install the guest toolchain and build the functions
             --toolchain rustup|debian   use this one, rather than what is there
  languages  install the compilers of the functions in JavaScript, Python and Go, and
             build these functions
  demo     set up, then run a node with config/demo.toml in front of a demo origin
  test     set up, then run every test; arguments go to `cargo test` of the node's
           workspace, and the functions' own tests are left out then
  bench    set up (nginx, wrk and redis-server are installed if missing), then run the benches;
           arguments go to `cargo bench`
  soak     a node under mixed load, for ten minutes, and a report
             --seconds N                 for so long
             disk-kill                   instead: 100 times, kill a node while its cache
                                         writes to a disk
             chaos [--seconds N]         instead: ten hostile functions beside ten healthy ones,
                                         for ten minutes
             swaps [--count N]           instead: a function swapped 1,000 times under load
  versus   compare with others: hits with nginx, functions with wasmtime and workerd (which are
           installed into target/peers if missing); arguments go to the benches
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match command.as_str() {
        "setup" => commands::setup(rest),
        "languages" => commands::languages(),
        "demo" => commands::demo(rest),
        "test" => commands::test(rest),
        "soak" => commands::soak(rest),
        "bench" => commands::bench(rest),
        "versus" => commands::versus(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nerror: {message}");
            ExitCode::FAILURE
        }
    }
}
