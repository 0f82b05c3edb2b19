//! Disks made of backups: the seed's Table 3, and what they share with their sources.

use crate::rig::{content, fill, restored, sectors};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("b3_a_disk_from_a_backup_is_encrypted_or_not_as_asked", Needs::Fuse, b3_free_choice),
        trial("b1_a_backup_has_the_attribute_of_its_disk", Needs::Fuse, b1_attribute),
        trial("b3_a_restored_disk_shares_no_ciphertext", Needs::Fuse, b3_shares_nothing),
        trial("b4_a_source_key_that_is_not_enabled_refuses", Needs::Fuse, b4_key_not_enabled),
        trial("b1_a_backup_is_made_while_its_key_is_disabled", Needs::Fuse, b1_without_kms),
        trial("b3_a_restored_disk_is_not_smaller", Needs::Fuse, b3_size),
    ]
}

fn with_disk(option: &str) -> Mount {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &[option]);
    fill(&mount, "db", 1, 0xA5);
    fill(&mount, "db", 5, 0x5A);
    mount
}

/// RULES P2 (seed Table 3): from a backup, free choice, whatever the backup is.
fn b3_free_choice() {
    for source in ["--encrypted", "--unencrypted"] {
        let mount = with_disk(source);
        let before = content(&mount, "db");
        mount.evsfs(&["backup", "create", "db", "b"]).ok();
        for (name, wanted) in [("e", "--encrypted"), ("u", "--unencrypted")] {
            assert!(restored(&mount, "b", name, &[wanted]) == before, "{source} to {wanted}");
            let shown = mount.json(&["disk", "show", name]);
            assert_eq!(shown["encrypted"], wanted == "--encrypted");
            assert_eq!(shown["source"], "backup:b");
        }
    }
}

/// RULES P3: a backup has the encryption attribute of its disk; ciphertext is not plaintext.
fn b1_attribute() {
    for (option, encrypted) in [("--encrypted", true), ("--unencrypted", false)] {
        let mount = with_disk(option);
        mount.evsfs(&["backup", "create", "db", "b"]).ok();
        assert_eq!(mount.json(&["backup", "show", "b"])["encrypted"], encrypted);
        let stored = sectors(&crate::rig::place(&mount, "b").join("data"));
        assert_eq!(stored.contains(&vec![0xA5; 4096]), !encrypted);
    }
}

/// RULES P4: source and copy never share a data key.
fn b3_shares_nothing() {
    let mount = with_disk("--encrypted");
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    restored(&mount, "b", "copy", &[]);
    mount.evsfs(&["disk", "detach", "copy"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let (source, copy) = (sectors(&mount.payload("db")), sectors(&mount.payload("copy")));
    assert_eq!((source.len(), copy.len()), (32, 32));
    assert!(source.is_disjoint(&copy));
    assert!(source == sectors(&crate::rig::place(&mount, "b").join("data")));
}

/// RULES P4: opening an encrypted source needs the source's master key enabled.
fn b4_key_not_enabled() {
    let mount = Setup::default().mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "8M", &["--key", "finance"]);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount.evsfs(&["key", "disable", "finance"]).ok();
    let create = ["disk", "create", "copy", "--from", "backup:b", "--unencrypted"];
    let refusal = mount.evsfs(&create).refused(5);
    assert!(refusal.contains("EVS.2040") && refusal.contains("KMS.0209"), "{refusal}");
    mount.evsfs(&["disk", "show", "copy"]).refused(3);
    mount.evsfs(&["key", "enable", "finance"]).ok();
    mount.evsfs(&create).ok();
}

/// RULES P3: a backup is made without KMS.
fn b1_without_kms() {
    let mount = Setup::default().mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "8M", &["--key", "finance"]);
    mount.evsfs(&["key", "disable", "finance"]).ok();
    mount.evsfs(&["backup", "create", "db", "attached"]).ok();
    mount.evsfs(&["disk", "detach", "db", "--yes"]).ok();
    mount.evsfs(&["backup", "create", "db", "detached"]).ok();
    mount.evsfs(&["backup", "verify", "detached"]).ok();
    assert_eq!(mount.json(&["disk", "show", "db"])["status"], "available");
}

/// RULES D11: sizes grow only.
fn b3_size() {
    let mount = with_disk("--unencrypted");
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    let create = ["disk", "create", "x", "--from", "backup:b", "--size"];
    let refusal = mount.evsfs(&[&create[..], &["4M"]].concat()).refused(2);
    assert!(refusal.contains("EVS.1010"), "{refusal}");
    let larger = restored(&mount, "b", "y", &["--size", "16M", "--encrypted"]);
    assert_eq!(larger.len(), 16 << 20);
    assert!(larger[..8 << 20] == content(&mount, "db"));
    assert!(larger[8 << 20..].iter().all(|byte| *byte == 0));
}
