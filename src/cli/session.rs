//! What a command works with: the daemon, the terminal, and where its answer goes.

use super::args::Global;
use super::client::{Transport, call};
use super::failure::{Failure, Outcome};
use super::prompt::{Terminal, confirm};
use super::request::Request;
use super::screen::Screen;
use crate::error::Error;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// The surroundings of one command.
pub(super) struct Session<'a> {
    pub global: &'a Global,
    pub daemon: &'a mut dyn Transport,
    pub terminal: &'a mut dyn Terminal,
    /// The answer, and nothing else.
    pub stdout: &'a mut dyn Write,
    /// Notes to the person.
    pub stderr: &'a mut dyn Write,
}

impl Session<'_> {
    /// Asks the daemon.
    pub fn call(&mut self, request: &Request) -> Outcome<Value> {
        call(self.daemon, request)
    }

    /// Where the daemon's mount is.
    pub fn mountpoint(&mut self) -> Outcome<PathBuf> {
        Ok(self.daemon.mountpoint()?)
    }

    /// Gives the answer: `value` as JSON for programs, or what `people` makes of it.
    pub fn answer(&mut self, value: &Value, people: impl FnOnce(&Value) -> String) -> Outcome {
        let text = if self.global.json { format!("{value:#}\n") } else { people(value) };
        self.print(&text)
    }

    /// Gives a part of an answer that has no end.
    pub fn print(&mut self, text: &str) -> Outcome {
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()).map_err(|cause| {
            match cause.kind() {
                std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
                _ => Error::io("writing the answer to stdout", cause).into(),
            }
        })
    }

    /// Whether the answer may be in colours.
    pub fn shows_colours(&self) -> bool {
        !self.global.json && Screen::has_colours()
    }

    /// Tells the person something that is not the answer.
    pub fn note(&mut self, text: &str) {
        // Nobody is left to be told that stderr cannot be written.
        let _ = writeln!(self.stderr, "{text}");
    }

    /// Whether there is somebody to ask who has not answered beforehand with `--yes`.
    pub fn asks(&self) -> bool {
        !self.global.yes && self.terminal.is_interactive()
    }

    /// As [`confirm`].
    pub fn confirm(&mut self, consequence: &str, name: &str) -> Outcome {
        confirm(self.terminal, self.global.yes, consequence, name)
    }
}
