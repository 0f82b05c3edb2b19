//! The offline check of a state directory.

use super::assembly::{look_at_records, open_hsm, open_records};
use super::migrate::{left_of_a_move, refuse_unfinished_move, remove_what_a_move_left};
use super::service_user::ServiceUser;
use super::state_dir;
use crate::config::Config;
use crate::crypto::SecretText;
use crate::disk::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DiskId, KeyId, Uid};
use crate::kms::{
    Actor, DamagedKey, Hsm, KeyFindings, examine_keys, record_acceptance, verify_audit_offline,
};
use crate::records::{DirStore, RecordPath, Records};
use crate::service::{
    ArchiveFinding, DiskRecord, Payloads, Stage, Upkeep, check_backup, check_image,
    check_job_record, check_kept_changes, check_server_record, remove_changes,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DISKS: &str = "disks";
const JOBS: &str = "jobs";
const BACKUPS: &str = "backups";
const IMAGES: &str = "images";
const SERVERS: &str = "servers";
const REPAIR: &str = "evsfs check --repair, or mount once";

/// What a check has found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// Objects that were looked at.
    pub checked: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file that is concerned.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether `--repair` puts it right.
    pub mending: Mending,
}

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mending {
    /// It takes a person.
    ByHand,
    /// A repair would put it right.
    Possible,
    /// It was put right.
    Done,
}

/// What a check may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckMode {
    /// Nothing.
    Look,
    /// It ends what a crash left half-done, and removes what one left of disks, backups and images that
    /// were never finished or were being deleted; nothing else can be repaired without a chance of
    /// loss.
    Repair,
    /// It makes all genuine records the newest: the administrator has put some back from a copy, or
    /// gives up those that are lost.
    Accept,
}

/// Checks every record, payload and wrapped key of a state directory that no daemon works on, and
/// reads all of its backups and images.
///
/// # Errors
/// `in-use` while a daemon lives; `wrong-secret`; `integrity` when the root key does not fit, or the
/// ledger of records is missing or was edited.
pub fn check(config: &Config, secret: Option<&SecretText>, mode: CheckMode) -> Result<CheckReport> {
    ServiceUser::act_for(config, |caller| check_as(caller, config, secret, mode))
}

fn check_as(
    caller: Uid,
    config: &Config,
    secret: Option<&SecretText>,
    mode: CheckMode,
) -> Result<CheckReport> {
    state_dir::check_privacy(config)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    refuse_unfinished_move(&config.state_dir)?;
    let hsm = open_hsm(config, secret)?;
    let mut report = CheckReport { checked: 0, findings: Vec::new() };
    let records = match mode {
        CheckMode::Look => look_at_records(config, &*hsm)?,
        CheckMode::Repair => open_records(config, &*hsm)?,
        CheckMode::Accept => report.accept(caller, config, &*hsm)?,
    };
    if let Some(directory) = left_of_a_move(&config.state_dir) {
        let repair = mode == CheckMode::Repair;
        if repair {
            remove_what_a_move_left(&config.state_dir)?;
        }
        report.findings.push(Finding {
            file: directory,
            problem: "a move of the keys that was interrupted left this directory".to_owned(),
            remedy: REPAIR.to_owned(),
            mending: Mending::by(mode),
        });
    }
    let keys = examine_keys(&records, &*hsm)?;
    report.checked += (keys.keys.len() + keys.damaged.len()) as u64;
    report.findings.extend(keys.damaged.iter().map(Finding::of_key));
    report.check_other_records(&records)?;
    report.check_audit(&records, &config.state_dir)?;
    let payloads = Payloads::new(config.state_dir.clone(), config.backing_dirs.clone());
    for directory in records.list(&RecordPath::parse(DISKS)?)? {
        report.checked += 1;
        let file = config.state_dir.join(DISKS).join(&directory).join("disk.toml");
        let checked = Disk { records: &records, payloads: &payloads, keys: &keys, mode };
        if let Err(error) = checked.check(&directory, &file, &mut report) {
            report.add(file, &error);
        }
    }
    let archives = Archives { config, records: &records, keys: &keys, mode };
    report.check_archives(&archives, BACKUPS, "backup.toml", check_backup)?;
    report.check_archives(&archives, IMAGES, "image.toml", check_image)?;
    for name in records.list(&RecordPath::parse(SERVERS)?)? {
        report.checked += 1;
        if let Err(error) = check_server_record(&records, &name) {
            report.add(config.state_dir.join(SERVERS).join(&name), &error);
        }
    }
    for name in records.list(&RecordPath::parse(JOBS)?)? {
        report.checked += 1;
        if let Err(error) = check_job_record(&records, &name) {
            report.add(config.state_dir.join(JOBS).join(&name), &error);
        }
    }
    Ok(report)
}

