//! A program at a terminal, and a person who waits for each question before answering it.

use rustix::pty::OpenptFlags;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// What the person saw and how the program ended.
pub struct Seen {
    pub code: i32,
    pub stdout: String,
    /// Questions and notes, and what the terminal showed of the answers, which must be nothing.
    pub stderr: String,
    pub echoed: String,
}

/// Runs a program whose stdin is a terminal, answering each question in its turn.
pub fn at_a_terminal(program: &str, arguments: &[&str], dialogue: &[(&str, &str)]) -> Seen {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let keyboard = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&keyboard).unwrap();
    rustix::pty::unlockpt(&keyboard).unwrap();
    let name = rustix::pty::ptsname(&keyboard, Vec::new()).unwrap();
    let screen = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let before = rustix::termios::tcgetattr(&screen).unwrap().local_modes;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(screen.try_clone().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = File::from(keyboard);
    let (mut from, mut stderr) = (child.stderr.take().unwrap(), Vec::new());
    for (question, answer) in dialogue {
        let mut asked = String::new();
        while !asked.ends_with(question) {
            let mut byte = [0];
            let read = from.read(&mut byte).unwrap();
            assert!(read > 0, "{question:?} was not asked: {}", String::from_utf8_lossy(&stderr));
            stderr.push(byte[0]);
            asked.push(char::from(byte[0]));
        }
        keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    from.read_to_end(&mut stderr).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let code = child.wait().unwrap().code().unwrap();
    // The terminal is as it was.
    assert_eq!(rustix::termios::tcgetattr(&screen).unwrap().local_modes, before);
    rustix::io::ioctl_fionbio(&keyboard, true).unwrap();
    let mut echoed = Vec::new();
    let _ = keyboard.read_to_end(&mut echoed);
    Seen {
        code,
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        echoed: String::from_utf8_lossy(&echoed).into_owned(),
    }
}
