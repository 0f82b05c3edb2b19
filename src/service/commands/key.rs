//! Commands on master keys: permission, then the KMS.

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::crypto::from_hex;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, Description};
use crate::kms::{
    AuditEvent, DEFAULT_ROTATION_DAYS, DELETION_DAYS, NewKey, Origin, ROTATION_DAYS, Upload,
};
use crate::service::{Fields, Reply, Service};
use zeroize::Zeroizing;

/// A command on keys.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyCommand {
    /// Make a master key.
    Create(NewKeyRequest),
    /// All keys.
    List,
    /// One key.
    Show(Alias),
    /// Disabled becomes enabled.
    Enable(Alias),
    /// Enabled becomes disabled.
    Disable(Alias),
    /// Delete after this many days.
    ScheduleDeletion(Alias, u32),
    /// Say what that would do.
    PreviewDeletion(Alias, u32),
    /// Keep the key after all.
    CancelDeletion(Alias),
    /// Add a version.
    Rotate(Alias),
    /// Rotate every so many days, or no longer.
    SetRotation(Alias, Option<u32>),
    /// Make a one-time key to wrap material under.
    ImportParameters(Alias),
    /// Take a key's material, for ever or until a moment.
    Import(Alias, Upload, Option<jiff::Timestamp>),
    /// Give imported material up.
    DeleteMaterial(Alias),
    /// Do not wait for a clock in doubt: the deadline has passed (RULES K10).
    ConfirmDeletion(Alias),
    /// Rename.
    SetAlias(Alias, Alias),
    /// Set the description.
    Describe(Alias, Description),
}

/// What a new key shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKeyRequest {
    /// Its alias.
    pub alias: Alias,
    /// Where its material comes from.
    pub origin: Origin,
    /// Its description.
    pub description: Description,
}

impl KeyCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<KeyCommand>> {
        Ok(Some(match verb {
            "create" => KeyCommand::Create(new_key(words)?),
            "list" => KeyCommand::List,
            "show" => KeyCommand::Show(words.need_alias("alias")?),
            "enable" => KeyCommand::Enable(words.need_alias("alias")?),
            "disable" => KeyCommand::Disable(words.need_alias("alias")?),
            "schedule-deletion" => match words.take_flag("dry_run")? {
                Some(true) => KeyCommand::PreviewDeletion(words.need_alias("alias")?, days(words)?),
                Some(false) | None => {
                    KeyCommand::ScheduleDeletion(words.need_alias("alias")?, days(words)?)
                }
            },
            "cancel-deletion" => KeyCommand::CancelDeletion(words.need_alias("alias")?),
            "rotate" => KeyCommand::Rotate(words.need_alias("alias")?),
            "rotation" => KeyCommand::SetRotation(words.need_alias("alias")?, rotation(words)?),
            "import-parameters" => KeyCommand::ImportParameters(words.need_alias("alias")?),
            "import" => {
                KeyCommand::Import(words.need_alias("alias")?, upload(words)?, expiry(words)?)
            }
            "delete-material" => KeyCommand::DeleteMaterial(words.need_alias("alias")?),
            "confirm-deletion" => KeyCommand::ConfirmDeletion(words.need_alias("alias")?),
            "set-alias" => {
                let new = Alias::parse_customer(&words.need_text("new_alias")?)?;
                KeyCommand::SetAlias(words.need_alias("alias")?, new)
            }
            "describe" => {
                let text = words.need_text("description")?;
                KeyCommand::Describe(words.need_alias("alias")?, Description::parse(&text)?)
            }
            _ => return Ok(None),
        }))
    }

    /// What a caller must be allowed to do to give the command.
    fn action(&self) -> Action {
        match self {
            KeyCommand::List | KeyCommand::Show(_) => Action::SeeKeys,
            _ => Action::ManageKeys,
        }
    }

    /// The event that the audit log knows a command as, and the key it names; commands that
    /// change nothing are not recorded.
    fn recorded_as(&self) -> Option<(AuditEvent, &Alias)> {
        Some(match self {
            KeyCommand::Create(new) => (AuditEvent::CreateKey, &new.alias),
            KeyCommand::Enable(alias) => (AuditEvent::EnableKey, alias),
            KeyCommand::Disable(alias) => (AuditEvent::DisableKey, alias),
            KeyCommand::ScheduleDeletion(alias, _) => (AuditEvent::ScheduleKeyDeletion, alias),
            KeyCommand::CancelDeletion(alias) => (AuditEvent::CancelKeyDeletion, alias),
            KeyCommand::SetAlias(alias, _) => (AuditEvent::UpdateKeyAlias, alias),
            KeyCommand::Describe(alias, _) => (AuditEvent::UpdateKeyDescription, alias),
            KeyCommand::ConfirmDeletion(alias) => (AuditEvent::DeleteKey, alias),
            KeyCommand::Rotate(alias) => (AuditEvent::RotateKey, alias),
            KeyCommand::SetRotation(alias, Some(_)) => (AuditEvent::EnableKeyRotation, alias),
            KeyCommand::SetRotation(alias, None) => (AuditEvent::DisableKeyRotation, alias),
            KeyCommand::ImportParameters(alias) => (AuditEvent::GetParametersForImport, alias),
            KeyCommand::Import(alias, ..) => (AuditEvent::ImportKeyMaterial, alias),
            KeyCommand::DeleteMaterial(alias) => (AuditEvent::DeleteImportedKeyMaterial, alias),
            KeyCommand::List | KeyCommand::Show(_) | KeyCommand::PreviewDeletion(..) => {
                return None;
            }
        })
    }
}

