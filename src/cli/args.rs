//! The tree of commands and their arguments (INTERFACE section 4).

use super::agency_args::AgencyCommand;
use super::audit_args::AuditCommand;
use super::backup_args::BackupCommand;
use super::bench_args::BenchArgs;
use super::disk_args::DiskCommand;
use super::hsm_args::HsmCommand;
use super::image_args::ImageCommand;
use super::job_args::JobCommand;
use super::server_args::ServerCommand;
use super::watch_args::{DoctorArgs, StatusArgs, TopArgs};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  evsfs init && evsfs mount             make a state directory, mount it
  evsfs agency create                   let EVS use the KMS, once in a project
  evsfs disk create db --size 10G       make an encrypted disk
  evsfs disk attach db                  have it as a file in the mount
  evsfs status                          see everything at a glance

Times are shown in UTC. Exit codes: 0 ok, 1 internal, 2 usage, 3 not found, 4 wrong status or busy,
5 key unusable, 6 permission or agency, 7 integrity, 8 KMS unreachable, 9 no space or quota,
10 exists, 11 no mount.";

/// Encrypted virtual disks as files, attached and detached by the state of their keys.
#[derive(Debug, clap::Parser)]
#[command(name = "evsfs", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Global {
    /// Print the answer as JSON and nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// The mount to talk to [default: $EVSFS_MOUNT, else the only evsfs mount]
    #[arg(long, global = true, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Do not ask before destroying something or making it unreachable
    #[arg(long, global = true)]
    pub yes: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make the state directory and the root key, and a configuration if there is none
    Init(InitArgs),
    /// Mount, and return when the mount answers
    Mount(MountArgs),
    /// Unmount, and return when the daemon has ended
    Umount(UmountArgs),
    /// Show the whole mount at a glance, and what wants attention
    Status(StatusArgs),
    /// Show what disks, jobs and keys do, live
    Top(TopArgs),
    /// Look whether this machine and a configuration are fit for mounting, and say what helps
    Doctor(DoctorArgs),
    /// Create, attach, detach and delete disks
    #[command(subcommand)]
    Disk(DiskCommand),
    /// Copy disks as they are, and look after the copies
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Manage the keys that protect disks
    #[command(subcommand)]
    Key(KeyCommand),
    /// Let EVS use the KMS on behalf of the project's users
    #[command(subcommand)]
    Agency(AgencyCommand),
    /// See what the KMS was asked for, and by whom
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make, import, copy and export images, from which disks and servers are made
    #[command(subcommand)]
    Image(ImageCommand),
    /// Make, show and delete servers: a system disk from an image, and data disks
    #[command(subcommand)]
    Server(ServerCommand),
    /// Follow and cancel long work
    #[command(subcommand)]
    Job(JobCommand),
    /// Show what happens in the mount, as it happens; with --json one object a line
    Events {
        /// End after so many
        #[arg(short = 'n', long, value_name = "N")]
        count: Option<u64>,
    },
    /// Look after what protects all keys, while nothing is mounted
    #[command(subcommand)]
    Hsm(HsmCommand),
    /// Check a state directory that is not mounted: records, keys, the audit log, and every byte of its backups and images
    Check(CheckArgs),
    /// Measure the ciphers and the way of data on this machine
    Bench(BenchArgs),
    /// Print the completions for a shell
    Completions {
        /// Which: bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory, a page a command
    Man {
        /// Where to, made if it is missing
        directory: PathBuf,
    },
}

