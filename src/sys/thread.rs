//! What a thread asks of the kernel for itself.
#![allow(unsafe_code)]

use crate::error::{Error, Result};

/// The niceness of threads that give way, of 19.
const NICE: i32 = 10;
// From <linux/ioprio.h>, which the libc crate does not have: best effort, the lowest of its levels.
// Not the idle class: under steady load that would be served never.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_CLASS_BEST_EFFORT: libc::c_int = 2;
const IOPRIO_CLASS_SHIFT: libc::c_int = 13;
const IOPRIO_LOWEST: libc::c_int = 7;

/// Has this thread give way to others, for the processor as for disks, from now on.
///
/// # Errors
/// `io` when the kernel refuses one of the two; the other holds all the same.
pub fn yield_to_other_threads() -> Result<()> {
    // On Linux niceness belongs to a thread, and 0 is the calling one (setpriority(2), NOTES).
    let nice = rustix::process::setpriority_process(None, NICE);
    let priority = (IOPRIO_CLASS_BEST_EFFORT << IOPRIO_CLASS_SHIFT) | IOPRIO_LOWEST;
    // SAFETY: ioprio_set(2) takes plain integers and touches no memory of ours; 0 is the calling
    // thread.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) };
    if done != 0 {
        let cause = std::io::Error::last_os_error();
        return Err(Error::io("lowering a thread's I/O priority", cause));
    }
    nice.map_err(|cause| Error::io("lowering a thread's priority", cause.into()))
}

/// A thread that holds no descriptor of this process but stdin, stdout and stderr, for what waits on a
/// mount that this process itself serves. Such a wait cannot be killed, and a thread like any other
/// would, when the process is, keep `/dev/fuse` open and the mount waiting for good; this one
/// lets go of it first. `input` must own no descriptor.
///
/// # Errors
/// `io` when there is no other thread, or, from the thread, when it cannot be set apart.
pub fn spawn_apart<I, T>(
    name: &str,
    input: I,
    work: fn(I) -> T,
) -> Result<std::thread::JoinHandle<Result<T>>>
where
    I: Send + 'static,
    T: Send + 'static,
{
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || let_go_of_descriptors().map(|()| work(input)))
        .map_err(|cause| Error::io("starting a thread", cause))
}

fn let_go_of_descriptors() -> Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: close_range(2) takes plain integers. With this flag the thread gets a table of descriptors
    // of its own first, so that those of other threads stay open, and the caller's work owns none.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE)
    };
    match done {
        0 => Ok(()),
        _ => Err(Error::io("setting a thread apart", std::io::Error::last_os_error())),
    }
}

/// What becomes of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, or cannot be seen because it lives in another pid namespace (number 0).
    GoesOn,
    /// A signal is pending that ends its process: SIGKILL, or one that nobody handles.
    IsBeingKilled,
    /// It has ended.
    Ended,
}

/// What becomes of a thread, of whichever process.
pub fn fate_of_thread(thread: u32) -> Fate {
    if thread == 0 {
        return Fate::GoesOn;
    }
    match std::fs::read_to_string(format!("/proc/{thread}/status")) {
        Ok(status) if is_killed(&status) => Fate::IsBeingKilled,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Fate::Ended,
        Ok(_) | Err(_) => Fate::GoesOn,
    }
}

fn is_killed(status: &str) -> bool {
    // Signal N is bit N - 1 (proc_pid_status(5)). Those that do not end a process by default (signal(7)):
    // SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH.
    const HARMLESS: u64 = 0b111_1111 << 16 | 1 << 27;
    let set = |name| signals(status, name);
    let pending = set("SigPnd:") | set("ShdPnd:");
    pending & !(set("SigBlk:") | set("SigIgn:") | set("SigCgt:") | HARMLESS) != 0
}

/// Whether a thread, of whichever process, has a signal to attend to: one that is pending and neither
/// blocked nor ignored (proc_pid_status(5)). True also of a thread that cannot be seen, which has
/// ended or lives in another pid namespace: nobody can tell that it must not be disturbed.
pub fn has_pending_signal(thread: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status"));
    status.map_or(true, |status| attends(&status))
}

fn attends(status: &str) -> bool {
    let set = |name| signals(status, name);
    let pending = set("SigPnd:") | set("ShdPnd:");
    pending & !(set("SigBlk:") | set("SigIgn:")) != 0
}

fn signals(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_and_the_others_do_not() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let lowered = std::thread::spawn(|| {
            yield_to_other_threads().unwrap();
            rustix::process::getpriority_process(None).unwrap()
        });
        assert_eq!(lowered.join().unwrap(), NICE.max(before));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn a_pending_signal_counts_unless_it_is_blocked_or_ignored() {
        let status = |pending: &str, shared: &str, blocked: &str, ignored: &str| {
            attends(&format!(
                "Name:\tcat\nSigPnd:\t{pending}\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\n"
            ))
        };
        let (none, term) = ("0000000000000000", "0000000000004000");
        assert!(!status(none, none, term, none));
        assert!(status(term, none, none, none) && status(none, term, none, none));
        assert!(!status(none, term, term, none) && !status(none, term, none, term));
        assert!(!has_pending_signal(
            rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
        ));
        // Above the largest id that can be (pid_max).
        assert!(has_pending_signal(0) && has_pending_signal(u32::MAX));
    }

    #[test]
    fn a_thread_set_apart_holds_nothing_open_and_closes_nothing_of_others() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
        let is_open = |number: i32| {
            let thread = rustix::thread::gettid().as_raw_nonzero();
            std::fs::symlink_metadata(format!("/proc/self/task/{thread}/fd/{number}")).is_ok()
        };
        assert!(is_open(number));
        let apart = spawn_apart("apart", (number, is_open), |(number, is_open)| is_open(number));
        assert!(!apart.unwrap().join().unwrap().unwrap());
        rustix::io::write(&writer, b"x").unwrap();
        drop((reader, writer));
    }

    #[test]
    fn only_a_signal_that_ends_the_process_is_being_killed() {
        let status = |signal: u32, caught: u32| {
            let bit = |signal: u32| if signal == 0 { 0 } else { 1_u64 << (signal - 1) };
            format!("SigPnd:\t{:016x}\nSigCgt:\t{:016x}\n", bit(signal), bit(caught))
        };
        // SIGHUP, SIGINT, SIGKILL, SIGUSR1, SIGTERM, and one for real time.
        for signal in [1, 2, 9, 10, 15, 40] {
            assert!(is_killed(&status(signal, 0)), "{signal}");
            assert!(!is_killed(&status(signal, signal)), "{signal} is caught");
        }
        for signal in [17, 18, 19, 20, 21, 22, 23, 28] {
            assert!(!is_killed(&status(signal, 0)), "{signal}");
        }
        assert!(!is_killed(""));
        let me = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert_eq!((fate_of_thread(me), fate_of_thread(0)), (Fate::GoesOn, Fate::GoesOn));
        // Above the largest id that can be (pid_max).
        assert_eq!(fate_of_thread(u32::MAX), Fate::Ended);
    }
}
