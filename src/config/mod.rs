//! `mount.toml`, typed and checked.
