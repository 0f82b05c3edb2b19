//! The installed `cryptsetup`, which writes and reads LUKS headers here. None is written or taken apart
//! by this program.
//!
//! Keys and passphrases go to it as files that only it inherits ([`SecretFile`]), never as arguments or
//! in its environment. It works on descriptors that are open already, with the rights of whoever
//! typed the command.

use super::luks_volume::LuksVolume;
use crate::daemon::{SecretFile, lend_descriptor};
use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use zeroize::Zeroizing;

/// Where it lies besides `PATH`, which of ordinary users often lacks these.
const ADMIN_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// More than it prints of a volume and its key.
const MAX_DUMP: usize = 16 << 10;
/// Its exit code for a passphrase that opens nothing (cryptsetup(8)).
const NO_PERMISSION: i32 = 2;

/// The program.
pub(super) struct Cryptsetup {
    program: PathBuf,
}

/// What a LUKS header says of the data that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeaderPlan {
    /// The version of LUKS: 1 or 2.
    pub version: u8,
    /// The disk's sector size in bytes.
    pub sector_size: u64,
    /// Where the data begins in its file or device, in bytes.
    pub data_offset: u64,
    /// How long one try of the passphrase is to take, in milliseconds, if cryptsetup shall not choose.
    pub iter_time: Option<u32>,
}

impl HeaderPlan {
    /// The length of a header, also of one that stands before its data.
    pub const fn header_len(version: u8) -> u64 {
        match version {
            1 => 2 << 20,
            _ => 16 << 20,
        }
    }
}

impl Cryptsetup {
    /// Finds the program.
    ///
    /// # Errors
    /// `not-found` when it is not installed.
    pub fn find() -> Result<Cryptsetup> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path).collect::<Vec<_>>();
        let places = directories.into_iter().chain(ADMIN_DIRECTORIES.map(PathBuf::from));
        let program = places
            .filter(|place| place.is_absolute())
            .map(|place| place.join("cryptsetup"))
            .find(|program| is_program(program));
        program.map(|program| Cryptsetup { program }).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "cryptsetup, which handles LUKS, is not installed")
                .remedy("install it (Debian: apt install cryptsetup-bin)")
        })
    }

    /// Writes a header around a data key, opened by a passphrase, into an empty file.
    ///
    /// # Errors
    /// `io` with what the program says.
    pub fn format(
        &self,
        header: &File,
        plan: HeaderPlan,
        key: &SecretFile,
        passphrase: &SecretFile,
    ) -> Result<()> {
        header
            .set_len(HeaderPlan::header_len(plan.version))
            .map_err(|cause| Error::io("making room for a header", cause))?;
        let output = key.lend(|key| {
            passphrase.lend(|passphrase| {
                lend_descriptor(header.as_fd(), |header| {
                    let mut command = self.command("luksFormat");
                    command.arg("--type").arg(format!("luks{}", plan.version));
                    command.args(["--cipher", "aes-xts-plain64", "--key-size", "512"]);
                    if plan.version == 2 {
                        command.arg("--sector-size").arg(plan.sector_size.to_string());
                    }
                    command.arg("--offset").arg((plan.data_offset / 512).to_string());
                    if let Some(milliseconds) = plan.iter_time {
                        command.arg("--iter-time").arg(milliseconds.to_string());
                    }
                    command.arg("--volume-key-file").arg(key);
                    command.arg("--key-file").arg(passphrase);
                    // The data itself is not needed: where it begins is said, and it may not be
                    // readable to whoever takes the header.
                    command.arg("--header").arg(&header).arg(&header);
                    run(command)
                })
            })
        })?;
        match output.status.success() {
            true => Ok(()),
            false => Err(refused("writing a LUKS header", &output)),
        }
    }

    /// Reads what a LUKS header says of its data.
    ///
    /// # Errors
    /// `invalid` when there is none; `unsupported`, `integrity` for what cannot be taken over.
    pub fn describe(&self, header: &File, path: &Path) -> Result<LuksVolume> {
        let shown = self.dump(header, &[])?;
        if !shown.status.success() {
            let message = format!("{} has no LUKS header that cryptsetup can read", path.display());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("name a LUKS image, or import a plain one with --raw")
                .caused_by(std::io::Error::other(said(&shown))));
        }
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let volume = if LuksVolume::is_version_2(&text) {
            let json = self.dump(header, &["--dump-json-metadata"])?;
            if !json.status.success() {
                return Err(refused("reading a LUKS2 header", &json));
            }
            LuksVolume::from_metadata(&json.stdout)
        } else {
            LuksVolume::from_text(&text)
        };
        volume.map_err(|refusal| refusal.error(path))
    }

    /// The volume key behind a header, as hexadecimal digits.
    ///
    /// # Errors
    /// `wrong-secret` when the passphrase opens nothing; `unsupported` for a key that is not one of
    /// XTS-AES-256; `io`.
    pub fn volume_key(&self, header: &File, passphrase: &SecretFile) -> Result<Zeroizing<String>> {
        let doing = "taking the key out of a LUKS header";
        let failed = |cause| Error::io(doing, cause);
        // Room for all of it from the start: growing would leave a copy behind.
        let mut dump = Zeroizing::new(Vec::with_capacity(2 * MAX_DUMP));
        let output = passphrase.lend(|passphrase| {
            lend_descriptor(header.as_fd(), |header| {
                let mut command = self.command("luksDump");
                command.arg("--dump-volume-key").arg("--key-file").arg(passphrase).arg(header);
                let mut child = command.spawn().map_err(failed)?;
                if let Some(stdout) = &mut child.stdout {
                    stdout.take(MAX_DUMP as u64).read_to_end(&mut dump).map_err(failed)?;
                }
                child.wait_with_output().map_err(failed)
            })
        })?;
        if output.status.code() == Some(NO_PERMISSION) {
            return Err(Error::new(ErrorKind::WrongSecret, "the passphrase opens no key slot")
                .remedy("give the passphrase of the LUKS volume"));
        }
        if !output.status.success() {
            return Err(refused(doing, &output));
        }
        key_in(&dump).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the volume key is not one of 512 bits").remedy(
                "only aes-xts-plain64 with a key of 512 bits is taken over; copy the content: \
                 evsfs disk import NAME --raw /dev/mapper/VOLUME",
            )
        })
    }

    fn dump(&self, header: &File, more: &[&str]) -> Result<Output> {
        lend_descriptor(header.as_fd(), |header| {
            let mut command = self.command("luksDump");
            command.args(more).arg(header);
            run(command)
        })
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg(verb).arg("--batch-mode");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn run(mut command: Command) -> Result<Output> {
    command.output().map_err(|cause| Error::io("running cryptsetup", cause))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn refused(doing: &str, output: &Output) -> Error {
    Error::io(doing.to_owned(), std::io::Error::other(said(output)))
}

/// What the program says of its own failure, on one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.is_empty() {
        true => format!("cryptsetup: {}", output.status),
        false => format!("cryptsetup: {line}"),
    }
}

