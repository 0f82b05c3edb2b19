//! The arguments of `evsfs hsm`.

use super::args::SecretArgs;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum HsmCommand {
    /// Put the root key under another passphrase, or under one for the first time
    ChangePassphrase(ChangePassphraseArgs),
    /// Move all keys from the software HSM into a token; can be interrupted and repeated
    Migrate(MigrateArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    /// The present configuration, with hsm = "soft"
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The new configuration of the same state directory, with hsm = "pkcs11"
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Say what would move, after all checks but those that need something made in the token, and move
    /// nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub secret: SecretArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct ChangePassphraseArgs {
    /// The configuration [default: $EVSFS_CONFIG, /etc/evsfs/mount.toml, ~/.config/evsfs/mount.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The present passphrase
    #[command(flatten)]
    pub secret: SecretArgs,
    /// Take the new passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// Take the new passphrase from the first line of this open descriptor
    #[arg(long, value_name = "N", conflicts_with = "new_passphrase_file")]
    pub new_passphrase_fd: Option<i32>,
}
