//! The rules of keys as plain data: RULES K1 to K5, a clock, and nothing of the service.
//!
//! Every verb answers with the documented code of its refusal, `-` for a refusal without one, or
//! [`OK`], and then it has been carried out.

#![allow(dead_code, clippy::unwrap_used)]

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

pub const OK: &str = "ok";
pub const DEFAULT: &str = "evs/default";
/// The number of the material that is too short; every other number is 32 bytes of its own.
pub const SHORT: u8 = 31;
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The how-manieth key it is of those ever made.
    pub serial: u32,
    pub state: &'static str,
    pub external: bool,
    pub description: &'static str,
    pub deadline: Option<Timestamp>,
    pub version: u32,
    /// Interval and next date.
    pub rotation: Option<(u32, Timestamp)>,
    pub expires: Option<Timestamp>,
    has_material: bool,
    /// The material that was imported first.
    first: Option<u8>,
}

impl Key {
    fn give_material_up(&mut self) {
        if self.state != "pending-deletion" {
            self.state = "pending-import";
        }
        (self.expires, self.has_material) = (None, false);
    }
}

/// All keys, by alias.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    pub keys: BTreeMap<&'static str, Key>,
    made: u32,
    /// The latest moment the service has seen.
    seen: Option<Timestamp>,
    /// What a wall clock shows that is not believed.
    doubted: Option<Timestamp>,
}

impl Keys {
    /// The service reads the clock.
    pub fn look(&mut self, now: Timestamp) {
        self.seen = self.seen.max(Some(now));
    }

    /// The clock has been set forward to this; `None` when it is right again.
    pub fn doubt(&mut self, wall: Option<Timestamp>) {
        self.doubted = wall;
    }

    /// Destroys the keys whose deadline has passed, how many, and gives expired material up.
    pub fn sweep(&mut self) -> usize {
        let (seen, before) = (self.seen, self.keys.len());
        self.keys.retain(|_, key| key.deadline.is_none() || key.deadline > seen);
        for key in self.keys.values_mut() {
            if key.expires.is_some() && key.expires <= seen {
                key.give_material_up();
            }
        }
        before - self.keys.len()
    }

    /// Rotates by interval; how many keys.
    pub fn rotate_due(&mut self, now: Timestamp) -> usize {
        let (seen, start) = (self.seen, self.start(now));
        let mut rotated = 0;
        for key in self.keys.values_mut().filter(|key| key.state == "enabled") {
            if let Some((days, due)) = key.rotation
                && Some(due) <= seen
            {
                key.version += 1;
                key.rotation = Some((days, start + DAY * days));
                rotated += 1;
            }
        }
        rotated
    }

    /// The key of this number, if it is not gone.
    pub fn by_serial(&self, serial: u32) -> Option<(&'static str, &Key)> {
        self.keys.iter().find(|(_, key)| key.serial == serial).map(|(name, key)| (*name, key))
    }

