//! `evsfs doctor`, on setups that are broken in one way each.

use crate::support::{Mount, Needs, Output, Setup, run, soft_token_module, trial};
use libtest_mimic::Trial;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("doctor_finds_nothing_wrong_with_what_works", Needs::Fuse, all_well),
        trial("doctor_names_what_is_broken_and_the_remedy_mends_it", Needs::Fuse, broken_setups),
        trial("doctor_finds_a_mount_whose_daemon_died", Needs::Fuse, a_dead_daemon),
        trial("doctor_asks_a_token", Needs::FuseAndToken, a_token),
        trial("doctor_survives_a_module_that_is_none", Needs::Nothing, no_module),
        trial("doctor_tells_an_ordinary_user_what_is_missing", Needs::Root, an_ordinary_user),
    ]
}

fn doctor(mount: &Mount) -> Output {
    mount.evsfs_plain(&["doctor", "-c", mount.config_path().to_str().unwrap()])
}

/// How a check of this name is, and what it says.
#[track_caller]
fn check(mount: &Mount, name: &str) -> (String, String, String) {
    let config = mount.config_path();
    let output = mount.evsfs_plain(&["--json", "doctor", "-c", config.to_str().unwrap()]);
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    let checks = answer["checks"].as_array().unwrap();
    let failures = checks.iter().filter(|check| check["health"] == "fail").count();
    assert_eq!(answer["failures"], failures);
    assert_eq!(output.code, i32::from(failures > 0), "{answer:#}");
    assert_eq!(output.stderr, "");
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no {name}: {answer:#}"));
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    if check["health"] != "ok" {
        assert!(!text("remedy").is_empty(), "{check}");
    }
    (text("health"), text("message"), text("remedy"))
}

#[track_caller]
fn fails(mount: &Mount, name: &str, message: &str, remedy: &str) {
    let found = check(mount, name);
    assert!(
        found.0 == "fail" && found.1.contains(message) && found.2.contains(remedy),
        "{name}: {found:?}"
    );
}

fn all_well() {
    let mount = Setup::default().prepare();
    let output = doctor(&mount);
    let shown = output.clone().ok();
    assert_eq!(output.stderr, "");
    for line in ["machine\n", "\nconfiguration\n", "\nkeys\n", "\nmount\n", " looked at"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert_eq!(check(&mount, "fuse").0, "ok");
    assert_eq!(check(&mount, "hsm").1, "in software; the root key opens the records");
    assert!(check(&mount, "mountpoint").1.ends_with("is free"));
    // Nothing is changed by looking.
    assert!(!mount.state_dir().join("kms/audit.jsonl").exists());
    mount.start();
    assert!(check(&mount, "mountpoint").1.ends_with("is mounted and answers"));
    assert_eq!(check(&mount, "hsm").1, "in software; a daemon uses it");
    assert_eq!(doctor(&mount).code, 0);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn broken_setups() {
    let mount = Setup::default().prepare();
    let (state, config) = (mount.state_dir().to_owned(), mount.config_path());
    let root_key = state.join("hsm/root.key");

    set_mode(&state, 0o755);
    fails(&mount, "state-dir", "others can read", &format!("chmod 0700 {}", state.display()));
    assert!(doctor(&mount).stdout.contains("FAIL  state-dir"));
    set_mode(&state, 0o700);

    set_mode(&root_key, 0o644);
    fails(&mount, "root-key", "root.key", "chmod");
    set_mode(&root_key, 0o600);

    let key = std::fs::read(&root_key).unwrap();
    std::fs::write(&root_key, vec![9; key.len()]).unwrap();
    mount.evsfs_plain(&["check", "-c", config.to_str().unwrap()]);
    assert_eq!(check(&mount, "root-key").0, "ok");
    std::fs::write(&root_key, b"short").unwrap();
    fails(&mount, "hsm", "root.key", "");
    std::fs::remove_file(&root_key).unwrap();
    fails(&mount, "root-key", "there is no", "evsfs init");
    std::fs::write(&root_key, &key).unwrap();
    set_mode(&root_key, 0o600);
    assert_eq!(doctor(&mount).code, 0);

    let mountpoint = mount.mountpoint();
    std::fs::write(mountpoint.join("file"), "x").unwrap();
    assert_eq!(check(&mount, "mountpoint").0, "warn");
    std::fs::remove_file(mountpoint.join("file")).unwrap();
    std::fs::remove_dir(&mountpoint).unwrap();
    fails(&mount, "mountpoint", "does not exist", &format!("mkdir -p {}", mountpoint.display()));
    std::fs::create_dir(&mountpoint).unwrap();

    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[mount]", "[mount]\nthraeds = 2")).unwrap();
    fails(&mount, "mount.toml", "thraeds", "");
    std::fs::write(&config, &text).unwrap();

    // What was written down is in the future.
    mount.start();
    mount.stop();
    let clock = state.join("kms/clock.toml");
    let written = std::fs::read_to_string(&clock).unwrap();
    let line = written.lines().find(|line| line.starts_with("settled")).unwrap().to_owned();
    let later = format!("settled = \"{}\"", "2099-01-01T00:00:00Z");
    std::fs::write(&clock, written.replace(&line, &later)).unwrap();
    let (health, message, _) = check(&mount, "saved-time");
    assert!(health == "warn" && message.contains("behind"), "{message}");

    std::fs::remove_dir_all(&state).unwrap();
    fails(&mount, "state-dir", "does not exist", "evsfs init");
}

fn a_dead_daemon() {
    let mount = Mount::new();
    mount.kill();
    fails(&mount, "mountpoint", "has died", "evsfs mount");
    // Seen from another configuration it is a stale mount.
    let other = Setup::default().prepare();
    let config = other.config_path();
    let seen = other.evsfs_plain(&["--json", "doctor", "-c", config.to_str().unwrap()]).stdout;
    let mountpoint = mount.mountpoint();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let is_it = |check: &&Value| {
        check["name"] == "stale-mount"
            && check["message"].as_str().unwrap().contains(mountpoint.to_str().unwrap())
    };
    assert_eq!(seen["checks"].as_array().unwrap().iter().filter(is_it).count(), 1, "{seen:#}");
    // The remedy is one.
    mount.start();
    assert_eq!(check(&mount, "mountpoint").0, "ok");
}

fn a_token() {
    let module = soft_token_module().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = directory.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let with_token = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let pin = directory.path().join("pin");
    std::fs::write(&pin, "12345678\n").unwrap();
    set_mode(&pin, 0o600);
    let config = directory.path().join("mount.toml");
    let (mountpoint, state) = (directory.path().join("mnt"), directory.path().join("state"));
    std::fs::create_dir(&mountpoint).unwrap();
    std::fs::create_dir(&state).unwrap();
    set_mode(&state, 0o700);
    let text = format!(
        "mountpoint = {mountpoint:?}\nstate_dir = {state:?}\n[kms]\nhsm = \"pkcs11\"\n\
         module = {module:?}\ntoken = \"evsfs\"\npin_file = {pin:?}\n"
    );
    std::fs::write(&config, text).unwrap();
    let doctor =
        || with_token(env!("CARGO_BIN_EXE_evsfs"), &["doctor", "-c", config.to_str().unwrap()]);
    let (code, shown) = doctor();
    assert!(code == Some(1) && shown.contains("token \"evsfs\" is not there"), "{shown}");
    let init = "--init-token --free --label evsfs --so-pin 87654321 --pin 12345678";
    with_token("softhsm2-util", &init.split(' ').collect::<Vec<_>>());
    let (code, shown) = doctor();
    assert!(code == Some(0) && shown.contains("token \"evsfs\" answers"), "{shown}");
    set_mode(&pin, 0o644);
    let (code, shown) = doctor();
    assert!(code == Some(1) && shown.contains("FAIL  pin"), "{shown}");
}

fn no_module() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("mnt")).unwrap();
    std::fs::create_dir(at("state")).unwrap();
    set_mode(&at("state"), 0o700);
    std::fs::write(at("module.so"), "no library").unwrap();
    for (module, message) in
        [("module.so", "cannot be loaded"), ("missing.so", "there is no PKCS#11 module")]
    {
        let text = format!(
            "mountpoint = {:?}\nstate_dir = {:?}\n[kms]\nhsm = \"pkcs11\"\nmodule = {:?}\ntoken = \"t\"\n",
            at("mnt"),
            at("state"),
            at(module)
        );
        std::fs::write(at("mount.toml"), text).unwrap();
        let config = at("mount.toml");
        let output = run(env!("CARGO_BIN_EXE_evsfs"), &["doctor", "-c", config.to_str().unwrap()]);
        assert!(output.code == 1 && output.stdout.contains(message), "{}", output.stdout);
    }
}

/// A user whose state directory is somebody else's, with a small limit of locked memory.
fn an_ordinary_user() {
    let mount = Setup::with("[mount]\nallow_other = true\n").prepare();
    let config = mount.config_path();
    let script =
        format!("ulimit -l 64; exec '{}' --json doctor -c '{}'", mount.program(), config.display());
    let output = mount.as_uid(65534, "sh", &["-c", &script]);
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    let health = |name: &str| {
        let checks = answer["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == name);
        found.map(|check| check["health"].as_str().unwrap().to_owned())
    };
    assert_eq!(output.code, 1);
    assert_eq!(health("state-dir").as_deref(), Some("fail"), "{answer:#}");
    assert_eq!(health("memlock").as_deref(), Some("warn"), "{answer:#}");
    assert!(health("fusermount3").is_some() && health("allow_other").is_some());
}
