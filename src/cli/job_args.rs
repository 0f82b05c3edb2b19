//! The arguments of `evsfs job`, and of commands that begin jobs.

#[derive(Debug, clap::Subcommand)]
pub(super) enum JobCommand {
    /// List the jobs you may see, the newest last
    List,
    /// Show a job
    Show {
        /// The job's id
        id: String,
    },
    /// Follow a job to its end, and end as it does
    Watch {
        /// The job's id
        id: String,
    },
    /// Give a job up; nothing of what it was making is left
    Cancel {
        /// The job's id
        id: String,
    },
}

/// How a command goes about the job it begins.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct WorkArgs {
    /// Do at most so much a second: a size, such as 200M, or a number of data keys
    #[arg(long, value_name = "RATE")]
    pub limit: Option<String>,
    /// Do not wait for the end: print the job's id. A wait that is interrupted leaves the job running
    #[arg(long, visible_alias = "detach")]
    pub no_wait: bool,
}

impl JobCommand {
    /// What did not happen when the command was refused.
    pub fn undone(&self) -> String {
        match self {
            JobCommand::List => "the jobs cannot be listed".to_owned(),
            JobCommand::Show { id } => format!("job {id} cannot be shown"),
            JobCommand::Watch { id } => format!("job {id} has not done its work"),
            JobCommand::Cancel { id } => format!("job {id} was not cancelled"),
        }
    }

    /// The words that name the command.
    pub fn path(&self) -> &'static str {
        match self {
            JobCommand::List => "job list",
            JobCommand::Show { .. } => "job show",
            JobCommand::Watch { .. } => "job watch",
            JobCommand::Cancel { .. } => "job cancel",
        }
    }
}
