//! What is not taken in: E5.

use crate::rig::{
    QUICK, TOOLS, disks_of, left_in_state, luks1_volume, luks2_volume, noise, passphrase_file,
    project, text,
};
use crate::support::{Mount, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("e5_a_wrong_passphrase_is_told_apart", TOOLS, e5_a_wrong_passphrase),
        trial("e5_what_a_payload_cannot_be_is_refused", TOOLS, e5_what_a_payload_cannot_be),
        trial("e5_a_damaged_header_is_refused", TOOLS, e5_a_damaged_header),
        trial("e5_a_request_by_hand_is_checked_like_any_other", TOOLS, e5_by_hand),
    ]
}

/// The refusal of an import, after which nothing is left.
#[track_caller]
fn refused(mount: &Mount, volume: &Path, passphrase: &Path, code: i32) -> String {
    let line = ["disk", "import", "db", "--luks", text(volume), "--passphrase-file"];
    let output = mount.evsfs(&[&line[..], &[text(passphrase)]].concat());
    assert_eq!(output.stdout, "");
    let refused = output.refused(code);
    assert!(refused.lines().nth(2).is_some_and(|line| line.starts_with("fix: ")), "{refused}");
    assert!(disks_of(mount).is_empty());
    assert_eq!(left_in_state(mount), 0);
    refused
}

/// E5: exit code 6, `wrong-secret`.
fn e5_a_wrong_passphrase() {
    let (mount, _outside) = project("");
    let volume = luks1_volume(&mount, &noise(1 << 20, 1));
    let wrong = mount.secret_file("wrong", b"battery staple");
    let text = refused(&mount, &volume, &wrong, 6);
    assert!(text.contains("wrong-secret"), "{text}");
}

/// E5: other ciphers, key sizes, sector sizes, a re-encryption that is not finished.
fn e5_what_a_payload_cannot_be() {
    let (mount, _outside) = project("");
    let passphrase = passphrase_file(&mount);
    let format = |name: &str, options: &[&str]| {
        let file = mount.scratch().join(name);
        std::fs::File::create(&file).unwrap().set_len(20 << 20).unwrap();
        let mut line = vec!["luksFormat", "--batch-mode", "--key-file", text(&passphrase)];
        line.extend_from_slice(&QUICK);
        line.extend_from_slice(options);
        line.push(text(&file));
        run("cryptsetup", &line).ok();
        file
    };
    let xts = ["--cipher", "aes-xts-plain64", "--key-size", "512"];
    for (name, options, why) in [
        ("cbc", &["--type", "luks2", "--cipher", "aes-cbc-essiv:sha256"][..], "aes-cbc-essiv"),
        ("plain", &["--type", "luks1", "--cipher", "aes-xts-plain"][..], "aes-xts-plain,"),
        ("short", &["--cipher", "aes-xts-plain64", "--key-size", "256"][..], "512 bits"),
        ("2048", &[&xts[..], &["--sector-size", "2048"]].concat()[..], "2048"),
    ] {
        let text = refused(&mount, &format(name, options), &passphrase, 2);
        assert!(text.contains(why), "{text}");
    }
    let begun = luks2_volume(&mount, &noise(1 << 20, 5), "512", &["--init-only"]);
    let text = refused(&mount, &begun, &passphrase, 2);
    assert!(text.contains("re-encrypted") || text.contains("segments"), "{text}");
    let bare = mount.scratch().join("bare");
    let whole = format("whole", &xts);
    std::fs::copy(&whole, &bare).unwrap();
    std::fs::File::options().write(true).open(&bare).unwrap().set_len(16 << 20).unwrap();
    let text = refused(&mount, &bare, &passphrase, 2);
    assert!(text.contains("--backing"), "a header without data: {text}");
}

/// E5: cut, overwritten, and no header at all; wherever the damage lies, a message and no disk.
fn e5_a_damaged_header() {
    let (mount, _outside) = project("");
    let passphrase = passphrase_file(&mount);
    let junk = mount.scratch().join("junk");
    for content in [&b""[..], b"short", &noise(1 << 20, 3)] {
        std::fs::write(&junk, content).unwrap();
        refused(&mount, &junk, &passphrase, 2);
    }
    let volume = luks1_volume(&mount, &noise(1 << 20, 1));
    for (at, bytes) in [
        (0, &b"XXXX"[..]),
        (6, &[9, 9]),
        (8, b"serpent\0"),
        (40, b"ecb\0"),
        (104, &[0xff; 4]),
        (108, &[0, 0, 0, 0]),
        (112, &[0xaa; 20]),
    ] {
        let damaged = mount.scratch().join("damaged");
        std::fs::copy(&volume, &damaged).unwrap();
        std::fs::File::options()
            .write(true)
            .open(&damaged)
            .unwrap()
            .write_all_at(bytes, at)
            .unwrap();
        let line = ["disk", "import", "db", "--luks", text(&damaged), "--passphrase-file"];
        let output = mount.evsfs(&[&line[..], &[text(&passphrase)]].concat());
        assert_ne!(output.code, 0, "byte {at}");
        assert_eq!(output.stderr.lines().count(), 3, "byte {at}: {}", output.stderr);
        assert!(disks_of(&mount).is_empty() && left_in_state(&mount) == 0, "byte {at}");
    }
}

/// E5: the daemon believes no program that asks it.
fn e5_by_hand() {
    let (mount, outside) = project("");
    let place = outside.path().join("payload");
    std::fs::write(&place, noise(2 << 20, 4)).unwrap();
    let key: String = noise(64, 8).iter().map(|byte| format!("{byte:02x}")).collect();
    let equal = "5a".repeat(64);
    let place = text(&place);
    for words in [
        r#""data_key":"00""#.to_owned(),
        format!(r#""data_key":"{equal}","size":1048576"#),
        format!(r#""data_key":"{key}","size":1000"#),
        format!(r#""data_key":"{key}","size":1048576,"encrypted":false"#),
        format!(r#""data_key":"{key}","backing":"{place}","size":4194304"#),
        format!(r#""data_key":"{key}","backing":"{place}","offset":-1"#),
        format!(r#""data_key":"{key}","backing":"{place}","offset":9223372036854775807"#),
        format!(r#""data_key":"{key}","backing":"/etc/shadow""#),
        format!(r#""data_key":"{key}","backing":"{place}/../../../etc/shadow""#),
        format!(r#""backing":"{place}","size":1048576"#),
        r#""size":1048576,"encrypted":false,"key":"finance""#.to_owned(),
    ] {
        let answer = ask(&mount, &format!(r#"{{"op":"disk.import","name":"db",{words}}}"#));
        assert!(answer["error"]["message"].is_string(), "{words}: {answer}");
        assert!(!answer.to_string().contains(&key[..16]), "{answer}");
        assert!(disks_of(&mount).is_empty() && left_in_state(&mount) == 0, "{words}");
    }
    mount.attached_disk("there", "1M", &[]);
    let answer = ask(&mount, r#"{"op":"disk.finish","name":"there"}"#);
    assert_eq!(answer["error"]["code"], "EVS.1046");
    assert!(std::fs::File::open(mount.control("disks/there/data")).is_err());
}

#[track_caller]
fn ask(mount: &Mount, line: &str) -> serde_json::Value {
    use std::io::{Read, Write};
    let mut file =
        std::fs::File::options().read(true).write(true).open(mount.control("control")).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}
