//! Disks without their key for a while.

use crate::rig::Make;
use evsfs::backing::{FaultBacking, MemoryBacking, Operation};
use evsfs::crypto::SectorCipher;
use evsfs::error::{ErrorKind, Result};
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SIZE: ByteLen = ByteLen::MIB;
const AES: Make = Make { sector: SectorSize::S4096, encrypted: true };

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// RULES D1, `suspended`: nothing is read or written without the key, what was written is there
/// again with it.
#[test]
fn a_suspended_disk_refuses_data_and_answers_what_takes_no_key() {
    let disk = AES.open(MemoryBacking::new(SIZE), SIZE.get());
    let at = ByteOffset::new(5000);
    disk.write_at(at, b"content").unwrap();
    disk.suspend().unwrap();
    assert!(disk.is_suspended());
    let mut read = [0; 7];
    assert_eq!(kind(disk.read_at(at, &mut read)), Some(ErrorKind::Suspended));
    assert_eq!(kind(disk.write_at(at, b"x")), Some(ErrorKind::Suspended));
    assert_eq!(kind(disk.discard(at, SIZE)), Some(ErrorKind::Suspended));
    assert_eq!(kind(disk.suspend()), Some(ErrorKind::Suspended));
    disk.flush().unwrap();
    assert!(disk.allocated().unwrap() > ByteLen::ZERO);
    assert_eq!(disk.seek_data(ByteOffset::ZERO).unwrap(), Some(ByteOffset::new(4096)));
    disk.resume(AES.cipher()).unwrap();
    assert!(!disk.is_suspended());
    assert_eq!(disk.read_at(at, &mut read).unwrap(), 7);
    assert_eq!(&read, b"content");
    assert_eq!(kind(disk.resume(AES.cipher())), Some(ErrorKind::WrongStatus));
}

#[test]
fn a_disk_is_not_resumed_with_a_cipher_of_another_kind() {
    let disk = AES.open(MemoryBacking::new(SIZE), SIZE.get());
    disk.suspend().unwrap();
    for sector in [SectorSize::S512, SectorSize::S4096] {
        let null = SectorCipher::null(sector);
        assert_eq!(kind(disk.resume(null)), Some(ErrorKind::Internal));
    }
    assert!(disk.is_suspended());
    disk.resume(AES.cipher()).unwrap();
}

/// RULES D8: also of a suspended disk nothing is left.
#[test]
fn revoking_a_suspended_disk_lets_go_of_the_payload() {
    let backing = Arc::new(MemoryBacking::new(SIZE));
    let disk = AES.open(backing.clone(), SIZE.get());
    disk.suspend().unwrap();
    assert_eq!(Arc::strong_count(&backing), 2);
    disk.revoke();
    assert_eq!(Arc::strong_count(&backing), 1);
    assert!(disk.is_revoked() && !disk.is_suspended());
    assert_eq!(kind(disk.flush()), Some(ErrorKind::Detached));
    assert_eq!(kind(disk.resume(AES.cipher())), Some(ErrorKind::Detached));
}

#[test]
fn a_suspension_whose_flush_fails_leaves_the_disk_as_it_was() {
    let backing = Arc::new(FaultBacking::new(MemoryBacking::new(SIZE)));
    let disk = AES.open(backing.clone(), SIZE.get());
    disk.write_at(ByteOffset::ZERO, b"content").unwrap();
    for skip in [0, 1] {
        backing.fail_operation_after(Operation::Flush, skip, Errno::IO);
        assert_eq!(kind(disk.suspend()), Some(ErrorKind::Io), "flush {skip}");
        assert!(!disk.is_suspended());
        let mut read = [0; 7];
        disk.read_at(ByteOffset::ZERO, &mut read).unwrap();
        assert_eq!(&read, b"content");
    }
    disk.suspend().unwrap();
}

/// What whoever keeps refused requests relies on: trying again until it is done loses nothing.
#[test]
fn writers_that_try_again_lose_nothing_across_many_suspensions() {
    let disk = AES.open(MemoryBacking::new(SIZE), SIZE.get());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|thread| {
                let (disk, is_over) = (&disk, &is_over);
                scope.spawn(move || {
                    let at = ByteOffset::new(4090 + thread * 8);
                    let mut number = 0_u64;
                    while !is_over.load(Ordering::SeqCst) {
                        number += 1;
                        let bytes = number.to_le_bytes();
                        while kind(disk.write_at(at, &bytes)) == Some(ErrorKind::Suspended) {
                            std::thread::yield_now();
                        }
                        if number.is_multiple_of(16) {
                            disk.flush().unwrap();
                        }
                    }
                    (at, number)
                })
            })
            .collect();
        for _ in 0..100 {
            disk.suspend().unwrap();
            std::thread::yield_now();
            disk.resume(AES.cipher()).unwrap();
            std::thread::yield_now();
        }
        is_over.store(true, Ordering::SeqCst);
        for writer in writers {
            let (at, number) = writer.join().unwrap();
            let mut read = [0; 8];
            disk.read_at(at, &mut read).unwrap();
            assert_eq!(u64::from_le_bytes(read), number);
        }
    });
}
