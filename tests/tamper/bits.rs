//! Each bit of one key's and of one disk's record, for who is running and for who starts; in the short
//! form each third, which is at another place in each byte.

use crate::amount::Amount;
use crate::world::{ROOT, World, alias, name};
use evsfs::disk::Access;
use evsfs::error::{Error, ErrorKind};
use evsfs::id::DiskId;
use evsfs::kms::examine_keys;
use evsfs::service::{Command, DiskCommand, DiskRecord};
use evsfs::units::SectorSize;

/// RULES K8.
#[test]
fn each_bit_of_a_key_record_is_refused_at_the_next_use_and_at_a_start() {
    let world = World::new();
    let running = world.start().unwrap();
    let key = running.kms.show(&alias("disabled")).unwrap();
    let path = format!("kms/keys/{}.toml", key.id);
    let mut refused = 0;
    let record = world.now[&path].clone();
    let hsm = world.hsm().unwrap();
    each_bit(&record, |edited| {
        world.write(&path, edited);
        names(&running.kms.require_usable(key.id).unwrap_err(), &path);
        // These make an entry in the audit log each, which then takes its time to look at.
        if refused % 97 == 0 {
            names(&running.kms.enable(&key.alias).unwrap_err(), &path);
            let made = running.kms.generate_dk(key.id, DiskId::random(), SectorSize::S4096);
            names(&made.unwrap_err(), &path);
        }
        let found = examine_keys(&world.look().unwrap(), &hsm).unwrap();
        assert_eq!((found.damaged.len(), found.keys.len()), (1, 6));
        names(&found.damaged[0].refusal(), &path);
        refused += 1;
    });
    println!("{path}: {refused} bits, all refused");
    assert_eq!(refused, (record.len() * 8).div_ceil(step()));
    world.write(&path, &record);
    running.kms.enable(&key.alias).unwrap();
}

#[test]
fn each_bit_of_a_disk_record_is_refused_at_the_next_use_and_at_a_start() {
    let world = World::new();
    let running = world.start().unwrap();
    let disk = running.service.visible_disk_named(ROOT, &name("own")).unwrap();
    let path = DiskRecord::path_of(disk.id()).unwrap();
    let record = world.now[path.as_str()].clone();
    let attach = || {
        let command = Command::Disk(DiskCommand::Attach(name("own"), Access::ReadWrite));
        running.service.execute(ROOT, command)
    };
    let mut refused = 0;
    each_bit(&record, |edited| {
        world.write(path.as_str(), edited);
        names(&attach().unwrap_err(), path.as_str());
        let loaded = world.look().unwrap().load::<DiskRecord>(&path);
        names(&loaded.unwrap_err(), path.as_str());
        refused += 1;
    });
    println!("{path}: {refused} bits, all refused");
    assert_eq!(refused, (record.len() * 8).div_ceil(step()));
    world.write(path.as_str(), &record);
    attach().unwrap();
}

fn step() -> usize {
    Amount::of(3, 1)
}

fn each_bit(bytes: &[u8], mut then: impl FnMut(&[u8])) {
    let mut edited = bytes.to_vec();
    for bit in (0..bytes.len() * 8).step_by(step()) {
        edited[bit / 8] ^= 1 << (bit % 8);
        then(&edited);
        edited[bit / 8] ^= 1 << (bit % 8);
    }
}

#[track_caller]
fn names(error: &Error, path: &str) {
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(error.explained().contains(path), "{error}");
}
