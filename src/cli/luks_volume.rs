//! What a LUKS header says of its data, and whether evsfs can take that over as it is.
//!
//! Taken over is what a payload is at rest (INTERFACE section 6): one run of `aes-xts-plain64` under a
//! key of 512 bits, in sectors of 512 or 4096 bytes, whose first tweak is 0. The header may have been
//! made to do harm: nothing in it is believed before it was looked at.

use crate::error::{Error, ErrorKind};
use serde_json::Value;
use std::path::Path;

/// The one way of encryption that is taken over.
const CIPHER: &str = "aes-xts-plain64";

/// The data behind a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LuksVolume {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes; `None` is up to the end.
    pub size: Option<u64>,
    /// Its sector size in bytes.
    pub sector_size: u64,
}

/// Why a volume is not taken over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(ErrorKind, String);

impl Refused {
    /// The refusal of what lies at `path`.
    pub fn error(&self, path: &Path) -> Error {
        let Refused(kind, why) = self;
        Error::new(*kind, format!("{} {why}", path.display())).remedy(
            "open it with cryptsetup and copy the content: \
             evsfs disk import NAME --raw /dev/mapper/VOLUME",
        )
    }
}

fn unsupported(why: impl Into<String>) -> Refused {
    Refused(ErrorKind::Unsupported, why.into())
}

fn damaged(what: &str) -> Refused {
    Refused(ErrorKind::Integrity, format!("has a LUKS header without a sound {what}"))
}

impl LuksVolume {
    /// Whether what `cryptsetup luksDump` prints is of version 2.
    pub fn is_version_2(text: &str) -> bool {
        fact(text, "Version") == Some("2")
    }

    /// The volume of version 1 that `cryptsetup luksDump` prints of.
    pub fn from_text(text: &str) -> Result<LuksVolume, Refused> {
        let version = fact(text, "Version").unwrap_or_default();
        if version != "1" {
            return Err(unsupported(format!("has a LUKS header of version {version:?}")));
        }
        let name = fact(text, "Cipher name").ok_or_else(|| damaged("cipher"))?;
        let mode = fact(text, "Cipher mode").ok_or_else(|| damaged("cipher"))?;
        must_be_known(&format!("{name}-{mode}"))?;
        let sectors = fact(text, "Payload offset").and_then(|number| number.parse::<u64>().ok());
        let offset = sectors.and_then(|sectors| sectors.checked_mul(512));
        let offset = offset.ok_or_else(|| damaged("offset"))?;
        Ok(LuksVolume { offset, size: None, sector_size: 512 })
    }

    /// The volume of version 2 with this metadata (LUKS2 on-disk format, section 3).
    pub fn from_metadata(json: &[u8]) -> Result<LuksVolume, Refused> {
        let metadata: Value = serde_json::from_slice(json).map_err(|_| damaged("metadata"))?;
        let demands = metadata["config"]["requirements"]["mandatory"].as_array();
        if let Some(first) = demands.and_then(|demands| demands.first()) {
            let what = first.as_str().unwrap_or("something unknown");
            return Err(unsupported(match what.contains("reencrypt") {
                true => "is being re-encrypted".to_owned(),
                false => format!("demands {what}"),
            }));
        }
        let segments = metadata["segments"].as_object().ok_or_else(|| damaged("segment"))?;
        let segment = match segments.values().collect::<Vec<_>>()[..] {
            [segment] => segment,
            [] => return Err(damaged("segment")),
            _ => return Err(unsupported("has its data in several segments")),
        };
        match segment["type"].as_str() {
            Some("crypt") => {}
            Some(other) => return Err(unsupported(format!("has a segment of type {other}"))),
            None => return Err(damaged("segment")),
        }
        if !segment["integrity"].is_null() {
            return Err(unsupported("has integrity tags beside its data"));
        }
        must_be_known(segment["encryption"].as_str().ok_or_else(|| damaged("cipher"))?)?;
        match number(&segment["iv_tweak"]) {
            Some(0) => {}
            Some(tweak) => {
                let why = format!("counts its tweaks from {tweak}, where a disk counts from 0");
                return Err(unsupported(why));
            }
            None => return Err(damaged("first tweak")),
        }
        let sector_size = number(&segment["sector_size"]).ok_or_else(|| damaged("sector size"))?;
        if !matches!(sector_size, 512 | 4096) {
            return Err(unsupported(format!("has sectors of {sector_size} bytes")));
        }
        let size = match segment["size"].as_str() {
            Some("dynamic") => None,
            _ => Some(number(&segment["size"]).ok_or_else(|| damaged("size"))?),
        };
        let offset = number(&segment["offset"]).ok_or_else(|| damaged("offset"))?;
        Ok(LuksVolume { offset, size, sector_size })
    }

