//! From mount to unmount.

use super::assembly::assemble;
use super::deadlines::Deadlines;
use super::migrate::{refuse_unfinished_move, remove_what_a_move_left};
use super::sandbox;
use super::service_manager::ServiceManager;
use super::service_user::ServiceUser;
use super::shutdown;
use super::state_dir;
use super::unmounter::{Rights, Unmounter};
use crate::config::Config;
use crate::crypto::SecretText;
use crate::error::{Error, Result};
use crate::fs::Namespace;
use crate::fuse::{
    Channels, FuseKernelCache, Lazily, MountOptions, Visitors, mount, prepare_mountpoint,
};
use crate::service::Service;
use crate::sys;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// A mount that answers.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The daemon's process id.
    pub pid: u32,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
}

/// Serves a mount until it is unmounted, stopped, or signalled to end. `announce` is called once,
/// when the mount answers; `secret` is what [`super::needed_secret`] says, and `user`
/// who the configuration says. Must be called before the process has other threads.
///
/// # Errors
/// `wrong-secret`; whatever else keeps the mount from being made; nothing is left behind then.
pub fn serve(
    config: Config,
    user: ServiceUser,
    secret: Option<SecretText>,
    announce: &mut dyn FnMut(Ready),
) -> Result<()> {
    sys::forbid_dumps()?;
    sys::block_termination_signals()?;
    if let sys::IoFlusher::Refused(error) = user.lend(|| Ok(sys::ask_for_io_flusher()))? {
        log::info!("event=io-flusher-refused error=\"{error}\"");
    }
    user.lend(|| prepare_mountpoint(&config.mountpoint))?;
    state_dir::check_privacy(&config)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    refuse_unfinished_move(&config.state_dir)?;
    remove_what_a_move_left(&config.state_dir)?;
    state_dir::create(&config.state_dir)?;

    let kernel = Arc::new(FuseKernelCache::default());
    let service = assemble(&config, secret.as_ref(), kernel.clone())?;
    // Who needs it for longer has a copy.
    drop(secret);
    service.load()?;
    let manager = ServiceManager::find();
    let unmounter = start_unmounter(&config, &user)?.map(Arc::new);
    let options = MountOptions {
        mountpoint: config.mountpoint.clone(),
        source: std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone()),
        channels: Channels::that_can_be_opened(),
        visitors: visitors(&config, &user),
        threads: config.mount.threads,
    };
    let namespace = Arc::new(Namespace::new(service.clone()));
    let new = user.lend(|| mount(namespace, &options))?;
    // From here on nothing is left behind only if the unmounter takes the mount away.
    let served = user
        .give_up()
        .and_then(|()| restrict(&config, &service, unmounter.is_some()))
        .and_then(|()| service.load_jobs())
        .and_then(|()| new.serve(&kernel));
    let session = served.inspect_err(|_| {
        if let Some(unmounter) = &unmounter
            && let Err(error) = unmounter.unmount(Lazily::Yes)
        {
            log::error!("event=mount-stays-behind error=\"{error}\"");
        }
    })?;
    let threads = |cause| Error::io("starting a thread", cause);
    let _deadlines = Deadlines::watch(service.clone()).map_err(threads)?;
    // The first of two: the kernel ends the session, or a stop takes the mount from under open
    // files, whose holders would keep the session for as long as they please.
    let (end, ended) = channel();
    shutdown::on_request(service.clone(), &config, unmounter, manager.clone(), end.clone())
        .map_err(threads)?;
    std::thread::Builder::new()
        .name("evsfs-session".to_owned())
        .spawn(move || end.send(session.wait()))
        .map_err(threads)?;
    log::info!(
        "event=mounted mountpoint={} version={}",
        config.mountpoint.display(),
        env!("CARGO_PKG_VERSION")
    );
    manager.ready(&service, config.mountpoint.clone())?;
    announce(Ready { pid: std::process::id(), mountpoint: config.mountpoint.clone() });

    let ended = ended.recv().expect("the shutdown thread keeps a sender as long as it waits");
    manager.stopping();
    service.stop_jobs();
    service.events().close();
    // After an unmount by whomever no file is open any more; after a stop all is closed already.
    service.close_all();
    log::info!("event=unmounted mountpoint={}", config.mountpoint.display());
    ended
}

/// Starts who will unmount for a daemon that cannot.
fn start_unmounter(config: &Config, user: &ServiceUser) -> Result<Option<Unmounter>> {
    if user.is_another() {
        let start = || Unmounter::start(&config.mountpoint, Rights::OfRoot);
        return user.lend(start).map(Some);
    }
    if !config.mount.sandbox {
        return Ok(None);
    }
    // Before there is a sandbox, which it is not to be in.
    Ok(Unmounter::start(&config.mountpoint, Rights::Inherited)
        .inspect_err(|error| log::warn!("event=no-sandbox error=\"{error}\""))
        .ok())
}

/// Who gets into the mount. A mount that root makes for another user is the other's; root, who
/// started it, gets in nevertheless.
fn visitors(config: &Config, user: &ServiceUser) -> Visitors {
    match (config.mount.allow_other, user.is_another()) {
        (true, _) => Visitors::All,
        (false, true) => Visitors::OwnerAndRoot,
        (false, false) => Visitors::Owner,
    }
}

/// Gives up what is not needed once the mount is made. Threads that are started later inherit that.
fn restrict(config: &Config, service: &Service, can_be_unmounted: bool) -> Result<()> {
    if config.mount.sandbox && can_be_unmounted {
        let confinement = sandbox::enter(config)?;
        service.tell_sandbox(sandbox::shown(confinement));
        if confinement.files {
            service.confine_payloads();
        }
    }
    Ok(())
}
