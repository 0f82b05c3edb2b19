//! Several processes at once.

use crate::support::files::{assert_same, open, open_rw, read};
use crate::support::{Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub fn trials() -> Vec<Trial> {
    [
        trials_of(
            "f16_processes_in_one_sector_lose_nothing",
            Needs::Fuse,
            Variant::ALL,
            f16_processes_in_one_sector_lose_nothing,
        ),
        trials_of(
            "f16_direct_and_cached_writers_side_by_side_lose_nothing",
            Needs::Fuse,
            Variant::ALL,
            f16_direct_and_cached_writers_side_by_side_lose_nothing,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SIZE: usize = 1 << 20;
const LANES: usize = 8;
const ROUNDS: usize = 100;
const LANE: &str = "EVSFS_TEST_LANE";

/// A process that writes its own stripe of the same sectors again and again, and looks whether it
/// stays.
pub struct Lane {
    path: PathBuf,
    number: usize,
    width: usize,
    direct: bool,
}

impl Lane {
    /// What this process was started as, if it is one.
    pub fn of_this_process() -> Option<Lane> {
        let words = std::env::var(LANE).ok()?;
        let mut words = words.splitn(4, ' ');
        let mut next = || words.next().unwrap().to_owned();
        let (number, width) = (next().parse().unwrap(), next().parse().unwrap());
        let (direct, path) = (next() == "direct", next().into());
        Some(Lane { path, number, width, direct })
    }

    fn start(number: usize, width: usize, direct: bool, path: &Path) -> Child {
        let mode = if direct { "direct" } else { "cached" };
        Command::new(std::env::current_exe().unwrap())
            .env(LANE, format!("{number} {width} {mode} {}", path.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub fn run(&self) {
        let flags = if self.direct { OFlags::DIRECT } else { OFlags::empty() };
        let file = open(&self.path, OFlags::RDWR | flags).unwrap();
        for round in 1..=ROUNDS {
            // Two sectors of 4096 bytes at a time, which all lanes share.
            for at in stripes(self.number, self.width, 8192) {
                let byte = self.byte(round);
                crate::support::files::write(&file, at as u64, &vec![byte; self.width]);
                let found = crate::support::files::read_aligned(&file, at as u64, self.width);
                assert_same(
                    &format!("lane {} at {at}", self.number),
                    &found,
                    &vec![byte; self.width],
                );
            }
        }
    }

    fn byte(&self, round: usize) -> u8 {
        last_byte(self.number, round)
    }
}

fn last_byte(lane: usize, round: usize) -> u8 {
    u8::try_from((lane * 31 + round) % 255 + 1).unwrap()
}

/// Where a lane writes inside `len` bytes: every `LANES`th piece of `width` bytes.
fn stripes(lane: usize, width: usize, len: usize) -> impl Iterator<Item = usize> {
    (0..len / (width * LANES)).map(move |row| (row * LANES + lane) * width)
}

#[track_caller]
fn wait_for(lanes: Vec<Child>) {
    for lane in lanes {
        let done = lane.wait_with_output().unwrap();
        assert!(done.status.success(), "a writer failed");
    }
}

#[track_caller]
fn assert_lanes(found: &[u8], width: usize) {
    let mut expected = vec![0; found.len()];
    for lane in 0..LANES {
        for at in stripes(lane, width, 8192) {
            expected[at..at + width].fill(last_byte(lane, ROUNDS));
        }
    }
    assert_same("all stripes", found, &expected);
}

/// F16: Several processes writing into one sector lose nothing of each other's bytes.
fn f16_processes_in_one_sector_lose_nothing(variant: Variant) {
    let rig = variant.disk("1M");
    let width = 64;
    wait_for((0..LANES).map(|lane| Lane::start(lane, width, false, rig.path())).collect());
    let file = open_rw(rig.path(), OFlags::empty());
    assert_lanes(&read(&file, 0, SIZE), width);
    drop(file);
    rig.reattach();
    assert_lanes(&read(&open_rw(rig.path(), OFlags::empty()), 0, SIZE), width);
}

/// F16, where half the processes write past the cache, in parallel, 512 bytes each.
fn f16_direct_and_cached_writers_side_by_side_lose_nothing(variant: Variant) {
    let rig = variant.disk("1M");
    let width = 512;
    let lanes = |direct: fn(usize) -> bool| -> Vec<Child> {
        (0..LANES).map(|lane| Lane::start(lane, width, direct(lane), rig.path())).collect()
    };
    wait_for(lanes(|_| true));
    let direct = open_rw(rig.path(), OFlags::DIRECT);
    assert_lanes(&crate::support::files::read_aligned(&direct, 0, SIZE), width);
    direct.write_all_at(crate::support::files::AlignedBuffer::new(SIZE).bytes(), 0).unwrap();
    drop(direct);
    wait_for(lanes(|lane| lane % 2 == 0));
    rig.reattach();
    assert_lanes(&read(&open_rw(rig.path(), OFlags::empty()), 0, SIZE), width);
}
