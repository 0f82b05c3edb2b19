//! Numbers that many threads add to and somebody looks at now and then.
//!
//! Adding takes no lock, no allocation and, as a rule, no cache line that another thread writes:
//! each [`Striped`] value lies in several copies, of which a thread keeps to one. Looking sums the
//! copies up, one number after the other while others go on, so what is seen may be a request apart.

mod distribution;
mod durations;
mod striped;

pub use distribution::{BOUNDS, BUCKETS, Distribution};
pub use durations::Durations;
pub use striped::Striped;
