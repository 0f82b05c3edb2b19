//! RULES K10 through a mount: clocks that jump in both directions, while the daemon runs and between
//! two starts.

use crate::report;
use crate::support::{ForwardClock, Mount, Needs, Setup, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("k10_a_jump_forward_destroys_nothing", Needs::Fuse, k10_a_jump_forward),
        trial(
            "k10_a_doubt_outlasts_a_restart_and_is_ended_by_confirming",
            Needs::Fuse,
            k10_a_doubt,
        ),
        trial("k10_a_jump_back_revives_no_destroyed_key", Needs::Fuse, k10_a_jump_back),
        trial("k10_a_jump_back_keeps_a_pending_key_unusable", Needs::Fuse, k10_a_pending_key),
    ]
}

/// A daemon whose clock is moved, with the disks `idle` and `db`, attached, under the key `finance`,
/// which is to be destroyed in 7 days.
struct Scheduled {
    mount: Mount,
    clock: ForwardClock,
}

impl Scheduled {
    /// `None`, aloud, where the clock cannot be moved.
    fn new() -> Option<Scheduled> {
        let mount = Setup::default().prepare();
        let clock = ForwardClock::compile(mount.scratch())?;
        clock.start(&mount);
        mount.evsfs(&["agency", "create"]).ok();
        mount.evsfs(&["key", "create", "finance"]).ok();
        mount.evsfs(&["disk", "create", "idle", "--size", "1M", "--key", "finance"]).ok();
        let disk = mount.attached_disk("db", "1M", &["--key", "finance"]);
        std::fs::write(disk, [7; 4096]).unwrap();
        mount.evsfs(&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]).ok();
        Some(Scheduled { mount, clock })
    }

    /// Moves the clock of the running daemon, and sees that it has moved.
    fn jump(&self, jump: impl Fn(&ForwardClock)) {
        let today = || {
            let alias =
                format!("probe-{}", self.mount.json(&["key", "list"]).as_array().unwrap().len());
            let created = self.mount.json(&["key", "create", &alias])["created"].clone();
            created.as_str().unwrap()[..10].to_owned()
        };
        let before = today();
        jump(&self.clock);
        assert_ne!(today(), before, "the daemon's clock has not moved");
    }

    fn restart(&self) {
        self.mount.stop();
        self.clock.start(&self.mount);
    }

    /// The KMS code that attaching a disk is refused with.
    fn refusal(&self, disk: &str) -> String {
        let text = self.mount.evsfs(&["disk", "attach", disk]).refused(5);
        let codes = text.lines().nth(1).unwrap().rsplit("EVS.2040, ").next().unwrap();
        codes.trim_end_matches(')').to_owned()
    }

    /// The key is still there and can be kept; its disk reads what was written.
    #[track_caller]
    fn can_be_kept(&self) {
        self.mount.evsfs(&["key", "cancel-deletion", "finance"]).ok();
        self.mount.evsfs(&["key", "enable", "finance"]).ok();
        self.mount.evsfs(&["disk", "attach", "idle"]).ok();
        let shown = self.mount.json(&["disk", "show", "db"]);
        if shown["status"] == "available" {
            self.mount.evsfs(&["disk", "attach", "db"]).ok();
        }
        let content = std::fs::read(self.mount.mountpoint().join("db")).unwrap();
        assert_eq!(content[..4096], [7; 4096]);
    }

    #[track_caller]
    fn is_destroyed(&self) {
        for disk in ["idle", "db"] {
            if self.mount.json(&["disk", "show", disk])["status"] == "available" {
                assert_eq!(self.refusal(disk), "KMS.0207", "{disk}");
            }
        }
        let keys = self.mount.json(&["key", "list"]);
        assert!(keys.as_array().unwrap().iter().all(|key| key["alias"] != "finance"), "{keys}");
        assert_ne!(self.mount.evsfs(&["key", "cancel-deletion", "finance"]).code, 0);
    }
}

/// A step of 8 days, and one of 3 years, while running: the key is unusable, the attached disk goes on,
/// and when the clock is right again the key can be kept.
fn k10_a_jump_forward() {
    for days in [8, 1100] {
        let Some(rig) = Scheduled::new() else { return };
        rig.jump(|clock| clock.set_ahead(days));
        assert_eq!(rig.refusal("idle"), "KMS.0210");
        assert_eq!(rig.mount.read_control("keys/finance/state"), "pending-deletion");
        let content = std::fs::read(rig.mount.mountpoint().join("db")).unwrap();
        assert_eq!(content[..4096], [7; 4096]);
        rig.clock.set_back();
        assert_eq!(rig.refusal("idle"), "KMS.0210");
        rig.can_be_kept();
    }
    report("clock: 2 jumps forward while running, nothing destroyed");
}

/// The clock is still ahead at the next start, and at the one after: nothing is destroyed until an
/// administrator says that it is right. Then the key is gone, also when the clock is set back.
fn k10_a_doubt() {
    let Some(rig) = Scheduled::new() else { return };
    rig.jump(|clock| clock.set_ahead(8));
    assert_eq!(rig.refusal("idle"), "KMS.0210");
    for _ in 0..2 {
        rig.restart();
        assert_eq!(rig.mount.read_control("keys/finance/state"), "pending-deletion");
        assert_eq!(rig.refusal("idle"), "KMS.0210");
    }
    rig.mount.evsfs(&["key", "confirm-deletion", "finance", "--yes"]).ok();
    rig.is_destroyed();
    rig.clock.set_back();
    rig.restart();
    rig.is_destroyed();
    report("clock: a doubt over 2 restarts, destroyed once confirmed and not before");
}

/// The date passes between two starts, so the key is destroyed. A clock that goes back, while running
/// and between starts, to before the deletion was asked for, brings nothing again.
fn k10_a_jump_back() {
    let Some(rig) = Scheduled::new() else { return };
    rig.mount.stop();
    rig.clock.set_ahead(8);
    rig.clock.start(&rig.mount);
    rig.is_destroyed();
    rig.jump(|clock| clock.set_behind(400));
    rig.is_destroyed();
    rig.restart();
    rig.is_destroyed();
    report("clock: 400 days back, while running and over a restart, revived nothing");
}

/// A deletion that waits is not undone by an earlier clock, and its key is not usable.
fn k10_a_pending_key() {
    let Some(rig) = Scheduled::new() else { return };
    rig.jump(|clock| clock.set_behind(400));
    assert_eq!(rig.refusal("idle"), "KMS.0210");
    rig.restart();
    assert_eq!(rig.refusal("idle"), "KMS.0210");
    assert_eq!(rig.mount.read_control("keys/finance/state"), "pending-deletion");
    rig.clock.set_back();
    rig.can_be_kept();
}
