//! What fsx does, on a file that cannot be truncated: random reads and writes of every kind at random
//! places, each read compared with a vector.

use crate::amount::Amount;
use crate::report;
use crate::support::files::{Numbers, assert_same, content, open_rw, read, read_aligned, write};
use crate::support::{DiskRig, Mapping, Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use std::fs::File;

const SIZE: usize = 4 << 20;
/// As much as fsx takes at most by default; half of all are no longer than 256 bytes.
const LONGEST: usize = 64 * 1024;
/// Random bytes of which each write takes some.
const POOL: usize = 1 << 20;
/// All operations, a fourth to each kind of disk: in the short form and in the long one.
const OPERATIONS: (usize, usize) = (200_000, 5_000_000);
const VARIANTS: &[Variant] =
    &[Variant::USUAL, Variant::SMALL_SECTORS, Variant::UNCACHED, Variant::UNENCRYPTED];

pub fn trials() -> Vec<Trial> {
    trials_of("random_operations_of_every_kind_agree", Needs::Fuse, VARIANTS, exercise)
}

struct Exercise {
    // Before the rig, so that a mount that goes has no open files.
    files: Option<Files>,
    rig: DiskRig,
    expected: Vec<u8>,
    pool: Vec<u8>,
    numbers: Numbers,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    mapped: usize,
    reopened: usize,
}

struct Files {
    cached: File,
    direct: File,
    mapping: Option<Mapping>,
}

impl Files {
    fn open(rig: &DiskRig) -> Files {
        let cached = open_rw(rig.path(), OFlags::empty());
        // Where the kernel caches nothing it maps nothing to be written either.
        let mapping = Mapping::of(&cached, SIZE, rustix::mm::MapFlags::SHARED).ok();
        Files { direct: open_rw(rig.path(), OFlags::DIRECT), cached, mapping }
    }
}

fn exercise(variant: Variant) {
    let operations = Amount::of(OPERATIONS.0, OPERATIONS.1) / VARIANTS.len();
    let seed = std::env::var("EVSFS_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let rig = variant.disk(&SIZE.to_string());
    let files = Some(Files::open(&rig));
    let (expected, numbers) = (vec![0; SIZE], Numbers::new(seed));
    let (pool, tally) = (content(seed, POOL), Tally::default());
    let mut exercise = Exercise { files, rig, expected, pool, numbers, tally };
    for operation in 0..operations {
        exercise.step(&format!("EVSFS_TEST_SEED={seed} operation {operation}"));
    }
    exercise.reopen("the end");
    let Tally { mapped, reopened } = exercise.tally;
    report(&format!(
        "fsx: {operations} operations, {mapped} by mmap, {reopened} new attachments: all agree"
    ));
}

impl Exercise {
    fn step(&mut self, what: &str) {
        // As many of each magnitude.
        let magnitude = 2 << self.numbers.below(LONGEST.ilog2() as usize);
        let len = 1 + self.numbers.below(magnitude);
        let at = self.numbers.below(SIZE - len);
        let (sector_at, sector_len) = (at / 4096 * 4096, len.div_ceil(4096) * 4096);
        let sector_len = sector_len.min(SIZE - sector_at);
        match self.numbers.below(1000) {
            0..200 => self.expect(what, at, &read(&self.files().cached, at as u64, len)),
            200..350 => {
                let found = read_aligned(&self.files().direct, sector_at as u64, sector_len);
                self.expect(what, sector_at, &found);
            }
            350..550 => {
                let bytes = self.fresh(at, len);
                write(&self.files().cached, at as u64, &self.pool[bytes]);
            }
            550..700 => {
                let bytes = self.fresh(sector_at, sector_len);
                write(&self.files().direct, sector_at as u64, &self.pool[bytes]);
            }
            700..850 => self.through_the_mapping(what, at, len.min(4096 * 4)),
            850..985 => {
                let how = match self.numbers.below(2) {
                    0 => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                    _ => FallocateFlags::ZERO_RANGE,
                };
                fallocate(&self.files().cached, how, at as u64, len as u64).unwrap();
                self.expected[at..at + len].fill(0);
            }
            985..990 => self.files().cached.sync_all().unwrap(),
            990..995 => self.files().direct.sync_data().unwrap(),
            // A detach and a new start of everything, far less often than the others.
            _ if self.numbers.below(50) == 0 => self.reopen(what),
            _ => {
                let how = FallocateFlags::empty();
                fallocate(&self.files().cached, how, at as u64, len as u64).unwrap();
            }
        }
    }

    fn files(&self) -> &Files {
        self.files.as_ref().unwrap()
    }

    /// The part of the pool that is going to be written there.
    fn fresh(&mut self, at: usize, len: usize) -> std::ops::Range<usize> {
        let from = self.numbers.below(POOL - len);
        self.expected[at..at + len].copy_from_slice(&self.pool[from..from + len]);
        from..from + len
    }

    /// Reads, then writes; what programs store is left to the kernel most of the time.
    fn through_the_mapping(&mut self, what: &str, at: usize, len: usize) {
        let Some(mapping) = &mut self.files.as_mut().unwrap().mapping else { return };
        let found = mapping.read(at, len);
        let from = self.numbers.below(POOL - len);
        mapping.write(at, &self.pool[from..from + len]);
        if self.numbers.below(50) == 0 {
            mapping.sync();
        }
        self.tally.mapped += 1;
        self.expect(what, at, &found);
        self.expected[at..at + len].copy_from_slice(&self.pool[from..from + len]);
    }

    fn expect(&self, what: &str, at: usize, found: &[u8]) {
        let what = format!("{what}, {} bytes at {at}", found.len());
        assert_same(&what, found, &self.expected[at..at + found.len()]);
    }

    /// What is then read has come from the payload.
    fn reopen(&mut self, what: &str) {
        self.files = None;
        self.tally.reopened += 1;
        crate::detach::eventually_detached(&self.rig.mount, DiskRig::NAME);
        self.rig.mount.evsfs(&["disk", "attach", DiskRig::NAME]).ok();
        let files = Files::open(&self.rig);
        self.expect(what, 0, &read(&files.cached, 0, SIZE));
        self.files = Some(files);
    }
}
