//! Who runs when, decided by a scheduler instead of the kernel: each test is run under thousands of
//! schedules, and one that fails is printed and can be replayed (`shuttle::replay`).
//!
//! * `disks`: reads, writes, discards, flushes, snapshots and the end of one open disk;
//! * `project`: attach, detach, I/O, keys that are disabled, and backups, in the real service.
//!
//! `cargo test --features schedules --test schedules`; EVSFS_SCHEDULES says how many of each scenario,
//! which are 11,500 in all otherwise, and ten times as many with EVSFS_SLOW.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod disks;
mod project;
mod torn;

/// Under so many schedules each scenario is taken, half of them chosen at random, half so that
/// threads are interrupted rarely and at any place (PCT).
fn hold(name: &str, schedules: usize, scenario: impl Fn() + Send + Sync + 'static) {
    // The scheduler has the process to itself: some locks belong to the process.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let asked = std::env::var("EVSFS_SCHEDULES").ok().map(|text| text.parse().expect("a number"));
    let usual = if std::env::var_os("EVSFS_SLOW").is_some() { 10 * schedules } else { schedules };
    let schedules = asked.unwrap_or(usual);
    let scenario = std::sync::Arc::new(scenario);
    let again = std::sync::Arc::clone(&scenario);
    let mut config = shuttle::Config::new();
    // Ciphers in a debug build are generous with the stack.
    config.stack_size = 1 << 20;
    let random = shuttle::scheduler::RandomScheduler::new(schedules / 2);
    shuttle::Runner::new(random, config.clone()).run(move || scenario());
    let rare = shuttle::scheduler::PctScheduler::new(3, schedules - schedules / 2);
    shuttle::Runner::new(rare, config).run(move || again());
    println!("{name}: {schedules} schedules");
}
