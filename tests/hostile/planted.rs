//! Things of every kind in place of each kind of file of the state directory. A start, and `evsfs
//! check`, refuse or ignore them: they follow nothing, write nowhere else, and do not hang.

use crate::amount::Amount;
use crate::report;
use crate::support::{Mount, Needs, Output, run, trial};
use libtest_mimic::Trial;
use rustix::fs::{CWD, FileType, Mode};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("what_is_planted_for_a_file_is_not_followed", Needs::Root, planted_for_a_file),
        trial("a_file_that_others_can_read_is_refused", Needs::Root, loose_permissions),
        trial("hostile_names_in_the_state_directory_do_no_harm", Needs::Root, hostile_names),
    ]
}

/// What is put in a file's place.
#[derive(Debug, Clone, Copy)]
enum Plant {
    /// A symbolic link to the genuine file, elsewhere.
    LinkToItself,
    /// A symbolic link to a file of somebody else's.
    LinkToAnother,
    /// A symbolic link to nothing.
    Dangling,
    /// A symbolic link to itself.
    Circle,
    /// A hard link to a file of somebody else's.
    HardLink,
    Fifo,
    Socket,
    Directory,
    /// `/dev/zero`: endless.
    Device,
}

const PLANTS: [Plant; 9] = [
    Plant::LinkToItself,
    Plant::LinkToAnother,
    Plant::Dangling,
    Plant::Circle,
    Plant::HardLink,
    Plant::Fifo,
    Plant::Socket,
    Plant::Directory,
    Plant::Device,
];

/// A stopped project with something of every kind, and files of somebody else's.
struct Victim {
    mount: Mount,
    outside: PathBuf,
}

/// What became of a check and a start.
struct Tried {
    is_refused: bool,
    /// The check found nothing, and every disk was served.
    is_as_if_nothing_were: bool,
}

const OUTSIDE: &[u8] = b"[user]\nname = \"somebody else\"\n";

impl Victim {
    fn new() -> Victim {
        let mount = Mount::new();
        mount.evsfs(&["key", "create", "finance"]).ok();
        let disk = mount.attached_disk("db", "1M", &["--key", "finance"]);
        std::fs::write(&disk, [7; 4096]).unwrap();
        mount.attached_disk("plain", "1M", &["--unencrypted"]);
        mount.evsfs(&["backup", "create", "db", "b"]).ok();
        mount.evsfs(&["image", "create", "--disk", "plain", "i"]).ok();
        mount.stop();
        let outside = mount.scratch().join("outside");
        std::fs::write(&outside, OUTSIDE).unwrap();
        Victim { mount, outside }
    }

    /// One file of each kind, where files of several objects are of one kind.
    fn files(&self) -> Vec<PathBuf> {
        let mut kinds = std::collections::BTreeMap::new();
        for path in files_below(self.mount.state_dir()) {
            let below = path.strip_prefix(self.mount.state_dir()).unwrap();
            let is_id = |part: &str| part.len() >= 36;
            let kind: Vec<&str> = below
                .iter()
                .map(|part| part.to_str().unwrap())
                .map(|part| if is_id(part) { "ID" } else { part })
                .collect();
            kinds.entry(kind.join("/")).or_insert(path.clone());
        }
        kinds.into_values().collect()
    }

    /// A program that may end in any way but one: hanging or panicking.
    fn ends(&self, arguments: &[&str], what: &str) -> Output {
        let program = self.mount.program();
        let output = run("timeout", &[&["-s", "KILL", "120", program], arguments].concat());
        assert!([0, 1, 2, 3, 4, 6, 7, 9, 10].contains(&output.code), "{what}: {output:?}");
        let text = output.stdout.clone() + &output.stderr;
        assert!(!text.contains("panicked") && !text.contains("internal error"), "{what}: {text}");
        output
    }

    /// Check and start; says what came of them.
    fn tried(&self, what: &str) -> Tried {
        let config = self.mount.config_path();
        let config = config.to_str().unwrap();
        let check = self.ends(&["check", "-c", config], &format!("check: {what}"));
        let started = self.ends(&["mount", "-c", config], &format!("start: {what}"));
        let mut serves_all = false;
        if started.code == 0 {
            serves_all = self.reads_what_it_should(what) == 2;
            self.mount.stop();
        } else {
            assert!(started.stderr.contains("fix: "), "{what}: {started:?}");
        }
        assert_eq!(std::fs::read(&self.outside).unwrap(), OUTSIDE, "{what}: written elsewhere");
        Tried {
            is_refused: started.code != 0,
            is_as_if_nothing_were: check.code == 0 && serves_all,
        }
    }

