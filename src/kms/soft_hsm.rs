//! A security module in software: material in files, wrapped under a root key.
//!
//! The root key is in a file of its own, wherever the configuration says; `root_key` has its forms.
//! Material lies in the module's directory, one file `<key id>.<version>.key` each:
//!
//! | field | offset | bytes | meaning |
//! |---|---|---|---|
//! | magic | 0 | 8 | `EVSCMK1\n`: what this is, and its version |
//! | wrapped | 8 | 60 | the 32 bytes of material under AES-256-GCM: nonce, ciphertext, tag |
//!
//! Associated with the wrapping are a label, the key's id and the version, so that a file that was
//! renamed or edited does not open. A file is replaced as a whole; a torn one does not open either.
//!
//! Destroying overwrites the file with zeros and unlinks it; one of zeros, which a crash between the
//! two leaves, is removed when the module is opened. Not covered: copies of it that the medium, a
//! snapshot or a backup keeps. Such a copy opens for who also has the root key, so the root key is
//! to be kept apart from backups of the state directory.

use super::hsm::CmkVersion;
use super::hsm::Hsm;
use super::root_key::RootKeyFile;
use crate::crypto::Dk;
use crate::crypto::RecordKey;
use crate::crypto::Secret;
use crate::crypto::SecretText;
use crate::crypto::StretchCost;
use crate::crypto::WrappingKey;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::KeyId;
use crate::records::PrivateDir;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const ROOT_BYTES: usize = 32;
const MATERIAL_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"EVSCMK1\n";
const WRAPPED_BYTES: usize = 12 + MATERIAL_BYTES + 16;
const FILE_BYTES: usize = MAGIC.len() + WRAPPED_BYTES;
/// What a file holds between its overwriting and its removal.
const DESTROYED: [u8; FILE_BYTES] = [0; FILE_BYTES];
const LABEL: &[u8] = b"evsfs master key material v1";
const SUFFIX: &str = ".key";

/// The software module.
pub struct SoftHsm {
    root: Secret<ROOT_BYTES>,
    wrapping: WrappingKey,
    directory: PrivateDir,
    /// Material that has been opened, in locked memory. Held while material is loaded, made or
    /// destroyed too, so that none is put here after it was destroyed.
    opened: Mutex<HashMap<CmkVersion, Arc<WrappingKey>>>,
}

impl SoftHsm {
    /// Makes the module's directory and a root key in `root_key_file` (mode 0600), which may lie in
    /// that directory or anywhere else.
    ///
    /// # Errors
    /// `exists` when there is such a file already: another root key would make all that is under
    /// the present one unreadable. `io`.
    pub fn initialise(root_key_file: &Path, directory: &Path) -> Result<()> {
        SoftHsm::initialise_under(None, root_key_file, directory)
    }

    /// As [`SoftHsm::initialise`], with the root key under a passphrase if one is given.
    ///
    /// # Errors
    /// As for [`SoftHsm::initialise`]; `quota`.
    pub fn initialise_under(
        passphrase: Option<(&SecretText, StretchCost)>,
        root_key_file: &Path,
        directory: &Path,
    ) -> Result<()> {
        PrivateDir::open_or_create(directory)?;
        RootKeyFile::at(root_key_file).create(passphrase)
    }

    /// Opens the module.
    ///
    /// # Errors
    /// `not-found` when there is no root key; `integrity` when its file has another length than a
    /// root key, is open to others, or is not the root key this directory was made with.
    pub fn open(root_key_file: &Path, directory: &Path) -> Result<Self> {
        SoftHsm::with_root(RootKeyFile::at(root_key_file).open()?, directory)
    }

