//! Words to commands: the one place where a request becomes a [`Command`].

use super::command::{Command, DetachMode, NewDisk, NewKeyRequest, StopMode};
use super::fields::Fields;
use crate::crypto::from_hex;
use crate::disk::Access;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, Description, Name};
use crate::kms::{DEFAULT_ROTATION_DAYS, DELETION_DAYS, Origin, ROTATION_DAYS, Upload};
use crate::units::{ByteLen, SectorSize};
use std::path::PathBuf;
use zeroize::Zeroizing;

impl Command {
    /// The command that `op` (`noun.verb`) and its words ask for.
    ///
    /// # Errors
    /// `invalid` or `out-of-range`, naming the word that is unknown, missing or malformed.
    pub fn from_request(op: &str, mut fields: Fields) -> Result<Command> {
        let words = &mut fields;
        if op.starts_with("disk.") && op != "disk.create" && words.has("encrypted") {
            return Err(encryption_never_changes());
        }
        let command = match op {
            "disk.create" => Command::DiskCreate(new_disk(words)?),
            "disk.list" => Command::DiskList,
            "disk.show" => Command::DiskShow(name(words)?),
            "disk.attach" => Command::DiskAttach(name(words)?, access(words)?),
            "disk.detach" => Command::DiskDetach(name(words)?, detach_mode(words)?),
            "disk.extend" => Command::DiskExtend(name(words)?, size(words)?),
            "disk.delete" => Command::DiskDelete(name(words)?),
            "disk.rewrap" => Command::DiskRewrap(name(words)?),
            "key.create" => Command::KeyCreate(new_key(words)?),
            "key.list" => Command::KeyList,
            "key.show" => Command::KeyShow(alias(words, "alias")?),
            "key.enable" => Command::KeyEnable(alias(words, "alias")?),
            "key.disable" => Command::KeyDisable(alias(words, "alias")?),
            "key.schedule-deletion" => {
                Command::KeyScheduleDeletion(alias(words, "alias")?, days(words)?)
            }
            "key.cancel-deletion" => Command::KeyCancelDeletion(alias(words, "alias")?),
            "key.rotate" => Command::KeyRotate(alias(words, "alias")?),
            "key.rotation" => Command::KeySetRotation(alias(words, "alias")?, rotation(words)?),
            "key.import-parameters" => Command::KeyImportParameters(alias(words, "alias")?),
            "key.import" => {
                Command::KeyImport(alias(words, "alias")?, upload(words)?, expiry(words)?)
            }
            "key.delete-material" => Command::KeyDeleteMaterial(alias(words, "alias")?),
            "key.confirm-deletion" => Command::KeyConfirmDeletion(alias(words, "alias")?),
            "key.set-alias" => {
                let new = Alias::parse_customer(&words.need_text("new_alias")?)?;
                Command::KeySetAlias(alias(words, "alias")?, new)
            }
            "key.describe" => {
                let text = words.need_text("description")?;
                Command::KeyDescribe(alias(words, "alias")?, Description::parse(&text)?)
            }
            "agency.create" => Command::AgencyCreate,
            "agency.show" => Command::AgencyShow,
            "agency.delete" => Command::AgencyDelete,
            "audit.show" => Command::AuditShow(after(words)?),
            "audit.verify" => Command::AuditVerify,
            "default-encryption.show" => Command::DefaultEncryptionShow,
            "default-encryption.set" => Command::DefaultEncryptionSet(default_key(words)?),
            "mount.status" => Command::MountStatus,
            "mount.stop" => Command::MountStop(stop_mode(words)?),
            _ => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("there is no operation {op:?}"),
                )
                .remedy("read the file `help` in the control directory"));
            }
        };
        fields.finish()?;
        Ok(command)
    }
}

/// The refusal of every request to change a disk's encryption attribute (RULES D2).
pub fn encryption_never_changes() -> Error {
    Error::new(ErrorKind::Protected, "a disk's encryption is chosen when it is created, for life")
        .code(Code::EVS_2041)
        .remedy("create another disk and copy the data")
}

fn new_disk(words: &mut Fields) -> Result<NewDisk> {
    if let Some(source) = words.take_text("from")? {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("a disk cannot be made from {source:?}: backups and images are not built yet"),
        )
        .remedy("leave out `from`"));
    }
    let sector_size = match words.take_text("sector_size")? {
        None => None,
        Some(text) => {
            let bytes = text.parse().map_err(|_| {
                Error::new(ErrorKind::Invalid, format!("sector size {text:?} is not a number"))
            })?;
            Some(SectorSize::from_bytes(bytes)?)
        }
    };
    Ok(NewDisk {
        name: name(words)?,
        size: size(words)?,
        encrypted: words.take_flag("encrypted")?,
        key: words.take_text("key")?.map(|text| Alias::parse(&text)).transpose()?,
        sector_size,
        backing: words.take_text("backing")?.map(PathBuf::from),
        overwrite: words.take_flag("overwrite")?.unwrap_or(false),
    })
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

