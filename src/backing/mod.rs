//! Where payloads lie.