impl From<KeyCommand> for Command {
    fn from(command: KeyCommand) -> Self {
        Command::Key(command)
    }
}

impl Service {
    pub(super) fn execute_on_keys(&self, caller: Caller, command: KeyCommand) -> Result<Reply> {
        let permit = self.permit(caller, command.action());
        let _permit = permit.inspect_err(|e| self.record_denial_on_keys(caller, &command, e))?;
        let kms = self.kms_for(caller);
        let (verb, view) = match command {
            KeyCommand::List => return Ok(Reply::Keys(self.describe_keys(caller))),
            KeyCommand::Show(alias) => {
                return Ok(Reply::Key(self.describe_key(caller, &self.kms.show(&alias)?)));
            }
            KeyCommand::PreviewDeletion(alias, days) => {
                let view = self.kms.preview_deletion(&alias, days)?;
                return Ok(Reply::Key(self.describe_key(caller, &view)));
            }
            KeyCommand::ImportParameters(alias) => {
                return Ok(Reply::ImportParameters(kms.make_import_parameters(&alias)?.into()));
            }
            KeyCommand::ConfirmDeletion(alias) => {
                let view = kms.confirm_deletion(&alias)?;
                self.tell_of_key("key.destroyed", &view);
                log::info!(
                    "event=key-destroyed key={} alias={} uid={}",
                    view.id,
                    view.alias,
                    caller.uid()
                );
                return Ok(Reply::DONE);
            }
            KeyCommand::Create(request) => {
                let new = NewKey {
                    alias: request.alias,
                    origin: request.origin,
                    description: request.description,
                };
                ("created", kms.create(new)?)
            }
            KeyCommand::Enable(alias) => ("enabled", kms.enable(&alias)?),
            KeyCommand::Disable(alias) => ("disabled", kms.disable(&alias)?),
            KeyCommand::ScheduleDeletion(alias, days) => {
                ("scheduled-for-deletion", kms.schedule_deletion(&alias, days)?)
            }
            KeyCommand::CancelDeletion(alias) => ("kept", kms.cancel_deletion(&alias)?),
            KeyCommand::Rotate(alias) => ("rotated", kms.rotate(&alias)?),
            KeyCommand::SetRotation(alias, days) => {
                ("set-to-rotate", kms.set_rotation(&alias, days)?)
            }
            KeyCommand::Import(alias, upload, expires) => {
                ("given-material", kms.import(&alias, &upload, expires)?)
            }
            KeyCommand::DeleteMaterial(alias) => ("without-material", kms.delete_material(&alias)?),
            KeyCommand::SetAlias(alias, new) => ("renamed", kms.set_alias(&alias, new)?),
            KeyCommand::Describe(alias, text) => ("described", kms.describe(&alias, text)?),
        };
        self.tell_of_key(&format!("key.{verb}"), &view);
        log::info!("event=key-{verb} key={} alias={} uid={}", view.id, view.alias, caller.uid());
        Ok(Reply::Key(self.describe_key(caller, &view)))
    }

    fn record_denial_on_keys(&self, caller: Caller, command: &KeyCommand, refusal: &Error) {
        if let Some((event, alias)) = command.recorded_as() {
            self.kms_for(caller).record_refusal(event, Some(alias), refusal);
        }
    }
}

fn new_key(words: &mut Fields) -> Result<NewKeyRequest> {
    let origin = match words.take_text("origin")?.as_deref() {
        None | Some("kms") => Origin::Kms,
        Some("external") => Origin::External,
        Some(other) => {
            let message = format!("key origin {other:?} is neither kms nor external");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    };
    Ok(NewKeyRequest {
        alias: Alias::parse_customer(&words.need_text("alias")?)?,
        origin,
        description: Description::parse(&words.take_text("description")?.unwrap_or_default())?,
    })
}

fn days(words: &mut Fields) -> Result<u32> {
    let days = words.need_integer("days")?;
    u32::try_from(days).map_err(|_| {
        Error::new(ErrorKind::OutOfRange, format!("{days} is no number of days to wait"))
            .code(Code::KMS_1401)
            .remedy(format!("use {} to {}", DELETION_DAYS.start(), DELETION_DAYS.end()))
    })
}

fn rotation(words: &mut Fields) -> Result<Option<u32>> {
    let is_on = words.take_flag("on")?.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "\"on\" is missing").remedy("say whether keys rotate")
    })?;
    if !is_on {
        return Ok(None);
    }
    if !words.has("days") {
        return Ok(Some(DEFAULT_ROTATION_DAYS));
    }
    let days = words.need_integer("days")?;
    u32::try_from(days).map(Some).map_err(|_| {
        Error::new(ErrorKind::OutOfRange, format!("{days} is no number of days between rotations"))
            .code(Code::KMS_3001)
            .remedy(format!("use {} to {}", ROTATION_DAYS.start(), ROTATION_DAYS.end()))
    })
}

