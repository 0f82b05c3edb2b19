//! Negative controls: what the other trials would find, done on purpose, must be found. A detector
//! that never fails proves nothing. `make test-controls` shows what each of them says.

use crate::clerk::Clerk;
use crate::load::Load;
use crate::machine::Machine;
use crate::power::work_until_cut;
use crate::support::{Mount, Needs, run, trial};
use crate::trouble::{Damage, Harm, Injection, Strace, Unflushed, VERBS, World};
use libtest_mimic::Trial;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

const SECTOR: u64 = 4096;
/// Tries of what a commit by the file system itself can hide.
const TRIES: u64 = 8;

pub fn trials() -> Vec<Trial> {
    const STRACE: Needs = Needs::RootAnd(&["strace", "mkfs.ext4"]);
    vec![
        trial(
            "control_an_fsync_that_does_nothing_is_found_by_power_cuts",
            STRACE,
            control_an_fsync_that_does_nothing_is_found_by_power_cuts,
        ),
        trial(
            "control_a_ledger_without_fdatasync_is_found_by_power_cuts",
            STRACE,
            control_a_ledger_without_fdatasync_is_found_by_power_cuts,
        ),
        trial(
            "control_a_rename_without_fsync_of_its_directory_is_found_by_power_cuts",
            Needs::RootAnd(&["mkfs.ext4"]),
            control_a_rename_without_fsync_of_its_directory_is_found_by_power_cuts,
        ),
        trial(
            "control_a_sector_under_the_tweak_of_another_is_found_as_garbage",
            Needs::Fuse,
            control_a_sector_under_the_tweak_of_another_is_found_as_garbage,
        ),
        trial(
            "control_misplaced_torn_and_old_sectors_are_told_apart",
            Needs::Fuse,
            control_misplaced_torn_and_old_sectors_are_told_apart,
        ),
        trial(
            "control_what_belongs_to_nothing_is_found_in_the_state_directory",
            Needs::Fuse,
            control_what_belongs_to_nothing_is_found_in_the_state_directory,
        ),
    ]
}

fn found(control: &str, what: &str) {
    eprintln!("found, as it must be: {control}: {what}");
}

/// The daemon's fsync and fdatasync report success and are not made.
fn control_an_fsync_that_does_nothing_is_found_by_power_cuts() {
    let machine = Machine::new();
    let mut load = Load::on(machine.mount());
    let mut clerk = Clerk::on(machine.mount());
    let pid = machine.mount().pid();
    let log = machine.mount().scratch().join("trace");
    let tracer = Strace::attach(pid, "fsync,fdatasync", Injection::Skip, "1+", &log);
    let moment = Duration::from_millis(400);
    work_until_cut(&machine, &mut load, &mut clerk, moment, Unflushed::AllLost);
    tracer.end();
    machine.boot();
    let damages = load.damages(machine.mount());
    assert!(damages.iter().any(|damage| damage.harm == Harm::Lost), "nothing was found");
    found("no fsync", &Damage::account(&damages));
    let wrong = clerk.compare(machine.mount());
    found("no fsync", &format!("{wrong:?}"));
}

/// The fdatasync of the logs, of which the ledger's is the moment of every change, reports success
/// and is not made.
fn control_a_ledger_without_fdatasync_is_found_by_power_cuts() {
    let machine = Machine::new();
    let mut clerk = Clerk::on(machine.mount());
    let log = machine.mount().scratch().join("trace");
    for _ in 0..TRIES {
        let pid = machine.mount().pid();
        let tracer = Strace::attach(pid, "fdatasync", Injection::Skip, "1+", &log);
        clerk.toggle(machine.mount());
        machine.cut(pid, Unflushed::AllLost);
        tracer.end();
        // The anchor of the audit log may be newer than a ledger that lost its end.
        if let Some(refusal) = machine.try_boot() {
            assert!(refusal.contains("ledger"), "{refusal}");
            return found("no fdatasync of the ledger", &refusal);
        }
        let wrong = clerk.compare(machine.mount());
        if !wrong.is_empty() {
            return found("no fdatasync of the ledger", &format!("{wrong:?}"));
        }
    }
    panic!("nothing was found");
}

