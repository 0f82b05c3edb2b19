//! What a verb on a key or a detach would take away, told before it is done.

use super::failure::Outcome;
use super::object::Object;
use super::prompt::agrees;
use super::session::Session;
use super::{disk, key};
use crate::error::{Error, ErrorKind};
use serde_json::Value;

/// Names shown in a question; a key may have thousands of disks.
const SHOWN: usize = 12;

/// Asks a person before a key is disabled that disks depend on. Scripts are not asked: it can be
/// undone.
///
/// # Errors
/// `invalid` when the answer is not yes; what refuses to show the key.
pub(super) fn agree_to_disable(session: &mut Session<'_>, alias: &str) -> Outcome {
    if !session.asks() {
        return Ok(());
    }
    let key = session.call(&key::named("key.show", alias)?)?;
    let Some(disks) = disks_under(&key) else { return Ok(()) };
    let question = format!("Key {alias:?} has {disks}.\nDisable it?");
    if agrees(session.terminal, &question)? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "the answer was not yes")
        .remedy("answer y, or say --yes")
        .into())
}

/// Wants the key's alias typed before it is lost, and says what is lost with it.
///
/// # Errors
/// As [`Session::confirm`]; what refuses to show the key.
pub(super) fn confirm(session: &mut Session<'_>, loss: &str, alias: &str) -> Outcome {
    if !session.asks() {
        return session.confirm(loss, alias);
    }
    let key = session.call(&key::named("key.show", alias)?)?;
    match disks_under(&key) {
        Some(disks) => session.confirm(&format!("{loss}: it has {disks}"), alias),
        None => session.confirm(&format!("{loss}; it has none now"), alias),
    }
}

/// Asks a person before a disk is detached that could not be attached again; whether somebody was
/// asked and agreed. Scripts are not asked: detaching is how they end.
///
/// # Errors
/// `invalid` when the answer is not yes; what refuses to show the disk.
pub(super) fn agree_to_detach(session: &mut Session<'_>, name: &str) -> Outcome<bool> {
    if !session.asks() {
        return Ok(false);
    }
    let disk = session.call(&disk::named("disk.show", name)?)?;
    let Some(warning) = stays_detached(name, &disk).filter(|_| Object::of(&disk).is("attached"))
    else {
        return Ok(false);
    };
    if agrees(session.terminal, &format!("{warning}\nDetach it?"))? {
        return Ok(true);
    }
    Err(Error::new(ErrorKind::Invalid, "the answer was not yes")
        .remedy("answer y, or say --yes")
        .into())
}

/// Why a disk could not be attached (again), and what would help; `None` when its key is usable.
pub(super) fn stays_detached(name: &str, disk: &Value) -> Option<String> {
    let disk = Object::of(disk);
    let key = disk.text("key");
    let fix = match disk.text("key_state").as_str() {
        "disabled" => format!("evsfs key enable {key}"),
        "pending-deletion" => format!("evsfs key cancel-deletion {key}"),
        "pending-import" => format!("evsfs key import {key} --file FILE"),
        "damaged" => "evsfs check, while nothing is mounted".to_owned(),
        "gone" => {
            return Some(format!(
                "disk {name:?} cannot be attached again, ever: its key {key} is gone"
            ));
        }
        _ => return None,
    };
    let state = disk.text("key_state");
    Some(format!("disk {name:?} cannot be attached again: key {key:?} is {state}; fix: {fix}"))
}

/// `3 disks, 1 attached: db (attached), logs, web. Attached disks go on until detached`; `None`
/// when there are none.
pub(super) fn disks_under(key: &Value) -> Option<String> {
    match (attachable_under(key), backups_under(key)) {
        (Some(disks), Some(backups)) => Some(format!("{disks}; and {backups}")),
        (disks, backups) => disks.or(backups),
    }
}

/// `2 backups: monday, tuesday`; `None` when there are none.
fn backups_under(key: &Value) -> Option<String> {
    let key = Object::of(key);
    let list = key.get("backups").and_then(Value::as_array);
    let names: Vec<&str> = list.into_iter().flatten().filter_map(Value::as_str).collect();
    let foreign = key.get("foreign_backups").and_then(Value::as_u64).unwrap_or(0);
    copies_under(&names, foreign, "backup")
}

