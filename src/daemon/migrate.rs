//! The move of a state directory from the software HSM to a token, while no daemon works on it.
//!
//! All records are written anew, sealed under the new HSM's record key, into `moving/` beside the
//! old ones, with a ledger of their own; then `moving/complete` is made, and that is the moment of the move. Before it, a move
//! that was interrupted leaves everything as it was, and the next one begins anew. After it, the
//! records are put in their place one by one, the software HSM is erased, and a move that was
//! interrupted is finished by the next one.
//!
//! The records of disks, backups and images hold data keys; another kind of record that holds one has
//! to be added in [`stage`].

use super::assembly::{look_at_records, token_settings};
use super::hsm_secret::{HsmSecret, demand};
use super::service_user::ServiceUser;
use super::state_dir;
use crate::archive::{ArchiveRecord, Sealing};
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::crypto::{SecretText, WrappedDk};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use crate::kms::{
    Actor, Hsm, KeyMove, Pkcs11Hsm, Pkcs11Settings, RootKeyFile, SoftHsm, check_audit_to_move,
    is_audit, move_audit,
};
use crate::records::{DirStore, MemoryStore, PrivateDir, RecordPath, Records};
use crate::service::{BackupRecord, DiskRecord, ImageRecord};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const STAGING: &str = "moving";
const COMPLETE: &str = "complete";
/// A finished move's staging directory, while it is being removed.
const FINISHED: &str = "moved";

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Keys that have material in the new HSM.
    pub keys: usize,
    /// Disks whose data keys are under them.
    pub disks: usize,
    /// Backups of which the same is true.
    pub backups: usize,
    /// Images of which the same is true.
    pub images: usize,
}

/// Called before each step that a kill may come before; a test's way to let one come.
type Step<'a> = &'a mut dyn FnMut() -> Result<()>;

/// Moves all keys from the software HSM of the first configuration to the token of the second, each
/// given with what [`super::needed_secret`] says. Repeat it after it was interrupted.
///
/// # Errors
/// `invalid` when the configurations are not of one state directory, or not of these HSMs; `in-use`
/// while a daemon lives; `integrity` and `wrong-context` for what was edited, and nothing is moved
/// then; `not-found` when there is nothing to move; what the HSMs report.
pub fn migrate(
    from: (&Config, Option<&SecretText>),
    to: (&Config, Option<&SecretText>),
) -> Result<MoveReport> {
    ServiceUser::act_for(from.0, |caller| move_keys(caller, from, to))
}

fn move_keys(
    caller: Uid,
    from: (&Config, Option<&SecretText>),
    to: (&Config, Option<&SecretText>),
) -> Result<MoveReport> {
    let state_dir = &from.0.state_dir;
    let (root_key_file, token) = ends_of_move(from.0, to)?;
    state_dir::check_privacy(from.0)?;
    let _lock = state_dir::lock(state_dir)?;
    let mut report = MoveReport::default();
    if !is_complete(state_dir) {
        let old = open_old(from, to.0)?;
        let new = match Pkcs11Hsm::open(token()?) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Pkcs11Hsm::initialise(token()?)?;
                Pkcs11Hsm::open(token()?)?
            }
            opened => opened?,
        };
        report = stage(caller, state_dir, &old, &new, &mut || Ok(()))?;
    }
    finish(state_dir, root_key_file, &mut || Ok(()))?;
    Ok(report)
}

/// What [`migrate`] would move. The token is found, and the PIN tried; every record is read, and every
/// data key opened by the software HSM; nothing is written anywhere.
///
/// # Errors
/// As [`migrate`].
pub fn preview_migration(
    from: (&Config, Option<&SecretText>),
    to: (&Config, Option<&SecretText>),
) -> Result<MoveReport> {
    ServiceUser::act_for(from.0, |_| foresee(from, to))
}

