//! Answers for what this file system does not do.

/// Methods of `fuser::Filesystem` that are refused on purpose: the library's defaults answer ENOSYS,
/// which the kernel takes as "never ask again".
///
/// - Names follow the disks: nobody makes, moves, links or removes them here (INTERFACE section 2).
/// - There are no extended attributes.
/// - File locks are kept by the kernel itself, since locks were not asked for.
/// - Ranges are copied by the kernel through reads and writes.
macro_rules! refused_operations {
    () => {
        fn getxattr(
            &self,
            _req: &fuser::Request,
            _i: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            _size: u32,
            reply: fuser::ReplyXattr,
        ) {
            reply.error(fuser::Errno::NO_XATTR);
        }

        fn listxattr(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            size: u32,
            reply: fuser::ReplyXattr,
        ) {
            if size == 0 {
                reply.size(0);
            } else {
                reply.data(&[]);
            }
        }

        fn setxattr(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            _value: &[u8],
            _flags: i32,
            _position: u32,
            reply: fuser::ReplyEmpty,
        ) {
            reply.error(fuser::Errno::EOPNOTSUPP);
        }

        fn removexattr(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            reply: fuser::ReplyEmpty,
        ) {
            reply.error(fuser::Errno::EOPNOTSUPP);
        }

        fn mknod(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            _mode: u32,
            _umask: u32,
            _rdev: u32,
            reply: fuser::ReplyEntry,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn mkdir(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            _mode: u32,
            _umask: u32,
            reply: fuser::ReplyEntry,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn create(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            _mode: u32,
            _umask: u32,
            _flags: i32,
            reply: fuser::ReplyCreate,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn symlink(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _link_name: &std::ffi::OsStr,
            _target: &std::path::Path,
            reply: fuser::ReplyEntry,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn link(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            _newparent: fuser::INodeNo,
            _newname: &std::ffi::OsStr,
            reply: fuser::ReplyEntry,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn unlink(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            reply: fuser::ReplyEmpty,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn rmdir(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            reply: fuser::ReplyEmpty,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn rename(
            &self,
            _req: &fuser::Request,
            _parent: fuser::INodeNo,
            _name: &std::ffi::OsStr,
            _newparent: fuser::INodeNo,
            _newname: &std::ffi::OsStr,
            _flags: fuser::RenameFlags,
            reply: fuser::ReplyEmpty,
        ) {
            reply.error(fuser::Errno::EPERM);
        }

        fn readlink(&self, _req: &fuser::Request, _ino: fuser::INodeNo, reply: fuser::ReplyData) {
            reply.error(fuser::Errno::EINVAL);
        }

        fn ioctl(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            _fh: fuser::FileHandle,
            _flags: fuser::IoctlFlags,
            _cmd: u32,
            _in_data: &[u8],
            _out_size: u32,
            reply: fuser::ReplyIoctl,
        ) {
            reply.error(fuser::Errno::ENOTTY);
        }

        fn bmap(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            _blocksize: u32,
            _idx: u64,
            reply: fuser::ReplyBmap,
        ) {
            reply.error(fuser::Errno::EINVAL);
        }

        fn getlk(
            &self,
            _req: &fuser::Request,
            _ino: fuser::INodeNo,
            _fh: fuser::FileHandle,
            _owner: fuser::LockOwner,
            _start: u64,
            _end: u64,
            _typ: i32,
            _pid: u32,
            reply: fuser::ReplyLock,
        ) {
            // Not asked for: the kernel keeps file locks itself.
            reply.error(fuser::Errno::ENOLCK);
        }

        fn copy_file_range(
            &self,
            _req: &fuser::Request,
            _ino_in: fuser::INodeNo,
            _fh_in: fuser::FileHandle,
            _offset_in: u64,
            _ino_out: fuser::INodeNo,
            _fh_out: fuser::FileHandle,
            _offset_out: u64,
            _len: u64,
            _flags: fuser::CopyFileRangeFlags,
            reply: fuser::ReplyWrite,
        ) {
            // The kernel then copies through reads and writes.
            reply.error(fuser::Errno::EOPNOTSUPP);
        }
    };
}

pub(super) use refused_operations;
