//! Keys whose material is brought (RULES K1, origin external).

use crate::rig::{ask, errno, three_lines};
use crate::support::{Mount, Needs, run, trial, wait_until};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::json;
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("k1_material_comes_goes_and_comes_back", Needs::Fuse, k1_material_comes_and_goes),
        trial(
            "k1_material_is_wrapped_by_openssl_under_a_one_time_key",
            Needs::RootAnd(&["openssl"]),
            k1_material_is_wrapped_by_openssl_under_a_one_time_key,
        ),
        trial("k1_material_expires_at_its_date", Needs::Fuse, k1_material_expires_at_its_date),
        trial(
            "k1_an_import_that_is_refused_shows_nothing_of_what_was_written",
            Needs::Fuse,
            k1_an_import_that_is_refused_shows_nothing_of_what_was_written,
        ),
    ]
}

fn file(mount: &Mount, name: &str, bytes: &[u8]) -> PathBuf {
    let path = mount.scratch().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn mount_with_key() -> Mount {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "own", "--external"]).ok();
    mount
}

#[track_caller]
fn import(mount: &Mount, bytes: &[u8], more: &[&str]) -> crate::support::Output {
    let path = file(mount, "material", bytes);
    let mut all = vec!["key", "import", "own", "--file", path.to_str().unwrap()];
    all.extend_from_slice(more);
    mount.evsfs(&all)
}

fn state(mount: &Mount) -> String {
    mount.read_control("keys/own/state")
}

/// RULES K1: 32 bytes; the same-material rule; what was encrypted comes back with the material.
fn k1_material_comes_and_goes() {
    let mount = mount_with_key();
    three_lines(
        mount.evsfs(&["disk", "create", "db", "--size", "1M", "--key", "own"]),
        5,
        "EVS.2040, KMS.1301",
    );
    for len in [0, 31, 33, 64] {
        three_lines(import(&mount, &vec![7; len], &[]), 2, "KMS.2604");
    }
    assert_eq!(import(&mount, &[7; 2000], &[]).code, 2);
    three_lines(import(&mount, &[7; 32], &["--expires", "2020-01-01"]), 2, "KMS.2602");
    assert_eq!(import(&mount, &[7; 32], &[]).ok(), "key \"own\" has its material\n");
    assert_eq!(state(&mount), "enabled");
    three_lines(import(&mount, &[7; 32], &[]), 4, "KMS.0310");
    let db = mount.attached_disk("db", "1M", &["--key", "own"]);
    std::fs::write(&db, b"kept").unwrap();

    mount.evsfs(&["key", "delete-material", "own", "--yes"]).ok();
    assert_eq!(state(&mount), "pending-import");
    three_lines(mount.evsfs(&["key", "delete-material", "own", "--yes"]), 4, "KMS.2701");
    // RULES D6: attached disks go on.
    assert_eq!(&std::fs::read(&db).unwrap()[..4], b"kept");
    mount.evsfs(&["disk", "detach", "db"]).ok();
    three_lines(mount.evsfs(&["disk", "attach", "db"]), 5, "EVS.2040, KMS.1301");
    mount.stop();
    mount.start();
    three_lines(import(&mount, &[8; 32], &[]), 2, "KMS.2606");
    mount.write_control("keys/own/import", &format!("material={}\n", "07".repeat(32))).unwrap();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(&std::fs::read(&db).unwrap()[..4], b"kept");

    mount.write_control("keys/own/delete-material", "\n").unwrap();
    let hex = "07".repeat(32);
    let asked = ask(&mount, &json!({"op": "key.import", "alias": "own", "material": hex}));
    assert_eq!(asked["ok"]["state"], "enabled");
    mount.evsfs(&["key", "create", "finance"]).ok();
    let path = file(&mount, "material", &[7; 32]);
    let refused = mount.evsfs(&["key", "import", "finance", "--file", path.to_str().unwrap()]);
    three_lines(refused, 4, "KMS.0309");
    // Nothing of it lies in the state directory or in a log.
    let everywhere = run("grep", &["-rlia", &"07".repeat(32), mount.state_dir().to_str().unwrap()]);
    assert_eq!(everywhere.stdout, "");
}

