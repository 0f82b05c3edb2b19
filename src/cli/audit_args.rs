//! The arguments of `evsfs audit`.

use super::args::SecretArgs;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum AuditCommand {
    /// Show the audit log
    Show {
        /// Go on showing entries as they come; with --json one object a line
        #[arg(short, long)]
        follow: bool,
    },
    /// Find out whether the audit log is whole; ends with exit code 7 if it is not
    Verify(AuditVerifyArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct AuditVerifyArgs {
    /// Verify the log of this configuration's state directory, which is not mounted
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub secret: SecretArgs,
}
