//! Somebody who has verbs carried out one after the other, and remembers which were acknowledged.

use crate::support::Mount;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of a thing: its state when it was last acknowledged, and one that may have come
/// after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    acknowledged: String,
    under_way: Option<String>,
}

const GONE: &str = "gone";
const KEY: &str = "keys/toggled";
/// Verbs of the life of a disk, and of the key.
const LIFE: u64 = 8;

/// The clerk.
#[derive(Debug, Default)]
pub struct Clerk {
    things: BTreeMap<String, Known>,
    made: u64,
    acknowledged: u64,
}

impl Clerk {
    /// Makes the key that is enabled and disabled.
    #[track_caller]
    pub fn on(mount: &Mount) -> Clerk {
        mount.evsfs(&["key", "create", "toggled"]).ok();
        let mut clerk = Clerk::default();
        clerk.know(KEY, "enabled");
        clerk
    }

    fn know(&mut self, thing: &str, state: &str) {
        let known = Known { acknowledged: state.to_owned(), under_way: None };
        self.things.insert(thing.to_owned(), known);
    }

    /// Works until a verb fails or it is told to stop: the life of one disk after the other, and a
    /// key between them.
    pub fn work(&mut self, mount: &Mount, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let number = self.made;
            self.made += 1;
            let name = format!("c{}", number / LIFE);
            let (disk, size) = (format!("disks/{name}"), format!("sizes/{name}"));
            let create = format!("name={name} size=1M encrypted=no");
            let file = |verb: &str| format!("disks/{name}/{verb}");
            let is_done = match number % LIFE {
                0 => self.verb(
                    mount,
                    &[(&disk, "available"), (&size, "1048576")],
                    "disks/create",
                    &create,
                ),
                1 => self.verb(mount, &[(&size, "2097152")], &file("extend"), "2M"),
                2 => self.verb(mount, &[(&disk, "in-use")], &file("attach"), "rw"),
                3 => self.verb(mount, &[(&size, "3145728")], &file("extend"), "3M"),
                4 => self.verb(mount, &[(&disk, "available")], &file("detach"), "\n"),
                5 => self.verb(mount, &[(&disk, GONE), (&size, GONE)], &file("delete"), &name),
                6 => self.verb(mount, &[(KEY, "disabled")], "keys/toggled/disable", "\n"),
                _ => self.verb(mount, &[(KEY, "enabled")], "keys/toggled/enable", "\n"),
            };
            if !is_done {
                return;
            }
        }
    }

    /// Disables the key and enables it, so often that it ends as it was not when it began.
    #[track_caller]
    pub fn toggle(&mut self, mount: &Mount) {
        for (state, verb) in
            [("disabled", "disable"), ("enabled", "enable"), ("disabled", "disable")]
        {
            let file = format!("keys/toggled/{verb}");
            assert!(self.verb(mount, &[(KEY, state)], &file, "\n"), "{verb} failed");
        }
    }

    fn verb(&mut self, mount: &Mount, leads_to: &[(&str, &str)], file: &str, text: &str) -> bool {
        for (thing, state) in leads_to {
            let known = self.things.entry((*thing).to_owned());
            let nothing = || Known { acknowledged: GONE.to_owned(), under_way: None };
            known.or_insert_with(nothing).under_way = Some((*state).to_owned());
        }
        if mount.write_control(file, text).is_err() {
            return false;
        }
        self.acknowledged += 1;
        for (thing, state) in leads_to {
            self.know(thing, state);
        }
        true
    }

    /// Compares what there is with what was acknowledged; what is wrong. Then removes the
    /// disks and enables the key.
    #[track_caller]
    pub fn compare(&mut self, mount: &Mount) -> Vec<String> {
        let status = mount.json(&["status"]);
        let state_of = |thing: &str| -> String {
            let (kind, name) = thing.split_once('/').unwrap();
            let (list, name_field, field) = match kind {
                "keys" => ("keys", "alias", "state"),
                "sizes" => ("disks", "name", "size"),
                _ => ("disks", "name", "status"),
            };
            let objects = status[list].as_array().unwrap();
            let object = objects.iter().find(|object| object[name_field] == name);
            let value = object.map(|object| &object[field]);
            value.map_or(GONE.to_owned(), |value| value.to_string().trim_matches('"').to_owned())
        };
        let mut wrong = Vec::new();
        for (thing, known) in &mut self.things {
            let found = state_of(thing);
            if found != known.acknowledged && Some(&found) != known.under_way.as_ref() {
                wrong.push(format!("{thing} is {found}, not {known:?}"));
            }
            *known = Known { acknowledged: found, under_way: None };
        }
        // The next verb begins where the cut was made.
        self.made = self.made.next_multiple_of(LIFE);
        let disks: Vec<(String, Known)> =
            self.things.iter().map(|(thing, known)| (thing.clone(), known.clone())).collect();
        for (thing, known) in disks.iter().filter(|(thing, _)| thing.starts_with("disks/")) {
            if known.acknowledged == "in-use" {
                mount.write_control(&format!("{thing}/detach"), "\n").unwrap();
            }
            if known.acknowledged != GONE {
                let name = thing.trim_start_matches("disks/");
                mount.write_control(&format!("{thing}/delete"), name).unwrap();
            }
        }
        self.things.retain(|thing, _| thing == KEY);
        let key = &self.things[KEY];
        if key.acknowledged == "disabled" {
            mount.evsfs(&["key", "enable", "toggled"]).ok();
            self.know(KEY, "enabled");
        }
        wrong
    }

    /// How many verbs were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}
