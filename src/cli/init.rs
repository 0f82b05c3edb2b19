//! `evsfs init`: a configuration, a state directory, a root key, a mountpoint.

use super::args::InitArgs;
use super::failure::Outcome;
use super::secret_source::Source;
use super::session::Session;
use crate::config::{Config, HsmChoice, RootKeyProtection, locate};
use crate::daemon;
use crate::daemon::HsmSecret;
use crate::error::{Error, ErrorKind, Result};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The paths of the example, which a new configuration replaces.
const EXAMPLE_MOUNTPOINT: &str = "/mnt/evs";
const EXAMPLE_STATE_DIR: &str = "/var/lib/evsfs";

/// Makes what is missing and says what to type next.
pub(super) fn run(session: &mut Session<'_>, args: &InitArgs) -> Outcome {
    let file = std::path::absolute(locate(args.config.as_deref())?)
        .map_err(|cause| Error::io("finding the working directory", cause))?;
    let mut created = Vec::new();
    let config = match Config::load(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let config = write_config(&file, args)?;
            created.push(file.clone());
            config
        }
        loaded => agreeing(loaded?, args)?,
    };
    let secret = match daemon::needed_secret(&config) {
        Some(kind) => {
            let source = Source::of(session, &args.secret, kind.name())?;
            Some(match kind {
                HsmSecret::Passphrase => source.take_new(session, kind.name())?,
                // The token has it already.
                HsmSecret::Pin => source.take(session, "Pin: ")?,
            })
        }
        None => None,
    };
    created.extend(daemon::init(&config, secret.as_ref())?.created);
    match make_mountpoint(&config.mountpoint) {
        Ok(true) => created.push(config.mountpoint.clone()),
        Ok(false) => {}
        Err(error) => session.note(&format!("note: {}", error.explained())),
    }
    let is_found_anyway = locate(None).is_ok_and(|found| found == file);
    let next = match file.to_str() {
        Some(file) if !is_found_anyway => format!("evsfs mount -c {}", shell_word(file)),
        _ => "evsfs mount".to_owned(),
    };
    let shown: Vec<String> = created.iter().map(|path| path.display().to_string()).collect();
    let value = json!({ "config": file.to_string_lossy(), "created": shown, "next": next });
    session.answer(&value, |_| {
        let made: String = shown.iter().map(|path| format!("made {path}\n")).collect();
        format!("{made}next: {next}\n")
    })
}

/// The kind of root key that a configuration asks for, in the words of `--root-key`.
fn root_key_kind(config: &Config) -> &'static str {
    match &config.kms.hsm {
        HsmChoice::Soft { protection: RootKeyProtection::FilePermissions, .. } => "file",
        HsmChoice::Soft { protection: RootKeyProtection::Passphrase, .. } => "passphrase",
        HsmChoice::Pkcs11 { .. } => "pkcs11",
    }
}

/// Refuses what the command line says and an existing configuration contradicts.
fn agreeing(config: Config, args: &InitArgs) -> Result<Config> {
    let pairs = [
        ("--mountpoint", &args.mountpoint, &config.mountpoint),
        ("--state-dir", &args.state_dir, &config.state_dir),
    ];
    for (option, given, configured) in pairs {
        if given.as_ref().is_some_and(|given| given != configured) {
            let file = config.file.display();
            let message =
                format!("{file} is there and says {configured:?}, not what {option} says");
            return Err(Error::new(ErrorKind::Exists, message)
                .remedy(format!("edit {file}, or make another with -c FILE")));
        }
    }
    let kind = root_key_kind(&config);
    if args.root_key.as_deref().is_some_and(|given| given != kind) {
        let file = config.file.display();
        let message = format!("{file} is there and asks for a root key of kind {kind:?}");
        return Err(Error::new(ErrorKind::Exists, message)
            .remedy(format!("edit the table [kms] of {file}, or make another with -c FILE")));
    }
    Ok(config)
}

