//! Growing while attached: what open files see.

use crate::support::files::{assert_same, content, errno, open_rw, read, write};
use crate::support::{DiskRig, Mapping, Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    [
        trials_of(
            "f11_open_files_see_the_new_size",
            Needs::Fuse,
            Variant::ALL,
            f11_open_files_see_the_new_size,
        ),
        trials_of(
            "f11_a_last_page_that_was_partly_past_the_end_grows",
            Needs::Fuse,
            &[Variant::SMALL_SECTORS, Variant::SMALL_UNCACHED],
            f11_a_last_page_that_was_partly_past_the_end_grows,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// F11 and D11: st_size is the disk's size, also of files that were open when it grew; the new part
/// reads as zeros and can be written.
fn f11_open_files_see_the_new_size(variant: Variant) {
    let rig = variant.disk("1M");
    let files = [OFlags::empty(), OFlags::DIRECT].map(|flags| open_rw(rig.path(), flags));
    let mut expected = content(1, 1 << 20);
    write(&files[0], 0, &expected);
    assert_same("cached", &read(&files[0], 0, 1 << 20), &expected);
    for (round, size) in [2_u64 << 20, 5 << 20, 9 << 20].into_iter().enumerate() {
        let old = rig.size();
        assert_eq!(errno(files[0].write_at(&[1; 4096], old)), Errno::NOSPC);
        rig.mount.evsfs(&["disk", "extend", DiskRig::NAME, "--size", &size.to_string()]).ok();
        for file in &files {
            assert_eq!(file.metadata().unwrap().len(), size);
            assert_eq!(seek(file, SeekFrom::End(0)).unwrap(), size);
            let mut buffer = crate::support::files::AlignedBuffer::new(4096);
            assert_eq!(file.read_at(buffer.bytes(), size - 4096).unwrap(), 4096);
            assert_same("the new part", buffer.bytes(), &[0; 4096]);
            assert_eq!(file.read_at(buffer.bytes(), size).unwrap(), 0);
        }
        assert_eq!(rig.size(), size);
        let file = &files[round % 2];
        write(file, old, &content(2, 8192));
        write(file, size - 4096, &content(3, 4096));
        expected.resize(usize::try_from(size).unwrap(), 0);
        let at = usize::try_from(old).unwrap();
        expected[at..at + 8192].copy_from_slice(&content(2, 8192));
        let at = expected.len() - 4096;
        expected[at..].copy_from_slice(&content(3, 4096));
        assert_eq!(errno(file.write_at(&[1; 4096], size)), Errno::NOSPC);
    }
    assert_same("all of it", &read(&files[0], 0, expected.len()), &expected);
    drop(files);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 0, expected.len()), &expected);
}

/// F11 and D10: bytes that a mapping wrote past the old end never become the disk's.
fn f11_a_last_page_that_was_partly_past_the_end_grows(variant: Variant) {
    let size = (1 << 20) + 512;
    let rig = variant.disk(&size.to_string());
    let file = open_rw(rig.path(), OFlags::empty());
    let mut mapping = Mapping::shared(&file, (1 << 20) + 4096);
    mapping.write(1 << 20, &content(1, 4096));
    mapping.sync();
    let larger = (1 << 20) + 4096;
    rig.mount.evsfs(&["disk", "extend", DiskRig::NAME, "--size", &larger.to_string()]).ok();
    let mut expected = content(1, 512);
    expected.resize(4096, 0);
    drop(mapping);
    assert_same("the grown page", &read(&file, 1 << 20, 4096), &expected);
    write(&file, larger as u64 - 1, b"x");
    expected[4095] = b'x';
    assert_same("the grown page, written", &read(&file, 1 << 20, 4096), &expected);
    drop(file);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 1 << 20, 4096), &expected);
}
