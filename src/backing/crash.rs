//! A backing that knows what a power loss would leave.

use super::contract::Backing;
use super::memory::MemoryBacking;
use crate::error::Result;
use crate::sync::Mutex;
use crate::units::{ByteLen, ByteOffset};

/// Bytes that a medium writes wholly or not at all.
const ATOM: u64 = 512;

/// Which of the changes that were not flushed a power loss leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// None of them.
    LosesAll,
    /// All of them.
    LosesNothing,
    /// A part chosen by the seed: every 512-byte unit of every change for itself.
    LosesSome {
        /// The same seed leaves the same part.
        seed: u64,
    },
}

/// Memory with a volatile cache before it: what was not flushed may be lost, piece by piece.
pub struct CrashBacking {
    now: MemoryBacking,
    // Protects the durable image and the changes since; taken before `now` changes, so that the
    // log has the order in which changes took effect.
    past: Mutex<Past>,
}

struct Past {
    durable: MemoryBacking,
    since: Vec<Change>,
}

enum Change {
    Write { offset: ByteOffset, bytes: Vec<u8> },
    Discard { offset: ByteOffset, len: ByteLen },
    SetLen(ByteLen),
}

impl CrashBacking {
    /// A payload of `len` bytes, all hole and durable.
    pub fn new(len: ByteLen) -> Self {
        CrashBacking::over(MemoryBacking::new(len))
    }

    /// A payload whose content is durable, such as one that came out of a crash.
    pub fn over(durable: MemoryBacking) -> Self {
        let now = durable.duplicate();
        CrashBacking { now, past: Mutex::new(Past { durable, since: Vec::new() }) }
    }

    /// The payload as found after a power loss at this moment.
    ///
    /// # Errors
    /// None in practice: the changes were made once already.
    pub fn crash(&self, loss: PowerLoss) -> Result<MemoryBacking> {
        let past = self.past.lock();
        let found = past.durable.duplicate();
        let mut chance = Chance { loss };
        for change in &past.since {
            change.replay(&found, &mut chance)?;
        }
        Ok(found)
    }
}

impl Change {
    fn replay(&self, found: &MemoryBacking, chance: &mut Chance) -> Result<()> {
        match self {
            Change::Write { offset, bytes } => {
                let mut rest = bytes.as_slice();
                for (at, len) in atoms(*offset, ByteLen::of(bytes)) {
                    let (atom, after) = rest.split_at(len.to_usize()?);
                    if chance.survives() {
                        // A length that was lost takes what lies behind it along.
                        let _ = found.write_at(at, atom);
                    }
                    rest = after;
                }
                Ok(())
            }
            Change::Discard { offset, len } => {
                for (at, len) in atoms(*offset, *len) {
                    if chance.survives() {
                        let _ = found.discard(at, len);
                    }
                }
                Ok(())
            }
            Change::SetLen(len) => match chance.survives() {
                true => found.set_len(*len),
                false => Ok(()),
            },
        }
    }
}

/// A range cut at multiples of [`ATOM`].
fn atoms(offset: ByteOffset, len: ByteLen) -> impl Iterator<Item = (ByteOffset, ByteLen)> {
    let (mut at, end) = (offset.get(), offset.get().saturating_add(len.get()));
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let start = at;
        at = ((at / ATOM + 1) * ATOM).min(end);
        Some((ByteOffset::new(start), ByteLen::new(at - start)))
    })
}

struct Chance {
    loss: PowerLoss,
}

impl Chance {
    fn survives(&mut self) -> bool {
        match &mut self.loss {
            PowerLoss::LosesAll => false,
            PowerLoss::LosesNothing => true,
            PowerLoss::LosesSome { seed } => {
                // SplitMix64 (Steele, Lea, Flood 2014): any seed will do, no state but a counter.
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *seed;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (mixed ^ (mixed >> 31)) & 1 == 0
            }
        }
    }
}

impl Backing for CrashBacking {
    fn len(&self) -> ByteLen {
        self.now.len()
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        self.now.read_at(offset, into)
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        let mut past = self.past.lock();
        self.now.write_at(offset, bytes)?;
        past.since.push(Change::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let mut past = self.past.lock();
        self.now.discard(offset, len)?;
        past.since.push(Change::Discard { offset, len });
        Ok(())
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.now.seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.now.seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        let mut past = self.past.lock();
        let mut everything = Chance { loss: PowerLoss::LosesNothing };
        for change in std::mem::take(&mut past.since) {
            change.replay(&past.durable, &mut everything)?;
        }
        Ok(())
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        let mut past = self.past.lock();
        self.now.set_len(len)?;
        past.since.push(Change::SetLen(len));
        Ok(())
    }

    fn allocated(&self) -> Result<ByteLen> {
        self.now.allocated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::conformance;

    fn content(backing: &MemoryBacking) -> Vec<u8> {
        let mut bytes = vec![0; backing.len().to_usize().unwrap()];
        backing.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_backing_with_a_volatile_cache_keeps_the_contract() {
        conformance::check(&CrashBacking::new(conformance::LEN));
    }

    #[test]
    fn flushed_changes_survive_and_others_by_chance() {
        let backing = CrashBacking::new(ByteLen::new(8192));
        backing.write_at(ByteOffset::ZERO, &[1; 4096]).unwrap();
        backing.flush().unwrap();
        backing.write_at(ByteOffset::ZERO, &[2; 8192]).unwrap();
        let old = [[1; 4096], [0; 4096]].concat();
        assert_eq!(content(&backing.crash(PowerLoss::LosesAll).unwrap()), old);
        assert_eq!(content(&backing.crash(PowerLoss::LosesNothing).unwrap()), [2; 8192]);
        let some = content(&backing.crash(PowerLoss::LosesSome { seed: 7 }).unwrap());
        for (number, atom) in some.chunks(512).enumerate() {
            let old = if number < 8 { 1 } else { 0 };
            assert!(atom == [old; 512] || atom == [2; 512], "unit {number} is torn");
        }
        assert!(some.contains(&2) && some != [2; 8192], "the seed loses something");
    }
}
