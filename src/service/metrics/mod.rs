//! `.evs/metrics`: OpenMetrics text (version 1.0), made anew at each read for whoever reads.
//!
//! A caller finds the disks and jobs it may see (RULES A7), every key if it may see keys, and what the
//! KMS was asked for if it may read the audit log. Disks are labelled by name, keys by alias. Counters
//! of a disk begin with its attachment and go with it, which monitors take for a restart.
//!
//! All families are there always, also those without a sample, so that a page says what could be in it.

mod disks;
mod exposition;
mod keys;
mod kms;
mod page;
