//! Looking names up and listing directories, as one caller sees them.

use super::attributes::FileKind;
use super::files::ControlFile;
use super::inode::Inode;
use super::namespace::Namespace;
use super::node::Node;
use super::objects::Collection;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Alias, Name};

/// The control directory's name: found by name, not listed (INTERFACE section 1).
const CONTROL: &str = ".evs";
/// Makes an object of a collection.
pub(super) const CREATE: &str = "create";
/// The directory of the keys whose aliases begin with `evs/`.
pub(super) const EVS: &str = "evs";

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
            Node::Control => Collection::from_name(name).map(Node::Collection).or_else(|| {
                ControlFile::from_name(name)
                    .filter(|file| self.has_file(caller, *file))
                    .map(Node::ControlFile)
            }),
            // The verb goes before an object of its name, which `control` and the command line reach.
            Node::Collection(collection) if name == CREATE && has_create(collection) => {
                Some(Node::Create(collection))
            }
            Node::Collection(Collection::Keys) if name == EVS => Some(Node::EvsKeys),
            Node::Collection(collection) => {
                self.object_named(caller, collection, name).map(Node::Object)
            }
            Node::EvsKeys => {
                self.key_named(caller, &format!("{}{name}", Alias::EVS_PREFIX)).map(Node::Object)
            }
            Node::Object(object) => object.file_named(name).map(Node::ObjectFile),
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
                for collection in Collection::ALL {
                    add(collection.name(), Node::Collection(*collection));
                }
            }
            Node::Collection(collection) => {
                let has_create = has_create(collection);
                if has_create {
                    add(CREATE, Node::Create(collection));
                }
                if collection == Collection::Keys {
                    add(EVS, Node::EvsKeys);
                }
                for (name, object) in self.objects(caller, collection) {
                    if !(has_create && name == CREATE) {
                        add(&name, Node::Object(object));
                    }
                }
            }
            Node::EvsKeys => {
                for (name, object) in self.evs_keys(caller) {
                    add(&name, Node::Object(object));
                }
            }
            Node::Object(object) => {
                let files = object.files();
                files.iter().for_each(|file| add(file.name(), Node::ObjectFile(*file)));
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
            Node::Object(object) => Node::Collection(object.collection()),
            Node::EvsKeys => Node::Collection(Collection::Keys),
            Node::Collection(_) => Node::Control,
            _ => Node::Root,
        }
    }

    /// Whether a file of `.evs` is there for the caller (RULES A7).
    pub(super) fn has_file(&self, caller: Caller, file: ControlFile) -> bool {
        file != ControlFile::Audit || self.service().may_read_audit(caller)
    }
}

fn has_create(collection: Collection) -> bool {
    collection.create_operation().is_some()
}