fn k1_material_is_wrapped_by_openssl_under_a_one_time_key() {
    let mount = mount_with_key();
    let at = |name: &str| mount.scratch().join(name).to_str().unwrap().to_owned();
    three_lines(mount.evsfs(&["key", "create", "own"]), 10, "KMS.1104");
    assert_eq!(mount.read_control("keys/own/import-parameters"), "");
    let made = mount.json(&["key", "import-parameters", "own"]);
    let until: jiff::Timestamp = made["valid_until"].as_str().unwrap().parse().unwrap();
    let hours = (until.as_second() - jiff::Timestamp::now().as_second()) as f64 / 3600.0;
    assert!((23.9..24.1).contains(&hours), "{hours}");
    let wrap = |name: &str| {
        std::fs::write(at("material"), [9; 32]).unwrap();
        let (pem, plain, wrapped) = (at("import.pem"), at("material"), at(name));
        run(
            "openssl",
            &[
                "pkeyutl",
                "-encrypt",
                "-pubin",
                "-inkey",
                &pem,
                "-in",
                &plain,
                "-out",
                &wrapped,
                "-pkeyopt",
                "rsa_padding_mode:oaep",
                "-pkeyopt",
                "rsa_oaep_md:sha256",
                "-pkeyopt",
                "rsa_mgf1_md:sha256",
            ],
        )
        .ok();
        wrapped
    };
    std::fs::write(at("import.pem"), made["public_key"].as_str().unwrap()).unwrap();
    let first = wrap("first");
    // A second import key ends the first.
    mount.write_control("keys/own/import-parameters", "\n").unwrap();
    let pem = std::fs::read_to_string(mount.control("keys/own/import-parameters")).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
    std::fs::write(at("import.pem"), &pem).unwrap();
    let second = wrap("second");
    let import = |file: &str, more: &[&str]| {
        let mut all = vec!["key", "import", "own", "--file", file, "--wrapped"];
        all.extend_from_slice(more);
        mount.evsfs(&all)
    };
    assert_eq!(import(&first, &[]).code, 2);
    assert_eq!(import(&second, &["--token", made["token"].as_str().unwrap()]).code, 4);
    assert_eq!(state(&mount), "pending-import");
    import(&second, &["--expires", "2099-12-31"]).ok();
    assert_eq!(state(&mount), "enabled");
    assert_eq!(mount.read_control("keys/own/expiry-date"), "2099-12-31T00:00:00Z");
    // It served once.
    mount.evsfs(&["key", "delete-material", "own", "--yes"]).ok();
    assert_eq!(import(&second, &[]).code, 4);
    // Wrapped or not, it is the same material.
    three_lines(self::import(&mount, &[8; 32], &[]), 2, "KMS.2606");
    self::import(&mount, &[9; 32], &[]).ok();
}

/// The daemon itself gives the material up, and tells the key's state so.
fn k1_material_expires_at_its_date() {
    let mount = mount_with_key();
    let soon = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 2).unwrap();
    import(&mount, &[7; 32], &["--expires", &soon.to_string()]).ok();
    assert_eq!(mount.read_control("keys/own/expiry-date"), soon.to_string());
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--key", "own"]).ok();
    wait_until("the material has expired", || state(&mount) == "pending-import");
    assert_eq!(mount.read_control("keys/own/expiry-date"), "");
    three_lines(mount.evsfs(&["disk", "attach", "db"]), 5, "EVS.2040, KMS.1301");
    import(&mount, &[7; 32], &[]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
}

fn k1_an_import_that_is_refused_shows_nothing_of_what_was_written() {
    let mount = mount_with_key();
    let secret = "c0ffee".repeat(10);
    for text in [
        secret.clone(),
        format!("{secret}="),
        format!("material=\"{secret}"),
        format!("material={secret} {secret}"),
        format!("material={secret}zz"),
        format!("material={secret} wrapped={secret}"),
        format!("material={secret} material={secret}"),
        format!("material={secret}"),
        format!("wrapped={secret}"),
    ] {
        let refused = errno(mount.write_control("keys/own/import", &text));
        assert_eq!(refused, Errno::INVAL, "{text}");
        let shown = mount.read_control("error");
        assert!(!shown.is_empty() && !shown.contains("c0ffee"), "{text}: {shown}");
    }
    assert_eq!(state(&mount), "pending-import");
}
