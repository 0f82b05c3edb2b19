//! What every backing must do, run by the tests of each.

use super::contract::Backing;
use crate::error::ErrorKind;
use crate::units::{ByteLen, ByteOffset};

/// The length of the backing handed to [`check`]: a few pages and regions.
pub(super) const LEN: ByteLen = ByteLen::MIB;

/// Checks a new backing of [`LEN`] bytes that can grow.
pub(super) fn check(backing: &dyn Backing) {
    check_fixed(backing);
    check_holes(backing);
    check_growth(backing);
}

/// Checks a new backing of [`LEN`] bytes.
pub(super) fn check_fixed(backing: &dyn Backing) {
    assert_eq!(backing.len(), LEN);
    let mut model = vec![0; LEN.to_usize().unwrap()];
    assert_reads(backing, &model);
    for (at, len, byte) in
        [(0, 1, 1), (4095, 2, 2), (8192, 4096, 3), (10_000, 300_000, 4), (1_048_575, 1, 5)]
    {
        backing.write_at(ByteOffset::new(at as u64), &vec![byte; len]).unwrap();
        model[at..at + len].fill(byte);
        assert_reads(backing, &model);
    }
    for (at, len) in [(0, 0), (8192, 4096), (20_000, 100_001), (1_048_000, 576), (5, 1)] {
        backing.discard(ByteOffset::new(at as u64), ByteLen::new(len as u64)).unwrap();
        model[at..at + len].fill(0);
        assert_reads(backing, &model);
    }
    backing.flush().unwrap();
    assert_reads(backing, &model);
    check_limits(backing);
    assert_reads(backing, &model);
    check_seeks_cover_data(backing, &model);
    check_concurrent_writers(backing);
}

fn assert_reads(backing: &dyn Backing, model: &[u8]) {
    let mut found = vec![0xee; model.len()];
    backing.read_at(ByteOffset::ZERO, &mut found).unwrap();
    assert!(found == model, "content differs at {:?}", first_difference(&found, model));
    let (at, len) = (8191, 4099);
    let mut piece = vec![0xee; len];
    backing.read_at(ByteOffset::new(at as u64), &mut piece).unwrap();
    assert!(piece == model[at..at + len]);
}

fn first_difference(found: &[u8], model: &[u8]) -> Option<usize> {
    found.iter().zip(model).position(|(a, b)| a != b)
}

/// Nothing is read, written or discarded past the end, and nothing panics at 2^64.
fn check_limits(backing: &dyn Backing) {
    let end = LEN.get();
    for (at, len) in [(end, 1), (end - 1, 2), (end + 4096, 10), (u64::MAX - 1, 10)] {
        let at = ByteOffset::new(at);
        let mut into = vec![0xee; len];
        assert_eq!(backing.read_at(at, &mut into).unwrap_err().kind(), ErrorKind::Io, "{at:?}");
        let written = backing.write_at(at, &into).unwrap_err();
        assert_eq!(written.kind(), ErrorKind::OutOfRange, "{at:?}");
        let discarded = backing.discard(at, ByteLen::new(len as u64)).unwrap_err();
        assert_eq!(discarded.kind(), ErrorKind::OutOfRange, "{at:?}");
    }
    assert_eq!(backing.len(), LEN);
    backing.read_at(ByteOffset::new(end), &mut []).unwrap();
    backing.write_at(ByteOffset::new(end), &[]).unwrap();
    let shorter = backing.set_len(ByteLen::new(end - 512)).unwrap_err();
    assert_eq!(shorter.kind(), ErrorKind::Invalid);
    backing.set_len(LEN).unwrap();
}

/// Whatever the medium calls a hole holds zeros, and walking holes and data ends at the end.
fn check_seeks_cover_data(backing: &dyn Backing, model: &[u8]) {
    let mut at = ByteOffset::ZERO;
    while let Some(data) = backing.seek_data(at).unwrap() {
        assert!(data >= at);
        assert!(zeros(&model[at.get() as usize..data.get() as usize]), "a hole with data in it");
        at = backing.seek_hole(data).unwrap().expect("there is a hole at the end");
        assert!(at > data);
    }
    assert!(zeros(&model[at.get() as usize..]));
    for past in [LEN.get(), LEN.get() + 1] {
        assert_eq!(backing.seek_data(ByteOffset::new(past)).unwrap(), None);
        assert_eq!(backing.seek_hole(ByteOffset::new(past)).unwrap(), None);
    }
}

fn zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn check_concurrent_writers(backing: &dyn Backing) {
    const PIECE: usize = 10_007;
    std::thread::scope(|scope| {
        for writer in 0..4_usize {
            scope.spawn(move || {
                for round in 0..8 {
                    let at = ByteOffset::new(((round * 4 + writer) * PIECE) as u64);
                    backing.write_at(at, &[writer as u8 + 1; PIECE]).unwrap();
                }
            });
        }
    });
    let mut found = vec![0; 32 * PIECE];
    backing.read_at(ByteOffset::ZERO, &mut found).unwrap();
    for (number, piece) in found.chunks(PIECE).enumerate() {
        assert!(piece.iter().all(|byte| *byte as usize == number % 4 + 1), "piece {number}");
    }
}

/// RULES D10: holes are found at a grain of 4 KiB and give their space back.
fn check_holes(backing: &dyn Backing) {
    backing.discard(ByteOffset::ZERO, LEN).unwrap();
    assert_eq!(backing.seek_data(ByteOffset::ZERO).unwrap(), None);
    assert_eq!(backing.seek_hole(ByteOffset::new(1)).unwrap(), Some(ByteOffset::new(1)));
    backing.write_at(ByteOffset::new(65_536), &[1; 8192]).unwrap();
    backing.flush().unwrap();
    let data = backing.seek_data(ByteOffset::new(3)).unwrap();
    assert_eq!(data, Some(ByteOffset::new(65_536)));
    assert_eq!(backing.seek_data(ByteOffset::new(70_001)).unwrap(), Some(ByteOffset::new(70_001)));
    let hole = backing.seek_hole(ByteOffset::new(65_600)).unwrap();
    assert_eq!(hole, Some(ByteOffset::new(73_728)));
    let used = backing.allocated().unwrap();
    assert!(used >= ByteLen::new(8192), "{used}");
    backing.discard(ByteOffset::new(65_536), ByteLen::new(8192)).unwrap();
    assert!(backing.allocated().unwrap() < used);
}

fn check_growth(backing: &dyn Backing) {
    let last = ByteOffset::new(LEN.get() - 1);
    backing.write_at(last, &[7]).unwrap();
    let grown = ByteLen::new(LEN.get() + 8192);
    backing.set_len(grown).unwrap();
    assert_eq!(backing.len(), grown);
    let mut found = [0xee; 8193];
    backing.read_at(last, &mut found).unwrap();
    assert!(found[0] == 7 && zeros(&found[1..]));
    backing.write_at(LEN.end(), &[8; 8192]).unwrap();
    backing.flush().unwrap();
    backing.read_at(last, &mut found).unwrap();
    assert!(found[0] == 7 && found[1..] == [8; 8192]);
}
