//! What an owner of the backing sees.

use super::rig::{KEY, Make, at, at_rest, content, data, len};
use aes::Aes256;
use aes::cipher::KeyInit;
use xts_mode::Xts128;

const SIZE: usize = 1 << 20;

/// INTERFACE section 6, by a second implementation of XTS.
#[test]
fn sectors_at_rest_are_what_the_oracle_makes_of_them() {
    let key = |half: &[u8]| Aes256::new_from_slice(half).unwrap();
    let oracle = Xts128::new(key(&KEY[..32]), key(&KEY[32..]));
    for make in Make::ALL.into_iter().filter(|make| make.encrypted) {
        let size = make.sector.bytes();
        let (disk, payload) = make.in_memory(SIZE as u64);
        disk.write_at(at(3), &data(1, 300_000)).unwrap();
        disk.write_at(at(SIZE - 5), &data(2, 5)).unwrap();
        let plain = content(&disk);
        let sealed = at_rest(&*payload);
        for sector in [0, 1, 7, 299_999 / size, SIZE / size - 1] {
            let mut wanted = plain[sector * size..][..size].to_vec();
            let tweak = (sector * size / 512) as u128;
            oracle.encrypt_sector(&mut wanted, tweak.to_le_bytes().into());
            assert!(sealed[sector * size..][..size] == wanted, "{make:?} sector {sector}");
        }
    }
}

#[test]
fn no_plaintext_lies_at_rest_whatever_way_it_was_written() {
    let secret = b"attack at dawn, sixteen men";
    for make in Make::ALL {
        let (disk, payload) = make.in_memory(SIZE as u64);
        let filler = secret.repeat(20_000 / secret.len());
        for offset in [0, 70_001, 131_072 - 5, SIZE - secret.len()] {
            disk.write_at(at(offset), &filler).unwrap();
        }
        disk.discard(at(1000), len(300)).unwrap();
        let found = at_rest(&*payload).windows(secret.len()).any(|window| window == secret);
        assert_eq!(found, !make.encrypted);
    }
}

/// RULES D13: an unencrypted payload is the disk, byte for byte.
#[test]
fn an_unencrypted_disk_lies_at_rest_as_it_is() {
    for make in Make::ALL.into_iter().filter(|make| !make.encrypted) {
        let (disk, payload) = make.in_memory(SIZE as u64);
        disk.write_at(at(12_345), &data(5, 100_000)).unwrap();
        assert!(content(&disk) == at_rest(&*payload));
    }
}

/// RULES D10: zeros that somebody wrote are data; what nobody wrote is not.
#[test]
fn written_zeros_are_sealed_and_unwritten_ones_stay_zero_at_rest() {
    let make = Make::ALL[1];
    let (disk, payload) = make.in_memory(SIZE as u64);
    disk.write_at(at(4096), &[0; 4096]).unwrap();
    let sealed = at_rest(&*payload);
    assert!(sealed[..4096] == [0; 4096] && sealed[4096..8192] != [0; 4096]);
    assert!(content(&disk).iter().all(|byte| *byte == 0));
}
