//! The nouns, their objects, and the files of an object.

use super::backup::BackupFile;
use super::disk::DiskFile;
use super::image::ImageFile;
use super::job::JobFile;
use super::key::KeyFile;
use super::server::ServerFile;
use crate::fs::files::Use;
use crate::id::{BackupId, DiskId, ImageId, JobId, KeyId, ServerId};

macro_rules! objects {
    ($($collection:ident $name:literal $variant:ident($id:ty, $file:ident),)*) => {
        /// A directory of objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Collection {
            $(#[doc = concat!("`", $name, "`")] $collection,)*
        }

        /// An object with a control directory.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Object {
            $(#[doc = concat!("One of `", $name, "`.")] $variant($id),)*
        }

        /// A file in an object's control directory.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ObjectFile {
            $(#[doc = concat!("Of one of `", $name, "`.")] $variant($id, $file),)*
        }

        impl Collection {
            /// Every collection, in the order of a listing.
            pub const ALL: &'static [Collection] = &[$(Collection::$collection,)*];

            /// The directory's name.
            pub const fn name(self) -> &'static str {
                match self { $(Collection::$collection => $name,)* }
            }
        }

        impl Object {
            /// Where the object is found.
            pub const fn collection(self) -> Collection {
                match self { $(Object::$variant(_) => Collection::$collection,)* }
            }

            /// The files of its directory, in the order of a listing.
            pub fn files(self) -> Vec<ObjectFile> {
                match self {
                    $(Object::$variant(id) => {
                        $file::ALL.iter().map(|file| ObjectFile::$variant(id, *file)).collect()
                    })*
                }
            }

            /// The file of its directory with this name.
            pub fn file_named(self, name: &str) -> Option<ObjectFile> {
                match self {
                    $(Object::$variant(id) => {
                        $file::from_name(name).map(|file| ObjectFile::$variant(id, file))
                    })*
                }
            }

            /// The file at a place in [`Object::files`].
            pub fn file_at(self, slot: u64) -> Option<ObjectFile> {
                match self {
                    $(Object::$variant(id) => {
                        $file::from_slot(slot).map(|file| ObjectFile::$variant(id, file))
                    })*
                }
            }
        }

        impl ObjectFile {
            /// The object in whose directory the file is.
            pub const fn object(self) -> Object {
                match self { $(ObjectFile::$variant(id, _) => Object::$variant(id),)* }
            }

            /// The file's name.
            pub const fn name(self) -> &'static str {
                match self { $(ObjectFile::$variant(_, file) => file.name(),)* }
            }

            /// How the file is used.
            pub const fn usage(self) -> Use {
                match self { $(ObjectFile::$variant(_, file) => file.usage(),)* }
            }

            /// The file's place in [`Object::files`].
            pub const fn slot(self) -> u64 {
                match self { $(ObjectFile::$variant(_, file) => file.slot(),)* }
            }
        }
    };
}

objects! {
    Disks "disks" Disk(DiskId, DiskFile),
    Keys "keys" Key(KeyId, KeyFile),
    Images "images" Image(ImageId, ImageFile),
    Servers "servers" Server(ServerId, ServerFile),
    Jobs "jobs" Job(JobId, JobFile),
    Backups "backups" Backup(BackupId, BackupFile),
}

impl Collection {
    /// The collection with this directory name.
    pub fn from_name(name: &str) -> Option<Collection> {
        Collection::ALL.iter().copied().find(|collection| collection.name() == name)
    }

    /// The collection's place in [`Collection::ALL`].
    pub const fn slot(self) -> u64 {
        self as u64
    }

    /// The collection at a place in [`Collection::ALL`].
    pub fn from_slot(slot: u64) -> Option<Collection> {
        Collection::ALL.get(usize::try_from(slot).ok()?).copied()
    }
}