/// How one backup or image is checked.
type CheckArchive = fn(&Records, &Path, &str, Upkeep) -> Result<ArchiveFinding>;

/// What backups and images are checked against.
struct Archives<'a> {
    config: &'a Config,
    records: &'a Records,
    keys: &'a KeyFindings,
    mode: CheckMode,
}

/// What a disk is checked against.
struct Disk<'a> {
    records: &'a Records,
    payloads: &'a Payloads,
    keys: &'a KeyFindings,
    mode: CheckMode,
}

impl Disk<'_> {
    /// Checks the disk of one directory; an error is a finding about its record.
    fn check(&self, directory: &str, file: &Path, report: &mut CheckReport) -> Result<()> {
        let (payloads, repair) = (self.payloads, self.mode == CheckMode::Repair);
        let id = DiskId::parse(directory)?;
        let path = DiskRecord::path_of(id)?;
        if payloads.has_empty_directory(id) && !self.records.knows(&path) {
            if repair {
                payloads.remove_directory(id)?;
            }
            report.findings.push(Finding {
                file: payloads.directory_of(id),
                problem: "a crash left this directory, which holds nothing".to_owned(),
                remedy: REPAIR.to_owned(),
                mending: Mending::by(self.mode),
            });
            return Ok(());
        }
        let record = self.records.load::<DiskRecord>(&path)?.ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "the record is missing beside its payload")
                .remedy("put the record back from a copy of the state directory")
        })?;
        let record = record.check()?;
        if record.stage != Stage::Ready {
            if repair {
                remove_changes(self.records, id, &payloads.directory_of(id))?;
                payloads.remove(&record)?;
                self.records.remove(&path)?;
                payloads.remove_directory(id)?;
            }
            let name = record.name.as_str();
            report.findings.push(Finding {
                file: file.to_owned(),
                problem: format!("disk {name:?} was left half-made or half-deleted"),
                remedy: REPAIR.to_owned(),
                mending: Mending::by(self.mode),
            });
            return Ok(());
        }
        self.check_changes(id, report)?;
        if let Err(error) = self.check_payload(&record) {
            report.add(payloads.directory_of(id).join("payload"), &error);
        }
        if let Some(dk) = &record.dk
            && !has_key(self.keys, dk.key)
        {
            let what = format!("disk {:?}", record.name.as_str());
            report.findings.push(Finding::of_lost_key(file, &what, "delete the disk"));
        }
        Ok(())
    }

    /// What is kept of changes since the last backup is repaired by being forgotten.
    fn check_changes(&self, id: DiskId, report: &mut CheckReport) -> Result<()> {
        let directory = self.payloads.directory_of(id);
        let Err(error) = check_kept_changes(self.records, id, &directory) else { return Ok(()) };
        let repair = self.mode == CheckMode::Repair;
        if repair {
            remove_changes(self.records, id, &directory)?;
        }
        report.findings.push(Finding {
            file: directory.join("changes.toml"),
            problem: error.explained(),
            remedy: "evsfs check --repair; the next backup then reads the whole disk".to_owned(),
            mending: Mending::by(self.mode),
        });
        Ok(())
    }

    fn check_payload(&self, record: &DiskRecord) -> Result<()> {
        let len = self.payloads.open(record, Access::ReadOnly)?.len();
        if len >= record.size() {
            return Ok(());
        }
        let message = format!("the payload is {len} long, the disk {}", record.size());
        Err(Error::new(ErrorKind::Integrity, message).remedy("put the payload back from a backup"))
    }
}

/// Whether a key is there. A damaged one is a finding of its own.
fn has_key(keys: &KeyFindings, id: KeyId) -> bool {
    keys.keys.iter().any(|key| key.id == id) || keys.damaged.iter().any(|key| key.id == Some(id))
}

impl Mending {
    /// Of what a repair puts right, in a check of this mode.
    fn by(mode: CheckMode) -> Mending {
        match mode {
            CheckMode::Repair => Mending::Done,
            CheckMode::Look | CheckMode::Accept => Mending::Possible,
        }
    }
}

