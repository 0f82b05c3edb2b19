//! The sentences have tests.

use crate::support::{Needs, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![trial("every_sentence_has_a_test", Needs::Nothing, every_sentence_has_a_test)]
}

/// Every numbered sentence of docs/SEMANTICS.md is named by a test, `fN_...` for FN and so on.
fn every_sentence_has_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/SEMANTICS.md")).unwrap();
    let mut tests = String::new();
    for directory in ["semantics", "disk_life", "verbs", "images", "backups", "exit_door", "watch"]
        .map(|name| format!("tests/{name}"))
    {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            tests.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let missing: Vec<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**"))
        .map(|(number, _)| number.to_lowercase())
        .filter(|number| number[1..].parse::<u32>().is_ok())
        .filter(|number| !tests.contains(&format!("fn {number}_")))
        .collect();
    assert!(missing.is_empty(), "sentences without a test: {missing:?}");
}
