//! What a state directory serves: each thing as it is, or the refusal of it.

use crate::world::{ROOT, Running, WRITTEN, World, content_of};
use evsfs::disk::Access;
use evsfs::error::{Error, ErrorKind};
use evsfs::id::{DiskId, JobId, KeyId};
use evsfs::records::RecordPath;
use evsfs::service::{
    AgencyCommand, Command, DefaultEncryptionCommand, DiskCommand, DiskRecord, JobCommand, JobInfo,
    Reply,
};
use evsfs::units::ByteOffset;
use std::collections::{BTreeMap, BTreeSet};

/// What one thing is, in words that are the same when it is the same; or the refusal of it.
pub type Seen = Result<String, String>;

/// All that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// By what it is of: `start`, `key ID`, `disk ID`, `project`, `audit log`.
    pub seen: BTreeMap<String, Seen>,
    /// What each attached disk reads, by name.
    pub reads: BTreeMap<String, Vec<u8>>,
}

/// Keys and disks to ask after, whether or not they are listed.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub keys: BTreeSet<KeyId>,
    pub disks: BTreeSet<DiskId>,
    pub jobs: BTreeSet<JobId>,
}

impl Asked {
    /// Everything that a running service knows.
    pub fn all_of(running: &Running) -> Asked {
        Asked {
            keys: running.kms.list().iter().map(|key| key.id).collect(),
            disks: running.service.visible_disks(ROOT).iter().map(|disk| disk.id()).collect(),
            jobs: jobs(running).iter().map(|job| job.id).collect(),
        }
    }
}

/// Starts and looks at everything.
pub fn observe(world: &World, asked: &Asked) -> Observation {
    let mut all = Observation { seen: BTreeMap::new(), reads: BTreeMap::new() };
    let running = match world.start() {
        Ok(running) => running,
        Err(error) => {
            all.seen.insert("start".to_owned(), Err(refusal(&error)));
            return all;
        }
    };
    all.seen.insert("start".to_owned(), Ok(String::new()));
    let listed = Asked::all_of(&running);
    for id in asked.keys.union(&listed.keys) {
        let seen = running.kms.by_id(*id).map(|key| format!("{key:?}"));
        all.seen.insert(format!("key {id}"), seen.map_err(|error| refusal(&error)));
    }
    for id in asked.disks.union(&listed.disks) {
        let seen = disk(&running, *id, &mut all.reads);
        all.seen.insert(format!("disk {id}"), seen.map_err(|error| refusal(&error)));
    }
    for id in asked.jobs.union(&listed.jobs) {
        let seen = job(&running, *id);
        all.seen.insert(format!("job {id}"), seen.map_err(|error| refusal(&error)));
    }
    let default = running
        .service
        .execute(ROOT, Command::DefaultEncryption(DefaultEncryptionCommand::Show))
        .unwrap();
    let agency = running.service.execute(ROOT, Command::Agency(AgencyCommand::Show)).unwrap();
    let json = |reply: &Reply| serde_json::to_string(reply).unwrap();
    let project = format!("{} {}", json(&agency), json(&default));
    all.seen.insert("project".to_owned(), Ok(project));
    let audit = match running.kms.verify_audit() {
        Ok(report) => match report.fault {
            None => Ok("whole".to_owned()),
            Some(fault) => Err(format!("kms/audit.jsonl: entry {} {}", fault.seq, fault.problem)),
        },
        Err(error) => Err(refusal(&error)),
    };
    all.seen.insert("audit log".to_owned(), audit);
    running.service.close_all();
    all
}

fn jobs(running: &Running) -> Vec<JobInfo> {
    match running.service.execute(ROOT, Command::Job(JobCommand::List)).unwrap() {
        Reply::Jobs(jobs) => jobs,
        other => panic!("{other:?} is no list of jobs"),
    }
}

fn job(running: &Running, id: JobId) -> Result<String, Error> {
    let Some(job) = jobs(running).into_iter().find(|job| job.id == id) else {
        running.records.verify(&RecordPath::parse(&format!("jobs/{id}.toml"))?)?;
        return Ok("there is a sound record, and no job".to_owned());
    };
    Ok(format!("{job:?}"))
}

fn disk(
    running: &Running,
    id: DiskId,
    reads: &mut BTreeMap<String, Vec<u8>>,
) -> Result<String, Error> {
    let Some(entry) = running.service.visible_disk(ROOT, id) else {
        running.records.verify(&DiskRecord::path_of(id)?)?;
        return Ok("there is a sound record, and no disk".to_owned());
    };
    let info = running.service.describe_disk(&entry);
    let name = entry.name().clone();
    if running.service.attachment(&name).is_none() {
        running
            .service
            .execute(ROOT, Command::Disk(DiskCommand::Attach(name.clone(), Access::ReadWrite)))?;
    }
    let attachment = running.service.attachment(&name).unwrap();
    let mut bytes = vec![0; WRITTEN];
    attachment.disk().read_at(ByteOffset::ZERO, &mut bytes)?;
    let is_its_own = bytes == content_of(name.as_str());
    reads.insert(name.to_string(), bytes);
    let (size, key, version) = (info.size, info.key, info.key_version);
    Ok(format!("{name} {size} {key:?} {version:?}, reads its own: {is_its_own}"))
}

fn refusal(error: &Error) -> String {
    assert!(
        error.kind() != ErrorKind::Internal && error.kind() != ErrorKind::Io,
        "what somebody has written is no accident: {error}"
    );
    error.explained()
}
