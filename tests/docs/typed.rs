//! Sections of documents whose lines with `$` are typed, and what is printed compared.
//!
//! With `EVSFS_WRITE_DOCS=1` what is printed replaces what the document shows: for who writes them.

use crate::support::run;
use std::path::{Path, PathBuf};

/// Where the reader of the documents stands.
const PLACE: &str = "/root/tour";
const BLOCK: &str = "```console\n";

/// A typed line and what it shall print.
struct Step {
    typed: String,
    printed: String,
}

/// Types the lines of one section of a document, in an empty directory.
pub fn types_a_section(document: &str, title: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let heading = format!("\n{title}\n");
    let section = text.split(&heading).nth(1).unwrap_or_else(|| panic!("{document}: no {title}"));
    let section = section.split("\n## ").next().unwrap();
    let steps = steps(section);
    assert!(steps.len() > 3, "{document}, {title} has {} steps", steps.len());
    let place = Place::new();
    let is_written = std::env::var_os("EVSFS_WRITE_DOCS").is_some();
    let mut printed = Vec::new();
    for step in &steps {
        let output = place.type_line(&step.typed);
        if !is_written {
            assert_eq!(normalised(&output), normalised(&step.printed), "$ {}", step.typed);
        }
        printed.push(output);
    }
    if is_written {
        let now = rewritten(section, &printed);
        // Another section may have been written meanwhile.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(section, &now)).unwrap();
    }
}

/// The headings of the sections of a document that have lines to type.
pub fn typed_sections(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let sections = text.split("\n## ").skip(1).filter(|section| section.contains(BLOCK));
    sections.map(|section| format!("## {}", section.lines().next().unwrap())).collect()
}

fn steps(section: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in section.split(BLOCK).skip(1) {
        let mut continues = false;
        for line in block.split("\n```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(typed), _) => {
                    continues = typed.ends_with('\\');
                    steps.push(Step { typed: typed.to_owned(), printed: String::new() });
                }
                (None, Some(step)) if continues => {
                    continues = line.ends_with('\\');
                    step.typed.push_str(&format!("\n{line}"));
                }
                (None, Some(step)) => step.printed.push_str(&format!("{line}\n")),
                (None, None) => panic!("{line:?} is printed before anything is typed"),
            }
        }
    }
    steps
}

/// The section with these outputs in place of those it shows.
fn rewritten(section: &str, printed: &[String]) -> String {
    let mut printed = printed.iter();
    let mut written = String::new();
    let mut blocks = section.split(BLOCK);
    written.push_str(blocks.next().unwrap());
    for block in blocks {
        let (console, after) = block.split_once("\n```").unwrap();
        written.push_str(BLOCK);
        for step in steps(&format!("{BLOCK}{console}\n```")) {
            let now = printed.next().unwrap();
            // What differs in ids and times alone stays as it is.
            let is_same = normalised(now) == normalised(&step.printed);
            let shown = if is_same { step.printed } else { quieted(now) };
            written.push_str(&format!("$ {}\n{shown}", step.typed));
        }
        written.push_str(&format!("```{after}"));
    }
    written
}

/// Times and process ids as the documents show them, so that writing them again changes no line.
fn quieted(output: &str) -> String {
    let mut lines = String::new();
    for line in output.lines() {
        let mut words = Vec::new();
        let mut after_pid = false;
        for word in line.split(' ') {
            let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
            words.push(match () {
                () if after_pid => word.replace(digits, "4711"),
                () if is_date(word) => "2026-11-24".to_owned(),
                () if is_time(word) => "10:00".to_owned(),
                () => word.to_owned(),
            });
            after_pid = word == "pid" || word == "(pid";
        }
        lines.push_str(&format!("{}\n", words.join(" ").trim_end()));
    }
    lines
}

/// Process ids, ids of objects and times differ from run to run.
fn normalised(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut words = Vec::new();
        let mut after_pid = false;
        for word in line.split(' ') {
            let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
            words.push(match () {
                () if after_pid => word.replace(digits, "PID"),
                () if is_date(word) => "DATE".to_owned(),
                () if is_time(word) => "TIME".to_owned(),
                () => without_ids(word),
            });
            after_pid = word == "pid" || word == "(pid";
        }
        lines.push_str(&format!("{}\n", words.join(" ").trim_end()));
    }
    lines
}

/// A word, such as a path, with `ID` for each id in it.
fn without_ids(word: &str) -> String {
    let is_of_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    let is_id = |part: &&str| part.len() == 36 && part.split('-').count() == 5;
    let ids = word.split(|c| !is_of_id(c)).filter(is_id);
    ids.fold(word.to_owned(), |word, id| word.replace(id, "ID"))
}

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.split('-').filter(|part| part.parse::<u32>().is_ok()).count() == 3
}

fn is_time(word: &str) -> bool {
    word.len() == 5 && word.split(':').filter(|part| part.parse::<u32>().is_ok()).count() == 2
}

/// The directory a section is typed in; what it leaves is cleaned up, also on failure.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::Builder::new().prefix("evsfs-tour-").tempdir().unwrap();
        let place = Place { directory };
        // Sections about other users are typed by them, too.
        run("chmod", &["0755", place.path().to_str().unwrap()]).ok();
        let tokens = place.path().join(".tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = format!("directories.tokendir = {}\n", tokens.display());
        std::fs::write(place.path().join(".softhsm2.conf"), conf).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    /// What a terminal would show.
    fn type_line(&self, line: &str) -> String {
        let here = self.path();
        let here = here.to_str().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_evsfs")).parent().unwrap();
        // The only mount of the reader is not the only one of a machine that runs tests.
        let script = format!(
            "cd '{here}' && export EVSFS_MOUNT='{here}/mnt' SOFTHSM2_CONF='{here}/.softhsm2.conf' \
             PATH='{}':$PATH && {{ {line}\n}} 2>&1",
            program.display()
        );
        run("sh", &["-c", &script]).stdout.replace(here, PLACE)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.type_line(
            "umount files 2>/dev/null; for m in mnt mnt2; do \
             mountpoint -q $m && evsfs umount $m --force --yes >/dev/null 2>&1; done",
        );
    }
}
