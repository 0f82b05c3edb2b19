//! Bytes as lowercase hexadecimal text, in records. Not for secrets: it takes no constant time.

use crate::error::{Error, ErrorKind, Result};
use std::fmt::Write;

/// The bytes as text.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The text as bytes.
///
/// # Errors
/// `invalid` for an odd length or anything but lowercase digits.
pub fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let refuse = || Error::new(ErrorKind::Invalid, "not lowercase hexadecimal text");
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(refuse());
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::{from_hex, to_hex};

    #[test]
    fn text_reads_back_and_other_text_is_refused() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)).unwrap(), bytes);
        for text in ["0", "0g", "AB", " 1", "é"] {
            assert!(from_hex(text).is_err(), "{text:?}");
        }
    }
}
