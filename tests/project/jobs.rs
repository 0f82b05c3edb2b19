//! Jobs as those see them who write their work: progress, limits, failures, cancelling, stopping.

use crate::support::{Needs, trial, wait_until};
use evsfs::auth::{Authority, Caller, Project};
use evsfs::config::CacheMode;
use evsfs::error::{Code, Error, ErrorKind};
use evsfs::id::{Alias, JobId, Uid};
use evsfs::kms::{Kms, SoftHsm};
use evsfs::records::{DirStore, Records};
use evsfs::service::{
    JobCommand, JobInfo, JobKind, NewJob, NoKernelCache, Parts, Reply, Service, Settings,
};
use evsfs::sys::SystemClock;
use evsfs::units::SectorSize;
use libtest_mimic::Trial;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const ROOT: Caller = Caller::new(Uid::ROOT);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("work_reports_progress_and_is_held_to_its_limit", Needs::Nothing, progress),
        trial("work_that_fails_or_panics_fails_its_job_alone", Needs::Nothing, failures),
        trial("work_runs_at_a_low_priority", Needs::Nothing, low_priority),
        trial("work_that_is_cancelled_is_told_where_it_reports", Needs::Nothing, cancelled),
        trial("a_cancel_that_comes_too_late_changes_nothing", Needs::Nothing, too_late),
        trial("a_stop_waits_for_work_and_the_next_start_resumes_it", Needs::Nothing, stopped),
        trial("a_full_queue_refuses_and_remembers_nothing", Needs::Nothing, full_queue),
    ]
}

struct Rig {
    directory: tempfile::TempDir,
    service: Arc<Service>,
}

