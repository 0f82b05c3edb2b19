//! Growing a disk (RULES D11).

use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::create::check_size;
use super::status::DiskEvent;
use crate::auth::Permit;
use crate::disk::Access;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::units::ByteLen;

impl Service {
    /// Grows the payload, then the record, then what readers and writers see, in this order, so
    /// that a crash leaves at worst a payload that is longer than its disk.
    pub(super) fn extend(&self, _permit: Permit, entry: &DiskEntry, size: ByteLen) -> Result<()> {
        let work = entry.begin(DiskEvent::Extend)?;
        self.check_record(entry)?;
        let state = entry.state();
        let (mut record, attachment) = (state.record.clone(), state.attachment.clone());
        drop(state);
        check_size(size, record.sector_size())?;
        if size <= record.size() {
            let message = format!("disk {:?} is {} already", entry.name().as_str(), record.size());
            return Err(Error::new(ErrorKind::Invalid, message)
                .code(Code::EVS_1015)
                .remedy("choose a larger size; disks only grow"));
        }
        match &attachment {
            Some(open) if open.is_read_only() => {
                let message = format!("disk {:?} is attached read-only", entry.name().as_str());
                return Err(Error::new(ErrorKind::WrongStatus, message)
                    .code(Code::EVS_1046)
                    .remedy(format!("evsfs disk detach {}", entry.name())));
            }
            Some(open) => open.disk().grow_payload(size)?,
            None => {
                let payload = self.payloads.open(&record, Access::ReadWrite)?;
                if payload.len() < size {
                    payload.set_len(size)?;
                }
                // What lies behind the old end of a block device may be its earlier life.
                let grown_by = size.checked_sub(record.size()).unwrap_or(ByteLen::ZERO);
                payload.discard(record.size().end(), grown_by)?;
                payload.flush()?;
            }
        }
        record.set_size(size);
        self.save(&record)?;
        entry.state().record = record;
        if let Some(open) = attachment {
            open.disk().publish_size(size);
            self.kernel.grew(open.id(), size);
        }
        work.done();
        self.tell_of_disk("disk.extended", entry);
        log::info!("event=disk-extended disk={} name={} size={size}", entry.id(), entry.name());
        Ok(())
    }
}
