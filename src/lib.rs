//! evsfs presents encrypted virtual disks as files in a FUSE mount.
//!
//! # The stack
//!
//! A module talks to the modules under it and answers the modules over it by returning.
//! `tests/layering.rs` holds this table as data and fails on anything else; a change of the table
//! is a change of the design and is made in both places in one commit.
//!
//! | module | what it is | may import |
//! |---|---|---|
//! | [`error`] | one error type: kind, code, context, remedy, source | - |
//! | [`units`] | bytes, sectors and their checked arithmetic | error |
//! | [`id`] | identifiers and validated names | error |
//! | [`sync`] | locks, atomics and threads, the one place where a scheduler of tests stands in | - |
//! | [`measure`] | counts and durations that many threads add to | - |
//! | [`sys`] | locked memory, clocks, processes, signals: `libc` and `unsafe` live here | error units sync |
//! | [`config`] | `mount.toml`, typed and checked | error units id |
//! | [`crypto`] | data keys, sector ciphers, wrapping, sealed and plain buffers | error units id sys |
//! | [`records`] | small authenticated documents, replaced atomically | error id sync sys crypto |
//! | [`backing`] | where payloads lie: file, block device, memory, faulty, crashing | error units sync sys |
//! | [`kms`] | the only door to keys: states, versions, the HSM | error units id sync measure sys crypto records |
//! | [`auth`] | callers, roles, permits, the agency and the default encryption | error id sync config records |
//! | [`disk`] | an open disk: bytes in, sealed sectors out | error units id sync measure sys crypto backing |
//! | [`archive`] | copies of disks: written, chained, verified, merged, re-sealed, packed | error units id sync sys crypto records backing disk |
//! | [`service`] | commands, the catalogue, the life of a disk | all above |
//! | [`fs`] | names, inodes, handles, the control directory | error units id sync auth disk service |
//! | [`fuse`] | the kernel protocol | error units id sync sys fs |
//! | [`daemon`] | the parts put together, signals, shutdown | all above |
//! | [`bench`] | speed of the data plane on this machine | error units sys crypto backing disk |
//! | [`cli`] | arguments, plan, request, output | error units id config service daemon bench |
//!
//! Two rules make data flow one way: the data plane (`disk`, `backing`, `crypto`) knows no policy,
//! and the control plane (`service`) touches no sectors.
//!
//! [`bench`]: mod@bench

pub mod archive;
pub mod auth;
pub mod backing;
pub mod bench;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod daemon;
pub mod disk;
pub mod error;
pub mod fs;
pub mod fuse;
pub mod id;
pub mod kms;
pub mod measure;
pub mod records;
pub mod service;
pub mod sync;
pub mod sys;
pub mod units;
