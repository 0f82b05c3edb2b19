//! What README.md tells its reader to type gives what README.md shows, line by line.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use support::{Needs, run, trial};

/// Where the README's reader stands.
const PLACE: &str = "/root/tour";

fn main() -> std::process::ExitCode {
    support::run_trials(vec![
        trial("the_tour_typed_line_by_line_gives_what_the_readme_shows", Needs::Root, || {
            types_a_section("## Five-minute tour")
        }),
        trial(
            "an_hsm_used_line_by_line_gives_what_the_readme_shows",
            Needs::RootAnd(&["softhsm2-util", "pkcs11-tool"]),
            || types_a_section("## Use your HSM"),
        ),
        trial(
            "leaving_line_by_line_gives_what_the_readme_shows",
            Needs::RootAnd(&["cryptsetup", "nbdkit", "nbdcopy"]),
            || types_a_section("## Leave again"),
        ),
    ])
}

/// A typed line and what it shall print.
struct Step {
    typed: String,
    printed: String,
}

fn types_a_section(title: &str) {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let tour = readme.split(title).nth(1).unwrap();
    let steps = steps(tour.split("\n## ").next().unwrap());
    assert!(steps.len() > 10, "{title} has {} steps", steps.len());
    let place = Place::new();
    for step in &steps {
        let printed = normalised(&place.type_line(&step.typed));
        assert_eq!(printed, normalised(&step.printed), "$ {}", step.typed);
    }
}

fn steps(section: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in section.split("```console\n").skip(1) {
        for line in block.split("\n```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(typed), _) => {
                    steps.push(Step { typed: typed.to_owned(), printed: String::new() });
                }
                (None, Some(step)) => step.printed.push_str(&format!("{line}\n")),
                (None, None) => panic!("{line:?} is printed before anything is typed"),
            }
        }
    }
    steps
}

/// Process ids, ids of disks and times differ from run to run.
fn normalised(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut after_pid = false;
        for word in line.split(' ') {
            let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
            words.push(match () {
                () if after_pid => word.replace(digits, "PID"),
                () if is_date(word) => "DATE".to_owned(),
                () if is_time(word) => "TIME".to_owned(),
                () if word.contains("/disks/") => without_ids(word),
                () => word.to_owned(),
            });
            after_pid = word == "pid" || word == "(pid";
        }
        words.push("\n".to_owned());
    }
    words.join(" ")
}

fn without_ids(path: &str) -> String {
    let is_id = |part: &&str| part.len() == 36 && part.split('-').count() == 5;
    let parts = path.split('/').map(|part| if is_id(&part) { "ID" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.split('-').filter(|part| part.parse::<u32>().is_ok()).count() == 3
}

fn is_time(word: &str) -> bool {
    word.len() == 5 && word.split(':').filter(|part| part.parse::<u32>().is_ok()).count() == 2
}

/// The directory the tour is typed in; what it leaves is cleaned up, also on failure.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::Builder::new().prefix("evsfs-tour-").tempdir().unwrap();
        let tokens = directory.path().join(".tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = format!("directories.tokendir = {}\n", tokens.display());
        std::fs::write(directory.path().join(".softhsm2.conf"), conf).unwrap();
        Place { directory }
    }

    /// What a terminal would show.
    fn type_line(&self, line: &str) -> String {
        let here = self.directory.path().to_str().unwrap();
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_evsfs")).parent().unwrap();
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
        self.type_line("umount files 2>/dev/null; evsfs umount mnt --force --yes >/dev/null 2>&1");
    }
}
