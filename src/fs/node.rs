//! What can be found in the tree.

use super::files::{ControlFile, Use};
use super::objects::{Collection, Object, ObjectFile};
use crate::service::AttachmentId;

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// The mount itself: the attached disks.
    Root,
    /// The file of an attached disk.
    File(AttachmentId),
    /// `.evs`
    Control,
    /// A file of `.evs`.
    ControlFile(ControlFile),
    /// `.evs/disks` and its like.
    Collection(Collection),
    /// `.evs/disks/create` and its like.
    Create(Collection),
    /// `.evs/keys/evs`
    EvsKeys,
    /// `.evs/disks/NAME` and its like.
    Object(Object),
    /// A file of `.evs/disks/NAME` and its like.
    ObjectFile(ObjectFile),
}

impl Node {
    /// Whether the node is a directory.
    pub const fn is_directory(self) -> bool {
        match self {
            Node::Root | Node::Control | Node::Collection(_) | Node::EvsKeys | Node::Object(_) => {
                true
            }
            Node::File(_) | Node::ControlFile(_) | Node::Create(_) | Node::ObjectFile(_) => false,
        }
    }

    /// How a control file is used; `None` for directories and disk files.
    pub const fn usage(self) -> Option<Use> {
        match self {
            Node::ControlFile(file) => Some(file.usage()),
            Node::Create(_) => Some(Use::Verb),
            Node::ObjectFile(file) => Some(file.usage()),
            _ => None,
        }
    }
}
