//! A source that is sealed, or sealed anew, on the way.

use crate::crypto::{Sealed, SectorBuf, SectorCipher};
use crate::disk::SealedSource;
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// What an encrypted archive is made of when its origin is not encrypted: an imported file, or an
/// image that is copied into an encrypted one (RULES P5).
pub struct SealingSource<S> {
    plain: S,
    opener: SectorCipher,
    cipher: SectorCipher,
}

impl<S: SealedSource> SealingSource<S> {
    /// Seals what `plain`, which is sealed by nothing, gives. Sectors of zeros count as never
    /// written.
    ///
    /// # Errors
    /// `invalid` when source and cipher have different sector sizes.
    pub fn new(plain: S, cipher: SectorCipher) -> Result<Self> {
        let null = SectorCipher::null(plain.sector_size());
        SealingSource::opened_by(plain, null, cipher)
    }

    /// Opens with `opener` what `source` gives and seals it anew, as a copy of an encrypted image
    /// does (RULES P4): source and copy share no sector of ciphertext.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn opened_by(source: S, opener: SectorCipher, cipher: SectorCipher) -> Result<Self> {
        for of in [&opener, &cipher] {
            if source.sector_size() != of.sector_size() {
                let text = format!("{of:?} is not for sectors of {:?}", source.sector_size());
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        }
        Ok(SealingSource { plain: source, opener, cipher })
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
        for run in runs {
            let at = ByteOffset::new(offset.get() + run.start as u64);
            let first = sector.sector_at(at);
            let plain =
                self.opener.open(first, SectorBuf::<Sealed>::to_load(&mut into[run], sector));
            self.cipher.seal(first, plain);
        }
        Ok(())
    }
}
