//! fio, whose every block says where it belongs.

use crate::amount::Amount;
use crate::report;
use crate::support::{Needs, Variant, run, trials_of};
use libtest_mimic::Trial;

const TOOLS: Needs = Needs::RootAnd(&["fio"]);

pub fn trials() -> Vec<Trial> {
    let variants = [Variant::USUAL, Variant::SMALL_SECTORS, Variant::UNENCRYPTED];
    trials_of("fio_verifies_its_mixes", TOOLS, &variants, mixes)
}

/// Reads and writes at random and in order, of 512 bytes to 1 MiB, past the page cache with many under
/// way and through it; all is verified as it goes and read again at the end.
fn mixes(variant: Variant) {
    let rig = variant.disk("32M");
    let seconds = Amount::of("1", "60");
    let (mut read, mut written) = (0, 0);
    for (pattern, sizes, direct, engine, depth) in [
        ("randrw", "4k-64k", "1", "libaio", "16"),
        ("randrw", "512-16k", "0", "psync", "1"),
        ("rw", "1m", "1", "libaio", "4"),
        ("randwrite", "4k", "0", "mmap", "1"),
    ] {
        let arguments = [
            "--name=mix".to_owned(),
            format!("--filename={}", rig.path_str()),
            format!("--rw={pattern}"),
            format!(
                "--bsrange={}",
                if sizes.contains('-') { sizes.to_owned() } else { format!("{sizes}-{sizes}") }
            ),
            format!("--direct={direct}"),
            format!("--ioengine={engine}"),
            format!("--iodepth={depth}"),
            format!("--runtime={seconds}"),
            "--size=32M".to_owned(),
            "--time_based".to_owned(),
            "--verify=crc32c".to_owned(),
            "--verify_backlog=64".to_owned(),
            "--verify_fatal=1".to_owned(),
            "--fsync=128".to_owned(),
            "--randseed=1".to_owned(),
            "--output-format=json".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run("fio", &arguments).ok();
        let json = &output[output.find('{').unwrap()..];
        let result: serde_json::Value = serde_json::from_str(json).unwrap();
        let job = &result["jobs"][0];
        assert_eq!(job["error"], 0, "{pattern}: {job}");
        read += job["read"]["io_bytes"].as_u64().unwrap();
        written += job["write"]["io_bytes"].as_u64().unwrap();
    }
    assert!(written > 0 && read > 0);
    report(&format!("fio: {} MiB written, {} MiB read, all verified", written >> 20, read >> 20));
}
