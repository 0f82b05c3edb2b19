//! In: E4 and E6.

use crate::rig::{
    PASSPHRASE, TOOLS, audit_of, disks_of, exported, luks1_volume, luks2_volume, noise,
    passphrase_file, project, same, text, with_joined,
};
use crate::support::{LoopDevice, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::{FileExt, MetadataExt};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("e4_a_luks1_volume_comes_in_without_being_encrypted_anew", TOOLS, e4_luks1),
        trial("e4_a_luks2_volume_comes_in_without_being_encrypted_anew", TOOLS, e4_luks2),
        trial("e4_a_volume_stays_where_it_lies", TOOLS, e4_in_place),
        trial("e4_what_left_comes_in_again", TOOLS, e4_round_trip),
        trial("e6_a_plain_image_comes_in_exactly", TOOLS, e6_a_plain_image),
        trial("e6_a_block_device_comes_in_exactly", TOOLS, e6_a_block_device),
    ]
}

/// Bytes of the volumes.
const SIZE: usize = 2 << 20;

/// E4: made by qemu-img; wrapped under the key that was named, and recorded.
fn e4_luks1() {
    let (mount, _outside) = project("");
    let plain = noise(SIZE, 1);
    let (volume, passphrase) = (luks1_volume(&mount, &plain), passphrase_file(&mount));
    let line = ["disk", "import", "db", "--luks", text(&volume), "--key", "finance"];
    mount.evsfs(&[&line[..], &["--passphrase-file", text(&passphrase)]].concat()).ok();
    let disk = mount.json(&["disk", "show", "db"]);
    assert_eq!((&disk["key"], &disk["sector_size"]), (&"finance".into(), &512.into()));
    assert_eq!((&disk["status"], &disk["size"]), (&"available".into(), &SIZE.into()));
    mount.evsfs(&["disk", "attach", "db"]).ok();
    same("the disk", &std::fs::read(mount.mountpoint().join("db")).unwrap(), &plain);
    let (volume, payload) = (std::fs::read(&volume).unwrap(), mount.payload("db"));
    let sealed = std::fs::read(payload).unwrap();
    same("the payload", &sealed, &volume[volume.len() - SIZE..]);
    assert!(audit_of(&mount).contains(&("importDatakey".to_owned(), "ok".to_owned())));
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["key", "disable", "finance"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).refused(5);
}

/// E4: made by cryptsetup, in both sector sizes; the disk lives on as any other.
fn e4_luks2() {
    let (mount, _outside) = project("");
    let plain = noise(SIZE, 2);
    let passphrase = passphrase_file(&mount);
    for sector_size in ["512", "4096"] {
        let volume = luks2_volume(&mount, &plain, sector_size, &[]);
        let name = format!("db{sector_size}");
        let line = ["disk", "import", &name, "--luks", text(&volume), "--passphrase-file"];
        mount.evsfs(&[&line[..], &[text(&passphrase)]].concat()).ok();
        let shown = mount.json(&["disk", "show", &name]);
        assert_eq!(shown["sector_size"].to_string(), sector_size);
        mount.evsfs(&["disk", "attach", &name]).ok();
        let file = mount.mountpoint().join(&name);
        same(&name, &std::fs::read(&file).unwrap()[..SIZE], &plain);
        let payload = std::fs::read(mount.payload(&name)).unwrap();
        same("the payload", &payload, &std::fs::read(&volume).unwrap()[16 << 20..]);
        std::fs::File::options().write(true).open(&file).unwrap().write_all_at(b"new", 5).unwrap();
        mount.evsfs(&["disk", "extend", &name, "--size", "64M"]).ok();
        mount.evsfs(&["disk", "rewrap", &name]).ok();
        mount.evsfs(&["backup", "create", &name, &format!("b-{name}")]).ok();
        let again = std::fs::read(&file).unwrap();
        assert_eq!(&again[5..8], b"new");
        same("behind", &again[8..SIZE], &plain[8..]);
    }
}

