//! The power goes, at any moment.

use super::rig::{Make, at, content, data, len};
use evsfs::backing::{CrashBacking, PowerLoss};
use proptest::prelude::*;
use std::sync::Arc;

const SIZE: usize = 256 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Write { offset: usize, len: usize, seed: u64 },
    Discard { offset: usize, len: usize },
    Extend { sectors: usize },
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..SIZE, 1..20_000_usize, 0..1000_u64)
            .prop_map(|(offset, len, seed)| Step::Write { offset, len, seed }),
        2 => (0..SIZE, 1..20_000_usize).prop_map(|(offset, len)| Step::Discard { offset, len }),
        1 => (1..9_usize).prop_map(|sectors| Step::Extend { sectors }),
        3 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// RULES S1: what a flush acknowledged survives, whatever else is lost.
    #[test]
    fn what_was_flushed_survives_any_power_loss(
        make in proptest::sample::select(Make::ALL.as_slice()),
        steps in proptest::collection::vec(step(), 1..20),
        seed in any::<u64>(),
    ) {
        let payload = Arc::new(CrashBacking::new(len(SIZE)));
        let disk = make.open(Arc::clone(&payload), SIZE as u64);
        let mut model = vec![0; SIZE];
        // Whether a sector was changed since the last flush.
        let sector = make.sector.bytes();
        let mut volatile = vec![false; SIZE / sector];
        let sectors = |range: std::ops::Range<usize>| {
            range.start / sector..range.end.div_ceil(sector)
        };
        for step in steps {
            match step {
                Step::Write { offset, len, seed } => {
                    let count = disk.write_at(at(offset), &data(seed, len)).unwrap();
                    let range = offset..offset + count;
                    model[range.clone()].copy_from_slice(&data(seed, len)[..count]);
                    volatile[sectors(range)].fill(true);
                }
                Step::Discard { offset, len: length } => {
                    disk.discard(at(offset), len(length)).unwrap();
                    let range = offset..(offset + length).min(model.len());
                    model[range.clone()].fill(0);
                    volatile[sectors(range)].fill(true);
                }
                Step::Extend { sectors } => {
                    // Durable when it returns, and with it all that came before.
                    model.resize(model.len() + sectors * make.sector.bytes(), 0);
                    disk.extend(len(model.len())).unwrap();
                    volatile = vec![false; model.len() / sector];
                }
                Step::Flush => {
                    disk.flush().unwrap();
                    volatile.fill(false);
                }
            }
            for loss in [
                PowerLoss::LosesAll,
                PowerLoss::LosesNothing,
                PowerLoss::LosesSome { seed },
                PowerLoss::LosesSome { seed: !seed },
            ] {
                let found = content(&make.open(payload.crash(loss).unwrap(), model.len() as u64));
                let both = found.chunks(sector).zip(model.chunks(sector));
                for (number, (found, wanted)) in both.enumerate() {
                    prop_assert!(volatile[number] || found == wanted, "{loss:?} loses {number}");
                }
                if loss == PowerLoss::LosesNothing {
                    prop_assert!(found == model);
                }
            }
        }
    }
}

/// RULES S1, when several callers share a flush: nobody's counts that missed their data.
#[test]
fn a_shared_flush_covers_the_writes_of_everybody_who_shared_it() {
    let make = Make::ALL[1];
    let payload = Arc::new(CrashBacking::new(len(SIZE)));
    let disk = make.open(Arc::clone(&payload), SIZE as u64);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (disk, payload) = (&disk, &payload);
            scope.spawn(move || {
                let place = at(writer * 8192);
                for round in 1..=25_u8 {
                    disk.write_at(place, &[round; 4096]).unwrap();
                    disk.flush().unwrap();
                    let found = make.open(payload.crash(PowerLoss::LosesAll).unwrap(), SIZE as u64);
                    let whole = |bytes: &[u8]| bytes == [round; 4096];
                    assert!(found.read_with(place, 4096, whole).unwrap(), "{writer} {round}");
                }
            });
        }
    });
}
