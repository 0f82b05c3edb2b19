//! What each sector of a disk must hold, and what is wrong with what it holds.

use super::stamp::{Found, SECTOR, read_stamp, stamp};
use std::collections::BTreeMap;

/// The kinds of harm that a check tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// An older version than one that was acknowledged.
    Lost,
    /// No content of ours: damaged, or opened under the wrong key or tweak.
    Garbage,
    /// The content of another sector or another disk.
    Misplaced,
    /// Parts of two versions.
    Torn,
}

/// A sector that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub harm: Harm,
    pub sector: u64,
    pub text: String,
}

impl Damage {
    /// A short account of many.
    pub fn account(damages: &[Damage]) -> String {
        let mut counts = BTreeMap::new();
        for damage in damages {
            *counts.entry(damage.harm).or_insert(0_u64) += 1;
        }
        let counts: Vec<String> =
            counts.iter().map(|(harm, count)| format!("{count} {harm:?}")).collect();
        let first: Vec<&str> = damages.iter().take(5).map(|damage| damage.text.as_str()).collect();
        format!("{}; first: {}", counts.join(", "), first.join("; "))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    /// The newest version whose durability was acknowledged; 0 for none.
    acknowledged: u64,
    /// The newest version that was begun.
    begun: u64,
}

/// The verify log of one disk.
#[derive(Debug, Clone)]
pub struct Ledger {
    disk: u32,
    sectors: Vec<Expected>,
    acknowledged: u64,
}

impl Ledger {
    /// Of a disk of `len` bytes that was never written.
    pub fn new(disk: u32, len: usize) -> Ledger {
        Ledger { disk, sectors: vec![Expected::default(); len / SECTOR], acknowledged: 0 }
    }

    /// Of a disk all of whose sectors are [written](Ledger::content) and acknowledged.
    pub fn filled(disk: u32, len: usize) -> Ledger {
        let mut ledger = Ledger::new(disk, len);
        ledger.begin(0, len / SECTOR, 1);
        ledger.acknowledge(0, len / SECTOR, 1);
        ledger
    }

    /// The content of these sectors at this version.
    pub fn content(disk: u32, first: u64, count: usize, version: u64) -> Vec<u8> {
        (first..first + count as u64).flat_map(|sector| stamp(disk, sector, version)).collect()
    }

    /// Somebody begins to write these sectors.
    pub fn begin(&mut self, first: u64, count: usize, version: u64) {
        for expected in self.range(first, count) {
            expected.begun = expected.begun.max(version);
        }
    }

    /// It was acknowledged that these sectors are durable.
    pub fn acknowledge(&mut self, first: u64, count: usize, version: u64) {
        self.acknowledged += 1;
        for expected in self.range(first, count) {
            expected.acknowledged = expected.acknowledged.max(version);
        }
    }

    /// How many acknowledgements there were.
    pub fn acknowledgements(&self) -> u64 {
        self.acknowledged
    }

    fn range(&mut self, first: u64, count: usize) -> &mut [Expected] {
        let first = usize::try_from(first).unwrap();
        &mut self.sectors[first..first + count]
    }

    /// Compares the disk's content with what was acknowledged and begun. What lies past the
    /// ledger's end must be zeros.
    pub fn check(&self, content: &[u8]) -> Vec<Damage> {
        assert!(content.len() >= self.sectors.len() * SECTOR, "the disk is shorter than it was");
        let beyond = std::iter::repeat(Expected::default());
        content
            .chunks_exact(SECTOR)
            .zip(self.sectors.iter().copied().chain(beyond))
            .zip(0..)
            .filter_map(|((bytes, expected), sector)| self.judge(sector, expected, bytes))
            .collect()
    }

    fn judge(&self, sector: u64, expected: Expected, bytes: &[u8]) -> Option<Damage> {
        let Expected { acknowledged, begun } = expected;
        let (harm, what) = match read_stamp(bytes) {
            Found::Nothing if acknowledged == 0 => return None,
            Found::Nothing => (Harm::Lost, "is empty".to_owned()),
            Found::Torn => (Harm::Torn, "is torn".to_owned()),
            Found::Garbage => (Harm::Garbage, format!("is garbage {:02x?}..", &bytes[..8])),
            Found::Whole { disk, sector: other, .. } if disk != self.disk || other != sector => {
                (Harm::Misplaced, format!("holds sector {other} of disk {disk}"))
            }
            Found::Whole { version, .. } if version < acknowledged => {
                (Harm::Lost, format!("has version {version}"))
            }
            Found::Whole { version, .. } if version > begun => {
                (Harm::Garbage, format!("has version {version} that nobody wrote"))
            }
            Found::Whole { .. } => return None,
        };
        let disk = self.disk;
        let text =
            format!("sector {sector} of disk {disk} {what}; {acknowledged} was acknowledged");
        Some(Damage { harm, sector, text })
    }

    /// As [`Ledger::check`], for a disk that must be as it should.
    #[track_caller]
    pub fn must_hold(&self, when: &str, content: &[u8]) {
        let damages = self.check(content);
        assert!(damages.is_empty(), "{when}: {}", Damage::account(&damages));
    }
}
