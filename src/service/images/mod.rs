//! Images: what disks and servers are made from (RULES P1, P2, P4, P5).
//!
//! An image is an archive with a name and an owner, at `images/<id>/`: the record `image.toml`, the
//! files of the archive, and while it is being made `upload` (what has been imported so far, sealed
//! as the image will be) or a scratch file without a name. Its record is saved first, as `creating`,
//! and last, as `ready` with the archive's record in it: an image that a crash left unfinished is
//! removed at the next start.
//!
//! The data key of an image is bound to the image's own id, read as a disk's (RULES K6), or to the
//! disk the image was made of.
//!
//! | file | noun |
//! |---|---|
//! | `record` | what is remembered |
//! | `entry` | an image that exists, and all of them by name and id |
//! | `make` | what all ways to make one share |
//! | `of_disk`, `copy`, `import` | the three ways |
//! | `content` | its plain content, read |
//! | `to_disk` | a disk made from one |
//! | `delete`, `startup`, `check` | the end, after a crash, and without a daemon |

mod check;
mod content;
mod copy;
mod delete;
mod entry;
mod import;
mod make;
mod of_disk;
mod record;
mod rewrap;
mod startup;
mod to_disk;

pub use check::check_image;
pub use content::ImageContent;
pub use entry::{ImageEntry, ImageStatus, Images};
pub use import::ImageUpload;
pub use record::ImageRecord;
pub(super) use to_disk::{OpenImage, follow_image};
