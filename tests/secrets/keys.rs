//! The keys of a state directory, opened as its documents describe (`src/kms/soft_hsm.rs`,
//! `src/crypto/wrapping.rs`), so that they can be looked for.

use super::needles::Needles;
use crate::support::Mount;
use evsfs::crypto::{EncryptionContext, Secret, WrappingKey, from_hex};
use evsfs::id::{DiskId, KeyId};
use evsfs::units::SectorSize;
use hkdf::Hkdf;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::path::Path;

/// All keys of a project under the software HSM with a plain root key.
pub struct Keys {
    root: [u8; 32],
    /// Material, by `KEY.VERSION`.
    material: BTreeMap<String, [u8; 32]>,
    /// Data keys, by the name of their disk.
    data_keys: BTreeMap<String, [u8; 64]>,
    /// Data keys of backups and images.
    archived: Vec<[u8; 64]>,
}

impl Keys {
    /// Those that lie in the state directory of a mount now.
    #[track_caller]
    pub fn of(mount: &Mount) -> Keys {
        let hsm = mount.state_dir().join("hsm");
        let root: [u8; 32] = std::fs::read(hsm.join("root.key")).unwrap().try_into().unwrap();
        let wrapping = WrappingKey::derive(&secret(&root)).unwrap();
        let mut keys = Keys {
            root,
            material: BTreeMap::new(),
            data_keys: BTreeMap::new(),
            archived: Vec::new(),
        };
        for entry in std::fs::read_dir(hsm).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if let Some((key, version)) = name.split_once('.') {
                let material = material(&wrapping, &path, key, version);
                keys.material.insert(name, material);
            }
        }
        for entry in std::fs::read_dir(mount.state_dir().join("disks")).unwrap() {
            let record = std::fs::read_to_string(entry.unwrap().path().join("disk.toml")).unwrap();
            let record: toml::Table = record.parse().unwrap();
            if let Some(dk) = record.get("dk") {
                let name = record["name"].as_str().unwrap().to_owned();
                let plain = keys.opened(dk, &record["id"], &record["sector_size"]);
                keys.data_keys.insert(name, plain);
            }
        }
        keys
    }

    /// Opens a wrapped data key.
    fn opened(&self, dk: &toml::Value, disk: &toml::Value, sector_size: &toml::Value) -> [u8; 64] {
        let text = |table: &toml::Value, key: &str| table[key].as_str().unwrap().to_owned();
        let version = u32::try_from(dk["version"].as_integer().unwrap()).unwrap();
        let key = text(dk, "key");
        let size = match sector_size.as_integer() {
            Some(512) => SectorSize::S512,
            _ => SectorSize::S4096,
        };
        let context = EncryptionContext::for_disk(
            DiskId::parse(disk.as_str().unwrap()).unwrap(),
            KeyId::parse(&key).unwrap(),
            version,
            size,
        );
        let material = self.material[&format!("{key}.{version}")];
        let wrapping = WrappingKey::from_secret(&secret(&material)).unwrap();
        let mut plain = [0; 64];
        let wrapped = from_hex(&text(dk, "bytes")).unwrap();
        wrapping.unwrap_into(&context.to_associated_data(), &wrapped, &mut plain).unwrap();
        plain
    }

    /// Adds the data keys of backups and images.
    #[track_caller]
    pub fn add_archives(&mut self, mount: &Mount) {
        for (kind, name) in [("backups", "backup.toml"), ("images", "image.toml")] {
            for entry in std::fs::read_dir(mount.state_dir().join(kind)).unwrap() {
                let record = std::fs::read_to_string(entry.unwrap().path().join(name)).unwrap();
                let record: toml::Table = record.parse().unwrap();
                let archive = &record["archive"];
                let sealing = &archive["sealing"];
                let plain = self.opened(&sealing["dk"], &sealing["disk"], &archive["sector_size"]);
                self.archived.push(plain);
            }
        }
    }

    /// The data keys of backups and images.
    pub fn needles_of_archives(&self) -> Needles {
        let mut needles = Needles::default();
        for (data, tweak) in self.archived.iter().map(|key| key.as_chunks::<32>().0).map(halves) {
            needles.add_aes_key("data half of an archive", data);
            needles.add_aes_key("tweak half of an archive", tweak);
        }
        needles
    }

    /// Forgets all material but that of one key.
    pub fn keep_material_of(&mut self, key: &str) {
        self.material.retain(|name, _| name.starts_with(key));
    }

    /// The material of all keys.
    pub fn needles_of_material(&self) -> Needles {
        let mut needles = Needles::default();
        for (name, material) in &self.material {
            needles.add_gcm_key(&format!("material of {name}"), material);
        }
        needles
    }

    /// The data key of a disk.
    #[track_caller]
    pub fn data_key(&self, disk: &str) -> [u8; 64] {
        self.data_keys[disk]
    }

    /// Everything: what may only be in protected memory while a disk is attached.
    pub fn needles(&self) -> Needles {
        let mut needles = Needles::default();
        needles.add_secret("root key", &self.root);
        for (label, of) in [
            ("record key", "evsfs record authentication v1"),
            ("wrapping key", "evsfs master key wrapping v1"),
        ] {
            let mut key = [0; 32];
            Hkdf::<Sha256>::new(None, &self.root).expand(of.as_bytes(), &mut key).unwrap();
            needles.add_gcm_key(label, &key);
        }
        for (name, material) in &self.material {
            needles.add_gcm_key(&format!("material of {name}"), material);
        }
        self.data_keys.keys().for_each(|disk| self.add_data_key_of(disk, &mut needles));
        needles
    }

    /// The data key of one disk: what may be nowhere after its detach.
    pub fn needles_of(&self, disk: &str) -> Needles {
        let mut needles = Needles::default();
        self.add_data_key_of(disk, &mut needles);
        needles
    }

    fn add_data_key_of(&self, disk: &str, needles: &mut Needles) {
        let (halves, _) = self.data_keys[disk].as_chunks::<32>();
        needles.add_aes_key(&format!("data half of {disk}"), &halves[0]);
        needles.add_aes_key(&format!("tweak half of {disk}"), &halves[1]);
    }
}

fn halves(of: &[[u8; 32]]) -> (&[u8; 32], &[u8; 32]) {
    (&of[0], &of[1])
}

fn secret(bytes: &[u8; 32]) -> Secret<32> {
    let filled = Secret::fill(|secret| {
        secret.copy_from_slice(bytes);
        Ok(())
    });
    filled.unwrap()
}

fn material(wrapping: &WrappingKey, path: &Path, key: &str, version: &str) -> [u8; 32] {
    let file = std::fs::read(path).unwrap();
    let version: u32 = version.parse().unwrap();
    let label = b"evsfs master key material v1".as_slice();
    let key = KeyId::parse(key).unwrap();
    let associated = [label, key.as_bytes(), &version.to_le_bytes()].concat();
    let mut plain = [0; 32];
    wrapping.unwrap_into(&associated, &file[8..], &mut plain).unwrap();
    plain
}
