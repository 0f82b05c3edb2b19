//! Other users.

/// Runs `work` in a thread that is another user to the kernel.
#[track_caller]
pub fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
            set_thread_groups(&[]).unwrap();
            let (gid, uid) =
                (rustix::process::Gid::from_raw(uid), rustix::process::Uid::from_raw(uid));
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
