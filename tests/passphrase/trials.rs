//! The trials.

use crate::support::{Mount, Needs, Output, Setup, run, trial};
use crate::terminal::at_a_terminal;
use libtest_mimic::Trial;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_mount_under_a_passphrase_opens_with_it_and_not_without",
            Needs::Fuse,
            a_mount_under_a_passphrase_opens_with_it_and_not_without,
        ),
        trial(
            "a_person_is_asked_twice_for_a_new_one_and_again_for_a_wrong_one",
            Needs::Fuse,
            a_person_is_asked_twice_for_a_new_one_and_again_for_a_wrong_one,
        ),
        trial(
            "the_passphrase_is_in_no_argument_and_no_environment_of_the_daemon",
            Needs::Fuse,
            the_passphrase_is_in_no_argument_and_no_environment_of_the_daemon,
        ),
        trial(
            "a_changed_passphrase_opens_the_same_disks_and_the_old_one_none",
            Needs::Fuse,
            a_changed_passphrase_opens_the_same_disks_and_the_old_one_none,
        ),
        trial(
            "a_plain_root_key_can_be_given_a_passphrase_later",
            Needs::Fuse,
            a_plain_root_key_can_be_given_a_passphrase_later,
        ),
    ]
}

const PASSPHRASE: &str = "correct horse battery staple";

/// A state directory whose root key is under [`PASSPHRASE`], not mounted.
fn prepared() -> (Mount, PathBuf) {
    let mount = Setup::default().prepare();
    std::fs::remove_dir_all(mount.state_dir()).unwrap();
    let config = std::fs::read_to_string(mount.config_path()).unwrap();
    std::fs::write(mount.config_path(), config + "[kms]\npassphrase = true\n").unwrap();
    let file = secret_file(&mount, "passphrase", PASSPHRASE);
    with(&mount, "init", &["--root-key", "passphrase", "--passphrase-file", text(&file)]).ok();
    (mount, file)
}

fn with(mount: &Mount, command: &str, options: &[&str]) -> Output {
    let mut all: Vec<&str> = command.split(' ').collect();
    let config = mount.config_path();
    all.extend_from_slice(&["-c", text(&config)]);
    all.extend_from_slice(options);
    mount.evsfs_plain(&all)
}

