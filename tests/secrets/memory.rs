//! The memory of another process, as root sees it.

use super::needles::Needles;
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
// proc_pid_pagemap(5).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE_OR_SHARED: u64 = 1 << 61;

/// A mapping, from `/proc/PID/smaps`.
#[derive(Debug, Clone)]
pub struct Mapping {
    start: u64,
    end: u64,
    permissions: String,
    name: String,
    flags: String,
}

impl Mapping {
    /// Whether it is neither swapped (`lo`: locked) nor in core dumps (`dd`: do not dump).
    pub fn is_protected(&self) -> bool {
        let has = |flag: &str| self.flags.split(' ').any(|word| word == flag);
        has("lo") && has("dd")
    }

    /// Whether it is of memfd_secret(2), which nobody but the process can read.
    pub fn is_secret(&self) -> bool {
        self.name.starts_with("/secretmem")
    }

    fn is_written_by_the_process(&self) -> bool {
        self.permissions.as_bytes()[1] == b'w'
    }
}

/// A piece of a secret in memory.
#[derive(Debug, Clone)]
pub struct Find {
    pub label: String,
    pub mapping: Mapping,
    address: u64,
}

impl std::fmt::Display for Find {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mapping { permissions, name, flags, start, .. } = &self.mapping;
        let offset = self.address - start;
        write!(
            f,
            "{} at {:x} (+{offset:x} of {permissions} {name:?} {flags})",
            self.label, self.address
        )
    }
}

/// What a hunt came to.
#[derive(Debug, Default)]
pub struct Hunt {
    /// The finds, by address.
    pub finds: Vec<Find>,
    /// Bytes looked at.
    pub looked_at: u64,
    /// Mappings of memfd_secret(2), none of which could be read.
    pub secret_mappings: usize,
}

impl Hunt {
    /// The finds where keys may not be.
    pub fn leaks(&self) -> Vec<&Find> {
        self.finds.iter().filter(|find| !find.mapping.is_protected()).collect()
    }

    /// Fails, naming them, when there are leaks.
    #[track_caller]
    pub fn expect_no_leaks(&self, when: &str) {
        assert!(self.looked_at > 1 << 18, "{when}: only {} bytes could be read", self.looked_at);
        let leaks = self.leaks();
        let shown: Vec<String> = leaks.iter().take(20).map(ToString::to_string).collect();
        assert!(leaks.is_empty(), "{when}: {} pieces\n{}", leaks.len(), shown.join("\n"));
    }

    /// Whether some piece of this label was found.
    pub fn has_found(&self, label: &str) -> bool {
        self.finds.iter().any(|find| find.label.contains(label))
    }
}

/// Looks for the needles in all memory that the process has written to.
#[track_caller]
pub fn hunt(pid: u32, needles: &Needles) -> Hunt {
    assert!(!needles.is_empty(), "there is nothing to look for");
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).unwrap();
    let mut hunt = Hunt::default();
    for mapping in mappings(pid) {
        for (start, end) in present(&pagemap, &mapping) {
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            if memory.read_exact_at(&mut bytes, start).is_err() {
                // Else what is there would be missed: a page that went away meanwhile, or a device.
                let is_known = mapping.is_secret() || mapping.name.starts_with("[v");
                assert!(is_known, "unreadable: {mapping:?}");
                continue;
            }
            assert!(!mapping.is_secret(), "secret memory can be read: {mapping:?}");
            hunt.looked_at += end - start;
            hunt.finds.extend(needles.find_in(&bytes).into_iter().map(|(at, label)| Find {
                label: label.to_owned(),
                mapping: mapping.clone(),
                address: start + at as u64,
            }));
        }
        hunt.secret_mappings += usize::from(mapping.is_secret());
    }
    hunt
}

/// All that is in protected memory and can be read.
#[track_caller]
pub fn locked_bytes(pid: u32) -> Vec<u8> {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for mapping in mappings(pid).iter().filter(|mapping| mapping.is_protected()) {
        let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).unwrap()];
        if memory.read_exact_at(&mut bytes, mapping.start).is_ok() {
            all.extend(bytes);
        }
    }
    all
}

/// The mappings of a process.
#[track_caller]
pub fn mappings(pid: u32) -> Vec<Mapping> {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            mappings.last_mut().unwrap().flags = flags.trim().to_owned();
        } else if let Some((range, rest)) = line.split_once(' ')
            && let Some((start, end)) = range.split_once('-')
        {
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            mappings.push(Mapping {
                start: u64::from_str_radix(start, 16).unwrap(),
                end: u64::from_str_radix(end, 16).unwrap(),
                permissions: words[0].to_owned(),
                name: words.get(4..).unwrap_or_default().join(" "),
                flags: String::new(),
            });
        }
    }
    mappings
}

/// The ranges of pages in memory or in swap space, without those of files that the process cannot
/// have written to.
fn present(pagemap: &File, mapping: &Mapping) -> Vec<(u64, u64)> {
    let pages = (mapping.end - mapping.start) / PAGE;
    let mut entries = vec![0; usize::try_from(pages * 8).unwrap()];
    let mut filled = 0;
    // Short for what lies outside the address space of users, such as [vsyscall].
    while let Ok(read @ 1..) =
        pagemap.read_at(&mut entries[filled..], mapping.start / PAGE * 8 + filled as u64)
    {
        filled += read;
    }
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (page, entry) in (0..).zip(entries[..filled].as_chunks::<8>().0) {
        let entry = u64::from_le_bytes(*entry);
        let is_foreign = entry & FILE_OR_SHARED != 0 && !mapping.is_written_by_the_process();
        if entry & (PRESENT | SWAPPED) == 0 || is_foreign {
            continue;
        }
        let start = mapping.start + page * PAGE;
        match ranges.last_mut() {
            Some((_, end)) if *end == start => *end += PAGE,
            _ => ranges.push((start, start + PAGE)),
        }
    }
    ranges
}