fn upload(words: &mut Fields) -> Result<Upload> {
    let plain = words.take_text("material")?.map(Zeroizing::new);
    let wrapped = words.take_text("wrapped")?;
    match (plain, wrapped) {
        (Some(text), None) => Upload::from_hex(&text),
        (None, Some(text)) => {
            let bytes = from_hex(&text.to_ascii_lowercase()).map_err(|cause| {
                Error::new(ErrorKind::Invalid, "the wrapped material is not hexadecimal text")
                    .caused_by(cause)
            })?;
            Ok(Upload::Wrapped { bytes, token: words.take_text("token")? })
        }
        _ => Err(Error::new(ErrorKind::Invalid, "either \"material\" or \"wrapped\" is wanted")
            .remedy("read the file `help` in the control directory")),
    }
}

/// A moment in RFC 3339, or the beginning of a day, in UTC.
fn expiry(words: &mut Fields) -> Result<Option<jiff::Timestamp>> {
    let Some(text) = words.take_text("expires")? else { return Ok(None) };
    let moment = text.parse::<jiff::Timestamp>().or_else(|_| {
        text.parse::<jiff::civil::Date>()
            .and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC))
            .map(|midnight| midnight.timestamp())
    });
    moment.map(Some).map_err(|cause| {
        Error::new(ErrorKind::Invalid, format!("{text:?} is no date"))
            .caused_by(cause)
            .remedy("write it as 2027-12-31 or 2027-12-31T23:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: &str, words: &[(&str, &str)]) -> Result<Command> {
        let mut fields = Fields::new();
        for (word, value) in words {
            fields.insert_text(word, value)?;
        }
        Command::from_request(op, fields)
    }

    #[test]
    fn rotation_is_on_with_an_interval_or_off() {
        let rotation = |words: &[(&str, &str)]| {
            let words: Vec<_> = [("alias", "a")].iter().chain(words).copied().collect();
            match request("key.rotation", &words) {
                Ok(Command::Key(KeyCommand::SetRotation(_, days))) => Ok(days),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.kind()),
            }
        };
        assert_eq!(rotation(&[("on", "yes")]), Ok(Some(365)));
        assert_eq!(rotation(&[("on", "on"), ("days", "30")]), Ok(Some(30)));
        assert_eq!(rotation(&[("on", "off")]), Ok(None));
        assert_eq!(rotation(&[("on", "yes"), ("days", "-1")]), Err(ErrorKind::OutOfRange));
        assert_eq!(rotation(&[("on", "no"), ("days", "30")]), Err(ErrorKind::Invalid));
        assert_eq!(rotation(&[]), Err(ErrorKind::Invalid));
    }

    #[test]
    fn material_comes_plain_or_wrapped_with_a_date_or_without() {
        let import = |words: &[(&str, &str)]| {
            let words: Vec<_> = [("alias", "a")].iter().chain(words).copied().collect();
            request("key.import", &words)
        };
        let hex = "0f".repeat(32);
        for (text, second) in
            [("2027-12-31", 1_830_211_200), ("2027-12-31T01:00:00+01:00", 1_830_211_200)]
        {
            let command = import(&[("material", &hex), ("expires", text)]).unwrap();
            let Command::Key(KeyCommand::Import(_, Upload::Plain(_), Some(moment))) = &command
            else {
                panic!("{command:?}")
            };
            assert_eq!(moment.as_second(), second);
            assert!(!format!("{command:?}").contains("0f0f"), "{command:?}");
        }
        let command = import(&[("wrapped", "00FF"), ("token", "t")]).unwrap();
        let Command::Key(KeyCommand::Import(_, Upload::Wrapped { bytes, token }, None)) = command
        else {
            panic!("{command:?}")
        };
        assert_eq!((bytes, token.as_deref()), (vec![0, 255], Some("t")));
        let refused: [&[(&str, &str)]; 6] = [
            &[],
            &[("material", &hex), ("wrapped", "00")],
            &[("material", "zz")],
            &[("wrapped", "0")],
            &[("material", &hex), ("token", "t")],
            &[("material", &hex), ("expires", "tomorrow")],
        ];
        for words in refused {
            assert_eq!(import(words).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