/// A file is written, synchronised and renamed over another, and that is all; evsfs itself would be
/// saved by its ledger.
fn control_a_rename_without_fsync_of_its_directory_is_found_by_power_cuts() {
    let machine = Machine::new();
    let (file, new) = (machine.place().join("file"), machine.place().join("file.new"));
    let write = |path: &Path, text: &str| {
        let file = File::create(path).unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        file.sync_all().unwrap();
    };
    write(&file, "old");
    File::open(machine.place()).unwrap().sync_all().unwrap();
    for attempt in 0..TRIES {
        let text = format!("acknowledged {attempt}");
        let pid = machine.mount().pid();
        write(&new, &text);
        std::fs::rename(&new, &file).unwrap();
        machine.cut(pid, Unflushed::AllLost);
        machine.boot();
        let kept = std::fs::read_to_string(&file).unwrap();
        if kept != text {
            return found("no fsync of the directory", &format!("{kept:?}, not {text:?}"));
        }
    }
    panic!("nothing was found");
}

/// A mount with content on its disks; its daemon is stopped for `harm`, which is given the payload
/// of the disk.
fn damages_after(disk: &str, harm: impl FnOnce(&File)) -> Vec<Damage> {
    let mount = Mount::new();
    let mut load = Load::on(&mount);
    load.run(&mount, || {
        std::thread::sleep(Duration::from_millis(200));
        mount.kill();
    });
    mount.start();
    load.fill(&mount);
    load.must_be_whole(&mount, "before the control");
    let payload = mount.payload(disk);
    mount.stop();
    harm(&File::options().read(true).write(true).open(payload).unwrap());
    mount.start();
    load.damages(&mount)
}

fn copy_within(payload: &File, from: u64, to: u64, len: usize) {
    let mut bytes = vec![0; len];
    payload.read_exact_at(&mut bytes, from).unwrap();
    payload.write_all_at(&bytes, to).unwrap();
}

fn harms(damages: &[Damage]) -> Vec<Harm> {
    let mut harms: Vec<Harm> = damages.iter().map(|damage| damage.harm).collect();
    harms.dedup();
    harms
}

/// The tweak of a sector of 4096 bytes is its offset in units of 512. A rule that counted sectors
/// would open sector 8 under the tweak of sector 1.
fn control_a_sector_under_the_tweak_of_another_is_found_as_garbage() {
    let damages = damages_after("sealed", |payload| {
        copy_within(payload, SECTOR, 8 * SECTOR, SECTOR as usize);
    });
    assert_eq!((harms(&damages), damages.len()), (vec![Harm::Garbage], 8));
    found("wrong tweak", &Damage::account(&damages));
}

fn control_misplaced_torn_and_old_sectors_are_told_apart() {
    let moved = damages_after("plain", |payload| {
        copy_within(payload, SECTOR, 8 * SECTOR, SECTOR as usize);
    });
    assert_eq!((harms(&moved), moved.len()), (vec![Harm::Misplaced], 8));
    found("misplaced", &Damage::account(&moved));

    let torn = damages_after("plain", |payload| {
        payload.write_all_at(&[0; 64], 100 * SECTOR + 448).unwrap();
    });
    assert_eq!((harms(&torn), torn.len()), (vec![Harm::Torn], 1));
    found("torn", &Damage::account(&torn));

    let old = damages_after("plain", |payload| {
        let stamp = crate::trouble::stamp(3, 800, 1);
        payload.write_all_at(&stamp, 100 * SECTOR).unwrap();
    });
    assert_eq!((harms(&old), old.len()), (vec![Harm::Lost], 1));
    found("old", &Damage::account(&old));
}

fn control_what_belongs_to_nothing_is_found_in_the_state_directory() {
    let verb = &VERBS[0];
    let world = World::before(verb);
    for (file, is_found_by) in [
        ("disks/00000000-0000-4000-8000-000000000000/payload", "evsfs check"),
        ("hsm/00000000-0000-4000-8000-000000000000.1.key", "the list of files"),
    ] {
        world.restore();
        let observed = world.start_and_observe();
        let place = world.mount().state_dir().join(file);
        run("mkdir", &["-p", place.parent().unwrap().to_str().unwrap()]).ok();
        std::fs::write(&place, b"left over").unwrap();
        run("chmod", &["600", place.to_str().unwrap()]).ok();
        let check = std::panic::AssertUnwindSafe(|| {
            world.check_state_dir("control", verb, &observed);
        });
        let said = std::panic::catch_unwind(check).expect_err("nothing was found");
        let said = said.downcast_ref::<String>().cloned().unwrap_or_default();
        found(is_found_by, &said);
    }
}
