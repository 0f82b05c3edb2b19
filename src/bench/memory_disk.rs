//! A disk whose payload lies in memory.

use super::workload::Target;
use crate::backing::MemoryBacking;
use crate::crypto::{Dk, Kernel, SectorCipher};
use crate::disk::{Access, Disk};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset, SectorSize};

/// Whether a disk is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// With the fastest kernel that this processor can run.
    On,
    /// Its payload is its content.
    Off,
}

/// A new disk of `size` bytes in memory, with sectors of 4096 bytes.
///
/// # Errors
/// `invalid` for a size that is no multiple of the sector size; `io` without memory that can be
/// locked for the key.
pub fn memory_disk(encryption: Encryption, size: ByteLen) -> Result<Disk> {
    let sector = SectorSize::S4096;
    let cipher = match encryption {
        Encryption::On => SectorCipher::xts_aes_256(Dk::generate()?, sector, Kernel::best())?,
        Encryption::Off => SectorCipher::null(sector),
    };
    Disk::open(Box::new(MemoryBacking::new(size)), cipher, size, Access::ReadWrite)
}

impl Target for Disk {
    fn len(&self) -> ByteLen {
        self.size()
    }

    fn read(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        // Lent as the mount lends it to the kernel, which is who copies.
        let wanted = into.len();
        must_be_all(wanted, self.read_with(offset, wanted, <[u8]>::len)?)
    }

    fn write(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        must_be_all(bytes.len(), self.write_at(offset, bytes)?)
    }
}

fn must_be_all(wanted: usize, done: usize) -> Result<()> {
    if done == wanted {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Io, format!("{done} bytes of {wanted} were read or written")))
}
