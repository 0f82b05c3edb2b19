//! What happens, told to whoever reads `.evs/events`: one line of JSON an event.
//!
//! | event | when |
//! |---|---|
//! | `disk.created`, `.attached`, `.detached`, `.extended`, `.rewrapped`, `.deleted` | the verb went well |
//! | `image.created`, `.deleted` | an image is ready, or gone |
//! | `backup.created`, `.deleted`, `.verified` | also `created` when one was imported |
//! | `backup.restored` | `restored_to` is the disk that was made of it |
//! | `backup.failed` | `verb` is what failed, with `code` and `message`; damage that export finds stands in `error` |
//! | `server.created`, `.deleted` | with all its disks |
//! | `key.created`, `.enabled`, `.disabled`, ... | a key changed, by whomever or by its dates |
//! | `agency.created`, `agency.deleted` | |
//! | `job.queued`, `.started`, `.progress`, `.done`, `.failed`, `.cancelled` | at most one progress a second |
//! | `lost` | the reader was too slow: the oldest events that it had not read are gone |
//!
//! Every line has `time` and `event`, then what names the object and how it is now. A reader begins
//! with what happens after it opened the file and sees events of objects it may see (RULES A7).
//! Events are kept in a ring of the last [`hub::KEPT`], which all readers share, so that telling one
//! never waits for a reader and never takes memory for one.

mod event;
mod hub;
mod tell;

pub use event::Event;
pub use hub::{EventReader, Events};
