//! What fsx does, on a file that cannot be truncated: random reads and writes of every kind at random
//! places, each read compared with a vector.

use crate::support::files::{Numbers, assert_same, content, open_rw, read, read_aligned, write};
use crate::support::{DiskRig, Mapping, Needs, Variant, trials_of};
use crate::{is_slow, report};
use libtest_mimic::Trial;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use std::fs::File;

const SIZE: usize = 4 << 20;
/// As much as fsx takes at most by default.
const LONGEST: usize = 64 * 1024;
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
    numbers: Numbers,
    mapped: usize,
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

/// A fourth of all operations to each kind of disk.
fn exercise(variant: Variant) {
    let operations = if is_slow() { 1_000_000 } else { 20_000 } / VARIANTS.len();
    let seed = std::env::var("EVSFS_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let rig = variant.disk(&SIZE.to_string());
    let files = Some(Files::open(&rig));
    let (expected, numbers) = (vec![0; SIZE], Numbers::new(seed));
    let mut exercise = Exercise { files, rig, expected, numbers, mapped: 0 };
    for operation in 0..operations {
        exercise.step(&format!("EVSFS_TEST_SEED={seed} operation {operation}"));
    }
    exercise.reopen("the end");
    report(&format!("fsx: {operations} operations, {} by mmap: all agree", exercise.mapped));
}

impl Exercise {
    fn step(&mut self, what: &str) {
        let len = 1 + self.numbers.below(LONGEST);
        let at = self.numbers.below(SIZE - len);
        let (sector_at, sector_len) = (at / 4096 * 4096, len.div_ceil(4096) * 4096);
        let sector_len = sector_len.min(SIZE - sector_at);
        let bytes = content(self.numbers.next(), sector_len.max(len));
        let files = self.files.as_ref().unwrap();
        match self.numbers.below(200) {
            0..35 => self.expect(what, at, &read(&files.cached, at as u64, len)),
            35..55 => {
                let found = read_aligned(&files.direct, sector_at as u64, sector_len);
                self.expect(what, sector_at, &found);
            }
            55..95 => {
                write(&files.cached, at as u64, &bytes[..len]);
                self.expected[at..at + len].copy_from_slice(&bytes[..len]);
            }
            95..125 => {
                write(&files.direct, sector_at as u64, &bytes[..sector_len]);
                self.expected[sector_at..sector_at + sector_len]
                    .copy_from_slice(&bytes[..sector_len]);
            }
            125..145 => self.through_the_mapping(what, at, &bytes[..len.min(4096 * 4)]),
            145..170 => {
                let how = match self.numbers.below(2) {
                    0 => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                    _ => FallocateFlags::ZERO_RANGE,
                };
                fallocate(&files.cached, how, at as u64, len as u64).unwrap();
                self.expected[at..at + len].fill(0);
            }
            170..185 => files.cached.sync_all().unwrap(),
            185..198 => files.direct.sync_data().unwrap(),
            // A detach and a new start of everything, a hundredth as often as the others.
            _ if self.numbers.below(40) == 0 => self.reopen(what),
            _ => fallocate(&files.cached, FallocateFlags::empty(), at as u64, len as u64).unwrap(),
        }
    }

    /// Reads, then writes and synchronises.
    fn through_the_mapping(&mut self, what: &str, at: usize, bytes: &[u8]) {
        let Some(mapping) = &mut self.files.as_mut().unwrap().mapping else { return };
        let found = mapping.read(at, bytes.len());
        mapping.write(at, bytes);
        // Two of three are left to the kernel, as stores of a program are.
        if self.numbers.below(3) == 0 {
            mapping.sync();
        }
        self.mapped += 1;
        self.expect(what, at, &found);
        self.expected[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn expect(&self, what: &str, at: usize, found: &[u8]) {
        let what = format!("{what}, {} bytes at {at}", found.len());
        assert_same(&what, found, &self.expected[at..at + found.len()]);
    }

    /// What is then read has come from the payload.
    fn reopen(&mut self, what: &str) {
        self.files = None;
        crate::detach::eventually_detached(&self.rig.mount, DiskRig::NAME);
        self.rig.mount.evsfs(&["disk", "attach", DiskRig::NAME]).ok();
        let files = Files::open(&self.rig);
        self.expect(what, 0, &read(&files.cached, 0, SIZE));
        self.files = Some(files);
    }
}
