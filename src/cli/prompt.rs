//! Questions to the person at the terminal.

use super::failure::Outcome;
use super::hidden_line;
use crate::daemon::SecretText;
use crate::error::{Error, ErrorKind, Result};
use std::io::{BufRead, IsTerminal, Write};

/// A place to ask a person.
pub(super) trait Terminal {
    /// Whether there is a person to ask.
    fn is_interactive(&self) -> bool;

    /// Whether a bar can be drawn on stderr.
    fn shows_bars(&self) -> bool {
        false
    }

    /// Shows `question` and returns the line that is typed, without its end; empty at the end of
    /// the input.
    ///
    /// # Errors
    /// `io` when the terminal fails.
    fn ask(&mut self, question: &str) -> Result<String>;

    /// Shows `question` and returns the line that is typed, which is not shown.
    ///
    /// # Errors
    /// `invalid` when nothing was typed, or Ctrl-C; `io` when the terminal fails.
    fn ask_secret(&mut self, question: &str) -> Result<SecretText>;
}

/// The terminal of this process: questions on stderr, answers from stdin.
#[derive(Debug)]
pub(super) struct ProcessTerminal;

impl Terminal for ProcessTerminal {
    fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    fn shows_bars(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        let failed = |cause| Error::io("asking on the terminal", cause);
        let mut stderr = std::io::stderr().lock();
        stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(failed)?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        Ok(line.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn ask_secret(&mut self, question: &str) -> Result<SecretText> {
        hidden_line::read(question)
    }
}

/// Lets a destructive command go on when the object's name is typed, or `--yes` was given.
///
/// # Errors
/// `invalid` when nobody can be asked, or something else was typed.
pub(super) fn confirm(
    terminal: &mut dyn Terminal,
    has_yes: bool,
    consequence: &str,
    name: &str,
) -> Outcome {
    if has_yes {
        return Ok(());
    }
    if !terminal.is_interactive() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{consequence}, and there is no terminal to ask on"),
        )
        .remedy("say --yes to go on without being asked")
        .into());
    }
    let typed = terminal.ask(&format!("{consequence}.\nType {name} to go on: "))?;
    if typed.trim() == name {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("{:?} was typed, not {name:?}", typed.trim()))
        .remedy(format!("type {name}, or say --yes"))
        .into())
}

/// Asks a question whose answer is no unless it is yes.
pub(super) fn agrees(terminal: &mut dyn Terminal, question: &str) -> Outcome<bool> {
    let typed = terminal.ask(&format!("{question} [y/N] "))?;
    Ok(matches!(typed.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
