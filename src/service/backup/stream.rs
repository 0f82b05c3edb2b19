//! The two ends of an export or import: whoever has `data` open, and the thread that packs or
//! unpacks.
//!
//! A pipe lies between them, so that neither gets further ahead than the pipe holds, and each sees
//! when the other has gone.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;

/// How many exports and imports there may be at a time: each has threads of its own.
const MAX_STREAMS: usize = 16;
/// What a pipe is asked to hold; without the permission it holds less and works as well.
const PIPE_BYTES: usize = 1 << 20;

/// Counts exports and imports.
#[derive(Default, Clone)]
pub struct Streams {
    // Counts only; nothing is read because of it.
    open: Arc<AtomicUsize>,
}

/// One of the streams there may be; dropping it gives the place back.
struct Place(Streams);

/// What a thread makes of a stream.
struct Work<T> {
    thread: thread::JoinHandle<Result<T>>,
    _place: Place,
}

/// Bytes that a thread makes.
pub struct OutStream {
    // Protects the order of reads, and who is told how it ended.
    state: Mutex<Outgoing>,
}

struct Outgoing {
    // None: it has ended.
    pipe: Option<PipeReader>,
    work: Option<Work<()>>,
    // How much was read.
    at: u64,
    failure: Option<Error>,
}

/// Bytes that a thread takes.
pub struct InStream<T> {
    // Protects the order of writes, and who is told how it ended.
    state: Mutex<Incoming<T>>,
}

struct Incoming<T> {
    // None: it is over.
    pipe: Option<PipeWriter>,
    work: Option<Work<T>>,
    // How much was written.
    at: u64,
    failure: Option<Error>,
}

impl Streams {
    /// Has a thread write a stream.
    ///
    /// # Errors
    /// `quota` when there are too many streams; `io` when there is no thread or pipe.
    pub(super) fn outgoing(
        &self,
        work: impl FnOnce(PipeWriter) -> Result<()> + Send + 'static,
    ) -> Result<OutStream> {
        let place = self.take_place()?;
        let (reader, writer) = pipe()?;
        let work = Work::begin("evsfs-export", place, move || work(writer))?;
        let state = Outgoing { pipe: Some(reader), work: Some(work), at: 0, failure: None };
        Ok(OutStream { state: Mutex::new(state) })
    }

    /// Has a thread read a stream.
    ///
    /// # Errors
    /// As [`Streams::outgoing`].
    pub(super) fn incoming<T: Send + 'static>(
        &self,
        work: impl FnOnce(PipeReader) -> Result<T> + Send + 'static,
    ) -> Result<InStream<T>> {
        let place = self.take_place()?;
        let (reader, writer) = pipe()?;
        let work = Work::begin("evsfs-import", place, move || work(reader))?;
        let state = Incoming { pipe: Some(writer), work: Some(work), at: 0, failure: None };
        Ok(InStream { state: Mutex::new(state) })
    }

    fn take_place(&self) -> Result<Place> {
        let place = Place(self.clone());
        match self.open.fetch_add(1, Ordering::Relaxed) < MAX_STREAMS {
            true => Ok(place),
            false => {
                let text = format!("{MAX_STREAMS} backups are exported and imported already");
                Err(Error::new(ErrorKind::Quota, text).remedy("wait until one of them has ended"))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Send + 'static> Work<T> {
    fn begin(
        name: &str,
        place: Place,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<Self> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|cause| Error::io("starting a thread for a stream", cause))?;
        Ok(Work { thread, _place: place })
    }

    /// Waits for the end.
    fn end(self) -> Result<T> {
        let panicked = |_| Error::new(ErrorKind::Internal, "the thread of a stream panicked");
        self.thread.join().map_err(panicked)?
    }
}

impl OutStream {
    /// The next bytes, at most `len`; none at the end of a whole stream. `offset` must be where those
    /// before them ended.
    ///
    /// # Errors
    /// What has kept the thread from making all of it: such a stream does not end well, however it
    /// is read. `invalid` at another offset, which changes nothing.
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.again());
        }
        must_be_next(offset, state.at)?;
        let mut bytes = Vec::new();
        if let Some(pipe) = &mut state.pipe {
            let limit = u64::try_from(len).unwrap_or(u64::MAX);
            let read = pipe.take(limit).read_to_end(&mut bytes);
            read.map_err(|cause| Error::io("reading what a thread packs", cause))?;
        }
        if bytes.is_empty() && len > 0 {
            state.pipe = None;
            if let Some(Err(error)) = state.work.take().map(Work::end) {
                return Err(state.failure.insert(error).again());
            }
        }
        state.at += bytes.len() as u64;
        Ok(bytes)
    }
}

impl Drop for OutStream {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.pipe = None;
        // It finds the pipe broken. Waited for, so that what it reads is free when this is gone.
        if let Some(work) = state.work.take() {
            let _ = work.end();
        }
    }
}

