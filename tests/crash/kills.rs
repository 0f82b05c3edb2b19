//! The daemon is killed under load, again and again, on the same disks.

use crate::load::Load;
use crate::support::files::Numbers;
use crate::support::{Mount, Needs, trial};
use crate::trouble::Amount;
use libtest_mimic::Trial;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "s1_nothing_acknowledged_is_lost_by_kills_under_load",
        Needs::Fuse,
        s1_nothing_acknowledged_is_lost_by_kills_under_load,
    )]
}

/// S1: what was written before an fsync, fdatasync or O_DSYNC write that returned 0 survives
/// SIGKILL of the daemon; and nothing else is changed, moved or torn by it.
fn s1_nothing_acknowledged_is_lost_by_kills_under_load() {
    let (rounds, lasts) = Amount::of((100, 160), (2000, 440));
    let mount = Mount::new();
    let mut load = Load::on(&mount);
    let mut numbers = Numbers::new(rounds);
    for round in 0..rounds {
        let moment = Duration::from_millis(40 + numbers.next() % lasts);
        let before = load.acknowledged();
        load.run(&mount, || {
            std::thread::sleep(moment);
            mount.kill();
        });
        mount.start();
        load.must_be_whole(&mount, &format!("round {round}"));
        assert!(round > 3 || load.acknowledged() > before, "nothing was acknowledged");
    }
    mount.stop();
    mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()]).ok();
    eprintln!("{rounds} kills, {} acknowledged writes, 0 lost", load.acknowledged());
}
