//! What a serving process gives up for good: files that are none of its business (Landlock), system
//! calls it has no use for (seccomp), and privileges through programs it starts (`no_new_privs`).
//!
//! Landlock restricts a thread and the threads it starts from then on; those that are older enter by
//! [`join_sandbox`]. A restricted process can neither mount nor unmount. The filter of system calls
//! is one of denials: what is not in the list below may be called, and what is fails with EPERM,
//! so that a library that tries goes another way.

use crate::error::{Error, ErrorKind, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The newest rights that are asked for; a kernel that knows fewer restricts what it can.
const NEWEST: ABI = ABI::V6;

/// The rules of this process, for threads that were started before it restricted itself.
static RULES: OnceLock<RulesetCreated> = OnceLock::new();

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What is left to a process.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Files it may read, and directories with all below them.
    pub readable: Vec<PathBuf>,
    /// Files and devices it may also write to, and directories it may change.
    pub writable: Vec<PathBuf>,
    /// Whether it may talk to other processes and hosts, as modules of tokens do.
    pub sockets: bool,
}

/// What the kernel granted of a [`Sandbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// Whether files are out of reach that were not named.
    pub files: bool,
    /// Whether system calls are.
    pub calls: bool,
}

impl Sandbox {
    /// Restricts this thread, those it will start and, as to system calls, all others. What the
    /// kernel does not know is left out and logged; a path that is not there cannot be used later.
    ///
    /// # Errors
    /// `io` when the kernel refuses what it knows: then the process is as it was, or further
    /// restricted than that.
    pub fn enter(&self) -> Result<Confinement> {
        rustix::thread::set_no_new_privs(true)
            .map_err(|cause| Error::io("giving up new privileges", cause.into()))?;
        let rules = self.rules().map_err(refused)?;
        let status = restrict(&rules)?;
        // Set once: a second sandbox could only be tighter, and older threads have the first.
        let _ = RULES.set(rules);
        let files = status.ruleset != RulesetStatus::NotEnforced;
        let calls = match deny(self.sockets) {
            Ok(()) => true,
            Err(error) => {
                log::warn!("event=no-call-filter error=\"{error}\"");
                false
            }
        };
        Ok(Confinement { files, calls })
    }

    fn rules(&self) -> std::result::Result<RulesetCreated, landlock::RulesetError> {
        let mut rules = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
        if !self.sockets {
            rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
            rules = rules.scope(Scope::from_all(NEWEST))?;
        }
        let mut rules = rules.create()?;
        let readable = AccessFs::from_read(NEWEST);
        for path in &self.readable {
            rules = allow(rules, path, readable)?;
        }
        for path in &self.writable {
            rules = allow(rules, path, AccessFs::from_all(NEWEST) & !AccessFs::Execute)?;
        }
        Ok(rules)
    }
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> std::result::Result<RulesetCreated, landlock::RulesetError> {
    let Ok(place) = PathFd::new(path) else {
        log::info!("event=sandbox-path-missing path={}", path.display());
        return Ok(rules);
    };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(place, access))
}

/// Puts this thread under the rules of the process, if it has any and the thread is older.
pub fn join_sandbox() {
    let Some(rules) = RULES.get().filter(|_| !IS_INSIDE.get()) else { return };
    if let Err(error) = restrict(rules) {
        log::warn!("event=thread-outside-the-sandbox error=\"{error}\"");
    }
}

fn restrict(rules: &RulesetCreated) -> Result<RestrictionStatus> {
    let rules = rules.try_clone().map_err(|cause| Error::io("copying rules", cause))?;
    let status = rules.restrict_self().map_err(refused)?;
    IS_INSIDE.set(true);
    Ok(status)
}

fn refused(cause: landlock::RulesetError) -> Error {
    Error::new(ErrorKind::Io, "restricting which files may be opened").caused_by(cause)
}

/// Denies system calls to all threads.
fn deny(sockets: bool) -> Result<()> {
    let failed = || Error::new(ErrorKind::Unsupported, "filtering system calls");
    let more: &[i64] = if sockets { &[] } else { SOCKET_CALLS };
    let rules = DENIED_CALLS.iter().chain(more).map(|call| (*call, Vec::new())).collect();
    let denial = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error().unsigned_abs());
    let machine = std::env::consts::ARCH.try_into();
    let machine = machine.map_err(|cause| failed().caused_by(cause))?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denial, machine)
        .map_err(|cause| failed().caused_by(cause))?;
    let program: BpfProgram = filter.try_into().map_err(|cause| failed().caused_by(cause))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|cause| failed().caused_by(cause))
}

const SOCKET_CALLS: &[i64] = &[libc::SYS_socket, libc::SYS_connect, libc::SYS_bind];

/// Calls by which a process becomes another one, looks into one, changes what the system is, or
/// reaches parts of the kernel that this program never does.
const DENIED_CALLS: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mknodat,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_capset,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
];