/// Writes the example with the paths of this machine and user filled in.
fn write_config(file: &Path, args: &InitArgs) -> Result<Config> {
    let writing = |cause| Error::io(format!("writing {}", file.display()), cause);
    let (mountpoint, state_dir) = default_places();
    let mountpoint = absolute(args.mountpoint.clone().or(mountpoint), "--mountpoint")?;
    let state_dir = absolute(args.state_dir.clone().or(state_dir), "--state-dir")?;
    let kind = args.root_key.as_deref().unwrap_or("file");
    if kind == "pkcs11" {
        let message = "a new configuration cannot name a token that it does not know";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .remedy("write one with the table [kms] filled in, then: evsfs init -c FILE"));
    }
    let text = filled_in(Config::example(), &mountpoint, &state_dir, kind == "passphrase")?;
    // Checked before it is written, so that a bad path leaves no file behind.
    let config = Config::parse(&text, file)?;
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(writing)?;
    }
    let mut new = std::fs::File::create_new(file).map_err(writing)?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).map_err(writing)?;
    Ok(config)
}

/// Mountpoint and state directory for root, or for a user with a home directory.
fn default_places() -> (Option<PathBuf>, Option<PathBuf>) {
    if rustix::process::geteuid().is_root() {
        return (Some(EXAMPLE_MOUNTPOINT.into()), Some(EXAMPLE_STATE_DIR.into()));
    }
    let set =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    (set("HOME").map(|home| home.join("evs")), data.map(|data| data.join("evsfs")))
}

fn absolute(path: Option<PathBuf>, option: &str) -> Result<PathBuf> {
    let path = path.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "there is no home directory to put things into")
            .remedy(format!("say where: {option} DIR"))
    })?;
    std::path::absolute(&path)
        .map_err(|cause| Error::io(format!("finding the directory of {path:?}"), cause))
}

fn filled_in(
    example: &str,
    mountpoint: &Path,
    state_dir: &Path,
    has_passphrase: bool,
) -> Result<String> {
    let quoted = |path: &Path| {
        let text = path.to_str().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("the path {path:?} is not UTF-8"))
        })?;
        // A JSON string is a basic string of TOML.
        Ok(serde_json::Value::from(text).to_string())
    };
    let (mountpoint, root_key) = (quoted(mountpoint)?, quoted(&state_dir.join("hsm/root.key"))?);
    let state_dir = quoted(state_dir)?;
    let line = |line: &str| match line.split_once(" = ") {
        Some(("mountpoint", _)) => format!("mountpoint = {mountpoint}\n"),
        Some(("state_dir", _)) => format!("state_dir = {state_dir}\n"),
        Some(("# root_key_file", _)) => format!("# root_key_file = {root_key}\n"),
        Some(("# passphrase", value)) if has_passphrase => format!("passphrase = {value}\n"),
        _ => format!("{line}\n"),
    };
    Ok(example.lines().map(line).collect())
}

/// Makes the mountpoint, or says that it was there.
fn make_mountpoint(path: &Path) -> Result<bool> {
    // Not asked with `exists`, which says no of a mountpoint whose daemon has died.
    if std::fs::symlink_metadata(path).err().map(|cause| cause.kind())
        != Some(std::io::ErrorKind::NotFound)
    {
        return Ok(false);
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map(|()| true)
        .map_err(|cause| Error::io(format!("{} cannot be made", path.display()), cause))
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{filled_in, shell_word};
    use crate::config::Config;
    use std::path::Path;

    #[test]
    fn a_new_configuration_is_the_example_with_the_paths_filled_in() {
        let (mountpoint, state_dir) = (Path::new("/m \"x\""), Path::new("/s\\t"));
        let text = filled_in(Config::example(), mountpoint, state_dir, true).unwrap();
        let config = Config::parse(&text, Path::new("/f")).unwrap();
        assert_eq!(super::root_key_kind(&config), "passphrase");
        let text = filled_in(Config::example(), mountpoint, state_dir, false).unwrap();
        let config = Config::parse(&text, Path::new("/f")).unwrap();
        assert_eq!(super::root_key_kind(&config), "file");
        assert_eq!(
            (config.mountpoint.as_path(), config.state_dir.as_path()),
            (mountpoint, state_dir)
        );
        assert!(!text.contains("/var/lib/evsfs"), "a path of the example is left");
        assert_eq!(text.lines().count(), Config::example().lines().count());
    }

    #[test]
    fn a_path_with_blanks_is_quoted_for_the_shell() {
        assert_eq!(shell_word("/etc/evsfs/mount.toml"), "/etc/evsfs/mount.toml");
        assert_eq!(shell_word("/a b'c"), "'/a b'\\''c'");
    }
}
