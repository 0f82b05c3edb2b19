//! The only door to keys (RULES section 2): an embedded key management service.
//!
//! [`Kms`] keeps the project's master keys: their states, aliases and deadlines, each in an
//! authenticated record. Their material is in an [`Hsm`]: [`SoftHsm`] in software, [`Pkcs11Hsm`] in
//! a token. Data keys of disks are made, wrapped, inside the module; opened ones are handed out
//! as [`crate::crypto::Dk`], in locked memory, and only while their master key is enabled.
//!
//! ```text
//!   verbs of keys                   data keys         deletion, versions, imports
//!   key_service                     data_keys         deletion, rotation, import
//!        |                              |                       |
//!        +---- key_ring: records  ------+---- deadlines --------+---- hsm: material
//!                  |                              |                       |
//!              key, state                    clock_watch    soft_hsm over root_key; pkcs11_hsm
//! ```
//!
//! Everything that is asked for is recorded in the audit log, by `recording`, before it takes effect
//! (RULES K11); [`Kms::on_behalf_of`] says who asks.
//!
//! `pkcs11_hsm` is over `pkcs11_wrapping` (forms of a wrapped data key), `pkcs11_module` and
//! `pkcs11_token` (finding the token, sessions, the one login) and `pkcs11_patience` (calls that may
//! be slow).
//!
//! Before a key is used its record is read again: one that was edited, deleted or put back as it was
//! earlier since is refused by name, and nothing but that key with it.
//!
//! Not covered: somebody who can write the state directory can put all of it back as it was earlier,
//! and with it a disabled key from when it was enabled. Material that was destroyed in a token does
//! not come back by that.

mod audit_entry;
mod audit_log;
mod audit_move;
mod audit_verify;
mod audit_walk;
mod calls;
mod claims;
mod clock_watch;
mod damaged_key;
mod data_keys;
mod deadlines;
mod deletion;
mod hsm;
mod hsm_move;
mod import;
mod import_keys;
mod key;
mod key_ring;
mod key_service;
mod pkcs11_fault;
mod pkcs11_hsm;
mod pkcs11_module;
mod pkcs11_objects;
mod pkcs11_patience;
mod pkcs11_probe;
mod pkcs11_token;
mod pkcs11_wrapping;
mod recording;
mod root_key;
mod rotation;
mod soft_hsm;
mod state;
mod upload;

pub use audit_entry::{Actor, AuditEntry, AuditEvent};
pub use audit_move::{check_audit_to_move, is_audit, move_audit, record_acceptance};
pub use audit_verify::{AuditFault, AuditReport, verify_audit_offline};
pub use calls::{CallOutcome, KmsCalls};
pub use damaged_key::{DamagedKey, KeyFindings, examine_keys};
pub use deletion::DELETION_DAYS;
pub use hsm::{CmkVersion, Hsm};
pub use hsm_move::KeyMove;
pub use import_keys::ImportParameters;
pub use key::{KeyView, NewKey, Origin};
pub use key_service::Kms;
pub use pkcs11_hsm::{Pkcs11Hsm, Pkcs11Settings};
pub use pkcs11_probe::probe_pkcs11;
pub use pkcs11_token::PinSource;
pub use recording::Recording;
pub use root_key::RootKeyFile;
pub use rotation::{DEFAULT_ROTATION_DAYS, ROTATION_DAYS};
pub use soft_hsm::SoftHsm;
pub use state::{KeyState, Material, Operation, Outcome};
pub use upload::Upload;

#[cfg(test)]
mod fixture;
