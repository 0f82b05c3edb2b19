//! Running programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where programs are looked for: also where administrators' are, which a user's `PATH` may lack.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The file of a program, if it is installed.
pub fn program_file(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path()).map(|place| place.join(name)).find(|file| file.is_file())
}

/// What a program printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The output of a program that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// The three lines of a refusal that must have ended with `code`.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Runs a program to its end; a signal gives the code 128 + its number.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    // With a name and a `PATH` of its own, `Command` copies this process to look for the program, and
    // with the memory of many tests that takes longer than most programs run.
    let file = program_file(program).unwrap_or_else(|| program.into());
    let output = Command::new(file)
        .arg0(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .env("PATH", search_path())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s));
    Output {
        code: code.unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
