//! What documents refer to is there, and figures are those that were measured.

use crate::support::{Needs, trial};
use libtest_mimic::Trial;
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("every_link_of_a_document_leads_somewhere", Needs::Nothing, links),
        trial("the_readme_lists_every_document", Needs::Nothing, index),
        trial("the_comparison_has_only_figures_that_were_measured", Needs::Nothing, figures),
    ]
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let mut all: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    all.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    all
}

/// The headings of a document as anchors of links.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        heading.chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

fn links() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|a| a == anchor), "{}: {link}", document.display());
            }
        }
    }
}

fn index() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let index = readme.split("\n## Documents\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for document in documents().iter().filter(|path| path.parent() == Some(&root().join("docs"))) {
        let name = document.file_name().unwrap().to_str().unwrap();
        assert!(index.contains(&format!("](docs/{name})")), "{name} is not in README's index");
    }
}

/// Numbers with a unit of speed are copied from docs/PERFORMANCE.md.
fn figures() {
    let read = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let (comparison, measured) = (read("COMPARISON.md"), read("PERFORMANCE.md"));
    let mut found = 0;
    for row in comparison.lines().filter(|line| line.contains("GB/s") || line.contains("IOPS")) {
        for cell in row.split('|').map(str::trim).filter(|cell| is_figure(cell)) {
            let number = cell.trim_end_matches(" IOPS");
            assert!(measured.contains(&format!("| {number} |")), "{cell} was not measured: {row}");
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

fn is_figure(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_digit())
        && (cell.ends_with("GB/s") || cell.ends_with("IOPS"))
}
