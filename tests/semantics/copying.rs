//! Copying by the usual programs.

use crate::support::files::{assert_same, content};
use crate::support::{DiskRig, Needs, Variant, run, trials_of};
use libtest_mimic::Trial;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    [
        trials_of("f15_dd_copies_exactly", fuse, Variant::ALL, f15_dd_copies_exactly),
        trials_of(
            "f15_dd_with_direct_io_copies_exactly",
            fuse,
            Variant::ALL,
            f15_dd_with_direct_io_copies_exactly,
        ),
        trials_of("f15_cp_keeps_holes_both_ways", fuse, Variant::ALL, f15_cp_keeps_holes_both_ways),
        trials_of(
            "f15_cp_from_disk_to_disk_copies_exactly",
            fuse,
            Variant::CACHES,
            f15_cp_from_disk_to_disk_copies_exactly,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SIZE: usize = 4 << 20;

/// A file beside the mount: data, holes of more than a block, and zeros that are not a hole.
fn sparse_source(rig: &DiskRig) -> (PathBuf, Vec<u8>) {
    let path = rig.mount.scratch().join("source");
    let mut expected = vec![0; SIZE];
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(SIZE as u64).unwrap();
    for (seed, (offset, len)) in (1..).zip([(0, 5000), (1_000_001, 300_000), (SIZE - 10, 10)]) {
        let bytes = content(seed, len);
        file.write_all_at(&bytes, offset as u64).unwrap();
        expected[offset..offset + len].copy_from_slice(&bytes);
    }
    file.write_all_at(&vec![0; 200_000], 2_000_000).unwrap();
    (path, expected)
}

#[track_caller]
fn assert_holds(rig: &DiskRig, what: &str, expected: &[u8]) {
    assert_same(what, &std::fs::read(rig.path()).unwrap(), expected);
    rig.reattach();
    let what = format!("{what}, after a new attach");
    assert_same(&what, &std::fs::read(rig.path()).unwrap(), expected);
}

/// F15: `dd bs=777` copies exactly, in both directions.
fn f15_dd_copies_exactly(variant: Variant) {
    let rig = variant.disk("4M");
    // Smaller than the disk, so that dd meets no end; read and written in 777s.
    let expected = content(1, 1_500_003);
    let (source, copy) = (rig.mount.scratch().join("source"), rig.mount.scratch().join("copy"));
    std::fs::write(&source, &expected).unwrap();
    let from = |path: &std::path::Path| format!("if={}", path.display());
    let to = |path: &std::path::Path| format!("of={}", path.display());
    run("dd", &[&from(&source), &to(rig.path()), "bs=777"]).ok();
    let mut whole = expected.clone();
    whole.resize(SIZE, 0);
    assert_holds(&rig, "the disk", &whole);
    run("dd", &[&from(rig.path()), &to(&copy), "bs=777"]).ok();
    assert_same("the copy", &std::fs::read(&copy).unwrap(), &whole);
    // In the middle, where the rest must stay.
    let middle = content(2, 3 * 777);
    std::fs::write(&source, &middle).unwrap();
    run("dd", &[&from(&source), &to(rig.path()), "bs=777", "seek=100", "conv=notrunc"]).ok();
    whole[77_700..][..middle.len()].copy_from_slice(&middle);
    assert_holds(&rig, "the disk written in the middle", &whole);
}

/// F15: `dd oflag=direct` copies exactly.
fn f15_dd_with_direct_io_copies_exactly(variant: Variant) {
    let rig = variant.disk("4M");
    let expected = content(1, SIZE);
    let (source, copy) = (rig.mount.scratch().join("source"), rig.mount.scratch().join("copy"));
    std::fs::write(&source, &expected).unwrap();
    let (from, to) = (format!("if={}", source.display()), format!("of={}", rig.path_str()));
    for size in ["bs=4K", "bs=68K", "bs=4M"] {
        run("dd", &[&from, &to, size, "oflag=direct", "conv=fsync"]).ok();
        assert_holds(&rig, size, &expected);
        run("dd", &["if=/dev/zero", &to, "bs=1M", "count=4", "oflag=direct"]).ok();
        assert_holds(&rig, "zeros", &vec![0; SIZE]);
    }
    run("dd", &[&from, &to, "bs=1M"]).ok();
    let (from, to) = (format!("if={}", rig.path_str()), format!("of={}", copy.display()));
    run("dd", &[&from, &to, "bs=68K", "iflag=direct"]).ok();
    assert_same("the copy", &std::fs::read(&copy).unwrap(), &expected);
}

/// F15: `cp --sparse=always` in both directions copies exactly, also over old data, and takes no
/// space for zeros.
fn f15_cp_keeps_holes_both_ways(variant: Variant) {
    let rig = variant.disk("4M");
    let (source, expected) = sparse_source(&rig);
    let (from, copy) = (source.to_str().unwrap(), rig.mount.scratch().join("copy"));
    run("cp", &["--sparse=always", from, rig.path_str()]).ok();
    assert_holds(&rig, "over an empty disk", &expected);
    let used = rig.used();
    assert!(used < 400_000, "{used} bytes used for 305010 bytes of data");

    std::fs::write(rig.path(), content(7, SIZE)).unwrap();
    run("cp", &["--sparse=always", from, rig.path_str()]).ok();
    assert_holds(&rig, "over a full disk", &expected);
    let used = rig.used();
    assert!(used < 400_000, "{used} bytes used after copying over a full disk");

    std::fs::write(rig.path(), content(8, SIZE)).unwrap();
    run("cp", &["--sparse=never", from, rig.path_str()]).ok();
    assert_holds(&rig, "with its zeros written", &expected);

    for how in ["--sparse=always", "--sparse=auto", "--sparse=never"] {
        run("cp", &[how, rig.path_str(), copy.to_str().unwrap()]).ok();
        assert_same(how, &std::fs::read(&copy).unwrap(), &expected);
        if how == "--sparse=always" {
            let used = std::fs::metadata(&copy).unwrap().blocks() * 512;
            assert!(used < 400_000, "{used} bytes used by the copy");
        }
        std::fs::remove_file(&copy).unwrap();
    }
}

/// F15, inside the mount, where the kernel might copy by itself (copy_file_range).
fn f15_cp_from_disk_to_disk_copies_exactly(variant: Variant) {
    let rig = variant.disk("4M");
    let other = rig.mount.attached_disk("other", "4M", &[variant.kind.option()]);
    let expected = content(1, SIZE);
    std::fs::write(rig.path(), &expected).unwrap();
    run("cp", &[rig.path_str(), other.to_str().unwrap()]).ok();
    assert_same("the other disk", &std::fs::read(&other).unwrap(), &expected);
    assert_holds(&rig, "the disk copied from", &expected);
    reattach_other(&rig);
    assert_same("the other disk, read again", &std::fs::read(&other).unwrap(), &expected);
    run("cmp", &[rig.path_str(), other.to_str().unwrap()]).ok();
    // Into itself, by the call itself.
    let (from, to) = (
        std::fs::File::open(rig.path()).unwrap(),
        crate::support::files::open_rw(&other, rustix::fs::OFlags::empty()),
    );
    let (mut at, mut into) = (777, 1_234_567);
    let mut rest = 1_000_001;
    while rest > 0 {
        let copied =
            rustix::fs::copy_file_range(&from, Some(&mut at), &to, Some(&mut into), rest).unwrap();
        assert!(copied > 0);
        rest -= copied;
    }
    let mut changed = expected.clone();
    changed[1_234_567..2_234_568].copy_from_slice(&expected[777..1_000_778]);
    assert_same("after copy_file_range", &std::fs::read(&other).unwrap(), &changed);
    drop((from, to));
    reattach_other(&rig);
    assert_same("read again", &std::fs::read(&other).unwrap(), &changed);
}

#[track_caller]
fn reattach_other(rig: &DiskRig) {
    rig.mount.evsfs(&["disk", "detach", "other", "--yes"]).ok();
    rig.mount.evsfs(&["disk", "attach", "other"]).ok();
}
