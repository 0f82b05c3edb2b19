//! Key material on its way in.

use crate::crypto::Secret;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use std::sync::Arc;

/// What is imported. It cannot be printed.
#[derive(Clone)]
pub enum Upload {
    /// The 32 bytes themselves.
    Plain(Arc<Secret<32>>),
    /// So many bytes, which no key is made of.
    OfLength(usize),
    /// Wrapped under the key's import key.
    Wrapped {
        /// What the customer's side made.
        bytes: Vec<u8>,
        /// The token of the import key that was used, if it was given.
        token: Option<String>,
    },
}

impl Upload {
    /// Plain material written as hexadecimal text.
    ///
    /// # Errors
    /// `invalid` when it is no hexadecimal text; `quota` when memory cannot be locked.
    pub fn from_hex(text: &str) -> Result<Upload> {
        if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::new(ErrorKind::Invalid, "the material is not hexadecimal text")
                .remedy("write two digits for each byte"));
        }
        match text.len() / 2 {
            32 => Ok(Upload::Plain(Arc::new(Secret::from_hex(text)?))),
            other => Ok(Upload::OfLength(other)),
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Upload::Plain(_) | Upload::OfLength(_) => "Upload::Plain(..)",
            Upload::Wrapped { .. } => "Upload::Wrapped(..)",
        })
    }
}

impl PartialEq for Upload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Upload::Plain(one), Upload::Plain(other)) => one.ct_eq(other),
            (Upload::OfLength(one), Upload::OfLength(other)) => one == other,
            (
                Upload::Wrapped { bytes: one, token: token_of_one },
                Upload::Wrapped { bytes: other, token: token_of_other },
            ) => one == other && token_of_one == token_of_other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Upload;

    #[test]
    fn material_in_hexadecimal_is_read_and_never_printed() {
        let upload = Upload::from_hex(&"5a".repeat(32)).unwrap();
        let Upload::Plain(material) = &upload else { panic!("{upload:?}") };
        assert_eq!(material.expose(), &[0x5a; 32]);
        assert!(!format!("{upload:?}").contains("5a"));
        assert_eq!(Upload::from_hex("5a").unwrap(), Upload::OfLength(1));
        assert_eq!(Upload::from_hex("").unwrap(), Upload::OfLength(0));
        for text in ["5", "5g", "5a ", "0x5a"] {
            assert!(Upload::from_hex(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn uploads_are_the_same_when_all_that_was_given_is() {
        let plain = |pair: &str| Upload::from_hex(&pair.repeat(32)).unwrap();
        let wrapped = |bytes: &[u8], token: Option<&str>| Upload::Wrapped {
            bytes: bytes.to_vec(),
            token: token.map(str::to_owned),
        };
        let different = [
            plain("5a"),
            plain("5b"),
            Upload::OfLength(1),
            Upload::OfLength(2),
            wrapped(b"one", None),
            wrapped(b"other", None),
            wrapped(b"one", Some("token")),
        ];
        for (number, one) in different.iter().enumerate() {
            assert_eq!(one, &one.clone());
            for (other_number, other) in different.iter().enumerate() {
                assert_eq!(one == other, number == other_number, "{number} {other_number}");
            }
        }
    }
}
