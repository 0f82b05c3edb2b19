//! Families of disks.

use super::exposition::{Exposition, Kind};
use crate::auth::Caller;
use crate::disk::{DiskActivity, DiskOperation};
use crate::service::{DiskInfo, Service};

/// A disk as it was at one moment, and what goes on in it while it is attached.
struct Seen {
    info: DiskInfo,
    open: Option<Open>,
}

struct Open {
    activity: DiskActivity,
    files: usize,
    passthrough_opens: u64,
}

/// Adds the families of the disks that the caller may see.
pub(super) fn add(page: &mut Exposition, service: &Service, caller: Caller) {
    let disks: Vec<Seen> = service
        .visible_disks(caller)
        .iter()
        .map(|entry| {
            let attachment = entry.state().attachment.clone();
            let open = attachment.map(|attachment| Open {
                activity: attachment.disk().activity(),
                files: attachment.open_count(),
                passthrough_opens: attachment.passthrough_opens(),
            });
            Seen { info: service.describe_disk(entry), open }
        })
        .collect();
    add_what_they_are(page, &disks);
    add_what_they_do(page, &disks);
}

fn add_what_they_are(page: &mut Exposition, disks: &[Seen]) {
    let mut family = page.family("evsfs_disk", Kind::Info, "", "What a disk is.");
    for Seen { info, .. } in disks {
        family.info(&[
            ("disk", info.name.as_str()),
            ("id", &info.id.to_string()),
            ("owner", &info.owner.to_string()),
            ("encrypted", yes_or_no(info.encrypted)),
            ("key", info.key.as_deref().unwrap_or_default()),
            ("server", info.server.as_ref().map(|name| name.as_str()).unwrap_or_default()),
        ]);
    }
    let help = "Size of a disk.";
    let mut family = page.family("evsfs_disk_size_bytes", Kind::Gauge, "bytes", help);
    for Seen { info, .. } in disks {
        family.gauge(&[("disk", info.name.as_str())], info.size);
    }
    let help = "Whether a disk is attached.";
    let mut family = page.family("evsfs_disk_attached", Kind::Gauge, "", help);
    for Seen { info, .. } in disks {
        family.gauge(&[("disk", info.name.as_str())], u8::from(info.attached));
    }
    let help = "Opens for which the kernel reads a disk by itself, uncounted here.";
    let mut family = page.family("evsfs_disk_passthrough_opens", Kind::Counter, "", help);
    for (info, open) in opened(disks) {
        family.total(&[("disk", info.name.as_str())], open.passthrough_opens);
    }
    let help = "Whether a disk needs looking after: it is unusable, or was not attached again.";
    let mut family = page.family("evsfs_disk_faulty", Kind::Gauge, "", help);
    for Seen { info, .. } in disks {
        let is_faulty = info.error.is_some() || info.status.starts_with("error");
        family.gauge(&[("disk", info.name.as_str())], u8::from(is_faulty));
    }
}

fn add_what_they_do(page: &mut Exposition, disks: &[Seen]) {
    let help = "Bytes read, written and discarded since a disk was attached.";
    let mut family = page.family("evsfs_disk_io_bytes", Kind::Counter, "bytes", help);
    for (info, open) in opened(disks) {
        for operation in [DiskOperation::Read, DiskOperation::Write, DiskOperation::Discard] {
            let labels = [("disk", info.name.as_str()), ("operation", operation.name())];
            family.total(&labels, open.activity.of(operation).bytes);
        }
    }
    let help = "Requests that failed or were refused since a disk was attached.";
    let mut family = page.family("evsfs_disk_errors", Kind::Counter, "", help);
    for (info, open) in opened(disks) {
        for operation in DiskOperation::ALL {
            let labels = [("disk", info.name.as_str()), ("operation", operation.name())];
            family.total(&labels, open.activity.of(operation).errors);
        }
    }
    let help = "How long requests that went well took in the daemon, without the kernel's queues.";
    let mut family = page.family("evsfs_disk_latency_seconds", Kind::Histogram, "seconds", help);
    for (info, open) in opened(disks) {
        for operation in DiskOperation::ALL {
            let labels = [("disk", info.name.as_str()), ("operation", operation.name())];
            family.histogram(&labels, &open.activity.of(operation).durations);
        }
    }
    let help = "Bytes changed since the last flush began that went well: dirty at most.";
    let mut family = page.family("evsfs_disk_unflushed_bytes", Kind::Gauge, "bytes", help);
    for (info, open) in opened(disks) {
        family.gauge(&[("disk", info.name.as_str())], open.activity.unflushed_bytes);
    }
    let help = "Files that are open on a disk.";
    let mut family = page.family("evsfs_disk_open_files", Kind::Gauge, "", help);
    for (info, open) in opened(disks) {
        family.gauge(&[("disk", info.name.as_str())], open.files);
    }
}

fn opened(disks: &[Seen]) -> impl Iterator<Item = (&DiskInfo, &Open)> {
    disks.iter().filter_map(|disk| Some((&disk.info, disk.open.as_ref()?)))
}

pub(super) const fn yes_or_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
