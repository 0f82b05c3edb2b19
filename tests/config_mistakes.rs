//! One test a kind of mistake in `mount.toml`: each is refused with the file, the key, the reason.

#![allow(clippy::unwrap_used)]

use evsfs::config::{CacheMode, Config, HsmChoice, KernelChoice, Role, RootKeyProtection};
use evsfs::error::ErrorKind;
use evsfs::units::SectorSize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "/etc/evsfs/mount.toml";
const SMALLEST: &str = "mountpoint = \"/mnt/evs\"\nstate_dir = \"/var/lib/evsfs\"\n";

fn parse(text: &str) -> evsfs::error::Result<Config> {
    Config::parse(text, Path::new(FILE))
}

/// Parses the smallest file with `more` behind it.
fn with(more: &str) -> evsfs::error::Result<Config> {
    parse(&format!("{SMALLEST}{more}"))
}

/// Asserts that the message is the file, `key` and something with `reason` in it.
#[track_caller]
fn refused(outcome: evsfs::error::Result<Config>, key: &str, reason: &str) {
    let error = outcome.expect_err("the mistake is refused");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let start = if key.is_empty() { format!("{FILE}: ") } else { format!("{FILE}: {key}: ") };
    let message = error.message();
    assert!(message.starts_with(&start), "{message:?} does not start with {start:?}");
    assert!(message.contains(reason), "{message:?} does not say {reason:?}");
    assert!(!message.contains('\n'), "{message:?} has more than one line");
    assert!(error.suggested_remedy().is_some(), "{message:?} has no remedy");
}

#[test]
fn the_smallest_file_means_the_documented_defaults() {
    let config = with("").unwrap();
    assert_eq!(config.mountpoint, PathBuf::from("/mnt/evs"));
    assert_eq!((config.region.as_str(), config.project.as_str()), ("local", "default"));
    assert!(config.backing_dirs.is_empty() && config.users.is_empty());
    assert!(!config.mount.allow_other && config.mount.reattach);
    assert!(!config.mount.passthrough && !config.mount.direct_backing);
    assert_eq!((config.mount.threads, config.mount.cache), (0, CacheMode::Writeback));
    assert_eq!(config.mount.kernel, KernelChoice::Auto);
    assert_eq!(config.mount.shutdown_grace, Duration::from_secs(30));
    assert_eq!(
        config.kms.hsm,
        HsmChoice::Soft {
            root_key_file: PathBuf::from("/var/lib/evsfs/hsm/root.key"),
            protection: RootKeyProtection::FilePermissions,
        }
    );
    assert!(config.defaults.encryption && config.defaults.key.is_default());
    assert_eq!(config.defaults.sector_size, SectorSize::S4096);
}

#[test]
fn the_example_says_what_the_smallest_file_means() {
    assert_eq!(parse(Config::example()).unwrap(), with("").unwrap());
}

#[test]
fn the_user_of_the_example_is_a_user_once_its_lines_are_live() {
    let live: String = Config::example()
        .lines()
        .map(|line| {
            let shown = line.strip_prefix("# ").unwrap_or(line);
            let is_user = ["[[user]]", "name = ", "uid = ", "roles = "]
                .iter()
                .any(|start| shown.starts_with(start));
            format!("{}\n", if is_user { shown } else { line })
        })
        .collect();
    let config = parse(&live).unwrap();
    assert_eq!(config.users.len(), 1);
    assert_eq!((config.users[0].name.as_str(), config.users[0].uid.get()), ("app", 1000));
    assert_eq!(config.users[0].roles, [Role::EvsUser]);
}

#[test]
fn a_pkcs11_token_is_kept_as_it_is_named() {
    let config =
        with("[kms]\nhsm = \"pkcs11\"\nmodule = \"/m.so\"\ntoken = \"t\"\npin_file = \"/p\"")
            .unwrap();
    assert_eq!(
        config.kms.hsm,
        HsmChoice::Pkcs11 {
            module: PathBuf::from("/m.so"),
            token: "t".to_owned(),
            pin_file: Some(PathBuf::from("/p")),
        }
    );
}

#[test]
fn a_missing_file_is_not_found_and_names_the_way_to_make_one() {
    let directory = tempfile::tempdir().unwrap();
    let error = Config::load(&directory.path().join("mount.toml")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.suggested_remedy().unwrap().starts_with("evsfs init -c "));
}

#[test]
fn a_file_that_is_not_text_or_far_too_long_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mount.toml");
    std::fs::write(&file, b"mountpoint = \"\xff\"").unwrap();
    assert_eq!(Config::load(&file).unwrap_err().kind(), ErrorKind::Invalid);
    std::fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(Config::load(&file).unwrap_err().message().contains("larger than 1 MiB"));
}

#[test]
fn a_syntax_error_is_refused_with_its_line() {
    refused(with("region = \"local"), "", "(line 3)");
    refused(with("[mount\n"), "", "(line 3)");
}

