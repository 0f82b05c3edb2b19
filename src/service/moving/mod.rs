//! Disks that leave evsfs, and disks that come in from elsewhere (INTERFACE section 6).
//!
//! The payload is what other programs understand already, so leaving takes the data key alone, and a
//! payload that is there already comes in with its data key. Both are for who may change keys (RULES
//! A1) and stand in the audit log. Where never-written sectors must read as zeros elsewhere too, they
//! are sealed first.
//!
//! | file | noun |
//! |---|---|
//! | `data_key` | the data key, on its way out |
//! | `materialize` | never-written sectors, sealed |
//! | `import` | a disk made of what comes in |
//! | `upload` | its content, while it is written to `.evs/disks/NAME/data` |

mod data_key;
mod import;
mod materialize;
mod upload;

pub use upload::DiskUpload;
pub(super) use upload::Uploads;
