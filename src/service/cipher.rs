//! From a wrapped data key to the cipher that it makes (RULES D5, P4).

use super::control_plane::Service;
use crate::auth::Caller;
use crate::crypto::{SectorCipher, WrappedDk};
use crate::error::{Code, Error, Result};
use crate::id::DiskId;
use crate::units::SectorSize;

impl Service {
    /// The cipher of something that is sealed by `dk`, a data key bound to a disk; that of something
    /// that is not encrypted for `None`. `undone` is what does not happen when the key cannot be
    /// opened: `disk "db" cannot be attached`.
    ///
    /// # Errors
    /// `no-agency`; that of the KMS, with EVS.2040 and the code of the KMS behind it.
    pub(super) fn open_cipher(
        &self,
        caller: Caller,
        dk: Option<(DiskId, &WrappedDk)>,
        sector_size: SectorSize,
        undone: &dyn Fn() -> String,
    ) -> Result<SectorCipher> {
        let Some((disk, wrapped)) = dk else { return Ok(SectorCipher::null(sector_size)) };
        self.require_agency(caller)?;
        let dk = self.kms_for(caller).open_dk(wrapped, disk, sector_size).map_err(|cause| {
            Error::new(cause.kind(), undone()).code(Code::EVS_2040).caused_by(cause)
        })?;
        SectorCipher::xts_aes_256(dk, sector_size, self.settings.kernel)
    }
}
