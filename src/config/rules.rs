//! The rules for the values of `mount.toml`, in the order of the file.

use super::document::{DefaultsTable, Document, KmsTable, MountTable, UserTable};
use super::duration::parse_duration;
use super::mistake::{mistake, unknown_word};
use super::role::Role;
use super::settings::{
    CacheMode, Config, Defaults, HsmChoice, KernelChoice, KmsSettings, MountSettings,
    RootKeyProtection, User,
};
use crate::error::Result;
use crate::id::{Alias, Name, Uid};
use crate::units::SectorSize;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// More threads than this only wait for each other.
const MAX_THREADS: i64 = 256;
/// More jobs than this at a time only slow each other down.
const MAX_JOBS: i64 = 16;
/// A service manager gives up long before this.
const MAX_SHUTDOWN_GRACE: Duration = Duration::from_secs(3600);
/// The longest name of a user, as useradd(8) allows it.
const MAX_USER_NAME: usize = 32;

/// The outcome of one rule: the value, or the reason why not.
type Ruling<T> = Result<T, String>;

/// Applies every rule to a document.
pub(super) fn check(document: Document, file: &Path) -> Result<Config> {
    let at = |key: &str| {
        let key = key.to_owned();
        move |reason: String| mistake(file, &key, reason)
    };
    let state_dir = absolute(&document.state_dir).map_err(at("state_dir"))?;
    let backing_dirs = (0_usize..)
        .zip(&document.backing_dirs)
        .map(|(n, path)| absolute(path).map_err(at(&format!("backing_dirs[{n}]"))))
        .collect::<Result<Vec<_>>>()?;
    let config = Config {
        file: file.to_owned(),
        mountpoint: absolute(&document.mountpoint).map_err(at("mountpoint"))?,
        region: plain_name(&document.region).map_err(at("region"))?,
        project: plain_name(&document.project).map_err(at("project"))?,
        backing_dirs,
        mount: check_mount(&document.mount, file)?,
        kms: check_kms(&document.kms, &state_dir, file)?,
        defaults: check_defaults(&document.defaults, file)?,
        users: check_users(&document.user, file)?,
        state_dir,
    };
    check_places(&config)?;
    Ok(config)
}

/// The rules about how paths lie to one another.
pub(super) fn check_places(config: &Config) -> Result<()> {
    let refuse = |key: &str, reason: String| Err(mistake(&config.file, key, reason));
    let (mountpoint, state_dir) = (&config.mountpoint, &config.state_dir);
    if let Err(reason) = absolute_path(mountpoint) {
        return refuse("mountpoint", reason);
    }
    // Either way round the daemon would wait for itself when it reads its own state.
    if mountpoint.starts_with(state_dir) {
        let reason = format!("{mountpoint:?} lies inside the state directory {state_dir:?}");
        return refuse("mountpoint", reason);
    }
    if state_dir.starts_with(mountpoint) {
        let reason = format!("{state_dir:?} lies inside the mountpoint {mountpoint:?}");
        return refuse("state_dir", reason);
    }
    for (n, directory) in config.backing_dirs.iter().enumerate() {
        // A payload inside the mount would be a disk on itself; one among the records could be
        // made to overwrite them.
        for (what, other) in [("mountpoint", mountpoint), ("state directory", state_dir)] {
            if directory.starts_with(other) || other.starts_with(directory) {
                let reason = format!("{directory:?} overlaps with the {what} {other:?}");
                return refuse(&format!("backing_dirs[{n}]"), reason);
            }
        }
    }
    let secrets = match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, .. } => Some(("kms.root_key_file", root_key_file)),
        HsmChoice::Pkcs11 { pin_file, .. } => pin_file.as_ref().map(|path| ("kms.pin_file", path)),
    };
    if let Some((key, path)) = secrets
        && path.starts_with(mountpoint)
    {
        return refuse(key, format!("{path:?} lies inside the mountpoint {mountpoint:?}"));
    }
    Ok(())
}

