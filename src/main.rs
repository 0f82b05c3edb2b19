//! The `evsfs` program: everything it does is in [`evsfs::cli`].

#[global_allocator]
static HEAP: evsfs::sys::WipingHeap = evsfs::sys::WipingHeap;

fn main() -> std::process::ExitCode {
    evsfs::cli::run()
}
