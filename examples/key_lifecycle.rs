//! The life of a master key and of a data key under it, with the clock moved by hand.
//!
//! Run with `cargo run --example key_lifecycle`.

#![allow(clippy::print_stdout)]

use evsfs::error::Result;
use evsfs::id::{Alias, Description, DiskId};
use evsfs::kms::{Hsm, Kms, NewKey, Origin, SoftHsm};
use evsfs::records::{MemoryStore, Records};
use evsfs::sys::{Clock, ManualClock};
use evsfs::units::SectorSize;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn main() -> Result<()> {
    // A root key and a module in software, in a directory that removes itself.
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (root, directory) = (scratch.path().join("root.key"), scratch.path().join("hsm"));
    SoftHsm::initialise(&root, &directory)?;
    let hsm = Arc::new(SoftHsm::open(&root, &directory)?);

    // Records are authenticated under that root key, wherever they are stored.
    let records = Records::open(Arc::new(MemoryStore::new()), hsm.record_key()?)?;
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().expect("a time")));
    let kms = Kms::open(records, hsm, clock.clone())?;

    let finance = Alias::parse_customer("finance")?;
    let description = Description::parse("ledgers")?;
    let key = kms.create(NewKey { alias: finance.clone(), origin: Origin::Kms, description })?;
    println!("created   {} is {}", key.alias, key.state);

    // Creating a disk: its data key comes back wrapped; no plaintext of it exists yet.
    let disk = DiskId::random();
    let wrapped = kms.generate_dk(key.id, disk, SectorSize::S4096)?;
    println!("wrapped   {} bytes under version {}", wrapped.bytes.len(), wrapped.version);

    // Attaching it: the plaintext is in locked memory until `Dk` is dropped.
    let attach = || match kms.open_dk(&wrapped, disk, SectorSize::S4096) {
        Ok(_dk) => println!("attach    ok on {}", clock.now()),
        Err(refusal) => println!("attach    {refusal:?}"),
    };
    attach();
    kms.disable(&finance)?;
    attach();
    kms.enable(&finance)?;
    attach();

    // Unusable from this moment, destroyed in seven days unless cancelled.
    let key = kms.schedule_deletion(&finance, 7)?;
    println!("scheduled for {}", key.deletion_date.expect("it is scheduled"));
    attach();
    clock.advance(8 * DAY);
    for key in kms.destroy_due()? {
        println!("destroyed {}", key.alias);
    }
    attach();
    Ok(())
}
