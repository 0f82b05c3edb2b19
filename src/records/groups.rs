//! What several ask for at the same time, done by one of them for all.
//!
//! Whoever comes while nobody works takes everything that waits and works on it; meanwhile others
//! wait together for the next group. So one synchronisation of a log serves all who came while the
//! one before it was under way.

use crate::sync::{Condvar, Mutex};
use std::sync::{Arc, OnceLock};

/// A queue of items of type `I`, each of which is told an outcome of type `O`. `S` is what one group
/// hands on to the next.
pub struct Groups<S, I, O> {
    // Protects the queue and the state; never held while somebody works.
    queue: Mutex<Queue<S, I, O>>,
    done: Condvar,
}

struct Queue<S, I, O> {
    state: S,
    waiting: Vec<(I, Arc<OnceLock<O>>)>,
    is_working: bool,
}

impl<S: Clone, I, O: Clone> Groups<S, I, O> {
    /// An empty queue.
    pub fn new(state: S) -> Self {
        let queue = Queue { state, waiting: Vec::new(), is_working: false };
        Groups { queue: Mutex::new(queue), done: Condvar::new() }
    }

    /// Adds an item, waits until it was worked on, and gives its outcome. When nobody works, `work`
    /// is called with the state, which it leaves as it shall be from then on, and all items that
    /// wait, whose outcomes it gives in their order. Should it panic, the others are told `given_up`.
    pub fn take_part(&self, item: I, given_up: O, work: impl FnOnce(&mut S, &[I]) -> Vec<O>) -> O {
        let told = Arc::new(OnceLock::new());
        let mut queue = self.queue.lock();
        queue.waiting.push((item, Arc::clone(&told)));
        loop {
            if let Some(told) = told.get() {
                return told.clone();
            }
            if !queue.is_working {
                break;
            }
            self.done.wait(&mut queue);
        }
        queue.is_working = true;
        let (items, owners): (Vec<I>, Vec<_>) =
            std::mem::take(&mut queue.waiting).into_iter().unzip();
        let state = queue.state.clone();
        drop(queue);
        let outcomes = Vec::new();
        let mut group = Group { groups: self, owners, state, outcomes, given_up: given_up.clone() };
        group.outcomes = work(&mut group.state, &items);
        drop(group);
        told.get().cloned().unwrap_or(given_up)
    }

    /// The state as the last group has left it.
    pub fn state(&self) -> S {
        self.queue.lock().state.clone()
    }

    /// How many items wait for the next group.
    pub fn waiting(&self) -> usize {
        self.queue.lock().waiting.len()
    }
}

/// A group that is worked on. Dropping it, also by a panic, tells the owners of its items and lets
/// the next group begin.
struct Group<'a, S: Clone, I, O: Clone> {
    groups: &'a Groups<S, I, O>,
    owners: Vec<Arc<OnceLock<O>>>,
    state: S,
    outcomes: Vec<O>,
    given_up: O,
}

impl<S: Clone, I, O: Clone> Drop for Group<'_, S, I, O> {
    fn drop(&mut self) {
        let mut queue = self.groups.queue.lock();
        queue.state = self.state.clone();
        queue.is_working = false;
        let mut outcomes = std::mem::take(&mut self.outcomes).into_iter();
        for owner in &self.owners {
            // Told once: an item is in one group only.
            drop(owner.set(outcomes.next().unwrap_or_else(|| self.given_up.clone())));
        }
        self.groups.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn those_who_come_meanwhile_are_one_group_and_each_gets_its_own_outcome() {
        let groups: Groups<u32, u32, u32> = Groups::new(0);
        let worked = AtomicUsize::new(0);
        let work = |sum: &mut u32, items: &[u32]| {
            if worked.fetch_add(1, Ordering::Relaxed) == 0 {
                while groups.waiting() < 15 {
                    std::thread::yield_now();
                }
            }
            *sum += items.iter().sum::<u32>();
            items.iter().map(|item| item * 2).collect()
        };
        std::thread::scope(|scope| {
            for item in 0..16 {
                let (groups, work) = (&groups, &work);
                scope.spawn(move || assert_eq!(groups.take_part(item, 99, work), item * 2));
            }
        });
        assert_eq!((worked.into_inner(), groups.state()), (2, 120));
    }

    #[test]
    fn a_panic_leaves_the_queue_usable() {
        let groups: Groups<(), (), bool> = Groups::new(());
        let panicking =
            std::panic::AssertUnwindSafe(|| groups.take_part((), false, |(), _| panic!()));
        assert!(std::panic::catch_unwind(panicking).is_err());
        assert!(groups.take_part((), false, |(), items| vec![true; items.len()]));
    }
}
