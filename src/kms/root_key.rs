//! The file of the software HSM's root key, in one of two forms.
//!
//! Plain: 32 random bytes. Whoever reads the file has the key.
//!
//! Under a passphrase, little-endian:
//!
//! | field | offset | bytes | meaning |
//! |---|---|---|---|
//! | magic | 0 | 8 | `EVSROOT1`: what this is, and its version |
//! | memory | 8 | 4 | Argon2id's memory in KiB |
//! | passes | 12 | 4 | Argon2id's passes |
//! | lanes | 16 | 4 | Argon2id's lanes |
//! | salt | 20 | 16 | Argon2id's salt, fresh with each passphrase |
//! | wrapped | 36 | 60 | the root key under AES-256-GCM: nonce, ciphertext, tag |
//!
//! The wrapping key is what Argon2id (version 0x13) makes of the passphrase; all fields before
//! `wrapped` are associated with the wrapping, so none can be edited. The costs are checked to be
//! bearable before anything is computed. The two forms differ in length, which is looked at first.
//!
//! A file is made once and replaced as a whole: loss of power leaves the old one or the new one.
//! Not covered: a copy of the old file that the medium, a snapshot or a backup keeps still opens
//! with the old passphrase, and holds the same root key.

use crate::crypto::{SALT_BYTES, Secret, SecretText, StretchCost, WrappingKey};
use crate::error::{Error, ErrorKind, Result};
use crate::records::PrivateFile;
use std::io::{Read, Write};
use std::path::Path;

const ROOT_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"EVSROOT1";
const COST_AT: usize = MAGIC.len();
const SALT_AT: usize = COST_AT + 3 * 4;
const WRAPPED_AT: usize = SALT_AT + SALT_BYTES;
const WRAPPED_BYTES: usize = 12 + ROOT_BYTES + 16;
const FILE_BYTES: usize = WRAPPED_AT + WRAPPED_BYTES;
const LABEL: &[u8] = b"evsfs root key under a passphrase v1";

/// The place of a root key.
#[derive(Debug, Clone, Copy)]
pub struct RootKeyFile<'a> {
    path: &'a Path,
}

/// What lies there.
enum Found {
    Plain(PrivateFile),
    Wrapped([u8; FILE_BYTES]),
}

impl<'a> RootKeyFile<'a> {
    /// The root key at `path`.
    pub fn at(path: &'a Path) -> Self {
        RootKeyFile { path }
    }

    /// Makes a root key, plain or under a passphrase of this cost (mode 0600).
    ///
    /// # Errors
    /// `exists` when there is such a file already: another root key would make all that is under
    /// the present one unreadable. `io`, `quota`.
    pub fn create(self, passphrase: Option<(&SecretText, StretchCost)>) -> Result<()> {
        let file = PrivateFile::create(self.path)?;
        let made = (|| {
            let root = Secret::<ROOT_BYTES>::random()?;
            let wrapped = passphrase.map(|(text, cost)| wrap(&root, text, cost)).transpose()?;
            let bytes = wrapped.as_deref().unwrap_or(root.expose());
            let mut writer = file.file();
            writer
                .write_all(bytes)
                .and_then(|()| writer.sync_all())
                .map_err(|cause| Error::io(format!("writing {}", self.path.display()), cause))
        })();
        if made.is_err() {
            // Nothing is under it yet, and half a root key would only be in the way.
            let _ = std::fs::remove_file(self.path);
        }
        made?;
        PrivateFile::make_creation_durable(self.path)
    }

    /// Overwrites and removes the file. One that is not there is no error.
    ///
    /// # Errors
    /// `integrity` when it is a link or not ours; `io`.
    pub fn erase(self) -> Result<()> {
        let erasing = |cause| Error::io(format!("erasing {}", self.path.display()), cause);
        let Some(found) = PrivateFile::open(self.path)? else { return Ok(()) };
        let len = found.file().metadata().map_err(erasing)?.len().min(4096);
        let zeros = vec![0; usize::try_from(len).unwrap_or(0)];
        let mut file = std::fs::OpenOptions::new().write(true).open(self.path).map_err(erasing)?;
        file.write_all(&zeros).and_then(|()| file.sync_all()).map_err(erasing)?;
        std::fs::remove_file(self.path).map_err(erasing)?;
        PrivateFile::make_creation_durable(self.path)
    }

