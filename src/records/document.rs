//! The form of a record, and the way from bytes that may be anybody's to a value that is ours.
//!
//! A record is a TOML document:
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | `format = 2` | first line | version of the form and of the fields of all records |
//! | fields | the rest | one value of the record's type |
//! | `[seal]` | 7, after an empty line | a table of its own, so that the last line stands in no table of the fields |
//! | `mac = "..."` | 73, to the end | 64 lowercase hexadecimal digits: HMAC-SHA-256 under the record key |
//!
//! The MAC covers the record's path and everything before its own line. It is found by counting
//! from the end and checked before anything is parsed; this much is the same in every format, so
//! that an old program can tell a newer record from a damaged one. A torn write cannot be seen
//! here, since stores replace records as a whole; if the medium tears one anyway, the MAC fails.
//!
//! The MAC also names the record: the ledger remembers it, so that an older record with its own
//! genuine MAC is told from the newest one.
//!
//! | format | what it says besides |
//! |---|---|
//! | 1 | written before there was a ledger |
//! | 2 | the ledger knows this record; without a ledger it is none of this moment |

use super::RecordPath;
use crate::crypto::RecordKey;
use crate::crypto::from_hex;
use crate::crypto::to_hex;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The newest format, the only one that is written.
const FORMAT: i64 = 2;
/// The first one whose records are in the ledger.
const FIRST_WITH_LEDGER: i64 = 2;

const SEAL_TABLE: &str = "\n[seal]\n";
const MAC_START: &str = "mac = \"";
const MAC_END: &str = "\"\n";
const MAC_DIGITS: usize = 64;
const MAC_LINE: usize = MAC_START.len() + MAC_DIGITS + MAC_END.len();

/// What a record is known by: its MAC.
pub(super) type Mac = [u8; 32];

/// A record as it is written, and what it is known by.
pub(super) struct Sealed {
    pub bytes: Vec<u8>,
    pub mac: Mac,
}

/// Bytes found at a record's place. All that can be done with them is to check them.
pub(super) struct Unchecked<'a> {
    pub path: &'a RecordPath,
    /// Where they were found, for messages.
    pub place: &'a str,
    pub bytes: &'a [u8],
}

/// The fields of a record whose seal is genuine.
pub(super) struct Authenticated<'a> {
    place: &'a str,
    body: &'a str,
    /// What the record is known by.
    pub mac: Mac,
}

impl<'a> Unchecked<'a> {
    /// Checks the seal.
    pub fn authenticate(self, key: &RecordKey) -> Result<Authenticated<'a>> {
        match self.sealed_body(key) {
            Some((body, mac)) => Ok(Authenticated { place: self.place, body, mac }),
            None => Err(refused(self.place, "was edited, damaged or moved")),
        }
    }

    fn sealed_body(&self, key: &RecordKey) -> Option<(&'a str, Mac)> {
        let (sealed, mac_line) =
            self.bytes.split_at_checked(self.bytes.len().checked_sub(MAC_LINE)?)?;
        let digits =
            mac_line.strip_prefix(MAC_START.as_bytes())?.strip_suffix(MAC_END.as_bytes())?;
        let mac = from_hex(std::str::from_utf8(digits).ok()?).ok()?;
        if !key.verify(self.path.as_str(), sealed, &mac) {
            return None;
        }
        let body = std::str::from_utf8(sealed).ok()?.strip_suffix(SEAL_TABLE)?;
        Some((body, mac.try_into().ok()?))
    }
}

impl Authenticated<'_> {
    /// The same fields in the newest format and under another key.
    pub fn sealed_again(&self, path: &RecordPath, key: &RecordKey) -> Sealed {
        let fields = self.body.split_once('\n').map_or("", |(_, fields)| fields);
        seal(path, format!("format = {FORMAT}\n{fields}{SEAL_TABLE}"), key)
    }

    /// Whether it was written when there was a ledger.
    pub fn needs_ledger(&self) -> bool {
        let format = self.body.lines().next().and_then(|line| line.strip_prefix("format = "));
        // What names no format is refused by who parses it; nothing else reads it.
        format.and_then(|format| format.parse().ok()).is_none_or(|n: i64| n >= FIRST_WITH_LEDGER)
    }

    /// The value. Genuine records fail here only when another version of this program wrote them.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        let malformed = |cause: toml::de::Error| {
            refused(self.place, "does not have the form it must have").caused_by(cause)
        };
        let mut table: toml::Table = toml::from_str(self.body).map_err(malformed)?;
        match table.remove("format").and_then(|format| format.as_integer()) {
            Some(1..=FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(self.newer(newer)),
            _ => return Err(refused(self.place, "names no format")),
        }
        table.try_into().map_err(malformed)
    }

    fn newer(&self, format: i64) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "record {} has format {format}, and this program knows formats up to {FORMAT}",
                self.place
            ),
        )
        .remedy("use the newer evsfs that wrote it")
    }
}

