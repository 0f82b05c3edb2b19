//! The arguments of `evsfs server`.

use super::job_args::WorkArgs;

#[derive(Debug, clap::Subcommand)]
pub(super) enum ServerCommand {
    /// Make a server: a system disk from an image, data disks, all attached, or nothing at all
    Create(ServerCreateArgs),
    /// List the servers you may use
    List,
    /// Show a server
    Show {
        /// The server
        name: String,
        /// Print the line that starts it in QEMU
        #[arg(long)]
        qemu: bool,
    },
    /// Detach a server's disks and delete its system disk
    Delete {
        /// The server
        name: String,
        /// Delete its data disks too
        #[arg(long)]
        with_data_disks: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ServerCreateArgs {
    /// The new server's name; its system disk is called NAME-system
    pub name: String,
    /// The image its system disk is made from, which is encrypted if the image is
    #[arg(long)]
    pub image: String,
    /// The size of its system disk [default: the image's]
    #[arg(long)]
    pub size: Option<String>,
    /// Insist on an encrypted system disk
    #[arg(long)]
    pub encrypted: bool,
    /// Insist on a system disk that is not encrypted
    #[arg(long, conflicts_with_all = ["encrypted", "key"])]
    pub unencrypted: bool,
    /// The alias of the key to encrypt the system disk with
    #[arg(long, value_name = "ALIAS")]
    pub key: Option<String>,
    /// A data disk: name=a,size=10G[,encrypted=yes|no][,key=ALIAS][,sector-size=N]
    #[arg(long, value_name = "DISK")]
    pub data_disk: Vec<String>,
    #[command(flatten)]
    pub work: WorkArgs,
}

impl ServerCommand {
    /// What did not happen when the command was refused.
    pub fn undone(&self) -> String {
        let (name, what) = match self {
            ServerCommand::List => return "the servers cannot be listed".to_owned(),
            ServerCommand::Create(args) => (&args.name, "was not created"),
            ServerCommand::Show { name, .. } => (name, "cannot be shown"),
            ServerCommand::Delete { name, .. } => (name, "was not deleted"),
        };
        format!("server {name:?} {what}")
    }

    /// The words that name the command.
    pub fn path(&self) -> &'static str {
        match self {
            ServerCommand::Create(_) => "server create",
            ServerCommand::List => "server list",
            ServerCommand::Show { .. } => "server show",
            ServerCommand::Delete { .. } => "server delete",
        }
    }
}
