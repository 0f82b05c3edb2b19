//! Several processes that write into the same sectors.

use crate::amount::Amount;
use crate::report;
use crate::support::files::open_rw;
use crate::support::{Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

const PROCESSES: usize = 8;
/// Bytes of a sector that each process has to itself, so that all of them share each sector.
const SHARE: usize = 64;
const SECTORS: usize = 16;
const SECTOR: usize = PROCESSES * SHARE;
/// How a process of this program is told to be a writer: the file, its number, the rounds.
const WORK: &str = "EVSFS_EXERCISE_WRITER";

pub fn trials() -> Vec<Trial> {
    let variants = [Variant::USUAL, Variant::SMALL_SECTORS, Variant::UNCACHED];
    trials_of("f16_processes_share_sectors", Needs::Fuse, &variants, f16_processes_share_sectors)
}

/// What this process is for, if it is a writer.
pub fn work_of_this_process() -> Option<impl FnOnce()> {
    let work = std::env::var(WORK).ok()?;
    let mut parts = work.rsplitn(3, ',');
    let rounds: usize = parts.next()?.parse().ok()?;
    let number: usize = parts.next()?.parse().ok()?;
    let path = PathBuf::from(parts.next()?);
    Some(move || {
        let file = open_rw(&path, OFlags::empty());
        for round in 0..rounds {
            for sector in 0..SECTORS {
                let at = (sector * SECTOR + number * SHARE) as u64;
                file.write_all_at(&share(number, sector, round), at).unwrap();
                let mut found = [0; SHARE];
                file.read_exact_at(&mut found, at).unwrap();
                assert_eq!(found, share(number, sector, round), "process {number}, round {round}");
            }
            if round % 50 == 0 {
                file.sync_data().unwrap();
            }
        }
    })
}

fn share(number: usize, sector: usize, round: usize) -> [u8; SHARE] {
    let mut bytes = [0; SHARE];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::try_from((number * 31 + sector * 7 + round * 3 + at) % 256).unwrap();
    }
    bytes
}

/// F16: each process finds its own bytes after each write, and all are there at the end, also at rest.
fn f16_processes_share_sectors(variant: Variant) {
    let rounds = Amount::of(200, 20_000);
    let rig = variant.disk("1M");
    let writers: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let work = format!("{},{number},{rounds}", rig.path_str());
            Command::new(std::env::current_exe().unwrap()).env(WORK, work).spawn().unwrap()
        })
        .collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    crate::detach::eventually_detached(&rig.mount, "db");
    rig.mount.evsfs(&["disk", "attach", "db"]).ok();
    let content = std::fs::read(rig.path()).unwrap();
    for sector in 0..SECTORS {
        for number in 0..PROCESSES {
            let at = sector * SECTOR + number * SHARE;
            assert_eq!(
                content[at..at + SHARE],
                share(number, sector, rounds - 1),
                "{sector} {number}"
            );
        }
    }
    report(&format!(
        "{PROCESSES} processes, {} writes into {SECTORS} sectors: none lost",
        PROCESSES * SECTORS * rounds
    ));
}