    /// The plain root key.
    ///
    /// # Errors
    /// `not-found`; `integrity` when the file has another length, is under a passphrase, or is open
    /// to others.
    pub fn open(self) -> Result<Secret<ROOT_BYTES>> {
        match self.find()? {
            Found::Plain(file) => self.read_plain(&file),
            Found::Wrapped(..) => Err(Error::new(
                ErrorKind::Integrity,
                format!("root key {} is under a passphrase", self.path.display()),
            )
            .remedy("set passphrase = true in the table [kms] of mount.toml")),
        }
    }

    /// The root key under this passphrase.
    ///
    /// # Errors
    /// `wrong-secret`, also when the file was edited; `not-found`; `integrity` when the file has
    /// another length, is not under a passphrase, asks for too much, or is open to others.
    pub fn open_with_passphrase(self, passphrase: &SecretText) -> Result<Secret<ROOT_BYTES>> {
        match self.find()? {
            Found::Wrapped(bytes) => self.unwrap(&bytes, passphrase),
            Found::Plain(_) => Err(Error::new(
                ErrorKind::Integrity,
                format!("root key {} is not under a passphrase", self.path.display()),
            )
            .remedy("evsfs hsm change-passphrase, which gives it one")),
        }
    }

    /// Whether the file is under a passphrase.
    ///
    /// # Errors
    /// As for [`RootKeyFile::open`].
    pub fn has_passphrase(self) -> Result<bool> {
        Ok(matches!(self.find()?, Found::Wrapped(..)))
    }

    /// Puts the same root key under another passphrase, or under one for the first time; `present`
    /// is needed if there is one. The old file's bytes are overwritten.
    ///
    /// # Errors
    /// As for [`RootKeyFile::open_with_passphrase`]; `io`, `no-space`. The old file is then still
    /// there, or the new one, whole.
    pub fn change_passphrase(
        self,
        present: Option<&SecretText>,
        new: &SecretText,
        cost: StretchCost,
    ) -> Result<()> {
        let (root, len) = match (self.find()?, present) {
            (Found::Plain(file), _) => (self.read_plain(&file)?, ROOT_BYTES),
            (Found::Wrapped(bytes), Some(present)) => (self.unwrap(&bytes, present)?, FILE_BYTES),
            (Found::Wrapped(..), None) => {
                return Err(Error::new(ErrorKind::Invalid, "the present passphrase was not given"));
            }
        };
        let old = PrivateFile::open_for_overwriting(self.path)?;
        PrivateFile::replace(self.path, &wrap(&root, new, cost)?)?;
        // The new file is there for good; a failure here loses nothing but the wiping.
        if let Some(old) = old {
            let mut writer = old.file();
            if let Err(cause) = writer.write_all(&vec![0; len]).and_then(|()| writer.sync_all()) {
                log::warn!("event=old-root-key-not-overwritten error=\"{cause}\"");
            }
        }
        Ok(())
    }

