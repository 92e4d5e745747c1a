//! Prevention under test: `jinwu-vm agent` holds the security hooks as an agent does, `jinwu-vm suite` has containers
//! try what policies refuse, and says for each try whether it went as it should.
#![forbid(unsafe_code)]

mod agent;
mod ask;
mod checks;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("agent") => agent::run().map(|()| true),
        Some("suite") => checks::run(),
        _ => Err(anyhow::anyhow!("jinwu-vm agent | suite")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("FAIL {error:#}");
            ExitCode::FAILURE
        }
    }
}
