//! Families of master keys.

use super::exposition::{Exposition, Kind};
use crate::auth::{Action, Caller};
use crate::kms::{KeyState, KeyView};
use crate::service::{KeyInfo, Service};

/// Adds the families of keys, if the caller may see keys.
pub(super) fn add(page: &mut Exposition, service: &Service, caller: Caller) {
    let may_see = service.authority().allows(caller, Action::SeeKeys);
    let infos = if may_see { service.describe_keys(caller) } else { Vec::new() };
    let states: Vec<&str> =
        KeyState::ALL.iter().map(|state| state.name()).chain(["damaged"]).collect();
    let help = "The state of a key; damaged means that its record cannot be used.";
    let mut family = page.family("evsfs_key_state", Kind::StateSet, "", help);
    for key in &infos {
        family.states(&[("key", key.alias.as_str())], &states, key.state);
    }
    let help = "The newest version of a key.";
    let mut family = page.family("evsfs_key_version", Kind::Gauge, "", help);
    for key in &infos {
        family.gauge(&[("key", key.alias.as_str())], key.version);
    }
    let help = "Disks under a key, as far as the caller may count them.";
    let mut family = page.family("evsfs_key_disks", Kind::Gauge, "", help);
    for key in &infos {
        family.gauge(&[("key", key.alias.as_str())], disks_under(key));
    }
    let views = service.visible_keys(caller);
    let help = "When a key that is pending deletion will be destroyed, as Unix time.";
    let name = "evsfs_key_deletion_timestamp_seconds";
    add_dates(page, name, help, &views, |key| key.deletion_date);
    let help = "When imported material is given up, as Unix time.";
    let name = "evsfs_key_expiry_timestamp_seconds";
    add_dates(page, name, help, &views, |key| key.expiry_date);
    let help = "When the next rotation of a key is due, as Unix time.";
    let name = "evsfs_key_rotation_timestamp_seconds";
    add_dates(page, name, help, &views, |key| key.rotation_date);
}

fn disks_under(key: &KeyInfo) -> usize {
    key.disks.len() + key.foreign_disks.unwrap_or(0)
}

fn add_dates(
    page: &mut Exposition,
    name: &'static str,
    help: &str,
    keys: &[KeyView],
    date: impl Fn(&KeyView) -> Option<jiff::Timestamp>,
) {
    let mut family = page.family(name, Kind::Gauge, "seconds", help);
    for key in keys {
        if let Some(date) = date(key) {
            family.gauge(&[("key", key.alias.as_str())], date.as_second());
        }
    }
}
