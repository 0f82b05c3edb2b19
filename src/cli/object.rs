//! An object of the daemon's answer, read with forgiveness.
//!
//! A newer daemon may say more than this program knows and an older one less; neither is a reason
//! to fail, so values are looked up by name and a missing one is empty.

use crate::units::ByteLen;
use serde_json::{Map, Value};

/// One disk, key or other object of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    members: Option<&'a Map<String, Value>>,
}

impl<'a> Object<'a> {
    /// The object, or one without members for any other value.
    pub fn of(value: &'a Value) -> Self {
        Object { members: value.as_object() }
    }

    /// The objects of a list.
    pub fn list(value: &'a Value) -> impl Iterator<Item = Object<'a>> {
        value.as_array().into_iter().flatten().map(Object::of)
    }

    /// A member as it is.
    pub fn get(self, key: &str) -> Option<&'a Value> {
        self.members?.get(key)
    }

    /// A member as people read it; sizes, times and booleans are recognised by their key or type.
    pub fn text(self, key: &str) -> String {
        match self.get(key) {
            Some(value) => shown(key, value),
            None => String::new(),
        }
    }

    /// Whether a boolean member is true.
    pub fn is(self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The number of entries of a list member.
    pub fn count(self, key: &str) -> usize {
        self.get(key).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// All members as `name: value` facts under the names of the control directory's files: those
    /// in `order` first, then whatever else there is.
    pub fn facts(self, order: &[&'a str]) -> Vec<(String, String)> {
        let known = order.iter().copied().filter(|key| self.get(key).is_some());
        let others = self
            .members
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .filter(|key| !order.contains(key));
        known.chain(others).map(|key| (key.replace('_', "-"), self.text(key))).collect()
    }
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(bytes) if key == "size" => ByteLen::new(bytes).to_string(),
            _ => number.to_string(),
        },
        Value::String(text) => minute(text).unwrap_or_else(|| text.clone()),
        Value::Array(values) => {
            values.iter().map(|value| shown("", value)).collect::<Vec<_>>().join(", ")
        }
        Value::Object(_) => value.to_string(),
    }
}

/// A time of RFC 3339 as `2026-11-24 10:00` in UTC, or `None` for any other text.
fn minute(text: &str) -> Option<String> {
    // A name may be made of digits and dashes too; only a full timestamp has a `T` and a colon.
    let looks_like_time = text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T');
    let time = looks_like_time.then(|| text.parse::<jiff::Timestamp>().ok()).flatten()?;
    Some(time.strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::Object;
    use serde_json::json;

    #[test]
    fn values_are_shown_as_people_write_them() {
        let value = json!({
            "name": "db", "size": 10_737_418_240_u64, "sector_size": 4096, "encrypted": true,
            "attached": false, "created": "2026-11-24T10:00:31.5Z", "error": null,
            "disks": ["a", "b"],
        });
        let object = Object::of(&value);
        for (key, text) in [
            ("name", "db"),
            ("size", "10G"),
            ("sector_size", "4096"),
            ("encrypted", "yes"),
            ("attached", "no"),
            ("created", "2026-11-24 10:00"),
            ("error", ""),
            ("disks", "a, b"),
            ("missing", ""),
        ] {
            assert_eq!(object.text(key), text, "{key}");
        }
    }

    #[test]
    fn what_a_newer_daemon_adds_is_shown_behind_the_known_members() {
        let value = json!({"zone": "z", "name": "db", "key_state": "enabled", "id": "1"});
        let facts = Object::of(&value).facts(&["name", "size", "key_state"]);
        let names: Vec<&str> = facts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["name", "key-state", "zone", "id"]);
    }

    #[test]
    fn an_answer_of_another_shape_is_an_empty_object() {
        assert_eq!(Object::of(&json!([1])).text("name"), "");
        assert_eq!(Object::list(&json!({"a": 1})).count(), 0);
    }
}
