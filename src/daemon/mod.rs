//! The parts put together.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// What `init` is told.
#[derive(Debug)]
pub struct InitOptions {
    /// What kind of root key to make.
    pub root_key: RootKeyKind,
}

/// Kinds of root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKeyKind {
    /// A file.
    File,
}

/// What `init` made.
#[derive(Debug)]
pub struct InitReport {
    /// Files and directories made.
    pub created: Vec<PathBuf>,
}

/// The mount answers.
#[derive(Debug)]
pub struct Ready {
    /// The daemon's process.
    pub pid: u32,
    /// Where it serves.
    pub mountpoint: PathBuf,
}

/// What `check` found.
#[derive(Debug)]
pub struct CheckReport {
    /// Records looked at.
    pub checked: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something wrong in a state directory.
#[derive(Debug)]
pub struct Finding {
    /// Where.
    pub file: PathBuf,
    /// What.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Makes a state directory.
///
/// # Errors
/// Always `unsupported`.
pub fn init(_config: &Config, _options: InitOptions) -> Result<InitReport> {
    Err(unsupported())
}

/// Serves a mount.
///
/// # Errors
/// Always `unsupported`.
pub fn serve(_config: Config, _announce: &mut dyn FnMut(Ready)) -> Result<()> {
    Err(unsupported())
}

/// Checks a state directory.
///
/// # Errors
/// Always `unsupported`.
pub fn check(_config: &Config, _repair: bool) -> Result<CheckReport> {
    Err(unsupported())
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "this build has no daemon")
}
