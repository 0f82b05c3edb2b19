//! The command line and the control directory as people and scripts use them (INTERFACE sections
//! 1, 3 and 4), and who may use them (RULES A1 to A7).

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod backing;
mod bad_input;
mod bench;
mod check;
mod command_line;
mod control_files;
mod control_json;
mod damage;
mod dry_run;
mod events;
mod exit_codes;
mod import;
mod jobs;
mod mounting;
mod ordinary_user;
mod rig;
mod rotation;
mod service_user;
mod users;

fn main() -> std::process::ExitCode {
    let files = [
        command_line::trials(),
        exit_codes::trials(),
        control_files::trials(),
        control_json::trials(),
        bad_input::trials(),
        users::trials(),
        backing::trials(),
        bench::trials(),
        damage::trials(),
        dry_run::trials(),
        check::trials(),
        mounting::trials(),
        rotation::trials(),
        import::trials(),
        jobs::trials(),
        events::trials(),
        ordinary_user::trials(),
        service_user::trials(),
    ];
    support::run_trials(files.into_iter().flatten().collect())
}
