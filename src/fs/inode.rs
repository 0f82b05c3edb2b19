//! Inode numbers.
//!
//! | number | node |
//! |---|---|
//! | 1 to 3 | the mount, `.evs`, `.evs/keys/evs` |
//! | 4 + 2n, 5 + 2n | collection n and its `create` |
//! | 64 to 255 | the files of `.evs` |
//! | serial × 256 + 0 | the control directory of an object |
//! | serial × 256 + 1 + slot | a file in it |
//! | 2^62 + n | the file of attachment n |
//!
//! Serials and attachment numbers are never used twice while the daemon lives, so a number means
//! one thing for ever and no lookup count has to be kept.

use super::files::ControlFile;
use super::node::Node;
use super::objects::{Collection, Object};
use crate::service::AttachmentId;
use crate::sync::RwLock;
use std::collections::HashMap;

const CONTROL: u64 = 2;
const EVS_KEYS: u64 = 3;
const FIRST_COLLECTION: u64 = 4;
const FIRST_CONTROL_FILE: u64 = 64;
const SLOTS: u64 = 256;
const FIRST_ATTACHMENT: u64 = 1 << 62;

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
            Node::Root => return Inode::ROOT,
            Node::Control => CONTROL,
            Node::EvsKeys => EVS_KEYS,
            Node::Collection(collection) => FIRST_COLLECTION + 2 * collection.slot(),
            Node::Create(collection) => FIRST_COLLECTION + 2 * collection.slot() + 1,
            Node::ControlFile(file) => FIRST_CONTROL_FILE + file.slot(),
            Node::Object(object) => self.serial(object) * SLOTS,
            Node::ObjectFile(file) => self.serial(file.object()) * SLOTS + 1 + file.slot(),
            Node::File(id) => return Inode::of_attachment(id),
        };
        Inode(number)
    }

    /// The node with a number, if there ever was one.
    pub fn node(&self, inode: Inode) -> Option<Node> {
        let number = inode.0;
        if let Some(attachment) = number.checked_sub(FIRST_ATTACHMENT) {
            return Some(Node::File(AttachmentId::new(attachment)));
        }
        match number {
            0 => None,
            1 => Some(Node::Root),
            CONTROL => Some(Node::Control),
            EVS_KEYS => Some(Node::EvsKeys),
            FIRST_COLLECTION..FIRST_CONTROL_FILE => {
                let collection = Collection::from_slot((number - FIRST_COLLECTION) / 2)?;
                Some(match number % 2 {
                    0 => Node::Collection(collection),
                    _ => Node::Create(collection),
                })
            }
            FIRST_CONTROL_FILE..SLOTS => {
                ControlFile::from_slot(number - FIRST_CONTROL_FILE).map(Node::ControlFile)
            }
            _ => {
                let object = self.object(number / SLOTS)?;
                match (number % SLOTS).checked_sub(1) {
                    None => Some(Node::Object(object)),
                    Some(slot) => object.file_at(slot).map(Node::ObjectFile),
                }
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
    use crate::id::{DiskId, ImageId, JobId, KeyId, ServerId};

    #[test]
    fn every_node_has_a_number_of_its_own_and_is_found_by_it() {
        let inodes = Inodes::default();
        let objects = [
            Object::Disk(DiskId::random()),
            Object::Key(KeyId::random()),
            Object::Image(ImageId::random()),
            Object::Server(ServerId::random()),
            Object::Job(JobId::random()),
        ];
        let mut nodes = vec![Node::Root, Node::Control, Node::EvsKeys];
        nodes.extend(Collection::ALL.iter().map(|collection| Node::Collection(*collection)));
        nodes.extend(Collection::ALL.iter().map(|collection| Node::Create(*collection)));
        nodes.extend(ControlFile::ALL.iter().map(|file| Node::ControlFile(*file)));
        nodes.push(Node::File(AttachmentId::new(7)));
        for object in objects {
            nodes.push(Node::Object(object));
            nodes.extend(object.files().into_iter().map(Node::ObjectFile));
        }
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
        for number in [0, 40, 63, 200, 255, 256, 5000, u64::MAX >> 3] {
            assert_eq!(inodes.node(Inode::new(number)), None, "{number}");
        }
    }
}