fn attachable_under(key: &Value) -> Option<String> {
    let key = Object::of(key);
    let names = |list: &str| -> Vec<&str> {
        let list = key.get(list).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (disks, attached) = (names("disks"), names("attached_disks"));
    let number = |name: &str| key.get(name).and_then(Value::as_u64).unwrap_or(0);
    let foreign = number("foreign_disks");
    let images = copies_under(&names("images"), number("foreign_images"), "image");
    if disks.is_empty() && foreign == 0 {
        return images;
    }
    let mut text = format!("{}, {} attached", counted(disks.len() as u64, "disk"), attached.len());
    let is_attached = |name: &str| attached.binary_search(&name).is_ok();
    // Attached ones first: they are the ones in use.
    let (first, then): (Vec<&str>, Vec<&str>) = disks.iter().partition(|name| is_attached(name));
    let shown: Vec<String> = first
        .iter()
        .map(|name| format!("{name} (attached)"))
        .chain(then.iter().map(|name| (*name).to_owned()))
        .take(SHOWN)
        .collect();
    if !shown.is_empty() {
        text.push_str(&format!(": {}", shown.join(", ")));
    }
    if disks.len() > SHOWN {
        text.push_str(&format!(" and {} more", disks.len() - SHOWN));
    }
    if foreign > 0 {
        text.push_str(&format!("; and {} of other owners", counted(foreign, "disk")));
    }
    if let Some(images) = images {
        text.push_str(&format!("; and {images}"));
    }
    if !attached.is_empty() {
        text.push_str(". Attached disks go on until detached");
    }
    Some(text)
}

/// `2 images: base, web`; `None` when there are none.
fn copies_under(names: &[&str], foreign: u64, noun: &str) -> Option<String> {
    if names.is_empty() {
        return (foreign > 0).then(|| format!("{} of other owners", counted(foreign, noun)));
    }
    let shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    let mut text = format!("{}: {}", counted(names.len() as u64, noun), shown.join(", "));
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    if foreign > 0 {
        text.push_str(&format!(", and {} of other owners", counted(foreign, noun)));
    }
    Some(text)
}

pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_disks_under_a_key_are_counted_and_named_attached_ones_first() {
        let key = json!({ "disks": ["a", "db", "web"], "attached_disks": ["db"] });
        assert_eq!(
            disks_under(&key).unwrap(),
            "3 disks, 1 attached: db (attached), a, web. Attached disks go on until detached"
        );
        let key = json!({ "disks": ["a"], "attached_disks": [], "foreign_disks": 2 });
        assert_eq!(
            disks_under(&key).unwrap(),
            "1 disk, 0 attached: a; and 2 disks of other owners"
        );
        let many: Vec<String> = (10..40).map(|at| format!("d{at}")).collect();
        let text = disks_under(&json!({ "disks": many, "attached_disks": ["d39"] })).unwrap();
        assert!(text.starts_with("30 disks, 1 attached: d39 (attached), d10, "), "{text}");
        assert!(text.contains("d20 and 18 more."), "{text}");
        assert_eq!(disks_under(&json!({ "disks": [], "attached_disks": [] })), None);
        assert_eq!(disks_under(&json!({})), None);
        let images = json!({ "disks": [], "images": ["base", "web"], "foreign_images": 1 });
        assert_eq!(
            disks_under(&images).unwrap(),
            "2 images: base, web, and 1 image of other owners"
        );
        let both = json!({ "disks": ["a"], "images": ["base"] });
        assert_eq!(disks_under(&both).unwrap(), "1 disk, 0 attached: a; and 1 image: base");
    }

    #[test]
    fn a_disk_whose_key_is_usable_or_that_has_none_is_no_loss() {
        for state in [json!("enabled"), Value::Null] {
            assert_eq!(stays_detached("db", &json!({ "key": "a", "key_state": state })), None);
        }
        for state in ["disabled", "pending-deletion", "pending-import", "gone"] {
            let warning = stays_detached("db", &json!({ "key": "a", "key_state": state })).unwrap();
            assert!(warning.starts_with("disk \"db\" cannot be attached again"), "{warning}");
        }
    }
}
