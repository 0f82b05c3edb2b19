//! The kernel protocol.
