//! Objects with a control directory each, in a directory for each noun: `.evs/disks/db`.
//!
//! One noun a file. Each lists the files of an object's directory, finds the objects a caller may
//! see, and says what the files hold and what writing to them asks for. A new noun is a file here, a
//! line of [`object`] and a line in each match of [`dispatch`].

mod backup;
mod disk;
mod dispatch;
mod image;
mod job;
mod key;
mod object;
mod server;

pub use disk::DiskFile;
pub use object::{Collection, Object, ObjectFile};
