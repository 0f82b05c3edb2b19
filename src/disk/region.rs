//! Guards of parts of a disk.
//!
//! A disk is cut into regions, and regions share a fixed number of stripes, each a lock. Whoever
//! reads holds the stripes of what it reads together with other readers; whoever changes anything,
//! be it whole sectors or a part of one, holds them alone. So a reader never sees a sector between
//! two states, which for a sealed sector would be neither of the two but noise, and reading,
//! patching and writing back a sector is one step.
//!
//! What the guards protect is lent by them: each stripe has a share in the value, and there is no
//! other way to it. Taking the shares back, stripe by stripe, therefore waits for whoever is at
//! work and leaves nobody able to start again, for good or until the value is lent anew.
//!
//! Order: stripes upwards, never two requests of one thread at once.

use super::region_map::REGION;
use super::span::{MAX_REQUEST, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::ops::Deref;
use std::sync::Arc;

/// Far more than there are requests in flight, and 32 KiB a disk; where tests decide who runs next,
/// few, so that requests meet.
const STRIPES: usize = if cfg!(feature = "schedules") { 4 } else { 512 };

/// The regions that a request of MAX_REQUEST bytes can touch: one more than fit, as it need not
/// start at a region's start.
const MOST: usize = MAX_REQUEST / REGION as usize + 1;

/// Nobody holds shares back.
const LENT: u8 = 0;
/// The shares are being taken back, or are, until they are lent anew.
const SUSPENDED: u8 = 1;
/// The shares are being taken back, or are, for good.
const REVOKED: u8 = 2;

/// A value lent region by region.
pub(super) struct Regions<T> {
    stripes: Box<[Stripe<T>]>,
    // For what concerns the whole and no sector: flush, growth, seeks.
    whole: Stripe<T>,
    // Set before the first share is taken back, so that nobody new queues up for the others, and
    // cleared after the last has been lent anew. The locks do the ordering; this makes refusals quick
    // and says why a share is missing. REVOKED is final.
    state: AtomicU8,
}

// A cache line each: neighbours are locked by different threads at the same time.
#[repr(align(64))]
struct Stripe<T>(RwLock<Option<Arc<T>>>);

/// The guards of some stripes. Dereferences to the value.
///
/// Invariant: the lowest guard's share is there. Shares are taken back upwards and lent anew
/// downwards, so the shares of the others are there too for as long as the lowest guard is held.
pub(super) struct Held<G> {
    lowest: G,
    few: [Option<G>; MOST - 1],
    many: Vec<G>,
}

/// May read sectors of its regions.
pub(super) type Shared<'a, T> = Held<RwLockReadGuard<'a, Option<Arc<T>>>>;

/// May read and change sectors of its regions.
pub(super) type Exclusive<'a, T> = Held<RwLockWriteGuard<'a, Option<Arc<T>>>>;

impl<T> Regions<T> {
    /// Lends `value` from now on.
    pub(super) fn new(value: T) -> Self {
        let value = Arc::new(value);
        let stripe = || Stripe(RwLock::new(Some(Arc::clone(&value))));
        Regions {
            stripes: std::iter::repeat_with(stripe).take(STRIPES).collect(),
            whole: stripe(),
            state: AtomicU8::new(LENT),
        }
    }

    /// Waits until nobody changes the span's regions.
    ///
    /// # Errors
    /// `detached` after [`revoke`](Self::revoke), `suspended` after [`suspend`](Self::suspend).
    pub(super) fn share(&self, span: Span) -> Result<Shared<'_, T>> {
        self.hold(span, |stripe| stripe.0.read())
    }

    /// Waits until nobody else is in the span's regions.
    ///
    /// # Errors
    /// As [`share`](Self::share).
    pub(super) fn exclude(&self, span: Span) -> Result<Exclusive<'_, T>> {
        self.hold(span, |stripe| stripe.0.write())
    }

    /// Waits until nobody changes anything: at one moment, no change of any sector is under way.
    ///
    /// # Errors
    /// As [`share`](Self::share).
    pub(super) fn share_all(&self) -> Result<Shared<'_, T>> {
        self.must_be_lent()?;
        let mut stripes = self.stripes.iter().map(|stripe| stripe.0.read());
        let mut held = self.with_lowest(stripes.next().expect("there are stripes"))?;
        held.many.extend(stripes);
        Ok(held)
    }

    /// Lends the value for what touches no sector.
    ///
    /// # Errors
    /// As [`share`](Self::share).
    pub(super) fn whole(&self) -> Result<Shared<'_, T>> {
        self.must_be_lent()?;
        self.with_lowest(self.whole.0.read())
    }

    /// Refuses everybody new at once and for good. What is at work goes on until
    /// [`revoke`](Self::revoke).
    pub(super) fn announce_revocation(&self) {
        self.state.store(REVOKED, Ordering::Release);
    }

    /// Takes the value back for good: refuses everybody new at once, waits for those at work, drops
    /// it.
    pub(super) fn revoke(&self) {
        self.announce_revocation();
        drop(self.take_back());
    }

    /// Takes the value back until it is [lent](Self::lend) anew: refuses everybody new at once and
    /// waits for those at work.
    ///
    /// # Errors
    /// `detached` after, or during, [`revoke`](Self::revoke).
    pub(super) fn suspend(&self) -> Result<T> {
        let begun =
            self.state.compare_exchange(LENT, SUSPENDED, Ordering::AcqRel, Ordering::Acquire);
        if begun.is_err() {
            return Err(self.why_not());
        }
        // Without it, a revocation has taken the last share, and the value with it.
        self.take_back().ok_or_else(detached)
    }

    /// Lends a value anew. One that was revoked meanwhile is dropped.
    pub(super) fn lend(&self, value: T) {
        let value = Arc::new(value);
        for stripe in std::iter::once(&self.whole).chain(self.stripes.iter().rev()) {
            *stripe.0.write() = Some(Arc::clone(&value));
        }
        drop(value);
        let lent =
            self.state.compare_exchange(SUSPENDED, LENT, Ordering::AcqRel, Ordering::Acquire);
        if lent.is_err() {
            drop(self.take_back());
        }
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.state.load(Ordering::Acquire) == REVOKED
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.state.load(Ordering::Acquire) == SUSPENDED
    }

    /// The value, if this call took the last share of it.
    fn take_back(&self) -> Option<T> {
        let mut value = None;
        for stripe in self.stripes.iter().chain([&self.whole]) {
            if let Some(share) = stripe.0.write().take() {
                value = Arc::into_inner(share);
            }
        }
        value
    }

    fn must_be_lent(&self) -> Result<()> {
        match self.state.load(Ordering::Acquire) {
            LENT => Ok(()),
            _ => Err(self.why_not()),
        }
    }

    fn why_not(&self) -> Error {
        match self.is_revoked() {
            true => detached(),
            false => Error::new(ErrorKind::Suspended, "the disk is suspended"),
        }
    }

    fn with_lowest<G>(&self, lowest: G) -> Result<Held<G>>
    where
        G: Deref<Target = Option<Arc<T>>>,
    {
        // While the guard is held nobody lends this share anew, so the state still says why.
        match lowest.is_some() {
            true => Ok(Held { lowest, few: [const { None }; MOST - 1], many: Vec::new() }),
            false => Err(self.why_not()),
        }
    }

    fn hold<'a, G>(&'a self, span: Span, lock: impl Fn(&'a Stripe<T>) -> G) -> Result<Held<G>>
    where
        G: Deref<Target = Option<Arc<T>>>,
    {
        self.must_be_lent()?;
        let (first, last) = (span.offset().get() / REGION, span.last().get() / REGION);
        let mut stripes = ascending(first, last).map(|index| &self.stripes[index]);
        let lowest = stripes.next().expect("a span has at least one byte");
        let mut held = self.with_lowest(lock(lowest))?;
        if last - first < MOST as u64 {
            for (place, stripe) in held.few.iter_mut().zip(stripes) {
                *place = Some(lock(stripe));
            }
        } else {
            held.many.extend(stripes.map(lock));
        }
        Ok(held)
    }
}

