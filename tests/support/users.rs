//! Other users.

pub const ALICE: u32 = 1000;
pub const BOB: u32 = 1001;
pub const KEEPER: u32 = 1002;
pub const OPERATOR: u32 = 1003;
/// Keys and disks of their own.
pub const BOTH: u32 = 1004;
pub const STRANGER: u32 = 65534;

/// Of a configuration: a mount that all may enter, and the users above but the stranger.
pub const USERS: &str = r#"
[mount]
allow_other = true
[[user]]
name = "alice"
uid = 1000
roles = ["evs-user"]
[[user]]
name = "bob"
uid = 1001
roles = ["evs-user"]
[[user]]
name = "keeper"
uid = 1002
roles = ["kms-administrator"]
[[user]]
name = "operator"
uid = 1003
roles = ["evs-administrator"]
[[user]]
name = "both"
uid = 1004
roles = ["kms-administrator", "evs-user"]
"#;

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
