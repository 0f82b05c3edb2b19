//! The user that a configuration has a daemon be which root starts (`mount.user`).
//!
//! From its first moment on the daemon is that user: what lies in the state directory, the root key,
//! a token and payloads must be open to it, now as later. Root's privileges are kept until the mount
//! is made, and used for what takes them alone. Who works on a state directory offline is the user
//! of its configuration for as long as that takes.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use crate::sys::{Account, KeptPrivileges};

/// Who this process is, and who it was.
#[derive(Debug)]
pub struct ServiceUser {
    /// Root's privileges, if root has become another user.
    kept: Option<KeptPrivileges>,
    caller: Uid,
}

impl ServiceUser {
    /// Becomes the user that the configuration names, if it names one.
    ///
    /// # Errors
    /// `invalid` when there is no such user, or it is root; `denied` when this process is neither
    /// root's nor that user's already.
    pub fn become_for(config: &Config) -> Result<ServiceUser> {
        let caller = Uid::new(rustix::process::geteuid().as_raw());
        let kept = match account_of(config)? {
            Some(account) if caller == Uid::ROOT => Some(KeptPrivileges::step_down(&account)?),
            Some(account) if caller.get() != account.uid => {
                let name = &account.name;
                let message = format!("mount.user is {name:?}, and uid {caller} cannot become it");
                return Err(Error::new(ErrorKind::Denied, message)
                    .remedy(format!("run evsfs as root or as {name}")));
            }
            _ => None,
        };
        Ok(ServiceUser { kept, caller })
    }

    /// Does `work` as the user of the configuration, and is who it was before when it returns. `work`
    /// is told who that is.
    ///
    /// # Errors
    /// As for [`ServiceUser::become_for`], and what `work` returns.
    pub(super) fn act_for<T>(config: &Config, work: impl FnOnce(Uid) -> Result<T>) -> Result<T> {
        let user = ServiceUser::become_for(config)?;
        let done = work(user.caller);
        if let Some(kept) = user.kept {
            kept.take_back()?;
        }
        done
    }

    /// Whether root has become another user.
    pub(super) fn is_another(&self) -> bool {
        self.kept.is_some()
    }

    /// Does what takes root, with root's privileges if this process has kept them.
    ///
    /// # Errors
    /// `denied`, and what `work` returns.
    pub(super) fn lend<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.kept {
            Some(kept) => kept.lend(work)?,
            None => work(),
        }
    }

    /// Is nobody but the user from now on.
    ///
    /// # Errors
    /// `denied` when something of root's is left.
    pub(super) fn give_up(self) -> Result<()> {
        let Some(kept) = self.kept else { return Ok(()) };
        kept.give_up()?;
        let uid = rustix::process::geteuid();
        log::info!("event=root-given-up uid={uid} gid={}", rustix::process::getegid());
        Ok(())
    }
}

/// The user that a configuration names.
///
/// # Errors
/// `invalid` when there is no such user, or it is root; `io`.
pub(super) fn account_of(config: &Config) -> Result<Option<Account>> {
    let Some(name) = &config.mount.user else { return Ok(None) };
    let file = config.file.display();
    let Some(account) = Account::named(name)? else {
        let message = format!("{file}: mount.user: there is no user {name:?}");
        return Err(Error::new(ErrorKind::Invalid, message).remedy(format!(
            "useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
        )));
    };
    if account.uid == Uid::ROOT.get() {
        let message = format!("{file}: mount.user: {name:?} is root");
        return Err(Error::new(ErrorKind::Invalid, message)
            .remedy("name another user, or leave the line out to stay root"));
    }
    Ok(Some(account))
}