/// The record of `value` at `path`.
pub(super) fn encode<T: Serialize>(
    path: &RecordPath,
    value: &T,
    key: &RecordKey,
) -> Result<Sealed> {
    let unwritable = || Error::new(ErrorKind::Internal, format!("writing record {path}"));
    let fields = toml::to_string(value).map_err(|cause| unwritable().caused_by(cause))?;
    let record = format!("format = {FORMAT}\n{fields}{SEAL_TABLE}");
    // Refuses a field called `format` or `seal` at the first write, not at the first read.
    toml::from_str::<toml::Table>(&record).map_err(|cause| unwritable().caused_by(cause))?;
    Ok(seal(path, record, key))
}

fn seal(path: &RecordPath, mut record: String, key: &RecordKey) -> Sealed {
    let mac = key.tag(path.as_str(), record.as_bytes());
    record.push_str(MAC_START);
    record.push_str(&to_hex(&mac));
    record.push_str(MAC_END);
    Sealed { bytes: record.into_bytes(), mac }
}

fn refused(place: &str, why: &str) -> Error {
    Error::new(ErrorKind::Integrity, format!("record {place} {why}"))
        .remedy(format!("restore {place} from a backup of the state directory, then: evsfs check"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<String>,
        counts: BTreeMap<String, u32>,
    }

    fn sample() -> Sample {
        let counts = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        Sample { name: "finance \"x\"\n[seal]".to_owned(), note: None, counts }
    }

    fn key() -> RecordKey {
        let root = Secret::fill(|bytes| {
            bytes.fill(0x11);
            Ok(())
        });
        RecordKey::derive(&root.unwrap()).unwrap()
    }

    fn path() -> RecordPath {
        RecordPath::parse("samples/a.toml").unwrap()
    }

    fn decode(path: &RecordPath, bytes: &[u8]) -> Result<Sample> {
        Unchecked { path, place: path.as_str(), bytes }.authenticate(&key())?.parse()
    }

    fn sealed(fields: &str) -> Vec<u8> {
        let body = format!("{fields}{SEAL_TABLE}");
        let mac = to_hex(&key().tag(path().as_str(), body.as_bytes()));
        format!("{body}{MAC_START}{mac}{MAC_END}").into_bytes()
    }

    fn written() -> Vec<u8> {
        encode(&path(), &sample(), &key()).unwrap().bytes
    }

    /// Golden bytes, their MACs computed by another implementation (RFC 2104, RFC 5869): a record
    /// written by any released version stays readable.
    #[test]
    fn a_record_has_these_bytes() {
        let golden = include_bytes!("golden_record_2.toml");
        assert_eq!(String::from_utf8_lossy(&written()), String::from_utf8_lossy(golden));
        for (golden, needs_ledger) in
            [(&golden[..], true), (&include_bytes!("golden_record_1.toml")[..], false)]
        {
            assert_eq!(decode(&path(), golden).unwrap(), sample());
            let unchecked = Unchecked { path: &path(), place: "", bytes: golden };
            let authenticated = unchecked.authenticate(&key()).unwrap();
            assert_eq!(authenticated.needs_ledger(), needs_ledger);
            assert_eq!(authenticated.sealed_again(&path(), &key()).bytes, written());
        }
    }

    #[test]
    fn a_record_is_a_toml_document_with_its_seal_in_a_table() {
        let text = String::from_utf8(written()).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["format"].as_integer(), Some(FORMAT));
        assert_eq!(table["seal"]["mac"].as_str().unwrap().len(), MAC_DIGITS);
    }

    /// RULES K8: a record that was edited is refused, wherever the edit is.
    #[test]
    fn every_flipped_bit_every_cut_and_every_addition_is_refused_naming_the_record() {
        let record = written();
        let refuse = |bytes: &[u8]| {
            let error = decode(&path(), bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
            assert!(error.message().contains("samples/a.toml"), "{error}");
            assert!(error.suggested_remedy().unwrap().contains("evsfs check"));
        };
        for bit in 0..record.len() * 8 {
            let mut edited = record.clone();
            edited[bit / 8] ^= 1 << (bit % 8);
            refuse(&edited);
        }
        for len in 0..record.len() {
            refuse(&record[..len]);
            refuse(&record[len + 1..]);
        }
        refuse(&[&record[..], b"\n"].concat());
        refuse(&[&record[..], &record[..]].concat());
    }

    #[test]
    fn a_record_moved_to_another_path_is_refused() {
        let record = written();
        let elsewhere = RecordPath::parse("samples/b.toml").unwrap();
        assert_eq!(decode(&elsewhere, &record).unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[test]
    fn a_newer_format_is_refused_saying_so() {
        let error = decode(&path(), &sealed("format = 3\nname = \"x\"\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("format 3"), "{error}");
    }

    #[test]
    fn genuine_records_with_unknown_missing_or_misnamed_parts_are_refused() {
        for fields in [
            "name = \"x\"\n[counts]\n",
            "format = 0\nname = \"x\"\n[counts]\n",
            "format = \"1\"\nname = \"x\"\n[counts]\n",
            "format = 1\nname = \"x\"\n",
            "format = 1\nname = \"x\"\nextra = 1\n[counts]\n",
            "not toml",
        ] {
            let error = decode(&path(), &sealed(fields)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{fields}");
        }
    }

    #[test]
    fn a_field_that_would_hide_the_format_or_the_seal_is_never_written() {
        for word in ["format", "seal"] {
            let value = BTreeMap::from([(word, 1)]);
            assert!(encode(&path(), &value, &key()).is_err(), "{word}");
        }
    }
}
