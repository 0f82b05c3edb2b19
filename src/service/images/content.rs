//! The plain content of an image, read through `.evs/images/NAME/data` (RULES A6).

use super::entry::{ImageEntry, ImageHold};
use crate::archive::ChainSource;
use crate::auth::{Action, Caller};
use crate::disk::SealedSource;
use crate::error::{Error, ErrorKind, Result};
use crate::service::Service;
use crate::units::{ByteLen, ByteOffset};
use std::sync::Arc;

/// An image that is not encrypted, open for reading.
pub struct ImageContent {
    source: ChainSource,
    _hold: ImageHold,
}

impl Service {
    /// Opens an image's content.
    ///
    /// # Errors
    /// `protected` for an encrypted image, whose content nobody gets in the clear (RULES P5);
    /// `wrong-status`; `not-found`; `integrity` naming the damaged file.
    pub fn open_image_content(
        &self,
        caller: Caller,
        entry: &Arc<ImageEntry>,
    ) -> Result<ImageContent> {
        let _permit = self.permit(caller, Action::UseObject { owner: entry.owner() })?;
        let hold = entry.hold()?;
        let record = hold.record();
        if record.is_encrypted() {
            let name = record.name.as_str();
            return Err(Error::new(
                ErrorKind::Protected,
                format!("image {name:?} is encrypted and is not given out in the clear"),
            )
            .remedy(format!("evsfs disk create NAME --from image:{name}, and attach it")));
        }
        let source = ChainSource::new(self.open_image_chain(&record)?)?;
        Ok(ImageContent { source, _hold: hold })
    }
}

impl ImageContent {
    /// The size in bytes.
    pub fn size(&self) -> ByteLen {
        self.source.size()
    }

    /// At most `len` bytes at `offset`; fewer at the end. Every chunk is checked before it is given.
    ///
    /// # Errors
    /// `integrity` naming file and offset; `io`.
    pub fn read_at(&self, offset: ByteOffset, len: usize) -> Result<Vec<u8>> {
        let sector = self.source.sector_size().len().get();
        let size = self.source.size().get();
        let start = offset.get().min(size);
        let end = start.saturating_add(len as u64).min(size);
        let first = start / sector * sector;
        let past = end.div_ceil(sector) * sector;
        let mut bytes = vec![0; ByteLen::new(past - first).to_usize()?];
        self.source.read_sealed(ByteOffset::new(first), &mut bytes)?;
        bytes.truncate(ByteLen::new(end - first).to_usize()?);
        bytes.drain(..ByteLen::new(start - first).to_usize()?);
        Ok(bytes)
    }

    /// The next data at or after `offset`; `None` when only a hole is left.
    ///
    /// # Errors
    /// `integrity`; `io`.
    pub fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        if offset >= self.size().end() {
            return Ok(None);
        }
        Ok(self.source.next_data(offset)?.map(|range| range.start.max(offset)))
    }

    /// The next hole at or after `offset`; the end counts as one. `None` at or past the end.
    ///
    /// # Errors
    /// `integrity`; `io`.
    pub fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let end = self.size().end();
        if offset >= end {
            return Ok(None);
        }
        let mut at = offset;
        while let Some(range) = self.source.next_data(at)?.filter(|range| range.start <= at) {
            at = range.end;
            if at >= end {
                break;
            }
        }
        Ok(Some(at.min(end)))
    }
}