fn secret_file(mount: &Mount, name: &str, secret: &str) -> PathBuf {
    mount.secret_file(name, format!("{secret}\n").as_bytes())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn a_mount_under_a_passphrase_opens_with_it_and_not_without() {
    let (mount, file) = prepared();
    // Nothing to ask on: refused, saying how it can be given.
    let refusal = with(&mount, "mount", &[]).refused(2);
    assert!(refusal.contains("\nfix: --passphrase-file FILE"), "{refusal}");
    let wrong = secret_file(&mount, "wrong", "correct horse battery stapler");
    let refusal = with(&mount, "mount", &["--passphrase-file", text(&wrong)]).refused(6);
    assert!(refusal.contains("does not open") && refusal.contains("wrong-secret"), "{refusal}");
    with(&mount, "check", &["--passphrase-file", text(&wrong)]).refused(6);
    // A file others can read is no secret.
    std::fs::set_permissions(&wrong, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refusal = with(&mount, "mount", &["--passphrase-file", text(&wrong)]).refused(6);
    assert!(refusal.contains("\nfix: chmod 600 "), "{refusal}");

    with(&mount, "mount", &["--passphrase-file", text(&file)]).ok();
    mount.evsfs(&["agency", "create"]).ok();
    let disk = mount.attached_disk("db", "1M", &["--encrypted"]);
    std::fs::write(disk, b"kept").unwrap();
    mount.stop();
    with(&mount, "check", &["--passphrase-file", text(&file)]).ok();
    // From a descriptor, here one that a shell opened.
    let shell = format!(
        "{} mount -c {} --passphrase-fd 7 7<{}",
        mount.program(),
        mount.config_path().display(),
        file.display()
    );
    run("sh", &["-c", &shell]).ok();
    assert_eq!(&std::fs::read(mount.mountpoint().join("db")).unwrap()[..4], b"kept");
    mount.stop();
    // From the service manager.
    std::fs::copy(&file, mount.scratch().join("evsfs-passphrase")).unwrap();
    let shell = format!(
        "CREDENTIALS_DIRECTORY={} {} mount -c {}",
        mount.scratch().display(),
        mount.program(),
        mount.config_path().display()
    );
    run("sh", &["-c", &shell]).ok();
    mount.stop();
}

fn a_person_is_asked_twice_for_a_new_one_and_again_for_a_wrong_one() {
    let (mount, _) = prepared();
    std::fs::remove_dir_all(mount.state_dir()).unwrap();
    let config = mount.config_path();
    let arguments = |command: &'static str| [command, "-c", text(&config)];
    let (first, second) = ("New passphrase: ", "New passphrase again: ");
    let seen =
        at_a_terminal(mount.program(), &arguments("init"), &[(first, "one"), (second, "other")]);
    assert_eq!(seen.code, 2, "{}", seen.stderr);
    assert!(!mount.state_dir().join("hsm/root.key").exists());
    let typed = [(first, PASSPHRASE), (second, PASSPHRASE)];
    let seen = at_a_terminal(mount.program(), &arguments("init"), &typed);
    assert_eq!((seen.code, seen.echoed.as_str()), (0, ""), "{}", seen.stderr);

    let typed = [("Passphrase: ", "x"), ("once more\nPassphrase: ", "y")];
    let seen = at_a_terminal(mount.program(), &arguments("mount"), &typed);
    assert_eq!(seen.code, 6, "{}", seen.stderr);
    assert!(seen.stdout.is_empty());
    let typed = [("Passphrase: ", "x"), ("once more\nPassphrase: ", PASSPHRASE)];
    let seen = at_a_terminal(mount.program(), &arguments("mount"), &typed);
    assert_eq!((seen.code, seen.echoed.as_str()), (0, ""), "{}", seen.stderr);
    assert!(seen.stdout.starts_with("mounted "), "{}", seen.stdout);
    mount.stop();
}

fn the_passphrase_is_in_no_argument_and_no_environment_of_the_daemon() {
    let (mount, file) = prepared();
    with(&mount, "mount", &["--passphrase-file", text(&file)]).ok();
    let process = PathBuf::from(format!("/proc/{}", mount.pid()));
    for part in ["cmdline", "environ"] {
        // As long as the daemon cannot be looked at by others, only root can look here.
        let Ok(bytes) = std::fs::read(process.join(part)) else { continue };
        let words = PASSPHRASE.as_bytes();
        assert!(!bytes.windows(words.len()).any(|part| part == words), "{part}");
    }
    if let Ok(stdin) = std::fs::read_link(process.join("fd/0")) {
        assert_eq!(stdin, Path::new("/dev/null"));
    }
    mount.stop();
}

fn a_changed_passphrase_opens_the_same_disks_and_the_old_one_none() {
    let (mount, file) = prepared();
    let new = secret_file(&mount, "new", "tr0ub4dor&3");
    let change = ["--passphrase-file", text(&file), "--new-passphrase-file", text(&new)];
    with(&mount, "mount", &["--passphrase-file", text(&file)]).ok();
    mount.evsfs(&["agency", "create"]).ok();
    mount.attached_disk("db", "1M", &["--encrypted"]);
    // A daemon lives.
    with(&mount, "hsm change-passphrase", &change).refused(4);
    mount.stop();
    let wrong = ["--passphrase-file", text(&new), "--new-passphrase-file", text(&new)];
    with(&mount, "hsm change-passphrase", &wrong).refused(6);
    with(&mount, "hsm change-passphrase", &change).ok();
    with(&mount, "mount", &["--passphrase-file", text(&file)]).refused(6);
    with(&mount, "mount", &["--passphrase-file", text(&new)]).ok();
    assert!(mount.mountpoint().join("db").exists());
    mount.stop();
}

fn a_plain_root_key_can_be_given_a_passphrase_later() {
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &["--encrypted"]);
    mount.stop();
    let new = secret_file(&mount, "new", PASSPHRASE);
    let changed = with(&mount, "hsm change-passphrase", &["--new-passphrase-file", text(&new)]);
    assert!(changed.stderr.contains("set passphrase = true"), "{}", changed.stderr);
    changed.ok();
    let refusal = with(&mount, "mount", &[]).refused(7);
    assert!(refusal.contains("\nfix: set passphrase = true"), "{refusal}");
    let config = std::fs::read_to_string(mount.config_path()).unwrap();
    std::fs::write(mount.config_path(), config + "[kms]\npassphrase = true\n").unwrap();
    with(&mount, "mount", &["--passphrase-file", text(&new)]).ok();
    assert!(mount.mountpoint().join("db").exists());
    mount.stop();
}
