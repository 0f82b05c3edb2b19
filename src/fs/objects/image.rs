//! `.evs/images/NAME`

use super::object::Object;
use crate::auth::Caller;
use crate::error::Result;
use crate::fs::files::control_files;
use crate::fs::handle::Handle;
use crate::fs::namespace::Namespace;
use crate::fs::values::{gone, yes_or_no};
use crate::fs::verbs::{not_written, wants};
use crate::id::{ImageId, Name};
use crate::service::{Command, ImageCommand, ImageInfo, ImageStatus};

control_files! {
    /// The files of an image's control directory.
    ImageFile {
        Id = "id" Value,
        Status = "status" Value,
        Size = "size" Value,
        Stored = "stored" Value,
        Encrypted = "encrypted" Value,
        Key = "key" Value,
        KeyState = "key-state" Value,
        KeyVersion = "key-version" Value,
        SectorSize = "sector-size" Value,
        Owner = "owner" Value,
        Created = "created" Value,
        Source = "source" Value,
        Data = "data" Both,
        Finish = "finish" Verb,
        Delete = "delete" Verb,
    }
}

impl Namespace {
    pub(super) fn images(&self, caller: Caller) -> Vec<(String, Object)> {
        let visible = self.service().visible_images(caller).into_iter();
        visible.map(|entry| (entry.name().to_string(), Object::Image(entry.id()))).collect()
    }

    pub(super) fn image_named(&self, caller: Caller, name: &str) -> Option<Object> {
        let name = Name::parse(name).ok()?;
        let entry = self.service().visible_image_named(caller, &name)?;
        Some(Object::Image(entry.id()))
    }

    pub(super) fn image_value(
        &self,
        caller: Caller,
        id: ImageId,
        file: ImageFile,
    ) -> Result<String> {
        let entry = self.service().visible_image(caller, id).ok_or_else(gone)?;
        Ok(shown(&self.service().describe_image(&entry), file))
    }

    pub(super) fn image_command(
        &self,
        caller: Caller,
        id: ImageId,
        file: ImageFile,
        text: &str,
    ) -> Result<Command> {
        let entry = self.service().visible_image(caller, id).ok_or_else(gone)?;
        let name = entry.name().clone();
        match file {
            ImageFile::Finish if text.is_empty() => Ok(ImageCommand::Finish(name, None).into()),
            ImageFile::Finish => Err(wants("finish", "a newline")),
            ImageFile::Delete if text == name.as_str() => Ok(ImageCommand::Delete(name).into()),
            ImageFile::Delete => Err(wants("delete", "the image's own name")),
            _ => Err(not_written()),
        }
    }

    /// Size and permission bits of `data`: written while it is imported, read when it is there and
    /// not encrypted.
    pub(super) fn image_data(&self, caller: Caller, id: ImageId) -> Result<(u64, u16)> {
        let entry = self.service().visible_image(caller, id).ok_or_else(gone)?;
        let state = entry.state();
        let mode = match state.status {
            ImageStatus::Importing => 0o200,
            ImageStatus::Available => 0o400,
            ImageStatus::Creating
            | ImageStatus::Rewrapping
            | ImageStatus::Deleting
            | ImageStatus::ErrorDeleting => 0,
        };
        Ok((state.record.size().get(), mode))
    }

    /// Opens `data`.
    pub(super) fn open_image_data(
        &self,
        caller: Caller,
        id: ImageId,
        for_writing: bool,
    ) -> Result<Handle> {
        let entry = self.service().visible_image(caller, id).ok_or_else(gone)?;
        match for_writing {
            true => {
                let upload = self.service().open_image_upload(caller, &entry)?;
                Ok(Handle::ImageUpload { caller, upload })
            }
            false => {
                let content = self.service().open_image_content(caller, &entry)?;
                Ok(Handle::ImageContent { caller, content })
            }
        }
    }
}

fn shown(image: &ImageInfo, file: ImageFile) -> String {
    let optional = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let value = match file {
        ImageFile::Id => image.id.to_string(),
        ImageFile::Status => image.status.to_owned(),
        ImageFile::Size => image.size.to_string(),
        ImageFile::Stored => image.stored.map(|n| n.to_string()).unwrap_or_default(),
        ImageFile::Encrypted => yes_or_no(image.encrypted),
        ImageFile::Key => optional(image.key.as_deref()),
        ImageFile::KeyState => optional(image.key_state),
        ImageFile::KeyVersion => image.key_version.map(|n| n.to_string()).unwrap_or_default(),
        ImageFile::SectorSize => image.sector_size.to_string(),
        ImageFile::Owner => image.owner.to_string(),
        ImageFile::Created => image.created.clone(),
        ImageFile::Source => image.source.clone(),
        ImageFile::Data | ImageFile::Finish | ImageFile::Delete => String::new(),
    };
    value + "\n"
}
