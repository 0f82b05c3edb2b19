//! Keys, ciphers, and buffers whose type says whether they are plain or sealed.
//!
//! Turning one key into another happens here and nowhere else, with a label or an associated
//! context. No cryptography of our own but the sector kernels: AES, GCM, HMAC, HKDF, RSA and Argon2
//! come from the RustCrypto crates, XTS from `xts-mode`; the faster kernels arrange the same block
//! operations, of the `aes` crate or of the processor, and are proved against it.
//!
//! Not covered: registers (what a cipher leaves in them stays until they are used again), caches, and
//! root on the host.
//!
//! A kernel is one file that seals and opens runs of data units (`xts_tweaks.rs` says which), a variant
//! of [`Kernel`] and one of `KeyedKernel`; it never sees holes. What walks [`Kernel::available`] then
//! tests and measures it. `unsafe` stands in the files of the fused kernels only (`simd_*.rs`).
//! The portable kernel is the oracle of the others and is not to be made faster.

mod context;
mod data_key;
mod hex;
mod import_key;
mod kernel;
mod keyed_kernel;
mod record_key;
mod secret;
mod secret_text;
mod sector_buf;
mod sector_cipher;
#[cfg(target_arch = "x86_64")]
mod simd_keys;
#[cfg(target_arch = "x86_64")]
mod simd_vaes256;
#[cfg(target_arch = "x86_64")]
mod simd_vaes512;
mod stretching;
mod wrapping;
mod xts_batched;
mod xts_keys;
mod xts_portable;
mod xts_tweaks;

pub use context::EncryptionContext;
pub use data_key::{Dk, WrappedDk};
pub use hex::{from_hex, to_hex};
pub use import_key::{ImportKey, wrap_material, wrong_length as wrong_material_length};
pub use kernel::Kernel;
pub use record_key::RecordKey;
pub use secret::Secret;
pub use secret_text::SecretText;
pub use sector_buf::{Plain, Sealed, SectorBuf};
pub use sector_cipher::SectorCipher;
pub use stretching::{SALT_BYTES, StretchCost};
pub use wrapping::WrappingKey;
