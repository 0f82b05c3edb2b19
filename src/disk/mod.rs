//! An open disk.