fn foresee(
    from: (&Config, Option<&SecretText>),
    to: (&Config, Option<&SecretText>),
) -> Result<MoveReport> {
    let state_dir = &from.0.state_dir;
    let (_root_key_file, token) = ends_of_move(from.0, to)?;
    state_dir::check_privacy(from.0)?;
    let _lock = state_dir::lock(state_dir)?;
    if is_complete(state_dir) {
        return Ok(MoveReport::default());
    }
    let old = open_old(from, to.0)?;
    match Pkcs11Hsm::open(token()?) {
        // It would be initialised.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => drop(opened?),
    }
    let records = look_at_records(from.0, &old)?;
    let nowhere = Records::open(Arc::new(MemoryStore::default()), old.record_key()?)?;
    let moving = KeyMove::of_keys(&old, None, &records, &nowhere, jiff::Timestamp::now())?;
    check_audit_to_move(&records)?;
    move_records(state_dir, &records, &nowhere, &moving, &mut || Ok(()))
}

/// The settings of a token, made as often as it is opened.
type TokenOf<'a> = Box<dyn Fn() -> Result<Pkcs11Settings> + 'a>;

/// The root key that is left, and the token that is moved to.
fn ends_of_move<'a>(
    from: &'a Config,
    to: (&'a Config, Option<&'a SecretText>),
) -> Result<(&'a Path, TokenOf<'a>)> {
    let (to, pin) = to;
    let state_dir = &from.state_dir;
    if *state_dir != to.state_dir {
        let (old, new) = (from.file.display(), to.file.display());
        let message = format!("{old} and {new} have different state directories");
        return Err(Error::new(ErrorKind::Invalid, message)
            .remedy(format!("set state_dir = {state_dir:?} in {new}")));
    }
    let HsmChoice::Soft { root_key_file, .. } = &from.kms.hsm else {
        return Err(wrong_hsm(from, "soft"));
    };
    let HsmChoice::Pkcs11 { module, token, pin_file } = &to.kms.hsm else {
        return Err(wrong_hsm(to, "pkcs11"));
    };
    let settings = move || token_settings(module, token, pin_file.as_deref(), pin);
    Ok((root_key_file, Box::new(settings)))
}

/// Opens the HSM that is left.
fn open_old(from: (&Config, Option<&SecretText>), to: &Config) -> Result<SoftHsm> {
    let (from, passphrase) = from;
    let HsmChoice::Soft { root_key_file, protection } = &from.kms.hsm else {
        return Err(wrong_hsm(from, "soft"));
    };
    let hsm_dir = from.state_dir.join("hsm");
    match protection {
        _ if !root_key_file.exists() => Err(nothing_to_move(root_key_file, to)),
        RootKeyProtection::FilePermissions => SoftHsm::open(root_key_file, &hsm_dir),
        RootKeyProtection::Passphrase => {
            let passphrase = demand(passphrase, HsmSecret::Passphrase)?;
            let root = RootKeyFile::at(root_key_file).open_with_passphrase(passphrase)?;
            SoftHsm::with_root(root, &hsm_dir)
        }
    }
}

/// Refuses to work on a state directory half of whose records are of the old HSM.
///
/// # Errors
/// `wrong-status`.
pub(super) fn refuse_unfinished_move(state_dir: &Path) -> Result<()> {
    if !is_complete(state_dir) {
        return Ok(());
    }
    let message = format!("a move of the keys of {} was interrupted", state_dir.display());
    Err(Error::new(ErrorKind::WrongStatus, message)
        .remedy("repeat it: evsfs hsm migrate -c OLD --to NEW"))
}

/// What a move has left that was interrupted before it took effect, or after it was finished.
pub(super) fn left_of_a_move(state_dir: &Path) -> Option<PathBuf> {
    [STAGING, FINISHED]
        .map(|name| state_dir.join(name))
        .into_iter()
        .find(|directory| !is_complete(state_dir) && directory.exists())
}

/// Removes [what a move has left](left_of_a_move). The caller holds the lock.
///
/// # Errors
/// `io`.
pub(super) fn remove_what_a_move_left(state_dir: &Path) -> Result<()> {
    while let Some(directory) = left_of_a_move(state_dir) {
        log::info!("event=move-leftover-removed directory={}", directory.display());
        remove_tree(&directory)?;
    }
    Ok(())
}

fn is_complete(state_dir: &Path) -> bool {
    state_dir.join(STAGING).join(COMPLETE).exists()
}

