//! Arguments of what watches a mount.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Show it again every so many seconds, until q is pressed
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = seconds)]
    pub watch: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    /// Seconds between two looks, from 0.5 to 60
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub interval: Duration,
    /// What to sort by
    #[arg(short, long, value_name = "BY", default_value = "throughput")]
    pub sort: SortBy,
    /// Print one table over one interval and end, as without a terminal
    #[arg(long)]
    pub once: bool,
}

/// What disks are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SortBy {
    /// Bytes a second
    Throughput,
    /// Requests a second
    Iops,
    /// The slowest first
    Latency,
    /// The most failures first
    Errors,
    /// By name
    Name,
}

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// The configuration [default: $EVSFS_CONFIG, /etc/evsfs/mount.toml, ~/.config/evsfs/mount.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask a PKCS#11 module about a token, as a child of `doctor`
    #[arg(long, hide = true, num_args = 2, value_names = ["MODULE", "TOKEN"])]
    pub probe_token: Vec<OsString>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "this is no number of seconds".to_owned())?;
    match seconds {
        0.5..=60.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("from 0.5 to 60 seconds are possible".to_owned()),
    }
}
