//! The arguments of `evsfs bench`.

#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// Read this attached disk instead of new ones, and never write to it
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Measure disks in memory, without a mount
    #[arg(long, conflicts_with = "disk")]
    pub memory: bool,
    /// How long each figure is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
}
