//! `mount.toml`, typed and then checked in one list of rules.
//!
//! Text becomes a `document` (the shape: unknown keys and wrong types are refused there), a
//! document becomes a [`Config`] by `rules` (the values, one after the other). Whatever is refused
//! names the file, the dotted key and the reason. A `Config` that exists has passed every rule; what
//! needs the machine (permissions of the state directory, whether a path exists) is for the daemon.
//!
//! Paths are compared as written, so `.` and `..` are refused in them; symbolic links are not
//! followed here.

mod document;
mod duration;
mod location;
mod mistake;
mod role;
mod rules;
mod settings;

#[cfg(test)]
pub(crate) fn keys() -> Vec<String> {
    document::keys()
}

pub use duration::parse_duration;
pub use location::locate;
pub use role::Role;
pub use settings::{
    CacheMode, Config, Defaults, HsmChoice, KernelChoice, KmsSettings, MountSettings,
    RootKeyProtection, User,
};