/// Writes all records as they will be beside those that are.
fn stage(
    caller: Uid,
    state_dir: &Path,
    old: &SoftHsm,
    new: &dyn Hsm,
    step: Step<'_>,
) -> Result<MoveReport> {
    let staging = state_dir.join(STAGING);
    remove_tree(&staging)?;
    let directory = PrivateDir::open_or_create(&staging)?;
    let records = Records::open(Arc::new(DirStore::open(state_dir)?), old.record_key()?)?;
    let moved = Records::open(Arc::new(DirStore::open(&staging)?), new.record_key()?)?;
    step()?;
    let moving = KeyMove::of_keys(old, Some(new), &records, &moved, jiff::Timestamp::now())?;
    move_audit(&records, &moved, Actor::User(caller), jiff::Timestamp::now())?;
    let report = move_records(state_dir, &records, &moved, &moving, step)?;
    step()?;
    // A record whose place is not durable yet would be put there by an opening of `moving/`, which
    // nobody will do.
    for path in record_paths(&staging)? {
        if let Some(parent) = staging.join(path.as_str()).parent() {
            sync(parent)?;
        }
    }
    directory.replace(COMPLETE, b"")?;
    Ok(report)
}

/// Writes all records but those of keys and the audit log into `moved`, with their data keys moved.
fn move_records(
    state_dir: &Path,
    records: &Records,
    moved: &Records,
    moving: &KeyMove<'_>,
    step: Step<'_>,
) -> Result<MoveReport> {
    let mut report = MoveReport { keys: moving.count(), ..MoveReport::default() };
    for path in record_paths(state_dir)? {
        step()?;
        let text = path.as_str();
        if text.starts_with("kms/keys/") || is_audit(&path) || Records::is_ledger(&path) {
            continue;
        }
        let move_key = |dk: &WrappedDk, disk, sector_size| {
            moving.data_key(dk, disk, sector_size).map_err(|cause| {
                let message = format!("the data key in {} cannot be moved", records.place(&path));
                Error::new(cause.kind(), message).caused_by(cause)
            })
        };
        let move_archive = |archive: &mut Option<ArchiveRecord>| -> Result<bool> {
            let Some(archive) = archive else { return Ok(false) };
            let Some(Sealing { disk, dk }) = archive.sealing() else { return Ok(false) };
            let moved = move_key(dk, *disk, archive.sector_size())?;
            let is_moved = moved.is_some();
            moved.into_iter().for_each(|dk| archive.set_wrapped_dk(dk));
            Ok(is_moved)
        };
        match (text.split('/').next(), path.name()) {
            (Some("disks"), "disk.toml") => {
                let Some(record) = records.load::<DiskRecord>(&path)? else { continue };
                let mut record = record.check()?;
                if let Some(dk) = &record.dk
                    && let Some(dk) = move_key(dk, record.id, record.sector_size())?
                {
                    record.dk = Some(dk);
                    report.disks += 1;
                }
                moved.save(&path, &record)?;
            }
            (Some("backups"), "backup.toml") => {
                let Some(record) = records.load::<BackupRecord>(&path)? else { continue };
                let mut record = record.check()?;
                report.backups += usize::from(move_archive(&mut record.archive)?);
                moved.save(&path, &record)?;
            }
            (Some("images"), "image.toml") => {
                let Some(mut record) = records.load::<ImageRecord>(&path)? else { continue };
                report.images += usize::from(move_archive(&mut record.archive)?);
                moved.save(&path, &record)?;
            }
            _ => records.copy_to(moved, &path)?,
        }
    }
    Ok(report)
}

