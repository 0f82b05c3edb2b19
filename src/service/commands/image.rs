//! Commands on images.

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, Name};
use crate::service::{Fields, Reply, Service};
use crate::units::ByteLen;

/// A command on images.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageCommand {
    /// Make one of a disk: the image, the disk, at most so many bytes a second.
    Create(Name, Name, Option<u64>),
    /// Make one that waits for its content.
    Import(ImageImport),
    /// The content is complete: at most so many bytes a second.
    Finish(Name, Option<u64>),
    /// Make one of another.
    Copy(Name, ImageCopy),
    /// All images the caller may see.
    List,
    /// One image.
    Show(Name),
    /// Remove it.
    Delete(Name),
}

/// What an imported image shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageImport {
    /// Its name.
    pub name: Name,
    /// The size of its content.
    pub size: ByteLen,
    /// Encrypted or not for life; `None` is encrypted when a key is named.
    pub encrypted: Option<bool>,
    /// The master key; `None` leaves it to the project's default.
    pub key: Option<Alias>,
}

/// What a copy of an image shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCopy {
    /// Its name.
    pub name: Name,
    /// Encrypted or not for life; `None` is as the source, or encrypted when a key is named.
    pub encrypted: Option<bool>,
    /// The master key; `None` leaves it to the project's default.
    pub key: Option<Alias>,
    /// Bytes a second.
    pub limit: Option<u64>,
}

impl ImageCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<ImageCommand>> {
        Ok(Some(match verb {
            "create" => create(words)?,
            "import" => import(words)?,
            "copy" => copy(words, "source")?,
            "finish" => ImageCommand::Finish(words.need_name("name")?, words.take_limit()?),
            "list" => ImageCommand::List,
            "show" => ImageCommand::Show(words.need_name("name")?),
            "delete" => ImageCommand::Delete(words.need_name("name")?),
            _ => return Ok(None),
        }))
    }
}

impl From<ImageCommand> for Command {
    fn from(command: ImageCommand) -> Self {
        Command::Image(command)
    }
}

impl Service {
    pub(super) fn execute_on_images(&self, caller: Caller, command: ImageCommand) -> Result<Reply> {
        match command {
            ImageCommand::Create(name, disk, limit) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                let (disk, _permit) = self.usable(caller, &disk)?;
                self.create_image(permit, name, disk, limit)
            }
            ImageCommand::Import(request) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                Ok(Reply::Image(self.import_image(permit, request)?))
            }
            ImageCommand::Finish(name, limit) => {
                let (entry, permit) = self.usable_image(caller, &name)?;
                self.finish_image(permit, &entry, limit)
            }
            ImageCommand::Copy(source, request) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                let (source, _permit) = self.usable_image(caller, &source)?;
                self.copy_image(permit, &source, request)
            }
            ImageCommand::List => Ok(Reply::Images(self.list_images(caller)?)),
            ImageCommand::Show(name) => {
                let (entry, _permit) = self.usable_image(caller, &name)?;
                Ok(Reply::Image(self.describe_image(&entry)))
            }
            ImageCommand::Delete(name) => {
                let (entry, permit) = self.usable_image(caller, &name)?;
                self.delete_image(permit, &entry)?;
                Ok(Reply::DONE)
            }
        }
    }
}

/// One line makes an image in each of the three ways, by what it names: a disk, an image, or a size.
fn create(words: &mut Fields) -> Result<ImageCommand> {
    if words.has("image") {
        return copy(words, "image");
    }
    if words.has("size") {
        return import(words);
    }
    let (name, disk) = (words.need_name("name")?, words.need_name("disk")?);
    Ok(ImageCommand::Create(name, disk, words.take_limit()?))
}

fn import(words: &mut Fields) -> Result<ImageCommand> {
    let size = ByteLen::parse(&words.need_text("size")?).map_err(|cause| {
        Error::new(ErrorKind::Invalid, "the size is malformed")
            .code(Code::EVS_1010)
            .caused_by(cause)
    })?;
    Ok(ImageCommand::Import(ImageImport {
        name: words.need_name("name")?,
        size,
        encrypted: words.take_flag("encrypted")?,
        key: words.take_alias("key")?,
    }))
}

fn copy(words: &mut Fields, source: &str) -> Result<ImageCommand> {
    let source = words.need_name(source)?;
    let copy = ImageCopy {
        name: words.need_name("name")?,
        encrypted: words.take_flag("encrypted")?,
        key: words.take_alias("key")?,
        limit: words.take_limit()?,
    };
    Ok(ImageCommand::Copy(source, copy))
}
