//! What is hunted: secrets, and what a secret can be computed from.

use super::schedule;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// A piece of binary key material that is taken for a find. One word: a chance hit in a gigabyte of
/// random bytes comes once in thirty billion runs.
const PIECE: usize = 8;
/// A piece of text: the same of a hexadecimal one.
const TEXT_PIECE: usize = 16;

const PAGE: usize = 4096;

/// The pieces of the secrets of a test.
pub struct Needles {
    pieces: Vec<(Vec<u8>, String)>,
    // Indices of the pieces that begin with these two bytes.
    by_start: Vec<Vec<usize>>,
}

impl Default for Needles {
    fn default() -> Self {
        Needles { pieces: Vec::new(), by_start: vec![Vec::new(); 1 << 16] }
    }
}

impl Needles {
    /// Adds every whole word of `bytes`.
    pub fn add_bytes(&mut self, label: &str, bytes: &[u8]) {
        for piece in bytes.chunks_exact(PIECE) {
            self.add(label, piece);
        }
    }

    /// Adds text: all of it when it is short, else every piece.
    pub fn add_text(&mut self, label: &str, text: &str) {
        match text.len() {
            0..TEXT_PIECE => self.add(label, text.as_bytes()),
            _ => text.as_bytes().chunks_exact(TEXT_PIECE).for_each(|piece| self.add(label, piece)),
        }
    }

    /// Adds key material: the bytes, in both orders, and their hexadecimal text.
    pub fn add_secret(&mut self, label: &str, bytes: &[u8]) {
        self.add_bytes(label, bytes);
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        self.add_bytes(&format!("{label}, reversed"), &reversed);
        let hex = evsfs::crypto::to_hex(bytes);
        self.add_text(&format!("{label}, in hexadecimal"), &hex);
        self.add_text(&format!("{label}, in hexadecimal"), &hex.to_uppercase());
    }

    /// Adds a key of AES-256: the key, its round keys, those of the inverse cipher.
    pub fn add_aes_key(&mut self, label: &str, key: &[u8; 32]) {
        self.add_secret(label, key);
        self.add_bytes(&format!("round keys of {label}"), &schedule::encryption(key)[32..]);
        let inverse = schedule::decryption(key);
        self.add_bytes(&format!("inverse round keys of {label}"), &inverse[16..224]);
    }

    /// Adds a key of AES-256-GCM: as an AES key, and the key of its GHASH (SP 800-38D section 6.4).
    pub fn add_gcm_key(&mut self, label: &str, key: &[u8; 32]) {
        self.add_aes_key(label, key);
        let mut block = aes::Block::default();
        aes::Aes256::new(&(*key).into()).encrypt_block(&mut block);
        self.add_secret(&format!("hash key of {label}"), &block);
        // As libraries keep it: bits in the other order, times x (RFC 8452 appendix A).
        let reversed = u128::from_be_bytes(block.0);
        let carry = reversed >> 127;
        let shifted = reversed << 1 ^ carry ^ carry << 127 ^ carry << 126 ^ carry << 121;
        self.add_secret(&format!("hash key of {label}, for POLYVAL"), &shifted.to_le_bytes());
    }

    fn add(&mut self, label: &str, piece: &[u8]) {
        let start = usize::from(u16::from_le_bytes([piece[0], piece[1]]));
        self.by_start[start].push(self.pieces.len());
        self.pieces.push((piece.to_vec(), label.to_owned()));
    }

    /// Whether there is anything to look for.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Every piece in `haystack`: where, and of what.
    pub fn find_in<'n>(&'n self, haystack: &[u8]) -> Vec<(usize, &'n str)> {
        let mut found = Vec::new();
        let mut at = 0;
        while at + 1 < haystack.len() {
            // Most of a memory is empty. A piece may begin with the last zeros of a page.
            if at % PAGE == 0 && haystack[at..].starts_with(&[0; PAGE]) {
                at += PAGE - TEXT_PIECE;
            }
            let start = usize::from(haystack[at]) | usize::from(haystack[at + 1]) << 8;
            for index in &self.by_start[start] {
                let (piece, label) = &self.pieces[*index];
                if haystack[at..].starts_with(piece) {
                    found.push((at, label.as_str()));
                }
            }
            at += 1;
        }
        found
    }
}
