//! The arguments of `evsfs bench`.

use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// Read this attached disk instead of new ones, and never write to it
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Measure disks in memory, without a mount
    #[arg(long, conflicts_with = "disk")]
    pub memory: bool,
    /// How long requests of one sort are made, such as 0.5
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if !(0.01..=3600.0).contains(&seconds) {
        return Err("is not between 0.01 and 3600".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
