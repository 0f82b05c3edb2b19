//! What stat(2) tells, and what setattr may change.

use super::inode::Inode;
use crate::id::Uid;
use std::time::SystemTime;

/// Directory or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
}

/// The attributes of a node, as one caller sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Its inode number.
    pub inode: Inode,
    /// Directory or file.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// Space really used, in units of 512 bytes.
    pub blocks: u64,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub owner: Uid,
    /// Last change.
    pub modified: SystemTime,
}

/// What a setattr request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// New permission bits.
    pub mode: Option<u32>,
    /// New owner.
    pub owner: Option<u32>,
    /// New group.
    pub group: Option<u32>,
    /// New length, and whether it came through an open file (ftruncate) or not (O_TRUNC).
    pub size: Option<u64>,
    /// Whether the request came through an open file.
    pub is_through_file: bool,
}