    /// Opens the module with a root key that came from elsewhere than a plain file.
    ///
    /// # Errors
    /// As for [`SoftHsm::open`].
    pub fn with_root(root: Secret<ROOT_BYTES>, directory: &Path) -> Result<Self> {
        let directory = PrivateDir::open(directory)?;
        let wrapping = WrappingKey::derive(&root)?;
        let module = SoftHsm { root, wrapping, directory, opened: Mutex::new(HashMap::new()) };
        module.finish_destructions()?;
        module.prove_root_key()?;
        Ok(module)
    }

    /// That the root key opens something, if there is anything: a wrong one is noticed now, not when a disk
    /// is needed. A file that is damaged among others is told when it is needed.
    fn prove_root_key(&self) -> Result<()> {
        let mut refused = Vec::new();
        for cmk in self.list()? {
            match self.material(cmk) {
                Ok(_) => {
                    for error in refused {
                        log::warn!("event=material-damaged error=\"{error}\"");
                    }
                    return Ok(());
                }
                Err(error) => refused.push(error),
            }
        }
        refused.into_iter().next().map_or(Ok(()), Err)
    }

    /// Destroys the root key and all material, for good. Can be repeated.
    ///
    /// # Errors
    /// `integrity` when something is there that is not ours; `io`.
    pub fn erase(root_key_file: &Path, directory: &Path) -> Result<()> {
        // First, since without it the rest says nothing.
        RootKeyFile::at(root_key_file).erase()?;
        let directory = PrivateDir::open(directory)?;
        for name in directory.names()? {
            if parse_file_name(&name).is_some() {
                erase_file(&directory, &name)?;
            }
        }
        Ok(())
    }

    /// Removes the files whose material was overwritten when a crash kept them from being removed.
    fn finish_destructions(&self) -> Result<()> {
        for cmk in self.list()? {
            let name = file_name(cmk);
            // What cannot be read is told when it is needed.
            if let Ok(Some(bytes)) = self.directory.read(&name, FILE_BYTES)
                && bytes == DESTROYED
            {
                log::info!("event=destruction-finished cmk={cmk}");
                self.directory.remove(&name)?;
            }
        }
        Ok(())
    }

    /// The opened material of `cmk`.
    fn material(&self, cmk: CmkVersion) -> Result<Arc<WrappingKey>> {
        let mut opened = self.opened.lock();
        if let Some(material) = opened.get(&cmk) {
            return Ok(Arc::clone(material));
        }
        let material = Arc::new(self.load(cmk)?);
        opened.insert(cmk, Arc::clone(&material));
        Ok(material)
    }

    fn load(&self, cmk: CmkVersion) -> Result<WrappingKey> {
        WrappingKey::from_secret(&self.copy_of(cmk)?)
    }

    /// Imported material on its way into another module.
    pub(super) fn copy_of(&self, cmk: CmkVersion) -> Result<Secret<MATERIAL_BYTES>> {
        let name = file_name(cmk);
        let Some(bytes) = self.directory.read(&name, FILE_BYTES)? else {
            return Err(Error::new(
                ErrorKind::KeyGone,
                format!("the HSM holds no material of key {cmk}"),
            )
            .code(Code::KMS_0207)
            .remedy("none for data under a deleted key; else restore the HSM's directory"));
        };
        let refuse = |cause: Option<Error>| {
            let place = self.directory.place().join(&name);
            let error = Error::new(
                ErrorKind::Integrity,
                format!(
                    "{} does not open: the root key is not the one it was made with, or the file \
                     was edited",
                    place.display()
                ),
            )
            .remedy("restore the root key, or the file, from a backup");
            match cause {
                Some(cause) => error.caused_by(cause),
                None => error,
            }
        };
        let wrapped = bytes.strip_prefix(MAGIC).ok_or_else(|| refuse(None))?;
        Secret::<MATERIAL_BYTES>::fill(|material| {
            self.wrapping.unwrap_into(&associated_with(cmk), wrapped, material)
        })
        .map_err(|cause| match cause.kind() {
            ErrorKind::WrongContext => refuse(Some(cause)),
            _ => cause,
        })
    }
}

