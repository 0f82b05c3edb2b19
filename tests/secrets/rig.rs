//! Mounts with and without memfd_secret(2), and work that brings every key into use.

use super::memory::{Hunt, hunt};
use super::needles::Needles;
use crate::support::{Mount, Setup, kernel_under_test, run};
use evsfs::crypto::Kernel;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

const WITHOUT: &str = "--without-memfd-secret";

/// Where keys are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// In memory of memfd_secret(2), which not even root can read.
    Secret,
    /// In locked memory, on a kernel that has no memfd_secret(2) or does not allow it.
    Locked,
}

impl Keeping {
    pub const BOTH: [Keeping; 2] = [Keeping::Secret, Keeping::Locked];

    /// A prepared mount, served with keys kept in this way.
    #[track_caller]
    pub fn start(self, mount: &Mount, options: &[&str]) {
        let config = mount.config_path();
        let mut all = vec!["mount", "-c", config.to_str().unwrap()];
        all.extend_from_slice(options);
        match self {
            Keeping::Secret => mount.evsfs_plain(&all).ok(),
            Keeping::Locked => {
                all.splice(0..0, [WITHOUT, mount.program()]);
                run(std::env::current_exe().unwrap().to_str().unwrap(), &all).ok()
            }
        };
    }

    /// A new mount, with an agency, whose disks use this kernel.
    #[track_caller]
    pub fn mount(self, kernel: Kernel) -> Mount {
        let mount = Setup::with("[mount]\ncache = \"none\"\n").prepare();
        let config = std::fs::read_to_string(mount.config_path()).unwrap();
        let chosen = format!("kernel = \"{}\"", kernel_under_test().name());
        let wanted = format!("kernel = \"{}\"", kernel.name());
        std::fs::write(mount.config_path(), config.replace(&chosen, &wanted)).unwrap();
        self.start(&mount, &[]);
        mount.evsfs(&["agency", "create"]).ok();
        mount
    }

    /// Looks for the needles in the daemon of a mount; no piece may be in unprotected memory.
    #[track_caller]
    pub fn expect_no_leaks(self, mount: &Mount, needles: &Needles, when: &str) -> Hunt {
        let hunt = hunt(mount.pid(), needles);
        hunt.expect_no_leaks(&format!("{when} ({self:?})"));
        assert_eq!(hunt.secret_mappings > 0, self == Keeping::Secret, "{when} ({self:?})");
        hunt
    }
}

/// Reads and writes an attached disk: whole sectors and parts, long runs and short.
#[track_caller]
pub fn work_on(mount: &Mount, disk: &str) {
    let path = mount.mountpoint().join(disk);
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let content = crate::support::files::content(7, 1 << 19);
    file.write_all_at(&content, 0).unwrap();
    file.write_all_at(b"part of a sector", 4096 * 150 + 100).unwrap();
    file.sync_all().unwrap();
    let mut found = vec![0; content.len()];
    file.read_exact_at(&mut found, 0).unwrap();
    file.read_exact_at(&mut [0; 10], 4096 * 150 + 99).unwrap();
    crate::support::files::assert_same("what was written", &found, &content);
}

/// Runs a program where memfd_secret(2) is not there, if this process was started for that: how
/// that failed.
pub fn be_a_launcher() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WITHOUT {
        return None;
    }
    let rules = [(libc::SYS_memfd_secret, Vec::new())].into_iter().collect();
    let not_there = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, not_there, machine).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
    let error = Command::new(arguments.next().unwrap()).args(arguments).exec();
    eprintln!("{error}");
    Some(ExitCode::FAILURE)
}
