//! Event loops over `/dev/fuse`.

use super::adapter::Adapter;
use super::kernel_cache::FuseKernelCache;
use super::mountpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Namespace;
use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to mount.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// The directory.
    pub mountpoint: PathBuf,
    /// What the kernel lists as the source: a line of /etc/fstab is known to be mounted by it.
    pub source: PathBuf,
    /// Let other users than the mount's owner in; their roles decide what they may do.
    pub allow_other: bool,
    /// Event loops; 0 means one for each core, at least 2.
    pub threads: usize,
}

/// A mount that nobody serves yet: who looks at it waits.
pub struct NewMount {
    session: fuser::Session<Adapter>,
    mountpoint: PathBuf,
}

impl NewMount {
    /// Starts the threads that serve it; the mount answers when this returns.
    ///
    /// # Errors
    /// `io` when a thread cannot be started.
    pub fn serve(self, kernel: &FuseKernelCache) -> Result<MountedSession> {
        let session = self.session.spawn().map_err(|cause| refuse(&self.mountpoint, cause))?;
        kernel.connect(session.notifier());
        mountpoint::raise_readahead(&self.mountpoint);
        Ok(MountedSession { session })
    }
}

/// A mount that answers.
pub struct MountedSession {
    session: BackgroundSession,
}

impl MountedSession {
    /// Sleeps until the file system has been unmounted by whomever.
    ///
    /// # Errors
    /// `io` when an event loop failed.
    pub fn wait(self) -> Result<()> {
        self.session.join().map_err(|cause| Error::io("serving the mount", cause))
    }
}

/// Mounts a namespace.
///
/// # Errors
/// `not-found` for a missing mountpoint, `in-use` when evsfs is mounted there, `denied` and `io`
/// from the kernel.
pub fn mount(namespace: Arc<Namespace>, options: &MountOptions) -> Result<NewMount> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(listed_source(&options.source)),
        // As a plain option it reaches both mount(2) and fusermount3; the type is `fuse.evsfs`.
        MountOption::CUSTOM("subtype=evsfs".to_owned()),
        MountOption::NoAtime,
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(match options.threads {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
        threads => threads,
    });
    config.clone_fd = true;
    let session = fuser::Session::new(Adapter::new(namespace), &options.mountpoint, &config)
        .map_err(|cause| refuse(&options.mountpoint, cause))?;
    Ok(NewMount { session, mountpoint: options.mountpoint.clone() })
}

/// The source, or a word for one that would have to be quoted among options.
fn listed_source(source: &Path) -> String {
    match source.to_str() {
        Some(path) if !path.is_empty() && !path.contains([',', '\\']) => path.to_owned(),
        _ => "evsfs".to_owned(),
    }
}

fn refuse(mountpoint: &Path, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("mounting on {}", mountpoint.display())).caused_by(cause).remedy(
        "check that /dev/fuse can be opened, fusermount3 is installed for ordinary users, and allow_other is permitted in /etc/fuse.conf",
    )
}
