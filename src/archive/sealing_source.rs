//! A plain source, sealed on the way.

use crate::crypto::{Sealed, SectorBuf, SectorCipher};
use crate::disk::SealedSource;
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// What an encrypted archive is made of when its origin is not encrypted: an imported file, or an
/// image that is copied into an encrypted one (RULES P5).
pub struct SealingSource<S> {
    plain: S,
    cipher: SectorCipher,
}

impl<S: SealedSource> SealingSource<S> {
    /// Seals what `plain`, which is sealed by nothing, gives. Sectors of zeros count as never
    /// written.
    ///
    /// # Errors
    /// `invalid` when source and cipher have different sector sizes.
    pub fn new(plain: S, cipher: SectorCipher) -> Result<Self> {
        if plain.sector_size() != cipher.sector_size() {
            let text = format!("{cipher:?} is not for sectors of {:?}", plain.sector_size());
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        Ok(SealingSource { plain, cipher })
    }
}

impl<S: SealedSource> SealedSource for SealingSource<S> {
    fn size(&self) -> ByteLen {
        self.plain.size()
    }

    fn sector_size(&self) -> SectorSize {
        self.cipher.sector_size()
    }

    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>> {
        self.plain.next_data(offset)
    }

    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        self.plain.read_sealed(offset, into)?;
        let sector = self.cipher.sector_size();
        let runs: Vec<_> = super::chunk::written_runs(into, sector.bytes()).collect();
        let null = SectorCipher::null(sector);
        for run in runs {
            let at = ByteOffset::new(offset.get() + run.start as u64);
            let first = sector.sector_at(at);
            // Opened by the null cipher, which is how the type says that the source is plain.
            let plain = null.open(first, SectorBuf::<Sealed>::to_load(&mut into[run], sector));
            self.cipher.seal(first, plain);
        }
        Ok(())
    }
}