impl Rig {
    fn new() -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        for made in ["hsm", "kms/keys", "disks", "jobs"] {
            private.create(state_dir.join(made)).unwrap();
        }
        SoftHsm::initialise(&state_dir.join("hsm/root.key"), &state_dir.join("hsm")).unwrap();
        Rig::over(directory)
    }

    /// The next daemon over the state of the last.
    fn over(directory: tempfile::TempDir) -> Rig {
        let service = service(&directory.path().join("state"));
        service.load().unwrap();
        service.load_jobs().unwrap();
        Rig { directory, service }
    }

    fn records(&self) -> PathBuf {
        self.directory.path().join("state/jobs")
    }

    #[track_caller]
    fn start(
        &self,
        limit: Option<u64>,
        work: impl FnOnce(&Service, &Context<'_>) -> Done + Send + 'static,
    ) -> JobId {
        let new = NewJob {
            kind: JobKind::RewrapAll,
            subject: "a test".to_owned(),
            total: Some(100),
            limit,
        };
        self.service.start_job(ROOT, new, work).unwrap().id
    }

    #[track_caller]
    fn show(&self, id: JobId) -> JobInfo {
        match self.service.execute(ROOT, JobCommand::Show(id)).unwrap() {
            Reply::Job(job) => *job,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn ended(&self, id: JobId) -> JobInfo {
        wait_until("the job has ended", || self.show(id).finished.is_some());
        self.show(id)
    }
}

type Context<'a> = evsfs::service::JobContext<'a>;
type Done = evsfs::error::Result<()>;

fn service(state_dir: &Path) -> Arc<Service> {
    let hsm = state_dir.join("hsm");
    let hsm = Arc::new(SoftHsm::open(&hsm.join("root.key"), &hsm).unwrap());
    let store = Arc::new(DirStore::open(state_dir).unwrap());
    let key = evsfs::kms::Hsm::record_key(&*hsm).unwrap();
    let records = Records::open(store, key).unwrap();
    let kms = Kms::open(records.clone(), hsm, Arc::new(SystemClock)).unwrap();
    let records = Arc::new(records);
    Service::new(Parts {
        settings: Settings {
            mountpoint: "/mnt".into(),
            state_dir: state_dir.to_owned(),
            backing_dirs: Vec::new(),
            region: "local".to_owned(),
            project: "default".to_owned(),
            encrypt_by_default: true,
            default_key: Alias::evs_default(),
            default_sector_size: SectorSize::S4096,
            reattach: true,
            jobs: 1,
            cache: CacheMode::Writeback,
            kernel: crate::support::kernel_under_test(),
            passthrough: false,
            direct_backing: false,
        },
        authority: Authority::new(Uid::ROOT, &[]),
        project: Project::load(records.clone()).unwrap(),
        kms: Arc::new(kms),
        records,
        clock: Arc::new(SystemClock),
        kernel: Arc::new(NoKernelCache),
    })
}

fn progress() {
    let rig = Rig::new();
    let (step, steps) = channel::<()>();
    let id = rig.start(Some(50), move |_, context| {
        context.set_total(20);
        for _ in steps {
            context.advance(10)?;
        }
        Ok(())
    });
    let before = Instant::now();
    step.send(()).unwrap();
    wait_until("half is done", || rig.show(id).done == 10);
    let job = rig.show(id);
    assert_eq!(
        (job.state, job.total, job.progress, job.limit),
        ("running", Some(20), Some(50), Some(50))
    );
    step.send(()).unwrap();
    drop(step);
    let job = rig.ended(id);
    assert_eq!((job.state, job.done, job.progress, job.rate), ("done", 20, Some(100), 0));
    // 20 at 50 a second, of which a tenth of a second may be caught up.
    assert!(before.elapsed() >= Duration::from_millis(290), "{:?}", before.elapsed());
}

fn failures() {
    let rig = Rig::new();
    let refused = rig.start(None, |_, _| {
        Err(Error::new(ErrorKind::NoSpace, "the medium is full").code(Code::EVS_2040))
    });
    let panics = rig.start(None, |_, _| panic!("a bug"));
    let after = rig.start(None, |_, context| context.advance(1));
    let error = rig.ended(refused).error.unwrap();
    assert_eq!((error.code.as_str(), error.kind.as_str()), ("EVS.2040", "no-space"));
    assert_eq!(error.message, "the medium is full");
    let job = rig.ended(panics);
    assert_eq!((job.state, job.error.unwrap().kind.as_str()), ("failed", "internal"));
    assert_eq!(rig.ended(after).state, "done");
    // Remembered with the reason.
    let before = [refused, panics, after].map(|id| rig.show(id));
    rig.service.stop_jobs();
    let next = Rig::over(rig.directory);
    assert_eq!([refused, panics, after].map(|id| next.show(id)), before);
}

fn low_priority() {
    let rig = Rig::new();
    let (told, priority) = channel();
    rig.start(None, move |_, _| {
        told.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
        Ok(())
    });
    let own = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(priority.recv().unwrap(), own.max(10));
}

fn cancelled() {
    let rig = Rig::new();
    let (undone, was_undone) = channel();
    // Held back for hours, were it not cancelled.
    let id = rig.start(Some(1), move |_, context| {
        let ended = context.advance(10_000);
        undone.send(()).unwrap();
        ended
    });
    let waits = rig.start(None, |_, _| panic!("never begun"));
    wait_until("it runs", || rig.show(id).done > 0);
    for id in [waits, id] {
        rig.service.execute(ROOT, JobCommand::Cancel(id)).unwrap();
        let job = rig.ended(id);
        assert_eq!((job.state, job.error), ("cancelled", None));
        let again = rig.service.execute(ROOT, JobCommand::Cancel(id)).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::WrongStatus);
    }
    was_undone.recv().unwrap();
}

fn too_late() {
    let rig = Rig::new();
    let (go_on, wait) = channel::<()>();
    let id = rig.start(None, move |_, _| {
        let _ = wait.recv();
        Ok(())
    });
    wait_until("it runs", || rig.show(id).state == "running");
    rig.service.execute(ROOT, JobCommand::Cancel(id)).unwrap();
    drop(go_on);
    assert_eq!(rig.ended(id).state, "done");
}

fn stopped() {
    let rig = Rig::new();
    let (undone, was_undone) = channel();
    let runs = rig.start(Some(1), move |_, context| {
        let ended = context.advance(10_000);
        std::thread::sleep(Duration::from_millis(50));
        undone.send(()).unwrap();
        ended
    });
    let waits = rig.start(None, |_, _| panic!("never begun"));
    wait_until("it runs", || rig.show(runs).done > 0);
    rig.service.stop_jobs();
    // Whatever the work cleans up is cleaned up by now.
    was_undone.try_recv().unwrap();
    let new = NewJob { kind: JobKind::RewrapAll, subject: String::new(), total: None, limit: None };
    let refused = rig.service.start_job(ROOT, new, |_, _| Ok(())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WrongStatus);
    let next = Rig::over(rig.directory);
    // There is nothing to rewrap.
    for id in [runs, waits] {
        assert_eq!(next.ended(id).state, "done");
    }
    next.service.stop_jobs();
}

fn full_queue() {
    let rig = Rig::new();
    let (go_on, wait) = channel::<()>();
    let first = rig.start(None, move |_, _| {
        let _ = wait.recv();
        Ok(())
    });
    wait_until("it runs", || rig.show(first).state == "running");
    let new = NewJob { kind: JobKind::RewrapAll, subject: String::new(), total: None, limit: None };
    let mut count = 1;
    let refusal = loop {
        match rig.service.start_job(ROOT, new.clone(), |_, _| Ok(())) {
            Ok(_) => count += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal.kind(), count), (ErrorKind::Quota, 257));
    assert_eq!(std::fs::read_dir(rig.records()).unwrap().count(), 257);
    drop(go_on);
    wait_until("all have ended", || {
        let Reply::Jobs(jobs) = rig.service.execute(ROOT, JobCommand::List).unwrap() else {
            panic!("no list")
        };
        jobs.len() == 100 && jobs.iter().all(|job| job.state == "done")
    });
    rig.service.stop_jobs();
}
