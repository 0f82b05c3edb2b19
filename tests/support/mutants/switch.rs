//! Which mutant is on; put into the copy as `src/mutant_switch.rs`.
//!
//! `EVSFS_MUTANT=17` turns the 17th on. `EVSFS_MUTANTS_SEEN=FILE` turns none on and appends the
//! number of each that is asked for, once a process.
#![allow(missing_docs)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

const UNKNOWN: u32 = u32::MAX;
const SEEN: u32 = u32::MAX - 1;

static ON: AtomicU32 = AtomicU32::new(UNKNOWN);
static NOTED: [AtomicU8; 1 << 14] = [const { AtomicU8::new(0) }; 1 << 14];
static LIST: OnceLock<File> = OnceLock::new();

#[inline(always)]
pub fn on(mutant: u32) -> bool {
    let on = ON.load(Ordering::Relaxed);
    on == mutant || on >= SEEN && ask(mutant)
}

#[cold]
#[inline(never)]
fn ask(mutant: u32) -> bool {
    if ON.load(Ordering::Acquire) == UNKNOWN {
        if let Some(path) = std::env::var_os("EVSFS_MUTANTS_SEEN") {
            // Opened at the first question, as a sandbox may close the way to it later.
            LIST.get_or_init(|| OpenOptions::new().append(true).open(path).expect("the list"));
            ON.store(SEEN, Ordering::Release);
        } else {
            let on = std::env::var("EVSFS_MUTANT").map_or(0, |on| on.parse().expect("a number"));
            ON.store(on, Ordering::Release);
            return on == mutant;
        }
    }
    if NOTED[mutant as usize].swap(1, Ordering::Relaxed) == 0
        && let Some(mut list) = LIST.get()
    {
        // One write a line, so that lines of several processes do not mix.
        let _ = list.write_all(format!("{mutant}\n").as_bytes());
    }
    false
}
