//! Looking at what may never answer.

use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// What `look` finds, or `None` when it takes too long; its thread is left behind then.
pub(super) fn within<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().spawn(move || tell.send(look())).ok()?;
    told.recv_timeout(patience).ok()
}

/// How a process ends, or `None` when it takes too long; it is killed then.
pub(super) fn ends_within(patience: Duration, child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_given_up() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let (_keep, never) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(20), move || never.recv().is_ok()), None);
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(ends_within(Duration::from_millis(50), &mut child), None);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(ends_within(Duration::from_secs(60), &mut child).unwrap().success());
    }
}