    /// Looks at what lies there; the root key itself is not read.
    fn find(self) -> Result<Found> {
        let place = self.path.display();
        let Some(file) = PrivateFile::open(self.path)? else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no root key {place}"))
                .remedy("evsfs init, for a new state directory; else restore the root key"));
        };
        let reading = |cause| Error::io(format!("reading root key {place}"), cause);
        let len = file.file().metadata().map_err(reading)?.len();
        if len == ROOT_BYTES as u64 {
            return Ok(Found::Plain(file));
        }
        if len != FILE_BYTES as u64 {
            return Err(self
                .damaged(&format!("is {len} bytes long, neither {ROOT_BYTES} nor {FILE_BYTES}")));
        }
        let mut bytes = [0; FILE_BYTES];
        file.file().read_exact(&mut bytes).map_err(reading)?;
        if !bytes.starts_with(MAGIC) {
            return Err(self.damaged("is of no form that this program knows"));
        }
        if !cost_of(&bytes).is_bearable() {
            return Err(self.damaged("asks for more memory or time than any passphrase should"));
        }
        Ok(Found::Wrapped(bytes))
    }

    fn read_plain(self, file: &PrivateFile) -> Result<Secret<ROOT_BYTES>> {
        let reading = |cause| Error::io(format!("reading root key {}", self.path.display()), cause);
        // Straight into locked memory, through no buffer.
        Secret::fill(|bytes| file.file().read_exact(bytes).map_err(reading))
    }

    fn unwrap(
        self,
        bytes: &[u8; FILE_BYTES],
        passphrase: &SecretText,
    ) -> Result<Secret<ROOT_BYTES>> {
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&bytes[SALT_AT..WRAPPED_AT]);
        let key = WrappingKey::stretch(passphrase, &salt, cost_of(bytes))?;
        let associated = [LABEL, &bytes[..WRAPPED_AT]].concat();
        Secret::fill(|root| key.unwrap_into(&associated, &bytes[WRAPPED_AT..], root)).map_err(
            |cause| match cause.kind() {
                ErrorKind::WrongContext => {
                    let place = self.path.display();
                    let message =
                        format!("the passphrase does not open {place}, unless that was edited");
                    Error::new(ErrorKind::WrongSecret, message)
                        .remedy("try again, or restore the root key from its backup")
                }
                _ => cause,
            },
        )
    }

    fn damaged(self, how: &str) -> Error {
        Error::new(ErrorKind::Integrity, format!("root key {} {how}", self.path.display()))
            .remedy("restore the root key from its backup")
    }
}

fn wrap(root: &Secret<ROOT_BYTES>, passphrase: &SecretText, cost: StretchCost) -> Result<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|cause| Error::io("drawing a salt", cause.into()))?;
    let mut bytes = MAGIC.to_vec();
    for part in [cost.memory_kib, cost.passes, cost.lanes] {
        bytes.extend_from_slice(&part.to_le_bytes());
    }
    bytes.extend_from_slice(&salt);
    let key = WrappingKey::stretch(passphrase, &salt, cost)?;
    let wrapped = key.wrap(&[LABEL, &bytes].concat(), root.expose())?;
    bytes.extend_from_slice(&wrapped);
    Ok(bytes)
}