#[test]
fn a_repeated_key_is_refused() {
    refused(with("region = \"a\"\nregion = \"b\"\n"), "", "duplicate key");
}

#[test]
fn a_missing_key_is_refused() {
    refused(parse("state_dir = \"/s\"\n"), "", "\"mountpoint\" is missing");
    refused(parse("mountpoint = \"/m\"\n"), "", "\"state_dir\" is missing");
    refused(with("[[user]]\nname = \"a\"\nuid = 1\n"), "user[0]", "\"roles\" is missing");
    refused(with("[kms]\nhsm = \"pkcs11\"\n"), "kms.module", "is missing");
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    refused(with("[mount]\nthreds = 4\n"), "mount.threds", "did you mean \"threads\"?");
    refused(with("statedir = \"/s\"\n"), "statedir", "did you mean \"state_dir\"?");
    refused(with("[default]\nkey = \"a\"\n"), "default", "did you mean \"defaults\"?");
    refused(with("[kms]\nzzz = 1\n"), "kms.zzz", "known here: hsm, root_key_file");
    refused(
        with("[[user]]\nname = \"a\"\nuid = 1\nrole = [\"evs-user\"]\n"),
        "user[0].role",
        "did you mean \"roles\"?",
    );
}

/// Found by fuzzing: such a key came to the terminal, and to the log, as it was.
#[test]
fn a_quoted_key_that_would_change_a_terminal_is_refused_in_harmless_characters() {
    for (written, shown, first) in [
        ("\"h\\r\" = 1", "h\\r", "mountpoint"),
        ("\"\\u001b[2J\" = 1", "\\u{1b}[2J", "mountpoint"),
        ("[kms]\n\"a\\nb\" = 1", "kms.a\\nb", "hsm"),
        ("\"\\u202e\" = 1", "\\u{202e}", "mountpoint"),
        ("\"`a\\r`, expected `b\\r\" = 1", "`a\\r`, expected `b\\r", "mountpoint"),
    ] {
        refused(with(written), shown, &format!("unknown key; known here: {first}, "));
    }
}

#[test]
fn a_wrong_type_is_refused() {
    refused(with("[mount]\nthreads = \"4\"\n"), "mount.threads", "expected a whole number");
    refused(with("[mount]\nallow_other = \"yes\"\n"), "mount.allow_other", "expected a boolean");
    refused(with("[mount]\nshutdown_grace = 30\n"), "mount.shutdown_grace", "expected a string");
    refused(with("backing_dirs = \"/srv\"\n"), "backing_dirs", "expected a list");
    refused(with("[defaults]\nencryption = true\n"), "defaults.encryption", "expected a string");
    refused(with("mount = 1\n"), "mount", "expected the table");
}

#[test]
fn a_relative_path_is_refused() {
    let text = "mountpoint = \"evs\"\nstate_dir = \"/s\"\n";
    refused(parse(text), "mountpoint", "not an absolute path");
    let text = "mountpoint = \"/m\"\nstate_dir = \"./s\"\n";
    refused(parse(text), "state_dir", "not an absolute path");
    refused(with("backing_dirs = [\"/a\", \"b\"]\n"), "backing_dirs[1]", "not an absolute path");
    refused(with("[kms]\nroot_key_file = \"~/k\"\n"), "kms.root_key_file", "not an absolute path");
    let text = "mountpoint = \"\"\nstate_dir = \"/s\"\n";
    refused(parse(text), "mountpoint", "not an absolute path");
}

#[test]
fn a_path_that_climbs_or_holds_a_zero_byte_is_refused() {
    let text = "mountpoint = \"/s/../m\"\nstate_dir = \"/s\"\n";
    refused(parse(text), "mountpoint", "\"..\"");
    let text = "mountpoint = \"/m\\u0000\"\nstate_dir = \"/s\"\n";
    refused(parse(text), "mountpoint", "zero byte");
}

#[test]
fn a_mountpoint_and_a_state_directory_inside_each_other_are_refused() {
    let inside = "mountpoint = \"/s/m\"\nstate_dir = \"/s\"\n";
    refused(parse(inside), "mountpoint", "inside the state directory");
    let around = "mountpoint = \"/m\"\nstate_dir = \"/m/s\"\n";
    refused(parse(around), "state_dir", "inside the mountpoint");
    let same = "mountpoint = \"/m\"\nstate_dir = \"//m/./\"\n";
    refused(parse(same), "mountpoint", "inside the state directory");
    let beside = "mountpoint = \"/evs-mount\"\nstate_dir = \"/evs\"\n";
    parse(beside).unwrap();
}

#[test]
fn a_mountpoint_given_later_obeys_the_same_rules() {
    let config = with("").unwrap();
    let moved = config.clone().with_mountpoint(PathBuf::from("/mnt/other")).unwrap();
    assert_eq!(moved.mountpoint, PathBuf::from("/mnt/other"));
    let inside = config.clone().with_mountpoint(PathBuf::from("/var/lib/evsfs/m"));
    refused(inside, "mountpoint", "inside the state directory");
    refused(config.with_mountpoint(PathBuf::from("m")), "mountpoint", "not an absolute path");
}

