//! Making a disk of an archive.

use super::chain::Chain;
use super::chain_cursor::Located;
use super::chunk::{CHUNK, CHUNK_BYTES, written_runs};
use super::meter::Meter;
use super::workers::in_order;
use crate::crypto::{Sealed, SectorBuf, SectorCipher};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};

/// Writes the content of an archive to a new disk, which seals it with its own key: `opener` is
/// the cipher of the archive, the null cipher for an unencrypted one (RULES P4). What was never
/// written stays never written. Every chunk is checked before it is opened. Gives the bytes
/// written, which are durable then.
///
/// # Errors
/// `integrity` naming file and offset when a part of the archive is damaged; `invalid` when the
/// disk is smaller than the archive's or the cipher is not of its kind; what the disk and the meter
/// report. The disk holds a part of the content then, and is the caller's to remove.
pub fn reseal(
    archive: &Chain,
    opener: &SectorCipher,
    target: &Disk,
    meter: &dyn Meter,
) -> Result<ByteLen> {
    check_fit(archive, opener, target)?;
    let mut cursor = archive.cursor()?;
    let mut total = 0;
    in_order(
        || Box::new([0; CHUNK_BYTES]),
        |_| {
            let found = cursor.next()?;
            if found.is_some() {
                meter.advance(CHUNK)?;
            }
            Ok(found)
        },
        |scratch, found: Located| {
            archive.read_chunk(&found, scratch)?;
            restore_chunk(archive, opener, target, &found, scratch)
        },
        |_, bytes| {
            total += bytes;
            Ok(())
        },
    )?;
    target.flush()?;
    Ok(ByteLen::new(total))
}

fn check_fit(archive: &Chain, opener: &SectorCipher, target: &Disk) -> Result<()> {
    let record = archive.newest().record();
    let place = archive.newest().place().display();
    if opener.sector_size() != record.sector_size()
        || opener.is_encrypting() != record.is_encrypted()
    {
        let text = format!("{opener:?} is not the cipher of {place}");
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    if target.size() < record.size() {
        let (has, needs) = (target.size(), record.size());
        let text = format!("a disk of {has} is too small for {place}, which needs {needs}");
        return Err(Error::new(ErrorKind::Invalid, text).remedy("choose a larger --size"));
    }
    Ok(())
}

/// Opens the sectors of a chunk that were written, and writes them to the disk.
fn restore_chunk(
    archive: &Chain,
    opener: &SectorCipher,
    target: &Disk,
    found: &Located,
    chunk: &mut [u8; CHUNK_BYTES],
) -> Result<u64> {
    let sector = archive.sector_size();
    let len = archive.cut().len_of(found.index);
    // Asked while they are sealed: a written sector may well be opened to zeros.
    let runs: Vec<_> = written_runs(&chunk[..len], sector.bytes()).collect();
    let mut total = 0;
    for run in runs {
        let at = ByteOffset::new(found.index.start().get() + run.start as u64);
        let sealed = SectorBuf::<Sealed>::to_load(&mut chunk[run], sector);
        let plain = opener.open(sector.sector_at(at), sealed);
        total += write_all(target, at, plain.as_plain())?;
    }
    Ok(total)
}

fn write_all(target: &Disk, at: ByteOffset, bytes: &[u8]) -> Result<u64> {
    let written = target.write_at(at, bytes)?;
    // `check_fit` has seen that everything lies on the disk.
    match written == bytes.len() {
        true => Ok(written as u64),
        false => Err(Error::new(ErrorKind::Internal, "the disk is smaller than it was")),
    }
}
