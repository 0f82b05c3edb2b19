//! The sector ciphers against published known answers and against payloads made by cryptsetup.
//! `tests/data/README.md` describes the files and where they come from.

#![allow(clippy::unwrap_used)]

use evsfs::crypto::Dk;
use evsfs::crypto::Kernel;
use evsfs::crypto::Sealed;
use evsfs::crypto::Secret;
use evsfs::crypto::SectorBuf;
use evsfs::crypto::SectorCipher;
use evsfs::crypto::WrappingKey;
use evsfs::crypto::from_hex;
use evsfs::error::ErrorKind;
use evsfs::units::SectorIndex;
use evsfs::units::SectorSize;

const KNOWN_ANSWERS: &[u8] = include_bytes!("data/aes256_xts.bin");
const GOLDEN_KEY: &[u8; 64] = include_bytes!("data/golden_key64.bin");
const GOLDEN_PLAIN: &[u8] = include_bytes!("data/golden_plain.bin");

const SOURCES: [&str; 6] = [
    "NIST CAVP hexstr",
    "NIST CAVP sequence number",
    "IEEE 1619 in Botan",
    "Wycheproof",
    "IEEE P1619/D16 in Mbed TLS",
    "ACVP",
];

const ALL_ROWS: usize = 1304;
const ROWS_OF_WHOLE_BLOCKS: usize = 1239;
const ROWS_OF_SECTORS: usize = 16;

struct KnownAnswer {
    name: String,
    key: &'static [u8; 64],
    tweak: u128,
    plain: &'static [u8],
    sealed: &'static [u8],
}

impl KnownAnswer {
    fn cipher(&self, kernel: Kernel) -> SectorCipher {
        cipher(self.key, SectorSize::S512, kernel)
    }

    fn is_whole_blocks(&self) -> bool {
        self.plain.len().is_multiple_of(16)
    }

    /// The sector this row is, if it is one that a disk could have.
    fn as_sector(&self) -> Option<SectorIndex> {
        let fits = self.plain.len() == SectorSize::S512.bytes();
        fits.then(|| u64::try_from(self.tweak).ok().map(SectorIndex::new)).flatten()
    }
}

fn known_answers() -> Vec<KnownAnswer> {
    let (magic, mut rest) = KNOWN_ANSWERS.split_first_chunk::<8>().unwrap();
    assert_eq!(magic, b"XTSKAT01");
    let rows = u32::from_le_bytes(*take(&mut rest));
    let answers = (0..rows)
        .map(|_| {
            let [source, direction] = *take(&mut rest);
            let number = u16::from_le_bytes(*take(&mut rest));
            let len = usize::from(u16::from_le_bytes(*take(&mut rest)));
            let name = format!("{} {number}/{direction}", SOURCES[usize::from(source)]);
            let (key, tweak) = (take(&mut rest), u128::from_le_bytes(*take(&mut rest)));
            let plain = rest.split_off(..len).unwrap();
            let sealed = rest.split_off(..len).unwrap();
            KnownAnswer { name, key, tweak, plain, sealed }
        })
        .collect();
    assert!(rest.is_empty());
    answers
}

