//! Looking names up and listing directories, as one caller sees them.

use super::attributes::FileKind;
use super::inode::Inode;
use super::namespace::Namespace;
use super::node::{ControlFile, DiskFile, KeyFile, Node};
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Alias, KeyId, Name};

/// The control directory's name: found by name, not listed (INTERFACE section 1).
const CONTROL: &str = ".evs";
const CREATE: &str = "create";
/// The directory of the keys whose aliases begin with `evs/`.
const EVS: &str = "evs";

/// An entry of a directory.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its inode number.
    pub inode: Inode,
    /// Directory or file.
    pub kind: FileKind,
}

impl Namespace {
    /// The node of a name in a directory.
    ///
    /// # Errors
    /// `not-found` when there is none that the caller may see.
    pub(super) fn child(&self, caller: Caller, parent: Node, name: &str) -> Result<Node> {
        let found = match parent {
            Node::Root if name == CONTROL => Some(Node::Control),
            Node::Root => Name::parse(name)
                .ok()
                .and_then(|name| self.service().attachment(&name))
                .filter(|open| self.may_use(caller, open.owner()))
                .map(|open| Node::File(open.id())),
            Node::Control => match name {
                "disks" => Some(Node::Disks),
                "keys" => Some(Node::Keys),
                name => ControlFile::from_name(name)
                    .filter(|file| self.has_file(caller, *file))
                    .map(Node::ControlFile),
            },
            // The verb goes before a disk of its name, which `control` and the command line reach.
            Node::Disks if name == CREATE => Some(Node::DiskCreate),
            Node::Disks => self.disk_named(caller, name),
            Node::Disk(id) => DiskFile::from_name(name).map(|file| Node::DiskFile(id, file)),
            Node::Keys => match name {
                CREATE => Some(Node::KeyCreate),
                EVS => Some(Node::EvsKeys),
                name => self.key_named(caller, name),
            },
            Node::EvsKeys => self.key_named(caller, &format!("{}{name}", Alias::EVS_PREFIX)),
            Node::Key(id) => KeyFile::from_name(name).map(|file| Node::KeyFile(id, file)),
            _ => None,
        };
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such file"))
    }

    /// The entries of a directory, `.` and `..` first.
    pub(super) fn entries(&self, caller: Caller, directory: Node) -> Vec<Listed> {
        let mut entries =
            vec![self.listed(".", directory), self.listed("..", Namespace::parent(directory))];
        let mut add = |name: &str, node: Node| entries.push(self.listed(name, node));
        match directory {
            Node::Root => {
                for open in self.service().attachments() {
                    if self.may_use(caller, open.owner()) {
                        add(open.name().as_str(), Node::File(open.id()));
                    }
                }
            }
            Node::Control => {
                let files = ControlFile::ALL.iter().filter(|file| self.has_file(caller, **file));
                files.for_each(|file| add(file.name(), Node::ControlFile(*file)));
                add("disks", Node::Disks);
                add("keys", Node::Keys);
            }
            Node::Disks => {
                add(CREATE, Node::DiskCreate);
                for entry in self.service().visible_disks(caller) {
                    if entry.name().as_str() != CREATE {
                        add(entry.name().as_str(), Node::Disk(entry.id()));
                    }
                }
            }
            Node::Disk(id) => {
                DiskFile::ALL.iter().for_each(|file| add(file.name(), Node::DiskFile(id, *file)));
            }
            Node::Keys => {
                add(CREATE, Node::KeyCreate);
                add(EVS, Node::EvsKeys);
                for view in self.service().visible_keys(caller) {
                    let is_shadowed = [CREATE, EVS].contains(&view.alias.as_str());
                    if !view.alias.is_reserved() && !is_shadowed {
                        add(view.alias.as_str(), Node::Key(view.id));
                    }
                }
            }
            Node::EvsKeys => {
                for view in self.service().visible_keys(caller) {
                    if let Some(name) = view.alias.as_str().strip_prefix(Alias::EVS_PREFIX) {
                        add(name, Node::Key(view.id));
                    }
                }
            }
            Node::Key(id) => {
                KeyFile::ALL.iter().for_each(|file| add(file.name(), Node::KeyFile(id, *file)));
            }
            _ => {}
        }
        entries
    }

    fn listed(&self, name: &str, node: Node) -> Listed {
        let kind = if node.is_directory() { FileKind::Directory } else { FileKind::Regular };
        Listed { name: name.to_owned(), inode: self.number(node), kind }
    }

    fn parent(node: Node) -> Node {
        match node {
            Node::Disk(_) => Node::Disks,
            Node::Key(_) | Node::EvsKeys => Node::Keys,
            Node::Disks | Node::Keys => Node::Control,
            _ => Node::Root,
        }
    }

    fn disk_named(&self, caller: Caller, name: &str) -> Option<Node> {
        let name = Name::parse(name).ok()?;
        let entry = self.service().visible_disk_named(caller, &name)?;
        Some(Node::Disk(entry.id()))
    }

    fn key_named(&self, caller: Caller, alias: &str) -> Option<Node> {
        let alias = Alias::parse(alias).ok()?;
        Some(Node::Key(self.service().visible_key(caller, &alias)?.id))
    }

    /// Whether a file of `.evs` is there for the caller (RULES A7).
    pub(super) fn has_file(&self, caller: Caller, file: ControlFile) -> bool {
        file != ControlFile::Audit || self.service().may_read_audit(caller)
    }

    /// Whether a key with this id is there for the caller.
    pub(super) fn has_key(&self, caller: Caller, id: KeyId) -> bool {
        self.key_with_id(caller, id).is_some()
    }
}