impl<T: Send + 'static> InStream<T> {
    /// Hands bytes on; `offset` must be where those before them ended.
    ///
    /// # Errors
    /// What the thread has refused of them or of those before; nothing more is taken then. `invalid`
    /// at another offset, which changes nothing.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        // Said again, for the kernel does not pass on what meets a later part of a write.
        if let Some(failure) = &state.failure {
            return Err(failure.again());
        }
        must_be_next(offset, state.at)?;
        let written = state.pipe.as_mut().ok_or_else(over)?.write_all(bytes);
        let Err(cause) = written else {
            state.at += bytes.len() as u64;
            return Ok(());
        };
        state.pipe = None;
        let error = match state.work.take().map(Work::end) {
            // The thread has gone first, and knows why.
            Some(Err(error)) => error,
            _ => Error::io("handing a stream to the thread that reads it", cause),
        };
        Err(state.failure.insert(error).again())
    }

    /// Ends the stream; gives what the thread has made of it.
    ///
    /// # Errors
    /// What it has refused; `detached` when it was finished before.
    pub(super) fn finish(&self) -> Result<T> {
        let mut state = self.state.lock();
        state.pipe = None;
        if let Some(failure) = &state.failure {
            return Err(failure.again());
        }
        state.work.take().ok_or_else(over)?.end()
    }
}

fn over() -> Error {
    Error::new(ErrorKind::Detached, "this stream is over, and takes no more")
}

/// Refuses a step to the side: a stream passes once.
fn must_be_next(offset: u64, at: u64) -> Result<()> {
    if offset == at {
        return Ok(());
    }
    let text = format!("a stream is taken in order: next is offset {at}, not {offset}");
    Err(Error::new(ErrorKind::Invalid, text))
}

fn pipe() -> Result<(PipeReader, PipeWriter)> {
    let (reader, writer) =
        std::io::pipe().map_err(|cause| Error::io("making a pipe for a stream", cause))?;
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES);
    Ok((reader, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Error {
        Error::new(ErrorKind::Integrity, "damaged")
    }

    #[test]
    fn a_stream_comes_out_as_it_was_written_and_ends() {
        let stream = Streams::default()
            .outgoing(|mut pipe| {
                for number in 0..100_000_u32 {
                    pipe.write_all(&number.to_le_bytes()).unwrap();
                }
                Ok(())
            })
            .unwrap();
        let mut all: Vec<u8> = Vec::new();
        loop {
            match stream.read(all.len() as u64, 777).unwrap() {
                bytes if bytes.is_empty() => break,
                bytes => all.extend(bytes),
            }
        }
        let expected: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        assert!(all == expected);
        let end = all.len() as u64;
        assert!(stream.read(end, 777).unwrap().is_empty(), "the end stays the end");
        assert_eq!(stream.read(0, 777).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_stream_that_fails_midway_never_looks_whole() {
        let stream = Streams::default()
            .outgoing(|mut pipe| {
                pipe.write_all(b"half").unwrap();
                Err(failed())
            })
            .unwrap();
        assert_eq!(stream.read(0, 100).unwrap(), b"half");
        assert_eq!(stream.read(4, 100).unwrap_err().kind(), ErrorKind::Integrity);
        assert_eq!(stream.read(4, 100).unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[test]
    fn a_reader_that_goes_away_ends_the_thread() {
        let (ended, ends) = std::sync::mpsc::channel();
        let stream = Streams::default()
            .outgoing(move |mut pipe| {
                while pipe.write_all(&[7; 4096]).is_ok() {}
                ended.send(()).unwrap();
                Ok(())
            })
            .unwrap();
        stream.read(0, 10).unwrap();
        drop(stream);
        ends.try_recv().unwrap();
    }

    #[test]
    fn what_is_written_is_read_to_its_end() {
        let stream = Streams::default()
            .incoming(|mut pipe| {
                let mut all = Vec::new();
                pipe.read_to_end(&mut all).unwrap();
                Ok(all)
            })
            .unwrap();
        stream.write(0, b"one ").unwrap();
        assert_eq!(stream.write(0, b"one ").unwrap_err().kind(), ErrorKind::Invalid);
        stream.write(4, b"two").unwrap();
        assert_eq!(stream.finish().unwrap(), b"one two");
        assert_eq!(stream.write(7, b"x").unwrap_err().kind(), ErrorKind::Detached);
    }

    #[test]
    fn a_writer_is_told_why_its_bytes_are_refused_as_often_as_it_asks() {
        let stream = Streams::default().incoming::<()>(|_| Err(failed())).unwrap();
        let refusal = (0..).find_map(|piece| stream.write(piece * 4096, &[0; 4096]).err());
        assert_eq!(refusal.unwrap().kind(), ErrorKind::Integrity);
        assert_eq!(stream.write(0, b"more").unwrap_err().kind(), ErrorKind::Integrity);
        assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[test]
    fn there_are_so_many_streams_at_a_time_and_no_more() {
        let streams = Streams::default();
        let begin = || streams.incoming(|mut pipe| Ok(pipe.read(&mut [0])));
        let open: Vec<_> = std::iter::repeat_with(begin).map_while(Result::ok).collect();
        assert_eq!(open.len(), MAX_STREAMS);
        assert_eq!(begin().err().map(|error| error.kind()), Some(ErrorKind::Quota));
        open[0].finish().unwrap().unwrap();
        assert!(begin().is_ok());
    }
}
