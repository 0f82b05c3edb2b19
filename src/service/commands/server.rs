//! Commands on servers.

use super::command::Command;
use super::disk::new_disk;
use super::disk_source::DiskSource;
use crate::auth::{Action, Caller};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, Name};
use crate::service::{DataDisks, Fields, NewDisk, Reply, Service};
use crate::units::ByteLen;

/// A command on servers.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerCommand {
    /// Make one with its disks.
    Create(NewServer),
    /// All servers the caller may see.
    List,
    /// One server.
    Show(Name),
    /// Remove it with its system disk.
    Delete(Name, DataDisks),
}

/// What a new server shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewServer {
    /// Its name.
    pub name: Name,
    /// What its system disk is made from.
    pub image: Name,
    /// The size of its system disk; `None` is the image's.
    pub size: Option<ByteLen>,
    /// What the caller believes of the system disk's encryption, which is the image's (EVS.1043).
    pub encrypted: Option<bool>,
    /// The master key of the system disk; `None` leaves it to the project's default.
    pub key: Option<Alias>,
    /// Its data disks.
    pub data_disks: Vec<NewDisk>,
    /// At most so many bytes of the image a second.
    pub limit: Option<u64>,
}

impl ServerCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<ServerCommand>> {
        Ok(Some(match verb {
            "create" => ServerCommand::Create(new_server(words)?),
            "list" => ServerCommand::List,
            "show" => ServerCommand::Show(words.need_name("name")?),
            "delete" => {
                let name = words.need_name("name")?;
                let data_disks = match words.take_flag("with_data_disks")? {
                    Some(true) => DataDisks::Delete,
                    Some(false) | None => DataDisks::Keep,
                };
                ServerCommand::Delete(name, data_disks)
            }
            _ => return Ok(None),
        }))
    }
}

impl From<ServerCommand> for Command {
    fn from(command: ServerCommand) -> Self {
        Command::Server(command)
    }
}

impl Service {
    pub(super) fn execute_on_servers(
        &self,
        caller: Caller,
        command: ServerCommand,
    ) -> Result<Reply> {
        match command {
            ServerCommand::Create(request) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                self.create_server(permit, request)
            }
            ServerCommand::List => Ok(Reply::Servers(self.list_servers(caller)?)),
            ServerCommand::Show(name) => {
                let (entry, _permit) = self.usable_server(caller, &name)?;
                Ok(Reply::Server(self.describe_server(&entry)))
            }
            ServerCommand::Delete(name, data_disks) => {
                let (entry, permit) = self.usable_server(caller, &name)?;
                self.delete_server(permit, &entry, data_disks)?;
                Ok(Reply::DONE)
            }
        }
    }
}

fn new_server(words: &mut Fields) -> Result<NewServer> {
    let size = words.take_text("size")?.map(|text| ByteLen::parse(&text)).transpose();
    // The same words that name the source of a disk are understood.
    let image = words.need_text("image")?;
    let image = match DiskSource::parse(&image) {
        Ok(DiskSource::Image(name)) => name,
        _ => Name::parse(&image)?,
    };
    let disks = words.take_text("data_disks")?.unwrap_or_default();
    Ok(NewServer {
        name: words.need_name("name")?,
        image,
        size: size.map_err(|cause| cause.code(Code::EVS_1010))?,
        encrypted: words.take_flag("encrypted")?,
        key: words.take_alias("key")?,
        data_disks: disks.split_whitespace().map(data_disk).collect::<Result<_>>()?,
        limit: words.take_limit()?,
    })
}

/// `name=a,size=10G,encrypted=yes,key=finance`.
fn data_disk(text: &str) -> Result<NewDisk> {
    const WORDS: [&str; 5] = ["name", "size", "encrypted", "key", "sector_size"];
    let malformed = || {
        Error::new(ErrorKind::Invalid, format!("{text:?} does not describe a data disk"))
            .remedy("such as: name=a,size=10G,encrypted=yes,key=finance")
    };
    let mut words = Fields::new();
    for pair in text.split(',') {
        let (word, value) = pair.split_once('=').ok_or_else(malformed)?;
        words.insert_text(&word.replace('-', "_"), value)?;
    }
    if !words.has_only(&WORDS) {
        return Err(malformed());
    }
    let disk = new_disk(&mut words)?;
    words.finish()?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_disks_of_a_server_are_read_from_one_word() {
        let mut words = Fields::new();
        for (word, value) in [
            ("name", "web"),
            ("image", "deb"),
            ("data_disks", "name=a,size=1G,encrypted=no name=b,size=2M,key=k,sector-size=512"),
        ] {
            words.insert_text(word, value).unwrap();
        }
        let server = new_server(&mut words).unwrap();
        let names: Vec<&str> = server.data_disks.iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(server.data_disks[0].encrypted, Some(false));
        for text in ["", "a", "name=a", "name=a,size=1G,from=image:b", "name=a,size=1G,name=b"] {
            assert!(data_disk(text).is_err(), "{text}");
        }
    }
}
