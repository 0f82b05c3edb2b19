//! File systems on loop devices that are let go.

use super::loop_device::LoopDevice;
use super::run::run;
use std::path::{Path, PathBuf};

/// A mounted file system, unmounted when dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts the device on a directory, which is made if it is missing; `options` are mount's `-o`.
    #[track_caller]
    pub fn at(device: &LoopDevice, options: &str, target: &Path) -> Mounted {
        std::fs::create_dir_all(target).unwrap();
        run("mount", &["-o", options, device.path(), target.to_str().unwrap()]).ok();
        Mounted(target.to_owned())
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The same, for arguments.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Unmounts, and what was written is on the device.
    #[track_caller]
    pub fn unmount(self) {
        run("umount", &[self.path()]).ok();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run("mountpoint", &["-q", self.path()]).code == 0 {
            run("umount", &["-l", self.path()]);
        }
    }
}
