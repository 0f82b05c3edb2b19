//! Random operations on a disk's file and on a vector.

use crate::support::files::{
    Numbers, assert_same, content, errno, open_rw, read, read_aligned, write,
};
use crate::support::{DiskRig, Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    trials_of(
        "f1_random_operations_agree_with_a_vector",
        Needs::Fuse,
        &[Variant::ALL, &[Variant::SMALL_ON_DEVICE]].concat(),
        f1_random_operations_agree_with_a_vector,
    )
}

/// More than one request of the kernel's (1 MiB), and not a multiple of one.
const SIZE: usize = (1 << 20) + 4096 * 33;
const OPERATIONS: usize = 2000;

/// The disk through its two kinds of descriptors, and what it must hold.
struct Model {
    // Before the rig, so that a mount that goes has no open files.
    files: Option<Files>,
    rig: DiskRig,
    expected: Vec<u8>,
    numbers: Numbers,
}

struct Files {
    cached: File,
    direct: File,
}

impl Files {
    fn open(rig: &DiskRig) -> Files {
        Files {
            cached: open_rw(rig.path(), OFlags::empty()),
            direct: open_rw(rig.path(), OFlags::DIRECT),
        }
    }
}

/// F1, F2, F3, F6 and F8 together: whatever the order of cached and direct reads and writes,
/// discards and zeroing, ends of the disk and new attachments, the file is an array of bytes.
fn f1_random_operations_agree_with_a_vector(variant: Variant) {
    let seed = std::env::var("EVSFS_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let rig = variant.disk(&SIZE.to_string());
    let files = Some(Files::open(&rig));
    let numbers = Numbers::new(seed);
    let mut model = Model { files, rig, expected: vec![0; SIZE], numbers };
    for operation in 0..OPERATIONS {
        model.step(&format!("EVSFS_TEST_SEED={seed} operation {operation}"));
    }
    model.reattach();
    model.compare("at last", 0);
}

impl Model {
    fn step(&mut self, at: &str) {
        let kind = self.numbers.below(100);
        let (offset, len) =
            if kind.is_multiple_of(2) { self.odd_range() } else { self.sector_range() };
        let what = format!("{at}: kind {kind}, {len} bytes at {offset}");
        match kind {
            0..40 => self.write(&what, offset, len),
            40..75 => self.read(&what, offset, len),
            75..90 => self.zero(&what, offset, len),
            90..95 => rustix::fs::fsync(&self.files().cached).unwrap(),
            95..99 => self.compare(&what, offset / 4096 * 4096),
            _ => {
                self.reattach();
                self.compare(&what, 0);
            }
        }
    }

    fn files(&self) -> &Files {
        self.files.as_ref().unwrap()
    }

    fn odd_range(&mut self) -> (usize, usize) {
        let offset = match self.numbers.below(4) {
            0 => SIZE - 6000 + self.numbers.below(8000),
            1 => self.numbers.below(SIZE / 65_536) * 65_536 + self.numbers.below(3),
            _ => self.numbers.below(SIZE),
        };
        let len = match self.numbers.below(40) {
            0 => self.numbers.below(SIZE + 9000),
            1..5 => self.numbers.below(100_000),
            _ => self.numbers.below(9000),
        };
        (offset, len + 1)
    }

    fn sector_range(&mut self) -> (usize, usize) {
        let sector = self.rig.variant.sector_size;
        let (offset, len) = self.odd_range();
        let offset = (offset / sector * sector).min(SIZE - sector);
        (offset, len.next_multiple_of(sector))
    }

    /// Sector ranges go through the direct descriptor every other time.
    fn is_direct(&mut self, offset: usize, len: usize) -> bool {
        let sector = self.rig.variant.sector_size;
        offset.is_multiple_of(sector) && len.is_multiple_of(sector) && self.numbers.below(2) == 0
    }

    fn write(&mut self, what: &str, offset: usize, len: usize) {
        let bytes = content(self.numbers.next(), len);
        let inside = SIZE.saturating_sub(offset).min(len);
        let is_direct = self.is_direct(offset, len);
        let files = self.files();
        let file = if is_direct { &files.direct } else { &files.cached };
        if inside == 0 {
            let refused = errno(file.write_at(&bytes, offset as u64));
            assert_eq!(refused, Errno::NOSPC, "{what}");
            return;
        }
        write(file, offset as u64, &bytes[..inside]);
        self.expected[offset..offset + inside].copy_from_slice(&bytes[..inside]);
    }

    fn read(&mut self, what: &str, offset: usize, len: usize) {
        let inside = SIZE.saturating_sub(offset).min(len);
        let is_direct = self.is_direct(offset, len);
        let files = self.files();
        let found = if is_direct {
            read_aligned(&files.direct, offset as u64, inside)
        } else {
            read(&files.cached, offset as u64, inside)
        };
        let offset = offset.min(SIZE);
        assert_same(what, &found, &self.expected[offset..offset + inside]);
    }

    fn zero(&mut self, what: &str, offset: usize, len: usize) {
        let inside = SIZE.saturating_sub(offset).min(len);
        if inside == 0 {
            return;
        }
        let flags = match self.numbers.below(2) {
            0 => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            _ => FallocateFlags::ZERO_RANGE,
        };
        let is_direct = self.is_direct(offset, len);
        let files = self.files();
        let file = if is_direct { &files.direct } else { &files.cached };
        fallocate(file, flags, offset as u64, inside as u64)
            .unwrap_or_else(|error| panic!("{what}: {flags:?}: {error}"));
        self.expected[offset..offset + inside].fill(0);
    }

    /// Everything from a page on, through both descriptors.
    fn compare(&self, what: &str, offset: usize) {
        let (files, expected) = (self.files(), &self.expected[offset.min(SIZE)..]);
        let cached = read(&files.cached, offset as u64, expected.len());
        assert_same(&format!("{what}, cached"), &cached, expected);
        let direct = read_aligned(&files.direct, offset as u64, expected.len());
        assert_same(&format!("{what}, direct"), &direct, expected);
    }

    fn reattach(&mut self) {
        self.files = None;
        self.rig.reattach();
        self.files = Some(Files::open(&self.rig));
    }
}
