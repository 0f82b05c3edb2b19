//! The arguments of `evsfs image`.

use super::job_args::WorkArgs;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum ImageCommand {
    /// Make an image of a disk, attached or not; it is encrypted if the disk is
    Create {
        /// The new image's name
        name: String,
        /// The disk
        #[arg(long)]
        disk: String,
        #[command(flatten)]
        work: WorkArgs,
    },
    /// Make an image of a raw or qcow2 file; the form is found out
    Import {
        /// The new image's name
        name: String,
        /// The file
        file: PathBuf,
        /// Encrypt the image; stays so for its whole life
        #[arg(long)]
        encrypted: bool,
        /// The alias of the key to encrypt it with
        #[arg(long, value_name = "ALIAS")]
        key: Option<String>,
        #[command(flatten)]
        work: WorkArgs,
    },
    /// Copy an image; a copy of an encrypted one is encrypted, under a data key of its own
    Copy {
        /// The image
        source: String,
        /// The new image's name
        name: String,
        /// Encrypt the copy
        #[arg(long)]
        encrypted: bool,
        /// Do not encrypt the copy, which an encrypted image refuses
        #[arg(long, conflicts_with_all = ["encrypted", "key"])]
        unencrypted: bool,
        /// The alias of the key to encrypt the copy with
        #[arg(long, value_name = "ALIAS")]
        key: Option<String>,
        #[command(flatten)]
        work: WorkArgs,
    },
    /// Write the content of an image that is not encrypted to a new file
    Export {
        /// The image
        name: String,
        /// The file, which must not exist
        file: PathBuf,
        /// The form of the file
        #[arg(long, value_name = "FORMAT", default_value = "raw")]
        format: ImageFormat,
    },
    /// List the images you may use
    List,
    /// Show an image
    Show {
        /// The image
        name: String,
    },
    /// Delete an image; disks made from it stay
    Delete {
        /// The image
        name: String,
    },
}

/// The forms of image files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ImageFormat {
    Raw,
    Qcow2,
}

impl ImageCommand {
    /// What did not happen when the command was refused.
    pub fn undone(&self) -> String {
        let (name, what) = match self {
            ImageCommand::List => return "the images cannot be listed".to_owned(),
            ImageCommand::Create { name, .. } => (name, "was not created"),
            ImageCommand::Import { name, .. } => (name, "was not imported"),
            ImageCommand::Copy { name, .. } => (name, "was not created"),
            ImageCommand::Export { name, .. } => (name, "was not exported"),
            ImageCommand::Show { name } => (name, "cannot be shown"),
            ImageCommand::Delete { name } => (name, "was not deleted"),
        };
        format!("image {name:?} {what}")
    }

    /// The words that name the command.
    pub fn path(&self) -> &'static str {
        match self {
            ImageCommand::Create { .. } => "image create",
            ImageCommand::Import { .. } => "image import",
            ImageCommand::Copy { .. } => "image copy",
            ImageCommand::Export { .. } => "image export",
            ImageCommand::List => "image list",
            ImageCommand::Show { .. } => "image show",
            ImageCommand::Delete { .. } => "image delete",
        }
    }
}
