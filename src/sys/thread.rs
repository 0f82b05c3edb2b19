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

/// Whether a thread, of whichever process, has a signal to attend to: one that is pending and neither
/// blocked nor ignored (proc_pid_status(5)). True also of a thread that cannot be seen, which has
/// ended or lives in another pid namespace: nobody can tell that it must not be disturbed.
pub fn has_pending_signal(thread: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status"));
    status.map_or(true, |status| attends(&status))
}

fn attends(status: &str) -> bool {
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
    };
    let pending = set("SigPnd:") | set("ShdPnd:");
    pending & !(set("SigBlk:") | set("SigIgn:")) != 0
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
}