impl Hsm for SoftHsm {
    fn record_key(&self) -> Result<RecordKey> {
        RecordKey::derive(&self.root)
    }

    fn generate(&self, cmk: CmkVersion) -> Result<()> {
        self.import(cmk, &Secret::random()?)
    }

    fn import(&self, cmk: CmkVersion, material: &Secret<MATERIAL_BYTES>) -> Result<()> {
        let _alone = self.opened.lock();
        // Of a writer that was killed half-way. Opening the module writes nothing.
        self.directory.remove_leftovers()?;
        let name = file_name(cmk);
        if self.directory.open_file(&name)?.is_some() {
            return Err(Error::new(
                ErrorKind::Exists,
                format!("the HSM holds material of key {cmk} already"),
            ));
        }
        let wrapped = self.wrapping.wrap(&associated_with(cmk), material.expose())?;
        self.directory.replace(&name, &[&MAGIC[..], &wrapped].concat())
    }

    fn generate_dk_wrapped(&self, cmk: CmkVersion, associated: &[u8]) -> Result<Vec<u8>> {
        self.wrap_dk(cmk, associated, &Dk::generate()?)
    }

    fn wrap_dk(&self, cmk: CmkVersion, associated: &[u8], dk: &Dk) -> Result<Vec<u8>> {
        self.material(cmk)?.wrap(associated, dk.expose())
    }

    fn unwrap_dk(&self, cmk: CmkVersion, associated: &[u8], wrapped: &[u8]) -> Result<Dk> {
        let material = self.material(cmk)?;
        Dk::from_secret(Secret::fill(|dk| material.unwrap_into(associated, wrapped, dk))?)
    }

    fn destroy(&self, cmk: CmkVersion) -> Result<()> {
        let mut opened = self.opened.lock();
        opened.remove(&cmk);
        let name = file_name(cmk);
        if let Some(file) = self.directory.open_file_for_overwriting(&name)? {
            file.file()
                .write_all(&DESTROYED)
                .and_then(|()| file.file().sync_all())
                .map_err(|cause| Error::io(format!("overwriting the material of {cmk}"), cause))?;
        }
        self.directory.remove(&name).map(|_| ())
    }

    fn list(&self) -> Result<Vec<CmkVersion>> {
        let mut held: Vec<CmkVersion> =
            self.directory.names()?.iter().filter_map(|name| parse_file_name(name)).collect();
        held.sort();
        Ok(held)
    }
}

fn erase_file(directory: &PrivateDir, name: &str) -> Result<()> {
    if let Some(file) = directory.open_file_for_overwriting(name)? {
        let erased = file.file().metadata().and_then(|status| {
            let zeros = vec![0; usize::try_from(status.len().min(4096)).unwrap_or(0)];
            file.file().write_all(&zeros)?;
            file.file().sync_all()
        });
        erased.map_err(|cause| Error::io(format!("overwriting {name}"), cause))?;
    }
    directory.remove(name).map(|_| ())
}

fn file_name(cmk: CmkVersion) -> String {
    format!("{cmk}{SUFFIX}")
}

fn parse_file_name(name: &str) -> Option<CmkVersion> {
    let (key, version) = name.strip_suffix(SUFFIX)?.split_once('.')?;
    let cmk = CmkVersion { key: KeyId::parse(key).ok()?, version: version.parse().ok()? };
    // Other spellings of the same id or number are no names of ours.
    (file_name(cmk) == name).then_some(cmk)
}

