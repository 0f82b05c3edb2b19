//! Making an archive of a disk.

use super::chain::Chain;
use super::chunk::{CHUNK, CHUNK_BYTES, ChunkIndex, Cut, Digest, is_zero};
use super::damage::refused;
use super::data_file::DataFile;
use super::folder::{NewArchive, Written};
use super::manifest::Entry;
use super::meter::Meter;
use super::plan::{Changes, Plan, Planned};
use super::record::{ArchiveRecord, Sealing};
use super::workers::in_order;
use crate::disk::SealedSource;
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackupId;
use crate::units::ByteLen;

/// Chunks a worker takes at once: 256 KiB, which stay in its processor's cache from read to write.
const BATCH: usize = 4;

/// Copies all of a disk that was ever written; chunks of zeros are left out. `sealing` says with
/// which key the source is sealed, `None` for plain data (RULES P3).
///
/// # Errors
/// What the source, the meter and the file system report, `no-space` among it; the target is then
/// empty again and the source was only read.
pub fn write_full(
    source: &dyn SealedSource,
    sealing: Option<Sealing>,
    target: NewArchive,
    meter: &dyn Meter,
) -> Result<Written> {
    let cut = Cut::of(source.size())?;
    let plan = || Plan::new(source, cut, None, Changes::Unknown);
    meter.expect(plan().bytes()?);
    let plan = plan();
    Copy { source, cut, plan }.run(None, sealing, target, meter)
}

/// Copies what differs from `parents`. With known `changes` only those are read, without them all
/// of the source is.
///
/// # Errors
/// As [`write_full`]; `integrity` when a manifest of the parents is damaged, or they are not of a
/// disk that could have become the source.
pub fn write_incremental(
    source: &dyn SealedSource,
    parents: &Chain,
    changes: Changes<'_>,
    sealing: Option<Sealing>,
    target: NewArchive,
    meter: &dyn Meter,
) -> Result<Written> {
    let cut = Cut::of(source.size())?;
    check_descent(source, parents, sealing.as_ref())?;
    let expected = Plan::new(source, cut, Some(parents.cursor()?), changes.again()).bytes()?;
    meter.expect(expected);
    let plan = Plan::new(source, cut, Some(parents.cursor()?), changes);
    Copy { source, cut, plan }.run(Some(parents.newest_id()?), sealing, target, meter)
}

/// Refuses parents of another disk. One more archive must also leave the chain readable.
fn check_descent(
    source: &dyn SealedSource,
    parents: &Chain,
    sealing: Option<&Sealing>,
) -> Result<()> {
    let place = parents.newest().place().display();
    if parents.members().len() >= Chain::MAX_LEN {
        let text = format!("{place} has {} parents already", Chain::MAX_LEN - 1);
        return Err(Error::new(ErrorKind::Quota, text).remedy("make a full backup"));
    }
    let record = parents.newest().record();
    if record.sealing().map(|sealing| sealing.disk) != sealing.map(|sealing| sealing.disk)
        || record.sector_size() != source.sector_size()
        || record.size() > source.size()
    {
        return Err(refused(place, "is of another disk"));
    }
    Ok(())
}

struct Copy<'a> {
    source: &'a dyn SealedSource,
    cut: Cut,
    plan: Plan<'a>,
}

/// One worker's memory.
struct Scratch {
    bytes: Vec<u8>,
}

/// Chunks that lie in the scratch one after the other, those that are not in the source left out.
struct Batch {
    chunks: Vec<Planned>,
}

impl Copy<'_> {
    fn run(
        self,
        parent: Option<BackupId>,
        sealing: Option<Sealing>,
        target: NewArchive,
        meter: &dyn Meter,
    ) -> Result<Written> {
        let Copy { source, cut, mut plan } = self;
        let (data, mut manifest) = target.files(cut)?;
        in_order(
            || Scratch { bytes: vec![0; BATCH * CHUNK_BYTES] },
            |scratch| take(source, cut, &mut plan, scratch, meter),
            |scratch, batch| store(&data, cut, &scratch.bytes, &batch),
            |_, entries: Vec<Entry>| entries.into_iter().try_for_each(|entry| manifest.push(entry)),
        )?;
        plan.finish()?;
        data.sync()?;
        let seal = manifest.finish_durably()?;
        let record = ArchiveRecord::new(cut.size(), source.sector_size(), parent, sealing, seal);
        Ok(target.written(record))
    }
}

/// Plans the next chunks and reads them, neighbours at once.
fn take(
    source: &dyn SealedSource,
    cut: Cut,
    plan: &mut Plan<'_>,
    scratch: &mut Scratch,
    meter: &dyn Meter,
) -> Result<Option<Batch>> {
    let most = if meter.gives_way() { 1 } else { BATCH };
    let mut chunks = Vec::with_capacity(most);
    while chunks.len() < most
        && let Some(planned) = plan.next()?
    {
        chunks.push(planned);
    }
    if chunks.is_empty() {
        return Ok(None);
    }
    meter.advance(ByteLen::new(chunks.len() as u64 * CHUNK.get()))?;
    let mut rest = scratch.bytes.as_mut_slice();
    for run in chunks.chunk_by(|a, b| a.index.next() == b.index && a.in_source && b.in_source) {
        let Some(first) = run.first().filter(|first| first.in_source) else { continue };
        let len = run.iter().map(|planned| cut.len_of(planned.index)).sum();
        let (bytes, after) = rest.split_at_mut(len);
        source.read_sealed(first.index.start(), bytes)?;
        rest = after;
    }
    Ok(Some(Batch { chunks }))
}

/// Stores what differs from before; gives the entries that say so.
fn store(data: &DataFile, cut: Cut, mut bytes: &[u8], batch: &Batch) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(batch.chunks.len());
    for planned in &batch.chunks {
        let len = if planned.in_source { cut.len_of(planned.index) } else { 0 };
        let (chunk, rest) = bytes.split_at(len);
        bytes = rest;
        entries.extend(store_chunk(data, planned.index, chunk, planned.before)?);
    }
    Ok(entries)
}

fn store_chunk(
    data: &DataFile,
    index: ChunkIndex,
    chunk: &[u8],
    before: Option<Digest>,
) -> Result<Option<Entry>> {
    if is_zero(chunk) {
        return Ok(before.map(|_| Entry::zero(index)));
    }
    let digest = Digest::of_chunk(chunk);
    if before == Some(digest) {
        return Ok(None);
    }
    data.write_chunk(index, chunk)?;
    Ok(Some(Entry::data(index, digest)))
}
