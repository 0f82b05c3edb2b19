//! The `evsfs` program: everything it does is in [`evsfs::cli`].

fn main() -> std::process::ExitCode {
    evsfs::cli::run()
}
