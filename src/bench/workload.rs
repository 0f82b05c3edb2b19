//! Requests made one after the other, and counted.

use super::interrupt::Interrupt;
use crate::error::Result;
use crate::sys::AlignedBuffer;
use crate::units::{ByteLen, ByteOffset};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The alignment of memory that suits every medium.
const ALIGNMENT: usize = 4096;

/// What is written. Not zeros, which a medium may store in a way of their own.
const CONTENT: u8 = 0x5a;

/// What can be read and written in whole requests.
pub trait Target: Sync {
    /// How long it is.
    fn len(&self) -> ByteLen;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == ByteLen::ZERO
    }

    /// Fills `into` from `offset`.
    ///
    /// # Errors
    /// `io`.
    fn read(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `io`, `no-space`.
    fn write(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()>;
}

/// The order and direction of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Reads of 1 MiB from the start to the end, and again.
    SequentialRead,
    /// Writes of 1 MiB from the start to the end, and again.
    SequentialWrite,
    /// Reads of 4 KiB all over the place.
    RandomRead,
    /// Writes of 4 KiB all over the place.
    RandomWrite,
}

impl Pattern {
    /// Those that change nothing.
    pub const READING: [Pattern; 2] = [Pattern::SequentialRead, Pattern::RandomRead];
    /// All of them. What is written sequentially is there to be read by those that come after.
    pub const ALL: [Pattern; 4] = [
        Pattern::SequentialWrite,
        Pattern::SequentialRead,
        Pattern::RandomRead,
        Pattern::RandomWrite,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Pattern::SequentialRead => "sequential-read",
            Pattern::SequentialWrite => "sequential-write",
            Pattern::RandomRead => "random-read",
            Pattern::RandomWrite => "random-write",
        }
    }

    /// The length of a request.
    pub const fn request(self) -> ByteLen {
        match self {
            Pattern::SequentialRead | Pattern::SequentialWrite => ByteLen::MIB,
            Pattern::RandomRead | Pattern::RandomWrite => ByteLen::new(4096),
        }
    }
}

/// A pattern, how many requests are under way at a time, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// The pattern.
    pub pattern: Pattern,
    /// Requests under way at a time, each made by a thread of its own.
    pub at_once: usize,
    /// For how long.
    pub time: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    /// Bytes a second.
    pub bytes: f64,
    /// Requests a second.
    pub requests: f64,
}

impl Workload {
    /// Makes the requests.
    ///
    /// # Errors
    /// The first that failed; `io` when it was interrupted.
    pub fn run(&self, target: &dyn Target, interrupt: &Interrupt) -> Result<Speed> {
        let places = Places::of(target, self.pattern);
        let start = Instant::now();
        let requests = std::thread::scope(|scope| {
            let one = |number| {
                let places = &places;
                scope.spawn(move || self.one_after_the_other(number, target, places, interrupt))
            };
            let threads: Vec<_> = (0..self.at_once as u64).map(one).collect();
            threads.into_iter().map(|thread| thread.join().expect("measuring never panics")).sum()
        });
        let (requests, passed): (Result<u64>, _) = (requests, start.elapsed().as_secs_f64());
        let requests = requests? as f64 / passed;
        interrupt.check()?;
        Ok(Speed { requests, bytes: requests * self.pattern.request().get() as f64 })
    }

    /// Writes all of a target once.
    ///
    /// # Errors
    /// The first that failed; `io` when it was interrupted.
    pub fn fill(target: &dyn Target, interrupt: &Interrupt) -> Result<()> {
        let pattern = Pattern::SequentialWrite;
        let (places, len) = (Places::of(target, pattern), pattern.request().to_usize()?);
        let mut buffer = AlignedBuffer::new(len, ALIGNMENT);
        buffer.bytes(len).fill(CONTENT);
        for _ in 0..places.count {
            interrupt.check()?;
            target.write(places.next(), buffer.bytes(len))?;
        }
        Ok(())
    }

    fn one_after_the_other(
        &self,
        number: u64,
        target: &dyn Target,
        places: &Places,
        interrupt: &Interrupt,
    ) -> Result<u64> {
        let len = self.pattern.request().to_usize()?;
        let mut buffer = AlignedBuffer::new(len, ALIGNMENT);
        buffer.bytes(len).fill(CONTENT);
        let mut random = Random::new(number);
        let (start, mut requests) = (Instant::now(), 0);
        while start.elapsed() < self.time && !interrupt.is_raised() {
            match self.pattern {
                Pattern::SequentialRead => target.read(places.next(), buffer.bytes(len))?,
                Pattern::SequentialWrite => target.write(places.next(), buffer.bytes(len))?,
                Pattern::RandomRead => target.read(places.any(&mut random), buffer.bytes(len))?,
                Pattern::RandomWrite => target.write(places.any(&mut random), buffer.bytes(len))?,
            }
            requests += 1;
        }
        Ok(requests)
    }
}

/// Where requests go.
struct Places {
    request: u64,
    count: u64,
    // The threads take turns. Relaxed: it orders nothing.
    taken: AtomicU64,
}

impl Places {
    fn of(target: &dyn Target, pattern: Pattern) -> Places {
        let request = pattern.request().get();
        // A disk is at least as long as the longest request (RULES D11).
        Places { request, count: (target.len().get() / request).max(1), taken: AtomicU64::new(0) }
    }

    fn next(&self) -> ByteOffset {
        self.number(self.taken.fetch_add(1, Ordering::Relaxed) % self.count)
    }

    fn any(&self, random: &mut Random) -> ByteOffset {
        self.number(random.next() % self.count)
    }

    fn number(&self, number: u64) -> ByteOffset {
        ByteOffset::new(number * self.request)
    }
}

/// Numbers that look random (xorshift64).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        // Odd, so never zero, which this generator would not leave.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Encryption, memory_disk};

    #[test]
    fn every_pattern_is_measured_and_an_interrupt_ends_it() {
        let disk = memory_disk(Encryption::On, ByteLen::new(4 << 20)).unwrap();
        for pattern in Pattern::ALL {
            let workload = Workload { pattern, at_once: 2, time: Duration::from_millis(5) };
            let speed = workload.run(&disk, &Interrupt::default()).unwrap();
            assert!(speed.requests > 0.0 && speed.bytes >= 4096.0 * speed.requests);
        }
        let raised = Interrupt::default();
        raised.raise();
        let for_ever = Duration::from_secs(1000);
        let workload = Workload { pattern: Pattern::RandomRead, at_once: 2, time: for_ever };
        assert!(workload.run(&disk, &raised).is_err());
    }
}