    /// Whether a data key can be made or opened under the key of this number.
    pub fn usability(&self, serial: u32) -> &'static str {
        self.by_serial(serial).map_or("KMS.0207", |(name, _)| self.verdict(name, "use").0)
    }

    pub fn create(&mut self, name: &'static str, external: bool) -> &'static str {
        if name.starts_with("evs/") {
            return "KMS.1101";
        }
        if self.keys.contains_key(name) {
            return "KMS.1104";
        }
        if self.keys.keys().filter(|name| **name != DEFAULT).count() >= 100 {
            return "KMS.1105";
        }
        self.add(name, external);
        OK
    }

    /// The default key, made if it is not there.
    pub fn ensure_default(&mut self) -> u32 {
        if !self.keys.contains_key(DEFAULT) {
            self.add(DEFAULT, false);
            self.keys.get_mut(DEFAULT).unwrap().description =
                "made by EVS for disks without a key of their own";
        }
        self.keys[DEFAULT].serial
    }

    fn add(&mut self, name: &'static str, external: bool) {
        self.made += 1;
        let (state, version) = if external { ("pending-import", 0) } else { ("enabled", 1) };
        let key = Key {
            serial: self.made,
            state,
            external,
            description: "",
            deadline: None,
            version,
            rotation: None,
            expires: None,
            has_material: !external,
            first: None,
        };
        self.keys.insert(name, key);
    }

    /// `enable`, `disable` or `cancel`: verbs that do nothing but lead to another state.
    pub fn change(&mut self, name: &str, verb: &str) -> &'static str {
        let (code, next) = self.verdict(name, verb);
        if let (Some(next), Some(mut key)) = (next, self.look_at(name))
            && let Some(kept) = self.keys.get_mut(name)
        {
            key.state = next;
            key.deadline = None;
            *kept = key;
        }
        code
    }

    pub fn schedule(&mut self, name: &str, days: u32, now: Timestamp) -> &'static str {
        let (code, _) = self.verdict(name, "schedule");
        if code == OK {
            if !(7..=1096).contains(&days) {
                return "KMS.1401";
            }
            self.change(name, "schedule");
            let from = self.start(now);
            self.keys.get_mut(name).unwrap().deadline = Some(from + DAY * days);
        }
        code
    }

    /// Destroys a key whose deadline has passed by a clock that is in doubt (RULES K10).
    pub fn confirm(&mut self, name: &str) -> &'static str {
        let Some(key) = self.keys.get(name) else { return "KMS.0207" };
        match key.deadline {
            _ if name == DEFAULT => "KMS.0211",
            None => "KMS.1501",
            Some(date) if Some(date) > self.seen.max(self.doubted) => "-",
            Some(_) => {
                self.keys.remove(name);
                OK
            }
        }
    }

    pub fn rename(&mut self, name: &'static str, new: &'static str) -> &'static str {
        match self.verdict(name, "rename").0 {
            OK if new.starts_with("evs/") => "KMS.1101",
            OK if name != new && self.keys.contains_key(new) => "KMS.1104",
            OK => {
                let key = self.look_at(name).unwrap();
                self.keys.remove(name);
                self.keys.insert(new, key);
                OK
            }
            refused => refused,
        }
    }

    pub fn describe(&mut self, name: &str, text: &'static str) -> &'static str {
        let (code, _) = self.verdict(name, "describe");
        if code == OK {
            self.keys.get_mut(name).unwrap().description = text;
        }
        code
    }

    pub fn rotate(&mut self, name: &str, now: Timestamp) -> &'static str {
        let (code, _) = self.verdict(name, "rotate");
        if code == OK {
            let start = self.start(now);
            let key = self.keys.get_mut(name).unwrap();
            key.version += 1;
            key.rotation = key.rotation.map(|(days, _)| (days, start + DAY * days));
        }
        code
    }

    pub fn set_rotation(&mut self, name: &str, days: Option<u32>, now: Timestamp) -> &'static str {
        let start = self.start(now);
        match self.verdict(name, "rotation").0 {
            OK => {
                let key = self.keys.get_mut(name).unwrap();
                match (key.rotation, days) {
                    (Some(_), Some(_)) => "KMS.2901",
                    (None, None) => "KMS.0313",
                    (None, Some(days)) if !(30..=365).contains(&days) => "KMS.3001",
                    (_, days) => {
                        key.rotation = days.map(|days| (days, start + DAY * days));
                        OK
                    }
                }
            }
            refused => refused,
        }
    }

    pub fn import(
        &mut self,
        name: &str,
        material: u8,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> &'static str {
        let first = self.keys.get(name).and_then(|key| key.first);
        match self.verdict(name, "import").0 {
            OK if expires.is_some_and(|date| date <= self.start(now)) => "KMS.2602",
            OK if material == SHORT => "KMS.2604",
            OK if first.is_some_and(|first| first != material) => "KMS.2606",
            OK => {
                self.change(name, "import");
                let key = self.keys.get_mut(name).unwrap();
                (key.has_material, key.first, key.version) = (true, Some(material), 1);
                key.expires = expires;
                OK
            }
            refused => refused,
        }
    }

    pub fn delete_material(&mut self, name: &str) -> &'static str {
        let code = self.change(name, "delete-material");
        if code == OK {
            self.keys.get_mut(name).unwrap().give_material_up();
        }
        code
    }

    fn is_past(&self, key: &Key) -> bool {
        key.deadline.is_some() && key.deadline <= self.seen
    }

    /// The moment from which new dates are counted.
    fn start(&self, now: Timestamp) -> Timestamp {
        self.seen.max(Some(now)).unwrap()
    }

    /// The key as every verb sees it: a date that has passed counts, swept or not.
    fn look_at(&self, name: &str) -> Option<Key> {
        let mut key = self.keys.get(name).filter(|key| !self.is_past(key))?.clone();
        if key.expires.is_some() && key.expires <= self.seen {
            key.give_material_up();
        }
        Some(key)
    }

    /// The verdict on a verb, and the state it leads to.
    fn verdict(&self, name: &str, verb: &str) -> (&'static str, Option<&'static str>) {
        let Some(key) = self.look_at(name) else { return ("KMS.0207", None) };
        match (verb, key.external) {
            ("rotate" | "rotation", true) => return ("KMS.0312", None),
            ("import", false) => return ("KMS.0309", None),
            ("delete-material", false) => return ("KMS.2701", None),
            _ => {}
        }
        if name == DEFAULT && matches!(verb, "disable" | "schedule" | "rename" | "rotate") {
            return ("KMS.0211", None);
        }
        match (verb, key.state) {
            ("enable", "disabled") => (OK, Some("enabled")),
            ("enable", _) => ("KMS.1201", None),
            ("disable", "enabled") => (OK, Some("disabled")),
            ("disable", _) => ("KMS.1301", None),
            ("schedule", "pending-deletion") => ("KMS.1402", None),
            ("schedule", _) => (OK, Some("pending-deletion")),
            ("cancel", "pending-deletion") if !key.has_material => (OK, Some("pending-import")),
            ("cancel", "pending-deletion") => (OK, Some("disabled")),
            ("cancel", _) => ("KMS.1501", None),
            ("use", "enabled") if key.expires.is_some() && key.expires <= self.doubted => {
                ("KMS.1301", None)
            }
            ("use" | "rotate" | "rotation", "enabled") => (OK, None),
            ("use" | "rotate" | "rotation", "disabled") => ("KMS.0209", None),
            ("use" | "rotate" | "rotation", "pending-deletion") => ("KMS.0210", None),
            ("use" | "rotate" | "rotation", "pending-import") => ("KMS.1301", None),
            ("import", "pending-import") => (OK, Some("enabled")),
            ("import", _) => ("KMS.0310", None),
            ("delete-material", "enabled" | "disabled") => (OK, Some("pending-import")),
            ("delete-material", _) => ("KMS.2701", None),
            ("rename" | "describe", "pending-deletion") => ("KMS.0210", None),
            ("rename" | "describe", _) => (OK, None),
            other => panic!("{other:?}"),
        }
    }
}
