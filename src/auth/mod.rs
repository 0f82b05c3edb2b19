//! Who may do what (RULES section 5).
//!
//! A caller is the kernel's uid of a request. Roles come from the configuration; the uid that owns
//! the mount, and root, have every role. [`Authority::authorize`] is the one place where a
//! decision is made; it answers with a [`Permit`], which the verbs of the service demand.

mod agency;
mod authority;
mod caller;
mod permit;

pub use agency::{AGENCY_NAME, Agency, AgencyChange};
pub use authority::Authority;
pub use caller::Caller;
pub use permit::{Action, Permit};