#[test]
fn a_backing_directory_that_overlaps_with_mount_or_state_is_refused() {
    refused(with("backing_dirs = [\"/mnt/evs/x\"]\n"), "backing_dirs[0]", "the mountpoint");
    refused(with("backing_dirs = [\"/var/lib\"]\n"), "backing_dirs[0]", "the state directory");
    with("backing_dirs = [\"/srv/disks\", \"/dev/sdb\"]\n").unwrap();
}

#[test]
fn a_secret_inside_the_mount_is_refused() {
    let text = "[kms]\nroot_key_file = \"/mnt/evs/root.key\"\n";
    refused(with(text), "kms.root_key_file", "inside the mountpoint");
}

#[test]
fn a_bad_region_or_project_is_refused() {
    refused(with("region = \"\"\n"), "region", "not a valid name");
    refused(with("region = \"a/b\"\n"), "region", "not a valid name");
    refused(with("project = \"two words\"\n"), "project", "letters, digits");
}

#[test]
fn a_number_of_threads_out_of_range_is_refused() {
    refused(with("[mount]\nthreads = -1\n"), "mount.threads", "from 0");
    refused(with("[mount]\nthreads = 257\n"), "mount.threads", "to 256");
    assert_eq!(with("[mount]\nthreads = 256\n").unwrap().mount.threads, 256);
}

#[test]
fn a_bad_duration_is_refused() {
    for text in ["30", "", "1d", "-1s", "1.5h", "soon"] {
        let text = format!("[mount]\nshutdown_grace = \"{text}\"\n");
        refused(with(&text), "mount.shutdown_grace", "not a duration");
    }
    refused(with("[mount]\nshutdown_grace = \"61m\"\n"), "mount.shutdown_grace", "longer than 1h");
}

#[test]
fn a_word_that_is_none_of_those_allowed_is_refused() {
    refused(with("[mount]\ncache = \"writebak\"\n"), "mount.cache", "did you mean \"writeback\"?");
    refused(with("[mount]\ncache = \"x\"\n"), "mount.cache", "use \"writeback\" or \"none\"");
    refused(with("[mount]\nkernel = \"vaes521\"\n"), "mount.kernel", "did you mean \"vaes512\"?");
    refused(with("[defaults]\nencryption = \"yes\"\n"), "defaults.encryption", "\"on\" or \"off\"");
    refused(with("[kms]\nhsm = \"pkcs\"\n"), "kms.hsm", "did you mean \"pkcs11\"?");
}

#[test]
fn a_key_of_the_other_hsm_is_refused() {
    refused(with("[kms]\nmodule = \"/m.so\"\n"), "kms.module", "no meaning with hsm = \"soft\"");
    let text = "[kms]\nhsm = \"pkcs11\"\npassphrase = true\n";
    refused(with(text), "kms.passphrase", "no meaning with hsm = \"pkcs11\"");
}

#[test]
fn a_bad_alias_is_refused() {
    refused(with("[defaults]\nkey = \"a b\"\n"), "defaults.key", "not a valid key alias");
    refused(with("[defaults]\nkey = \"\"\n"), "defaults.key", "not a valid key alias");
}

#[test]
fn a_sector_size_that_is_none_is_refused() {
    for size in ["0", "1024", "-512", "9223372036854775807"] {
        let text = format!("[defaults]\nsector_size = {size}\n");
        refused(with(&text), "defaults.sector_size", "neither 512 nor 4096");
    }
}

#[test]
fn a_bad_role_is_refused() {
    let user = |roles: &str| with(&format!("[[user]]\nname = \"a\"\nuid = 1\nroles = {roles}\n"));
    refused(user("[\"evs-usr\"]"), "user[0].roles", "did you mean \"evs-user\"?");
    refused(user("[\"evs-user\", \"evs-user\"]"), "user[0].roles", "there twice");
    refused(user("[]"), "user[0].roles", "is empty");
    refused(user("[1]"), "user[0].roles[0]", "expected a string");
}

#[test]
fn a_bad_or_repeated_user_is_refused() {
    let user = |name: &str, uid: &str| {
        format!("[[user]]\nname = \"{name}\"\nuid = {uid}\nroles = [\"evs-user\"]\n")
    };
    refused(with(&user("", "1")), "user[0].name", "not the name of a user");
    refused(with(&user("a b", "1")), "user[0].name", "not the name of a user");
    refused(with(&user("a", "-1")), "user[0].uid", "is not a uid");
    refused(with(&user("a", "4294967295")), "user[0].uid", "is not a uid");
    let twice = user("a", "1") + &user("a", "2");
    refused(with(&twice), "user[1].name", "there twice");
    let twice = user("a", "1") + &user("b", "1");
    refused(with(&twice), "user[1].uid", "also the uid of \"a\"");
}
