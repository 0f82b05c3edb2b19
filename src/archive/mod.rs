//! Copies of disks, in sealed bytes: written, chained, verified, merged, re-sealed and packed.
//!
//! The engines know no names, owners, jobs or keys of the KMS. They take a
//! [`SealedSource`](crate::disk::SealedSource) and directories, and give records; `service`
//! decides, saves the records and deletes.
//!
//! An archive (a backup, or an image) is a directory named by its id:
//!
//! | file | what it is |
//! |---|---|
//! | the record | kept by `service` under the root key's seal; [`ArchiveRecord`] is a part of it |
//! | `manifest.<n>` | the chunks of 64 KiB it holds and their digests; `manifest` has the form |
//! | `data` | the sealed chunks at their offsets on the disk; sparse, as long as the disk |
//!
//! A full archive holds every chunk that is not all zeros. An incremental one holds those that
//! differ from its parent's; [`Chain`] joins them. Data is found out to be wrong by the digest in
//! the manifest, the manifest by its number, length and digest in the record, the record by its
//! seal: no key is needed to tell.
//!
//! Promises:
//!
//! * an engine that fails, or is ended by its [`Meter`], leaves its source as it was and its target
//!   empty (or, in a merge, as it was);
//! * when it succeeds, all it wrote is durable; only then is there a record to save;
//! * nothing is made of a chunk before its digest has turned out right;
//! * memory is the same for every size of disk.
//!
//! Not covered: putting back an older archive with its own genuine record.
//!
//! | file | noun |
//! |---|---|
//! | `record` | what is remembered of an archive |
//! | `folder` | its directory, before and after it is whole |
//! | `manifest`, `manifest_reader`, `manifest_writer` | its chunks' digests: form, and the two ways |
//! | `data_file` | its chunks |
//! | `chunk` | the pieces of a disk, and digests |
//! | `damage` | how it is said that a file is not as it was |
//! | `meter` | how progress is reported and a copy is ended |
//! | `workers` | several threads, one order |
//! | `plan`, `write` | full and incremental copies |
//! | `chain`, `chain_cursor` | archives that together hold a disk |
//! | `chain_source`, `manifest_index` | a chain read in any order |
//! | `sealing_source` | a plain source, sealed on the way |
//! | `verify`, `reseal`, `merge` | what is done with them |
//! | `pack_format`, `pack`, `unpack` | archives as one stream: form, and the two ways |

mod chain;
mod chain_cursor;
mod chain_source;
mod chunk;
mod damage;
mod data_file;
mod folder;
mod manifest;
mod manifest_index;
mod manifest_reader;
mod manifest_writer;
mod merge;
mod meter;
mod pack;
mod pack_format;
mod plan;
mod record;
mod reseal;
mod sealing_source;
mod unpack;
mod verify;
mod workers;
mod write;

pub use chain::Chain;
pub use chain_source::ChainSource;
pub use chunk::{CHUNK, ChunkIndex, Digest};
pub use folder::{Archive, NewArchive, Written};
pub use merge::{Merged, merge_into_child};
pub use meter::{Meter, Unmetered};
pub use pack::{pack_chain, pack_flat};
pub use plan::{Changes, Ranges};
pub use record::{ArchiveRecord, ManifestSeal, Sealing};
pub use reseal::reseal;
pub use sealing_source::SealingSource;
pub use unpack::{PackedMember, Unpacker};
pub use verify::verify;
pub use write::{write_full, write_incremental};
