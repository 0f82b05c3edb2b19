//! The ring of the last events, and readers of it.

use super::event::Event;
use crate::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Duration;

/// How many events are kept: how far a reader may fall behind.
pub const KEPT: usize = 1024;

/// The last events.
#[derive(Default)]
pub struct Events {
    // Protects the ring and whether more can come; held to copy lines out, never across a call.
    ring: Mutex<Ring>,
    changed: Condvar,
}

#[derive(Default)]
struct Ring {
    /// The number of the oldest event that is kept.
    first: u64,
    events: VecDeque<Event>,
    /// How often those who read were told to end.
    endings: u64,
    is_closed: bool,
}

impl Ring {
    /// Whether no event will come for a reader any more.
    fn is_at_end(&self, reader: &EventReader) -> bool {
        self.is_closed || reader.endings < self.endings
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// How far one reader has got.
#[derive(Debug)]
pub struct EventReader {
    next: u64,
    endings: u64,
    /// The end of a line whose beginning has been read.
    rest: Vec<u8>,
}

impl Events {
    /// Adds an event; readers that are `KEPT` behind lose their oldest.
    pub fn publish(&self, event: Event) {
        let mut ring = self.ring.lock();
        if ring.events.len() == KEPT {
            ring.events.pop_front();
            ring.first += 1;
        }
        ring.events.push_back(event);
        drop(ring);
        self.changed.notify_all();
    }

    /// A reader of what comes from now on.
    pub fn reader(&self) -> EventReader {
        let ring = self.ring.lock();
        EventReader { next: ring.end(), endings: ring.endings, rest: Vec::new() }
    }

    /// At most `len` bytes of the lines of events that are `visible`. `None`: there are none yet.
    /// Empty: there will be none.
    pub fn read(
        &self,
        reader: &mut EventReader,
        len: usize,
        visible: impl Fn(&Event) -> bool,
    ) -> Option<Vec<u8>> {
        let mut bytes = std::mem::take(&mut reader.rest);
        let ring = self.ring.lock();
        if reader.next < ring.first {
            bytes.extend_from_slice(Event::lost().as_bytes());
            reader.next = ring.first;
        }
        while bytes.len() < len && reader.next < ring.end() {
            // The difference is less than the ring's length.
            let at = usize::try_from(reader.next - ring.first).unwrap_or(usize::MAX);
            let event = &ring.events[at];
            // Whole lines while they fit: who reads line by line gets no half of one.
            let fits = bytes.is_empty() || bytes.len() + event.line().len() <= len;
            if visible(event) {
                if !fits {
                    break;
                }
                bytes.extend_from_slice(event.line().as_bytes());
            }
            reader.next += 1;
        }
        if bytes.is_empty() && !ring.is_at_end(reader) {
            return None;
        }
        if bytes.len() > len {
            reader.rest = bytes.split_off(len);
        }
        Some(bytes)
    }

    /// Whether a read would not have to wait.
    pub fn is_readable(&self, reader: &EventReader, visible: impl Fn(&Event) -> bool) -> bool {
        let ring = self.ring.lock();
        let unread = usize::try_from(reader.next.saturating_sub(ring.first)).unwrap_or(usize::MAX);
        ring.is_at_end(reader)
            || !reader.rest.is_empty()
            || reader.next < ring.first
            || ring.events.iter().skip(unread).any(visible)
    }

    /// The number of the event that comes next.
    pub fn end(&self) -> u64 {
        self.ring.lock().end()
    }

    /// Sleeps until there is an event with this number, until none can come any more, or for the
    /// patience; says which number the next one has.
    pub fn wait(&self, number: u64, patience: Duration) -> u64 {
        let mut ring = self.ring.lock();
        if ring.end() <= number && !ring.is_closed {
            self.changed.wait_for(&mut ring, patience);
        }
        ring.end()
    }

    /// Brings those who read now to the end of the file once they have read everything, so that they
    /// close it: a mount is to be taken away.
    pub fn end_readers(&self) {
        self.ring.lock().endings += 1;
        self.changed.notify_all();
    }

    /// No more events: readers that have read everything are at the end of the file.
    pub fn close(&self) {
        self.ring.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn event(number: usize) -> Event {
        let present = number.is_multiple_of(2);
        Event::of_agency(&format!("e{number}"), jiff::Timestamp::UNIX_EPOCH, present)
    }

    fn text(bytes: Option<Vec<u8>>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_reader_begins_with_what_happens_after_it_opened() {
        let events = Events::default();
        events.publish(event(0));
        let mut reader = events.reader();
        assert_eq!(events.read(&mut reader, 4096, |_| true), None);
        assert!(!events.is_readable(&reader, |_| true));
        events.publish(event(1));
        assert!(events.is_readable(&reader, |_| true) && !events.is_readable(&reader, |_| false));
        let read = text(events.read(&mut reader, 4096, |_| true)).unwrap();
        assert!(read.contains("\"e1\"") && read.lines().count() == 1, "{read}");
        assert_eq!(events.read(&mut reader, 4096, |_| true), None);
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_that_it_lost_the_oldest() {
        let events = Events::default();
        let mut reader = events.reader();
        (0..KEPT + 10).for_each(|number| events.publish(event(number)));
        let mut read = String::new();
        while let Some(more) = text(events.read(&mut reader, 4096, |_| true)) {
            assert!(more.len() <= 4096 && more.ends_with('\n'));
            read.push_str(&more);
        }
        let lines: Vec<_> = read.lines().collect();
        assert_eq!(lines.len(), KEPT + 1);
        assert_eq!(lines[0], "{\"event\":\"lost\"}");
        assert!(lines[1].contains("\"e10\""), "{}", lines[1]);
    }

    #[test]
    fn a_buffer_shorter_than_a_line_gets_it_in_parts() {
        let events = Events::default();
        let mut reader = events.reader();
        events.publish(event(1));
        events.publish(event(2));
        let mut read = Vec::new();
        while let Some(part) = events.read(&mut reader, 7, |_| true) {
            assert!((1..=7).contains(&part.len()));
            read.extend(part);
        }
        assert_eq!(String::from_utf8(read).unwrap().lines().count(), 2);
    }

    #[test]
    fn what_is_not_visible_is_passed_over() {
        let events = Events::default();
        let mut reader = events.reader();
        events.publish(event(1));
        assert_eq!(events.read(&mut reader, 99, |_| false), None);
        assert_eq!(events.read(&mut reader, 99, |_| true), None);
    }

    #[test]
    fn closing_ends_every_wait_and_is_the_end_of_the_file() {
        let events = Arc::new(Events::default());
        let mut reader = events.reader();
        events.publish(event(1));
        let waiting = events.clone();
        let waiter = std::thread::spawn(move || waiting.wait(1, Duration::from_secs(60)));
        events.close();
        assert_eq!(waiter.join().unwrap(), 1);
        assert!(!events.read(&mut reader, 4096, |_| true).unwrap().is_empty());
        assert_eq!(events.read(&mut reader, 4096, |_| true), Some(Vec::new()));
    }

    #[test]
    fn readers_that_are_told_to_end_do_and_later_ones_go_on() {
        let events = Events::default();
        let mut before = events.reader();
        events.end_readers();
        let mut after = events.reader();
        assert!(events.is_readable(&before, |_| true) && !events.is_readable(&after, |_| true));
        assert_eq!(events.read(&mut before, 4096, |_| true), Some(Vec::new()));
        assert_eq!(events.read(&mut after, 4096, |_| true), None);
    }
}
