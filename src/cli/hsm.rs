//! `evsfs hsm`: what protects all keys, of a state directory that is not mounted.

use super::args::SecretArgs;
use super::failure::Outcome;
use super::hsm_args::{ChangePassphraseArgs, HsmCommand, MigrateArgs};
use super::secret_source::{Source, with_secret};
use super::session::Session;
use crate::config::{Config, HsmChoice, RootKeyProtection, locate};
use crate::daemon;
use crate::daemon::{MoveReport, OfflineRootKey};
use serde_json::json;

/// Runs one `hsm` command.
pub(super) fn run(session: &mut Session<'_>, command: &HsmCommand) -> Outcome {
    match command {
        HsmCommand::ChangePassphrase(args) => change_passphrase(session, args),
        HsmCommand::Migrate(args) => migrate(session, args),
    }
}

fn migrate(session: &mut Session<'_>, args: &MigrateArgs) -> Outcome {
    let from = Config::load(&locate(args.config.as_deref())?)?;
    let to = Config::load(&args.to)?;
    let (old, new) = (daemon::needed_secret(&from), daemon::needed_secret(&to));
    let report = with_secret(session, &args.secret, old, |session, passphrase| {
        with_secret(session, &args.secret, new, |_, pin| {
            let ends = ((&from, passphrase.as_ref()), (&to, pin.as_ref()));
            Ok(match args.dry_run {
                true => daemon::preview_migration(ends.0, ends.1)?,
                false => daemon::migrate(ends.0, ends.1)?,
            })
        })
    })?;
    let next = match args.dry_run {
        true => "the same without --dry-run".to_owned(),
        false => format!("evsfs mount -c {}", to.file.display()),
    };
    let moved = if args.dry_run { "would move" } else { "moved" };
    let MoveReport { keys, disks, backups, images } = report;
    let value = json!({
        "keys": keys, "disks": disks, "backups": backups, "images": images, "next": next
    });
    session.answer(&value, |_| {
        format!(
            "{moved} {keys} keys and the data keys of {disks} disks, {backups} backups and {images} \
             images\nnext: {next}\n"
        )
    })?;
    let (old, new) = (from.file.display(), to.file.display());
    if args.dry_run {
        session.note(&format!(
            "the software HSM is erased by it: copies of the state directory and exported backups that \
             were made before open no longer; {new} would take the place of {old}"
        ));
        return Ok(());
    }
    session
        .note("exports of backups that were made before are of the erased HSM: export them again");
    session.note(&format!("{new} takes the place of {old} from now on"));
    Ok(())
}

fn change_passphrase(session: &mut Session<'_>, args: &ChangePassphraseArgs) -> Outcome {
    let config = Config::load(&locate(args.config.as_deref())?)?;
    let root_key = OfflineRootKey::lock(&config)?;
    let new = SecretArgs {
        passphrase_file: args.new_passphrase_file.clone(),
        passphrase_fd: args.new_passphrase_fd,
        ..SecretArgs::default()
    };
    let source = Source::of(session, &new, "new-passphrase")?;
    with_secret(session, &args.secret, root_key.needed_secret()?, |session, present| {
        // A wrong one is told before a new one has to be thought of.
        if let (Source::Terminal, Some(present)) = (&source, &present) {
            root_key.try_passphrase(present)?;
        }
        let new = source.take_new(session, "passphrase")?;
        Ok(root_key.change_passphrase(present.as_ref(), &new)?)
    })?;
    let file = root_key.path().display().to_string();
    session.answer(&json!({ "root_key_file": file }), |_| {
        format!("root key {file} is under the new passphrase\n")
    })?;
    if let HsmChoice::Soft { protection: RootKeyProtection::FilePermissions, .. } = config.kms.hsm {
        let config = config.file.display();
        session.note(&format!("set passphrase = true in the table [kms] of {config} now"));
    }
    Ok(())
}
