//! The only door to keys.
