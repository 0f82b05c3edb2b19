//! Small authenticated documents, replaced atomically (INTERFACE section 7, RULES K8).
//!
//! [`Records`] turns values into sealed TOML documents and back; a [`RecordStore`] keeps the bytes.
//! A reader gets a value only from a document whose seal, made under the root key, fits its content
//! and its path, and which the ledger names as the newest there: editing, cutting, moving or deleting
//! one, or putting an older one back, is noticed and refused by name. A writer that fails or dies
//! leaves the old document or the new one.
//!
//! Not covered: the whole state directory put back as it was earlier, the ledger with it.
//!
//! [`Groups`] is how those who write to one log at the same time share its synchronisation.
//!
//! [`PrivateDir`] and [`PrivateFile`] are the files underneath, for others who keep small files
//! that nobody else may read.

mod dir_store;
mod document;
mod groups;
mod ledger;
mod memory_store;
mod path;
mod private_dir;
mod private_file;
mod sealed_records;
mod store;

pub use dir_store::DirStore;
pub use groups::Groups;
pub use memory_store::MemoryStore;
pub use path::RecordPath;
pub use private_dir::PrivateDir;
pub use private_file::PrivateFile;
pub use sealed_records::Records;
pub use store::{Aside, MAX_RECORD_BYTES, RecordStore, Survey};