/// E4: `--backing`, with the header's offset or another; by evs-administrators in backing_dirs only.
fn e4_in_place() {
    let (mount, outside) = project("");
    let plain = noise(SIZE, 3);
    let passphrase = passphrase_file(&mount);
    let (volume, place) = (luks1_volume(&mount, &plain), outside.path().join("volume"));
    std::fs::copy(&volume, &place).unwrap();
    let offset = place.metadata().unwrap().len() - SIZE as u64;
    let import = |name: &str, backing: &str| {
        let line = ["disk", "import", name, "--luks", text(&volume), "--backing", backing];
        mount.evsfs(&[&line[..], &["--passphrase-file", text(&passphrase)]].concat())
    };
    let elsewhere = import("db", text(&volume)).refused(6);
    assert!(elsewhere.contains("backing_dirs"), "{elsewhere}");
    import("db", &format!("{}@1G", text(&place))).refused(2);
    import("db", &format!("{}@100", text(&place))).refused(2);
    import("db", &format!("{}@end", text(&place))).refused(2);
    let link = outside.path().join("link");
    std::os::unix::fs::symlink(&place, &link).unwrap();
    assert_ne!(import("db", text(&link)).code, 0, "a link is not followed");
    assert!(disks_of(&mount).is_empty());
    let before = std::fs::read(&place).unwrap();
    import("db", text(&place)).ok();
    same("the file", &std::fs::read(&place).unwrap(), &before);
    let second = import("second", &format!("{}@{offset}", text(&place))).refused(4);
    assert!(second.contains("already"), "{second}");
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let file = mount.mountpoint().join("db");
    same("the disk", &std::fs::read(&file).unwrap(), &plain);
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    open.write_all_at(b"written here", 1000).unwrap();
    drop(open);
    mount.evsfs(&["disk", "extend", "db", "--size", "3M"]).ok();
    mount.stop();
    mount.start();
    let shown = std::fs::read(&file).unwrap();
    assert_eq!((&shown[1000..1012], shown.len()), (&b"written here"[..], 3 << 20));
    let (header, after) = (offset as usize, std::fs::read(&place).unwrap());
    same("the header", &after[..header], &before[..header]);
    // What was written here is read there: the header is the one that it had.
    let secret = format!("secret,id=s,data={PASSPHRASE}");
    let source = format!("driver=luks,key-secret=s,file.filename={}", place.display());
    let raw = mount.scratch().join("raw");
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let line = ["convert", "--object", &secret, "--image-opts", &source, "-O", "raw", text(&raw)];
    run("qemu-img", &line).ok();
    same("qemu", &std::fs::read(&raw).unwrap()[..SIZE], &shown[..SIZE]);
    let header = exported(&mount, "db", "luks1", &[]);
    let dumped = run("cryptsetup", &["luksDump", text(&header)]).ok();
    assert!(dumped.contains(&format!("Payload offset:\t{}", offset / 512)), "{dumped}");
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    assert!(place.exists(), "it is whoever put it there that removes it");
    import("again", &format!("{}@{offset}", text(&place))).ok();
}

/// E4: a disk that left with a header in front of it is taken in with the same bytes.
fn e4_round_trip() {
    let (mount, _outside) = project("");
    let disk = crate::rig::disk_with_data(&mount, "db", "512");
    let header = exported(&mount, "db", "luks1", &["--joined"]);
    let (volume, payload) = (mount.scratch().join("volume"), mount.payload("db"));
    with_joined([&header, &payload], &[], &format!("nbdcopy \"$uri\" {}", volume.display()));
    let passphrase = passphrase_file(&mount);
    let line = ["disk", "import", "again", "--luks", text(&volume), "--passphrase-file"];
    mount.evsfs(&[&line[..], &[text(&passphrase)]].concat()).ok();
    mount.evsfs(&["disk", "attach", "again"]).ok();
    let again = std::fs::read(mount.mountpoint().join("again")).unwrap();
    same("again", &again, &std::fs::read(&disk).unwrap());
}

/// E6: encrypted or not, in whole sectors, holes kept.
fn e6_a_plain_image() {
    let (mount, _outside) = project("");
    let raw = mount.scratch().join("raw");
    let file = std::fs::File::create(&raw).unwrap();
    file.set_len((8 << 20) + 700).unwrap();
    let marker = b"plaintext marker".repeat(300);
    for at in [0, (3 << 20) + 77, (8 << 20) - 100] {
        file.write_all_at(&marker, at).unwrap();
    }
    let mut expected = std::fs::read(&raw).unwrap();
    for (name, options, sector_size) in [
        ("plain", &["--unencrypted"][..], 512),
        ("sealed", &["--encrypted", "--key", "finance"][..], 512),
        ("large", &["--key", "finance", "--sector-size", "4096"][..], 4096),
    ] {
        let line = ["disk", "import", name, "--raw", text(&raw)];
        let table = mount.evsfs(&[&line[..], options].concat()).ok();
        assert!(table.lines().nth(1).unwrap().starts_with(name), "{table}");
        assert_eq!(mount.json(&["disk", "show", name])["sector_size"], sector_size);
        mount.evsfs(&["disk", "attach", name]).ok();
        let disk = mount.mountpoint().join(name);
        expected.resize(expected.len().next_multiple_of(sector_size), 0);
        same(name, &std::fs::read(&disk).unwrap(), &expected);
        let used = disk.metadata().unwrap().blocks() * 512;
        assert!(used <= 4 << 20, "{name} keeps the holes: {used}");
        let found = run("grep", &["-cF", "plaintext marker", text(&mount.payload(name))]);
        assert_eq!(found.code == 0, name == "plain", "{name}");
    }
    let qcow2 = mount.scratch().join("qcow2");
    run("qemu-img", &["create", "-q", "-f", "qcow2", text(&qcow2), "4M"]).ok();
    let refused = mount.evsfs(&["disk", "import", "q", "--raw", text(&qcow2)]).refused(2);
    assert!(refused.contains("image import"), "{refused}");
    mount.evsfs(&["disk", "import", "q", "--raw", text(mount.scratch())]).refused(2);
    mount.evsfs(&["disk", "import", "plain", "--raw", text(&raw)]).refused(10);
    let json = mount.json(&["disk", "import", "j", "--raw", text(&raw)]);
    assert_eq!((&json["name"], &json["source"]), (&"j".into(), &"file".into()));
}

/// E6: a block device is all data.
fn e6_a_block_device() {
    let (mount, _outside) = project("");
    let raw = mount.scratch().join("raw");
    let plain = noise(3 << 20, 9);
    std::fs::write(&raw, &plain).unwrap();
    let device = LoopDevice::over(&raw, &["--read-only"]);
    mount.evsfs(&["disk", "import", "db", "--raw", device.path(), "--key", "finance"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    same("the disk", &std::fs::read(mount.mountpoint().join("db")).unwrap(), &plain);
}
