//! How much of a test that can be made as long as one likes is run.

/// A short form for every run, and a long one for `make test-slow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Short,
    Long,
}

impl Amount {
    /// What `EVSFS_SLOW` says.
    pub fn asked_for() -> Amount {
        match std::env::var_os("EVSFS_SLOW") {
            Some(value) if value != "0" => Amount::Long,
            _ => Amount::Short,
        }
    }

    /// One of two.
    pub fn of<T>(short: T, long: T) -> T {
        match Amount::asked_for() {
            Amount::Short => short,
            Amount::Long => long,
        }
    }
}
