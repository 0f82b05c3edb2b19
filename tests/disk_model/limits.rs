//! The edges: first byte, last byte, one past it, nothing at all, and who may do what.

use super::rig::{Make, at, content, data, len};
use evsfs::backing::{Backing, MemoryBacking};
use evsfs::disk::{Access, Disk, MAX_REQUEST};
use evsfs::error::{Code, ErrorKind};
use evsfs::units::{ByteLen, ByteOffset};
use std::sync::Arc;

const SIZE: u64 = 1 << 20;

/// INTERFACE section 2: read at the end is short, write past the end is ENOSPC.
#[test]
fn reads_and_writes_stop_at_the_last_byte() {
    for make in Make::ALL {
        let (disk, _) = make.in_memory(SIZE);
        let last = at(SIZE as usize - 1);
        assert_eq!(disk.write_at(last, b"xyz").unwrap(), 1);
        let mut found = [0; 3];
        assert_eq!(disk.read_at(last, &mut found).unwrap(), 1);
        assert_eq!(found[0], b'x');
        for past in [SIZE, SIZE + 1, u64::MAX] {
            let past = ByteOffset::new(past);
            assert_eq!(disk.write_at(past, b"x").unwrap_err().kind(), ErrorKind::NoSpace);
            assert_eq!(disk.write_at(past, b"").unwrap(), 0);
            assert_eq!(disk.read_at(past, &mut found).unwrap(), 0);
            assert_eq!(disk.read_with(past, 10, <[u8]>::len).unwrap(), 0);
            disk.discard(past, ByteLen::new(u64::MAX)).unwrap();
        }
        assert_eq!(disk.read_with(last, usize::MAX, <[u8]>::len).unwrap(), 1);
        disk.discard(last, ByteLen::MIB).unwrap();
        assert!(content(&disk).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_lent_read_is_refused_when_longer_than_a_request_and_never_cut_short() {
    let (disk, _) = Make::ALL[0].in_memory(2 * MAX_REQUEST as u64);
    assert_eq!(disk.read_with(at(1), MAX_REQUEST, <[u8]>::len).unwrap(), MAX_REQUEST);
    let longer = disk.read_with(at(0), MAX_REQUEST + 1, <[u8]>::len).unwrap_err();
    assert_eq!(longer.kind(), ErrorKind::Invalid);
}

/// RULES D11.
#[test]
fn a_size_that_is_no_multiple_of_the_sector_size_or_not_larger_is_refused() {
    for make in Make::ALL {
        let open = |size| {
            let backing = Box::new(MemoryBacking::new(ByteLen::MIB));
            Disk::open(backing, make.cipher(), ByteLen::new(size), Access::ReadWrite)
        };
        for size in [0, 100, SIZE - 1] {
            let error = open(size).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert_eq!(error.documented_code(), Some(Code::EVS_1010));
        }
        let disk = open(SIZE / 2).unwrap();
        for (size, code) in [
            (SIZE / 2, Code::EVS_1015),
            (SIZE / 4, Code::EVS_1015),
            (0, Code::EVS_1015),
            (SIZE / 2 + 100, Code::EVS_1010),
        ] {
            let error = disk.extend(ByteLen::new(size)).unwrap_err();
            assert_eq!(error.documented_code(), Some(code), "{size}");
        }
        assert_eq!(disk.size(), ByteLen::new(SIZE / 2));
    }
}

#[test]
fn a_payload_shorter_than_the_disk_is_not_opened() {
    let make = Make::ALL[1];
    let backing = Box::new(MemoryBacking::new(ByteLen::new(SIZE - 4096)));
    let error =
        Disk::open(backing, make.cipher(), ByteLen::new(SIZE), Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains("1044480") && error.message().contains("1048576"), "{error}");
}

#[test]
fn a_disk_opened_read_only_refuses_every_change() {
    let make = Make::ALL[1];
    let payload = Arc::new(MemoryBacking::new(ByteLen::MIB));
    make.open(Arc::clone(&payload), SIZE).write_at(at(10), b"kept").unwrap();
    let backing = Box::new(payload);
    let disk = Disk::open(backing, make.cipher(), ByteLen::MIB, Access::ReadOnly).unwrap();
    let refusals = [
        disk.write_at(at(0), b"x").map(|_| ()),
        disk.discard(at(0), len(10)),
        disk.zero_range(at(0), len(10)),
        disk.allocate(at(0), len(10)),
        disk.extend(ByteLen::new(2 * SIZE)),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind(), ErrorKind::Protected);
    }
    disk.read_with(at(10), 4, |bytes| assert_eq!(bytes, b"kept")).unwrap();
    disk.flush().unwrap();
}

/// RULES D10: what lay behind the old end, such as a device's earlier life, never shows.
#[test]
fn an_extended_disk_reads_zeros_where_the_payload_had_something() {
    for make in Make::ALL {
        let payload = Arc::new(MemoryBacking::new(ByteLen::MIB));
        payload.write_at(ByteOffset::ZERO, &data(1, SIZE as usize)).unwrap();
        let disk = make.open(Arc::clone(&payload), SIZE / 2);
        disk.extend(ByteLen::new(2 * SIZE)).unwrap();
        let bytes = content(&disk);
        assert!(bytes[SIZE as usize / 2..].iter().all(|byte| *byte == 0));
        assert_eq!(payload.len(), ByteLen::new(2 * SIZE));
    }
}

/// INTERFACE section 2: SEEK_DATA and SEEK_HOLE tell the truth at 4 KiB grain.
#[test]
fn holes_are_where_nothing_was_written_or_all_was_discarded() {
    for make in Make::ALL {
        let (disk, _) = make.in_memory(SIZE);
        assert_eq!(disk.seek_data(at(0)).unwrap(), None);
        assert_eq!(disk.seek_hole(at(77)).unwrap(), at(77));
        disk.write_at(at(40_960), &data(1, 8192)).unwrap();
        assert_eq!(disk.seek_data(at(0)).unwrap(), Some(at(40_960)));
        assert_eq!(disk.seek_hole(at(45_000)).unwrap(), at(49_152));
        assert_eq!(disk.allocated().unwrap(), len(8192));
        // Zeroing a part of what was never written writes nothing.
        disk.discard(at(49_153), len(10_001)).unwrap();
        assert_eq!(disk.allocated().unwrap(), len(8192));
        disk.discard(at(40_000), len(10_000)).unwrap();
        assert_eq!(disk.allocated().unwrap(), ByteLen::ZERO);
        disk.write_at(at(SIZE as usize - 1), b"x").unwrap();
        assert_eq!(disk.seek_hole(at(SIZE as usize - 1)).unwrap(), at(SIZE as usize));
    }
}

#[test]
fn plain_allocation_is_accepted_inside_the_disk_only() {
    let (disk, _) = Make::ALL[0].in_memory(SIZE);
    disk.allocate(at(0), len(SIZE as usize)).unwrap();
    for (offset, length) in [(1, SIZE), (SIZE, 1), (u64::MAX, 2)] {
        let error = disk.allocate(ByteOffset::new(offset), ByteLen::new(length)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    }
}

#[test]
fn counters_count_requests_bytes_and_errors() {
    let (disk, _) = Make::ALL[1].in_memory(SIZE);
    disk.write_at(at(1), &[1; 10_000]).unwrap();
    disk.read_with(at(0), 4096, |_| ()).unwrap();
    disk.read_at(at(5), &mut [0; 100]).unwrap();
    disk.discard(at(0), len(4096)).unwrap();
    disk.flush().unwrap();
    disk.write_at(at(SIZE as usize), b"x").unwrap_err();
    let counters = disk.counters();
    assert_eq!((counters.writes, counters.written_bytes), (1, 10_000));
    assert_eq!((counters.reads, counters.read_bytes), (2, 4196));
    assert_eq!((counters.discards, counters.discarded_bytes), (1, 4096));
    assert_eq!((counters.flushes, counters.errors), (1, 1));
}

/// A copy from disk to disk, and within one, from the lent bytes.
#[test]
fn a_lent_read_may_be_written_to_a_disk_while_it_is_lent() {
    let (disk, _) = Make::ALL[0].in_memory(SIZE);
    let bytes = data(3, 5000);
    disk.write_at(at(100), &bytes).unwrap();
    let copied = disk.read_with(at(100), 5000, |lent| disk.write_at(at(200), lent)).unwrap();
    assert_eq!(copied.unwrap(), 5000);
    assert!(content(&disk)[200..5200] == bytes);
}
