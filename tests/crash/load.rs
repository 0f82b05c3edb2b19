//! Disks under load: several writers on each, and a ledger of what they were promised.

use crate::support::Mount;
use crate::trouble::{Damage, Ledger, SECTOR};
use crate::writers::{Range, Way, Writer};

/// Sectors of a disk.
const SECTORS: usize = 4096;
/// The disks: name, number, options of `disk create`.
const DISKS: &[(&str, u32, &[&str])] = &[
    ("sealed", 1, &["--encrypted"]),
    ("small", 2, &["--encrypted", "--sector-size", "512"]),
    ("plain", 3, &["--unencrypted"]),
];

/// The disks of a mount and what they must hold.
pub struct Load {
    ledgers: Vec<Ledger>,
    version: u64,
}

impl Load {
    /// Makes and attaches the disks.
    #[track_caller]
    pub fn on(mount: &Mount) -> Load {
        for (name, _, options) in DISKS {
            mount.attached_disk(name, "2M", options);
        }
        let of = |(_, number, _): &(&str, u32, &[&str])| Ledger::new(*number, SECTORS * SECTOR);
        Load { ledgers: DISKS.iter().map(of).collect(), version: 0 }
    }

    /// Has all disks written to until every writer has met an error, which `disturbance` brings
    /// about.
    #[track_caller]
    pub fn run(&mut self, mount: &Mount, disturbance: impl FnOnce()) {
        let share = SECTORS / Way::ALL.len();
        let mut writers = Vec::new();
        for (at, (name, number, _)) in DISKS.iter().enumerate() {
            let file = mount.mountpoint().join(name);
            for (way, first) in Way::ALL.into_iter().zip((0..).step_by(share)) {
                let range = Range { disk: *number, first, count: share };
                writers.push((at, Writer::start(&file, range, way, self.version)));
            }
        }
        disturbance();
        for (at, writer) in writers {
            self.version = self.version.max(writer.enter_into(&mut self.ledgers[at]));
        }
    }

    /// Writes every sector once more, durably.
    #[track_caller]
    pub fn fill(&mut self, mount: &Mount) {
        self.version += 1;
        for (ledger, (name, number, _)) in self.ledgers.iter_mut().zip(DISKS) {
            let file = std::fs::File::options().write(true).open(mount.mountpoint().join(name));
            let file = file.unwrap();
            ledger.begin(0, SECTORS, self.version);
            let content = Ledger::content(*number, 0, SECTORS, self.version);
            std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).unwrap();
            file.sync_all().unwrap();
            ledger.acknowledge(0, SECTORS, self.version);
        }
    }

    /// What is wrong on the disks, which are attached.
    #[track_caller]
    pub fn damages(&self, mount: &Mount) -> Vec<Damage> {
        let of = |(ledger, (name, ..)): (&Ledger, &(&str, u32, &[&str]))| {
            ledger.check(&std::fs::read(mount.mountpoint().join(name)).unwrap())
        };
        self.ledgers.iter().zip(DISKS).flat_map(of).collect()
    }

    /// Nothing is.
    #[track_caller]
    pub fn must_be_whole(&self, mount: &Mount, when: &str) {
        let damages = self.damages(mount);
        assert!(damages.is_empty(), "{when}: {}", Damage::account(&damages));
    }

    /// How many writes were acknowledged durable so far.
    pub fn acknowledged(&self) -> u64 {
        self.ledgers.iter().map(Ledger::acknowledgements).sum()
    }
}
