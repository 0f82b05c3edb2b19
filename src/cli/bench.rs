//! `evsfs bench`: the sector kernels, and requests to disks.

use super::bench_args::BenchArgs;
use super::disk::named;
use super::failure::Outcome;
use super::object::Object;
use super::session::Session;
use super::table::{Align, Table};
use crate::bench::{
    DirectFile, Encryption, Interrupt, Pattern, Target, Workload, kernel_speeds, memory_disk,
};
use crate::error::{Error, ErrorKind, Result};
use crate::units::ByteLen;
use serde_json::{Value, json};
use std::time::Duration;

/// How long each figure of a kernel is measured, which is exact enough for any of them.
const KERNEL_TIME: Duration = Duration::from_millis(100);
/// The size of the disks that are made to be measured: more than caches hold.
const SCRATCH_SIZE: ByteLen = ByteLen::new(128 << 20);
/// Requests of 1 MiB under way at a time.
const SEQUENTIAL_AT_ONCE: usize = 4;
/// Requests of 4 KiB under way at a time.
const RANDOM_AT_ONCE: usize = 16;

/// Both kinds of disk, and the words for them.
const KINDS: [(&str, Encryption); 2] =
    [("encrypted", Encryption::On), ("unencrypted", Encryption::Off)];

/// Measures, and shows all of it at the end.
pub(super) fn run(session: &mut Session<'_>, args: &BenchArgs) -> Outcome {
    let mut bench = Bench { interrupt: Interrupt::catch()?, time: args.seconds, rows: Vec::new() };
    if let Some(name) = &args.disk {
        bench.existing_disk(session, name)?;
    } else if args.memory {
        bench.memory()?;
    } else {
        bench.scratch_disks(session)?;
    }
    let kernels = kernel_speeds(KERNEL_TIME, &bench.interrupt)?;
    let kernels: Vec<Value> = kernels
        .iter()
        .map(|speed| {
            json!({
                "kernel": speed.kernel.name(),
                "sector_size": speed.sector.bytes(),
                "seal_bytes_per_second": whole(speed.seal),
                "open_bytes_per_second": whole(speed.open),
            })
        })
        .collect();
    session.answer(&json!({ "kernels": kernels, "requests": bench.rows }), shown)
}

/// A run under way.
struct Bench {
    interrupt: Interrupt,
    time: Duration,
    rows: Vec<Value>,
}

impl Bench {
    fn existing_disk(&mut self, session: &mut Session<'_>, name: &str) -> Outcome {
        let disk = session.call(&named("disk.show", name)?)?;
        if !Object::of(&disk).is("attached") {
            let message = format!("disk {name:?} is not attached");
            return Err(Error::new(ErrorKind::WrongStatus, message)
                .remedy(format!("evsfs disk attach {name} --read-only"))
                .into());
        }
        let file = DirectFile::open_to_read(&session.mountpoint()?.join(name))?;
        Ok(self.measure(name, &file, &Pattern::READING, Threads::AsForAFile)?)
    }

    fn memory(&mut self) -> Result<()> {
        for (kind, encryption) in KINDS {
            let disk = memory_disk(encryption, SCRATCH_SIZE)?;
            Workload::fill(&disk, &self.interrupt)?;
            let name = format!("{kind}, in memory");
            self.measure(&name, &disk, &Pattern::ALL, Threads::One)?;
        }
        Ok(())
    }

    /// Disks of both kinds, made for this and deleted behind it, whatever happens in between.
    fn scratch_disks(&mut self, session: &mut Session<'_>) -> Outcome {
        for (kind, encryption) in KINDS {
            self.interrupt.check()?;
            let name = format!("bench-{}-{kind}", std::process::id());
            let request = named("disk.create", &name)?
                .with("size", SCRATCH_SIZE.get())
                .with("encrypted", encryption == Encryption::On);
            session.call(&request)?;
            let measured = self.scratch_disk(session, &name, kind);
            let deleted = delete(session, &name);
            measured?;
            deleted?;
        }
        Ok(())
    }

