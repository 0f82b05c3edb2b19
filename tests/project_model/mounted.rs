//! Random walks through a mount: commands are written into the files of `.evs`, what is so is read from
//! them, and disks are files. Days pass while the daemon does not run.

use crate::amount::Amount;
use crate::callers::{Who, users};
use crate::command::{
    Detach, Line, Mode, NewDisk, Origin, Restart, Restored, SLOTS, Verb, material, yes_or_no,
};
use crate::key_rules::{DAY, DEFAULT};
use crate::model::Project;
use crate::refusal::{Outcome, Refusal, shown};
use crate::shown::{BackupRow, DiskRow, KeyRow, Shown};
use crate::support::{ForwardClock, Mount, Needs, Setup, as_user, trial};
use crate::walks::{Walk, any_walk, command, hold};
use crate::world::code_of;
use libtest_mimic::Trial;
use proptest::prelude::{Strategy, any, prop_oneof};
use rustix::io::Errno;
use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Walks in the short form and in the long one.
const WALKS: (u32, u32) = (30, 600);
/// A daemon that has just started has kept the dates of keys after a second.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "random_walks_through_the_control_directory_are_those_of_the_model",
        Needs::Root,
        walk_through_the_control_directory,
    )]
}

fn walk_through_the_control_directory() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ForwardClock::compile(directory.path());
    // Without a way to move the clock no day passes.
    let longest = if clock.is_some() { 12_u32 } else { 1 };
    let restart = (any::<bool>(), 0..longest, proptest::bool::weighted(0.8))
        .prop_map(|(killed, days, reattach)| Verb::Restart(Restart { killed, days, reattach }));
    let steps = prop_oneof![15 => command(), 1 => restart];
    let commands = Cell::new(0);
    let walks = Amount::of(WALKS.0, WALKS.1);
    hold(walks, any_walk(steps), |Walk(lines)| {
        let mut stand = Stand::new(clock.as_ref());
        for line in lines {
            commands.set(commands.get() + 1);
            stand.step(line)?;
        }
        Who::ALL.into_iter().try_for_each(|who| stand.compare(who))
    });
    println!("{walks} walks, {} commands", commands.get());
}

/// A mount and the model of it.
struct Stand<'c> {
    clock: Option<&'c ForwardClock>,
    days_ahead: u32,
    mount: Mount,
    model: Project,
}