impl Finding {
    fn of_lost_key(file: &Path, what: &str, last: &str) -> Finding {
        Finding {
            file: file.to_owned(),
            problem: format!("the key of {what} is gone"),
            remedy: format!("the data cannot be restored; {last}"),
            mending: Mending::ByHand,
        }
    }

    fn of_key(key: &DamagedKey) -> Finding {
        let DamagedKey { file, problem, remedy, .. } = key.clone();
        Finding { file, problem, remedy, mending: Mending::ByHand }
    }
}

impl CheckReport {
    /// Makes all genuine records the newest, and opens them.
    fn accept(&mut self, caller: Uid, config: &Config, hsm: &dyn Hsm) -> Result<Records> {
        let store = Arc::new(DirStore::open(&config.state_dir)?);
        for path in Records::accept_all(store, hsm.record_key()?)? {
            self.findings.push(Finding {
                file: config.state_dir.join(path.as_str()),
                problem: "this was not what the ledger of records knew".to_owned(),
                remedy: "none: the ledger knows it now as it is".to_owned(),
                mending: Mending::Done,
            });
        }
        let records = open_records(config, hsm)?;
        let actor = Actor::User(caller);
        // An audit log that is damaged itself is a finding of its own.
        if let Err(error) = record_acceptance(&records, actor, jiff::Timestamp::now()) {
            log::warn!("event=acceptance-not-recorded error=\"{error}\"");
        }
        Ok(records)
    }

    /// Checks all backups or images.
    fn check_archives(
        &mut self,
        archives: &Archives<'_>,
        directory: &str,
        record: &str,
        check: CheckArchive,
    ) -> Result<()> {
        let Archives { config, records, keys, mode } = archives;
        let repair = *mode == CheckMode::Repair;
        let upkeep = if repair { Upkeep::Repair } else { Upkeep::Look };
        for name in records.list(&RecordPath::parse(directory)?)? {
            self.checked += 1;
            let place = config.state_dir.join(directory).join(&name);
            match check(records, &config.state_dir, &name, upkeep) {
                Ok(ArchiveFinding::Whole { key: Some(key), name }) if !has_key(keys, key) => {
                    // The key may be one that another machine has, and come from there.
                    let what = format!("{} {:?}", directory.trim_end_matches('s'), name.as_str());
                    let last = "unless the key comes back with the KMS state of another machine";
                    self.findings.push(Finding::of_lost_key(&place.join(record), &what, last));
                }
                Ok(ArchiveFinding::Whole { .. }) => {}
                Ok(ArchiveFinding::Left(problem)) => self.findings.push(Finding {
                    file: place,
                    problem,
                    remedy: REPAIR.to_owned(),
                    mending: Mending::by(*mode),
                }),
                // The message names the file.
                Err(error) => self.add(place, &error),
            }
        }
        Ok(())
    }

    /// Checks the records that are neither of a key nor of a disk.
    fn check_other_records(&mut self, records: &Records) -> Result<()> {
        for path in records.paths()? {
            let text = path.as_str();
            let is_checked_elsewhere = ["kms/keys/", DISKS, BACKUPS, IMAGES, SERVERS, JOBS]
                .iter()
                .any(|directory| text.starts_with(directory));
            let is_ours =
                text.starts_with("kms/") || text == "project.toml" || records.knows(&path);
            if is_ours
                && !is_checked_elsewhere
                && let Err(error) = records.verify(&path)
            {
                self.add(PathBuf::from(records.place(&path)), &error);
            }
        }
        Ok(())
    }

    /// Checks that the audit log is whole.
    fn check_audit(&mut self, records: &Records, state_dir: &Path) -> Result<()> {
        let file = state_dir.join("kms/audit.jsonl");
        match verify_audit_offline(records) {
            Ok(report) => self.findings.extend(report.fault.map(|fault| Finding {
                file,
                problem: fault.to_string(),
                remedy: "find out who can write the state directory; evsfs audit verify".to_owned(),
                mending: Mending::ByHand,
            })),
            // What the log is anchored by is a record: what is wrong with it was found among the others.
            Err(error) if self.findings.iter().any(|found| found.problem == error.explained()) => {}
            Err(error) if error.kind() == ErrorKind::Integrity => self.add(file, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn add(&mut self, file: PathBuf, error: &Error) {
        self.findings.push(Finding {
            file,
            problem: error.explained(),
            remedy: error
                .suggested_remedy()
                .unwrap_or("put the file back from a copy of the state directory")
                .to_owned(),
            mending: Mending::ByHand,
        });
    }
}
