//! A state directory with some of everything, that can be put back as it was.

use super::ledger::Ledger;
use super::stamp::SECTOR;
use super::verb::{IMAGE, MATERIAL, OUTPUT, PASSPHRASE, Proof, VOLUME, Verb};
use crate::support::{Mount, run, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const DISK_BYTES: usize = 1 << 20;

/// The disks of a world and the numbers their content is stamped with.
const DISKS: &[(&str, u32, &[&str])] = &[
    // Stays attached whatever happens to the others.
    ("kept", 1, &["--encrypted", "--key", "other"]),
    ("db", 2, &["--encrypted", "--key", "finance"]),
    ("plain", 3, &["--unencrypted"]),
    ("small", 4, &["--encrypted", "--key", "finance", "--sector-size", "512"]),
];

/// A mount with two keys and four disks that hold content, and a copy of its state directory.
pub struct World {
    mount: Mount,
    template: PathBuf,
    // What the disks hold, by their numbers.
    filled: BTreeMap<u32, Vec<u8>>,
}

/// What there is after a start of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// As `evsfs status --json` shows it.
    pub status: Value,
    /// The same without what differs from run to run.
    pub shape: Value,
}

impl World {
    /// A world where a verb is about to begin; its daemon does not run.
    #[track_caller]
    pub fn before(verb: &Verb) -> World {
        World::in_mount_before(Mount::new(), verb)
    }

    /// As [`World::before`], in a mount that was made for it.
    #[track_caller]
    pub fn in_mount_before(mount: Mount, verb: &Verb) -> World {
        let world = World::new(mount);
        world.mount.start();
        world.all(verb.before);
        if verb.command.contains(&VOLUME) {
            let mut volume = std::fs::read(world.mount.scratch().join("output")).unwrap();
            volume.extend(std::fs::read(world.mount.payload("small")).unwrap());
            std::fs::write(world.mount.scratch().join("volume"), volume).unwrap();
        }
        world.stop();
        world.save();
        world
    }

    /// A world in a mount that was made for it and whose daemon runs; it is stopped.
    #[track_caller]
    pub fn new(mount: Mount) -> World {
        let template = mount.scratch().join("template");
        let content = |number| Ledger::content(number, 0, DISK_BYTES / SECTOR, 1);
        let filled = DISKS.iter().map(|(_, number, _)| (*number, content(*number))).collect();
        let world = World { mount, template, filled };
        world.mount.secret_file("material", &[7; 32]);
        world.mount.secret_file("passphrase", b"correct horse");
        std::fs::write(world.mount.scratch().join("image"), [0; DISK_BYTES]).unwrap();
        for key in ["finance", "other"] {
            world.mount.evsfs(&["key", "create", key]).ok();
        }
        for (name, number, options) in DISKS {
            let file = world.mount.attached_disk(name, "1M", options);
            let open = std::fs::File::options().write(true).open(file).unwrap();
            open.write_all_at(&world.filled[number], 0).unwrap();
            open.sync_all().unwrap();
            drop(open);
            if *name != "kept" {
                world.mount.evsfs(&["disk", "detach", name]).ok();
            }
        }
        world.stop();
        world.save();
        world
    }

    /// The mount.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// A file for the log of a tracer.
    pub fn trace(&self) -> PathBuf {
        self.mount.scratch().join("trace")
    }

    /// Runs commands that must succeed.
    #[track_caller]
    pub fn all(&self, commands: &[&[&str]]) {
        for command in commands {
            self.command(command).ok();
        }
    }

    fn command(&self, command: &[&str]) -> crate::support::Output {
        let files = [
            (MATERIAL, "material"),
            (IMAGE, "image"),
            (OUTPUT, "output"),
            (PASSPHRASE, "passphrase"),
            (VOLUME, "volume"),
        ];
        let _ = std::fs::remove_file(self.mount.scratch().join("output"));
        let files = files.map(|(word, name)| (word, self.mount.scratch().join(name)));
        let mut words = confirmed(command);
        for (placeholder, file) in &files {
            for word in words.iter_mut().filter(|word| *word == placeholder) {
                *word = file.to_str().unwrap();
            }
        }
        self.mount.evsfs(&words)
    }

    /// Runs a verb's command.
    pub fn run(&self, verb: &Verb) -> crate::support::Output {
        self.command(verb.command)
    }

    /// Keeps a copy of the state directory. No daemon runs.
    pub fn save(&self) {
        copy_tree(self.mount.state_dir(), &self.template);
    }

    /// Puts the state directory back as it was when it was saved. No daemon runs.
    pub fn restore(&self) {
        copy_tree(&self.template, self.mount.state_dir());
    }

    /// Stops the daemon.
    #[track_caller]
    pub fn stop(&self) {
        self.mount.stop();
    }

    /// Starts the daemon after a kill and looks.
    #[track_caller]
    pub fn start_and_observe(&self) -> Observed {
        self.mount.start();
        self.observe()
    }

