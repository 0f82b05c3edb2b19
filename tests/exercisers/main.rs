//! Long and mixed use of disks through a mount, as file systems and databases use block devices; all
//! that is read is what was written.
//!
//! `EVSFS_SLOW=1` runs the long forms; docs/RELIABILITY.md has their figures.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod detach;
mod file_systems;
mod fio;
mod fsx;
mod many;
mod memory;
mod sharing;

#[path = "../trouble/amount.rs"]
mod amount;
#[path = "../support/mod.rs"]
mod support;

/// A figure for docs/RELIABILITY.md.
fn report(line: &str) {
    println!("{line}");
}

fn main() -> std::process::ExitCode {
    if let Some(work) = sharing::work_of_this_process() {
        work();
        return std::process::ExitCode::SUCCESS;
    }
    let trials = [
        fsx::trials(),
        fio::trials(),
        sharing::trials(),
        file_systems::trials(),
        many::trials(),
        detach::trials(),
        memory::trials(),
    ];
    support::run_trials(trials.into_iter().flatten().collect())
}
