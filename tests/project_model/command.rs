//! What can be done to a project: commands, I/O, time and restarts.

use crate::callers::Who;
use crate::key_rules::SHORT;
use std::fmt;

/// One step, and who takes it.
#[derive(Clone, PartialEq)]
pub struct Line {
    pub who: Who,
    pub verb: Verb,
}

/// Disks and keys are called by name. Sizes are bytes, materials numbers, times days.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    DiskCreate(NewDisk),
    DiskAttach(&'static str, Mode),
    DiskDetach(&'static str, Detach),
    DiskExtend(&'static str, u64),
    DiskRewrap(&'static str),
    DiskDelete(&'static str),
    /// A new disk with the content of a backup.
    DiskRestore(Restored),
    /// The disk, and the name of its backup.
    BackupCreate(&'static str, &'static str),
    BackupVerify(&'static str),
    BackupDelete(&'static str),
    /// Fills one of [`SLOTS`] with a byte.
    Write(&'static str, usize, u8),
    KeyCreate(&'static str, Origin),
    KeyEnable(&'static str),
    KeyDisable(&'static str),
    KeySchedule(&'static str, u32),
    KeyCancel(&'static str),
    KeyConfirm(&'static str),
    KeyRotate(&'static str),
    KeyRotation(&'static str, Option<u32>),
    /// Which material, and in how many days it expires.
    KeyImport(&'static str, u8, Option<u32>),
    KeyDeleteMaterial(&'static str),
    KeySetAlias(&'static str, &'static str),
    KeyDescribe(&'static str, &'static str),
    AgencyCreate,
    AgencyDelete,
    DefaultEncryption(Option<&'static str>),
    Pass(u32),
    SetBack(u32),
    /// A command while the clock is so many days ahead; then it is set right.
    WhileAhead(u32, Box<Verb>),
    Restart(Restart),
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewDisk {
    pub name: &'static str,
    pub size: u64,
    pub encrypted: Option<bool>,
    pub key: Option<&'static str>,
    pub sector: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    pub name: &'static str,
    pub backup: &'static str,
    /// `None` is that of the backup.
    pub size: Option<u64>,
    pub encrypted: Option<bool>,
    pub key: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    ReadWrite,
    ReadOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detach {
    Idle,
    /// Not forced, while a file is open.
    Open,
    /// Forced, while a file is open; I/O on that file must fail afterwards.
    Forced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Kms,
    External,
}

/// The end of the daemon, some days, and its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    pub killed: bool,
    pub days: u32,
    pub reattach: bool,
}

pub const MIB: u64 = 1 << 20;

/// The ranges of a disk that are written and read: part of a sector, parts of two, the last sector
/// of the smallest disk, and the first one behind it.
pub const SLOTS: [(u64, usize); 4] = [(0, 100), (4000, 200), (MIB - 4096, 4096), (MIB, 512)];

/// Material `number` in hexadecimal.
pub fn material(number: u8) -> String {
    format!("{number:02x}").repeat(if number == SHORT { 31 } else { 32 })
}

impl Verb {
    /// The operation and its words, as `control` takes them; none for I/O, time and restarts.
    /// `day` says what date it is in so many days.
    pub fn request(
        &self,
        day: impl Fn(u32) -> String,
    ) -> Option<(&'static str, Vec<(&'static str, String)>)> {
        let text = |text: &str| text.to_owned();
        let of_disk = |op, name: &str| (op, vec![("name", text(name))]);
        let of_key = |op, alias: &str| (op, vec![("alias", text(alias))]);
        let with = |(op, mut words): (&'static str, Vec<_>), word, value: String| {
            words.push((word, value));
            (op, words)
        };
        Some(match self {
            Verb::DiskCreate(new) => {
                let mut words = vec![("name", text(new.name)), ("size", new.size.to_string())];
                words.push(("sector_size", new.sector.to_string()));
                words.extend(new.encrypted.map(|yes| ("encrypted", text(yes_or_no(yes)))));
                words.extend(new.key.map(|key| ("key", text(key))));
                ("disk.create", words)
            }
            Verb::DiskAttach(name, Mode::ReadWrite) => of_disk("disk.attach", name),
            Verb::DiskAttach(name, Mode::ReadOnly) => {
                with(of_disk("disk.attach", name), "read_only", text("yes"))
            }
            Verb::DiskDetach(name, Detach::Forced) => {
                with(of_disk("disk.detach", name), "force", text("yes"))
            }
            Verb::DiskDetach(name, Detach::Idle | Detach::Open) => of_disk("disk.detach", name),
            Verb::DiskExtend(name, size) => {
                with(of_disk("disk.extend", name), "size", size.to_string())
            }
            Verb::DiskRewrap(name) => of_disk("disk.rewrap", name),
            Verb::DiskDelete(name) => of_disk("disk.delete", name),
            Verb::DiskRestore(new) => {
                let source = format!("backup:{}", new.backup);
                let mut words = vec![("name", text(new.name)), ("from", source)];
                words.extend(new.size.map(|size| ("size", size.to_string())));
                words.extend(new.encrypted.map(|yes| ("encrypted", text(yes_or_no(yes)))));
                words.extend(new.key.map(|key| ("key", text(key))));
                ("disk.create", words)
            }
            Verb::BackupCreate(disk, name) => {
                ("backup.create", vec![("disk", text(disk)), ("name", text(name))])
            }
            Verb::BackupVerify(name) => ("backup.verify", vec![("name", text(name))]),
            Verb::BackupDelete(name) => ("backup.delete", vec![("name", text(name))]),
            Verb::KeyCreate(alias, Origin::Kms) => of_key("key.create", alias),
            Verb::KeyCreate(alias, Origin::External) => {
                with(of_key("key.create", alias), "origin", text("external"))
            }
            Verb::KeyEnable(alias) => of_key("key.enable", alias),
            Verb::KeyDisable(alias) => of_key("key.disable", alias),
            Verb::KeySchedule(alias, days) => {
                with(of_key("key.schedule-deletion", alias), "days", days.to_string())
            }
            Verb::KeyCancel(alias) => of_key("key.cancel-deletion", alias),
            Verb::KeyConfirm(alias) => of_key("key.confirm-deletion", alias),
            Verb::KeyRotate(alias) => of_key("key.rotate", alias),
            Verb::KeyRotation(alias, None) => with(of_key("key.rotation", alias), "on", text("no")),
            Verb::KeyRotation(alias, Some(days)) => {
                let on = with(of_key("key.rotation", alias), "on", text("yes"));
                with(on, "days", days.to_string())
            }
            Verb::KeyImport(alias, number, expires) => {
                let mut asked = with(of_key("key.import", alias), "material", material(*number));
                asked.1.extend(expires.map(|days| ("expires", day(days))));
                asked
            }
            Verb::KeyDeleteMaterial(alias) => of_key("key.delete-material", alias),
            Verb::KeySetAlias(alias, new) => {
                with(of_key("key.set-alias", alias), "new_alias", text(new))
            }
            Verb::KeyDescribe(alias, words) => {
                with(of_key("key.describe", alias), "description", text(words))
            }
            Verb::AgencyCreate => ("agency.create", Vec::new()),
            Verb::AgencyDelete => ("agency.delete", Vec::new()),
            Verb::DefaultEncryption(None) => {
                ("default-encryption.set", vec![("encrypted", text("no"))])
            }
            Verb::DefaultEncryption(Some(key)) => {
                ("default-encryption.set", vec![("encrypted", text("yes")), ("key", text(key))])
            }
            Verb::Write(..)
            | Verb::Pass(_)
            | Verb::SetBack(_)
            | Verb::WhileAhead(..)
            | Verb::Restart(_) => return None,
        })
    }

    /// What is done, without saying to what.
    pub fn label(&self) -> String {
        match self {
            Verb::Write(..) => "write".to_owned(),
            Verb::Pass(_) => "days pass".to_owned(),
            Verb::SetBack(_) => "clock set back".to_owned(),
            Verb::WhileAhead(_, verb) => format!("{} under a doubted clock", verb.label()),
            Verb::Restart(restart) if restart.killed => "restart after kill".to_owned(),
            Verb::Restart(_) => "restart".to_owned(),
            Verb::DiskRestore(_) => "disk.create from a backup".to_owned(),
            verb => {
                let (op, _) = verb.request(|_| String::new()).expect("the rest are commands");
                op.to_owned()
            }
        }
    }
}

/// What would be typed.
impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verb::DiskCreate(new) => {
                write!(f, "evsfs disk create {} --size {}", new.name, new.size)?;
                write_encryption(f, new.encrypted, new.key)?;
                write!(f, " --sector-size {}", new.sector)
            }
            Verb::DiskAttach(name, Mode::ReadWrite) => write!(f, "evsfs disk attach {name}"),
            Verb::DiskAttach(name, Mode::ReadOnly) => {
                write!(f, "evsfs disk attach {name} --read-only")
            }
            Verb::DiskDetach(name, Detach::Idle) => write!(f, "evsfs disk detach {name}"),
            Verb::DiskDetach(name, Detach::Open) => {
                write!(f, "evsfs disk detach {name}   # while a file is open")
            }
            Verb::DiskDetach(name, Detach::Forced) => {
                write!(f, "evsfs disk detach {name} --force   # while a file is open")
            }
            Verb::DiskExtend(name, size) => write!(f, "evsfs disk extend {name} --size {size}"),
            Verb::DiskRewrap(name) => write!(f, "evsfs disk rewrap {name}"),
            Verb::DiskDelete(name) => write!(f, "evsfs disk delete {name} --yes"),
            Verb::DiskRestore(new) => {
                write!(f, "evsfs disk create {} --from backup:{}", new.name, new.backup)?;
                new.size.map_or(Ok(()), |size| write!(f, " --size {size}"))?;
                write_encryption(f, new.encrypted, new.key)
            }
            Verb::BackupCreate(disk, name) => write!(f, "evsfs backup create {disk} {name}"),
            Verb::BackupVerify(name) => write!(f, "evsfs backup verify {name}"),
            Verb::BackupDelete(name) => write!(f, "evsfs backup delete {name} --yes"),
            Verb::Write(name, slot, byte) => {
                let (offset, len) = SLOTS[*slot];
                write!(f, "pwrite {name}, {len} bytes {byte:#04x} at {offset}")
            }
            Verb::KeyCreate(alias, Origin::Kms) => write!(f, "evsfs key create {alias}"),
            Verb::KeyCreate(alias, Origin::External) => {
                write!(f, "evsfs key create {alias} --external")
            }
            Verb::KeyEnable(alias) => write!(f, "evsfs key enable {alias}"),
            Verb::KeyDisable(alias) => write!(f, "evsfs key disable {alias} --yes"),
            Verb::KeySchedule(alias, days) => {
                write!(f, "evsfs key schedule-deletion {alias} --days {days} --yes")
            }
            Verb::KeyCancel(alias) => write!(f, "evsfs key cancel-deletion {alias}"),
            Verb::KeyConfirm(alias) => write!(f, "evsfs key confirm-deletion {alias} --yes"),
            Verb::KeyRotate(alias) => write!(f, "evsfs key rotate {alias}"),
            Verb::KeyRotation(alias, None) => write!(f, "evsfs key rotation {alias} off"),
            Verb::KeyRotation(alias, Some(days)) => {
                write!(f, "evsfs key rotation {alias} on --days {days}")
            }
            Verb::KeyImport(alias, number, expires) => {
                write!(f, "evsfs key import {alias} --file material-{number}")?;
                expires.map_or(Ok(()), |days| write!(f, " --expires in-{days}-days"))
            }
            Verb::KeyDeleteMaterial(alias) => {
                write!(f, "evsfs key delete-material {alias} --yes")
            }
            Verb::KeySetAlias(alias, new) => write!(f, "evsfs key set-alias {alias} {new}"),
            Verb::KeyDescribe(alias, text) => write!(f, "evsfs key describe {alias} {text:?}"),
            Verb::AgencyCreate => write!(f, "evsfs agency create"),
            Verb::AgencyDelete => write!(f, "evsfs agency delete --yes"),
            Verb::DefaultEncryption(None) => write!(f, "echo off > .evs/default-encryption"),
            Verb::DefaultEncryption(Some(key)) => {
                write!(f, "echo on {key} > .evs/default-encryption")
            }
            Verb::Pass(days) => write!(f, "days pass: {days}"),
            Verb::SetBack(days) => write!(f, "clock set-back: {days} days"),
            Verb::WhileAhead(days, verb) => write!(f, "{verb}   # the clock {days} days ahead"),
            Verb::Restart(Restart { killed, days, reattach }) => {
                let end = if *killed { "kill -9" } else { "evsfs umount" };
                write!(f, "{end}; {days} days; evsfs mount   # reattach = {reattach}")
            }
        }
    }
}

fn write_encryption(
    f: &mut fmt::Formatter<'_>,
    encrypted: Option<bool>,
    key: Option<&str>,
) -> fmt::Result {
    match encrypted {
        Some(true) => write!(f, " --encrypted")?,
        Some(false) => write!(f, " --unencrypted")?,
        None => {}
    }
    key.map_or(Ok(()), |key| write!(f, " --key {key}"))
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}$ {}", self.who.name(), self.verb)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