impl<'c> Stand<'c> {
    fn new(clock: Option<&'c ForwardClock>) -> Stand<'c> {
        let config = format!("[mount]\nallow_other = true\nreattach = true\n{}", users());
        // Memory where there is some: nobody pulls the plug here.
        let name = format!("evsfs-walk-{}", evsfs::id::DiskId::random());
        let state_dir = Some(Path::new("/dev/shm")).filter(|shared| shared.is_dir());
        let state_dir = state_dir.map(|shared| shared.join(name));
        let mount = Setup { config, state_dir }.prepare();
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
        let stand = Stand { clock, days_ahead: 0, mount, model: Project::new(now) };
        stand.start();
        stand
    }

    fn start(&self) {
        match self.clock {
            Some(clock) => {
                clock.set_ahead(self.days_ahead);
                clock.start(&self.mount);
            }
            None => self.mount.start(),
        }
    }

    fn step(&mut self, line: &Line) -> Result<(), String> {
        let before = self.model.clone();
        let expected = self.model.expect(line);
        let (who, verb) = (line.who, &line.verb);
        let differs = |what: &str, seen: &str, expected: &str| {
            Err(format!("{line}\n  {what} {seen}\n  expected {expected}"))
        };
        match verb {
            Verb::Restart(restart) => self.restart(*restart),
            Verb::KeySetAlias(..) | Verb::KeyDescribe(..) => {
                let seen = self.ask(who, verb);
                let expected = expected.map_or_else(Refusal::shown, |()| "ok".to_owned());
                // Who has no role does not even find the file.
                if who.is_known() && seen != expected {
                    return differs("answered", &seen, &expected);
                }
            }
            verb => {
                let expected = as_files_have_it(&before, expected, who, verb);
                let seen = self.perform(who, verb);
                if seen != expected.map_err(Refusal::errno) {
                    return differs("gave", &format!("{seen:?}"), &format!("{expected:?}"));
                }
                if let Err(refusal) = expected
                    && is_refused_by_the_daemon(refusal, verb)
                {
                    let told = as_user(who.uid(), || self.mount.read_control("error"));
                    let told = told.lines().next().unwrap_or_default().to_owned();
                    if told != refusal.shown() {
                        return differs("error tells", &told, &refusal.shown());
                    }
                }
            }
        }
        self.compare(Who::Root).map_err(|gap| format!("after {line}\n{gap}"))?;
        self.compare_content().map_err(|gap| format!("after {line}\n{gap}"))
    }

    fn restart(&mut self, restart: Restart) {
        if restart.killed {
            self.mount.kill();
        } else {
            self.mount.stop();
        }
        let config = std::fs::read_to_string(self.mount.config_path()).unwrap();
        let (old, new) = (!restart.reattach, restart.reattach);
        let config = config.replace(&format!("reattach = {old}"), &format!("reattach = {new}"));
        std::fs::write(self.mount.config_path(), config).unwrap();
        self.days_ahead += restart.days;
        self.start();
    }

    /// A request on `control`, for what has no file: `ok`, or code, cause and kind.
    fn ask(&self, who: Who, verb: &Verb) -> String {
        let (op, words) = verb.request(|_| unreachable!()).unwrap();
        let mut request = serde_json::json!({ "op": op });
        for (word, value) in words {
            request[word] = value.into();
        }
        let answer = as_user(who.uid(), || {
            let control = self.mount.control("control");
            let mut file = File::options().read(true).write(true).open(control).ok()?;
            file.write_all(request.to_string().as_bytes()).unwrap();
            let mut answer = String::new();
            file.read_to_string(&mut answer).unwrap();
            serde_json::from_str::<serde_json::Value>(&answer).ok()
        });
        let Some(answer) = answer else { return "no file".to_owned() };
        let error = &answer["error"];
        if error.is_null() {
            return "ok".to_owned();
        }
        let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
        shown(&text("code"), error["cause"].as_str(), &text("kind"))
    }

    fn perform(&self, who: Who, verb: &Verb) -> Result<(), Errno> {
        if let Verb::Write(name, slot, byte) = verb {
            let (offset, len) = SLOTS[*slot];
            let file = File::options().write(true).open(self.mount.mountpoint().join(name));
            let written = file.and_then(|file| file.write_all_at(&vec![*byte; len], offset));
            return written.map_err(errno);
        }
        let held = match verb {
            Verb::DiskDetach(name, Detach::Forced) => {
                File::open(self.mount.mountpoint().join(name)).ok()
            }
            _ => None,
        };
        let (file, text) = self.control_file(verb);
        let done = as_user(who.uid(), || self.mount.write_control(&file, &text));
        if done.is_ok() {
            self.see_jobs_done();
        }
        if let (Some(held), Ok(())) = (held, &done) {
            let dead = errno(held.read_at(&mut [0; 16], 0).unwrap_err());
            assert!(matches!(dead, Errno::NODEV | Errno::IO), "{dead}");
        }
        done.map_err(errno)
    }

    /// What a command began. What can be refused is refused before a job is made of it: jobs succeed.
    fn see_jobs_done(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        for id in self.names("jobs").unwrap() {
            let value = |file: &str| self.mount.read_control(&format!("jobs/{id}/{file}"));
            while value("finished").is_empty() {
                assert!(Instant::now() < deadline, "job {id} ends");
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(value("state"), "done", "{}", value("error"));
        }
    }

    /// Where a command is written, and how.
    fn control_file(&self, verb: &Verb) -> (String, String) {
        let newline = || "\n".to_owned();
        let of_disk = |name: &str, file: &str, text| (format!("disks/{name}/{file}"), text);
        let of_key = |alias: &str, file: &str, text| (format!("keys/{alias}/{file}"), text);
        match verb {
            Verb::DiskCreate(NewDisk { name, size, encrypted, key, sector }) => {
                let text = format!("name={name} size={size} sector-size={sector}");
                ("disks/create".to_owned(), text + &encryption(*encrypted, *key))
            }
            Verb::DiskAttach(name, Mode::ReadWrite) => of_disk(name, "attach", "rw".to_owned()),
            Verb::DiskAttach(name, Mode::ReadOnly) => of_disk(name, "attach", "ro".to_owned()),
            Verb::DiskDetach(name, Detach::Forced) => of_disk(name, "detach", "force".to_owned()),
            Verb::DiskDetach(name, Detach::Idle | Detach::Open) => {
                of_disk(name, "detach", newline())
            }
            Verb::DiskExtend(name, size) => of_disk(name, "extend", size.to_string()),
            Verb::DiskRewrap(name) => of_disk(name, "rewrap", newline()),
            Verb::DiskDelete(name) => of_disk(name, "delete", (*name).to_owned()),
            Verb::DiskRestore(Restored { name, backup, size, encrypted, key }) => {
                let mut text = format!("name={name} from=backup:{backup}");
                if let Some(size) = size {
                    text += &format!(" size={size}");
                }
                ("disks/create".to_owned(), text + &encryption(*encrypted, *key))
            }
            Verb::BackupCreate(disk, name) => {
                ("backups/create".to_owned(), format!("disk={disk} name={name}"))
            }
            Verb::BackupVerify(name) => (format!("backups/{name}/verify"), newline()),
            Verb::BackupDelete(name) => (format!("backups/{name}/delete"), (*name).to_owned()),
            Verb::KeyCreate(alias, origin) => {
                let origin = if *origin == Origin::External { "external" } else { "kms" };
                ("keys/create".to_owned(), format!("alias={alias} origin={origin}"))
            }
            Verb::KeyEnable(alias) => of_key(alias, "enable", newline()),
            Verb::KeyDisable(alias) => of_key(alias, "disable", newline()),
            Verb::KeySchedule(alias, days) => of_key(alias, "schedule-deletion", days.to_string()),
            Verb::KeyCancel(alias) => of_key(alias, "cancel-deletion", newline()),
            Verb::KeyConfirm(alias) => of_key(alias, "confirm-deletion", (*alias).to_owned()),
            Verb::KeyRotate(alias) => of_key(alias, "rotate", newline()),
            Verb::KeyRotation(alias, None) => of_key(alias, "rotation", "off".to_owned()),
            Verb::KeyRotation(alias, Some(days)) => of_key(alias, "rotation", format!("on {days}")),
            Verb::KeyImport(alias, number, days) => {
                let mut text = format!("material={}", material(*number));
                if let Some(days) = days {
                    text += &format!(" expires={}", self.model.clock + DAY * *days);
                }
                of_key(alias, "import", text)
            }
            Verb::KeyDeleteMaterial(alias) => of_key(alias, "delete-material", newline()),
            Verb::AgencyCreate => ("agency".to_owned(), "create".to_owned()),
            Verb::AgencyDelete => ("agency".to_owned(), "delete".to_owned()),
            Verb::DefaultEncryption(None) => ("default-encryption".to_owned(), "off".to_owned()),
            Verb::DefaultEncryption(Some(key)) => {
                ("default-encryption".to_owned(), format!("on {key}"))
            }
            other => panic!("{other} has no control file"),
        }
    }

    fn compare(&self, who: Who) -> Result<(), String> {
        let expected = who.is_known().then(|| self.model.shown_to(who).undated());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = as_user(who.uid(), || self.shown());
            if seen == expected {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{} sees\n{seen:?}expected\n{expected:?}", who.name()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the control directory shows the user of this thread; `None` if it may not be entered.
    fn shown(&self) -> Option<Shown> {
        let disks = self.names("disks").ok()?;
        let backups = self.names("backups").ok()?;
        let mut keys = self.names("keys").ok()?;
        keys.retain(|name| name != "evs");
        keys.splice(
            0..0,
            self.names("keys/evs").unwrap().into_iter().map(|key| format!("evs/{key}")),
        );
        let default_encryption = self.mount.read_control("default-encryption");
        let chosen = default_encryption.strip_prefix("on ").unwrap_or(&default_encryption);
        let is_there = chosen == "off" || chosen == DEFAULT || keys.iter().any(|key| key == chosen);
        Some(Shown {
            agency: !self.mount.read_control("agency").is_empty(),
            default_encryption: if is_there { chosen } else { "gone" }.to_owned(),
            disks: disks.iter().map(|name| self.disk_row(name)).collect(),
            backups: backups.iter().map(|name| self.backup_row(name)).collect(),
            keys: keys.iter().map(|alias| self.key_row(alias)).collect(),
        })
    }

    /// The objects in a directory, sorted.
    fn names(&self, directory: &str) -> std::io::Result<Vec<String>> {
        let mut names = std::fs::read_dir(self.mount.control(directory))?
            .map(|entry| Ok(entry?.file_name().into_string().unwrap()))
            .collect::<std::io::Result<Vec<String>>>()?;
        names.retain(|name| name != "create");
        names.sort();
        Ok(names)
    }

    fn disk_row(&self, name: &str) -> DiskRow {
        let value = |file: &str| self.mount.read_control(&format!("disks/{name}/{file}"));
        let number = |file: &str| value(file).parse::<u64>().unwrap();
        assert_eq!(value("attached") == "yes", value("status") == "in-use");
        let is_encrypted = value("encrypted") == "yes";
        DiskRow {
            name: name.to_owned(),
            status: value("status"),
            size: number("size"),
            sector_size: number("sector-size"),
            owner: u32::try_from(number("owner")).unwrap(),
            key: is_encrypted.then(|| {
                let version = u32::try_from(number("key-version")).unwrap();
                let key =
                    if value("key-state") == "gone" { "gone".to_owned() } else { value("key") };
                (key, value("key-state"), version)
            }),
            read_only: value("read-only") == "yes",
            error: Some(value("error")).filter(|reason| !reason.is_empty()).map(|r| code_of(&r)),
        }
    }

    fn backup_row(&self, name: &str) -> BackupRow {
        let value = |file: &str| self.mount.read_control(&format!("backups/{name}/{file}"));
        BackupRow {
            name: name.to_owned(),
            disk: value("disk"),
            status: value("status"),
            size: value("size").parse().unwrap(),
            owner: value("owner").parse().unwrap(),
            key: (value("encrypted") == "yes").then(|| {
                let state = value("key-state");
                (if state == "gone" { "gone".to_owned() } else { value("key") }, state)
            }),
        }
    }

    fn key_row(&self, alias: &str) -> KeyRow {
        let value = |file: &str| self.mount.read_control(&format!("keys/{alias}/{file}"));
        let dated = |file: &str| (!value(file).is_empty()).then(|| "a date".to_owned());
        let lines = |file: &str| value(file).lines().map(str::to_owned).collect::<Vec<_>>();
        let held = |line: String| line.split(' ').nth(2).unwrap().parse().unwrap();
        KeyRow {
            alias: alias.to_owned(),
            state: value("state"),
            origin: value("origin"),
            description: value("description"),
            deletion_date: dated("deletion-date"),
            expiry_date: dated("expiry-date"),
            rotation: dated("rotation-date").map(|date| (value("rotation"), date)),
            versions: lines("versions").into_iter().map(held).collect(),
            disks: lines("disks"),
            attached_disks: lines("attached-disks"),
            foreign_disks: value("foreign-disks").parse().ok(),
            backups: lines("backups"),
            foreign_backups: value("foreign-backups").parse().ok(),
        }
    }

    fn compare_content(&self) -> Result<(), String> {
        let attached = self.model.disks.iter().filter(|(_, disk)| disk.attached.is_some());
        let mut files: Vec<String> = std::fs::read_dir(self.mount.mountpoint())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let names: Vec<&str> = attached.clone().map(|(name, _)| *name).collect();
        if files != names {
            return Err(format!("the mount shows {files:?}, expected {names:?}"));
        }
        for (name, disk) in attached {
            let file = File::open(self.mount.mountpoint().join(name)).map_err(|e| e.to_string())?;
            for (slot, (offset, len)) in SLOTS.into_iter().enumerate() {
                let mut bytes = vec![0xEE; len];
                let read = file.read_at(&mut bytes, offset).map_err(|error| error.to_string())?;
                let expected = if disk.has(slot) { vec![disk.content[slot]; len] } else { vec![] };
                if bytes[..read] != expected {
                    return Err(format!("slot {slot} of {name} does not hold what was written"));
                }
            }
        }
        Ok(())
    }
}

/// What differs between a command and a file: before its text can be refused the file has to be
/// found, and then opened.
fn as_files_have_it(before: &Project, expected: Outcome, who: Who, verb: &Verb) -> Outcome {
    let is_missing = match verb {
        Verb::KeyEnable(alias)
        | Verb::KeyDisable(alias)
        | Verb::KeySchedule(alias, _)
        | Verb::KeyCancel(alias)
        | Verb::KeyConfirm(alias)
        | Verb::KeyRotate(alias)
        | Verb::KeyRotation(alias, _)
        | Verb::KeyImport(alias, ..)
        | Verb::KeyDeleteMaterial(alias) => !before.keys.keys.contains_key(alias),
        Verb::BackupVerify(name) | Verb::BackupDelete(name) => {
            before.usable_backup(who, name).is_err()
        }
        _ => false,
    };
    match verb {
        _ if is_missing && who.is_known() => Err(Refusal::new("not-found")),
        Verb::KeyCreate(..) if !who.manages_keys() => Err(Refusal::new("denied")),
        Verb::BackupCreate(..) if !who.creates_disks() => Err(Refusal::new("denied")),
        // The file has mode 0400.
        Verb::Write(..) if expected == Err(Refusal::new("protected")) => {
            Err(Refusal::new("denied"))
        }
        _ => expected,
    }
}

/// Whether the daemon refused a command, or the kernel the file it would have been written to.
fn is_refused_by_the_daemon(refusal: Refusal, verb: &Verb) -> bool {
    match refusal.kind {
        "denied" => false,
        "not-found" => {
            matches!(
                verb,
                Verb::DiskCreate(_)
                    | Verb::DiskRestore(_)
                    | Verb::BackupCreate(..)
                    | Verb::DefaultEncryption(_)
                    | Verb::AgencyDelete
            )
        }
        _ => !matches!(verb, Verb::Write(..)),
    }
}

fn encryption(encrypted: Option<bool>, key: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(yes) = encrypted {
        text += &format!(" encrypted={}", yes_or_no(yes));
    }
    if let Some(key) = key {
        text += &format!(" key={key}");
    }
    text
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap()
}
