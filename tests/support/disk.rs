//! What mounts and disks vary in, and a mount with one attached disk.

use super::loop_device::LoopDevice;
use super::mount::{Mount, Setup};
use super::trials::{Needs, trial, trial_alone};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};

/// Whether a disk is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Encrypted,
    Unencrypted,
}

impl Kind {
    /// What tests use that are not about the difference.
    pub const USUAL: Kind = Kind::Encrypted;

    /// The option of `disk create`.
    pub fn option(self) -> &'static str {
        match self {
            Kind::Encrypted => "--encrypted",
            Kind::Unencrypted => "--unencrypted",
        }
    }
}

/// `cache` of mount.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    WriteBack,
    None,
}

impl Cache {
    fn word(self) -> &'static str {
        match self {
            Cache::WriteBack => "writeback",
            Cache::None => "none",
        }
    }
}

/// Where the payload lies, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// A file in the state directory.
    File,
    /// The same, with `direct_backing = true`.
    DirectFile,
    /// A block device with blocks of 4096 bytes, with `direct_backing = true`.
    DirectDevice,
}

/// One way to have a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    pub kind: Kind,
    pub cache: Cache,
    pub sector_size: usize,
    pub backing: Backing,
}

impl Variant {
    /// As a new user has it.
    pub const USUAL: Variant = Variant {
        kind: Kind::USUAL,
        cache: Cache::WriteBack,
        sector_size: 4096,
        backing: Backing::File,
    };
    /// Where the kernel caches nothing.
    pub const UNCACHED: Variant = Variant { cache: Cache::None, ..Variant::USUAL };
    /// With sectors that are smaller than pages.
    pub const SMALL_SECTORS: Variant = Variant { sector_size: 512, ..Variant::USUAL };
    /// Both at once.
    pub const SMALL_UNCACHED: Variant = Variant { cache: Cache::None, ..Variant::SMALL_SECTORS };
    /// Without a cipher.
    pub const UNENCRYPTED: Variant = Variant { kind: Kind::Unencrypted, ..Variant::USUAL };

    /// Past the page cache of the payload.
    pub const DIRECT: Variant = Variant { backing: Backing::DirectFile, ..Variant::USUAL };
    /// Sectors that are smaller than the blocks of the device they are written to directly.
    pub const SMALL_ON_DEVICE: Variant =
        Variant { backing: Backing::DirectDevice, ..Variant::SMALL_UNCACHED };

    /// Both caches, both sector sizes, without a cipher, and past the payload's page cache.
    pub const ALL: &[Variant] = &[
        Variant::USUAL,
        Variant::UNCACHED,
        Variant::SMALL_SECTORS,
        Variant::SMALL_UNCACHED,
        Variant::UNENCRYPTED,
        Variant::DIRECT,
    ];
    /// Both caches.
    pub const CACHES: &[Variant] = &[Variant::USUAL, Variant::UNCACHED];
    /// Both sector sizes.
    pub const SECTORS: &[Variant] = &[Variant::USUAL, Variant::SMALL_SECTORS];

    /// A mount of this kind with one attached disk, `db`.
    #[track_caller]
    pub fn disk(self, size: &str) -> DiskRig {
        let device = (self.backing == Backing::DirectDevice).then(ScratchDevice::new);
        let mut config = format!(
            "[mount]\ncache = \"{}\"\ndirect_backing = {}\n",
            self.cache.word(),
            self.backing != Backing::File
        );
        let sectors = self.sector_size.to_string();
        let mut options = vec![self.kind.option(), "--sector-size", &sectors];
        if let Some(device) = &device {
            config = format!("backing_dirs = [\"{}\"]\n{config}", device.path());
            options.extend(["--backing", device.path()]);
        }
        let mount = Setup::with(&config).mount();
        let path = mount.attached_disk(DiskRig::NAME, size, &options);
        DiskRig { mount, path, variant: self, _device: device }
    }

    fn named(self, trial: &str) -> String {
        format!("{trial}::{}", self.label())
    }

    fn needs(self, needs: Needs) -> Needs {
        match (self.backing, needs) {
            (Backing::DirectDevice, Needs::Fuse) => Needs::Root,
            _ => needs,
        }
    }

    fn label(self) -> String {
        let kind = match self.kind {
            Kind::Encrypted => "encrypted",
            Kind::Unencrypted => "unencrypted",
        };
        let backing = match self.backing {
            Backing::File => "",
            Backing::DirectFile => "_direct",
            Backing::DirectDevice => "_direct_on_4096",
        };
        format!("{kind}_{}_{}{backing}", self.cache.word(), self.sector_size)
    }
}

/// A trial for each variant, its label after the name.
pub fn trials_of(name: &str, needs: Needs, variants: &[Variant], body: fn(Variant)) -> Vec<Trial> {
    distinct(variants)
        .map(|variant| trial(&variant.named(name), variant.needs(needs), move || body(variant)))
        .collect()
}

/// As [`trials_of`], each in a process of its own: see [`trial_alone`].
pub fn trials_alone_of(
    name: &str,
    needs: Needs,
    variants: &[Variant],
    body: fn(Variant),
) -> Vec<Trial> {
    distinct(variants)
        .map(|variant| {
            trial_alone(&variant.named(name), variant.needs(needs), move || body(variant))
        })
        .collect()
}

fn distinct(variants: &[Variant]) -> impl Iterator<Item = Variant> {
    let is_first = |at: &usize| !variants[..*at].contains(&variants[*at]);
    (0..variants.len()).filter(is_first).map(|at| variants[at])
}

/// A mount with one attached disk.
pub struct DiskRig {
    pub mount: Mount,
    pub path: PathBuf,
    pub variant: Variant,
    // After the mount, which holds it.
    _device: Option<ScratchDevice>,
}

/// A block device with blocks of 4096 bytes.
struct ScratchDevice {
    device: LoopDevice,
    _directory: tempfile::TempDir,
}

impl ScratchDevice {
    /// More than any disk of these tests.
    const SIZE: u64 = 64 << 20;

    fn new() -> ScratchDevice {
        let directory = tempfile::tempdir().unwrap();
        let medium = directory.path().join("medium");
        std::fs::File::create(&medium).unwrap().set_len(ScratchDevice::SIZE).unwrap();
        let device = LoopDevice::over(&medium, &["--sector-size", "4096"]);
        ScratchDevice { device, _directory: directory }
    }

    fn path(&self) -> &str {
        self.device.path()
    }
}

impl DiskRig {
    /// The disk's name.
    pub const NAME: &'static str = "db";

    /// The disk's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as programs take it.
    pub fn path_str(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The size that stat(2) tells.
    #[track_caller]
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }

    /// Bytes really used, as stat(2) tells.
    #[track_caller]
    pub fn used(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&self.path).unwrap().blocks() * 512
    }

    /// Detaches and attaches: what is then read has come from the payload.
    #[track_caller]
    pub fn reattach(&self) {
        self.mount.evsfs(&["disk", "detach", Self::NAME, "--yes"]).ok();
        self.mount.evsfs(&["disk", "attach", Self::NAME]).ok();
    }

    /// One counter of `.evs/disks/db/io`.
    #[track_caller]
    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.mount.read_control("disks/db/io");
        let line = counters.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {counters}")).parse().unwrap()
    }
}
