//! Images and servers through the command line, on real mounts: the seed's Tables 2 and 3, and the
//! sentences I and V of docs/SEMANTICS.md.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod hostile;
mod life;
mod rig;
mod servers;
mod tables;

fn main() -> std::process::ExitCode {
    let trials =
        [tables::trials(), files::trials(), hostile::trials(), life::trials(), servers::trials()];
    support::run_trials(trials.into_iter().flatten().collect())
}
