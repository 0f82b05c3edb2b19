//! Who may take a key out, and where it is not seen: E3.

use crate::rig::{TOOLS, audit_of, disk_with_data, exported, passphrase_file, project, text};
use crate::support::{ALICE, BOTH, KEEPER, Mount, OPERATOR, Output, USERS, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::PermissionsExt;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("e3_only_those_who_manage_keys_take_a_key_out", TOOLS, e3_only_those),
        trial("e3_a_key_that_is_disabled_stays", TOOLS, e3_a_key_that_is_disabled_stays),
        trial("e3_the_key_is_seen_nowhere_on_its_way", TOOLS, e3_the_key_is_seen_nowhere),
        trial("e3_a_key_goes_to_a_new_file_only", TOOLS, e3_a_new_file_only),
        trial("e3_without_cryptsetup_nothing_is_taken_out", TOOLS, e3_without_cryptsetup),
    ]
}

fn as_uid(mount: &Mount, uid: u32, arguments: &[&str]) -> Output {
    let mountpoint = mount.mountpoint();
    mount.as_uid(uid, mount.program(), &[&["--mount", text(&mountpoint)], arguments].concat())
}

/// E3: kms-administrator, of a disk that is theirs to use; refusals stand in the audit log.
fn e3_only_those() {
    let (mount, place) = project(USERS);
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    for (uid, disk) in [(ALICE, "hers"), (BOTH, "theirs")] {
        as_uid(&mount, uid, &["disk", "create", disk, "--size", "1M", "--key", "finance"]).ok();
    }
    for (uid, disk, code) in [
        (ALICE, "hers", 6),
        (KEEPER, "hers", 3),
        (OPERATOR, "hers", 6),
        (BOTH, "hers", 3),
        (BOTH, "theirs", 0),
    ] {
        let file = place.path().join(format!("{uid}-{disk}"));
        let line = ["disk", "export-header", disk, "--format", "dk", "--output", text(&file)];
        let output = as_uid(&mount, uid, &line);
        assert_eq!(output.code, code, "{uid} {disk}: {}", output.stderr);
        assert_eq!(file.exists(), code == 0, "{uid} {disk}");
    }
    let refused = mount.control("disks/hers/materialize");
    let line = format!("echo > {}", refused.display());
    assert_ne!(mount.as_uid(ALICE, "sh", &["-c", &line]).code, 0);
    let raw = place.path().join("raw");
    std::fs::write(&raw, vec![1; 1 << 20]).unwrap();
    for (uid, code) in [(ALICE, 6), (KEEPER, 6), (OPERATOR, 6), (BOTH, 0)] {
        let output = as_uid(&mount, uid, &["disk", "import", "new", "--raw", text(&raw)]);
        assert_eq!(output.code, code, "{uid}: {}", output.stderr);
    }
    let exports: Vec<_> =
        audit_of(&mount).into_iter().filter(|(event, _)| event == "exportDatakey").collect();
    let outcomes: Vec<_> = exports.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(outcomes, ["EVSFS.denied", "EVSFS.denied", "ok"]);
    mount.evsfs(&["audit", "verify"]).ok();
}

/// E3: as for an attach.
fn e3_a_key_that_is_disabled_stays() {
    let (mount, _place) = project("");
    disk_with_data(&mount, "db", "4096");
    let file = mount.scratch().join("key");
    let export = ["disk", "export-header", "db", "--format", "dk", "--output", text(&file)];
    mount.evsfs(&["key", "disable", "finance"]).ok();
    let refused = mount.evsfs(&export).refused(5);
    assert!(refused.contains("(EVS.2040, KMS.0209)"), "{refused}");
    let begun = mount.write_control("disks/db/materialize", "\n");
    assert!(begun.is_ok(), "an attached disk goes on, and its key is in memory");
    mount.evsfs(&["key", "enable", "finance"]).ok();
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    mount.evsfs(&export).refused(6);
    mount.attached_disk("plain", "1M", &["--unencrypted"]);
    let line = ["disk", "export-header", "plain", "--format", "dk", "--output", text(&file)];
    let refused = mount.evsfs(&line).refused(2);
    assert!(refused.contains("/payload"), "it says where the content lies: {refused}");
    assert!(!file.exists());
}

