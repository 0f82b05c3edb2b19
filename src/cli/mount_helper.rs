//! `mount.evsfs`: what mount(8) calls for `mount -t evsfs` and for a line of /etc/fstab.
//!
//! It is this program under that name, and does what `evsfs mount` does: it returns when the mount
//! answers. Nothing is printed unless it is asked for or refused, and exit codes are those of mount(8).

use super::args::{Args, Command, Global, MountArgs, SecretArgs};
use clap::Parser;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The names under which this program is the helper.
const NAMES: [&str; 2] = ["mount.evsfs", "mount.fuse.evsfs"];

/// Mount an evsfs: a helper of mount(8)
#[derive(Debug, Parser)]
#[command(name = "mount.evsfs", version, max_term_width = 100, disable_version_flag = true)]
pub(super) struct HelperArgs {
    /// The configuration, such as /etc/evsfs/mount.toml
    pub config: PathBuf,
    /// Where to mount, instead of the configuration's mountpoint
    pub mountpoint: PathBuf,
    /// Mount options, see below
    #[arg(short, value_name = "OPTS", value_delimiter = ',')]
    pub options: Vec<String>,
    /// Pass over options that are not known
    #[arg(short)]
    pub sloppy: bool,
    /// Check everything and do not mount
    #[arg(short)]
    pub fake: bool,
    /// Accepted and ignored: there is no /etc/mtab to leave alone
    #[arg(short)]
    pub no_mtab: bool,
    /// Tell what was mounted
    #[arg(short)]
    pub verbose: bool,
    /// The type, evsfs or fuse.evsfs
    #[arg(short = 't', value_name = "TYPE", value_parser = ["evsfs", "fuse.evsfs"])]
    pub kind: Option<String>,
}

/// Whether this program was called as the helper.
pub(super) fn is_meant(called: &OsStr) -> bool {
    let name = Path::new(called).file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| NAMES.contains(&name))
}

/// What the helper's arguments ask of `evsfs mount`.
pub(super) struct Plan {
    pub args: Args,
    /// Whether what is answered is shown.
    pub is_verbose: bool,
}

/// Reads the arguments.
///
/// # Errors
/// What clap says of them.
pub(super) fn plan(arguments: Vec<OsString>) -> Result<Plan, clap::Error> {
    let helper = HelperArgs::try_parse_from(arguments)?;
    let mut secret = SecretArgs::default();
    let mut options = helper.options;
    options.retain(|option| match option.split_once('=') {
        Some(("passphrase_file", file)) => {
            secret.passphrase_file = Some(PathBuf::from(file));
            false
        }
        Some(("pin_file", file)) => {
            secret.pin_file = Some(PathBuf::from(file));
            false
        }
        _ => !helper.sloppy || super::mount::is_known(option),
    });
    let mount = MountArgs {
        config: Some(helper.config),
        mountpoint: Some(helper.mountpoint),
        foreground: false,
        options,
        secret,
        fake: helper.fake,
        child: false,
        unmounter: false,
    };
    let global = Global { json: false, mount: None, yes: false };
    let args = Args { global, command: Command::Mount(mount) };
    Ok(Plan { args, is_verbose: helper.verbose })
}

/// The exit code of mount(8) that says what ours does.
pub(super) const fn exit_code_of_mount(code: u8) -> u8 {
    match code {
        0 => 0,
        // Usage, or permissions.
        2 | 6 => 1,
        // A bug, or an error of the system.
        1 => 2,
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(line: &str) -> MountArgs {
        let plan = plan(line.split(' ').map(OsString::from).collect());
        match plan.unwrap().args.command {
            Command::Mount(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_helper_is_known_by_its_name() {
        for called in ["mount.evsfs", "/sbin/mount.evsfs", "/usr/sbin/mount.fuse.evsfs"] {
            assert!(is_meant(OsStr::new(called)), "{called}");
        }
        for called in ["evsfs", "/usr/bin/evsfs", "mount", ""] {
            assert!(!is_meant(OsStr::new(called)), "{called}");
        }
    }

    #[test]
    fn arguments_of_mount_become_those_of_evsfs_mount() {
        let args = mount("mount.evsfs /etc/evsfs/mount.toml /mnt/evs -s -n -v -o rw,allow_other");
        assert_eq!(args.config.as_deref(), Some(Path::new("/etc/evsfs/mount.toml")));
        assert_eq!(args.mountpoint.as_deref(), Some(Path::new("/mnt/evs")));
        assert_eq!(args.options, ["rw", "allow_other"]);
        assert!(!args.foreground && !args.fake);
        let args = mount("mount.evsfs a b -f -t fuse.evsfs -o _netdev -o pin_file=/p,nofail");
        assert!(args.fake);
        assert_eq!(args.options, ["_netdev", "nofail"]);
        assert_eq!(args.secret.pin_file.as_deref(), Some(Path::new("/p")));
    }

    #[test]
    fn sloppy_passes_over_what_is_not_known() {
        assert_eq!(mount("mount.evsfs a b -o what,nofail").options, ["what", "nofail"]);
        assert_eq!(mount("mount.evsfs a b -s -o what,nofail").options, ["nofail"]);
    }
}
