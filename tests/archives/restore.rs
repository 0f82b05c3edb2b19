//! Archives made into disks again.

use crate::rig::{self, CHUNK, Payload, Shelf};
use evsfs::archive::{Unmetered, reseal, write_full};
use evsfs::backing::Backing;
use evsfs::crypto::{Dk, Kernel, Secret, SectorCipher};
use evsfs::error::ErrorKind;
use evsfs::units::{ByteLen, ByteOffset, SectorSize};

fn cipher(seed: u8, sector: SectorSize) -> SectorCipher {
    let secret = Secret::fill(|bytes| {
        bytes.copy_from_slice(&std::array::from_fn::<u8, 64, _>(|at| at as u8 ^ seed));
        Ok(())
    });
    SectorCipher::xts_aes_256(Dk::from_secret(secret.unwrap()).unwrap(), sector, Kernel::best())
        .unwrap()
}

/// Writes here and there, and nothing in between.
fn scribble(disk: &evsfs::disk::Disk) {
    for (at, len, byte) in [
        (0, 5000, 1),
        (3 * CHUNK - 700, 1400, 2),
        (9 * CHUNK, 2 * CHUNK, 3),
        (20 * CHUNK - 512, 512, 4),
    ] {
        disk.write_at(ByteOffset::new(at as u64), &vec![byte; len]).unwrap();
    }
    // Written zeros are data of an encrypted disk.
    disk.write_at(ByteOffset::new(15 * CHUNK as u64), &[0; 8192]).unwrap();
}

fn plain(disk: &evsfs::disk::Disk, size: ByteLen) -> Vec<u8> {
    let mut bytes = vec![0; size.to_usize().unwrap()];
    disk.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
    bytes
}

/// RULES P2 and P4, seed Table 3: encrypted or not, from an encrypted backup or not, of any sector
/// sizes; source and copy share no sector of ciphertext.
#[test]
fn a_restored_disk_has_the_content_of_its_source_and_none_of_its_ciphertext() {
    let size = ByteLen::new(20 * CHUNK as u64);
    for source_sector in SectorSize::ALL {
        for is_encrypted in [true, false] {
            let make = |sector, seed, encrypted| match encrypted {
                true => cipher(seed, sector),
                false => SectorCipher::null(sector),
            };
            let (source, payload) = rig::disk(make(source_sector, 1, is_encrypted), size);
            scribble(&source);
            let shelf = Shelf::new();
            let sealing = is_encrypted.then(rig::some_sealing);
            let backup = shelf.keep(|new| {
                let source = Payload { backing: payload.clone(), sector: source_sector };
                write_full(&source, sealing, new, &Unmetered)
            });
            assert_eq!(backup.record.is_encrypted(), is_encrypted);
            let chain = shelf.chain(&[&backup]).unwrap();
            for target_sector in SectorSize::ALL {
                for to_encrypted in [true, false] {
                    let (target, copy) = rig::disk(
                        make(target_sector, 2, to_encrypted),
                        ByteLen::new(size.get() + 2 * CHUNK as u64),
                    );
                    let opener = make(source_sector, 1, is_encrypted);
                    reseal(&chain, &opener, &target, &Unmetered).unwrap();
                    assert!(plain(&target, size) == plain(&source, size));
                    assert_never_written_stays_so(&copy, size);
                    if is_encrypted || to_encrypted {
                        assert_nothing_shared(&payload, &copy);
                    }
                }
            }
        }
    }
}

fn assert_never_written_stays_so(copy: &dyn Backing, size: ByteLen) {
    let bytes = rig::bytes(copy);
    assert!(bytes[4 * CHUNK..9 * CHUNK].iter().all(|byte| *byte == 0));
    assert!(bytes[8192..2 * CHUNK].iter().all(|byte| *byte == 0));
    assert!(bytes[size.to_usize().unwrap()..].iter().all(|byte| *byte == 0));
    assert!(copy.allocated().unwrap() < ByteLen::new(4 * CHUNK as u64));
}

fn assert_nothing_shared(source: &dyn Backing, copy: &dyn Backing) {
    let (source, copy) = (rig::bytes(source), rig::bytes(copy));
    let shared = source.chunks(512).zip(copy.chunks(512)).filter(|(a, b)| a == b);
    assert!(shared.into_iter().all(|(sector, _)| sector.iter().all(|byte| *byte == 0)));
}

#[test]
fn a_disk_that_is_too_small_or_a_cipher_of_another_kind_is_refused_before_anything_is_written() {
    let size = ByteLen::new(3 * CHUNK as u64);
    let shelf = Shelf::new();
    let backup = shelf.full(&rig::payload(&vec![1; 3 * CHUNK]));
    let chain = shelf.chain(&[&backup]).unwrap();
    let null = SectorCipher::null(SectorSize::S512);
    for (opener, target_size) in [
        (&null, ByteLen::new(size.get() - 4096)),
        (&cipher(1, SectorSize::S512), size),
        (&SectorCipher::null(SectorSize::S4096), size),
    ] {
        let (target, copy) = rig::disk(SectorCipher::null(SectorSize::S4096), target_size);
        let refused = reseal(&chain, opener, &target, &Unmetered).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert_eq!(copy.allocated().unwrap(), ByteLen::ZERO);
    }
}