/// E3: not in what any program was started with, nor in what was written to a terminal or the log.
fn e3_the_key_is_seen_nowhere() {
    let (mount, _place) = project("");
    disk_with_data(&mount, "db", "512");
    mount.stop();
    let log = mount.scratch().join("log");
    let script = format!(
        "EVSFS_LOG=trace exec {} mount -f -c {} 2> {}",
        mount.program(),
        text(&mount.config_path()),
        text(&log)
    );
    let mut daemon = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
    crate::support::wait_until("it is mounted", || mount.control("version").exists());
    let key = std::fs::read(exported(&mount, "db", "dk", &[])).unwrap();
    let traced = |name: &str, arguments: &[&str]| {
        let trace = mount.scratch().join(name);
        let mountpoint = mount.mountpoint();
        // All strings in hexadecimal digits; -v prints the environment too.
        let strace = ["-f", "-v", "-xx", "-s", "65536", "-o", text(&trace)];
        let what = ["-e", "trace=execve,write,openat", mount.program(), "--mount"];
        let line = [&strace[..], &what, &[text(&mountpoint)], arguments].concat();
        run("strace", &line).ok();
        std::fs::read_to_string(&trace).unwrap()
    };
    let (passphrase, header) = (passphrase_file(&mount), mount.scratch().join("header"));
    let out = traced(
        "out",
        &[
            "disk",
            "export-header",
            "db",
            "--format",
            "luks1",
            "--joined",
            "--output",
            text(&header),
            "--passphrase-file",
            text(&passphrase),
        ],
    );
    let luks = mount.scratch().join("luks");
    let line = format!("cat {} {} > {}", text(&header), text(&mount.payload("db")), text(&luks));
    run("sh", &["-c", &line]).ok();
    let import = ["disk", "import", "new", "--luks", text(&luks), "--passphrase-file"];
    let back = traced("back", &[&import[..], &[text(&passphrase)]].concat());
    let escaped = |bytes: &[u8]| bytes.iter().map(|it| format!("\\x{it:02x}")).collect::<String>();
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    // A part of it is enough to be found.
    let forms = [escaped(&key[..16]), escaped(&digits.as_bytes()[..16]), escaped(&key[48..])];
    for (trace, verb) in [(&out, "luksFormat"), (&back, "luksDump")] {
        let started: Vec<_> = trace.lines().filter(|line| line.contains("execve(")).collect();
        assert!(started.iter().any(|line| line.contains(&escaped(verb.as_bytes()))), "{verb}");
        let terminal = |line: &&str| line.contains("write(1,") || line.contains("write(2,");
        let shown: Vec<_> = trace.lines().filter(terminal).collect();
        for form in &forms {
            assert!(started.iter().all(|line| !line.contains(form)), "an argument or a variable");
            let name = |line: &&str| line.contains("openat(");
            assert!(trace.lines().filter(name).all(|line| !line.contains(form)), "a file's name");
            // What luksDump prints goes to a pipe.
            let is_pipe = verb == "luksDump";
            assert!(is_pipe || shown.iter().all(|line| !line.contains(form)), "the terminal");
        }
    }
    mount.stop();
    daemon.wait().unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("exported"), "{log}");
    assert!(!log.contains(&digits[..16]) && !log.contains(&digits[112..]));
    mount.start();
    // Nor in what the state directory keeps.
    let found = run("grep", &["-rlaF", &digits[..32], text(mount.state_dir())]);
    assert_eq!((found.code, found.stdout.as_str()), (1, ""));
}

/// E3: never over what is there, never to a terminal.
fn e3_a_new_file_only() {
    let (mount, _place) = project("");
    disk_with_data(&mount, "db", "512");
    let there = mount.secret_file("there", b"mine");
    let passphrase = passphrase_file(&mount);
    for output in [text(&there), "/dev/tty", "/dev/stdout", "/dev/null"] {
        for format in ["luks1", "luks2", "dk"] {
            let mut line = vec!["disk", "export-header", "db", "--format", format];
            line.extend_from_slice(&["--output", output, "--passphrase-file", text(&passphrase)]);
            mount.evsfs(&line).refused(10);
        }
    }
    let line = ["disk", "export-header", "db", "--format", "dk", "--output", "-"];
    mount.evsfs(&line).refused(2);
    assert_eq!(std::fs::read(&there).unwrap(), b"mine");
    let asked = audit_of(&mount).into_iter().any(|(event, _)| event == "exportDatakey");
    assert!(!asked, "the key was not even asked for");
    std::fs::set_permissions(&passphrase, PermissionsExt::from_mode(0o644)).unwrap();
    let new = mount.scratch().join("new");
    let line = ["disk", "export-header", "db", "--format", "luks2", "--output", text(&new)];
    let open_to_all = [&line[..], &["--passphrase-file", text(&passphrase)]].concat();
    mount.evsfs(&open_to_all).refused(6);
    // Nobody to ask, and no file: refused, naming all ways there are.
    let refused = mount.evsfs(&line).refused(2);
    assert!(refused.contains("evsfs-header-passphrase"), "{refused}");
    assert!(!new.exists());
}

/// E3: "a clear error when it is not installed".
fn e3_without_cryptsetup() {
    let (mount, _place) = project("");
    disk_with_data(&mount, "db", "512");
    let (passphrase, header) = (passphrase_file(&mount), mount.scratch().join("header"));
    let program = run("sh", &["-c", "command -v cryptsetup"]).ok();
    // In a namespace of its own the program is hidden under a device.
    let script = format!(
        "mount --bind /dev/null {} && exec {} --mount {} disk export-header db --format luks2 \
         --output {} --passphrase-file {}",
        program.trim(),
        mount.program(),
        text(&mount.mountpoint()),
        text(&header),
        text(&passphrase)
    );
    let hidden = run("unshare", &["--mount", "--propagation", "private", "sh", "-c", &script]);
    let refused = hidden.refused(3);
    assert!(refused.contains("cryptsetup-bin"), "{refused}");
    assert!(!header.exists());
    assert!(!audit_of(&mount).into_iter().any(|(event, _)| event == "exportDatakey"));
}
