//! Interrupting and failing system calls of a running process, by strace(1).

use crate::support::{is_running, run, wait_until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a tracer may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Calls that change what a restart finds. A kill before any other call leaves what the kill
/// before the next of these leaves. Not in it: `writev`, by which the answers to the kernel go.
pub const CHANGING_CALLS: &str = "open,openat,openat2,creat,write,pwrite64,fsync,fdatasync,rename,\
     renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,ftruncate,fallocate";

/// All calls but those by which threads wait and answer the kernel's requests.
pub const EVERY_CALL: &str = "!futex,read,readv,writev,poll,ppoll,epoll_wait,rt_sigtimedwait,\
     restart_syscall,clock_nanosleep,exit,exit_group";

/// One call that was seen: the `number`th of this name in its thread, from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub name: String,
    pub number: usize,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.number)
    }
}

/// What happens to the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// The process is killed before it makes the call.
    Kill,
    /// The call is not made and fails with this errno, by name.
    Fail(&'static str),
    /// The call is not made and reports success.
    Skip,
    /// The call is made after this many microseconds.
    Delay(u64),
}

impl Injection {
    fn clause(self) -> String {
        match self {
            Injection::Kill => "signal=SIGKILL".to_owned(),
            Injection::Fail(errno) => format!("error={errno}"),
            Injection::Skip => "retval=0".to_owned(),
            Injection::Delay(microseconds) => format!("delay_enter={microseconds}"),
        }
    }
}

/// A tracer at work on a process and its threads.
pub struct Strace {
    child: Child,
    traced: u32,
    log: PathBuf,
}

impl Strace {
    /// Injects at the calls that `calls` names; each thread's calls of each name are counted for
    /// themselves, and `when` is strace's: `3`, `3+`, `1..5`. Returns when every thread is traced.
    #[track_caller]
    pub fn attach(pid: u32, calls: &str, what: Injection, when: &str, log: &Path) -> Strace {
        Strace::attach_all(pid, &[(calls, what, when)], log)
    }

    /// Injects several things at a time.
    #[track_caller]
    pub fn attach_all(pid: u32, injections: &[(&str, Injection, &str)], log: &Path) -> Strace {
        Strace::over(pid, command(injections, log), log)
    }

    /// Only watches the calls that `calls` names; [`Strace::calls`] tells them.
    #[track_caller]
    pub fn watch(pid: u32, calls: &str, log: &Path) -> Strace {
        let mut command = command(&[], log);
        command.args(["-e", &format!("trace={calls}")]);
        Strace::over(pid, command, log)
    }

    #[track_caller]
    fn over(pid: u32, mut command: Command, log: &Path) -> Strace {
        let child = command
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tracer = Strace { child, traced: pid, log: log.to_owned() };
        wait_until("strace traces every thread", || is_traced(pid));
        tracer
    }

    /// Starts a program under injection; without any, the calls are watched. The program is the
    /// returned child itself, so that it can outlive its tracer, which is ended by [`let_go_of`].
    #[track_caller]
    pub fn start(
        calls: &str,
        injection: Option<(Injection, &str)>,
        log: &Path,
        environment: &[(&str, &Path)],
        program: &str,
        arguments: &[&str],
    ) -> Child {
        let mut command = match injection {
            Some((what, when)) => command(&[(calls, what, when)], log),
            None => {
                let mut command = command(&[], log);
                command.args(["-e", &format!("trace={calls}")]);
                command
            }
        };
        for (name, value) in environment {
            command.arg("-E").arg(format!("{name}={}", value.display()));
        }
        command.arg("-D").arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Lets the process go; whether anything was injected.
    pub fn end(mut self) -> bool {
        self.let_go();
        has_injected(&self.log)
    }

    /// Lets the process go; the calls it made, as [`calls_in`] tells them.
    pub fn calls(mut self) -> Vec<Call> {
        self.let_go();
        calls_in(&self.log)
    }

    fn let_go(&mut self) {
        // With all that it traces it ends by itself, when it has written how that ended.
        if is_running(self.traced) || !self.has_ended() {
            run("kill", &["-TERM", &self.child.id().to_string()]);
        }
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Waits for that. strace(1) can wait for ever for a thread that was killed before it had met it.
    fn has_ended(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has_ended = self.child.try_wait().unwrap().is_some();
            if has_ended || Instant::now() >= deadline {
                return has_ended;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Ends the tracer of a process, which goes on.
pub fn let_go_of(pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:\t"));
    if let Some(tracer) = tracer.filter(|tracer| *tracer != "0") {
        // It does not heed other signals when it is nobody's child.
        run("kill", &["-KILL", tracer]);
        wait_until("the tracer has let go", || !is_traced_at_all(pid));
    }
}

fn is_traced_at_all(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
}

/// The calls that a log tells of, in their order, each as often as the thread that made it most
/// often did.
pub fn calls_in(log: &Path) -> Vec<Call> {
    let mut counts = BTreeMap::new();
    let mut calls = Vec::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry((thread.to_owned(), name.to_owned())).or_insert(0);
        *count += 1;
        let call = Call { name: name.to_owned(), number: *count };
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    calls
}

/// Whether the log of a tracer tells of an injection.
pub fn has_injected(log: &Path) -> bool {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.contains("(INJECTED)") || log.contains("(DELAYED)") || log.contains("killed by SIGKILL")
}

fn command(injections: &[(&str, Injection, &str)], log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(log);
    if let [(first, ..), rest @ ..] = injections {
        let calls =
            rest.iter().fold(first.to_string(), |all, (calls, ..)| format!("{all},{calls}"));
        command.args(["-e", &format!("trace={calls}")]);
    }
    for (calls, what, when) in injections {
        command.args(["-e", &format!("inject={calls}:{}:when={when}", what.clause())]);
    }
    command
}

fn is_traced(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    tasks.flatten().all(|task| {
        // A thread that has just ended is no obstacle.
        std::fs::read_to_string(task.path().join("status"))
            .map_or(true, |status| !status.contains("TracerPid:\t0\n"))
    })
}