/// Puts the staged records in their place and erases the old HSM.
fn finish(state_dir: &Path, root_key_file: &Path, step: Step<'_>) -> Result<()> {
    let staging = state_dir.join(STAGING);
    // Of all records, also of those that an interrupted attempt has put in their place: nobody has
    // made that durable.
    let mut changed = BTreeSet::new();
    for path in record_paths(state_dir)?.into_iter().chain(record_paths(&staging)?) {
        changed.extend(state_dir.join(path.as_str()).parent().map(Path::to_owned));
    }
    for path in record_paths(&staging)? {
        step()?;
        let (from, to) = (staging.join(path.as_str()), state_dir.join(path.as_str()));
        std::fs::rename(&from, &to)
            .map_err(|cause| Error::io(format!("moving {} into place", from.display()), cause))?;
    }
    for directory in changed.iter().map(PathBuf::as_path).chain([state_dir]) {
        sync(directory)?;
    }
    step()?;
    SoftHsm::erase(root_key_file, &state_dir.join("hsm"))?;
    step()?;
    // Renamed first, so that what is left of it says nothing more.
    let finished = state_dir.join(FINISHED);
    remove_tree(&finished)?;
    std::fs::rename(&staging, &finished)
        .map_err(|cause| Error::io(format!("removing {}", staging.display()), cause))?;
    sync(state_dir)?;
    remove_tree(&finished)
}

/// All records below a directory, and their logs, by their paths in it.
fn record_paths(root: &Path) -> Result<Vec<RecordPath>> {
    let mut paths = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let place = root.join(&directory);
        let listing = |cause| Error::io(format!("listing {}", place.display()), cause);
        for entry in std::fs::read_dir(&place).map_err(listing)? {
            let entry = entry.map_err(listing)?;
            let below = directory.join(entry.file_name());
            let is_directory = entry.file_type().map_err(listing)?.is_dir();
            let is_other = ["hsm", STAGING, FINISHED].iter().any(|name| below == Path::new(name));
            if is_directory && !is_other {
                directories.push(below);
            } else if let Some(text) = below.to_str()
                && let Ok(path) = RecordPath::parse(text)
                && (text.ends_with(".toml") || is_audit(&path) || Records::is_ledger(&path))
            {
                paths.push(path);
            }
        }
    }
    paths.sort();
    Ok(paths)
}

fn remove_tree(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {}", directory.display()), cause))
        }
        _ => Ok(()),
    }
}

fn sync(directory: &Path) -> Result<()> {
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|cause| Error::io(format!("synchronising {}", directory.display()), cause))
}

fn wrong_hsm(config: &Config, wanted: &str) -> Error {
    let file = config.file.display();
    Error::new(ErrorKind::Invalid, format!("{file} does not say kms.hsm = {wanted:?}"))
        .remedy("evsfs hsm migrate -c FILE --to FILE2: from hsm = \"soft\" to hsm = \"pkcs11\"")
}

