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
        clerk.know("keys/toggled", "enabled");
        clerk
    }

    fn know(&mut self, thing: &str, state: &str) {
        let known = Known { acknowledged: state.to_owned(), under_way: None };
        self.things.insert(thing.to_owned(), known);
    }

    /// Works until a verb fails or it is told to stop.
    pub fn work(&mut self, mount: &Mount, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let number = self.made;
            self.made += 1;
            let (disk, before) = (format!("c{number}"), format!("c{}", number.saturating_sub(1)));
            let is_done = match number % 4 {
                0 => {
                    let create = format!("name={disk} size=1M encrypted=no");
                    self.verb(mount, &format!("disks/{disk}"), "available", "disks/create", &create)
                }
                1 => {
                    let file = format!("disks/{before}/delete");
                    self.verb(mount, &format!("disks/{before}"), GONE, &file, &before)
                }
                2 => self.verb(mount, "keys/toggled", "disabled", "keys/toggled/disable", "\n"),
                _ => self.verb(mount, "keys/toggled", "enabled", "keys/toggled/enable", "\n"),
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
            assert!(self.verb(mount, "keys/toggled", state, &file, "\n"), "{verb} failed");
        }
    }

    fn verb(&mut self, mount: &Mount, thing: &str, leads_to: &str, file: &str, text: &str) -> bool {
        let known = self.things.entry(thing.to_owned());
        let known =
            known.or_insert_with(|| Known { acknowledged: GONE.to_owned(), under_way: None });
        known.under_way = Some(leads_to.to_owned());
        if mount.write_control(file, text).is_err() {
            return false;
        }
        self.acknowledged += 1;
        self.know(thing, leads_to);
        true
    }

    /// Compares what there is with what was acknowledged; what is wrong. Goes on from what there
    /// is.
    #[track_caller]
    pub fn compare(&mut self, mount: &Mount) -> Vec<String> {
        let status = mount.json(&["status"]);
        let state_of = |thing: &str| -> String {
            let (kind, name) = thing.split_once('/').unwrap();
            let (field, state) =
                if kind == "keys" { ("alias", "state") } else { ("name", "status") };
            let objects = status[kind].as_array().unwrap();
            let object = objects.iter().find(|object| object[field] == name);
            object.map_or(GONE, |object| object[state].as_str().unwrap()).to_owned()
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
        self.made = self.made.next_multiple_of(4);
        let key = &self.things["keys/toggled"];
        if key.acknowledged == "disabled" {
            mount.evsfs(&["key", "enable", "toggled"]).ok();
            self.know("keys/toggled", "enabled");
        }
        wrong
    }

    /// How many verbs were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}
