//! Deleting an archive that another one is built upon.

use super::chain::check_link;
use super::chunk::{CHUNK, ChunkIndex};
use super::data_file::DataFile;
use super::folder::Archive;
use super::manifest::{Content, Entry};
use super::manifest_reader::ManifestReader;
use super::meter::Meter;
use super::record::ArchiveRecord;
use crate::error::Result;
use crate::units::ByteLen;
use std::fs::File;
use std::ops::Range;

/// Chunks copied between two looks at the meter: 16 MiB.
const MAX_RUN: u64 = 256;

/// A child that holds all its parent held, and is waiting for its record to say so.
#[derive(Debug)]
#[must_use = "nothing has changed until the record is saved"]
pub struct Merged<'a> {
    child: &'a Archive,
    record: ArchiveRecord,
}

/// Gives `child` the chunks of its parent that it has none of its own of, so that the parent can
/// go. The order, in which a loss of power at any moment leaves the old state or the new one:
///
/// 1. the chunks are copied into the child's data, to places where the child's manifest has
///    nothing, and made durable;
/// 2. a new manifest is written beside the old one and made durable;
/// 3. the caller saves [`Merged::record`] in place of the child's: from now on the new manifest
///    and the grandparent count;
/// 4. [`Merged::tidy`] removes the old manifest, and the caller deletes the parent, which nobody
///    names any more.
///
/// What a merge that was killed before step 3 leaves is removed by [`Archive::tidy`], or overwritten
/// by the next one. Chunks are moved as they are: a damaged one is still found out by its digest.
///
/// # Errors
/// `integrity` naming the file when one of the two is damaged or `parent` is not the parent of
/// `child`; what the meter and the file system report. The child is then as it was.
pub fn merge_into_child<'a>(
    child: &'a Archive,
    parent: &Archive,
    meter: &dyn Meter,
) -> Result<Merged<'a>> {
    check_link(child, parent)?;
    child.check_manifest()?;
    parent.check_manifest()?;
    let record = take_over(child, parent, meter).inspect_err(|_| {
        // Best effort: what is left harms nobody.
        let _ = child.tidy();
    })?;
    Ok(Merged { child, record })
}

/// Steps 1 and 2.
fn take_over(child: &Archive, parent: &Archive, meter: &dyn Meter) -> Result<ArchiveRecord> {
    let (source, target) = (parent.data()?, child.data_to_change()?);
    let mut moving = Moving { source: &source, target: &target, meter, run: None };
    let mut manifest = child.next_manifest()?;
    let mut join = Join::begin(child, parent)?;
    let keeps_zeros = parent.record().parent().is_some();
    while let Some((owner, entry)) = join.next()? {
        match (owner, entry.content) {
            // Nothing is left to be hidden by it.
            (_, Content::Zero) if !keeps_zeros => continue,
            (Owner::Parent, Content::Data(_)) => moving.push(entry.index)?,
            (Owner::Child, _) | (Owner::Parent, Content::Zero) => {}
        }
        manifest.push(entry)?;
    }
    moving.flush()?;
    target.sync()?;
    let seal = manifest.finish_durably()?;
    Ok(child.record().rebased(parent.record().parent(), seal))
}

impl Merged<'_> {
    /// The record that makes the merge count.
    pub fn record(&self) -> &ArchiveRecord {
        &self.record
    }

    /// Removes what the record, which has been saved, no longer names.
    ///
    /// # Errors
    /// `io`; what is left harms nobody and [`Archive::tidy`] removes it.
    pub fn tidy(self) -> Result<()> {
        self.child.remove_other_manifests(self.record.manifest)
    }
}

impl Archive {
    /// Removes what a merge that was killed has left: other manifests, and data that the manifest
    /// does not name. Nobody else has the archive open.
    ///
    /// # Errors
    /// `integrity` naming the file when the manifest is damaged, and nothing was removed; `io`.
    pub fn tidy(&self) -> Result<()> {
        self.check_manifest()?;
        self.remove_other_manifests(self.record().manifest)?;
        let data = self.data_to_change()?;
        let mut manifest = self.manifest()?;
        let mut gap = 0;
        while let Some(entry) = manifest.next()? {
            let start = entry.index.start().get();
            if let Content::Data(_) = entry.content {
                data.discard(gap..start)?;
                gap = start + self.cut().len_of(entry.index) as u64;
            }
        }
        data.discard(gap..self.cut().size().get())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Child,
    Parent,
}

/// The entries of two manifests, the child's where both have one.
struct Join {
    child: ManifestReader<File>,
    parent: ManifestReader<File>,
    of_child: Option<Entry>,
    of_parent: Option<Entry>,
}

impl Join {
    fn begin(child: &Archive, parent: &Archive) -> Result<Self> {
        let (mut child, mut parent) = (child.manifest()?, parent.manifest()?);
        let (of_child, of_parent) = (child.next()?, parent.next()?);
        Ok(Join { child, parent, of_child, of_parent })
    }

    fn next(&mut self) -> Result<Option<(Owner, Entry)>> {
        let (of_child, of_parent) = (self.of_child, self.of_parent);
        let owner = match (of_child, of_parent) {
            (None, None) => return Ok(None),
            (Some(child), Some(parent)) if parent.index < child.index => Owner::Parent,
            (None, Some(_)) => Owner::Parent,
            (Some(_), _) => Owner::Child,
        };
        let is_shared = of_child.map(|entry| entry.index) == of_parent.map(|entry| entry.index);
        if owner == Owner::Child {
            self.of_child = self.child.next()?;
        }
        if owner == Owner::Parent || is_shared {
            self.of_parent = self.parent.next()?;
        }
        Ok(match owner {
            Owner::Child => of_child,
            Owner::Parent => of_parent,
        }
        .map(|entry| (owner, entry)))
    }
}

/// Copies chunks, neighbours at once.
struct Moving<'a> {
    source: &'a DataFile,
    target: &'a DataFile,
    meter: &'a dyn Meter,
    run: Option<Range<ChunkIndex>>,
}

impl Moving<'_> {
    fn push(&mut self, index: ChunkIndex) -> Result<()> {
        match &mut self.run {
            Some(run) if run.end == index && index.get() - run.start.get() < MAX_RUN => {
                run.end = index.next();
                Ok(())
            }
            _ => {
                self.flush()?;
                self.run = Some(index..index.next());
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let chunks = run.end.get() - run.start.get();
        self.meter.advance(ByteLen::new(chunks * CHUNK.get()))?;
        self.target.copy_from(self.source, run)
    }
}
