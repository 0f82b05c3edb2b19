//! Bad input through every door: one clear error, nothing created, daemon alive.

use crate::rig::{ask, errno, three_lines};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::{Value, json};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("bad_names_are_refused_at_every_door", Needs::Fuse, bad_names),
        trial("bad_sizes_are_refused_at_every_door", Needs::Fuse, bad_sizes),
        trial("bad_commands_are_refused", Needs::Fuse, bad_commands),
        trial("a_command_has_at_most_4_kib", Needs::Fuse, a_command_has_at_most_4_kib),
        trial("bad_paths_below_the_control_directory_find_nothing", Needs::Fuse, bad_paths),
    ]
}

/// A mount with one disk, which every attempt must leave as it is.
struct Witness {
    mount: Mount,
    disks: Value,
    keys: Value,
    pid: u32,
}

impl Witness {
    fn new() -> Witness {
        let mount = Mount::new();
        mount.evsfs(&["disk", "create", "there", "--size", "1M"]).ok();
        let (disks, keys) = (mount.json(&["disk", "list"]), mount.json(&["key", "list"]));
        let pid = mount.pid();
        Witness { mount, disks, keys, pid }
    }

    #[track_caller]
    fn nothing_happened(&self) {
        assert_eq!(ask(&self.mount, &json!({"op": "disk.list"}))["ok"], self.disks);
        assert_eq!(ask(&self.mount, &json!({"op": "key.list"}))["ok"], self.keys);
        assert_eq!(self.mount.pid(), self.pid);
        let directories = std::fs::read_dir(self.mount.state_dir().join("disks")).unwrap();
        assert_eq!(directories.count(), 1);
    }
}

