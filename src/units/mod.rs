//! Bytes and sectors as types of their own, with checked arithmetic only.
//!
//! Offsets are relative to the start of the disk. Every conversion says both ends and every
//! operation that could overflow returns an error or an `Option`.

mod bytes;
mod sectors;

pub use bytes::{ByteLen, ByteOffset};
pub use sectors::{SectorCount, SectorIndex, SectorSize, UNITS_OF_512};
