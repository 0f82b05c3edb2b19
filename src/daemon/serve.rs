//! From mount to unmount.

use super::assembly::{Unlock, assemble};
use super::deadlines::Deadlines;
use super::shutdown;
use super::state_dir;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fs::Namespace;
use crate::fuse::{FuseKernelCache, MountOptions, mount, prepare_mountpoint};
use crate::sys;
use std::path::PathBuf;
use std::sync::Arc;

/// A mount that answers.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The daemon's process id.
    pub pid: u32,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
}

/// Serves a mount until it is unmounted, stopped, or signalled to end. `announce` is called once,
/// when the mount answers. Must be called before the process has other threads.
///
/// # Errors
/// Whatever keeps the mount from being made; nothing is left behind then.
pub fn serve(config: Config, unlock: &Unlock, announce: &mut dyn FnMut(Ready)) -> Result<()> {
    sys::forbid_dumps()?;
    sys::block_termination_signals()?;
    if let sys::IoFlusher::Refused(error) = sys::ask_for_io_flusher() {
        log::info!("memory pressure: PR_SET_IO_FLUSHER was refused: {error}");
    }
    prepare_mountpoint(&config.mountpoint)?;
    state_dir::check_privacy(&config.state_dir)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    state_dir::create(&config.state_dir)?;

    let kernel = Arc::new(FuseKernelCache::default());
    let service = Arc::new(assemble(&config, unlock, kernel.clone())?);
    service.load()?;
    let options = MountOptions {
        mountpoint: config.mountpoint.clone(),
        allow_other: config.mount.allow_other,
        threads: config.mount.threads,
    };
    let session = mount(Arc::new(Namespace::new(service.clone())), &kernel, &options)?;
    let threads = |cause| Error::io("starting a thread", cause);
    let _deadlines = Deadlines::watch(service.clone()).map_err(threads)?;
    shutdown::on_request(service.clone(), &config).map_err(threads)?;
    log::info!("mounted on {} version={}", config.mountpoint.display(), env!("CARGO_PKG_VERSION"));
    announce(Ready { pid: std::process::id(), mountpoint: config.mountpoint.clone() });

    let ended = session.wait();
    // Unmounted by whomever: no file is open any more.
    service.close_all();
    log::info!("unmounted from {}", config.mountpoint.display());
    ended
}
