//! Files as tests open, read and write them.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Opens a file with exactly these flags.
pub fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Opens for reading and writing, with more flags.
#[track_caller]
pub fn open_rw(path: &Path, more: OFlags) -> File {
    open(path, OFlags::RDWR | more).unwrap()
}

/// Reads exactly this range.
#[track_caller]
pub fn read(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xEE; len];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// Writes all of it at this offset, through a page-aligned buffer so that it suits O_DIRECT too.
#[track_caller]
pub fn write(file: &File, offset: u64, bytes: &[u8]) {
    let mut buffer = AlignedBuffer::new(bytes.len());
    buffer.bytes().copy_from_slice(bytes);
    file.write_all_at(buffer.bytes(), offset).unwrap();
}

/// Reads exactly this range into a page-aligned buffer.
#[track_caller]
pub fn read_aligned(file: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut buffer = AlignedBuffer::new(len);
    file.read_exact_at(buffer.bytes(), offset).unwrap();
    buffer.bytes().to_vec()
}

/// The errno of what must have failed.
#[track_caller]
pub fn errno<T>(result: io::Result<T>) -> Errno {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => Errno::from_io_error(&error).unwrap(),
    }
}

/// Memory at page alignment, as O_DIRECT wants it.
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    const PAGE: usize = 4096;

    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + Self::PAGE];
        let start = bytes.as_ptr().align_offset(Self::PAGE);
        AlignedBuffer { bytes, start, len }
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// Numbers that look random and are the same at every run (xorshift64*).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// Bytes that look random, none of them zero, so that holes differ from them.
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut bytes = vec![0; len];
    for piece in bytes.chunks_mut(8) {
        let word = (numbers.next() | 0x0101_0101_0101_0101).to_le_bytes();
        piece.copy_from_slice(&word[..piece.len()]);
    }
    bytes
}

/// Says where two contents differ, instead of printing them.
#[track_caller]
pub fn assert_same(what: &str, found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    if found != expected {
        let at = (0..found.len()).find(|at| found[*at] != expected[*at]).unwrap();
        let (found, expected) = (found[at], expected[at]);
        panic!("{what}: byte {at} is {found:#04x}, not {expected:#04x}");
    }
}