    /// Gives the number of disks that are served.
    fn reads_what_it_should(&self, what: &str) -> usize {
        let mut served = 0;
        if let Ok(content) = std::fs::read(self.mount.mountpoint().join("db")) {
            assert!(content[..4096] == [7; 4096], "{what}: other data is served");
            served += 1;
        }
        if let Ok(content) = std::fs::read(self.mount.mountpoint().join("plain")) {
            assert!(content.iter().all(|byte| *byte == 0), "{what}: other data is served");
            served += 1;
        }
        served
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn plant(what: Plant, path: &Path, genuine: &Path, outside: &Path) {
    let mode = Mode::RUSR | Mode::WUSR;
    let node = |kind, device| rustix::fs::mknodat(CWD, path, kind, mode, device).unwrap();
    match what {
        Plant::LinkToItself => symlink(genuine, path).unwrap(),
        Plant::LinkToAnother => symlink(outside, path).unwrap(),
        Plant::Dangling => symlink("/nowhere/evsfs-test", path).unwrap(),
        Plant::Circle => symlink(path, path).unwrap(),
        Plant::HardLink => std::fs::hard_link(outside, path).unwrap(),
        Plant::Fifo => node(FileType::Fifo, 0),
        Plant::Socket => node(FileType::Socket, 0),
        Plant::Directory => std::fs::create_dir(path).unwrap(),
        Plant::Device => node(FileType::CharacterDevice, rustix::fs::makedev(1, 5)),
    }
}

/// What is made anew when it is gone, and so need not be missed.
const MADE_ANEW: [&str; 2] = ["lock", "daemon.log"];

/// Each in place of each kind of file.
fn planted_for_a_file() {
    let victim = Victim::new();
    let files = victim.files();
    assert!(files.len() >= 14, "{files:?}");
    let genuine = victim.mount.scratch().join("genuine");
    let (mut tried, mut refused) = (0, 0);
    for (number, path) in files.iter().enumerate() {
        for (at, what) in PLANTS.into_iter().enumerate() {
            // Every kind of file and every plant, not each with each.
            if Amount::of((number + at) % PLANTS.len() != 0, false) {
                continue;
            }
            let before = snapshot(victim.mount.state_dir());
            std::fs::rename(path, &genuine).unwrap();
            let kept = std::fs::read(&genuine).unwrap();
            plant(what, path, &genuine, &victim.outside);
            let name = format!("{what:?} for {}", path.display());
            let came_of_it = victim.tried(&name);
            refused += usize::from(came_of_it.is_refused);
            let is_followed =
                matches!(what, Plant::LinkToItself) && came_of_it.is_as_if_nothing_were;
            let is_made_anew = MADE_ANEW.iter().any(|name| path.ends_with(name));
            assert!(!is_followed || is_made_anew, "{name}: nobody has noticed");
            tried += 1;
            assert!(std::fs::read(&genuine).unwrap() == kept, "{name}: the link was followed");
            restore(victim.mount.state_dir(), &before);
            std::fs::remove_file(&genuine).unwrap();
        }
    }
    assert!(victim.tried("everything is as it was").is_as_if_nothing_were);
    report(&format!(
        "{tried} plants for {} kinds of files: {refused} starts refused, nothing followed",
        files.len()
    ));
}

/// The whole directory, to be put back.
fn snapshot(directory: &Path) -> PathBuf {
    let copy = directory.with_extension("copy");
    let _ = std::fs::remove_dir_all(&copy);
    run("cp", &["-a", "--sparse=always", text(directory), text(&copy)]).ok();
    copy
}

fn restore(directory: &Path, copy: &Path) {
    std::fs::remove_dir_all(directory).unwrap();
    std::fs::rename(copy, directory).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What is not refused when others could read it by its own mode: the mode of the state directory, which
/// is looked at always, keeps them out.
const LEFT_TO_THE_DIRECTORY: [&str; 5] = ["lock", "daemon.log", "payload", "audit.jsonl", "kms"];

/// Modes that let others in: refused with the file named.
fn loose_permissions() {
    let victim = Victim::new();
    let config = victim.mount.config_path();
    let mut refused = 0;
    let files = victim.files();
    let directories = [victim.mount.state_dir().to_owned(), victim.mount.state_dir().join("kms")];
    for path in files.iter().chain(&directories) {
        let mode = std::fs::metadata(path).unwrap().permissions();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode.mode() | 0o066)).unwrap();
        let check = victim.ends(&["check", "-c", text(&config)], text(path));
        let is_named = (check.stdout + &check.stderr).contains(text(path));
        let is_refused = check.code != 0 && is_named;
        assert!(
            is_refused || LEFT_TO_THE_DIRECTORY.iter().any(|name| path.ends_with(name)),
            "{path:?}"
        );
        refused += usize::from(is_refused);
        std::fs::set_permissions(path, mode).unwrap();
    }
    assert!(victim.tried("modes are as they were").is_as_if_nothing_were);
    report(&format!(
        "{} files and directories opened to others: {refused} refused by name",
        files.len() + directories.len()
    ));
}

/// Names that are no name of ours, in every directory.
fn hostile_names() {
    let victim = Victim::new();
    let mut directories: Vec<PathBuf> =
        victim.files().iter().map(|path| path.parent().unwrap().to_owned()).collect();
    directories.sort();
    directories.dedup();
    let long = "n".repeat(255);
    use std::os::unix::ffi::OsStrExt;
    let names: [&[u8]; 9] = [
        b"\xff\xfe",
        b"a\nb.toml",
        b"\x1b[2J.toml",
        b"-rf",
        b"%s%n",
        b"..toml",
        b".new-x",
        b"00000000-0000-4000-8000-000000000009.toml",
        long.as_bytes(),
    ];
    let before = snapshot(victim.mount.state_dir());
    for directory in &directories {
        for name in names {
            let path = directory.join(std::ffi::OsStr::from_bytes(name));
            symlink(&victim.outside, path).unwrap();
        }
    }
    let config = victim.mount.config_path();
    let check = victim.ends(&["check", "-c", text(&config)], "hostile names");
    let shown = check.stdout + &check.stderr;
    assert!(!shown.contains('\x1b'), "a name changes the terminal: {shown:?}");
    victim.tried("hostile names");
    restore(victim.mount.state_dir(), &before);
    assert!(victim.tried("names are as they were").is_as_if_nothing_were);
    report(&format!("{} hostile names: none followed", directories.len() * names.len()));
}