/// Where a passphrase or PIN is taken from; without any of them it is asked for at the terminal.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SecretArgs {
    /// Take the passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Take the passphrase from the first line of this open descriptor
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    pub passphrase_fd: Option<i32>,
    /// Take the PIN of a token from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
    /// Take the PIN of a token from the first line of this open descriptor
    #[arg(long, value_name = "N", conflicts_with = "pin_file")]
    pub pin_fd: Option<i32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The configuration [default: $EVSFS_CONFIG, /etc/evsfs/mount.toml, ~/.config/evsfs/mount.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the root key lives [default: as the configuration says, else file]
    #[arg(long, value_name = "KIND")]
    #[arg(value_parser = ["file", "passphrase", "pkcs11"])]
    pub root_key: Option<String>,
    #[command(flatten)]
    pub secret: SecretArgs,
    /// The mountpoint to write into a new configuration
    #[arg(long, value_name = "DIR")]
    pub mountpoint: Option<PathBuf>,
    /// The state directory to write into a new configuration
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct MountArgs {
    /// The configuration [default: $EVSFS_CONFIG, /etc/evsfs/mount.toml, ~/.config/evsfs/mount.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to mount, instead of the configuration's mountpoint
    pub mountpoint: Option<PathBuf>,
    /// Serve in the foreground, with the log on stderr
    #[arg(short, long)]
    pub foreground: bool,
    /// Mount options: allow_other; the usual words of mount(8) are accepted and ignored
    #[arg(short, value_name = "OPTS", value_delimiter = ',')]
    pub options: Vec<String>,
    #[command(flatten)]
    pub secret: SecretArgs,
    /// Check the configuration and the options, and do not mount
    #[arg(long, conflicts_with_all = ["foreground", "child"])]
    pub fake: bool,
    /// Serve as the child of a `mount` that waits for one line on stdout
    #[arg(long, hide = true, conflicts_with = "foreground")]
    pub child: bool,
    /// Unmount for a daemon that cannot, when it says so on stdin
    #[arg(long, hide = true, conflicts_with_all = ["foreground", "child"])]
    pub unmounter: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct UmountArgs {
    /// The mount to end [default: as for --mount]
    pub mountpoint: Option<PathBuf>,
    /// Unmount even while files are open; I/O through them fails from then on
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The configuration [default: $EVSFS_CONFIG, /etc/evsfs/mount.toml, ~/.config/evsfs/mount.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Repair what can be repaired without losing data
    #[arg(long)]
    pub repair: bool,
    /// Say what a repair would do, and change nothing
    #[arg(long, requires = "repair", conflicts_with = "accept")]
    pub dry_run: bool,
    /// Take all genuine records as they are, after a part of the state directory was put back from a
    /// copy on purpose; a key that was disabled or deleted since the copy is then what it was
    #[arg(long, conflicts_with = "repair")]
    pub accept: bool,
    #[command(flatten)]
    pub secret: SecretArgs,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum KeyCommand {
    /// Create a key
    Create {
        /// The new key's alias
        alias: String,
        /// Create it without material, to import your own
        #[arg(long)]
        external: bool,
        /// What the key is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List the keys
    List,
    /// Show a key
    Show {
        /// The key's alias
        alias: String,
    },
    /// Enable a disabled key
    Enable {
        /// The key's alias
        alias: String,
    },
    /// Disable a key: attached disks go on, detached ones cannot be attached
    Disable {
        /// The key's alias
        alias: String,
    },
    /// Delete a key after some days; its disks can then never be read again
    ScheduleDeletion {
        /// The key's alias
        alias: String,
        /// After how many days, 7 to 1096
        #[arg(long, value_name = "N")]
        days: u32,
        /// Say which disks, backups and images would be lost, and schedule nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Keep a key that is scheduled for deletion; it is disabled then
    CancelDeletion {
        /// The key's alias
        alias: String,
    },
    /// Give a key a new version, which protects new disks
    Rotate {
        /// The key's alias
        alias: String,
    },
    /// Let a key rotate by itself, or no longer
    Rotation {
        /// The key's alias
        alias: String,
        /// On or off
        switch: Switch,
        /// Every how many days, 30 to 365 [default: 365]
        #[arg(long, value_name = "N")]
        days: Option<u32>,
    },
    /// Make a one-time key to wrap your material under, and print its public part
    ImportParameters {
        /// The key's alias
        alias: String,
    },
    /// Give a key its material
    Import {
        /// The key's alias
        alias: String,
        /// A file of 32 raw bytes, or of their wrapped form
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The file is wrapped under the key's newest import key
        #[arg(long)]
        wrapped: bool,
        /// Insist on the import key with this token
        #[arg(long, requires = "wrapped")]
        token: Option<String>,
        /// Give the material up on this date, such as 2027-12-31
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
    },
    /// Give up imported material; the key then waits for the same material
    DeleteMaterial {
        /// The key's alias
        alias: String,
    },
    /// Destroy a key now whose deletion date has passed by a clock that was set forward
    ConfirmDeletion {
        /// The key's alias
        alias: String,
    },
    /// Give a key another alias
    SetAlias {
        /// The key's alias
        alias: String,
        /// Its new alias
        new_alias: String,
    },
    /// Describe what a key is for
    Describe {
        /// The key's alias
        alias: String,
        /// Up to 255 characters
        text: String,
    },
}

/// On or off.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

impl Command {
    /// What did not happen when this command was refused: the first line of the refusal.
    pub fn undone(&self) -> String {
        match self {
            Command::Init(_) => "nothing was initialised".to_owned(),
            Command::Mount(_) => "nothing was mounted".to_owned(),
            Command::Umount(_) => "nothing was unmounted".to_owned(),
            Command::Status(_) => "the status cannot be shown".to_owned(),
            Command::Top(_) => "what goes on cannot be shown".to_owned(),
            Command::Doctor(_) => "not everything is as it should be".to_owned(),
            Command::Image(command) => command.undone(),
            Command::Server(command) => command.undone(),
            Command::Job(command) => command.undone(),
            Command::Backup(command) => command.undone(),
            Command::Events { .. } => "the events cannot be shown".to_owned(),
            Command::Check(_) => "the check did not pass".to_owned(),
            Command::Bench(_) => "not everything was measured".to_owned(),
            Command::Completions { .. } => "the completions were not printed".to_owned(),
            Command::Man { .. } => "not all manual pages were written".to_owned(),
            Command::Audit(AuditCommand::Show { .. }) => "the audit log cannot be shown".to_owned(),
            Command::Audit(AuditCommand::Verify(_)) => "the audit log is not verified".to_owned(),
            Command::Hsm(HsmCommand::ChangePassphrase(_)) => {
                "the passphrase was not changed".to_owned()
            }
            Command::Hsm(HsmCommand::Migrate(_)) => "the keys were not moved".to_owned(),
            Command::Disk(command) => command.undone(),
            Command::Key(command) => command.undone(),
            Command::Agency(command) => command.undone().to_owned(),
        }
    }

    /// The words that name this command.
    pub fn path(&self) -> &'static str {
        match self {
            Command::Init(_) => "init",
            Command::Mount(_) => "mount",
            Command::Umount(_) => "umount",
            Command::Status(_) => "status",
            Command::Top(_) => "top",
            Command::Doctor(_) => "doctor",
            Command::Image(command) => command.path(),
            Command::Server(command) => command.path(),
            Command::Job(command) => command.path(),
            Command::Backup(command) => command.path(),
            Command::Events { .. } => "events",
            Command::Check(_) => "check",
            Command::Bench(_) => "bench",
            Command::Completions { .. } => "completions",
            Command::Man { .. } => "man",
            Command::Audit(AuditCommand::Show { .. }) => "audit show",
            Command::Audit(AuditCommand::Verify(_)) => "audit verify",
            Command::Hsm(HsmCommand::ChangePassphrase(_)) => "hsm change-passphrase",
            Command::Hsm(HsmCommand::Migrate(_)) => "hsm migrate",
            Command::Disk(command) => command.path(),
            Command::Key(KeyCommand::Create { .. }) => "key create",
            Command::Key(KeyCommand::List) => "key list",
            Command::Key(KeyCommand::Show { .. }) => "key show",
            Command::Key(KeyCommand::Enable { .. }) => "key enable",
            Command::Key(KeyCommand::Disable { .. }) => "key disable",
            Command::Key(KeyCommand::ScheduleDeletion { .. }) => "key schedule-deletion",
            Command::Key(KeyCommand::CancelDeletion { .. }) => "key cancel-deletion",
            Command::Key(KeyCommand::Rotate { .. }) => "key rotate",
            Command::Key(KeyCommand::Rotation { .. }) => "key rotation",
            Command::Key(KeyCommand::ImportParameters { .. }) => "key import-parameters",
            Command::Key(KeyCommand::Import { .. }) => "key import",
            Command::Key(KeyCommand::DeleteMaterial { .. }) => "key delete-material",
            Command::Key(KeyCommand::ConfirmDeletion { .. }) => "key confirm-deletion",
            Command::Key(KeyCommand::SetAlias { .. }) => "key set-alias",
            Command::Key(KeyCommand::Describe { .. }) => "key describe",
            Command::Agency(command) => command.path(),
        }
    }
}

impl KeyCommand {
    fn undone(&self) -> String {
        let (alias, what) = match self {
            KeyCommand::List => return "the keys cannot be listed".to_owned(),
            KeyCommand::Create { alias, .. } => (alias, "was not created"),
            KeyCommand::Show { alias } => (alias, "cannot be shown"),
            KeyCommand::Enable { alias } => (alias, "was not enabled"),
            KeyCommand::Disable { alias } => (alias, "was not disabled"),
            KeyCommand::ScheduleDeletion { alias, .. } => (alias, "was not scheduled for deletion"),
            KeyCommand::CancelDeletion { alias } => (alias, "is not saved from deletion"),
            KeyCommand::Rotate { alias } => (alias, "was not rotated"),
            KeyCommand::Rotation { alias, .. } => (alias, "rotates as before"),
            KeyCommand::ImportParameters { alias } => (alias, "has no import key"),
            KeyCommand::Import { alias, .. } => (alias, "was not given this material"),
            KeyCommand::DeleteMaterial { alias } => (alias, "keeps its material"),
            KeyCommand::ConfirmDeletion { alias } => (alias, "was not destroyed"),
            KeyCommand::SetAlias { alias, .. } => (alias, "was not renamed"),
            KeyCommand::Describe { alias, .. } => (alias, "was not described"),
        };
        format!("key {alias:?} {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::{CommandFactory, Parser};

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_documented_command_parses_and_knows_its_name() {
        for (line, path) in [
            ("evsfs init", "init"),
            ("evsfs init -c /f --root-key file --mountpoint /m --state-dir /s", "init"),
            ("evsfs mount", "mount"),
            ("evsfs mount -c /f /m -f -o allow_other,rw", "mount"),
            ("evsfs umount /m --force", "umount"),
            ("evsfs status --json", "status"),
            ("evsfs status --watch", "status"),
            ("evsfs status --watch 5", "status"),
            ("evsfs top --once --sort latency -i 0.5", "top"),
            ("evsfs doctor -c /f --json", "doctor"),
            ("evsfs --mount /m --json --yes disk list", "disk list"),
            ("evsfs disk list --mount /m --json --yes", "disk list"),
            ("evsfs disk create db --size 10G --encrypted --key finance", "disk create"),
            ("evsfs disk create db --size 10G --unencrypted --sector-size 512", "disk create"),
            ("evsfs disk create db --from backup:b --backing /dev/sdb", "disk create"),
            ("evsfs disk show db", "disk show"),
            ("evsfs disk attach db --read-only", "disk attach"),
            ("evsfs disk detach db --force", "disk detach"),
            ("evsfs disk extend db --size 20G", "disk extend"),
            ("evsfs disk rewrap db", "disk rewrap"),
            ("evsfs disk rewrap --all", "disk rewrap"),
            ("evsfs disk rewrap --all --limit 10 --no-wait", "disk rewrap"),
            ("evsfs disk rewrap --all --detach", "disk rewrap"),
            (
                "evsfs disk export-header db --format luks1 --output h --joined",
                "disk export-header",
            ),
            (
                "evsfs disk export-header db --format dk --output k --materialize --limit 1M",
                "disk export-header",
            ),
            ("evsfs disk import db --luks f --passphrase-file p --key a", "disk import"),
            ("evsfs disk import db --luks f --backing /srv/f@16M", "disk import"),
            ("evsfs disk import db --raw f --encrypted --key a --sector-size 512", "disk import"),
            ("evsfs image create web --disk db --limit 10M", "image create"),
            ("evsfs image import web f.qcow2 --encrypted --key a", "image import"),
            ("evsfs image copy web web2 --encrypted --no-wait", "image copy"),
            ("evsfs image export web f --format qcow2", "image export"),
            ("evsfs image list", "image list"),
            ("evsfs image show web", "image show"),
            ("evsfs image delete web --yes", "image delete"),
            ("evsfs server create web --image deb --data-disk name=a,size=1G", "server create"),
            ("evsfs server list", "server list"),
            ("evsfs server show web --qemu", "server show"),
            ("evsfs server delete web --with-data-disks --yes", "server delete"),
            ("evsfs job list --json", "job list"),
            ("evsfs job show 9b1d", "job show"),
            ("evsfs job watch 9b1d", "job watch"),
            ("evsfs job cancel 9b1d", "job cancel"),
            ("evsfs events -n 3", "events"),
            ("evsfs disk delete db --yes", "disk delete"),
            ("evsfs disk delete db --dry-run", "disk delete"),
            ("evsfs backup delete b --dry-run", "backup delete"),
            ("evsfs backup export b f --limit 10M", "backup export"),
            ("evsfs backup import b f --limit 10M", "backup import"),
            ("evsfs key create finance --description money", "key create"),
            ("evsfs key create finance --external", "key create"),
            ("evsfs key list", "key list"),
            ("evsfs key show evs/default", "key show"),
            ("evsfs key enable finance", "key enable"),
            ("evsfs key disable finance", "key disable"),
            ("evsfs key schedule-deletion finance --days 7", "key schedule-deletion"),
            ("evsfs key schedule-deletion finance --days 7 --dry-run", "key schedule-deletion"),
            ("evsfs key cancel-deletion finance", "key cancel-deletion"),
            ("evsfs key rotate finance", "key rotate"),
            ("evsfs key rotation finance on --days 90", "key rotation"),
            ("evsfs key rotation finance off", "key rotation"),
            ("evsfs key import-parameters finance", "key import-parameters"),
            ("evsfs key import finance --file /f --expires 2027-12-31", "key import"),
            ("evsfs key import finance --file /f --wrapped --token t", "key import"),
            ("evsfs key delete-material finance", "key delete-material"),
            ("evsfs key confirm-deletion finance --yes", "key confirm-deletion"),
            ("evsfs key set-alias finance money", "key set-alias"),
            ("evsfs key describe finance text", "key describe"),
            ("evsfs agency create", "agency create"),
            ("evsfs agency show", "agency show"),
            ("evsfs agency delete", "agency delete"),
            ("evsfs check --repair -c /f", "check"),
            ("evsfs check --repair --dry-run", "check"),
            ("evsfs init --root-key passphrase --passphrase-file /p", "init"),
            ("evsfs mount --passphrase-fd 3", "mount"),
            ("evsfs audit show --follow", "audit show"),
            ("evsfs audit verify -c /f --passphrase-file /p", "audit verify"),
            ("evsfs hsm change-passphrase -c /f", "hsm change-passphrase"),
            ("evsfs hsm migrate -c /f --to /g --pin-fd 3", "hsm migrate"),
            ("evsfs hsm migrate -c /f --to /g --dry-run", "hsm migrate"),
            (
                "evsfs hsm change-passphrase --passphrase-file /a --new-passphrase-fd 4",
                "hsm change-passphrase",
            ),
        ] {
            let args = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(args.command.path(), path, "{line}");
            assert!(!args.command.undone().is_empty(), "{line}");
        }
    }

    #[test]
    fn what_is_not_documented_does_not_parse() {
        for line in [
            "evsfs",
            "evsfs disk",
            "evsfs top --interval 0",
            "evsfs top --sort colour",
            "evsfs status --watch 100",
            "evsfs dsk list",
            "evsfs disk create db",
            "evsfs disk create --size 1G",
            "evsfs disk create db --size 1G --encrypted --unencrypted",
            "evsfs disk create db --size 1G --unencrypted --key a",
            "evsfs disk create db --size 1G --sector-size big",
            "evsfs disk extend db",
            "evsfs disk attach a b",
            "evsfs key schedule-deletion a",
            "evsfs key schedule-deletion a --days -1",
            "evsfs key schedule-deletion a --dry-run",
            "evsfs check --dry-run",
            "evsfs check --accept --dry-run",
            "evsfs backup delete b --dry-run --limit 1M",
            "evsfs disk import db",
            "evsfs disk import db --raw f --luks f",
            "evsfs disk import db --raw f --backing /srv/f",
            "evsfs disk import db --luks f --encrypted",
            "evsfs disk export-header db --format luks1",
            "evsfs disk export-header db --format luks3 --output h",
            "evsfs disk export-header db --format dk --output k --limit 1M",
            "evsfs disk rewrap",
            "evsfs disk rewrap db --all",
            "evsfs job",
            "evsfs job cancel",
            "evsfs key rotation a",
            "evsfs key rotation a maybe",
            "evsfs key import a",
            "evsfs key import a --file f --token t",
            "evsfs key set-alias a",
            "evsfs agency create x",
            "evsfs init --root-key paper",
            "evsfs mount -f --child",
            "evsfs mount --passphrase secret",
            "evsfs mount --passphrase-file /p --passphrase-fd 3",
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.use_stderr() && error.exit_code() == 2, "{line}: {error}");
        }
    }
}