fn take<const N: usize>(rest: &mut &'static [u8]) -> &'static [u8; N] {
    let (taken, left) = rest.split_first_chunk().unwrap();
    *rest = left;
    taken
}

fn cipher(key: &[u8; 64], size: SectorSize, kernel: Kernel) -> SectorCipher {
    let secret = Secret::fill(|bytes| {
        bytes.copy_from_slice(key);
        Ok(())
    });
    let dk = Dk::from_secret(secret.unwrap()).unwrap();
    SectorCipher::xts_aes_256(dk, size, kernel).unwrap()
}

/// Every row in both directions. What a kernel does not take it must refuse, and no row is skipped
/// by both.
#[test]
fn kernels_give_the_published_answers_in_both_directions() {
    for kernel in Kernel::available() {
        let (mut proved, mut refused) = (0, 0);
        for row in known_answers() {
            let cipher = row.cipher(kernel);
            let mut unit = row.plain.to_vec();
            match cipher.seal_unit(row.tweak, &mut unit) {
                Ok(()) => {
                    assert_eq!(unit, row.sealed, "{} sealed by {}", row.name, kernel.name());
                    cipher.open_unit(row.tweak, &mut unit).unwrap();
                    assert_eq!(unit, row.plain, "{} opened by {}", row.name, kernel.name());
                    proved += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                    assert!(!row.is_whole_blocks(), "{} by {}", row.name, kernel.name());
                    assert!(cipher.open_unit(row.tweak, &mut unit).is_err());
                    assert_eq!(unit, row.plain, "a refused unit is left alone");
                    refused += 1;
                }
            }
        }
        let expected = match kernel {
            Kernel::Vaes512 | Kernel::Vaes256 | Kernel::Batched => ROWS_OF_WHOLE_BLOCKS,
            // The oracle steals ciphertext too.
            Kernel::Portable => ALL_ROWS,
        };
        assert_eq!((proved, refused), (expected, ALL_ROWS - expected), "{}", kernel.name());
    }
}

/// The rows that are sectors, by the way that disks go.
#[test]
fn published_sectors_come_out_of_the_disk_path() {
    for kernel in Kernel::available() {
        let mut proved = 0;
        for row in known_answers() {
            let Some(sector) = row.as_sector() else { continue };
            let cipher = row.cipher(kernel);
            let mut bytes = vec![0; row.plain.len()];
            let sealed = cipher.seal_from(sector, row.plain, &mut bytes);
            assert_eq!(sealed.as_sealed(), row.sealed, "{} by {}", row.name, kernel.name());
            let plain = cipher.open(sector, sealed);
            assert_eq!(plain.as_plain(), row.plain, "{} by {}", row.name, kernel.name());
            let sealed = cipher.seal(sector, plain);
            assert_eq!(sealed.as_sealed(), row.sealed, "{} by {}", row.name, kernel.name());
            proved += 1;
        }
        assert_eq!(proved, ROWS_OF_SECTORS, "{}", kernel.name());
    }
}

/// INTERFACE section 6: the payload is what dm-crypt writes with `aes-xts-plain64`.
#[test]
fn payloads_are_those_of_cryptsetup_at_both_sector_sizes() {
    for (size, payload) in golden_payloads() {
        for kernel in Kernel::available() {
            let cipher = cipher(GOLDEN_KEY, size, kernel);
            let mut bytes = vec![0; GOLDEN_PLAIN.len()];
            let sealed = cipher.seal_from(SectorIndex::new(0), GOLDEN_PLAIN, &mut bytes);
            assert_same_sectors(sealed.as_sealed(), payload, size);
            let plain = cipher.open(SectorIndex::new(0), sealed);
            assert_same_sectors(plain.as_plain(), GOLDEN_PLAIN, size);
            let sealed = cipher.seal(SectorIndex::new(0), plain);
            assert_same_sectors(sealed.as_sealed(), payload, size);
        }
    }
}

/// A payload written by cryptsetup reads the same whichever way it is cut into requests.
#[test]
fn payloads_of_cryptsetup_open_in_runs_of_any_length() {
    for (size, payload) in golden_payloads() {
        for kernel in Kernel::available() {
            let cipher = cipher(GOLDEN_KEY, size, kernel);
            for run in [1, 2, 3, 7, 63] {
                let run_bytes = run * size.bytes();
                let mut bytes = payload.to_vec();
                for (number, run_of_sectors) in bytes.chunks_mut(run_bytes).enumerate() {
                    let first = SectorIndex::new((number * run) as u64);
                    cipher.open(first, SectorBuf::<Sealed>::to_load(run_of_sectors, size));
                }
                assert_same_sectors(&bytes, GOLDEN_PLAIN, size);
            }
        }
    }
}

/// Nonce, ciphertext and tag as another AES-256-GCM made them: the form of every key that lies
/// wrapped in a state directory.
#[test]
fn a_key_wrapped_by_another_implementation_opens() {
    let secret = Secret::fill(|bytes| {
        bytes.copy_from_slice(&std::array::from_fn::<u8, 32, _>(|at| at as u8));
        Ok(())
    });
    let wrapped = from_hex(concat!(
        "6465666768696a6b6c6d6e6f",
        "481adc657dec5099366b55e3d66864f252d314199f79e565bfc8b653e7bebb57",
        "b4c862e36837bd23d5da5214d16fe4e02b6aaad4147f771fc2c896edd3bc9bb5",
        "c4bdb48479008db9927ce7ab56a63da3",
    ));
    let mut opened = [0; 64];
    let key = WrappingKey::from_secret(&secret.unwrap()).unwrap();
    key.unwrap_into(b"disk 1", &wrapped.unwrap(), &mut opened).unwrap();
    assert_eq!(opened, std::array::from_fn::<u8, 64, _>(|at| at as u8));
}

fn golden_payloads() -> [(SectorSize, &'static [u8]); 2] {
    [
        (SectorSize::S512, include_bytes!("data/golden_ct512.bin")),
        (SectorSize::S4096, include_bytes!("data/golden_ct4096.bin")),
    ]
}

/// As `assert_eq`, but naming the sector instead of printing 256 KiB.
fn assert_same_sectors(found: &[u8], expected: &[u8], size: SectorSize) {
    assert_eq!(found.len(), expected.len());
    let sectors = found.chunks(size.bytes()).zip(expected.chunks(size.bytes()));
    let wrong = sectors.enumerate().find(|(_, (found, expected))| found != expected);
    assert!(wrong.is_none(), "sector {} of {} bytes differs", wrong.unwrap().0, size.bytes());
}