    fn scratch_disk(&mut self, session: &mut Session<'_>, name: &str, kind: &str) -> Outcome {
        session.call(&named("disk.attach", name)?.with("read_only", false))?;
        let file = DirectFile::open_to_overwrite(&session.mountpoint()?.join(name))?;
        // So that no request meets what was never written, which costs less to read.
        Workload::fill(&file, &self.interrupt)?;
        let name = format!("{kind}, in the mount");
        Ok(self.measure(&name, &file, &Pattern::ALL, Threads::AsForAFile)?)
    }

    fn measure(
        &mut self,
        name: &str,
        target: &dyn Target,
        patterns: &[Pattern],
        threads: Threads,
    ) -> Result<()> {
        for pattern in patterns.iter().copied() {
            let at_once = threads.count(pattern);
            let workload = Workload { pattern, at_once, time: self.time };
            let speed = workload.run(target, &self.interrupt)?;
            self.rows.push(json!({
                "disk": name,
                "pattern": pattern.name(),
                "request_size": pattern.request().get(),
                "at_once": at_once,
                "bytes_per_second": whole(speed.bytes),
                "requests_per_second": whole(speed.requests),
            }));
        }
        Ok(())
    }
}

/// How many threads make requests.
#[derive(Clone, Copy)]
enum Threads {
    /// As many as keep a mount busy.
    AsForAFile,
    /// One: what a core does.
    One,
}

impl Threads {
    fn count(self, pattern: Pattern) -> usize {
        match (self, pattern) {
            (Threads::One, _) => 1,
            (_, Pattern::SequentialRead | Pattern::SequentialWrite) => SEQUENTIAL_AT_ONCE,
            (_, Pattern::RandomRead | Pattern::RandomWrite) => RANDOM_AT_ONCE,
        }
    }
}

/// Takes a scratch disk away, from under whatever has it open.
fn delete(session: &mut Session<'_>, name: &str) -> Outcome {
    // Refused if it was never attached, and then there is nothing to detach.
    let _ = session.call(&named("disk.detach", name)?.with("force", true));
    session.call(&named("disk.delete", name)?).map(drop)
}

fn whole(figure: f64) -> u64 {
    // Figures are positive and far below 2^53.
    figure.round() as u64
}

fn shown(answer: &Value) -> String {
    let answer = Object::of(answer);
    let none = Value::Array(Vec::new());
    let list = |key| Object::list(answer.get(key).unwrap_or(&none));
    let number = |object: &Object<'_>, key| object.get(key).and_then(Value::as_u64).unwrap_or(0);
    let speed = |object: &Object<'_>, key| format!("{:.2} GB/s", number(object, key) as f64 / 1e9);

    let mut kernels = Table::new(&[
        ("KERNEL", Align::Left),
        ("SECTOR", Align::Right),
        ("SEAL", Align::Right),
        ("OPEN", Align::Right),
    ]);
    for kernel in list("kernels") {
        kernels.row([
            kernel.text("kernel"),
            kernel.text("sector_size"),
            speed(&kernel, "seal_bytes_per_second"),
            speed(&kernel, "open_bytes_per_second"),
        ]);
    }
    let mut requests = Table::new(&[
        ("DISK", Align::Left),
        ("REQUESTS", Align::Left),
        ("OF", Align::Right),
        ("AT-ONCE", Align::Right),
        ("SPEED", Align::Right),
        ("PER-SECOND", Align::Right),
    ]);
    for row in list("requests") {
        requests.row([
            row.text("disk"),
            row.text("pattern"),
            ByteLen::new(number(&row, "request_size")).to_string(),
            row.text("at_once"),
            speed(&row, "bytes_per_second"),
            row.text("requests_per_second"),
        ]);
    }
    format!("AES-256-XTS, one core:\n{kernels}\nRequests to disks:\n{requests}")
}
