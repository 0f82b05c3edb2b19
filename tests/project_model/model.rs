//! The reference model: RULES 2, 3 and 5 as plain data, and nothing of the service. What it says of
//! backups (RULES P2 to P4) is in `backup_rules`.

use crate::backup_rules::Backup;
use crate::callers::Who;
use crate::command::{Detach, Line, MIB, Mode, NewDisk, Origin, Restart, SLOTS, Verb};
use crate::key_rules::{DAY, DEFAULT, Keys, OK};
use crate::refusal::{Outcome, Refusal};
use crate::shown::{DiskRow, KeyRow, Shown};
use jiff::Timestamp;
use std::collections::BTreeMap;

const TIB: u64 = 1 << 40;

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    pub keys: Keys,
    pub disks: BTreeMap<&'static str, Disk>,
    pub backups: BTreeMap<&'static str, Backup>,
    agency: Agency,
    /// What the project has chosen; `None` when it never did.
    default_encryption: Option<Choice>,
    pub clock: Timestamp,
}

/// A disk.
#[derive(Debug, Clone)]
pub struct Disk {
    pub owner: Who,
    pub size: u64,
    pub sector: u64,
    /// Which key, by its number, and which version of it wraps the data key.
    pub key: Option<(u32, u32)>,
    pub attached: Option<Mode>,
    /// The code of the reason why it was not attached again.
    error: Option<&'static str>,
    /// What each slot was filled with last.
    pub content: [u8; SLOTS.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agency {
    Never,
    Present,
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Off,
    EvsDefault,
    /// A key of the project's own, by its number.
    Own(u32),
}

impl Project {
    /// A new project, where disks are encrypted under `evs/default` unless something else is said.
    pub fn new(clock: Timestamp) -> Project {
        let mut keys = Keys::default();
        keys.look(clock);
        Project {
            keys,
            disks: BTreeMap::new(),
            backups: BTreeMap::new(),
            agency: Agency::Never,
            default_encryption: None,
            clock,
        }
    }

    /// What must come of a step; it has been taken then.
    pub fn expect(&mut self, line: &Line) -> Outcome {
        let outcome = match &line.verb {
            Verb::Pass(days) => {
                self.clock += DAY * *days;
                Ok(())
            }
            Verb::SetBack(days) => {
                self.clock -= DAY * *days;
                Ok(())
            }
            Verb::Restart(restart) => {
                self.restart(*restart);
                Ok(())
            }
            Verb::WhileAhead(days, verb) => {
                let wall = self.clock + DAY * *days;
                self.keys.doubt(Some(wall));
                let outcome = self.command(line.who, verb, wall);
                self.keys.rotate_due(wall);
                self.keys.doubt(None);
                outcome
            }
            verb => self.command(line.who, verb, self.clock),
        };
        self.keep_dates();
        outcome
    }

    /// What the daemon does every second (RULES K1, K5).
    fn keep_dates(&mut self) {
        self.keys.look(self.clock);
        self.keys.sweep();
        self.keys.rotate_due(self.clock);
    }

    fn command(&mut self, who: Who, verb: &Verb, now: Timestamp) -> Outcome {
        match verb {
            Verb::DiskCreate(new) => self.create_disk(who, new, [0; SLOTS.len()]),
            Verb::DiskRestore(new) => self.restore_disk(who, new),
            Verb::BackupCreate(disk, name) => self.create_backup(who, disk, name),
            Verb::BackupVerify(name) => self.usable_backup(who, name).map(drop),
            Verb::BackupDelete(name) => {
                self.usable_backup(who, name)?;
                self.backups.remove(name);
                Ok(())
            }
            Verb::DiskAttach(name, mode) => {
                let disk = self.usable(who, name)?;
                if disk.attached.is_some() {
                    return Err(WRONG_STATUS);
                }
                if let Some((key, _)) = disk.key {
                    self.require_agency(who)?;
                    self.open_data_key(key)?;
                }
                let disk = self.disk(name);
                (disk.attached, disk.error) = (Some(*mode), None);
                Ok(())
            }
            Verb::DiskDetach(name, how) => match (self.usable(who, name)?.attached, how) {
                (None, _) => Err(WRONG_STATUS),
                (Some(_), Detach::Open) => Err(Refusal::coded("in-use", "EVS.1046")),
                (Some(_), Detach::Idle | Detach::Forced) => {
                    self.disk(name).attached = None;
                    Ok(())
                }
            },
            Verb::DiskExtend(name, size) => {
                let disk = self.usable(who, name)?;
                check_size(*size, disk.sector)?;
                if *size <= disk.size {
                    return Err(Refusal::coded("invalid", "EVS.1015"));
                }
                if disk.attached == Some(Mode::ReadOnly) {
                    return Err(WRONG_STATUS);
                }
                self.disk(name).size = *size;
                Ok(())
            }
            Verb::DiskRewrap(name) => {
                let Some((key, _)) = self.usable(who, name)?.key else {
                    return Err(Refusal::new("invalid"));
                };
                self.require_agency(who)?;
                self.disk(name).key = Some((key, self.open_data_key(key)?));
                Ok(())
            }
            Verb::DiskDelete(name) => match self.usable(who, name)?.attached {
                Some(_) => Err(WRONG_STATUS),
                None => {
                    self.disks.remove(name);
                    Ok(())
                }
            },
            Verb::Write(name, slot, byte) => {
                match self.disks.get(name).and_then(|disk| disk.attached) {
                    None => Err(Refusal::new("not-found")),
                    Some(Mode::ReadOnly) => Err(Refusal::new("protected")),
                    Some(Mode::ReadWrite) if !self.disk(name).has(*slot) => {
                        Err(Refusal::new("no-space"))
                    }
                    Some(Mode::ReadWrite) => {
                        self.disk(name).content[*slot] = *byte;
                        Ok(())
                    }
                }
            }
            Verb::AgencyCreate => match (who.manages_keys(), self.agency) {
                (false, _) => Err(DENIED),
                (true, Agency::Present) => Err(Refusal::new("exists")),
                (true, Agency::Never | Agency::Removed) => {
                    self.agency = Agency::Present;
                    Ok(())
                }
            },
            Verb::AgencyDelete => match (who.manages_keys(), self.agency) {
                (false, _) => Err(DENIED),
                (true, Agency::Present) => {
                    self.agency = Agency::Removed;
                    Ok(())
                }
                (true, Agency::Never | Agency::Removed) => Err(Refusal::new("not-found")),
            },
            Verb::DefaultEncryption(key) => self.choose_default_encryption(who, *key),
            // An alias of EVS cannot even be asked for (RULES K3).
            Verb::KeyCreate(alias, _) | Verb::KeySetAlias(_, alias)
                if alias.starts_with("evs/") =>
            {
                Err(Refusal::coded("invalid", "KMS.1101"))
            }
            verb if who.manages_keys() => match self.key_verb(verb, now) {
                OK => Ok(()),
                code => Err(match verb {
                    Verb::KeyRotate(_) | Verb::KeyRotation(..) if code == "KMS.1301" => {
                        Refusal::of_use(code)
                    }
                    _ => Refusal::of_key_verb(code),
                }),
            },
            _ => Err(DENIED),
        }
    }

    fn key_verb(&mut self, verb: &Verb, now: Timestamp) -> &'static str {
        match verb {
            Verb::KeyCreate(alias, origin) => self.keys.create(alias, *origin == Origin::External),
            Verb::KeyEnable(alias) => self.keys.change(alias, "enable"),
            Verb::KeyDisable(alias) => self.keys.change(alias, "disable"),
            Verb::KeySchedule(alias, days) => self.keys.schedule(alias, *days, now),
            Verb::KeyCancel(alias) => self.keys.change(alias, "cancel"),
            Verb::KeyConfirm(alias) => self.keys.confirm(alias),
            Verb::KeyRotate(alias) => self.keys.rotate(alias, now),
            Verb::KeyRotation(alias, days) => self.keys.set_rotation(alias, *days, now),
            Verb::KeyImport(alias, material, days) => {
                let expires = days.map(|days| now + DAY * days);
                self.keys.import(alias, *material, expires, now)
            }
            Verb::KeyDeleteMaterial(alias) => self.keys.delete_material(alias),
            Verb::KeySetAlias(alias, new) => self.keys.rename(alias, new),
            Verb::KeyDescribe(alias, text) => self.keys.describe(alias, text),
            other => panic!("{other} is no verb on keys"),
        }
    }

    /// RULES D2 to D4, D11, D12, A2 to A4.
    pub fn create_disk(&mut self, who: Who, new: &NewDisk, content: [u8; SLOTS.len()]) -> Outcome {
        if !who.creates_disks() {
            return Err(DENIED);
        }
        check_size(new.size, new.sector)?;
        let default = self.default_encryption;
        let encrypted = new.encrypted.unwrap_or(self.encrypts_by_default());
        if !encrypted && new.key.is_some() {
            return Err(Refusal::new("invalid"));
        }
        if self.disks.contains_key(new.name) {
            return Err(Refusal::new("exists"));
        }
        let mut key = None;
        if encrypted {
            self.require_agency(who)?;
            let serial = match (new.key, default) {
                (Some(DEFAULT), _) | (None, None | Some(Choice::Off | Choice::EvsDefault)) => {
                    self.keys.ensure_default()
                }
                (Some(alias), _) => match self.keys.keys.get(alias) {
                    Some(key) => key.serial,
                    None => return Err(Refusal::coded("not-found", "KMS.0207")),
                },
                (None, Some(Choice::Own(serial))) => serial,
            };
            key = Some((serial, self.open_data_key(serial)?));
        }
        let disk = Disk {
            owner: who,
            size: new.size,
            sector: new.sector,
            key,
            attached: None,
            error: None,
            content,
        };
        self.disks.insert(new.name, disk);
        Ok(())
    }

    pub fn encrypts_by_default(&self) -> bool {
        self.default_encryption != Some(Choice::Off)
    }

    fn choose_default_encryption(&mut self, who: Who, key: Option<&str>) -> Outcome {
        if !who.manages_keys() {
            return Err(DENIED);
        }
        self.default_encryption = Some(match key {
            None => Choice::Off,
            Some(DEFAULT) => Choice::EvsDefault,
            Some(alias) => {
                let key = self.keys.keys.get(alias);
                let serial = key.ok_or(Refusal::coded("not-found", "KMS.0207"))?.serial;
                match self.keys.usability(serial) {
                    OK => Choice::Own(serial),
                    code => return Err(Refusal::of_use(code)),
                }
            }
        });
        Ok(())
    }

    /// RULES D9.
    fn restart(&mut self, restart: Restart) {
        self.clock += DAY * restart.days;
        self.keys.look(self.clock);
        self.keys.sweep();
        let names: Vec<_> = self.disks.keys().copied().collect();
        for name in names {
            let Disk { attached: Some(_), key, .. } = *self.disk(name) else { continue };
            let opened = match key {
                Some((key, _)) => {
                    self.require_agency(Who::Root).and_then(|()| self.open_data_key(key).map(drop))
                }
                None => Ok(()),
            };
            let disk = self.disk(name);
            match (restart.reattach, opened) {
                (true, Ok(())) => disk.error = None,
                (true, Err(refusal)) => (disk.attached, disk.error) = (None, refusal.code),
                (false, _) => (disk.attached, disk.error) = (None, None),
            }
        }
    }

    /// RULES A2, A4.
    pub fn require_agency(&self, who: Who) -> Outcome {
        match (self.agency, who.manages_keys()) {
            (Agency::Present, _) => Ok(()),
            (Agency::Never, true) => Err(Refusal::coded("no-agency", "EVS.2143")),
            (Agency::Never, false) | (Agency::Removed, _) => {
                Err(Refusal::coded("no-agency", "EVS.2055"))
            }
        }
    }

    /// RULES D4, D5: the version that wraps new data keys, if the key can be used.
    pub fn open_data_key(&self, key: u32) -> Result<u32, Refusal> {
        match (self.keys.usability(key), self.keys.by_serial(key)) {
            (OK, Some((_, key))) => Ok(key.version),
            (code, _) => Err(Refusal::of_use(code).of_disk()),
        }
    }

    /// RULES A5, A7.
    pub fn usable(&self, who: Who, name: &str) -> Result<&Disk, Refusal> {
        if !who.is_known() {
            return Err(DENIED);
        }
        let disk = self.disks.get(name).filter(|disk| who.uses_disks_of(disk.owner));
        disk.ok_or(Refusal::coded("not-found", "EVS.1002"))
    }

    fn disk(&mut self, name: &str) -> &mut Disk {
        self.disks.get_mut(name).unwrap_or_else(|| panic!("{name} is there"))
    }

    /// What a caller with a role sees.
    pub fn shown_to(&self, who: Who) -> Shown {
        let alias_of = |serial| self.keys.by_serial(serial).map_or("gone", |(alias, _)| alias);
        let default_encryption = match self.default_encryption {
            Some(Choice::Off) => "off",
            Some(Choice::Own(serial)) => alias_of(serial),
            Some(Choice::EvsDefault) | None => DEFAULT,
        };
        let visible = self.disks.iter().filter(|(_, disk)| who.uses_disks_of(disk.owner));
        // The default key comes first.
        let mut keys: Vec<_> = self.keys.keys.keys().collect();
        keys.sort_by_key(|alias| (**alias != DEFAULT, **alias));
        Shown {
            agency: self.agency == Agency::Present,
            default_encryption: default_encryption.to_owned(),
            disks: visible.map(|(name, disk)| self.disk_row(name, disk)).collect(),
            backups: self.backup_rows(who),
            keys: keys.into_iter().map(|alias| self.key_row(who, alias)).collect(),
        }
    }

    fn disk_row(&self, name: &str, disk: &Disk) -> DiskRow {
        let key = disk.key.map(|(serial, version)| {
            let (alias, state) = self.shown_key(serial);
            (alias, state, version)
        });
        DiskRow {
            name: name.to_owned(),
            status: if disk.attached.is_some() { "in-use" } else { "available" }.to_owned(),
            size: disk.size,
            sector_size: disk.sector,
            owner: disk.owner.uid(),
            key,
            read_only: disk.attached == Some(Mode::ReadOnly),
            error: disk.error.map(str::to_owned),
        }
    }

    /// Alias and state.
    pub fn shown_key(&self, serial: u32) -> (String, String) {
        let (alias, state) = match self.keys.by_serial(serial) {
            Some((alias, key)) => (alias, key.state),
            None => ("gone", "gone"),
        };
        (alias.to_owned(), state.to_owned())
    }

    fn key_row(&self, who: Who, alias: &str) -> KeyRow {
        let key = &self.keys.keys[alias];
        let under: Vec<(&&str, &Disk, u32)> = (self.disks.iter())
            .filter_map(|(name, disk)| Some((name, disk, disk.key?)))
            .filter(|(_, _, (serial, _))| *serial == key.serial)
            .map(|(name, disk, (_, version))| (name, disk, version))
            .collect();
        let visible = |disk: &Disk| who.uses_disks_of(disk.owner);
        let names = |is_listed: &dyn Fn(&Disk) -> bool| {
            let listed = under.iter().filter(|(_, disk, _)| visible(disk) && is_listed(disk));
            listed.map(|(name, ..)| (**name).to_owned()).collect()
        };
        let held = |version| {
            let by_it = under.iter().filter(|(_, _, by)| *by == version);
            by_it.filter(|(_, disk, _)| visible(disk) || who.manages_keys()).count()
        };
        let foreign = under.iter().filter(|(_, disk, _)| !visible(disk)).count();
        let (backups, foreign_backups) = self.backups_under(who, key.serial);
        KeyRow {
            alias: alias.to_owned(),
            state: key.state.to_owned(),
            origin: if key.external { "external" } else { "kms" }.to_owned(),
            description: key.description.to_owned(),
            deletion_date: key.deadline.map(|date| date.to_string()),
            expiry_date: key.expires.map(|date| date.to_string()),
            rotation: key.rotation.map(|(days, date)| (days.to_string(), date.to_string())),
            versions: (1..=key.version).map(held).collect(),
            disks: names(&|_| true),
            attached_disks: names(&|disk| disk.attached.is_some()),
            foreign_disks: who.manages_keys().then_some(foreign),
            backups,
            foreign_backups: who.manages_keys().then_some(foreign_backups),
        }
    }
}

impl Disk {
    /// Whether a slot lies on the disk.
    pub fn has(&self, slot: usize) -> bool {
        SLOTS[slot].0 < self.size
    }
}

pub const DENIED: Refusal = Refusal::new("denied");
const WRONG_STATUS: Refusal = Refusal::coded("wrong-status", "EVS.1046");

/// RULES D11.
pub fn check_size(size: u64, sector: u64) -> Outcome {
    if !(MIB..=64 * TIB).contains(&size) {
        return Err(Refusal::coded("out-of-range", "EVS.1010"));
    }
    if !size.is_multiple_of(sector) {
        return Err(Refusal::coded("invalid", "EVS.1010"));
    }
    Ok(())
}