/// The stripes of the regions from `first` to `last`, each once, upwards.
fn ascending(first: u64, last: u64) -> impl Iterator<Item = usize> {
    let count = usize::try_from(last - first).map_or(STRIPES, |more| more.saturating_add(1));
    let count = count.min(STRIPES);
    // Less than STRIPES.
    let start = (first % STRIPES as u64) as usize;
    let end = start + count;
    (0..end.saturating_sub(STRIPES)).chain(start..end.min(STRIPES))
}

impl<G, T> Deref for Held<G>
where
    G: Deref<Target = Option<Arc<T>>>,
{
    type Target = T;

    fn deref(&self) -> &T {
        self.lowest.as_ref().expect("guards are made only over a share that is there")
    }
}

fn detached() -> Error {
    Error::new(ErrorKind::Detached, "the disk was detached while it was open")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{ByteLen, ByteOffset, SectorSize};
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    fn span(offset: u64, len: u64) -> Span {
        Span::new(SectorSize::S512, ByteOffset::new(offset), ByteLen::new(len)).unwrap()
    }

    #[test]
    fn stripes_come_upwards_and_once_also_where_the_numbering_wraps() {
        for (first, count) in [(0, 1), (510, 5), (511, 1), (3, MOST), (1000, 512), (7, 9999)] {
            let found: Vec<usize> = ascending(first, first + count as u64 - 1).collect();
            assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
            let mut wanted: Vec<usize> =
                (first..first + count as u64).map(|region| region as usize % STRIPES).collect();
            wanted.sort_unstable();
            wanted.dedup();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_longest_request_at_any_offset_fits_the_guards_it_gets() {
        let regions = Regions::new(());
        for offset in [0, 1, REGION - 1, REGION * 511 + 17] {
            let held = regions.share(span(offset, MAX_REQUEST as u64)).unwrap();
            let guards = 1 + held.few.iter().flatten().count();
            assert!(held.many.is_empty());
            let (first, last) = (offset / REGION, (offset + MAX_REQUEST as u64 - 1) / REGION);
            assert_eq!(guards as u64, last - first + 1);
        }
    }

    #[test]
    fn writers_exclude_each_other_and_readers_in_a_region() {
        let regions = Regions::new(());
        let most = AtomicUsize::new(0);
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (regions, inside, most) = (&regions, &inside, &most);
                scope.spawn(move || {
                    for round in 0..500 {
                        // All of them cover byte 100,000.
                        let part = span(100_000 - thread * 30_000, 90_001 + round * 700);
                        if thread == 0 {
                            let _shared = regions.share(part).unwrap();
                            assert_eq!(inside.load(Ordering::SeqCst), 0);
                        } else {
                            let _alone = regions.exclude(part).unwrap();
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 0);
    }

    /// RULES D8: when revoke returns the value is gone, and it waits for those at work.
    #[test]
    fn revoking_waits_for_guards_then_drops_the_value_and_refuses_new_ones() {
        let value = Arc::new(());
        let regions = Regions::new(Arc::clone(&value));
        let released = AtomicBool::new(false);
        let guard = regions.share(span(5 << 20, 10)).unwrap();
        std::thread::scope(|scope| {
            let revoker = scope.spawn(|| {
                regions.revoke();
                assert!(released.load(Ordering::SeqCst), "revoked under a guard");
            });
            while !regions.is_revoked() {
                std::thread::yield_now();
            }
            let refused = regions.exclude(span(0, 10)).err().map(|error| error.kind());
            assert_eq!(refused, Some(ErrorKind::Detached));
            assert!(!revoker.is_finished());
            released.store(true, Ordering::SeqCst);
            drop(guard);
        });
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(regions.whole().is_err());
    }
    /// RULES D1, `suspended`: what was lent comes back whole, also many times and under load.
    #[test]
    fn a_value_is_taken_back_under_load_and_lent_anew() {
        let regions = Regions::new(AtomicUsize::new(0));
        let is_over = AtomicBool::new(false);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                let (regions, is_over, done) = (&regions, &is_over, &done);
                scope.spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        match regions.exclude(span(thread * 70_000, 200_000)) {
                            Ok(count) => {
                                count.fetch_add(1, Ordering::SeqCst);
                                done.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Suspended),
                        }
                        std::thread::yield_now();
                    }
                });
            }
            for _ in 0..200 {
                let count = regions.suspend().unwrap();
                assert!(regions.is_suspended() && regions.suspend().is_err());
                let before = done.load(Ordering::SeqCst);
                assert_eq!(count.load(Ordering::SeqCst), before);
                assert_eq!(done.load(Ordering::SeqCst), before, "work while it was taken back");
                regions.lend(count);
                std::thread::yield_now();
            }
            is_over.store(true, Ordering::SeqCst);
        });
        regions.revoke();
        assert_eq!(regions.suspend().err().map(|error| error.kind()), Some(ErrorKind::Detached));
    }

    #[test]
    fn a_value_that_is_revoked_while_it_is_away_is_not_lent_anew() {
        let value = Arc::new(());
        let regions = Regions::new(Arc::clone(&value));
        let taken = regions.suspend().unwrap();
        regions.revoke();
        assert_eq!(Arc::strong_count(&value), 2);
        regions.lend(taken);
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(regions.is_revoked() && regions.whole().is_err());
    }
}
