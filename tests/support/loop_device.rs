//! Loop devices that are let go.

use super::run::run;
use std::path::Path;

/// A loop device over a file, detached when dropped.
pub struct LoopDevice {
    device: String,
}

impl LoopDevice {
    /// Sets one up; `options` are losetup's, such as `--sector-size 4096`.
    #[track_caller]
    pub fn over(file: &Path, options: &[&str]) -> LoopDevice {
        let mut arguments = vec!["--find", "--show"];
        arguments.extend_from_slice(options);
        arguments.push(file.to_str().unwrap());
        LoopDevice { device: run("losetup", &arguments).ok().trim().to_owned() }
    }

    /// Its path, such as `/dev/loop3`.
    pub fn path(&self) -> &str {
        &self.device
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Whatever is mounted from it goes first, lazily: a failed test must not leave it behind.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for line in mounts.lines().filter(|line| line.starts_with(&format!("{} ", self.device))) {
            if let Some(target) = line.split(' ').nth(1) {
                run("umount", &["-l", target]);
            }
        }
        run("losetup", &["-d", &self.device]);
    }
}