    /// How many whole sectors of the data lie in a file of `file_len` bytes, in bytes.
    pub fn size_in(&self, file_len: u64) -> u64 {
        let room = file_len.saturating_sub(self.offset);
        let size = self.size.map_or(room, |size| size.min(room));
        size - size % self.sector_size
    }
}

fn must_be_known(cipher: &str) -> Result<(), Refused> {
    match cipher == CIPHER {
        true => Ok(()),
        false => Err(unsupported(format!("is encrypted by {cipher}, not {CIPHER}"))),
    }
}

/// What stands behind `NAME:` at the start of a line.
fn fact<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// A number, which LUKS2 writes as text where it may be a large one.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LUKS1: &str = "LUKS header information for x\n\nVersion:       \t1\nCipher name:   \taes\n\
        Cipher mode:   \txts-plain64\nHash spec:     \tsha256\nPayload offset:\t4096\n\
        MK bits:       \t512\nKey Slot 0: ENABLED\n\tKey material offset:\t8\n";

    fn luks2() -> Value {
        json!({
            "segments": {"0": {"type": "crypt", "offset": "16777216", "size": "dynamic",
                "iv_tweak": "0", "encryption": "aes-xts-plain64", "sector_size": 4096}},
            "config": {"json_size": "12288"},
        })
    }

    fn refusal(edit: impl FnOnce(&mut Value)) -> (ErrorKind, String) {
        let mut metadata = luks2();
        edit(&mut metadata);
        let Refused(kind, why) =
            LuksVolume::from_metadata(metadata.to_string().as_bytes()).unwrap_err();
        (kind, why)
    }

    #[test]
    fn both_versions_say_where_their_data_lies() {
        assert!(!LuksVolume::is_version_2(LUKS1));
        let volume = LuksVolume::from_text(LUKS1).unwrap();
        assert_eq!(volume, LuksVolume { offset: 2 << 20, size: None, sector_size: 512 });
        assert_eq!(volume.size_in((4 << 20) + 700), (2 << 20) + 512);
        assert_eq!(volume.size_in(1 << 20), 0);
        let mut metadata = luks2();
        let volume = LuksVolume::from_metadata(metadata.to_string().as_bytes()).unwrap();
        assert_eq!(volume, LuksVolume { offset: 16 << 20, size: None, sector_size: 4096 });
        metadata["segments"]["0"]["size"] = json!("1048576");
        let volume = LuksVolume::from_metadata(metadata.to_string().as_bytes()).unwrap();
        assert_eq!(volume.size_in(64 << 20), 1 << 20);
    }

    #[test]
    fn what_a_payload_cannot_be_is_refused_with_its_reason() {
        use ErrorKind::{Integrity, Unsupported};
        type Edit = fn(&mut Value);
        let cases: [(Edit, ErrorKind, &str); 13] = [
            (
                |m| m["segments"]["0"]["encryption"] = json!("aes-cbc-essiv:sha256"),
                Unsupported,
                "essiv",
            ),
            (|m| m["segments"]["0"]["iv_tweak"] = json!("8"), Unsupported, "tweaks from 8"),
            (|m| m["segments"]["0"]["iv_tweak"] = json!("-1"), Integrity, "tweak"),
            (|m| m["segments"]["0"]["sector_size"] = json!(2048), Unsupported, "2048"),
            (
                |m| m["segments"]["0"]["integrity"] = json!({"type": "hmac"}),
                Unsupported,
                "integrity",
            ),
            (|m| m["segments"]["0"]["type"] = json!("linear"), Unsupported, "linear"),
            (|m| m["segments"]["1"] = m["segments"]["0"].clone(), Unsupported, "several"),
            (|m| m["segments"] = json!({}), Integrity, "segment"),
            (|m| m["segments"]["0"]["size"] = json!("big"), Integrity, "size"),
            (|m| m["segments"]["0"]["offset"] = json!("-4096"), Integrity, "offset"),
            (
                |m| m["config"]["requirements"] = json!({"mandatory": ["online-reencrypt-v2"]}),
                Unsupported,
                "re-encrypted",
            ),
            (
                |m| m["config"]["requirements"] = json!({"mandatory": ["inline-hw-tags"]}),
                Unsupported,
                "inline-hw-tags",
            ),
            (|m| *m = json!([]), Integrity, "segment"),
        ];
        for (edit, kind, why) in cases {
            let (found, text) = refusal(edit);
            assert!(found == kind && text.contains(why), "{text}");
        }
        assert!(LuksVolume::from_metadata(b"{").is_err());
        for (from, to) in [
            ("xts-plain64", "xts-plain"),
            ("aes", "serpent"),
            ("4096", "-1"),
            ("4096", "99999999999999999999"),
            ("Version:       \t1", "Version: \t3"),
            ("Cipher mode", "Mode"),
        ] {
            assert!(LuksVolume::from_text(&LUKS1.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
