//! Backups as files: exported, imported, on one machine and from one to another.

use crate::rig::{content, directories, fill, flip, place, restored, sectors};
use crate::support::{Mount, Needs, Setup, as_user, run, trial, wait_until};
use libtest_mimic::Trial;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("b8_an_export_comes_back_byte_for_byte", Needs::Fuse, b8_comes_back),
        trial("b8_an_export_asks_for_no_key_and_shows_nothing", Needs::Fuse, b8_no_key),
        trial("b8_a_machine_that_shares_the_kms_restores_it", Needs::Fuse, b8_another_machine),
        trial("b8_files_directories_and_pipes_are_taken", Needs::Fuse, b8_files_and_pipes),
        trial("b8_an_export_shows_how_far_it_is_and_keeps_to_its_limit", Needs::Fuse, b8_limit),
        trial("b9_what_is_no_whole_export_of_ours_is_refused", Needs::Fuse, b9_refused),
        trial("b9_an_import_that_is_not_finished_leaves_nothing", Needs::Fuse, b9_not_finished),
        trial("b9_a_full_medium_leaves_nothing_of_an_import", Needs::Root, b9_no_space),
        trial("b10_without_its_key_it_is_kept_and_not_restored", Needs::Fuse, b10_key_gone),
        trial("b5_a_damaged_backup_is_not_exported", Needs::Fuse, b5_damaged_export),
        trial("b7_a_backup_that_is_exported_stays", Needs::Fuse, b7_exported_stays),
        trial("b7_foreign_backups_are_not_exported", Needs::Root, b7_foreign),
    ]
}

/// A mount with a chain of two backups, `b0` and `b1`, and what `b1` holds.
fn with_chain(option: &str) -> (Mount, Vec<u8>) {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &[option]);
    (0..4).for_each(|mib| fill(&mount, "db", mib, 0xA5));
    mount.evsfs(&["backup", "create", "db", "b0"]).ok();
    fill(&mount, "db", 1, 0x5A);
    mount.evsfs(&["backup", "create", "db", "b1"]).ok();
    let held = content(&mount, "db");
    (mount, held)
}

