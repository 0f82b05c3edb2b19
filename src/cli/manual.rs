//! `evsfs completions` and `evsfs man`: what shells and `man` know of the commands, made from the
//! arguments themselves, so that neither can tell of a verb that is not there.

use super::args::Args;
use super::failure::{Failure, Outcome};
use super::pages;
use super::session::Session;
use crate::error::Error;
use clap::CommandFactory;
use serde_json::json;
use std::path::Path;

/// Prints the completions for a shell.
pub(super) fn print_completions(session: &mut Session<'_>, shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "evsfs", &mut script);
    session.stdout.write_all(&script).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Error::io("writing the completions to stdout", cause).into(),
    })
}

/// Writes `evsfs.1`, `evsfs-disk-create.1` and so on, `mount.evsfs.8` and `mount.toml.5`, in place of
/// what has these names.
pub(super) fn write_pages(session: &mut Session<'_>, directory: &Path) -> Outcome {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Args::command(), directory))
        .and_then(|()| std::fs::write(directory.join("mount.evsfs.8"), pages::mount_helper()?))
        .and_then(|()| std::fs::write(directory.join("mount.toml.5"), pages::configuration()?))
        .map_err(|cause| Error::io(format!("writing pages into {}", directory.display()), cause))?;
    let first = directory.join("evsfs.1");
    session.answer(&json!({ "page": first }), |_| {
        format!("The pages are written; read with: man {}\n", first.display())
    })
}
