//! `evsfs server`.

use super::disk::{named, parsed_size};
use super::failure::Outcome;
use super::image::with_encryption;
use super::job;
use super::object::Object;
use super::request::Request;
use super::server_args::{ServerCommand, ServerCreateArgs};
use super::session::Session;
use super::table::{Align, Table, facts};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use crate::units::ByteLen;
use serde_json::Value;
use std::path::Path;

/// The members of a server, in the order `show` gives them.
const MEMBERS: [&str; 10] = [
    "name",
    "id",
    "status",
    "image",
    "encrypted",
    "system_disk",
    "data_disks",
    "attached",
    "owner",
    "created",
];

/// Runs one `server` command.
pub(super) fn run(session: &mut Session<'_>, command: &ServerCommand) -> Outcome {
    match command {
        ServerCommand::Create(args) => {
            if job::carry_out(session, creation(args)?, &args.work)?.is_none() {
                return Ok(());
            }
            let server = session.call(&named("server.show", &args.name)?)?;
            session.answer(&server, |server| table(&Value::Array(vec![server.clone()])))
        }
        ServerCommand::List => {
            let servers = session.call(&Request::new("server.list"))?;
            if Object::list(&servers).next().is_none() && !session.global.json {
                session.note("no servers yet; make one: evsfs server create NAME --image IMAGE");
                return Ok(());
            }
            session.answer(&servers, table)
        }
        ServerCommand::Show { name, qemu: false } => {
            let server = session.call(&named("server.show", name)?)?;
            session.answer(&server, |server| facts(Object::of(server).facts(&MEMBERS)))
        }
        ServerCommand::Show { name, qemu: true } => {
            let server = session.call(&named("server.show", name)?)?;
            let mountpoint = session.mountpoint()?;
            let line = qemu_line(&server, &mountpoint)?;
            session.answer(&Value::from(line.clone()), |_| line + "\n")
        }
        ServerCommand::Delete { name, with_data_disks } => {
            let request = named("server.delete", name)?.with("with_data_disks", *with_data_disks);
            let loss = match with_data_disks {
                true => format!("This deletes server {name:?} and all its disks"),
                false => format!("This deletes server {name:?} and its system disk"),
            };
            session.confirm(&loss, name)?;
            let answer = session.call(&request)?;
            session.answer(&answer, |_| format!("server {name:?} is deleted\n"))
        }
    }
}

fn creation(args: &ServerCreateArgs) -> Result<Request> {
    let encrypted = args.encrypted.then_some(true).or(args.unencrypted.then_some(false));
    let image = Name::parse(&args.image)?;
    let size = args.size.as_deref().map(parsed_size).transpose()?;
    let request = named("server.create", &args.name)?
        .with("image", image.as_str())
        .with_given("size", size.map(ByteLen::get));
    let request = with_encryption(request, encrypted, args.key.as_deref())?;
    if args.data_disk.is_empty() {
        return Ok(request);
    }
    // One word holds them all, a blank between two.
    if let Some(wrong) = args.data_disk.iter().find(|disk| disk.contains(char::is_whitespace)) {
        let text = format!("{wrong:?} does not describe a data disk");
        return Err(Error::new(ErrorKind::Invalid, text)
            .remedy("such as: name=a,size=10G,encrypted=yes,key=finance"));
    }
    Ok(request.with("data_disks", args.data_disk.join(" ")))
}

/// The line that starts a server's disks in QEMU, for a shell.
fn qemu_line(server: &Value, mountpoint: &Path) -> Result<String> {
    let server = Object::of(server);
    if !server.is("attached") {
        let text = format!("not all disks of server {:?} are attached", server.text("name"));
        return Err(Error::new(ErrorKind::WrongStatus, text)
            .code(crate::error::Code::EVS_1046)
            .remedy("evsfs disk list, and attach those that are not"));
    }
    let data = server.get("data_disks").and_then(Value::as_array).into_iter().flatten();
    let system = server.text("system_disk");
    let disks = std::iter::once(system.as_str()).chain(data.filter_map(Value::as_str));
    let mut line = format!(
        "qemu-system-x86_64 -name {} -machine q35,accel=kvm:tcg -cpu max -smp 2 -m 2048",
        server.text("name")
    );
    for disk in disks {
        let path = mountpoint.join(disk);
        let path = path.to_str().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("the path {path:?} is not UTF-8"))
        })?;
        // A comma ends a value for QEMU unless it is doubled.
        let drive = format!(
            "file={},format=raw,if=virtio,cache=none,discard=unmap",
            path.replace(',', ",,")
        );
        line.push_str(&format!(" -drive {}", shell_word(&drive)));
    }
    Ok(line)
}

/// One word for a shell, quoted if it must be.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:+@%".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The servers of a list as a table.
fn table(servers: &Value) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATUS", Align::Left),
        ("IMAGE", Align::Left),
        ("ENCRYPTED", Align::Left),
        ("SYSTEM-DISK", Align::Left),
        ("DATA-DISKS", Align::Left),
        ("ATTACHED", Align::Left),
        ("OWNER", Align::Left),
    ]);
    for server in Object::list(servers) {
        let columns = [
            "name",
            "status",
            "image",
            "encrypted",
            "system_disk",
            "data_disks",
            "attached",
            "owner",
        ];
        table.row(columns.map(|column| server.text(column)));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_line_for_qemu_names_the_system_disk_first_and_quotes_what_a_shell_would_read() {
        let server = json!({
            "name": "web", "attached": true, "system_disk": "web-system", "data_disks": ["logs"],
        });
        let line = qemu_line(&server, Path::new("/mnt/my, evs's")).unwrap();
        assert_eq!(
            line,
            "qemu-system-x86_64 -name web -machine q35,accel=kvm:tcg -cpu max -smp 2 -m 2048 \
             -drive 'file=/mnt/my,, evs'\\''s/web-system,format=raw,if=virtio,cache=none,discard=unmap' \
             -drive 'file=/mnt/my,, evs'\\''s/logs,format=raw,if=virtio,cache=none,discard=unmap'"
        );
        let detached = json!({ "name": "web", "attached": false });
        assert!(qemu_line(&detached, Path::new("/mnt")).is_err());
    }
}
