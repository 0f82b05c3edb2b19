//! The one error type of the crate.
//!
//! A kind to act on, a code to look up, words for a person, a remedy to type, and the cause below.
//! Kinds become errno in one match and exit codes in another, both without a wildcard arm, so that
//! a new kind makes the compiler ask both questions (INTERFACE section 4).

mod code;
mod failure;
mod kind;
mod refusal;

pub use code::Code;
pub use failure::{Error, Result};
pub use kind::ErrorKind;
pub use refusal::Refusal;
