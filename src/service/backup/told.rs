//! How work on a backup has ended: events, and the damage that was found.

use super::catalogue::BackupEntry;
use crate::error::{ErrorKind, Result};
use crate::service::{JobContext, Service};

impl Service {
    /// Remembers damage for the backup's `error`, and tells of a failure of `verb` unless somebody
    /// has wanted the job to end.
    pub(super) fn note_end(
        &self,
        verb: &str,
        entry: &BackupEntry,
        outcome: &Result<()>,
        context: &JobContext<'_>,
    ) {
        self.note_damage(entry, outcome);
        if let Err(error) = outcome
            && context.check().is_ok()
        {
            self.tell_of_failed_backup(verb, entry, error);
        }
    }

    /// Remembers damage that reading a backup has found.
    pub(super) fn note_damage(&self, entry: &BackupEntry, outcome: &Result<()>) {
        if let Err(error) = outcome
            && error.kind() == ErrorKind::Integrity
        {
            log::error!("event=backup-failed backup={} error=\"{error}\"", entry.id());
            entry.state().error = Some(error.explained());
        }
    }
}
