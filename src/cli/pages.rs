//! Manual pages that no command has: `mount.evsfs.8` and `mount.toml.5`.
//!
//! The first is made from the helper's arguments, the second from `mount.toml.example`, which names
//! every key with its default and what it is for.

use super::mount_helper::HelperArgs;
use crate::config::Config;
use clap::CommandFactory;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// `mount.evsfs.8`.
///
/// # Errors
/// None but those of writing into memory.
pub(super) fn mount_helper() -> std::io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(HelperArgs::command()).section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    let mut rest = Roff::new();
    section(&mut rest, "DESCRIPTION");
    rest.text([
        bold("mount"),
        roman("(8) calls it for "),
        bold("mount -t evsfs"),
        roman(" and for lines of /etc/fstab of that type. It starts a daemon, as "),
        bold("evsfs mount"),
        roman(
            " does, and returns when the mount answers. The kernel lists the mount as of type \
             fuse.evsfs, with the configuration as its source.",
        ),
    ]);
    rest.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    section(&mut rest, "MOUNT OPTIONS");
    for (name, text) in [
        ("allow_other", "Let users other than the one who mounts reach the mount."),
        ("passphrase_file=FILE", "Take the passphrase from the first line of this file."),
        ("pin_file=FILE", "Take the PIN of a token from the first line of this file."),
    ] {
        entry(&mut rest, [bold(name)], text);
    }
    paragraph(
        &mut rest,
        "The words of mount(8) that mean nothing here, and those that begin with x-, are accepted and \
         ignored. ro is not among them: disks are made read-only by evsfs disk attach --read-only. \
         What is not known is refused, unless -s is given.",
    );
    section(&mut rest, "EXAMPLES");
    paragraph(&mut rest, "In /etc/fstab, an evsfs, and a file system on one of its disks:");
    example(
        &mut rest,
        &[
            "/etc/evsfs/mount.toml  /mnt/evs  evsfs  nofail,_netdev  0 0",
            "/mnt/evs/db  /srv  ext4  loop,nofail,x-systemd.requires-mounts-for=/mnt/evs  0 0",
        ],
    );
    section(&mut rest, "EXIT STATUS");
    paragraph(
        &mut rest,
        "0 mounted; 1 usage, a mistake in the configuration, or permissions; 2 an error of the system; \
         32 the mount was refused.",
    );
    see_also(&mut rest, &["evsfs-mount(1)", "mount.toml(5)", "mount(8)", "fstab(5)"]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// `mount.toml.5`.
///
/// # Errors
/// None but those of writing into memory.
pub(super) fn configuration() -> std::io::Result<Vec<u8>> {
    let mut page = Roff::new();
    let version = concat!("evsfs ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["mount.toml", "5", "", version]);
    section(&mut page, "NAME");
    page.text([roman("mount.toml - the configuration of an evsfs mount")]);
    section(&mut page, "DESCRIPTION");
    let mut comment: Vec<&str> = Vec::new();
    let mut has_keys = false;
    for line in Config::example().lines() {
        match part_of(line) {
            Part::Blank => {
                // A comment by itself is about the file.
                if !comment.is_empty() {
                    paragraph(&mut page, &comment.join(" "));
                    comment.clear();
                }
            }
            Part::Comment(text) => comment.push(text),
            Part::Table(name) => {
                section(&mut page, name);
                paragraph(&mut page, &comment.join(" "));
                comment.clear();
            }
            Part::Key { key, value } => {
                if !has_keys {
                    section(&mut page, "KEYS");
                    has_keys = true;
                }
                entry(
                    &mut page,
                    [bold(key), roman(" = "), italic(value)],
                    &std::mem::take(&mut comment).join(" "),
                );
            }
        }
    }
    see_also(&mut page, &["evsfs-init(1)", "evsfs-mount(1)", "mount.evsfs(8)"]);
    let mut bytes = Vec::new();
    page.to_writer(&mut bytes)?;
    Ok(bytes)
}

/// A line of the example.
enum Part<'a> {
    Blank,
    Comment(&'a str),
    Table(&'a str),
    /// Also one that is commented out because it has no default.
    Key {
        key: &'a str,
        value: &'a str,
    },
}

fn part_of(line: &str) -> Part<'_> {
    let is_key = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let content = line.strip_prefix('#').unwrap_or(line).trim();
    match content.split_once(" = ") {
        Some((key, value)) if is_key(key) => Part::Key { key, value },
        _ if line.is_empty() => Part::Blank,
        _ if content.starts_with('[') && content.ends_with(']') => Part::Table(content),
        _ => Part::Comment(content),
    }
}

fn section(page: &mut Roff, name: &str) {
    page.control("SH", [name]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.text([roman(text)]);
}

fn entry<const N: usize>(page: &mut Roff, head: [Inline; N], text: &str) {
    page.control("TP", []);
    page.text(head);
    page.text([roman(text)]);
}

fn example(page: &mut Roff, lines: &[&str]) {
    page.control("PP", []);
    page.control("nf", []);
    for line in lines {
        page.text([roman(*line)]);
    }
    page.control("fi", []);
}

fn see_also(page: &mut Roff, pages: &[&str]) {
    section(page, "SEE ALSO");
    page.text([roman(pages.join(", "))]);
}

#[cfg(test)]
mod tests {
    use super::{configuration, mount_helper};

    fn text(page: std::io::Result<Vec<u8>>) -> String {
        String::from_utf8(page.unwrap()).unwrap().replace("\\-", "-")
    }

    #[test]
    fn the_page_of_the_configuration_has_a_head_for_every_key_and_table() {
        let page = text(configuration());
        for key in crate::config::keys() {
            assert!(page.contains(&format!("\\fB{key}\\fR = ")), "{key}: {page}");
        }
        for table in ["[mount]", "[kms]", "[defaults]", "[[user]]"] {
            assert!(page.contains(&format!(".SH {table}\n")), "{table}: {page}");
        }
        // What is explained is explained under its head.
        let (_, after) = page.split_once("\\fBreattach\\fR = ").unwrap();
        assert!(after.lines().nth(1).unwrap().starts_with("Attach again at the next start"));
    }

    #[test]
    fn the_page_of_the_helper_names_every_option() {
        let page = text(mount_helper());
        for option in ["-o", "-s", "-f", "-n", "-v", "-t", "allow_other", "pin_file", "fuse.evsfs"]
        {
            assert!(page.contains(option), "{option}: {page}");
        }
        assert!(page.contains("mount.evsfs 8") || page.contains("mount.evsfs \"8\""), "{page}");
    }
}
