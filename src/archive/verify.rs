//! Checking archives without any key.

use super::chain::{Chain, check_link};
use super::chunk::{CHUNK, CHUNK_BYTES, ChunkIndex, Digest};
use super::data_file::DataFile;
use super::folder::Archive;
use super::manifest::Content;
use super::meter::Meter;
use super::workers::in_order;
use crate::error::Result;
use crate::units::ByteLen;

/// Reads every chunk that any member of the chain holds, also those that a newer member replaces,
/// against its digest, and every manifest against its record. Gives the bytes of data found good.
///
/// # Errors
/// `integrity` naming the file and the offset of the first damage; what the meter and the file
/// system report.
pub fn verify(chain: &Chain, meter: &dyn Meter) -> Result<ByteLen> {
    let mut good = 0;
    for (archive, data) in chain.members().iter().zip(chain.data()) {
        good += verify_member(archive, data, meter)?;
    }
    Ok(ByteLen::new(good))
}

impl Archive {
    /// Reads this archive alone: its manifest against its record and every chunk against its digest.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn verify(&self, meter: &dyn Meter) -> Result<ByteLen> {
        // First, or its damage would look like that of the data.
        self.check_manifest()?;
        verify_member(self, &self.data()?, meter).map(ByteLen::new)
    }

    /// Refuses an archive that this one was not built upon.
    ///
    /// # Errors
    /// `integrity`, naming the two.
    pub fn check_parent(&self, parent: &Archive) -> Result<()> {
        check_link(self, parent)
    }
}

fn verify_member(archive: &Archive, data: &DataFile, meter: &dyn Meter) -> Result<u64> {
    let mut manifest = archive.manifest()?;
    let mut good = 0;
    in_order(
        || Box::new([0; CHUNK_BYTES]),
        |_| loop {
            match manifest.next()? {
                Some(entry) => {
                    if let Content::Data(digest) = entry.content {
                        meter.advance(CHUNK)?;
                        return Ok(Some((entry.index, digest)));
                    }
                }
                None => return Ok(None),
            }
        },
        |scratch, (index, digest): (ChunkIndex, Digest)| {
            data.read_chunk(index, digest, scratch)?;
            Ok(data.cut().len_of(index) as u64)
        },
        |_, bytes| {
            good += bytes;
            Ok(())
        },
    )?;
    Ok(good)
}
