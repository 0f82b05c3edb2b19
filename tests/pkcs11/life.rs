//! Disks over a real mount whose keys are in a token.

use crate::support::{Needs, Setup, run, trial};
use crate::token::{PIN, Token};
use libtest_mimic::Trial;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_disk_lives_its_whole_life_with_its_key_in_a_token",
            Needs::FuseAndToken,
            a_disk_lives_its_whole_life_with_its_key_in_a_token,
        ),
        trial(
            "keys_in_the_token_are_made_there_and_can_never_leave",
            Needs::FuseAndToken,
            keys_in_the_token_are_made_there_and_can_never_leave,
        ),
        trial(
            "a_backup_moves_between_machines_that_share_a_token",
            Needs::FuseAndToken,
            a_backup_moves_between_machines_that_share_a_token,
        ),
        trial(
            "an_old_state_directory_does_not_bring_a_deleted_key_back",
            Needs::FuseAndToken,
            an_old_state_directory_does_not_bring_a_deleted_key_back,
        ),
        trial(
            "the_pin_comes_from_a_descriptor_a_credential_or_the_terminal_and_is_shown_nowhere",
            Needs::FuseAndToken,
            the_pin_comes_from_a_descriptor_a_credential_or_the_terminal_and_is_shown_nowhere,
        ),
        trial(
            "init_says_what_is_missing_and_makes_the_record_key_once",
            Needs::Token,
            init_says_what_is_missing_and_makes_the_record_key_once,
        ),
    ]
}

fn a_disk_lives_its_whole_life_with_its_key_in_a_token() {
    let token = Token::new();
    let mount = token.mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let file = mount.attached_disk("db", "4M", &["--encrypted", "--key", "finance"]);
    let data: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(&file, &data).unwrap();
    let payload = std::fs::read(mount.payload("db")).unwrap();
    assert!(!payload.windows(64).any(|part| part == &data[..64]), "the payload is ciphertext");

    // A restart attaches it again (RULES D9).
    mount.stop();
    mount.start();
    assert_eq!(std::fs::read(&file).unwrap()[..data.len()], data);

    // A crash too.
    mount.kill();
    run("umount", &["-l", mount.mountpoint().to_str().unwrap()]);
    mount.start();
    assert_eq!(std::fs::read(&file).unwrap()[..data.len()], data);

    // Disabled, it goes on until it is detached, and then does not come back (RULES D5, D6).
    mount.evsfs(&["key", "disable", "finance"]).ok();
    assert_eq!(std::fs::read(&file).unwrap()[..16], data[..16]);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let refusal = mount.evsfs(&["disk", "attach", "db"]).refused(5);
    assert!(refusal.contains("(EVS.2040, KMS.0209)"), "{refusal}");
    mount.evsfs(&["key", "enable", "finance"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(std::fs::read(&file).unwrap()[..data.len()], data);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    mount.stop();
    mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()]).ok();
}

/// RULES K7.
fn keys_in_the_token_are_made_there_and_can_never_leave() {
    let token = Token::new();
    let mount = token.mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let id = mount.json(&["key", "show", "finance"])["id"].as_str().unwrap().to_owned();
    let objects = token.objects();
    for label in [format!("evsfs:{id}:1"), "evsfs:record-key".to_owned()] {
        let object = objects.split("Secret Key Object").find(|text| text.contains(&label));
        let object = object.unwrap_or_else(|| panic!("no {label} in {objects}"));
        let access = "sensitive, always sensitive, never extractable, local";
        assert!(object.contains(access), "{object}");
    }
    // Nothing of the token's keys is in the state directory.
    assert!(!mount.state_dir().join("hsm/root.key").exists());
    assert_eq!(std::fs::read_dir(mount.state_dir().join("hsm")).unwrap().count(), 0);
}

/// RULES K9.
fn an_old_state_directory_does_not_bring_a_deleted_key_back() {
    let token = Token::new();
    let mount = token.mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--key", "finance"]).ok();
    let id = mount.json(&["key", "show", "finance"])["id"].as_str().unwrap().to_owned();
    let before = mount.scratch().join("old");
    let copy = |from: &Path, to: &Path| {
        run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]).ok();
    };
    copy(mount.state_dir(), &before);

    // The deadline passes while the daemon is down: faketime(1) is no part of the tests, so the
    // token's own tool does what the daemon would.
    mount.stop();
    let module = crate::support::soft_token_module().unwrap();
    let label = format!("evsfs:{id}:1");
    let arguments = [
        "--module",
        module,
        "--token-label",
        &token.label,
        "--login",
        "--pin",
        PIN,
        "--delete-object",
        "--type",
        "secrkey",
        "--label",
        &label,
    ];
    run("pkcs11-tool", &arguments).ok();
    std::fs::remove_dir_all(mount.state_dir()).unwrap();
    copy(&before, mount.state_dir());
    mount.start();
    let refusal = mount.evsfs(&["disk", "attach", "db"]).refused(5);
    assert!(refusal.contains("(EVS.2040, KMS.0207)"), "{refusal}");
    assert!(refusal.contains("holds no material of key"), "{refusal}");
}

