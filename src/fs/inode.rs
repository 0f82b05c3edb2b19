//! Inode numbers.
//!
//! | number | node |
//! |---|---|
//! | 1 to 15 | the fixed directories and `create` files |
//! | 16 to 255 | the files of `.evs` |
//! | serial × 256 + 0 | the control directory of an object |
//! | serial × 256 + 1 + slot | a file in it |
//! | 2^62 + n | the file of attachment n |
//!
//! Serials and attachment numbers are never used twice while the daemon lives, so a number means
//! one thing for ever and no lookup count has to be kept.

use super::node::{ControlFile, DiskFile, KeyFile, Node};
use crate::id::{DiskId, KeyId};
use crate::service::AttachmentId;
use crate::sync::RwLock;
use std::collections::HashMap;

const FIRST_CONTROL_FILE: u64 = 16;
const SLOTS: u64 = 256;
const FIRST_ATTACHMENT: u64 = 1 << 62;

const FIXED: [(u64, Node); 7] = [
    (1, Node::Root),
    (2, Node::Control),
    (3, Node::Disks),
    (4, Node::DiskCreate),
    (5, Node::Keys),
    (6, Node::KeyCreate),
    (7, Node::EvsKeys),
];

/// An inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode(u64);

impl Inode {
    /// The root directory's number.
    pub const ROOT: Inode = Inode(1);

    /// The first number that a disk's file can have; all below are control files.
    pub const FIRST_DISK_FILE: u64 = FIRST_ATTACHMENT;

    /// This number.
    pub const fn new(number: u64) -> Self {
        Inode(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of an attached disk's file.
    pub const fn of_attachment(id: AttachmentId) -> Inode {
        Inode(FIRST_ATTACHMENT + id.get())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Object {
    Disk(DiskId),
    Key(KeyId),
}

/// Translates between nodes and their numbers.
#[derive(Default)]
pub struct Inodes {
    // Protects both directions of the table of serials.
    serials: RwLock<Serials>,
}

#[derive(Default)]
struct Serials {
    of_object: HashMap<Object, u64>,
    objects: Vec<Object>,
}

impl Inodes {
    /// The number of a node.
    pub fn number(&self, node: Node) -> Inode {
        let number = match node {
            Node::File(id) => return Inode::of_attachment(id),
            Node::ControlFile(file) => FIRST_CONTROL_FILE + file.slot(),
            Node::Disk(id) => self.serial(Object::Disk(id)) * SLOTS,
            Node::DiskFile(id, file) => self.serial(Object::Disk(id)) * SLOTS + 1 + file.slot(),
            Node::Key(id) => self.serial(Object::Key(id)) * SLOTS,
            Node::KeyFile(id, file) => self.serial(Object::Key(id)) * SLOTS + 1 + file.slot(),
            Node::Root
            | Node::Control
            | Node::Disks
            | Node::DiskCreate
            | Node::Keys
            | Node::KeyCreate
            | Node::EvsKeys => {
                FIXED.iter().find(|(_, fixed)| *fixed == node).map_or(0, |(number, _)| *number)
            }
        };
        Inode(number)
    }

    /// The node with a number, if there ever was one.
    pub fn node(&self, inode: Inode) -> Option<Node> {
        let number = inode.0;
        if let Some(attachment) = number.checked_sub(FIRST_ATTACHMENT) {
            return Some(Node::File(AttachmentId::new(attachment)));
        }
        if number < FIRST_CONTROL_FILE {
            return FIXED.iter().find(|(fixed, _)| *fixed == number).map(|(_, node)| *node);
        }
        if number < SLOTS {
            return ControlFile::from_slot(number - FIRST_CONTROL_FILE).map(Node::ControlFile);
        }
        let object = self.object(number / SLOTS)?;
        let slot = (number % SLOTS).checked_sub(1);
        match (object, slot) {
            (Object::Disk(id), None) => Some(Node::Disk(id)),
            (Object::Disk(id), Some(slot)) => {
                DiskFile::from_slot(slot).map(|file| Node::DiskFile(id, file))
            }
            (Object::Key(id), None) => Some(Node::Key(id)),
            (Object::Key(id), Some(slot)) => {
                KeyFile::from_slot(slot).map(|file| Node::KeyFile(id, file))
            }
        }
    }

    fn serial(&self, object: Object) -> u64 {
        if let Some(serial) = self.serials.read().of_object.get(&object) {
            return *serial;
        }
        let mut serials = self.serials.write();
        if let Some(serial) = serials.of_object.get(&object) {
            return *serial;
        }
        serials.objects.push(object);
        // Serial 0 would collide with the fixed numbers.
        let serial = serials.objects.len() as u64;
        serials.of_object.insert(object, serial);
        serial
    }

    fn object(&self, serial: u64) -> Option<Object> {
        let at = usize::try_from(serial.checked_sub(1)?).ok()?;
        self.serials.read().objects.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_number_of_its_own_and_is_found_by_it() {
        let inodes = Inodes::default();
        let (disk, key) = (DiskId::random(), KeyId::random());
        let mut nodes: Vec<Node> = FIXED.iter().map(|(_, node)| *node).collect();
        nodes.extend(ControlFile::ALL.iter().map(|file| Node::ControlFile(*file)));
        nodes.extend([Node::Disk(disk), Node::Key(key), Node::File(AttachmentId::new(7))]);
        nodes.extend(DiskFile::ALL.iter().map(|file| Node::DiskFile(disk, *file)));
        nodes.extend(KeyFile::ALL.iter().map(|file| Node::KeyFile(key, *file)));
        let mut numbers: Vec<Inode> = nodes.iter().map(|node| inodes.number(*node)).collect();
        for (node, number) in nodes.iter().zip(&numbers) {
            assert_eq!(inodes.node(*number), Some(*node));
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), nodes.len());
    }

    #[test]
    fn numbers_that_were_never_given_out_lead_nowhere() {
        let inodes = Inodes::default();
        for number in [0, 8, 15, 200, 255, 256, 5000, u64::MAX >> 3] {
            assert_eq!(inodes.node(Inode::new(number)), None, "{number}");
        }
    }
}
