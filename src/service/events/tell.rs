//! Where events come from and who reads them.

use super::event::{BackupNews, Event};
use super::hub::{EventReader, Events};
use crate::auth::Caller;
use crate::error::{Error, Refusal};
use crate::id::Name;
use crate::kms::KeyView;
use crate::service::jobs::Job;
use crate::service::{BackupEntry, DiskEntry, ImageEntry, ServerEntry, Service};

impl Service {
    /// The last events, to wait for the next.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// At most `len` bytes of the events that the caller may know of. `None`: there are none yet.
    /// Empty: there will be none.
    pub fn read_events(
        &self,
        caller: Caller,
        reader: &mut EventReader,
        len: usize,
    ) -> Option<Vec<u8>> {
        self.events.read(reader, len, |event| self.authority.allows(caller, event.needs()))
    }

    /// Whether [`Service::read_events`] has something.
    pub fn has_events(&self, caller: Caller, reader: &EventReader) -> bool {
        self.events.is_readable(reader, |event| self.authority.allows(caller, event.needs()))
    }

    pub(in crate::service) fn tell_of_disk(&self, event: &str, disk: &DiskEntry) {
        self.events.publish(Event::of_disk(event, self.clock.now(), disk));
    }

    pub(in crate::service) fn tell_of_key(&self, event: &str, key: &KeyView) {
        self.events.publish(Event::of_key(event, self.clock.now(), key));
    }

    pub(in crate::service) fn tell_of_image(&self, event: &str, image: &ImageEntry) {
        self.events.publish(Event::of_image(event, self.clock.now(), image));
    }

    pub(in crate::service) fn tell_of_backup(&self, event: &str, backup: &BackupEntry) {
        let nothing_else = BackupNews::default();
        self.events.publish(Event::of_backup(event, self.clock.now(), backup, nothing_else));
    }

    pub(in crate::service) fn tell_of_restored_backup(&self, backup: &BackupEntry, disk: &Name) {
        let news = BackupNews { restored_to: Some(disk), ..BackupNews::default() };
        self.events.publish(Event::of_backup("backup.restored", self.clock.now(), backup, news));
    }

    /// Of a verb that has failed.
    pub(in crate::service) fn tell_of_failed_backup(
        &self,
        verb: &str,
        backup: &BackupEntry,
        error: &Error,
    ) {
        let Refusal { code, message, .. } = Refusal::from(error);
        let news = BackupNews {
            verb: Some(verb),
            code: Some(&code),
            message: Some(&message),
            ..BackupNews::default()
        };
        self.events.publish(Event::of_backup("backup.failed", self.clock.now(), backup, news));
    }

    pub(in crate::service) fn tell_of_server(&self, event: &str, server: &ServerEntry) {
        self.events.publish(Event::of_server(event, self.clock.now(), server));
    }

    pub(in crate::service) fn tell_of_agency(&self, event: &str) {
        let is_present = self.project.has_agency();
        self.events.publish(Event::of_agency(event, self.clock.now(), is_present));
    }

    pub(in crate::service) fn tell_of_job(&self, event: &str, job: &Job) {
        self.events.publish(Event::of_job(event, self.clock.now(), &self.describe_job(job)));
    }
}