/// The digits of a key of 512 bits, out of lines of digits with blanks between.
fn key_in(dump: &[u8]) -> Option<Zeroizing<String>> {
    const MARK: &[u8] = b"dump:";
    let at = dump.windows(MARK.len()).position(|text| text.eq_ignore_ascii_case(MARK))?;
    let mut digits = Zeroizing::new(String::with_capacity(2 * MAX_DUMP));
    for byte in &dump[at + MARK.len()..] {
        match byte {
            byte if byte.is_ascii_hexdigit() => digits.push(char::from(byte.to_ascii_lowercase())),
            byte if byte.is_ascii_whitespace() => {}
            _ => return None,
        }
    }
    (digits.len() == 128).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::key_in;

    #[test]
    fn a_key_is_found_in_what_cryptsetup_prints_of_it() {
        let row = "01 23 45 67 89 ab cd ef FE DC BA 98 76 54 32 10 ";
        let dump = |rows: &[&str]| {
            format!(
                "LUKS header information for x\nMK bits:\t512\nMK dump:\t{}\n",
                rows.join("\n\t\t")
            )
        };
        let key = key_in(dump(&[row; 4]).as_bytes()).unwrap();
        assert_eq!(*key, "0123456789abcdeffedcba9876543210".repeat(4));
        assert!(key_in(dump(&[row; 2]).as_bytes()).is_none(), "a key of 256 bits");
        assert!(key_in(dump(&[row, "and more"]).as_bytes()).is_none());
        assert!(key_in(b"").is_none() && key_in(row.as_bytes()).is_none());
    }
}
