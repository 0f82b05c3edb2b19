//! Offsets and lengths in bytes.

use crate::error::{Error, ErrorKind, Result};

/// A position on a disk, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteOffset(u64);

/// A length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteLen(u64);

impl ByteOffset {
    /// The first byte of a disk.
    pub const ZERO: ByteOffset = ByteOffset(0);

    /// The position `bytes` after the start.
    pub const fn new(bytes: u64) -> Self {
        ByteOffset(bytes)
    }

    /// The position as a plain number, for a system call.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `len` further on, or `None` past 2^64.
    pub fn checked_add(self, len: ByteLen) -> Option<ByteOffset> {
        self.0.checked_add(len.0).map(ByteOffset)
    }

    /// How far this position is behind `start`, or `None` when it lies before it.
    pub fn checked_since(self, start: ByteOffset) -> Option<ByteLen> {
        self.0.checked_sub(start.0).map(ByteLen)
    }
}

impl ByteLen {
    /// No bytes.
    pub const ZERO: ByteLen = ByteLen(0);
    /// One kibibyte.
    pub const KIB: ByteLen = ByteLen(1 << 10);
    /// One mebibyte, the smallest disk (RULES D11).
    pub const MIB: ByteLen = ByteLen(1 << 20);
    /// One tebibyte.
    pub const TIB: ByteLen = ByteLen(1 << 40);

    /// A length of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        ByteLen(bytes)
    }

    /// The length of a slice.
    pub fn of(bytes: &[u8]) -> Self {
        // usize is at most 64 bits wide on every target this crate builds for.
        ByteLen(bytes.len() as u64)
    }

    /// The length as a plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The length as an index into memory.
    ///
    /// # Errors
    /// `out-of-range` where the address space is smaller.
    pub fn to_usize(self) -> Result<usize> {
        usize::try_from(self.0).map_err(|_| {
            Error::new(ErrorKind::OutOfRange, format!("{} bytes do not fit in memory", self.0))
        })
    }

    /// The sum, or `None` past 2^64.
    pub fn checked_add(self, other: ByteLen) -> Option<ByteLen> {
        self.0.checked_add(other.0).map(ByteLen)
    }

    /// The difference, or `None` when `other` is longer.
    pub fn checked_sub(self, other: ByteLen) -> Option<ByteLen> {
        self.0.checked_sub(other.0).map(ByteLen)
    }

    /// The end of something this long that starts at byte 0.
    pub const fn end(self) -> ByteOffset {
        ByteOffset(self.0)
    }

    /// Reads `10G`, `512M`, `1.5T` is refused: digits, then nothing or one of K, M, G, T (powers of
    /// 1024; `KiB` forms too). A bare number is bytes (INTERFACE section 1).
    ///
    /// # Errors
    /// `invalid` for anything else; `out-of-range` past 2^63 - 1.
    pub fn parse(text: &str) -> Result<ByteLen> {
        let refuse = |kind, why: &str| Err(Error::new(kind, format!("size {text:?} {why}")));
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, suffix) = text.split_at(digits);
        if number.is_empty() {
            return refuse(
                ErrorKind::Invalid,
                "is not a number of bytes such as 10G, 512M or 1048576",
            );
        }
        let shift = match suffix {
            "" | "B" => 0,
            "K" | "k" | "KiB" => 10,
            "M" | "m" | "MiB" => 20,
            "G" | "g" | "GiB" => 30,
            "T" | "t" | "TiB" => 40,
            _ => return refuse(ErrorKind::Invalid, "has an unknown unit; use K, M, G or T"),
        };
        let bytes = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(1 << shift))
            .filter(|bytes| i64::try_from(*bytes).is_ok());
        match bytes {
            Some(bytes) => Ok(ByteLen(bytes)),
            None => refuse(ErrorKind::OutOfRange, "is larger than any file can be"),
        }
    }
}

impl std::fmt::Display for ByteLen {
    /// `10G`, `1536M`, `4097`: the largest unit that divides the length, so that it reads back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = [(40, "T"), (30, "G"), (20, "M"), (10, "K")]
            .into_iter()
            .find(|(shift, _)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((shift, name)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ByteLen;
    use crate::error::ErrorKind;

    #[test]
    fn sizes_read_back_as_they_are_shown() {
        for text in ["0", "1", "4095", "4K", "1536M", "10G", "64T"] {
            assert_eq!(ByteLen::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(ByteLen::parse("2KiB").unwrap(), ByteLen::parse("2K").unwrap());
    }

    #[test]
    fn sizes_that_are_no_sizes_are_refused() {
        for text in ["", "-1", "1e9", "G", "10X", "1.5G", " 1", "1 G", "0x10", "+1", "١"] {
            assert_eq!(ByteLen::parse(text).unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
        }
        for text in ["9223372036854775808", "18446744073709551616", "8388608T"] {
            assert_eq!(ByteLen::parse(text).unwrap_err().kind(), ErrorKind::OutOfRange, "{text:?}");
        }
    }
}
