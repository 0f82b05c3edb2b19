//! The whole page.

use super::disks::yes_or_no;
use super::exposition::{Exposition, Kind};
use super::{disks, keys, kms};
use crate::auth::{Action, Caller, Permit};
use crate::config::CacheMode;
use crate::error::Result;
use crate::service::{JobState, Service};

impl Service {
    /// All that is measured, as far as the caller may know it: OpenMetrics text.
    ///
    /// # Errors
    /// `denied` for strangers.
    pub fn metrics(&self, caller: Caller) -> Result<String> {
        let permit = self.permit(caller, Action::EnterControl)?;
        let mut page = Exposition::default();
        self.add_mount(&mut page);
        self.add_jobs(&mut page, caller);
        self.add_attention(&mut page, &permit);
        disks::add(&mut page, self, caller);
        keys::add(&mut page, self, caller);
        kms::add(&mut page, self, caller);
        Ok(page.finish())
    }

    fn add_mount(&self, page: &mut Exposition) {
        page.family("evsfs_build", Kind::Info, "", "The program.")
            .info(&[("version", env!("CARGO_PKG_VERSION"))]);
        let settings = &self.settings;
        let cache = match settings.cache {
            CacheMode::Writeback => "writeback",
            CacheMode::None => "none",
        };
        page.family("evsfs_mount", Kind::Info, "", "How the mount is served.").info(&[
            ("mountpoint", &settings.mountpoint.to_string_lossy()),
            ("region", &settings.region),
            ("project", &settings.project),
            ("cache", cache),
            ("kernel", settings.kernel.name()),
            ("passthrough", yes_or_no(settings.passthrough)),
            ("direct_backing", yes_or_no(settings.direct_backing)),
        ]);
        let help = "When the daemon started, as Unix time.";
        page.family("evsfs_start_time_seconds", Kind::Gauge, "seconds", help)
            .gauge(&[], self.started.as_second());
        let help = "Whether the project has an agency, without which nothing new is encrypted.";
        page.family("evsfs_agency", Kind::Gauge, "", help)
            .gauge(&[], u8::from(self.project.has_agency()));
        // A medium that does not answer is no reason to say nothing of the rest.
        let space = self.space().ok();
        let help = "Size of the file system that payloads lie on.";
        let mut family = page.family("evsfs_space_size_bytes", Kind::Gauge, "bytes", help);
        if let Some((total, _)) = space {
            family.gauge(&[], total.get());
        }
        let help = "Free bytes of the file system that payloads lie on.";
        let mut family = page.family("evsfs_space_free_bytes", Kind::Gauge, "bytes", help);
        if let Some((_, free)) = space {
            family.gauge(&[], free.get());
        }
    }

    fn add_jobs(&self, page: &mut Exposition, caller: Caller) {
        let jobs = self.visible_jobs(caller);
        let help = "Jobs by state; those that ended long ago are forgotten.";
        let mut family = page.family("evsfs_jobs", Kind::Gauge, "", help);
        for state in JobState::ALL {
            let count = jobs.iter().filter(|job| job.life().state == state).count();
            family.gauge(&[("state", state.name())], count);
        }
        let help = "How far a running job has got, where its total is known.";
        let mut family = page.family("evsfs_job_progress_ratio", Kind::Gauge, "ratio", help);
        for job in jobs.iter().filter(|job| job.life().state == JobState::Running) {
            let progress = job.progress();
            let Some(total) = progress.total() else { continue };
            let labels = [
                ("job", &*job.id().to_string()),
                ("kind", job.kind().name()),
                ("subject", job.subject()),
            ];
            // Shown, not counted with.
            family.gauge(&labels, progress.done().min(total) as f64 / total as f64);
        }
    }

    fn add_attention(&self, page: &mut Exposition, permit: &Permit) {
        let needs = self.attention(permit);
        let help = "Things that want an administrator, by what they are about: evsfs status.";
        let mut family = page.family("evsfs_attention", Kind::Gauge, "", help);
        for about in crate::service::AttentionInfo::SUBJECTS {
            let count = needs.iter().filter(|need| need.about == about).count();
            family.gauge(&[("about", about)], count);
        }
    }
}