fn name(words: &mut Fields) -> Result<Name> {
    Name::parse(&words.need_text("name")?)
}

fn alias(words: &mut Fields, word: &str) -> Result<Alias> {
    Alias::parse(&words.need_text(word)?)
}

/// The key of a new default encryption, or `None` to switch it off.
fn default_key(words: &mut Fields) -> Result<Option<Alias>> {
    match words.take_flag("encrypted")? {
        Some(true) => alias(words, "key").map(Some),
        Some(false) => Ok(None),
        None => Err(Error::new(ErrorKind::Invalid, "\"encrypted\" is missing")
            .remedy("say \"encrypted\": true with a \"key\", or false")),
    }
}

fn size(words: &mut Fields) -> Result<ByteLen> {
    ByteLen::parse(&words.need_text("size")?).map_err(|cause| cause.code(Code::EVS_1010))
}

fn days(words: &mut Fields) -> Result<u32> {
    let days = words.need_integer("days")?;
    u32::try_from(days).map_err(|_| {
        Error::new(ErrorKind::OutOfRange, format!("{days} is no number of days to wait"))
            .code(Code::KMS_1401)
            .remedy(format!("use {} to {}", DELETION_DAYS.start(), DELETION_DAYS.end()))
    })
}

/// The number of the entry after which a caller wants to read on.
fn after(words: &mut Fields) -> Result<u64> {
    let Some(text) = words.take_text("after")? else { return Ok(0) };
    text.parse().map_err(|_| {
        Error::new(ErrorKind::Invalid, format!("after {text:?} is not the number of an entry"))
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

fn access(words: &mut Fields) -> Result<Access> {
    Ok(match words.take_flag("read_only")? {
        Some(true) => Access::ReadOnly,
        Some(false) | None => Access::ReadWrite,
    })
}

fn detach_mode(words: &mut Fields) -> Result<DetachMode> {
    Ok(match words.take_flag("force")? {
        Some(true) => DetachMode::Forced,
        Some(false) | None => DetachMode::WhenIdle,
    })
}

fn stop_mode(words: &mut Fields) -> Result<StopMode> {
    Ok(match words.take_flag("force")? {
        Some(true) => StopMode::Forced,
        Some(false) | None => StopMode::Graceful,
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
    fn a_disk_request_becomes_a_typed_command() {
        let command =
            request("disk.create", &[("name", "db"), ("size", "10G"), ("encrypted", "yes")])
                .unwrap();
        let Command::DiskCreate(disk) = command else { panic!("{command:?}") };
        assert_eq!(disk.size, ByteLen::new(10 << 30));
        assert_eq!((disk.encrypted, disk.key, disk.sector_size), (Some(true), None, None));
    }

    #[test]
    fn a_request_to_change_the_encryption_is_evs_2041() {
        for op in ["disk.extend", "disk.attach", "disk.set-encryption"] {
            let refusal = request(op, &[("name", "db"), ("encrypted", "no")]).unwrap_err();
            assert_eq!(refusal.documented_code(), Some(Code::EVS_2041), "{op}");
        }
    }

    #[test]
    fn rotation_is_on_with_an_interval_or_off() {
        let rotation = |words: &[(&str, &str)]| {
            let words: Vec<_> = [("alias", "a")].iter().chain(words).copied().collect();
            match request("key.rotation", &words) {
                Ok(Command::KeySetRotation(_, days)) => Ok(days),
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
            let Command::KeyImport(_, Upload::Plain(_), Some(moment)) = &command else {
                panic!("{command:?}")
            };
            assert_eq!(moment.as_second(), second);
            assert!(!format!("{command:?}").contains("0f0f"), "{command:?}");
        }
        let command = import(&[("wrapped", "00FF"), ("token", "t")]).unwrap();
        let Command::KeyImport(_, Upload::Wrapped { bytes, token }, None) = command else {
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

    #[test]
    fn unknown_repeated_missing_and_malformed_words_are_refused() {
        let refused: [(&str, &[(&str, &str)]); 9] = [
            ("disk.create", &[("name", "db")]),
            ("disk.create", &[("name", "db"), ("size", "10G"), ("colour", "red")]),
            ("disk.create", &[("name", "db"), ("name", "db"), ("size", "10G")]),
            ("disk.create", &[("name", "db"), ("size", "10G"), ("encrypted", "maybe")]),
            ("disk.create", &[("name", "db"), ("size", "10G"), ("sector_size", "1024")]),
            ("disk.create", &[("name", "../db"), ("size", "10G")]),
            ("disk.list", &[("name", "db")]),
            ("disk.explode", &[]),
            ("key.create", &[("alias", "evs/mine")]),
        ];
        for (op, words) in refused {
            let refusal = request(op, words).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::Invalid, "{op} {words:?}");
        }
    }
}