fn associated_with(cmk: CmkVersion) -> Vec<u8> {
    [LABEL, cmk.key.as_bytes(), &cmk.version.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    struct Place {
        _scratch: tempfile::TempDir,
        root: PathBuf,
        directory: PathBuf,
    }

    impl Place {
        fn initialised() -> Place {
            let scratch = tempfile::tempdir().unwrap();
            let directory = scratch.path().join("hsm");
            let root = directory.join("root.key");
            SoftHsm::initialise(&root, &directory).unwrap();
            Place { _scratch: scratch, root, directory }
        }

        fn open(&self) -> Result<SoftHsm> {
            SoftHsm::open(&self.root, &self.directory)
        }

        fn file(&self, cmk: CmkVersion) -> PathBuf {
            self.directory.join(file_name(cmk))
        }
    }

    fn cmk() -> CmkVersion {
        CmkVersion { key: KeyId::random(), version: 1 }
    }

    #[test]
    fn a_data_key_made_before_a_restart_opens_after_it() {
        let place = Place::initialised();
        let (module, cmk) = (place.open().unwrap(), cmk());
        module.generate(cmk).unwrap();
        let wrapped = module.generate_dk_wrapped(cmk, b"disk").unwrap();
        let before = module.unwrap_dk(cmk, b"disk", &wrapped).unwrap();
        let module = place.open().unwrap();
        let after = module.unwrap_dk(cmk, b"disk", &wrapped).unwrap();
        assert_eq!(before.expose(), after.expose());
        assert_eq!(module.list().unwrap(), [cmk]);
        let again = module.wrap_dk(cmk, b"other", &after).unwrap();
        assert_eq!(module.unwrap_dk(cmk, b"other", &again).unwrap().expose(), before.expose());
    }

    /// A kill in the middle of `key delete-material` or of a destruction kept the daemon from
    /// starting, as if the root key were a wrong one.
    #[test]
    fn a_destruction_that_was_interrupted_is_finished_when_the_module_is_opened() {
        let place = Place::initialised();
        let cmk = cmk();
        place.open().unwrap().generate(cmk).unwrap();
        fs::write(place.file(cmk), DESTROYED).unwrap();
        assert!(place.open().unwrap().list().unwrap().is_empty());
        assert!(!place.file(cmk).exists());
    }

    /// RULES K1: imported again, the same material opens what was wrapped under it before.
    #[test]
    fn imported_material_is_the_one_that_was_given_and_replaces_none() {
        let place = Place::initialised();
        let (module, cmk) = (place.open().unwrap(), cmk());
        let material = Secret::random().unwrap();
        module.import(cmk, &material).unwrap();
        let wrapped = module.generate_dk_wrapped(cmk, b"disk").unwrap();
        let refused = module.import(cmk, &Secret::random().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Exists);
        module.destroy(cmk).unwrap();
        module.import(cmk, &material).unwrap();
        place.open().unwrap().unwrap_dk(cmk, b"disk", &wrapped).unwrap();
        module.destroy(cmk).unwrap();
        module.import(cmk, &Secret::random().unwrap()).unwrap();
        let refused = module.unwrap_dk(cmk, b"disk", &wrapped).err().unwrap();
        assert_eq!(refused.documented_code(), Some(Code::KMS_0208));
    }

    #[test]
    fn a_root_key_is_made_once_and_closed_to_others() {
        let place = Place::initialised();
        assert_eq!(fs::metadata(&place.root).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&place.root).unwrap();
        let error = SoftHsm::initialise(&place.root, &place.directory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!(fs::read(&place.root).unwrap(), before);
    }

    #[test]
    fn root_keys_that_are_loose_of_another_length_or_missing_are_refused() {
        let place = Place::initialised();
        fs::set_permissions(&place.root, fs::Permissions::from_mode(0o604)).unwrap();
        assert_eq!(place.open().err().unwrap().kind(), ErrorKind::Integrity);
        fs::set_permissions(&place.root, fs::Permissions::from_mode(0o600)).unwrap();
        for len in [0, 31, 33] {
            fs::write(&place.root, vec![7; len]).unwrap();
            assert_eq!(place.open().err().unwrap().kind(), ErrorKind::Integrity, "{len}");
        }
        fs::remove_file(&place.root).unwrap();
        assert_eq!(place.open().err().unwrap().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn another_root_key_is_noticed_when_the_module_is_opened() {
        let place = Place::initialised();
        place.open().unwrap().generate(cmk()).unwrap();
        fs::write(&place.root, [7; 32]).unwrap();
        let error = place.open().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.message().contains("root key"), "{error}");
    }

    /// It kept the daemon from starting when its name came first.
    #[test]
    fn one_damaged_file_among_others_does_not_make_the_root_key_a_wrong_one() {
        let place = Place::initialised();
        let module = place.open().unwrap();
        let mut cmks: Vec<_> = (0..3).map(|_| cmk()).collect();
        cmks.sort();
        cmks.iter().for_each(|cmk| module.generate(*cmk).unwrap());
        for damaged in [0, 2] {
            let bytes = fs::read(place.file(cmks[damaged])).unwrap();
            fs::write(place.file(cmks[damaged]), b"nothing").unwrap();
            let module = place.open().unwrap();
            for (at, cmk) in cmks.iter().enumerate() {
                let wrapped = module.generate_dk_wrapped(*cmk, b"disk");
                assert_eq!(wrapped.is_err(), at == damaged);
            }
            fs::write(place.file(cmks[damaged]), bytes).unwrap();
        }
        cmks.iter().for_each(|cmk| fs::write(place.file(*cmk), b"nothing").unwrap());
        let error = place.open().err().unwrap();
        assert!(error.message().contains(&file_name(cmks[0])), "{error}");
    }

    /// RULES K7: what lies on the medium is wrapped, and opens only as what it was made as.
    #[test]
    fn material_that_was_edited_cut_or_renamed_does_not_open() {
        let place = Place::initialised();
        let (one, other) = (cmk(), cmk());
        place.open().unwrap().generate(one).unwrap();
        let bytes = fs::read(place.file(one)).unwrap();
        assert_eq!(bytes.len(), FILE_BYTES);
        for at in 0..bytes.len() {
            let mut edited = bytes.clone();
            edited[at] ^= 1;
            fs::write(place.file(one), &edited).unwrap();
            assert_eq!(place.open().err().unwrap().kind(), ErrorKind::Integrity, "byte {at}");
        }
        fs::write(place.file(one), &bytes[1..]).unwrap();
        assert_eq!(place.open().err().unwrap().kind(), ErrorKind::Integrity);
        fs::write(place.file(one), &bytes).unwrap();
        fs::rename(place.file(one), place.file(other)).unwrap();
        assert_eq!(place.open().err().unwrap().kind(), ErrorKind::Integrity);
    }

    /// RULES K9.
    #[test]
    fn destroyed_material_is_gone_from_memory_and_from_the_directory() {
        let place = Place::initialised();
        let (module, cmk) = (place.open().unwrap(), cmk());
        module.generate(cmk).unwrap();
        assert_eq!(module.generate(cmk).unwrap_err().kind(), ErrorKind::Exists);
        let wrapped = module.generate_dk_wrapped(cmk, b"disk").unwrap();
        // A second name of the file shows what became of its bytes.
        let witness = place.directory.join("witness");
        fs::hard_link(place.file(cmk), &witness).unwrap();
        module.destroy(cmk).unwrap();
        module.destroy(cmk).unwrap();
        let error = module.unwrap_dk(cmk, b"disk", &wrapped).err().unwrap();
        assert_eq!(error.documented_code(), Some(Code::KMS_0207));
        assert!(module.list().unwrap().is_empty());
        assert_eq!(fs::read(witness).unwrap(), [0; FILE_BYTES]);
    }

    #[test]
    fn files_that_are_not_material_are_not_listed() {
        let place = Place::initialised();
        let id = KeyId::random();
        for name in [format!("{id}.01.key"), format!("{id}.key"), format!("{id}.1.toml")] {
            fs::write(place.directory.join(name), b"x").unwrap();
        }
        assert!(place.open().unwrap().list().unwrap().is_empty());
    }
}
