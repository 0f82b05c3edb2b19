//! A backing that fails when told to.

use super::contract::Backing;
use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::units::{ByteLen, ByteOffset};
use rustix::io::Errno;

/// The operations that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Backing::read_at`].
    Read,
    /// [`Backing::write_at`].
    Write,
    /// [`Backing::discard`].
    Discard,
    /// [`Backing::seek_data`] and [`Backing::seek_hole`].
    Seek,
    /// [`Backing::flush`].
    Flush,
    /// [`Backing::set_len`].
    SetLen,
    /// [`Backing::allocated`].
    Allocated,
}

/// What a failing write leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing of it was written.
    Clean,
    /// Its first half was written.
    HalfWritten,
}

/// Any backing, whose nth operation fails with a chosen errno. For tests of the layers above.
pub struct FaultBacking<B> {
    inner: B,
    // Protects the count and the plan together: which operation is the nth is decided once.
    script: Mutex<Script>,
}

struct Script {
    seen: u64,
    plan: Vec<Fault>,
}

struct Fault {
    // None: any operation counts.
    operation: Option<Operation>,
    skip: u64,
    errno: Errno,
    damage: Damage,
}

impl<B: Backing> FaultBacking<B> {
    /// A backing that does not fail yet.
    pub fn new(inner: B) -> Self {
        FaultBacking { inner, script: Mutex::new(Script { seen: 0, plan: Vec::new() }) }
    }

    /// Makes one operation fail: the one that comes after `skip` others from now.
    pub fn fail_after(&self, skip: u64, errno: Errno, damage: Damage) {
        self.script.lock().plan.push(Fault { operation: None, skip, errno, damage });
    }

    /// Makes one operation of a kind fail: the one after `skip` others of this kind from now.
    pub fn fail_operation_after(&self, operation: Operation, skip: u64, errno: Errno) {
        let operation = Some(operation);
        self.script.lock().plan.push(Fault { operation, skip, errno, damage: Damage::Clean });
    }

    /// Forgets the faults that have not happened.
    pub fn heal(&self) {
        self.script.lock().plan.clear();
    }

    /// How many operations there were, failed ones included.
    pub fn operations(&self) -> u64 {
        self.script.lock().seen
    }

    /// The backing that does the work.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    fn meet(&self, operation: Operation) -> Option<(Error, Damage)> {
        let mut script = self.script.lock();
        script.seen += 1;
        let mut due = None;
        for (index, fault) in script.plan.iter_mut().enumerate() {
            if fault.operation.is_some_and(|only| only != operation) {
                continue;
            }
            match fault.skip.checked_sub(1) {
                Some(left) => fault.skip = left,
                None => due = due.or(Some(index)),
            }
        }
        let fault = script.plan.remove(due?);
        let doing = format!("payload operation {operation:?}, made to fail");
        Some((Error::io(doing, fault.errno.into()), fault.damage))
    }

    fn pass(&self, operation: Operation) -> Result<&B> {
        match self.meet(operation) {
            Some((error, _)) => Err(error),
            None => Ok(&self.inner),
        }
    }
}

impl<B: Backing> Backing for FaultBacking<B> {
    fn len(&self) -> ByteLen {
        self.inner.len()
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        self.pass(Operation::Read)?.read_at(offset, into)
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        match self.meet(Operation::Write) {
            None => self.inner.write_at(offset, bytes),
            Some((error, Damage::Clean)) => Err(error),
            Some((error, Damage::HalfWritten)) => {
                self.inner.write_at(offset, &bytes[..bytes.len() / 2])?;
                Err(error)
            }
        }
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        self.pass(Operation::Discard)?.discard(offset, len)
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.pass(Operation::Seek)?.seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.pass(Operation::Seek)?.seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        self.pass(Operation::Flush)?.flush()
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        self.pass(Operation::SetLen)?.set_len(len)
    }

    fn allocated(&self) -> Result<ByteLen> {
        self.pass(Operation::Allocated)?.allocated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::{MemoryBacking, conformance};
    use crate::error::ErrorKind;

    #[test]
    fn a_fault_backing_without_faults_keeps_the_contract() {
        conformance::check(&FaultBacking::new(MemoryBacking::new(conformance::LEN)));
    }

    #[test]
    fn exactly_the_chosen_operation_fails_and_the_next_one_works() {
        let backing = FaultBacking::new(MemoryBacking::new(ByteLen::MIB));
        backing.fail_after(1, Errno::NOSPC, Damage::HalfWritten);
        backing.flush().unwrap();
        let error = backing.write_at(ByteOffset::ZERO, &[9; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let mut found = [0; 8];
        backing.read_at(ByteOffset::ZERO, &mut found).unwrap();
        assert_eq!(found, [9, 9, 9, 9, 0, 0, 0, 0]);
        backing.fail_operation_after(Operation::Flush, 0, Errno::IO);
        backing.write_at(ByteOffset::ZERO, &[7; 8]).unwrap();
        assert_eq!(backing.flush().unwrap_err().kind(), ErrorKind::Io);
        backing.flush().unwrap();
        assert_eq!(backing.operations(), 6);
    }
}
