//! `.evs/servers/NAME`

use super::object::Object;
use crate::auth::Caller;
use crate::error::Result;
use crate::fs::files::control_files;
use crate::fs::namespace::Namespace;
use crate::fs::values::{gone, one_a_line, yes_or_no};
use crate::fs::verbs::{not_written, wants};
use crate::id::{Name, ServerId};
use crate::service::{Command, DataDisks, ServerCommand, ServerInfo};

control_files! {
    /// The files of a server's control directory.
    ServerFile {
        Id = "id" Value,
        Status = "status" Value,
        Image = "image" Value,
        Encrypted = "encrypted" Value,
        SystemDisk = "system-disk" Value,
        DataDisks = "data-disks" Value,
        Attached = "attached" Value,
        Owner = "owner" Value,
        Created = "created" Value,
        Delete = "delete" Verb,
    }
}

impl Namespace {
    pub(super) fn servers(&self, caller: Caller) -> Vec<(String, Object)> {
        let visible = self.service().visible_servers(caller).into_iter();
        visible.map(|entry| (entry.name().to_string(), Object::Server(entry.id()))).collect()
    }

    pub(super) fn server_named(&self, caller: Caller, name: &str) -> Option<Object> {
        let name = Name::parse(name).ok()?;
        let entry = self.service().visible_server_named(caller, &name)?;
        Some(Object::Server(entry.id()))
    }

    pub(super) fn server_value(
        &self,
        caller: Caller,
        id: ServerId,
        file: ServerFile,
    ) -> Result<String> {
        let entry = self.service().visible_server(caller, id).ok_or_else(gone)?;
        Ok(shown(&self.service().describe_server(&entry), file))
    }

    pub(super) fn server_command(
        &self,
        caller: Caller,
        id: ServerId,
        file: ServerFile,
        text: &str,
    ) -> Result<Command> {
        let entry = self.service().visible_server(caller, id).ok_or_else(gone)?;
        let name = entry.name().clone();
        if file != ServerFile::Delete {
            return Err(not_written());
        }
        match text.strip_prefix(name.as_str()) {
            Some("") => Ok(ServerCommand::Delete(name, DataDisks::Keep).into()),
            Some(" with-data-disks") => Ok(ServerCommand::Delete(name, DataDisks::Delete).into()),
            _ => Err(wants("delete", "the server's own name, and with-data-disks if they go too")),
        }
    }
}

fn shown(server: &ServerInfo, file: ServerFile) -> String {
    let value = match file {
        ServerFile::Id => server.id.to_string(),
        ServerFile::Status => server.status.to_owned(),
        ServerFile::Image => server.image.to_string(),
        ServerFile::Encrypted => yes_or_no(server.encrypted),
        ServerFile::SystemDisk => {
            server.system_disk.as_ref().map(Name::to_string).unwrap_or_default()
        }
        ServerFile::DataDisks => return one_a_line(&server.data_disks),
        ServerFile::Attached => yes_or_no(server.attached),
        ServerFile::Owner => server.owner.to_string(),
        ServerFile::Created => server.created.clone(),
        ServerFile::Delete => String::new(),
    };
    value + "\n"
}