fn check_mount(table: &MountTable, file: &Path) -> Result<MountSettings> {
    let at = |key: &'static str| move |reason: String| mistake(file, key, reason);
    let threads = match table.threads {
        threads @ 0..=MAX_THREADS => Ok(usize::try_from(threads).expect("0 to 256 fits")),
        threads => Err(format!("{threads} is not a number from 0 (one per core) to {MAX_THREADS}")),
    };
    let jobs = match table.jobs {
        jobs @ 1..=MAX_JOBS => Ok(usize::try_from(jobs).expect("1 to 16 fits")),
        jobs => Err(format!("{jobs} is not a number from 1 to {MAX_JOBS}")),
    };
    let caches = [("writeback", CacheMode::Writeback), ("none", CacheMode::None)];
    let kernels = [
        ("auto", KernelChoice::Auto),
        ("vaes512", KernelChoice::Vaes512),
        ("vaes256", KernelChoice::Vaes256),
        ("batched", KernelChoice::Batched),
        ("portable", KernelChoice::Portable),
    ];
    let grace = parse_duration(&table.shutdown_grace).and_then(|grace| {
        if grace <= MAX_SHUTDOWN_GRACE { Ok(grace) } else { Err("is longer than 1h".to_owned()) }
    });
    let sandbox_also = (0_usize..)
        .zip(&table.sandbox_also)
        .map(|(n, path)| {
            let key = format!("mount.sandbox_also[{n}]");
            absolute(path).map_err(|reason| mistake(file, &key, reason))
        })
        .collect::<Result<Vec<_>>>()?;
    let user = table.user.as_deref().map(user_name).transpose();
    Ok(MountSettings {
        user: user.map_err(at("mount.user"))?,
        allow_other: table.allow_other,
        threads: threads.map_err(at("mount.threads"))?,
        cache: one_of(&table.cache, &caches).map_err(at("mount.cache"))?,
        kernel: one_of(&table.kernel, &kernels).map_err(at("mount.kernel"))?,
        passthrough: table.passthrough,
        direct_backing: table.direct_backing,
        sandbox: table.sandbox,
        sandbox_also,
        reattach: table.reattach,
        jobs: jobs.map_err(at("mount.jobs"))?,
        shutdown_grace: grace.map_err(at("mount.shutdown_grace"))?,
    })
}

fn check_kms(table: &KmsTable, state_dir: &Path, file: &Path) -> Result<KmsSettings> {
    #[derive(Clone, Copy)]
    enum Kind {
        Soft,
        Pkcs11,
    }
    let at = |key: &'static str| move |reason: String| mistake(file, key, reason);
    let kind = one_of(&table.hsm, &[("soft", Kind::Soft), ("pkcs11", Kind::Pkcs11)])
        .map_err(at("kms.hsm"))?;
    // A key of the other HSM is a sign that the wrong one is chosen.
    let foreign = match kind {
        Kind::Soft => [
            ("kms.module", table.module.is_some()),
            ("kms.token", table.token.is_some()),
            ("kms.pin_file", table.pin_file.is_some()),
        ],
        Kind::Pkcs11 => [
            ("kms.root_key_file", table.root_key_file.is_some()),
            ("kms.passphrase", table.passphrase.is_some()),
            ("", false),
        ],
    };
    if let Some((key, _)) = foreign.into_iter().find(|(_, is_set)| *is_set) {
        return Err(mistake(file, key, format!("has no meaning with hsm = {:?}", table.hsm)));
    }
    let hsm = match kind {
        Kind::Soft => HsmChoice::Soft {
            root_key_file: match &table.root_key_file {
                Some(path) => absolute(path).map_err(at("kms.root_key_file"))?,
                None => state_dir.join("hsm/root.key"),
            },
            protection: match table.passphrase {
                Some(true) => RootKeyProtection::Passphrase,
                Some(false) | None => RootKeyProtection::FilePermissions,
            },
        },
        Kind::Pkcs11 => HsmChoice::Pkcs11 {
            module: needed(&table.module).and_then(absolute).map_err(at("kms.module"))?,
            token: needed(&table.token)
                .and_then(|token| match token {
                    "" => Err("is empty".to_owned()),
                    token => Ok(token.to_owned()),
                })
                .map_err(at("kms.token"))?,
            pin_file: match &table.pin_file {
                Some(path) => Some(absolute(path).map_err(at("kms.pin_file"))?),
                None => None,
            },
        },
    };
    Ok(KmsSettings { hsm })
}