fn bad_names() {
    let witness = Witness::new();
    let mount = &witness.mount;
    let long = "n".repeat(256);
    for name in [
        "",
        ".",
        "..",
        ".evs",
        "a/b",
        "../a",
        "/etc/passwd",
        "a b",
        "a\nb",
        "a\tb",
        "a\0b",
        "-a",
        "a\u{7f}",
        "\u{1b}[31m",
        "größe",
        "a\\b",
        "a:b",
        "a*",
        &long,
    ] {
        let answer = ask(mount, &json!({"op": "disk.create", "name": name, "size": "1M"}));
        assert_eq!(answer["error"]["code"], "EVS.1003", "{name:?}: {answer}");
        assert_eq!(answer["error"]["kind"], "invalid", "{name:?}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(!message.contains(['\0', '\n', '\u{1b}']), "{message:?}");

        let quoted = format!("name=\"{name}\" size=1M");
        assert_eq!(errno(mount.write_control("disks/create", &quoted)), Errno::INVAL, "{name:?}");
        assert!(!mount.read_control("error").contains(['\0', '\u{1b}']));
        if !name.contains('\0') {
            let [_, why, _] = three_lines(
                mount.evsfs(&["disk", "create", "--size", "1M", "--", name]),
                2,
                "EVS.1003",
            );
            assert!(why.len() < 400, "{why}");
        }
        for op in ["disk.show", "disk.attach", "disk.detach", "disk.delete"] {
            let answer = ask(mount, &json!({"op": op, "name": name}));
            assert_eq!(answer["error"]["kind"], "invalid", "{op} {name:?}: {answer}");
        }
    }
    for alias in ["", "a b", "a/b", "evs/x", "a\nb", "a\0b", "é", &long] {
        let answer = ask(mount, &json!({"op": "key.create", "alias": alias}));
        assert_eq!(answer["error"]["code"], "KMS.1101", "{alias:?}: {answer}");
    }
    let answer = ask(mount, &json!({"op": "key.create", "alias": "a", "description": "x\ny"}));
    assert_eq!(answer["error"]["code"], "KMS.1103", "{answer}");
    witness.nothing_happened();
}

fn bad_sizes() {
    let witness = Witness::new();
    let mount = &witness.mount;
    for size in [
        "0",
        "1",
        "4095",
        "1048575",
        "1048577",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999",
        "-1",
        "-1048576",
        "1e9",
        "1.5G",
        "0x100000",
        "1M ",
        " 1M",
        "1 M",
        "M",
        "",
        "10X",
        "1MB",
        "١M",
        "65T",
        "+1M",
    ] {
        let answer = ask(mount, &json!({"op": "disk.create", "name": "x", "size": size}));
        assert_eq!(answer["error"]["code"], "EVS.1010", "{size:?}: {answer}");
        let quoted = format!("name=x size=\"{size}\"");
        let code = errno(mount.write_control("disks/create", &quoted));
        assert!([Errno::INVAL, Errno::RANGE].contains(&code), "{size:?}: {code:?}");
        let words = ["disk", "create", "x", &format!("--size={size}")];
        three_lines(mount.evsfs(&words), 2, "EVS.1010");
        let words = ["disk", "extend", "there", &format!("--size={size}")];
        let refused = mount.evsfs(&words);
        assert_eq!(refused.code, 2, "{size:?}: {refused:?}");
    }
    for size in [json!(-1), json!(1e9), json!(1.5), json!(0), json!(null), json!([1]), json!({})] {
        let answer = ask(mount, &json!({"op": "disk.create", "name": "x", "size": size}));
        let kind = answer["error"]["kind"].as_str().unwrap_or_default();
        assert!(["invalid", "out-of-range"].contains(&kind), "{size}: {answer}");
    }
    witness.nothing_happened();
}

fn bad_commands() {
    let witness = Witness::new();
    let mount = &witness.mount;
    for text in [
        "\n",
        "name",
        "name=",
        "name=x",
        "size=1M",
        "name=x size",
        "name=x size=",
        "=x",
        "= =",
        "name=x name=y size=1M",
        "name=x size=1M size=2M",
        "name=x size=1M colour=red",
        "name=x size=1M NAME=y",
        "name=x size=1M encrypted=maybe",
        "name=x size=1M encrypted=",
        "name=x size=1M sector-size=1024",
        "name=x size=1M sector-size=-512",
        "name=x size=1M sector-size=many",
        "name=\"x size=1M",
        "name=x\"y\" size=1M",
        "name=x size=1M key=evs/default encrypted=no",
        "name=x size=1M key=\"a b\"",
        "name=x size=1M from=tape:y",
        "name=x size=1M backing=relative",
        "name=x size=1M backing=/tmp/../etc/x",
        "name=x;size=1M",
        "name=x,size=1M",
        "name=x\tsize=1M",
        "{\"name\":\"x\",\"size\":\"1M\"}",
        "name=x size=1M\nname=y size=1M\n",
        "name=x size=1M\0",
        "name=x size=1M\r\n",
    ] {
        let refused = mount.write_control("disks/create", text);
        let code = errno(refused);
        assert!(
            [Errno::INVAL, Errno::RANGE, Errno::ACCESS, Errno::OPNOTSUPP].contains(&code),
            "{text:?}: {code:?}"
        );
        let error = mount.read_control("error");
        assert!(error.lines().count() >= 2, "{text:?}: {error}");
    }
    let not_text = std::fs::write(mount.control("disks/create"), b"name=\xff\xfe size=1M");
    assert_eq!(errno(not_text), Errno::INVAL);
    for (file, text) in [
        ("attach", "rwx"),
        ("attach", "rw ro"),
        ("detach", "now"),
        ("detach", "FORCE"),
        ("extend", "\n"),
        ("extend", "more"),
        ("delete", "\n"),
        ("delete", "THERE"),
    ] {
        let refused = mount.write_control(&format!("disks/there/{file}"), text);
        assert_eq!(errno(refused), Errno::INVAL, "{file} {text:?}");
    }
    witness.nothing_happened();
}

/// "One write is one command, at most 4 KiB, complete or refused".
fn a_command_has_at_most_4_kib() {
    let witness = Witness::new();
    let mount = &witness.mount;
    let padded = |name: &str, len: usize| {
        let command = format!("name={name} size=1M");
        let blanks = " ".repeat(len - command.len());
        command + &blanks
    };
    for len in [4097, 8192, 1 << 20, 3 << 20] {
        let refused = mount.write_control("disks/create", &padded("x", len));
        assert_eq!(errno(refused), Errno::INVAL, "{len}");
        let error = mount.read_control("error");
        assert!(error.contains("4096 bytes"), "{len}: {error}");
    }
    witness.nothing_happened();
    // Half a command is a command of its own, and not remembered for the other half.
    {
        use std::io::Write;
        let mut file =
            std::fs::File::options().write(true).open(mount.control("disks/create")).unwrap();
        assert_eq!(errno(file.write(b"name=x si")), Errno::INVAL);
        assert_eq!(errno(file.write(b"ze=1M\n")), Errno::INVAL);
    }
    witness.nothing_happened();
    mount.write_control("disks/create", &padded("longest", 4096)).unwrap();
    assert_eq!(mount.read_control("disks/longest/size"), "1048576");
}

fn bad_paths() {
    let witness = Witness::new();
    let mount = &witness.mount;
    let long = "n".repeat(255);
    let too_long = "n".repeat(256);
    for path in [
        "disks/nobody",
        "disks/there/nothing",
        "keys/nobody/state",
        "keys/evs/x",
        &format!("disks/{long}"),
    ] {
        assert_eq!(errno(std::fs::metadata(mount.control(path))), Errno::NOENT, "{path}");
    }
    let answer = errno(std::fs::metadata(mount.control(&format!("disks/{too_long}"))));
    assert!([Errno::NAMETOOLONG, Errno::NOENT].contains(&answer), "{answer:?}");
    assert_eq!(errno(std::fs::metadata(mount.control("version/x"))), Errno::NOTDIR);
    use std::os::unix::ffi::OsStrExt;
    let not_text = mount.control("disks").join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    assert_eq!(errno(std::fs::metadata(not_text)), Errno::NOENT);
    for operation in [
        std::fs::create_dir(mount.control("disks/new")),
        std::fs::remove_dir(mount.control("disks/there")),
        std::fs::remove_file(mount.control("disks/there/status")),
        std::fs::rename(mount.control("disks/there"), mount.control("disks/elsewhere")),
        std::os::unix::fs::symlink("/etc/passwd", mount.mountpoint().join("link")),
        std::fs::hard_link(mount.control("version"), mount.control("copy")),
        std::fs::create_dir(mount.mountpoint().join("new")),
    ] {
        assert_eq!(errno(operation), Errno::PERM);
    }
    witness.nothing_happened();
}
