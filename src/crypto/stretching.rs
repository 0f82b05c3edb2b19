//! Passphrases made into wrapping keys: Argon2id version 0x13 (RFC 9106).

use super::secret::Secret;
use super::secret_text::SecretText;
use super::wrapping::WrappingKey;
use crate::error::{Error, ErrorKind, Result};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// What trying one passphrase costs, whoever tries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StretchCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes, which can be computed at the same time.
    pub lanes: u32,
}

impl StretchCost {
    /// The second of the two settings RFC 9106 section 4 recommends: 64 MiB, three passes.
    pub const RECOMMENDED: StretchCost = StretchCost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The least that Argon2 allows: for tests.
    pub const LEAST: StretchCost = StretchCost { memory_kib: 8, passes: 1, lanes: 1 };

    /// Whether it is one that a file may ask for: an edited one shall neither use up the memory of
    /// the machine nor keep it busy for hours.
    pub fn is_bearable(self) -> bool {
        (1..=16).contains(&self.lanes)
            && (1..=64).contains(&self.passes)
            && (8 * self.lanes..=1024 * 1024).contains(&self.memory_kib)
    }
}

impl WrappingKey {
    /// The key that `passphrase` gives with this salt at this cost.
    ///
    /// The working memory is wiped, but too large to be locked: while this runs, parts of it may be
    /// written to swap space that is not encrypted.
    ///
    /// # Errors
    /// `invalid` for a cost that is not bearable; `quota` when there is not so much memory, or it
    /// cannot be locked for the key.
    pub fn stretch(
        passphrase: &SecretText,
        salt: &[u8; SALT_BYTES],
        cost: StretchCost,
    ) -> Result<Self> {
        let StretchCost { memory_kib, passes, lanes } = cost;
        let refused = || {
            let message =
                format!("stretching with {memory_kib} KiB, {passes} passes, {lanes} lanes");
            Error::new(ErrorKind::Invalid, message)
        };
        if !cost.is_bearable() {
            return Err(refused());
        }
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| refused())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut memory: Vec<Block> = Vec::new();
        let blocks = argon2.params().block_count();
        memory.try_reserve_exact(blocks).map_err(|cause| {
            Error::new(ErrorKind::Quota, format!("there is no room for {memory_kib} KiB"))
                .caused_by(cause)
        })?;
        memory.resize(blocks, Block::default());
        let secret = Secret::fill(|key| {
            argon2
                .hash_password_into_with_memory(passphrase.expose(), salt, key, &mut memory[..])
                .map_err(|_| refused())
        });
        memory.iter_mut().for_each(Zeroize::zeroize);
        WrappingKey::from_secret(&secret?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::read_line(&mut text.as_bytes(), "a test").unwrap()
    }

    fn key(passphrase: &str, salt: u8, cost: StretchCost) -> WrappingKey {
        WrappingKey::stretch(&text(passphrase), &[salt; SALT_BYTES], cost).unwrap()
    }

    #[test]
    fn a_key_depends_on_the_passphrase_the_salt_and_every_part_of_the_cost() {
        let least = StretchCost { memory_kib: 64, ..StretchCost::LEAST };
        let wrapped = key("a", 1, least).wrap(b"", &[7; 32]).unwrap();
        let opens = |key: WrappingKey| key.unwrap_into(b"", &wrapped, &mut [0; 32]).is_ok();
        assert!(opens(key("a", 1, least)));
        assert!(!opens(key("b", 1, least)));
        assert!(!opens(key("a", 2, least)));
        assert!(!opens(key("a", 1, StretchCost { memory_kib: 72, ..least })));
        assert!(!opens(key("a", 1, StretchCost { passes: 2, ..least })));
        assert!(!opens(key("a", 1, StretchCost { lanes: 2, ..least })));
    }

    #[test]
    fn costs_that_would_take_the_machine_away_are_refused() {
        assert!(StretchCost::RECOMMENDED.is_bearable() && StretchCost::LEAST.is_bearable());
        for cost in [
            StretchCost { memory_kib: 0, passes: 1, lanes: 1 },
            StretchCost { memory_kib: 15, passes: 1, lanes: 2 },
            StretchCost { memory_kib: u32::MAX, passes: 1, lanes: 1 },
            StretchCost { memory_kib: 64, passes: u32::MAX, lanes: 1 },
            StretchCost { memory_kib: 64, passes: 0, lanes: 1 },
            StretchCost { memory_kib: 64, passes: 1, lanes: u32::MAX },
        ] {
            assert!(WrappingKey::stretch(&text("a"), &[0; SALT_BYTES], cost).is_err(), "{cost:?}");
        }
    }
}