fn export(mount: &Mount, backup: &str) -> PathBuf {
    let file = mount.scratch().join(format!("{backup}.file"));
    mount.evsfs(&["backup", "export", backup, text(&file)]).ok();
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// B8: the whole chain, as one full backup, under any name.
fn b8_comes_back() {
    for option in ["--encrypted", "--unencrypted"] {
        let (mount, held) = with_chain(option);
        let file = export(&mount, "b1");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        mount.evsfs(&["backup", "export", "b1", text(&file)]).refused(10);
        let shown = mount.json(&["backup", "import", "back", text(&file)]);
        assert_eq!(shown["status"], "available");
        assert_eq!((&shown["parent"], &shown["disk"]), (&serde_json::Value::Null, &"db".into()));
        assert_eq!((&shown["stored"], &shown["size"]), (&(4 * 65536).into(), &(8 << 20).into()));
        assert_eq!(shown["created"], mount.json(&["backup", "show", "b1"])["created"]);
        assert!(shown["imported"].is_string() && shown["error"].is_null(), "{shown}");
        mount.evsfs(&["backup", "delete", "b1", "--yes"]).ok();
        mount.evsfs(&["backup", "delete", "b0", "--yes"]).ok();
        mount.stop();
        mount.start();
        mount.evsfs(&["backup", "verify", "back"]).ok();
        assert!(restored(&mount, "back", "copy", &[]) == held, "{option}");
        // What was made elsewhere is nothing to build upon.
        mount.evsfs(&["backup", "create", "db", "none", "--incremental"]).refused(3);
        mount.evsfs(&["backup", "import", "back", text(&file)]).refused(10);
    }
}

/// B8: a long export said nothing, and took all of the disk's bandwidth.
fn b8_limit() {
    let (mount, held) = with_chain("--encrypted");
    let file = mount.scratch().join("slow");
    let begun = std::time::Instant::now();
    let said = mount.evsfs(&["backup", "export", "b1", text(&file), "--limit", "100K"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("export of b1: ") && said.stderr.contains("/s"), "{said:?}");
    // Some 270,000 bytes.
    assert!(begun.elapsed().as_secs_f64() > 2.0, "{:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    mount.evsfs(&["backup", "import", "back", text(&file), "--limit", "100K"]).ok();
    assert!(begun.elapsed().as_secs_f64() > 2.0, "{:?}", begun.elapsed());
    assert!(restored(&mount, "back", "copy", &[]) == held);
    for verb in ["export", "import"] {
        let wrong = ["backup", verb, "b1", "other", "--limit", "fast"];
        assert!(mount.evsfs(&wrong).refused(2).contains("fix: say it as a size"));
    }
}

/// B8: with a disabled key too; and what lies in the file is ciphertext.
fn b8_no_key() {
    let mount = Setup::default().mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "8M", &["--key", "finance"]);
    fill(&mount, "db", 2, 0xA5);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount.evsfs(&["key", "disable", "finance"]).ok();
    let file = export(&mount, "b");
    mount.evsfs(&["backup", "import", "back", text(&file)]).ok();
    assert!(!sectors(&file).contains(&vec![0xA5; 4096]));
    assert_eq!(mount.json(&["backup", "show", "back"])["key_state"], "disabled");
    let create = ["disk", "create", "copy", "--from", "backup:back"];
    let refusal = mount.evsfs(&create).refused(5);
    assert!(refusal.contains("KMS.0209"), "{refusal}");
    mount.evsfs(&["key", "enable", "finance"]).ok();
    mount.evsfs(&create).ok();
}

/// A machine with the same root key and, if asked, the same master keys.
fn another_machine(of: &Mount, with_keys: bool) -> Mount {
    let other = Setup::default().prepare();
    for entry in std::fs::read_dir(other.state_dir()).unwrap() {
        run("rm", &["-r", text(&entry.unwrap().path())]).ok();
    }
    run("cp", &["-a", text(&of.state_dir().join("hsm")), text(other.state_dir())]).ok();
    if with_keys {
        bring_keys(of, &other);
    }
    accept(&other);
    other.start();
    other.evsfs(&["agency", "create"]);
    other
}

fn bring_keys(of: &Mount, to: &Mount) {
    let _ = std::fs::remove_dir_all(to.state_dir().join("kms"));
    run("cp", &["-a", text(&of.state_dir().join("kms")), text(to.state_dir())]).ok();
}

fn accept(mount: &Mount) {
    mount.evsfs_plain(&["check", "--accept", "-c", text(&mount.config_path())]).ok();
}

/// B8: on another machine, and nothing of the first is needed there but the KMS.
fn b8_another_machine() {
    let (mount, held) = with_chain("--encrypted");
    let file = export(&mount, "b1");
    mount.stop();
    let other = another_machine(&mount, true);
    other.evsfs(&["backup", "import", "back", text(&file)]).ok();
    assert!(restored(&other, "back", "copy", &[]) == held);
    let plain = restored(&other, "back", "plain", &["--unencrypted"]);
    assert!(plain == held);
}

/// B10: kept, shown with a key that is gone, restored as soon as the key is there.
fn b10_key_gone() {
    let (mount, held) = with_chain("--encrypted");
    let file = export(&mount, "b1");
    mount.stop();
    let other = another_machine(&mount, false);
    let output = other.evsfs(&["backup", "import", "back", text(&file)]);
    assert!(output.stderr.contains("the KMS here has no key"), "{output:?}");
    output.ok();
    assert_eq!(other.json(&["backup", "show", "back"])["key_state"], "gone");
    other.evsfs(&["backup", "verify", "back"]).ok();
    let refusal = other.evsfs(&["disk", "create", "copy", "--from", "backup:back"]).refused(5);
    assert!(refusal.contains("EVS.2040") && refusal.contains("KMS.0207"), "{refusal}");
    other.stop();
    bring_keys(&mount, &other);
    accept(&other);
    other.start();
    assert!(restored(&other, "back", "copy", &[]) == held);
}

/// B8: a directory, standard output and standard input, and `data` itself.
fn b8_files_and_pipes() {
    let (mount, held) = with_chain("--encrypted");
    let scratch = mount.scratch();
    mount.evsfs(&["backup", "export", "b1", text(scratch)]).ok();
    assert!(scratch.join("b1.evsbackup").exists());
    mount.evsfs(&["backup", "delete", "b1", "--yes"]).ok();
    mount.evsfs(&["backup", "import", "b1", text(scratch)]).ok();
    let (program, at) = (mount.program(), mount.mountpoint());
    let evsfs = format!("{program} --mount {}", at.display());
    let script = format!("{evsfs} backup export b1 - | {evsfs} backup import piped -");
    run("sh", &["-ec", &script]).ok();
    let script = format!(
        "cd {}/.evs/backups; cp b1/data {}/plain; echo 'import=yes name=by-hand' > create; \
         exec 3> by-hand/data; cat {}/plain >&3; echo > by-hand/finish",
        at.display(),
        scratch.display(),
        scratch.display()
    );
    run("sh", &["-ec", &script]).ok();
    for backup in ["b1", "piped", "by-hand"] {
        assert!(restored(&mount, backup, &format!("of-{backup}"), &[]) == held, "{backup}");
    }
}

fn is_without_imports(mount: &Mount, backups: usize) {
    wait_until("nothing is left", || {
        let listed = mount.json(&["backup", "list"]).as_array().unwrap().len();
        (directories(mount, "backups").len(), listed) == (backups, backups)
    });
}

/// B9: cut, edited, longer, mixed, foreign, or something else.
fn b9_refused() {
    let (mount, _) = with_chain("--encrypted");
    let whole = std::fs::read(export(&mount, "b1")).unwrap();
    let other = std::fs::read(export(&mount, "b0")).unwrap();
    let foreign = {
        let (elsewhere, _) = with_chain("--encrypted");
        std::fs::read(export(&elsewhere, "b1")).unwrap()
    };
    let edited = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let len = whole.len();
    let mut bad: Vec<(String, Vec<u8>)> = vec![
        ("empty".to_owned(), Vec::new()),
        (
            "text".to_owned(),
            b"#!/bin/sh\necho this is no export at all, but long enough\n".to_vec(),
        ),
        ("longer".to_owned(), [&whole[..], b"x"].concat()),
        ("mixed".to_owned(), [&other[..48], &whole[48..]].concat()),
        ("foreign".to_owned(), foreign),
    ];
    bad.extend(
        [8, 47, 50, 300, len / 2, len - 1].map(|at| (format!("cut at {at}"), whole[..at].to_vec())),
    );
    bad.extend(
        [0, 9, 13, 20, 40, 48, 60, 400, len / 2, len - 1]
            .map(|at| (format!("edited at {at}"), edited(at))),
    );
    let file = mount.scratch().join("bad");
    for (how, bytes) in bad {
        std::fs::write(&file, bytes).unwrap();
        let output = mount.evsfs(&["backup", "import", "bad", text(&file)]);
        let refusal = output.refused(if how == "edited at 9" { 2 } else { 7 });
        assert!(refusal.contains(text(&file)), "{how}: {refusal}");
        assert!(how != "foreign" || refusal.contains("another root key"), "{refusal}");
        is_without_imports(&mount, 2);
    }
    std::fs::write(&file, whole).unwrap();
    mount.evsfs(&["backup", "import", "good", text(&file)]).ok();
}

/// B9: closed before it is finished, deleted, the program killed, the daemon killed.
fn b9_not_finished() {
    let (mount, _) = with_chain("--encrypted");
    let whole = std::fs::read(export(&mount, "b1")).unwrap();
    let begin = |name: &str| {
        mount.write_control("backups/create", &format!("import=yes name={name}")).unwrap();
        assert_eq!(mount.read_control(&format!("backups/{name}/status")), "importing");
        assert_eq!(mount.read_control(&format!("backups/{name}/disk")), "");
    };
    let open = |name: &str| {
        File::options().write(true).open(mount.control(&format!("backups/{name}/data")))
    };
    begin("closed");
    let mut data = open("closed").unwrap();
    assert_eq!(open("closed").unwrap_err().raw_os_error(), Some(16), "EBUSY: one writer");
    data.write_all(&whole).unwrap();
    mount.evsfs(&["disk", "create", "d", "--from", "backup:closed"]).refused(4);
    mount.evsfs(&["backup", "verify", "closed"]).refused(4);
    mount.evsfs(&["backup", "export", "closed", "-"]).refused(4);
    drop(data);
    is_without_imports(&mount, 2);
    begin("deleted");
    mount.write_control("backups/deleted/finish", "\n").unwrap_err();
    mount.evsfs(&["backup", "delete", "deleted", "--yes"]).ok();
    is_without_imports(&mount, 2);
    // A program that waits for the rest of its input.
    let mut program = std::process::Command::new(mount.program())
        .args(["--mount", text(&mount.mountpoint()), "backup", "import", "killed", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.as_mut().unwrap().write_all(&whole[..whole.len() / 2]).unwrap();
    wait_until("it has begun", || mount.control("backups/killed").exists());
    program.kill().unwrap();
    program.wait().unwrap();
    is_without_imports(&mount, 2);
    begin("killed");
    let mut data = open("killed").unwrap();
    data.write_all(&whole[..whole.len() / 2]).unwrap();
    begin("waiting");
    mount.kill();
    drop(data);
    run("umount", &["-l", text(&mount.mountpoint())]);
    mount.start();
    is_without_imports(&mount, 2);
    mount.evsfs(&["backup", "verify", "b1"]).ok();
}

/// A small tmpfs, unmounted when dropped.
struct SmallMedium(tempfile::TempDir);

impl Drop for SmallMedium {
    fn drop(&mut self) {
        run("umount", &["-l", text(self.0.path())]);
    }
}

/// B9: exit code 9; with room again it works.
fn b9_no_space() {
    let medium = SmallMedium(tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap());
    run("mount", &["-t", "tmpfs", "-o", "size=12M,mode=0700", "tmpfs", text(medium.0.path())]).ok();
    let setup = Setup { config: String::new(), state_dir: Some(medium.0.path().join("state")) };
    let mount = setup.mount();
    let disk = mount.attached_disk("db", "3M", &["--unencrypted"]);
    std::fs::write(&disk, vec![7; 3 << 20]).unwrap();
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    let file = export(&mount, "b");
    let filler = medium.0.path().join("filler");
    std::fs::write(&filler, vec![1; 4 << 20]).unwrap();
    mount.evsfs(&["backup", "import", "back", text(&file)]).refused(9);
    is_without_imports(&mount, 1);
    std::fs::remove_file(filler).unwrap();
    mount.evsfs(&["backup", "import", "back", text(&file)]).ok();
    mount.evsfs(&["backup", "verify", "back"]).ok();
    drop(mount);
}

/// B5: the damaged file is named, no file is left, and `error` remembers it until it is good again.
fn b5_damaged_export() {
    let (mount, _) = with_chain("--encrypted");
    let damaged = place(&mount, "b0").join("data");
    flip(&damaged, 100);
    let file = mount.scratch().join("out");
    let refusal = mount.evsfs(&["backup", "export", "b1", text(&file)]).refused(7);
    assert!(refusal.contains(text(&damaged)), "{refusal}");
    assert!(!file.exists());
    let script = format!(
        "{} --mount {} backup export b1 - > {}",
        mount.program(),
        mount.mountpoint().display(),
        file.display()
    );
    assert_eq!(run("sh", &["-c", &script]).code, 7);
    assert!(mount.read_control("backups/b1/error").contains(text(&damaged)));
    assert_eq!(mount.read_control("backups/b0/error"), "");
    mount.evsfs(&["backup", "verify", "b0"]).refused(7);
    assert!(mount.read_control("backups/b0/error").contains("damaged at offset 0"));
    flip(&damaged, 100);
    mount.evsfs(&["backup", "verify", "b1"]).ok();
    mount.evsfs(&["backup", "verify", "b0"]).ok();
    assert_eq!(mount.json(&["backup", "show", "b1"])["error"], serde_json::Value::Null);
}

/// B7: neither it nor what it is built upon is deleted or merged.
fn b7_exported_stays() {
    let mount = Setup::default().mount();
    let disk = mount.attached_disk("db", "8M", &["--encrypted"]);
    // More than lies between who packs and who reads.
    std::fs::write(&disk, vec![7; 8 << 20]).unwrap();
    mount.evsfs(&["backup", "create", "db", "b0"]).ok();
    fill(&mount, "db", 0, 1);
    mount.evsfs(&["backup", "create", "db", "b1"]).ok();
    let mut data = File::open(mount.control("backups/b1/data")).unwrap();
    let mut begun = [0; 8];
    data.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"EVSFSPAK");
    for backup in ["b0", "b1"] {
        mount.evsfs(&["backup", "delete", backup, "--yes"]).refused(4);
    }
    drop(data);
    wait_until("it is free again", || mount.evsfs(&["backup", "delete", "b0", "--yes"]).code == 0);
    mount.evsfs(&["backup", "verify", "b1"]).ok();
}

/// B7, RULES A7: another owner's backups are not there; an import belongs to who makes it.
fn b7_foreign() {
    let users = "[mount]\nallow_other = true\n\n[[user]]\nname = \"a\"\nuid = 4001\n\
                 roles = [\"evs-user\"]\n\n[[user]]\nname = \"b\"\nuid = 4002\nroles = [\"evs-user\"]\n";
    let mount = Setup::with(users).mount();
    mount.attached_disk("db", "1M", &["--encrypted"]);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    let data = mount.control("backups/b/data");
    let refused = as_user(4001, || File::open(&data).unwrap_err().raw_os_error());
    assert_eq!(refused, Some(2));
    // Who is given the file may import it.
    let file = export(&mount, "b");
    run("chown", &["4001", text(&file)]).ok();
    let at = mount.mountpoint();
    let import = ["--mount", text(&at), "backup", "import", "mine", text(&file)];
    mount.as_uid(4001, mount.program(), &import).ok();
    assert_eq!(mount.json(&["backup", "show", "mine"])["owner"], 4001);
    let data = mount.control("backups/mine/data");
    assert_eq!(as_user(4002, || File::open(&data).unwrap_err().raw_os_error()), Some(2));
    as_user(4001, || File::open(&data).map(drop)).unwrap();
}
