//! An encrypted disk in memory: the data plane alone, without mount, keys or daemon.
//!
//! Run with `cargo run --example memory_disk`.
#![allow(clippy::print_stdout)]

use evsfs::backing::{Backing, MemoryBacking};
use evsfs::crypto::{Dk, Kernel, SectorCipher};
use evsfs::disk::{Access, Disk};
use evsfs::error::Result;
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::sync::Arc;

fn main() -> Result<()> {
    // A data key goes into a cipher and never comes out: from here on only sectors do.
    let cipher = SectorCipher::xts_aes_256(Dk::generate()?, SectorSize::S4096, Kernel::best())?;

    // The payload is a sparse mebibyte. The second handle is for looking at what lies at rest.
    let payload = Arc::new(MemoryBacking::new(ByteLen::MIB));
    let at_rest = Arc::clone(&payload);
    let disk = Disk::open(Box::new(payload), cipher, ByteLen::MIB, Access::ReadWrite)?;

    // Any offset and any length: the disk reads, patches and seals the sector around it.
    let offset = ByteOffset::new(10_000);
    disk.write_at(offset, b"sixteen letters, and some more")?;
    disk.flush()?;

    // A read lends the plaintext; nothing is copied.
    disk.read_with(offset, 30, |plain| println!("plaintext  {}", hex_line(plain)))?;

    // The same place in the payload is ciphertext, and the rest of it is still a hole.
    let mut sealed = [0; 30];
    at_rest.read_at(offset, &mut sealed)?;
    println!("at rest    {}", hex_line(&sealed));
    println!("space used {} of {}", disk.allocated()?, disk.size());

    // Revoking wipes the key under any handle that is left.
    disk.revoke();
    let refused = disk.read_with(offset, 30, |_| ()).err();
    println!("revoked    {}", refused.map_or_else(String::new, |error| error.to_string()));
    Ok(())
}

fn hex_line(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x} ")).collect();
    let text = bytes.iter().take(16).map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    });
    format!("{hex} |{}|", text.collect::<String>())
}
