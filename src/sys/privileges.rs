//! Going over from root to another user: for a while, or for good.
//!
//! [`KeptPrivileges::step_down`] makes the process the other user to everybody who asks, files and
//! the other processes among them. What only root may do is then done by one thread for the length of
//! one call ([`KeptPrivileges::lend`]). [`KeptPrivileges::give_up`] ends that too.
//!
//! Users are set by the C library, which sets them for all threads; capabilities are of a thread.
#![allow(unsafe_code)]

use super::account::Account;
use super::process::forbid_dumps;
use crate::error::{Error, ErrorKind, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

const ROOT: u32 = 0;
/// To setresuid(2): leave it as it is.
const AS_IT_IS: u32 = u32::MAX;

/// What a process that was root may take back.
#[derive(Debug)]
pub struct KeptPrivileges {
    account: Account,
    // Root's own.
    groups: Vec<u32>,
}

impl KeptPrivileges {
    /// Makes this process, which is root's, `account`'s. Locked memory is not limited from then on,
    /// as it is not for root, where root may set limits.
    ///
    /// # Errors
    /// `denied` when root may not, as in a container; the process is not to be used further then.
    pub fn step_down(account: &Account) -> Result<KeptPrivileges> {
        let failed = |cause: std::io::Error| {
            Error::new(ErrorKind::Denied, format!("becoming the user {:?}", account.name))
                .caused_by(cause)
                .remedy("let root change its user: CAP_SETUID and CAP_SETGID")
        };
        let groups = rustix::process::getgroups().map_err(|cause| failed(cause.into()))?;
        let groups = groups.into_iter().map(rustix::process::Gid::as_raw).collect();
        raise_memory_limit();
        set_groups(&account.groups).map_err(failed)?;
        set_gids(account.gid).map_err(failed)?;
        // The saved one stays root's, and with it the capabilities that are permitted.
        set_uids(account.uid, account.uid, ROOT).map_err(failed)?;
        // The kernel takes whether there are dumps from a setting of its own now.
        forbid_dumps()?;
        Ok(KeptPrivileges { account: account.clone(), groups })
    }

    /// Does what takes root's capabilities, in this thread and those it starts meanwhile. Files made
    /// belong to the user all the same.
    ///
    /// # Errors
    /// `denied` when the kernel refuses.
    pub fn lend<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let failed = |cause: rustix::io::Errno| {
            Error::new(ErrorKind::Denied, "using a privilege of root")
                .caused_by(std::io::Error::from(cause))
        };
        let own = capabilities(None).map_err(failed)?;
        let lent = CapabilitySets { effective: own.permitted, ..own };
        set_capabilities(None, lent).map_err(failed)?;
        forbid_dumps()?;
        let done = work();
        set_capabilities(None, own).map_err(failed)?;
        Ok(done)
    }

    /// Makes the process root's again.
    ///
    /// # Errors
    /// `denied`; the process is not to be used further then.
    pub fn take_back(self) -> Result<()> {
        let failed = |cause: std::io::Error| {
            Error::new(ErrorKind::Denied, "becoming root again").caused_by(cause)
        };
        set_uids(ROOT, ROOT, ROOT).map_err(failed)?;
        set_gids(ROOT).map_err(failed)?;
        set_groups(&self.groups).map_err(failed)?;
        forbid_dumps()
    }

    /// Gives everything of root's up, in all threads, and makes sure that nothing brings it back:
    /// no program that is started, either.
    ///
    /// # Errors
    /// `denied` when something is left; the process must end then.
    pub fn give_up(self) -> Result<()> {
        let Account { name, uid, gid, .. } = self.account;
        let failed = |why: &str| {
            Error::new(ErrorKind::Denied, format!("giving up root to be {name:?} alone: {why}"))
        };
        let refused = |cause: std::io::Error| failed("the kernel refuses").caused_by(cause);
        set_uids(uid, uid, uid).map_err(refused)?;
        rustix::thread::set_no_new_privs(true).map_err(|cause| refused(cause.into()))?;
        forbid_dumps()?;
        if set_uids(AS_IT_IS, ROOT, AS_IT_IS).is_ok() {
            return Err(failed("it can be taken back"));
        }
        let none = CapabilitySet::empty();
        let left = capabilities(None).map_err(|cause| refused(cause.into()))?;
        if left != (CapabilitySets { effective: none, permitted: none, inheritable: none }) {
            return Err(failed("capabilities are left"));
        }
        match is_every_thread_of(uid, gid) {
            Ok(true) => Ok(()),
            Ok(false) => Err(failed("a thread is still root's")),
            Err(cause) => Err(refused(cause)),
        }
    }
}

/// Whether user and group are those four times over in each thread (proc_pid_status(5)), and no
/// capability is in effect.
fn is_every_thread_of(uid: u32, gid: u32) -> std::io::Result<bool> {
    let all = |id: u32| format!("{id}\t{id}\t{id}\t{id}");
    let (uids, gids) = (all(uid), all(gid));
    for thread in std::fs::read_dir("/proc/self/task")? {
        let status = match std::fs::read_to_string(thread?.path().join("status")) {
            // It has ended meanwhile.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            read => read?,
        };
        let is = |name: &str, expected: &str| {
            status
                .lines()
                .any(|line| line.strip_prefix(name).is_some_and(|value| value.trim() == expected))
        };
        let nothing = format!("{:016x}", 0);
        if !(is("Uid:", &uids) && is("Gid:", &gids) && is("CapPrm:", &nothing)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Root locks as much memory as it likes; who is not root as much as the limit says, which root may
/// not raise everywhere.
fn raise_memory_limit() {
    let endless = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, endless).is_ok() {
        return;
    }
    // Without CAP_SYS_RESOURCE: as far as it goes.
    let own = getrlimit(Resource::Memlock);
    let highest = Rlimit { current: own.maximum, maximum: own.maximum };
    // Refused to nobody.
    let _ = setrlimit(Resource::Memlock, highest);
    if let Some(bytes) = own.maximum {
        log::warn!("event=memory-limit-not-raised bytes={bytes} missing=CAP_SYS_RESOURCE");
    }
}

fn set_groups(groups: &[u32]) -> std::io::Result<()> {
    // SAFETY: the list is readable for as many groups as its length says.
    done(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })
}

fn set_gids(group: u32) -> std::io::Result<()> {
    // SAFETY: setresgid(2) takes plain integers.
    done(unsafe { libc::setresgid(group, group, group) })
}

fn set_uids(real: u32, effective: u32, saved: u32) -> std::io::Result<()> {
    // SAFETY: setresuid(2) takes plain integers.
    done(unsafe { libc::setresuid(real, effective, saved) })
}

fn done(result: libc::c_int) -> std::io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
