//! Work done by several threads at once, taken and delivered in order.

use crate::error::{Error, Result};
use crate::sync::{Condvar, Mutex, thread};

/// Threads of one copy: enough for digests and ciphers to keep pace with the medium, few enough to
/// leave processors to the users of the disks.
const WORKERS: usize = 2;

/// Runs a copy in three stages until `take` has nothing more:
///
/// * `take` fetches the next piece into the worker's own memory, one worker at a time, in order;
/// * `work` does what takes time, several at once;
/// * `deliver` receives the results, one at a time, in the order in which they were taken, with the
///   memory they were made in.
///
/// Memory is one scratch a worker, however long the copy: who is early waits for its turn.
///
/// # Errors
/// The first error in that order, whichever stage it comes from; pieces before it were delivered,
/// none after it is.
pub(super) fn in_order<S, J, R: Send>(
    scratch: impl Fn() -> S + Sync,
    take: impl FnMut(&mut S) -> Result<Option<J>> + Send,
    work: impl Fn(&mut S, J) -> Result<R> + Sync,
    deliver: impl FnMut(&S, R) -> Result<()> + Send,
) -> Result<()> {
    let entry = Mutex::new(Entry { take, taken: 0, is_over: false });
    let exit = Mutex::new(Exit { deliver, turn: 0, end: None });
    let moved = Condvar::new();
    let worker = || {
        let _watch = Watch { exit: &exit, moved: &moved };
        let mut scratch = scratch();
        loop {
            // A statement of its own, so that the lock is free again while the piece is worked on.
            let taken = entry.lock().next(&mut scratch);
            let Some((ticket, piece)) = taken else { return };
            let result = piece.and_then(|piece| work(&mut scratch, piece));
            let mut exit = exit.lock();
            while exit.turn != ticket && exit.end.is_none() {
                moved.wait(&mut exit);
            }
            if exit.end.is_some() {
                return;
            }
            exit.pass(&scratch, result);
            moved.notify_all();
        }
    };
    thread::scope(|scope| {
        for _ in 1..WORKERS {
            scope.spawn(worker);
        }
        worker();
    });
    match exit.into_inner().end {
        Some(End::Failed(error)) => Err(error),
        // A panic of a worker goes on in the scope and does not come here.
        Some(End::Panicked) | None => Ok(()),
    }
}

struct Entry<T> {
    take: T,
    taken: u64,
    is_over: bool,
}

impl<T> Entry<T> {
    /// The next piece and its place in the order; an error of `take` is a piece too, the last.
    fn next<S, J>(&mut self, scratch: &mut S) -> Option<(u64, Result<J>)>
    where
        T: FnMut(&mut S) -> Result<Option<J>>,
    {
        if self.is_over {
            return None;
        }
        let piece = (self.take)(scratch).transpose();
        self.is_over = !matches!(piece, Some(Ok(_)));
        let ticket = self.taken;
        self.taken += 1;
        piece.map(|piece| (ticket, piece))
    }
}

struct Exit<D> {
    deliver: D,
    // The ticket that may be delivered next.
    turn: u64,
    end: Option<End>,
}

enum End {
    Failed(Error),
    Panicked,
}

impl<D> Exit<D> {
    fn pass<S, R>(&mut self, scratch: &S, result: Result<R>)
    where
        D: FnMut(&S, R) -> Result<()>,
    {
        match result.and_then(|result| (self.deliver)(scratch, result)) {
            Ok(()) => self.turn += 1,
            Err(error) => self.end = Some(End::Failed(error)),
        }
    }
}

/// Lets the others go when a worker panics, who would wait for its turn for ever.
struct Watch<'a, D> {
    exit: &'a Mutex<Exit<D>>,
    moved: &'a Condvar,
}

impl<D> Drop for Watch<'_, D> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.exit.lock().end.get_or_insert(End::Panicked);
            self.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::time::Duration;

    fn run(pieces: u64, fails_at: Option<u64>) -> (Result<()>, Vec<u64>) {
        let (mut next, mut delivered) = (0, Vec::new());
        let result = in_order(
            || (),
            |()| {
                next += 1;
                Ok((next <= pieces).then_some(next - 1))
            },
            |(), piece| {
                // The even ones are slow, so that the odd ones overtake them.
                std::thread::sleep(Duration::from_micros((1 - piece % 2) * 100));
                match Some(piece) == fails_at {
                    true => Err(Error::new(ErrorKind::Io, format!("piece {piece}"))),
                    false => Ok(piece),
                }
            },
            |(), piece| {
                delivered.push(piece);
                Ok(())
            },
        );
        (result, delivered)
    }

    #[test]
    fn results_come_in_the_order_in_which_pieces_were_taken() {
        for pieces in [0, 1, 2, 50] {
            let (result, delivered) = run(pieces, None);
            assert!(result.is_ok());
            assert_eq!(delivered, (0..pieces).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_before_the_first_error_is_delivered_and_nothing_after_it() {
        for at in 0..10 {
            let (result, delivered) = run(10, Some(at));
            assert_eq!(result.unwrap_err().message(), format!("piece {at}"));
            assert_eq!(delivered, (0..at).collect::<Vec<_>>());
        }
    }

    #[test]
    fn errors_of_taking_and_delivering_end_the_work_too() {
        let failed = || Error::new(ErrorKind::Io, "failed");
        let taking =
            in_order(|| (), |()| Err::<Option<()>, _>(failed()), |(), ()| Ok(()), |(), ()| Ok(()));
        assert_eq!(taking.unwrap_err().message(), "failed");
        let delivering =
            in_order(|| (), |()| Ok(Some(())), |(), ()| Ok(()), |(), ()| Err(failed()));
        assert_eq!(delivering.unwrap_err().message(), "failed");
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_reaches_the_caller_and_leaves_nobody_waiting() {
        let caller = std::thread::current().id();
        let _ = in_order(
            || (),
            |()| {
                std::thread::sleep(Duration::from_millis(1));
                Ok(Some(()))
            },
            |(), ()| match std::thread::current().id() == caller {
                true => Ok(()),
                false => panic!("on purpose"),
            },
            |(), ()| Ok(()),
        );
    }
}
