//! `docs/SECURITY.md` and the tests it names.

use crate::support::{Needs, trial};
use libtest_mimic::Trial;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "every_test_that_the_security_document_names_exists",
        Needs::Nothing,
        every_test_that_the_security_document_names_exists,
    )]
}

fn every_test_that_the_security_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let mut sources = String::new();
    for directory in ["src", "tests"] {
        read_below(&root.join(directory), &mut sources);
    }
    let is_test = |word: &&str| {
        word.matches('_').count() >= 3
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let names: Vec<&str> = document.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(names.len() > 30, "only {} tests are named", names.len());
    let is_missing = |name: &&&str| {
        !sources.contains(&format!("fn {name}(")) && !sources.contains(&format!("\"{name}"))
    };
    let missing: Vec<&&str> = names.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

fn read_below(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_below(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
