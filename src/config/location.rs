//! Where `mount.toml` lies.

use crate::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The configuration of the machine.
const SYSTEM_FILE: &str = "/etc/evsfs/mount.toml";

/// The file to read: the one `given` (`-c`), else `$EVSFS_CONFIG`, else `/etc/evsfs/mount.toml` for
/// root and `~/.config/evsfs/mount.toml` (`$XDG_CONFIG_HOME` honoured) for others. The file need
/// not exist.
///
/// # Errors
/// `invalid` when a user who is not root has no home directory to look in.
pub fn locate(given: Option<&Path>) -> Result<PathBuf> {
    choose(given, rustix::process::geteuid().is_root(), |name| std::env::var_os(name))
}

fn choose(
    given: Option<&Path>,
    is_root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    if let Some(path) = set("EVSFS_CONFIG") {
        return Ok(path);
    }
    if is_root {
        return Ok(PathBuf::from(SYSTEM_FILE));
    }
    // The XDG base directory specification says to ignore a relative path here.
    let directory = set("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".config")));
    match directory {
        Some(directory) => Ok(directory.join("evsfs/mount.toml")),
        None => Err(Error::new(ErrorKind::Invalid, "no home directory to look for mount.toml in")
            .remedy("name the file: -c FILE, or EVSFS_CONFIG=FILE")),
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    fn with<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    #[test]
    fn the_most_explicit_name_of_the_file_wins() {
        let all = [("EVSFS_CONFIG", "/e"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        let given = choose(Some(Path::new("here")), true, with(&all)).unwrap();
        assert_eq!(given, PathBuf::from("here"));
        assert_eq!(choose(None, true, with(&all)).unwrap(), PathBuf::from("/e"));
        let no_variable = &all[1..];
        assert_eq!(
            choose(None, true, with(no_variable)).unwrap(),
            PathBuf::from("/etc/evsfs/mount.toml")
        );
        assert_eq!(
            choose(None, false, with(no_variable)).unwrap(),
            PathBuf::from("/x/evsfs/mount.toml")
        );
        assert_eq!(
            choose(None, false, with(&all[2..])).unwrap(),
            PathBuf::from("/h/.config/evsfs/mount.toml")
        );
        assert!(choose(None, false, with(&[("EVSFS_CONFIG", "")])).is_err());
    }
}
