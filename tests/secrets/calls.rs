//! System calls that a daemon is made to make, as by a fault in it: calls.c.

use crate::support::{Needs, run};
use std::path::PathBuf;

/// A program that makes calls in the threads of another one.
pub struct Calls {
    directory: tempfile::TempDir,
}

/// One call, in the words of calls.c.
pub struct Call(Vec<String>);

impl Call {
    pub fn open(path: &str) -> Call {
        Call::of(libc::SYS_openat, &[&libc::AT_FDCWD.to_string(), &format!("={path}"), "0"])
    }

    /// `arguments` are numbers, or texts behind `=`.
    pub fn of(number: i64, arguments: &[&str]) -> Call {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        Call(std::iter::once(number.to_string()).chain(arguments).collect())
    }
}

impl Calls {
    /// It knows the registers of x86-64, and is compiled when it is used.
    pub const NEEDS: Needs = match cfg!(target_arch = "x86_64") {
        true => Needs::RootAnd(&["gcc"]),
        false => Needs::RootAnd(&["a debugger of ours for this processor"]),
    };

    pub fn new() -> Calls {
        let calls = Calls { directory: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/secrets/calls.c");
        let program = calls.program();
        run("gcc", &["-Wall", "-Wextra", "-o", program.to_str().unwrap(), source]).ok();
        calls
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("calls")
    }

    /// What each thread of a daemon gets for the call: a number, or a negative errno.
    #[track_caller]
    pub fn in_every_thread(&self, pid: u32, call: &Call) -> Vec<i64> {
        let words = [&[pid.to_string()], &call.0[..]].concat();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run(self.program().to_str().unwrap(), &words).ok();
        let results: Vec<i64> = output.lines().map(|line| line.parse().unwrap()).collect();
        assert!(results.len() >= 5, "{output}");
        results
    }
}
