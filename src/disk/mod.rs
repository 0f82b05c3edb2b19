//! An open disk: bytes in, sealed sectors out.
//!
//! A [`Disk`] joins a payload and a cipher and offers any offset and any length over them. It knows
//! no policy and no names; whoever opens one has decided that it may be open.
//!
//! Promises:
//!
//! * sectors are atomic: a read sees each sector as it was wholly before or wholly after any one
//!   write or discard, and a write of part of a sector never loses a neighbour's;
//! * `payload` is the only caller of the backing's write, and takes sealed sectors only;
//! * no allocation and no lock but the region guard on the way of whole sectors;
//! * a [`Snapshot`] holds what was acknowledged before it began, and nothing that was asked later;
//! * after [`Disk::revoke`] returns, cipher and payload are gone, however many handles are left;
//! * after [`Disk::suspend`] returns, the cipher is gone and nothing unwritten is left, and requests are
//!   refused as `suspended` until the disk is given a cipher again.
//!
//! | file | noun |
//! |---|---|
//! | `open` | the disk: opening, size, growth, revocation |
//! | `read`, `write`, `discard`, `holes` | what may be asked of it |
//! | `materialize` | what was never written, sealed |
//! | `span` | which sectors a byte range covers, and how (pure) |
//! | `region` | guards of parts of the disk, which also lend cipher and payload |
//! | `payload` | sealed sectors at rest |
//! | `buffer` | the per-thread memory that sectors pass through |
//! | `suspension` | a disk without its key for a while |
//! | `flush` | one flush for many callers, failures told to every open file |
//! | `plain_file` | the file that others may read in the disk's place |
//! | `sealed_source` | what a copy engine reads from |
//! | `snapshot` | a copy of a point in time of a busy disk, from its begin to its end |
//! | `point` | what was there then, kept until it has been read |
//! | `changes` | which regions changed since the last backup, for the next one |
//! | `changed_regions` | such a set of regions, and how it is written down |
//! | `region_map` | the sparse set under these two |
//! | `detached` | a disk that nobody has attached, read without its key |
//! | `counters` | what happened so far, and how long it took |

mod buffer;
mod changed_regions;
mod changes;
mod counters;
mod detached;
mod discard;
mod flush;
mod holes;
mod materialize;
mod open;
mod payload;
mod plain_file;
mod point;
mod read;
mod region;
mod region_map;
mod sealed_source;
mod snapshot;
mod span;
mod suspension;
mod write;

pub use crate::backing::{Access, ReadableFile};
pub use changed_regions::ChangedRegions;
pub use counters::{Counters, DiskActivity, DiskOperation, OperationCounters};
pub use detached::DetachedDisk;
pub use flush::FlushCursor;
pub use open::Disk;
pub use sealed_source::SealedSource;
pub use snapshot::Snapshot;
pub use span::MAX_REQUEST;