fn check_defaults(table: &DefaultsTable, file: &Path) -> Result<Defaults> {
    let at = |key: &'static str| move |reason: String| mistake(file, key, reason);
    let sector_size =
        u64::try_from(table.sector_size).ok().and_then(|size| SectorSize::from_bytes(size).ok());
    Ok(Defaults {
        encryption: one_of(&table.encryption, &[("on", true), ("off", false)])
            .map_err(at("defaults.encryption"))?,
        key: Alias::parse(&table.key)
            .map_err(|error| mistake(file, "defaults.key", error.message()))?,
        sector_size: sector_size
            .ok_or_else(|| format!("{} is neither 512 nor 4096", table.sector_size))
            .map_err(at("defaults.sector_size"))?,
    })
}

fn check_users(tables: &[UserTable], file: &Path) -> Result<Vec<User>> {
    let mut users: Vec<User> = Vec::with_capacity(tables.len());
    for (n, table) in tables.iter().enumerate() {
        let at = |key: &str| {
            let key = format!("user[{n}].{key}");
            move |reason: String| mistake(file, &key, reason)
        };
        let user = User {
            name: user_name(&table.name).map_err(at("name"))?,
            uid: uid(table.uid).map_err(at("uid"))?,
            roles: roles(&table.roles).map_err(at("roles"))?,
        };
        if users.iter().any(|other| other.name == user.name) {
            return Err(at("name")(format!("{:?} is there twice", user.name)));
        }
        if let Some(other) = users.iter().find(|other| other.uid == user.uid) {
            return Err(at("uid")(format!("{} is also the uid of {:?}", user.uid, other.name)));
        }
        users.push(user);
    }
    Ok(users)
}

fn absolute(text: &str) -> Ruling<PathBuf> {
    absolute_path(Path::new(text))?;
    // Gathered from its components, so that `/a//b/` and `/a/b` are the same path.
    Ok(Path::new(text).components().collect())
}

fn absolute_path(path: &Path) -> Ruling<()> {
    if !path.is_absolute() {
        return Err(format!("{path:?} is not an absolute path"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(format!("{path:?} has a zero byte"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{path:?} has \"..\" in it"));
    }
    Ok(())
}

/// Regions and projects are named as disks are: their names become parts of paths and contexts.
fn plain_name(text: &str) -> Ruling<String> {
    match Name::parse(text) {
        Ok(name) => Ok(name.into()),
        Err(error) => Err(match error.suggested_remedy() {
            Some(remedy) => format!("{}; {remedy}", error.message()),
            None => error.message().to_owned(),
        }),
    }
}

fn one_of<T: Copy>(text: &str, allowed: &[(&str, T)]) -> Ruling<T> {
    allowed.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = allowed.iter().map(|(word, _)| *word).collect();
        unknown_word(text, &words)
    })
}

fn needed(value: &Option<String>) -> Ruling<&str> {
    value.as_deref().ok_or_else(|| "is missing; hsm = \"pkcs11\" needs it".to_owned())
}

fn user_name(text: &str) -> Ruling<String> {
    let is_plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != ':');
    if text.is_empty() || text.len() > MAX_USER_NAME || !is_plain {
        return Err(format!("{text:?} is not the name of a user"));
    }
    Ok(text.to_owned())
}

fn uid(number: i64) -> Ruling<Uid> {
    match u32::try_from(number) {
        // The kernel uses the highest number for "no such user".
        Ok(number) if number != u32::MAX => Ok(Uid::new(number)),
        _ => Err(format!("{number} is not a uid")),
    }
}

fn roles(words: &[String]) -> Ruling<Vec<Role>> {
    let mut roles = Vec::with_capacity(words.len());
    for word in words {
        let Some(role) = Role::from_name(word) else {
            return Err(unknown_word(word, &Role::ALL.map(Role::name)));
        };
        if roles.contains(&role) {
            return Err(format!("{word:?} is there twice"));
        }
        roles.push(role);
    }
    if roles.is_empty() {
        return Err("is empty; leave the user out to give it nothing".to_owned());
    }
    Ok(roles)
}
