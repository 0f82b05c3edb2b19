//! Keys in hand when work panics, in a process that does nothing else: a request's panic is caught
//! (`src/fuse/adapter.rs`), so what it left in memory would stay there.

use super::memory::hunt;
use super::needles::Needles;
use crate::support::{Needs, kernel_under_test, trial};
use evsfs::crypto::{Dk, Kernel, Secret, SectorCipher};
use evsfs::units::{SectorIndex, SectorSize};
use libtest_mimic::Trial;
use std::io::{BufRead, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};

const PANICKING: &str = "--panic-with-keys";
/// What the child prints of its keys is changed by this, so that only the keys themselves are keys.
const MASK: u8 = 0x69;

pub fn trials() -> Vec<Trial> {
    vec![trial("after_a_panic_no_key_is_anywhere", Needs::Root, after_a_panic_no_key_is_anywhere)]
}

fn after_a_panic_no_key_is_anywhere() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([PANICKING, kernel_under_test().name()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let keys = evsfs::crypto::from_hex(line.trim()).unwrap();
    assert_eq!(keys.len(), 128);
    let mut needles = Needles::default();
    for half in keys.as_chunks::<32>().0 {
        needles.add_aes_key("a key", &half.map(|byte| byte ^ MASK));
    }
    let finds = hunt(child.id(), &needles).finds;
    drop(child.stdin.take());
    child.wait().unwrap();
    let shown: Vec<String> = finds.iter().take(20).map(ToString::to_string).collect();
    assert!(finds.is_empty(), "{} pieces\n{}", finds.len(), shown.join("\n"));
}

/// Is the process, if it was started for that.
pub fn be_a_panicking_process() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != PANICKING {
        return None;
    }
    let kernel = Kernel::from_name(&arguments.next()?)?;
    std::panic::set_hook(Box::new(|_| {}));
    let mut masked = Vec::with_capacity(128);
    let mut mask = |bytes: &[u8; 64]| masked.extend(bytes.iter().map(|byte| byte ^ MASK));
    // While a disk is served.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let dk = Dk::generate().unwrap();
        mask(dk.expose());
        let cipher = SectorCipher::xts_aes_256(dk, SectorSize::S4096, kernel).unwrap();
        let mut sealed = vec![0; 8192];
        cipher.seal_from(SectorIndex::new(1), &[7; 8192], &mut sealed);
        cipher.seal_from(SectorIndex::new(1), &[7; 100], &mut sealed);
    }));
    // While a key is made.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _ = Secret::<64>::fill(|bytes| {
            getrandom::fill(bytes).unwrap();
            mask(bytes);
            let copy = std::hint::black_box(*bytes);
            panic!("with a copy on the stack that begins with {}", copy[0] & 1);
        });
    }));
    let line = evsfs::crypto::to_hex(&masked) + "\n";
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    Some(ExitCode::SUCCESS)
}
