//! Reads, writes and changes of space, which wait while their disk is suspended.

use super::parked::{Parked, Stake, Turn};
use super::translate::{errno, seek_errno};
use super::workers::Workers;
use crate::error::{Error, ErrorKind};
use crate::fs::{Allocation, HandleId, Namespace, Whence};
use crate::units::{ByteLen, ByteOffset};
use fuser::{Errno, ReplyData, ReplyEmpty, ReplyLseek, ReplyWrite};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Syncs, discards, and requests that have waited, carried out at the same time.
const SYNC_THREADS: usize = 8;

/// The way to the data of disks; a clone is the same one.
#[derive(Clone)]
pub(super) struct DiskIo {
    namespace: Arc<Namespace>,
    syncs: Workers,
    parked: Arc<Parked>,
}

/// The open file that a request is for, and the thread that asks, as this process sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub handle: HandleId,
    pub thread: u32,
}

/// Runs one request. A panic is caught here and logged; the reply, dropped unanswered, tells the
/// kernel EIO, and the mount lives.
pub(super) fn guarded(operation: &str, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        log::error!("event=panicked operation={operation} answer=EIO");
    }
}

pub(super) fn answer_empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

impl DiskIo {
    pub fn new(namespace: Arc<Namespace>) -> Self {
        DiskIo {
            parked: Arc::new(Parked::new(namespace.clone())),
            syncs: Workers::new("evsfs-sync", SYNC_THREADS),
            namespace,
        }
    }

    /// Ends the threads; requests that wait are not answered.
    pub fn close(&self) {
        self.parked.close();
        self.syncs.close();
    }

    /// Answers a read; gives the reply back when there is nothing to read yet.
    pub fn read(
        &self,
        asked: Asked,
        offset: ByteOffset,
        len: usize,
        reply: ReplyData,
    ) -> Option<ReplyData> {
        let mut reply = Some(reply);
        let read = self.namespace.read(asked.handle, offset, len, |bytes| {
            if let Some(reply) = reply.take() {
                reply.data(bytes);
            }
        });
        match (read, reply) {
            (Err(error), Some(reply)) if must_wait(&error) => {
                self.park(asked, Stake::EndsWithIt, reply, ReplyData::error, move |io, reply| {
                    if let Some(reply) = io.read(asked, offset, len, reply) {
                        reply.error(Errno::EAGAIN);
                    }
                });
                None
            }
            (Err(error), Some(reply)) => {
                log::debug!("event=read-failed error=\"{error}\"");
                reply.error(errno(&error));
                None
            }
            (Ok(None), reply) => reply,
            (_, None) | (Ok(Some(())), _) => None,
        }
    }

    /// Answers a write, made durable first if `sync`; gives the reply back when it is a command.
    pub fn write(
        &self,
        asked: Asked,
        offset: ByteOffset,
        data: &[u8],
        sync: bool,
        reply: ReplyWrite,
    ) -> Option<ReplyWrite> {
        match self.namespace.write_data(asked.handle, offset, data) {
            Ok(Some(written)) if sync => {
                self.sync_then(asked.handle, move |synced| match synced {
                    Ok(()) => reply.written(written_u32(written)),
                    Err(errno) => reply.error(errno),
                });
            }
            Ok(Some(written)) => reply.written(written_u32(written)),
            Ok(None) => return Some(reply),
            Err(error) if must_wait(&error) => {
                let data = Zeroizing::new(data.to_vec());
                self.park(asked, Stake::OutlivesIt, reply, ReplyWrite::error, move |io, reply| {
                    if let Some(reply) = io.write(asked, offset, &data, sync, reply) {
                        reply.error(Errno::EINVAL);
                    }
                });
            }
            Err(error) => {
                log::debug!("event=write-failed error=\"{error}\"");
                reply.error(errno(&error));
            }
        }
        None
    }

    /// Makes an open file durable on a worker, and tells how that went.
    pub fn sync_then(
        &self,
        handle: HandleId,
        answer: impl FnOnce(Result<(), Errno>) + Send + 'static,
    ) {
        let namespace = self.namespace.clone();
        self.syncs.submit(move || {
            guarded("fsync", || {
                answer(namespace.flush(handle).map_err(|error| {
                    log::error!("event=fsync-failed error=\"{error}\"");
                    errno(&error)
                }));
            });
        });
    }

    /// Answers an fallocate from a worker.
    pub fn allocate(
        &self,
        asked: Asked,
        how: Allocation,
        offset: ByteOffset,
        len: ByteLen,
        reply: ReplyEmpty,
    ) {
        let io = self.clone();
        self.syncs.submit(move || {
            guarded("fallocate", || match io.namespace.allocate(asked.handle, how, offset, len) {
                Err(error) if must_wait(&error) => {
                    io.park(
                        asked,
                        Stake::OutlivesIt,
                        reply,
                        ReplyEmpty::error,
                        move |io, reply| {
                            io.allocate(asked, how, offset, len, reply);
                        },
                    );
                }
                done => answer_empty(reply, done.map_err(|error| errno(&error))),
            });
        });
    }

    /// Answers a seek.
    pub fn seek(&self, asked: Asked, whence: Whence, from: ByteOffset, reply: ReplyLseek) {
        match self.namespace.seek(asked.handle, whence, from) {
            Err(error) if must_wait(&error) => {
                self.park(asked, Stake::OutlivesIt, reply, ReplyLseek::error, move |io, reply| {
                    io.seek(asked, whence, from, reply);
                });
            }
            Err(error) => reply.error(seek_errno(&error)),
            Ok(at) => match i64::try_from(at.get()) {
                Ok(offset) => reply.offset(offset),
                Err(_) => reply.error(Errno::EOVERFLOW),
            },
        }
    }

    /// Keeps a request until its disk is resumed or detached, and then tries it `again` on a worker.
    fn park<R: Send + 'static>(
        &self,
        asked: Asked,
        stake: Stake,
        reply: R,
        refuse: fn(R, Errno),
        again: impl FnOnce(&DiskIo, R) + Send + 'static,
    ) {
        let io = self.clone();
        self.parked.add(asked.handle, asked.thread, stake, move |turn| match turn {
            Turn::GiveUp => refuse(reply, Errno::EINTR),
            Turn::TryAgain => {
                let syncs = io.syncs.clone();
                syncs.submit(move || guarded("request that waited", || again(&io, reply)));
            }
        });
    }
}

fn must_wait(error: &Error) -> bool {
    error.kind() == ErrorKind::Suspended
}

pub(super) fn written_u32(bytes: usize) -> u32 {
    // Never more than the request, whose length the protocol gives in 32 bits.
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
