//! Programs that write and synchronise as fast as they can, and say what they did.
//!
//! A writer is this test binary, run again with its orders in the environment, so that the writers
//! are processes of their own. It ends at the first error, or after a number of rounds.

use crate::support::files::{AlignedBuffer, Numbers, open};
use crate::trouble::{Ledger, SECTOR};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

const ORDERS: &str = "EVSFS_CRASH_WRITER";
/// Sectors of the longest write.
const LONGEST: usize = 64;

/// How a writer makes its writes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Opened with O_DSYNC: each write is acknowledged durable.
    Dsync,
    /// A few writes, then fsync.
    Fsync,
    /// A few writes, then fdatasync.
    Fdatasync,
    /// O_DIRECT and fsync.
    Direct,
}

impl Way {
    pub const ALL: [Way; 4] = [Way::Dsync, Way::Fsync, Way::Fdatasync, Way::Direct];

    fn number(self) -> usize {
        Way::ALL.iter().position(|way| *way == self).unwrap()
    }

    fn flags(self) -> OFlags {
        OFlags::RDWR
            | match self {
                Way::Dsync => OFlags::DSYNC,
                Way::Fsync | Way::Fdatasync => OFlags::empty(),
                Way::Direct => OFlags::DIRECT,
            }
    }
}

/// A part of a disk that one writer has for itself.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    pub disk: u32,
    pub first: u64,
    pub count: usize,
}

/// A writer at work.
pub struct Writer {
    child: Child,
}

impl Writer {
    /// Starts one; its versions begin after `version`.
    pub fn start(file: &Path, range: Range, way: Way, version: u64) -> Writer {
        let Range { disk, first, count } = range;
        let orders =
            format!("{disk} {first} {count} {} {version} {}", way.number(), file.display());
        let child = Command::new(std::env::current_exe().unwrap())
            .env(ORDERS, orders)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Writer { child }
    }

    /// Waits until it has met an error, and enters what it did; the highest version it used.
    #[track_caller]
    pub fn enter_into(mut self, ledger: &mut Ledger) -> u64 {
        let mut newest = 0;
        let lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        for line in lines {
            let line = line.unwrap();
            let mut words = line.split(' ');
            let what = words.next().unwrap();
            let [first, count, version] = [(); 3].map(|()| words.next().unwrap().parse().unwrap());
            let sectors = usize::try_from(count).unwrap();
            match what {
                "begun" => ledger.begin(first, sectors, version),
                "durable" => ledger.acknowledge(first, sectors, version),
                other => panic!("a writer said {other}"),
            }
            newest = newest.max(version);
        }
        assert!(self.child.wait().unwrap().success(), "a writer failed");
        newest
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is a writer, if this process was started as one.
pub fn be_a_writer() -> Option<ExitCode> {
    let orders = std::env::var(ORDERS).ok()?;
    let mut words = orders.splitn(6, ' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (disk, first, count, way, version) = (number(), number(), number(), number(), number());
    let range =
        Range { disk: u32::try_from(disk).unwrap(), first, count: usize::try_from(count).unwrap() };
    let way = Way::ALL[usize::try_from(way).unwrap()];
    write_until_it_fails(Path::new(words.next().unwrap()), range, way, version);
    Some(ExitCode::SUCCESS)
}

/// Everything is told before it is done or after it was acknowledged, whatever comes next.
fn write_until_it_fails(path: &Path, range: Range, way: Way, version: u64) {
    // Nobody hears of a writer that finds no file.
    let Ok(file) = open(path, way.flags()) else { return };
    let mut numbers = Numbers::new(version ^ range.first ^ u64::from(range.disk) << 32);
    let mut told = std::io::stdout();
    for version in version + 1.. {
        let batch: Vec<(u64, usize)> = match way {
            Way::Dsync => vec![place(&mut numbers, range, way)],
            _ => (0..1 + numbers.below(4)).map(|_| place(&mut numbers, range, way)).collect(),
        };
        for (first, count) in &batch {
            writeln!(told, "begun {first} {count} {version}").unwrap();
            let bytes = Ledger::content(range.disk, *first, *count, version);
            let mut buffer = AlignedBuffer::new(bytes.len());
            buffer.bytes().copy_from_slice(&bytes);
            if file.write_all_at(buffer.bytes(), first * SECTOR as u64).is_err() {
                return;
            }
        }
        if synchronise(&file, way).is_err() {
            return;
        }
        for (first, count) in &batch {
            writeln!(told, "durable {first} {count} {version}").unwrap();
        }
    }
}

fn synchronise(file: &File, way: Way) -> std::io::Result<()> {
    match way {
        Way::Dsync => Ok(()),
        Way::Fsync | Way::Direct => file.sync_all(),
        Way::Fdatasync => file.sync_data(),
    }
}

/// One sector, a page, or many; at any sector, or where O_DIRECT wants it.
fn place(numbers: &mut Numbers, range: Range, way: Way) -> (u64, usize) {
    let count = [1, 8, 8, 8, 1 + numbers.below(LONGEST)][numbers.below(5)].min(range.count);
    let grain = if way == Way::Direct { 8 } else { 1 };
    let count = count.next_multiple_of(grain);
    let first = numbers.below(range.count - count + 1) / grain * grain;
    (range.first + first as u64, count)
}