fn the_pin_comes_from_a_descriptor_a_credential_or_the_terminal_and_is_shown_nowhere() {
    let token = Token::new();
    let mount = token.mount();
    mount.stop();
    let config = mount.config_path();
    let text = std::fs::read_to_string(&config).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("pin_file")).collect();
    std::fs::write(&config, without.join("\n")).unwrap();
    let (config, program) = (config.to_str().unwrap(), mount.program());

    let refusal = mount.try_start().refused(2);
    assert!(
        refusal.contains("no terminal to ask for the pin on") && refusal.contains("--pin-fd"),
        "{refusal}"
    );

    let credentials = mount.scratch().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::copy(token.pin_file(), credentials.join("evsfs-pin")).unwrap();
    let pin_file = token.pin_file();
    for (how, line) in [
        ("descriptor", format!("{program} mount -c {config} --pin-fd 3 3< {}", pin_file.display())),
        ("pipe", format!("printf {PIN} | {program} mount -c {config} --pin-fd 0")),
        (
            "credential",
            format!("CREDENTIALS_DIRECTORY={} {program} mount -c {config}", credentials.display()),
        ),
        (
            "terminal",
            format!(
                "(sleep 1; echo {PIN}) | script -qec '{program} mount -c {config}' {}/typescript",
                mount.scratch().display()
            ),
        ),
    ] {
        let said = run("sh", &["-c", &line]);
        let shown = said.clone().ok();
        assert!(shown.contains("mounted "), "{how}: {said:?}");
        assert!(!shown.contains(PIN), "{how}: {shown}");
        let pid = mount.pid();
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            let has_pin = bytes.windows(PIN.len()).any(|part| part == PIN.as_bytes());
            assert!(!has_pin, "{how}: the PIN is in {file}");
        }
        mount.stop();
    }
}

fn init_says_what_is_missing_and_makes_the_record_key_once() {
    let token = Token::new();
    let mount = Setup::with(&token.config()).prepare();
    let config = mount.config_path();
    let init = |kind: &str| {
        mount.evsfs_plain(&["init", "-c", config.to_str().unwrap(), "--root-key", kind])
    };
    let refusal = init("pkcs11").refused(10);
    assert!(refusal.contains("holds evsfs:record-key already"), "{refusal}");
    let refusal = init("file").refused(10);
    assert!(refusal.contains("asks for a root key of kind \"pkcs11\""), "{refusal}");

    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&token.label, "no-such-token")).unwrap();
    let refusal = init("pkcs11").refused(8);
    assert!(refusal.contains("shows no token of this label"), "{refusal}");
    assert!(
        refusal.contains("fix: softhsm2-util --init-token --free --label no-such-token"),
        "{refusal}"
    );
}

/// SEMANTICS B8: a second machine with the same token and a copy of the keys' records, no more.
fn a_backup_moves_between_machines_that_share_a_token() {
    let token = Token::new();
    let one = token.mount();
    one.evsfs(&["key", "create", "finance"]).ok();
    let disk = one.attached_disk("db", "4M", &["--encrypted", "--key", "finance"]);
    let data: Vec<u8> = (0..4_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(&disk, &data).unwrap();
    one.evsfs(&["backup", "create", "db", "b"]).ok();
    let file = one.scratch().join("b.evsbackup");
    let file = file.to_str().unwrap();
    one.evsfs(&["backup", "export", "b", file]).ok();

    let other = Setup::default().prepare();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for entry in std::fs::read_dir(other.state_dir()).unwrap() {
        run("rm", &["-r", &text(&entry.unwrap().path())]).ok();
    }
    run("cp", &["-a", &text(&one.state_dir().join("kms")), &text(other.state_dir())]).ok();
    let config = std::fs::read_to_string(other.config_path()).unwrap() + &token.config();
    std::fs::write(other.config_path(), config).unwrap();
    other.evsfs_plain(&["check", "--accept", "-c", &text(&other.config_path())]).ok();
    other.start();
    other.evsfs(&["agency", "create"]).ok();
    // Both at the same time.
    other.evsfs(&["backup", "import", "b", file]).ok();
    other.evsfs(&["disk", "create", "db", "--from", "backup:b"]).ok();
    other.evsfs(&["disk", "attach", "db"]).ok();
    assert!(std::fs::read(other.mountpoint().join("db")).unwrap() == data);
    assert!(std::fs::read(disk).unwrap() == data);
}
