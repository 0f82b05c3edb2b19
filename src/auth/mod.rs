//! Who may do what (RULES section 5).
//!
//! A caller is the kernel's uid of a request. Roles come from the configuration; the uid that owns
//! the mount, and root, have every role. [`Authority::authorize`] is the one place where a
//! decision is made; it answers with a [`Permit`], which the verbs of the service demand.
//! [`Project`] remembers what holds for all callers: the agency and the default encryption.

mod agency;
mod authority;
mod caller;
mod default_encryption;
mod permit;
mod project;

pub use agency::AGENCY_NAME;
pub use authority::Authority;
pub use caller::Caller;
pub use default_encryption::{DefaultEncryption, DefaultKey};
pub use permit::{Action, Permit};
pub use project::{Decision, Project};