    /// Whether what shows that a verb was done is there; without such a proof it is in the status.
    #[track_caller]
    pub fn has_proof(&self, verb: &Verb) -> bool {
        match verb.proof {
            None => false,
            Some(Proof::Audited(event)) => {
                let entries = self.mount.json(&["audit", "show"]);
                let is_it = |it: &Value| text(it, "event") == event && text(it, "outcome") == "ok";
                entries.as_array().unwrap().iter().any(is_it)
            }
            Some(Proof::Sealed(disk)) => {
                let payload = std::fs::read(self.mount.payload(disk)).unwrap();
                payload.chunks(4096).all(|sector| sector.iter().any(|byte| *byte != 0))
            }
        }
    }

    /// What there is now, once no disk is being sealed any more: that goes on after a restart.
    #[track_caller]
    pub fn observe(&self) -> Observed {
        wait_until("all that was never written is sealed", || {
            let is_at_work = |job: &Value| {
                text(job, "kind") == "materialize"
                    && matches!(text(job, "state"), "queued" | "running")
            };
            let jobs = self.mount.ask("job.list");
            let disks = self.mount.ask("disk.list");
            !jobs.as_array().unwrap().iter().any(is_at_work)
                && disks.as_array().unwrap().iter().all(|disk| disk["status"] != "materializing")
        });
        let mut status = self.mount.ask("mount.status");
        for noun in ["backup", "image", "server"] {
            status[format!("{noun}s")] = self.mount.ask(&format!("{noun}.list"));
        }
        let mut shape = status.clone();
        for name in ["mountpoint", "state_dir", "version", "pid", "started"] {
            shape.as_object_mut().unwrap().remove(name);
        }
        // A job that was killed or failed is told, whatever became of what it worked on.
        if let Some(told) = shape["attention"].as_array_mut() {
            told.retain(|told| told["about"] != "job");
            // The words have dates of this run; what they are about is elsewhere in the status.
            for told in told {
                told.as_object_mut().unwrap().remove("message");
            }
        }
        scrub(&mut shape);
        Observed { status, shape }
    }

    /// Every disk there is holds what it must, under its key, which is made usable for that.
    #[track_caller]
    pub fn check_content(&self, when: &str, observed: &Observed) {
        for key in objects(&observed.status, "keys") {
            let alias = text(key, "alias");
            if text(key, "state") == "pending-deletion" {
                self.mount.evsfs(&["key", "cancel-deletion", alias]).ok();
            }
            if matches!(text(key, "state"), "pending-deletion" | "disabled") {
                self.mount.evsfs(&["key", "enable", alias]).ok();
            }
        }
        if observed.status["agency"].as_str().unwrap_or_default().is_empty() {
            self.mount.evsfs(&["agency", "create"]).ok();
        }
        for disk in objects(&observed.status, "disks") {
            let name = text(disk, "name");
            if text(disk, "status") != "in-use" {
                self.mount.write_control(&format!("disks/{name}/attach"), "rw").unwrap();
            }
            let filled = match DISKS.iter().find(|(known, ..)| *known == name) {
                Some((_, number, _)) => Some(*number),
                None if name == "taken-over" => Some(number_of("small")),
                None => match disk["source"].as_str() {
                    Some("backup:b") => Some(number_of("db")),
                    Some("image:i") => Some(number_of("plain")),
                    _ => None,
                },
            };
            let content = std::fs::read(self.mount.mountpoint().join(name)).unwrap();
            assert_eq!(content.len() as u64, disk["size"].as_u64().unwrap(), "{when}: {name}");
            self.must_hold(&format!("{when}: {name}"), filled, &content);
        }
        for backup in objects(&observed.status, "backups") {
            self.mount.evsfs(&["backup", "verify", text(backup, "name")]).ok();
        }
    }

    /// A disk holds what it was filled with, and zeros after that.
    #[track_caller]
    fn must_hold(&self, when: &str, filled: Option<u32>, content: &[u8]) {
        let written = filled.map_or(&[][..], |number| &self.filled[&number]);
        // That is seen at once; what is wrong is found sector by sector.
        if content.strip_prefix(written).is_some_and(|rest| rest == vec![0; rest.len()]) {
            return;
        }
        let ledger = match filled {
            Some(number) => Ledger::filled(number, DISK_BYTES),
            None => Ledger::new(0, 0),
        };
        ledger.must_hold(when, content);
        panic!("{when}: it holds something else");
    }

    /// A disk that no verb of the table touches holds what it held, if it is attached.
    #[track_caller]
    pub fn check_bystander(&self, when: &str) {
        let (name, number, _) = DISKS[0];
        match std::fs::read(self.mount.mountpoint().join(name)) {
            Ok(content) => self.must_hold(&format!("{when}: {name}"), Some(number), &content),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{when}"),
        }
    }

