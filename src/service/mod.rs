//! Commands and the life of a disk.
