//! A payload on a block device.

use super::contract::{Access, Backing, end_within, must_not_shrink};
use super::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A whole block device or partition, opened so that the kernel lets nobody mount it meanwhile.
///
/// A device does not say what was never written: before its first use as a payload the whole of it
/// must be discarded, and all of it counts as data and as used space.
pub struct BlockDeviceBacking {
    device: Descriptor,
    // The device's end as last asked; Release in set_len pairs with Acquire in len.
    len: AtomicU64,
}

impl BlockDeviceBacking {
    /// Opens a device.
    ///
    /// # Errors
    /// `in-use` when it is mounted, part of another device or held by another opener; `invalid`
    /// when it is no block device or its path has a symbolic link; `not-found`, `denied`, `io`.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        // Without O_CREAT, O_EXCL means something for block devices only: EBUSY when the device is
        // mounted or claimed (open(2)).
        let device = Descriptor::open(path, access, OFlags::EXCL, Mode::empty())?;
        if FileType::from_raw_mode(device.stat()?.st_mode) != FileType::BlockDevice {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("payload {} is not a block device", path.display()),
            ));
        }
        // O_EXCL keeps out mounts and device mapper; the lock keeps out our own kind, since two
        // exclusive openers of one device node may share a claim.
        device.lock()?;
        let len = device.end()?;
        Ok(BlockDeviceBacking { device, len: AtomicU64::new(len.get()) })
    }
}

impl BlockDeviceBacking {
    /// Reads and writes past the kernel's page cache from now on. Any offset and length is still
    /// served; what is not aligned to the device's blocks costs a read and a copy more.
    ///
    /// # Errors
    /// `unsupported` where the device has no direct I/O; it then goes on as before.
    pub fn bypass_page_cache(&mut self) -> Result<()> {
        let block = self.device.device_block()?;
        self.device.go_direct(self.len(), Some(block))
    }
}

impl Backing for BlockDeviceBacking {
    fn len(&self) -> ByteLen {
        ByteLen::new(self.len.load(Ordering::Acquire))
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        self.device.read_at(offset, into)
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        end_within(self.len(), offset, ByteLen::of(bytes))?;
        self.device.write_at(offset, bytes)
    }

    /// Asks for a hole, then for zeros made by the device, then writes them.
    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let end = end_within(self.len(), offset, len)?;
        if len == ByteLen::ZERO {
            return Ok(());
        }
        for way in [FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE] {
            if self.device.try_fallocate(way | FallocateFlags::KEEP_SIZE, offset, len)? {
                return Ok(());
            }
        }
        self.device.write_zeros(offset, end)
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        Ok((offset < self.len().end()).then_some(offset))
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let end = self.len().end();
        Ok((offset < end).then_some(end))
    }

    fn flush(&self) -> Result<()> {
        self.device.sync_data()
    }

    /// Never changes the device, but sees that it was grown from outside.
    fn set_len(&self, len: ByteLen) -> Result<()> {
        must_not_shrink(self.len(), len)?;
        let end = self.device.end()?;
        if len > end {
            let path = self.device.path().display();
            return Err(Error::new(
                ErrorKind::NoSpace,
                format!("device {path} of {end} has no room for {len}"),
            ));
        }
        self.len.fetch_max(end.get(), Ordering::AcqRel);
        Ok(())
    }

    fn allocated(&self) -> Result<ByteLen> {
        Ok(self.len())
    }
}

impl std::fmt::Debug for BlockDeviceBacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockDeviceBacking({}, {})", self.device.path().display(), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::conformance;
    use std::path::PathBuf;
    use std::process::Command;

    /// A loop device over a scratch file, detached when dropped.
    struct LoopDevice {
        path: PathBuf,
        _directory: tempfile::TempDir,
    }

    impl LoopDevice {
        fn attach(len: ByteLen, block: &str) -> Result<LoopDevice, String> {
            if !rustix::process::geteuid().is_root() {
                return Err("a loop device takes root".to_owned());
            }
            if !Path::new("/dev/loop-control").exists() {
                return Err("/dev/loop-control is missing".to_owned());
            }
            let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
            let file = directory.path().join("medium");
            std::fs::File::create(&file)
                .and_then(|file| file.set_len(len.get()))
                .map_err(|error| error.to_string())?;
            let output = Command::new("losetup")
                .args(["--find", "--show", "--nooverlap", "--sector-size", block])
                .arg(&file)
                .output()
                .map_err(|error| format!("losetup: {error}"))?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
            }
            let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
            Ok(LoopDevice { path, _directory: directory })
        }
    }

    impl Drop for LoopDevice {
        fn drop(&mut self) {
            let status = Command::new("losetup").arg("--detach").arg(&self.path).status();
            assert!(status.is_ok_and(|status| status.success()), "loop device leaked");
        }
    }

    #[test]
    fn a_block_device_keeps_the_contract_and_is_held_by_one_opener() {
        let device = match LoopDevice::attach(conformance::LEN, "512") {
            Ok(device) => device,
            Err(reason) => return println!("skipped: {reason}"),
        };
        let backing = BlockDeviceBacking::open(&device.path, Access::ReadWrite).unwrap();
        assert_eq!(backing.len(), conformance::LEN);
        let second = BlockDeviceBacking::open(&device.path, Access::ReadOnly).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::InUse);
        conformance::check_fixed(&backing);
        let beyond = backing.set_len(ByteLen::new(conformance::LEN.get() + 512)).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::NoSpace);
        drop(backing);
        BlockDeviceBacking::open(&device.path, Access::ReadOnly).unwrap();
    }

    /// With blocks of 4096 bytes, every request that is not aligned to them is patched into them.
    #[test]
    fn a_block_device_past_the_page_cache_keeps_the_contract() {
        for block in ["512", "4096"] {
            let device = match LoopDevice::attach(conformance::LEN, block) {
                Ok(device) => device,
                Err(reason) => return println!("skipped: {reason}"),
            };
            let mut backing = BlockDeviceBacking::open(&device.path, Access::ReadWrite).unwrap();
            backing.bypass_page_cache().unwrap();
            conformance::check_fixed(&backing);
        }
    }

    #[test]
    fn a_regular_file_is_not_taken_for_a_device() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("file");
        std::fs::write(&path, b"not a device").unwrap();
        let error = BlockDeviceBacking::open(&path, Access::ReadOnly).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
