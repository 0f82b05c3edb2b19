//! A computer whose power can be cut: evsfs, its state directory and its payloads on ext4 on a loop
//! device on a [`Medium`].

use crate::support::{LoopDevice, Mount, Setup, is_running, run, wait_until};
use crate::trouble::{Medium, Unflushed};
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

const MEDIUM_BYTES: usize = 40 << 20;

/// The computer. The fields are dropped from the uppermost to the lowest.
pub struct Machine {
    mount: Mount,
    disk: Mutex<Option<LoopDevice>>,
    medium: Medium,
    directory: TempDir,
}

impl Machine {
    /// Installs it; its daemon runs.
    #[track_caller]
    pub fn new() -> Machine {
        let directory = tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap();
        for name in ["medium", "disk"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let medium = Medium::new(&directory.path().join("medium"), MEDIUM_BYTES);
        let disk = LoopDevice::over(&medium.file(), &[]);
        let options = ["-q", "-E", "nodiscard,lazy_itable_init=0", "-J", "size=4"];
        run("mkfs.ext4", &[&options[..], &[disk.path()]].concat()).ok();
        let place = directory.path().join("disk");
        run("mount", &[disk.path(), place.to_str().unwrap()]).ok();
        let setup = Setup { state_dir: Some(place.join("state")), ..Setup::default() };
        Machine { mount: setup.mount(), disk: Mutex::new(Some(disk)), medium, directory }
    }

    /// Its mount.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// Cuts the power and ends what ran; how many writes were not flushed, of which that becomes
    /// what `unflushed` says. To be called while the daemon with this id runs.
    #[track_caller]
    pub fn cut(&self, pid: u32, unflushed: Unflushed) -> usize {
        self.medium.cut();
        run("kill", &["-9", &pid.to_string()]).ok();
        wait_until("the daemon is gone", || !is_running(pid));
        run("umount", &["-l", self.mount.mountpoint().to_str().unwrap()]);
        run("umount", &["-l", self.place().to_str().unwrap()]).ok();
        drop(self.disk.lock().unwrap().take());
        self.medium.settle(unflushed)
    }

    /// Switches it on again.
    #[track_caller]
    pub fn boot(&self) {
        assert_eq!(self.try_boot(), None);
    }

    /// Switches it on again; why nothing was mounted, if so.
    #[track_caller]
    pub fn try_boot(&self) -> Option<String> {
        let disk = LoopDevice::over(&self.medium.file(), &[]);
        run("mount", &[disk.path(), self.place().to_str().unwrap()]).ok();
        *self.disk.lock().unwrap() = Some(disk);
        let started = self.mount.try_start();
        (started.code != 0).then_some(started.stderr)
    }

    /// Stops the daemon and has the file system and the state directory checked.
    #[track_caller]
    pub fn check(&self) {
        self.mount.stop();
        let config = self.mount.config_path();
        self.mount.evsfs_plain(&["check", "-c", config.to_str().unwrap()]).ok();
    }

    /// Where its file system is mounted.
    pub fn place(&self) -> PathBuf {
        self.directory.path().join("disk")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The daemon first, then the file system under it; the rest drops itself.
        run(
            self.mount.program(),
            &["umount", self.mount.mountpoint().to_str().unwrap(), "--force"],
        );
        run("umount", &["-l", self.place().to_str().unwrap()]);
    }
}