fn nothing_to_move(root_key_file: &Path, to: &Config) -> Error {
    let message = format!("there is no root key {} to move away from", root_key_file.display());
    Error::new(ErrorKind::NotFound, message)
        .remedy(format!("if the keys were moved before: evsfs mount -c {}", to.file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Alias, Description, Name, Uid};
    use crate::kms::{Kms, NewKey, Origin};
    use crate::sys::SystemClock;
    use crate::units::{ByteLen, SectorSize};

    /// A state directory with two keys and three disks, and another HSM to move to.
    struct World {
        scratch: tempfile::TempDir,
        disks: Vec<(RecordPath, Vec<u8>)>,
    }

    impl World {
        fn state_dir(&self) -> PathBuf {
            self.scratch.path().join("state")
        }

        fn root(&self) -> PathBuf {
            self.scratch.path().join("state/hsm/root.key")
        }

        fn old(&self) -> Result<SoftHsm> {
            SoftHsm::open(&self.root(), &self.state_dir().join("hsm"))
        }

        fn new_hsm(&self) -> SoftHsm {
            let directory = self.scratch.path().join("other");
            SoftHsm::open(&directory.join("root.key"), &directory).unwrap()
        }

        fn records(&self, hsm: &dyn Hsm) -> Records {
            let store = DirStore::open(&self.state_dir()).unwrap();
            Records::open(Arc::new(store), hsm.record_key().unwrap()).unwrap()
        }

        fn new() -> World {
            let scratch = tempfile::tempdir().unwrap();
            let mut world = World { scratch, disks: Vec::new() };
            state_dir::create(&world.state_dir()).unwrap();
            let other = world.scratch.path().join("other");
            SoftHsm::initialise(&world.root(), &world.state_dir().join("hsm")).unwrap();
            SoftHsm::initialise(&other.join("root.key"), &other).unwrap();
            let hsm = Arc::new(world.old().unwrap());
            let records = world.records(&*hsm);
            let kms = Kms::open(records.clone(), hsm, Arc::new(SystemClock)).unwrap();
            for (number, alias) in ["a", "b", "a"].into_iter().enumerate() {
                let alias = Alias::parse(alias).unwrap();
                let key = kms.show(&alias).unwrap_or_else(|_| {
                    let description = Description::default();
                    kms.create(NewKey { alias, origin: Origin::Kms, description }).unwrap()
                });
                let name = Name::parse(&format!("disk{number}")).unwrap();
                let (size, sector) = (ByteLen::new(1 << 20), SectorSize::S4096);
                let now = jiff::Timestamp::UNIX_EPOCH;
                let mut record = DiskRecord::new(name, size, sector, Uid::new(0), now);
                record.seal_with(kms.generate_dk(key.id, record.id, sector).unwrap());
                let dk = kms.open_dk(record.dk.as_ref().unwrap(), record.id, sector).unwrap();
                let path = DiskRecord::path_of(record.id).unwrap();
                records.save(&path, &record).unwrap();
                world.disks.push((path, dk.expose().to_vec()));
            }
            kms.disable(&Alias::parse("b").unwrap()).unwrap();
            world
        }

        fn migrate(&self, step: Step<'_>) -> Result<()> {
            let state_dir = self.state_dir();
            if !is_complete(&state_dir) {
                stage(Uid::ROOT, &state_dir, &self.old()?, &self.new_hsm(), step)?;
            }
            finish(&state_dir, &self.root(), step)
        }

        /// Every disk opens with this HSM, with the data key it always had.
        fn check(&self, hsm: SoftHsm) {
            let hsm = Arc::new(hsm);
            let records = self.records(&*hsm);
            let kms = Kms::open(records.clone(), hsm, Arc::new(SystemClock)).unwrap();
            let b = Alias::parse("b").unwrap();
            assert_eq!(kms.show(&b).unwrap().state, crate::kms::KeyState::Disabled);
            kms.enable(&b).unwrap();
            for (path, expected) in &self.disks {
                let record: DiskRecord = records.load(path).unwrap().unwrap();
                let dk = record.dk.as_ref().unwrap();
                let opened = kms.open_dk(dk, record.id, record.sector_size()).unwrap();
                assert_eq!(opened.expose()[..], expected[..]);
            }
            kms.disable(&b).unwrap();
            // RULES K11: the audit log is whole under whichever record key.
            assert_eq!(kms.verify_audit().unwrap().fault, None);
        }
    }

    #[test]
    fn a_move_interrupted_at_any_step_leaves_all_or_is_finished_by_the_next() {
        for interrupted in 0.. {
            let world = World::new();
            let mut left = interrupted;
            let ended = world.migrate(&mut || match left {
                0 => Err(Error::new(ErrorKind::Internal, "killed")),
                _ => {
                    left -= 1;
                    Ok(())
                }
            });
            if is_complete(&world.state_dir()) {
                assert!(refuse_unfinished_move(&world.state_dir()).is_err());
            } else if ended.is_err() {
                // As it was, and in use meanwhile.
                world.check(world.old().unwrap());
            }
            if ended.is_err() {
                world.migrate(&mut || Ok(())).unwrap();
            }
            world.check(world.new_hsm());
            assert!(world.old().is_err() && !world.root().exists());
            assert!(!world.state_dir().join(STAGING).exists());
            assert!(!world.state_dir().join(FINISHED).exists());
            if ended.is_ok() {
                assert!(interrupted > 10);
                return;
            }
        }
    }

    #[test]
    fn an_edited_record_is_named_and_nothing_moves() {
        let world = World::new();
        let edited = world.state_dir().join(world.disks[1].0.as_str());
        let text = std::fs::read_to_string(&edited).unwrap();
        std::fs::write(&edited, text.replace("disk1", "disk9")).unwrap();
        let error = world.migrate(&mut || Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.message().contains(world.disks[1].0.as_str()), "{error}");
        std::fs::write(&edited, text).unwrap();
        world.check(world.old().unwrap());
    }
}
