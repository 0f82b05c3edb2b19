//! From the software HSM to a token, with disks that hold data.

use crate::shim::Shim;
use crate::support::{Mount, Needs, trial};
use crate::token::Token;
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "keys_move_from_the_software_hsm_into_a_token_through_any_number_of_kills",
        Needs::FuseAndToken,
        keys_move_from_the_software_hsm_into_a_token_through_any_number_of_kills,
    )]
}

fn keys_move_from_the_software_hsm_into_a_token_through_any_number_of_kills() {
    let (token, shim) = (Token::new(), Shim::new());
    let mount = Mount::new();
    for key in ["finance", "old"] {
        mount.evsfs(&["key", "create", key]).ok();
    }
    for (disk, key) in [("a", "finance"), ("b", "finance"), ("c", "old")] {
        let file = mount.attached_disk(disk, "1M", &["--encrypted", "--key", key]);
        std::fs::write(file, disk.repeat(5000)).unwrap();
    }
    mount.evsfs(&["disk", "create", "plain", "--size", "1M", "--unencrypted"]).ok();
    mount.evsfs(&["backup", "create", "a", "of-a"]).ok();
    mount.evsfs(&["image", "create", "like-b", "--disk", "b"]).ok();
    let exported = mount.scratch().join("of-a.before");
    let exported = exported.to_str().unwrap();
    mount.evsfs(&["backup", "export", "of-a", exported]).ok();
    mount.evsfs(&["key", "disable", "old"]).ok();
    let record = mount.payload("a").with_file_name("disk.toml");
    let payload = std::fs::read(mount.payload("a")).unwrap();

    let from = mount.config_path();
    let to = mount.scratch().join("token.toml");
    let text = std::fs::read_to_string(&from).unwrap();
    std::fs::write(&to, format!("{text}\n{}", token.config_with(&shim.module()))).unwrap();
    let arguments = ["hsm", "migrate", "-c", from.to_str().unwrap(), "--to", to.to_str().unwrap()];
    // Not while a daemon works on it.
    mount.evsfs_plain(&arguments).refused(4);
    let dry = [&arguments[..], &["--dry-run"]].concat();
    mount.evsfs_plain(&dry).refused(4);
    mount.stop();
    // Said before anything is made, also in a token that knows nothing yet.
    let before = token.objects();
    let said = mount.evsfs_plain(&dry).ok();
    let would = "would move 2 keys and the data keys of 3 disks, 1 backups and 1 images\n";
    assert!(said.starts_with(would), "{said}");
    assert_eq!(token.objects(), before);
    assert!(!mount.state_dir().join("moving").exists());
    let sound = std::fs::read(&record).unwrap();
    std::fs::write(&record, String::from_utf8_lossy(&sound).replace("\"a\"", "\"z\"")).unwrap();
    let refused = mount.evsfs_plain(&dry).refused(7);
    assert!(refused.contains("disk.toml"), "{refused}");
    std::fs::write(&record, sound).unwrap();

    // Two keys are made and five data keys wrapped, after the record key at the first time.
    for calls in 0..7 {
        shim.tell("die", &"x".repeat(calls));
        let killed = mount.evsfs_plain(&arguments);
        assert_eq!(killed.code, 137, "{calls}: {killed:?}");
        // Nothing has moved, and it can be used meanwhile.
        if calls % 2 == 0 {
            mount.start();
            let data = std::fs::read(mount.mountpoint().join("a")).unwrap();
            assert_eq!(&data[..5000], "a".repeat(5000).as_bytes());
            mount.stop();
        }
    }
    let said = mount.evsfs_plain(&arguments).ok();
    assert!(
        said.starts_with("moved 2 keys and the data keys of 3 disks, 1 backups and 1 images\n"),
        "{said}"
    );
    let again = mount.evsfs_plain(&arguments).refused(3);
    assert!(again.contains("evsfs mount -c "), "{again}");
    assert_eq!(mount.evsfs_plain(&dry).refused(3), again);

    let hsm = std::fs::read_dir(mount.state_dir().join("hsm")).unwrap();
    assert_eq!(hsm.count(), 0, "the software HSM is erased");
    mount.try_start().refused(3);
    std::fs::copy(&to, &from).unwrap();
    mount.start();
    for disk in ["a", "b"] {
        let data = std::fs::read(mount.mountpoint().join(disk)).unwrap();
        assert_eq!(&data[..5000], disk.repeat(5000).as_bytes());
    }
    assert_eq!(std::fs::read(mount.payload("a")).unwrap(), payload, "no data is rewritten");
    // Its key is disabled here as it was there.
    mount.evsfs(&["disk", "attach", "c"]).refused(5);
    mount.evsfs(&["key", "enable", "old"]).ok();
    mount.evsfs(&["disk", "attach", "c"]).ok();
    assert_eq!(&std::fs::read(mount.mountpoint().join("c")).unwrap()[..5], b"ccccc");
    mount.evsfs(&["disk", "attach", "plain"]).ok();
    for (disk, from, byte) in [("d", "backup:of-a", "a"), ("e", "image:like-b", "b")] {
        mount.evsfs(&["disk", "create", disk, "--from", from, "--key", "finance"]).ok();
        mount.evsfs(&["disk", "attach", disk]).ok();
        let data = std::fs::read(mount.mountpoint().join(disk)).unwrap();
        assert_eq!(&data[..5000], byte.repeat(5000).as_bytes(), "{from}");
    }
    assert_eq!(mount.json(&["key", "show", "finance"])["version"], 2);
    exported_before_is_refused(&mount, exported);
    let objects = token.objects();
    assert_eq!(objects.matches("Secret Key Object").count(), 3, "{objects}");
    mount.stop();
    mount.evsfs_plain(&["check", "-c", from.to_str().unwrap()]).ok();
}

/// An export that was made before the move is sealed under the root key that the move has erased. Who
/// kept exports alone found that out by "the export is refused".
fn exported_before_is_refused(mount: &Mount, exported: &str) {
    let refused = mount.evsfs(&["backup", "import", "back", exported]).refused(7);
    let (why, fix) = refused.split_once("\nfix: ").unwrap();
    assert!(why.contains("before its keys were moved to another HSM"), "{refused}");
    assert!(fix.contains("export it again") && fix.contains("evsfs backup list"), "{refused}");
    // The fix helps, and nothing was left in its way.
    let anew = format!("{exported}.anew");
    mount.evsfs(&["backup", "export", "of-a", &anew]).ok();
    mount.evsfs(&["backup", "import", "back", &anew]).ok();
    let create = ["disk", "create", "back", "--from", "backup:back", "--key", "finance"];
    mount.evsfs(&create).ok();
    mount.evsfs(&["disk", "attach", "back"]).ok();
    let data = std::fs::read(mount.mountpoint().join("back")).unwrap();
    assert_eq!(&data[..5000], "a".repeat(5000).as_bytes());
}
