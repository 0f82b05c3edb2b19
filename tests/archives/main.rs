//! The copy engines of `archive` against models: random disks and chains, damage, interruption.
#![allow(clippy::unwrap_used)]

mod busy;
mod damage;
mod interrupted;
mod model;
mod restore;
mod rig;
mod sources;
mod transfer;