    /// That disk is overwritten with what it holds, if it is attached.
    #[track_caller]
    pub fn overwrite_bystander(&self, when: &str) {
        let (name, number, _) = DISKS[0];
        let file = self.mount.mountpoint().join(name);
        if let Ok(open) = std::fs::File::options().write(true).open(file) {
            open.write_all_at(&self.filled[&number], 0).unwrap();
            open.sync_all().unwrap();
        }
        self.check_bystander(when);
    }

    /// Nothing lies in the state directory that belongs to nothing, and `evsfs check` and
    /// `evsfs audit verify` find nothing. Stops the daemon.
    #[track_caller]
    pub fn check_state_dir(&self, when: &str, verb: &Verb, observed: &Observed) {
        self.mount.evsfs(&["audit", "verify"]).ok();
        self.stop();
        let config = self.mount.config_path();
        let checked = self.mount.evsfs_plain(&["check", "-c", config.to_str().unwrap()]);
        assert_eq!(checked.code, 0, "{when}: {}{}", checked.stdout, checked.stderr);
        let found = files_below(self.mount.state_dir());
        let mut wanted = wanted_files(&observed.status);
        let archives = archives(&observed.status);
        for file in &found {
            let is_project = wanted.remove(file)
                || is_of_the_project(file)
                || archives.iter().any(|directory| file.starts_with(directory));
            let is_material =
                file.starts_with("hsm/") && file.ends_with(".key") && verb.may_leave_material;
            assert!(is_project || is_material, "{when}: {file} belongs to nothing");
        }
        assert!(wanted.is_empty(), "{when}: missing: {wanted:?}");
    }
}

/// What the content of a disk is stamped with.
fn number_of(disk: &str) -> u32 {
    DISKS.iter().find(|(name, ..)| *name == disk).unwrap().1
}

fn confirmed<'a>(command: &[&'a str]) -> Vec<&'a str> {
    let asks = command.contains(&"--force")
        || matches!(
            command,
            [_, "delete" | "schedule-deletion" | "disable" | "delete-material", ..]
        );
    command.iter().copied().chain(asks.then_some("--yes")).collect()
}

fn objects<'v>(status: &'v Value, kind: &str) -> &'v Vec<Value> {
    status[kind].as_array().unwrap()
}

fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// Takes out ids and times, which differ from run to run.
fn scrub(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(scrub),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "id" | "created" => *field = Value::Null,
                    // Whether there is one, and not which.
                    "deletion_date" | "rotation_date" | "expiry_date" => {
                        *field = json!(!field.is_null());
                    }
                    _ => scrub(field),
                }
            }
        }
        _ => {}
    }
}

/// The files that the objects of a project have.
fn wanted_files(status: &Value) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for disk in objects(status, "disks") {
        let id = text(disk, "id");
        files.extend([format!("disks/{id}/disk.toml"), format!("disks/{id}/payload")]);
    }
    for (kind, record) in [("backups", "backup"), ("images", "image")] {
        for archive in objects(status, kind) {
            let id = text(archive, "id");
            files.extend([format!("{kind}/{id}/{record}.toml"), format!("{kind}/{id}/data")]);
        }
    }
    for server in objects(status, "servers") {
        files.insert(format!("servers/{}.toml", text(server, "id")));
    }
    for key in objects(status, "keys") {
        let id = text(key, "id");
        files.insert(format!("kms/keys/{id}.toml"));
        if text(key, "state") != "pending-import" {
            let versions = 1..=key["version"].as_u64().unwrap();
            files.extend(versions.map(|version| format!("hsm/{id}.{version}.key")));
        }
    }
    files
}

/// The directories of backups and images, whose manifests have names of their own, and what is kept
/// of the changes of disks that have backups.
fn archives(status: &Value) -> Vec<String> {
    let of = |kind: &'static str| {
        objects(status, kind).iter().map(move |archive| format!("{kind}/{}/", text(archive, "id")))
    };
    let disks = objects(status, "disks").iter();
    let changes = disks.map(|disk| format!("disks/{}/changes", text(disk, "id")));
    of("backups").chain(of("images")).chain(changes).collect()
}

fn is_of_the_project(file: &str) -> bool {
    let in_kms = file.strip_prefix("kms/").is_some_and(|name| !name.contains('/'));
    matches!(file, "lock" | "ledger" | "daemon.log" | "project.toml" | "hsm/root.key")
        || in_kms && !file.contains(".new-")
        // A job is remembered after its end, however that came.
        || file.starts_with("jobs/") && file.ends_with(".toml")
}

/// Files, and directories that hold nothing, by their paths below `root`.
fn files_below(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let mut is_empty = true;
        for entry in std::fs::read_dir(&directory).unwrap() {
            is_empty = false;
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => files.push(path),
            }
        }
        // The directories right below the state directory are always there.
        if is_empty && directory.strip_prefix(root).unwrap().components().count() > 1 {
            files.push(directory);
        }
    }
    let relative = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let names: Vec<String> = files.iter().map(relative).collect();
    names.into_iter().filter(|name| name != "kms/keys").collect()
}

fn copy_tree(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    run("cp", &["-a", "--sparse=always", from, to]).ok();
}
