//! Users as the machine knows them (getpwnam(3)).
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// The longest entry that is read: a line of /etc/passwd, or what stands for one elsewhere.
const LONGEST_ENTRY: usize = 1 << 20;
/// More groups than Linux lets a process be in (NGROUPS_MAX) there cannot be.
const MOST_GROUPS: usize = 65_536;

/// A user with the groups that logging in would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
}

impl Account {
    /// The user of this name, if there is one.
    ///
    /// # Errors
    /// `io` when the machine cannot say.
    pub fn named(name: &str) -> Result<Option<Account>> {
        // No name has a zero in it.
        let Ok(wanted) = CString::new(name) else { return Ok(None) };
        let Some((uid, gid)) = look_up(&wanted)
            .map_err(|cause| Error::io(format!("looking for the user {name:?}"), cause))?
        else {
            return Ok(None);
        };
        let groups = groups_of(&wanted, gid)
            .ok_or_else(|| Error::io(format!("listing groups of {name:?}"), too_many()))?;
        Ok(Some(Account { name: name.to_owned(), uid, gid, groups }))
    }
}

fn too_many() -> std::io::Error {
    std::io::Error::from(rustix::io::Errno::TOOBIG)
}

/// The number of a user and of its primary group.
fn look_up(name: &CStr) -> std::io::Result<Option<(u32, u32)>> {
    let mut text = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = null_mut();
        // SAFETY: name ends with a zero; entry and found are writable; text is writable for the
        // length that is given.
        let errno = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                text.as_mut_ptr(),
                text.len(),
                &raw mut found,
            )
        };
        match errno {
            0 if found.is_null() => return Ok(None),
            // SAFETY: 0 and an entry that was found say that the entry has been filled in.
            0 => return Ok(Some(unsafe { ids(entry.assume_init_ref()) })),
            libc::EINTR => {}
            libc::ERANGE if text.len() < LONGEST_ENTRY => text.resize(text.len() * 2, 0),
            // What getpwnam(3) lists as ways to say that there is no such user.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            errno => return Err(std::io::Error::from_raw_os_error(errno)),
        }
    }
}

fn ids(entry: &libc::passwd) -> (u32, u32) {
    (entry.pw_uid, entry.pw_gid)
}

fn groups_of(name: &CStr, primary: u32) -> Option<Vec<u32>> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).ok()?;
        // SAFETY: name ends with a zero; groups is writable for as many as count says, and count
        // is writable.
        let result = unsafe {
            libc::getgrouplist(name.as_ptr(), primary, groups.as_mut_ptr(), &raw mut count)
        };
        if result >= 0 {
            groups.truncate(usize::try_from(count).ok()?);
            return Some(groups);
        }
        if groups.len() >= MOST_GROUPS {
            return None;
        }
        groups.resize(groups.len() * 4, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn root_is_found_by_its_name_and_nobody_by_another() {
        let root = Account::named("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(Account::named("no such user").unwrap(), None);
        assert_eq!(Account::named("root\0x").unwrap(), None);
    }
}
