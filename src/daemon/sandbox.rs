//! What a daemon of this configuration needs once it is mounted.

use crate::config::{Config, HsmChoice};
use crate::error::Result;
use crate::sys::{Confinement, Sandbox};
use std::path::PathBuf;

/// The configuration of SoftHSM2, unless SOFTHSM2_CONF names another (softhsm2.conf(5)).
const SOFTHSM_CONF: &str = "/etc/softhsm/softhsm2.conf";

/// Restricts the process.
///
/// # Errors
/// `io` when the kernel refuses what it knows.
pub(super) fn enter(config: &Config) -> Result<Confinement> {
    let confinement = needed(config).enter()?;
    log::info!("event=sandboxed files={} calls={}", confinement.files, confinement.calls);
    Ok(confinement)
}

/// What came of it, for `status`.
pub(super) fn shown(confinement: Confinement) -> &'static str {
    match confinement {
        Confinement { files: true, calls: true } => "files and system calls",
        Confinement { files: true, calls: false } => "files",
        Confinement { files: false, calls: true } => "system calls",
        Confinement { files: false, calls: false } => "none: the kernel knows none",
    }
}

fn needed(config: &Config) -> Sandbox {
    let mut sandbox = Sandbox {
        // Of this process, and of those whose reads are waiting: whether a signal ends the wait.
        readable: vec!["/proc".into()],
        writable: vec![config.state_dir.clone(), "/dev/fuse".into(), "/dev/null".into()],
        sockets: false,
    };
    sandbox.writable.extend(config.backing_dirs.iter().cloned());
    sandbox.writable.extend(config.mount.sandbox_also.iter().cloned());
    match &config.kms.hsm {
        // Read once, but a key can be opened again only from where it lies.
        HsmChoice::Soft { root_key_file, .. } => sandbox.readable.push(root_key_file.clone()),
        HsmChoice::Pkcs11 { .. } => {
            // A module is foreign code, started again whenever its token was away: what it reads
            // is not known, but for what it writes to. It may speak to a reader or a host.
            sandbox.readable.push("/".into());
            sandbox.sockets = true;
            sandbox.writable.extend(soft_tokens());
        }
    }
    sandbox
}

/// Where the tokens of SoftHSM2 lie, if it is configured.
fn soft_tokens() -> Option<PathBuf> {
    let file = std::env::var_os("SOFTHSM2_CONF").unwrap_or_else(|| SOFTHSM_CONF.into());
    directory_of_tokens(&std::fs::read_to_string(file).ok()?)
}

fn directory_of_tokens(conf: &str) -> Option<PathBuf> {
    let value = conf.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "directories.tokendir").then(|| value.trim())
    })?;
    let path = PathBuf::from(value);
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::{directory_of_tokens, needed};
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn the_directory_of_soft_tokens_is_read_from_its_configuration() {
        let conf =
            "# comment\nlog.level = ERROR\ndirectories.tokendir = /var/lib/softhsm/tokens/\n";
        let found = directory_of_tokens(conf).unwrap();
        assert_eq!(found, Path::new("/var/lib/softhsm/tokens"));
        assert!(directory_of_tokens("directories.tokendir = here").is_none());
        assert!(directory_of_tokens("").is_none());
    }

    #[test]
    fn what_the_configuration_names_is_left_to_the_daemon_and_nothing_else() {
        let text = "mountpoint = '/m'\nstate_dir = '/s'\nbacking_dirs = ['/b']\n[mount]\n\
                    sandbox_also = ['/a']\n[kms]\nroot_key_file = '/r'\n";
        let config = Config::parse(text, Path::new("/mount.toml")).unwrap();
        let needed = needed(&config);
        let of = |paths: &[std::path::PathBuf]| {
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>()
        };
        let writable = ["/s", "/dev/fuse", "/dev/null", "/b", "/a"];
        assert_eq!(of(&needed.writable), writable);
        assert_eq!(of(&needed.readable), ["/proc", "/r"]);
        assert!(!needed.sockets);
    }
}
