//! A state directory on a medium that is full.

use crate::support::{Needs, Setup, run, trial};
use crate::trouble::{Amount, Reference, VERBS, World, difference, has_half_deleted};
use libtest_mimic::Trial;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "s2_on_a_full_medium_every_verb_is_refused_or_done_and_can_be_repeated",
        Needs::RootAnd(&["strace"]),
        s2_on_a_full_medium_every_verb_is_refused_or_done_and_can_be_repeated,
    )]
}

/// A small tmpfs, unmounted when dropped.
struct SmallMedium(TempDir);

impl SmallMedium {
    #[track_caller]
    fn new() -> SmallMedium {
        let directory = tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap();
        let place = directory.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=24M,mode=0700", "tmpfs", place]).ok();
        SmallMedium(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leaves no room for a single byte.
    #[track_caller]
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for piece in [1 << 16, 4096] {
            while filler.write_all(&vec![1; piece]).is_ok() {}
        }
    }

    #[track_caller]
    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallMedium {
    fn drop(&mut self) {
        run("umount", &["-l", self.path().to_str().unwrap()]);
    }
}

/// S2: ENOSPC of the state directory reaches the caller with exit code 9 and changes nothing; data
/// is read and overwritten all the while; with room again everything can be done.
fn s2_on_a_full_medium_every_verb_is_refused_or_done_and_can_be_repeated() {
    let mut refusals = 0;
    for verb in VERBS.iter().step_by(Amount::of(4, 1)) {
        let medium = SmallMedium::new();
        let state_dir = Some(medium.path().join("state"));
        let world = World::in_mount_before(Setup { state_dir, ..Setup::default() }.mount(), verb);
        let reference = Reference::of(&world, verb, "fsync");
        world.restore();
        world.mount().start();
        medium.fill();
        let said = world.run(verb);
        let now = world.observe().shape;
        match said.code {
            0 => assert_eq!(now, reference.new.live, "{}", verb.name),
            9 => {
                assert!(
                    reference.has_refused(&now) || has_half_deleted(&now),
                    "{}: refused, and yet {}",
                    verb.name,
                    difference(&now, &reference.old.live)
                );
                refusals += 1;
            }
            _ => panic!("{}: {said:?}", verb.name),
        }
        world.overwrite_bystander(verb.name);
        medium.make_room();
        if said.code != 0 {
            world.run(verb).ok();
        }
        world.mount().kill();
        let observed = world.start_and_observe();
        assert!(
            observed.shape == reference.new.restarted || verb.ends_whatever_happens,
            "{}: {}",
            verb.name,
            difference(&observed.shape, &reference.new.restarted)
        );
        world.check_content(verb.name, &observed);
        world.check_state_dir(verb.name, verb, &observed);
    }
    eprintln!("{refusals} verbs were refused for want of room");
    assert!(refusals > 2);
}
