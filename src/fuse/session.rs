//! Event loops over `/dev/fuse`.

use super::adapter::Adapter;
use super::kernel_cache::FuseKernelCache;
use super::mountpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::Namespace;
use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DEVICE: &str = "/dev/fuse";

/// How to mount.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// The directory.
    pub mountpoint: PathBuf,
    /// What the kernel lists as the source: a line of /etc/fstab is known to be mounted by it.
    pub source: PathBuf,
    /// Who gets in; their roles decide what they may do.
    pub visitors: Visitors,
    /// Whether event loops have channels of their own.
    pub channels: Channels,
    /// Event loops; 0 means one for each core, at least 2.
    pub threads: usize,
}

/// How the event loops reach the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Each by a channel of its own, for which it opens the device.
    OneEach,
    /// All by the one that the mount was made with.
    Shared,
}

impl Channels {
    /// What is open to the user that this process is now.
    pub fn that_can_be_opened() -> Channels {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
        match rustix::fs::open(DEVICE, flags, rustix::fs::Mode::empty()) {
            Ok(_) => Channels::OneEach,
            Err(error) => {
                let error = std::io::Error::from(error);
                log::info!("event=one-channel-for-all-threads error=\"{DEVICE}: {error}\"");
                Channels::Shared
            }
        }
    }
}

/// Who gets into a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitors {
    /// The user whose process made it, and nobody else.
    Owner,
    /// Also root. The kernel lets in all then, and those whom it should not have are turned away at
    /// the door.
    OwnerAndRoot,
    /// Everybody.
    All,
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
    config.acl = match options.visitors {
        Visitors::Owner => SessionACL::Owner,
        Visitors::OwnerAndRoot => SessionACL::RootAndOwner,
        Visitors::All => SessionACL::All,
    };
    config.n_threads = Some(match options.threads {
        0 => std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
        threads => threads,
    });
    config.clone_fd = options.channels == Channels::OneEach;
    let refused = |cause| refuse(&options.mountpoint, cause);
    let real = options.mountpoint.canonicalize().map_err(refused)?;
    let session = fuser::Session::new(Adapter::new(namespace), &real, &config).map_err(refused)?;
    mountpoint::raise_readahead(&real);
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
