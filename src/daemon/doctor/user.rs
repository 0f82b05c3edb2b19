//! Whom the daemon will be. Looked at by that user.

use super::checkup::Area;
use crate::config::Config;
use rustix::fs::{Mode, OFlags};

const DEVICE: &str = "/dev/fuse";

pub(super) fn look(area: &mut Area<'_>, config: &Config) {
    let Some(name) = &config.mount.user else {
        let message = match rustix::process::geteuid().is_root() {
            true => "the daemon stays root".to_owned(),
            false => format!("the daemon is uid {}", rustix::process::geteuid()),
        };
        return area.ok("user", message);
    };
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    area.ok("user", format!("the daemon will be {name} (uid {uid}, gid {gid})"));
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    if rustix::fs::open(DEVICE, flags, Mode::empty()).is_err() {
        area.warn(
            "channels",
            format!(
                "{name} may not open {DEVICE}: all threads will share one channel to the kernel"
            ),
            format!("chmod 0666 {DEVICE}, as udev has it"),
        );
    }
}
