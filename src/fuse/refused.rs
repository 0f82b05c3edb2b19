//! Answers for what this file system does not do.

use fuser::{Errno, ReplyXattr};

/// Names follow the disks: nobody makes, moves, links or removes them here (INTERFACE section 2).
pub(super) const NAMES: Errno = Errno::EPERM;

/// There are no extended attributes to set.
pub(super) const XATTR: Errno = Errno::EOPNOTSUPP;

/// No attribute has this name.
pub(super) fn no_such_xattr(reply: ReplyXattr) {
    reply.error(Errno::NO_XATTR);
}

/// The empty list of attributes: its length when `size` is 0, else itself.
pub(super) fn no_xattrs(size: u32, reply: ReplyXattr) {
    if size == 0 {
        reply.size(0);
    } else {
        reply.data(&[]);
    }
}
