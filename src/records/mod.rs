//! Small authenticated documents, replaced atomically.

mod dir_store;
mod memory_store;
mod path;
mod private_dir;
mod private_file;
mod store;

pub use dir_store::DirStore;
pub use memory_store::MemoryStore;
pub use path::RecordPath;
pub use private_dir::PrivateDir;
pub use private_file::PrivateFile;
pub use store::{MAX_RECORD_BYTES, RecordStore};