fn cost_of(bytes: &[u8; FILE_BYTES]) -> StretchCost {
    let part = |n: usize| {
        let mut part = [0; 4];
        part.copy_from_slice(&bytes[COST_AT + 4 * n..COST_AT + 4 * (n + 1)]);
        u32::from_le_bytes(part)
    };
    StretchCost { memory_kib: part(0), passes: part(1), lanes: part(2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn text(text: &str) -> SecretText {
        SecretText::read_line(&mut text.as_bytes(), "a test").unwrap()
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("root.key");
        (scratch, path)
    }

    fn wrapped(passphrase: &str) -> (tempfile::TempDir, PathBuf) {
        let (scratch, path) = place();
        let passphrase = text(passphrase);
        RootKeyFile::at(&path).create(Some((&passphrase, StretchCost::LEAST))).unwrap();
        (scratch, path)
    }

    fn kind<T>(result: Result<T>) -> ErrorKind {
        result.err().unwrap().kind()
    }

    #[test]
    fn a_root_key_opens_with_its_passphrase_only_and_is_made_once() {
        let (_scratch, path) = wrapped("open sesame");
        let file = RootKeyFile::at(&path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(file.has_passphrase().unwrap());
        let root = file.open_with_passphrase(&text("open sesame")).unwrap();
        assert!(root.ct_eq(&file.open_with_passphrase(&text("open sesame")).unwrap()));
        for wrong in ["open sesame ", "Open sesame", "x"] {
            assert_eq!(kind(file.open_with_passphrase(&text(wrong))), ErrorKind::WrongSecret);
        }
        assert_eq!(kind(file.open()), ErrorKind::Integrity);
        let before = fs::read(&path).unwrap();
        assert_eq!(kind(file.create(None)), ErrorKind::Exists);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(!before.windows(8).any(|part| root.expose().starts_with(part)));
    }

    /// The parameters and the salt are authenticated: no edit opens, and none takes the machine.
    #[test]
    fn no_edited_bit_and_no_other_length_opens() {
        let (_scratch, path) = wrapped("open sesame");
        let bytes = fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut edited = bytes.clone();
            edited[bit / 8] ^= 1 << (bit % 8);
            let mut header = [0; FILE_BYTES];
            header.copy_from_slice(&edited);
            // Costs that are bearable and still take long are not computed 20 times over.
            if cost_of(&header).memory_kib > 4096 && cost_of(&header).is_bearable() {
                continue;
            }
            fs::write(&path, &edited).unwrap();
            let kind = kind(RootKeyFile::at(&path).open_with_passphrase(&text("open sesame")));
            assert!(
                matches!(kind, ErrorKind::WrongSecret | ErrorKind::Integrity),
                "bit {bit}: {kind:?}"
            );
        }
        for len in (0..bytes.len()).filter(|len| *len != ROOT_BYTES) {
            fs::write(&path, &bytes[..len]).unwrap();
            let opened = RootKeyFile::at(&path).open_with_passphrase(&text("open sesame"));
            assert_eq!(kind(opened), ErrorKind::Integrity, "{len}");
        }
    }

    #[test]
    fn a_changed_passphrase_opens_the_same_root_key_and_the_old_one_nothing() {
        let (_scratch, path) = wrapped("old");
        let file = RootKeyFile::at(&path);
        let root = file.open_with_passphrase(&text("old")).unwrap();
        let change = |old: &str, new: &str| {
            file.change_passphrase(Some(&text(old)), &text(new), StretchCost::LEAST)
        };
        let before = fs::read(&path).unwrap();
        assert_eq!(kind(change("wrong", "new")), ErrorKind::WrongSecret);
        assert_eq!(fs::read(&path).unwrap(), before);
        // A second name of the old file shows what became of its bytes.
        let witness = path.with_file_name("witness");
        fs::hard_link(&path, &witness).unwrap();
        change("old", "new").unwrap();
        assert_eq!(fs::read(&witness).unwrap(), [0; FILE_BYTES]);
        assert!(root.ct_eq(&file.open_with_passphrase(&text("new")).unwrap()));
        assert_eq!(kind(file.open_with_passphrase(&text("old"))), ErrorKind::WrongSecret);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_plain_root_key_is_given_a_passphrase_and_stays_the_same() {
        let (_scratch, path) = place();
        let file = RootKeyFile::at(&path);
        file.create(None).unwrap();
        let root = file.open().unwrap();
        let refused = file.open_with_passphrase(&text("new")).err().unwrap();
        assert_eq!(
            refused.suggested_remedy().unwrap().split(',').next(),
            Some("evsfs hsm change-passphrase")
        );
        file.change_passphrase(None, &text("new"), StretchCost::LEAST).unwrap();
        assert!(root.ct_eq(&file.open_with_passphrase(&text("new")).unwrap()));
        let refused = file.change_passphrase(None, &text("newer"), StretchCost::LEAST);
        assert_eq!(kind(refused), ErrorKind::Invalid);
    }

    /// What a crash left of a replacement that was never made is no hindrance.
    #[test]
    fn a_replacement_that_was_cut_off_leaves_the_old_file_and_can_be_made_again() {
        let (_scratch, path) = wrapped("old");
        fs::write(path.with_file_name("root.key.new"), b"half").unwrap();
        let file = RootKeyFile::at(&path);
        file.open_with_passphrase(&text("old")).unwrap();
        file.change_passphrase(Some(&text("old")), &text("new"), StretchCost::LEAST).unwrap();
        file.open_with_passphrase(&text("new")).unwrap();
        assert!(!path.with_file_name("root.key.new").exists());
    }
}
