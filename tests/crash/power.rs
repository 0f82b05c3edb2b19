//! The power is cut under load.

use crate::clerk::Clerk;
use crate::load::Load;
use crate::machine::Machine;
use crate::support::files::Numbers;
use crate::support::{Needs, trial};
use crate::trouble::{Amount, Unflushed};
use libtest_mimic::Trial;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "s1_nothing_acknowledged_is_lost_by_power_cuts_under_load",
        Needs::RootAnd(&["mkfs.ext4"]),
        s1_nothing_acknowledged_is_lost_by_power_cuts_under_load,
    )]
}

/// S1, of loss of power, for data and for verbs: of the writes that the medium had not been told to
/// flush all are lost, none, or any.
fn s1_nothing_acknowledged_is_lost_by_power_cuts_under_load() {
    let cuts = Amount::of(50, 500);
    let machine = Machine::new();
    let mut load = Load::on(machine.mount());
    let mut clerk = Clerk::on(machine.mount());
    let mut numbers = Numbers::new(cuts);
    let mut dropped = 0;
    for cut in 0..cuts {
        let unflushed = match cut % 4 {
            0 => Unflushed::AllLost,
            1 => Unflushed::AllKept,
            _ => Unflushed::Some(cut),
        };
        let moment = Duration::from_millis(50 + numbers.next() % 300);
        dropped += work_until_cut(&machine, &mut load, &mut clerk, moment, unflushed);
        machine.boot();
        let when = format!("cut {cut}, {unflushed:?}");
        load.must_be_whole(machine.mount(), &when);
        let wrong = clerk.compare(machine.mount());
        assert!(wrong.is_empty(), "{when}: {wrong:?}");
        if cut % 10 == 9 {
            machine.check();
            machine.mount().start();
        }
    }
    eprintln!(
        "{cuts} power cuts with {dropped} writes not flushed, {} acknowledged writes and {} \
         acknowledged verbs, 0 lost",
        load.acknowledged(),
        clerk.acknowledged()
    );
}

/// Load on the disks and verbs beside it, until the power is cut; how many writes were not flushed.
#[track_caller]
pub fn work_until_cut(
    machine: &Machine,
    load: &mut Load,
    clerk: &mut Clerk,
    moment: Duration,
    unflushed: Unflushed,
) -> usize {
    let stop = AtomicBool::new(false);
    let pid = machine.mount().pid();
    let mut dropped = 0;
    load.run(machine.mount(), || {
        std::thread::scope(|scope| {
            let (mount, stop) = (machine.mount(), &stop);
            let clerk = scope.spawn(move || clerk.work(mount, stop));
            std::thread::sleep(moment);
            stop.store(true, Ordering::Relaxed);
            dropped = machine.cut(pid, unflushed);
            clerk.join().unwrap();
        });
    });
    dropped
}
