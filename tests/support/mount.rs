//! A mounted evsfs.

use super::kernel::with_kernel_under_test;
use super::run::{Output, run};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const EVSFS: &str = env!("CARGO_BIN_EXE_evsfs");

/// How to mount.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Lines of `mount.toml` after the paths.
    pub config: String,
    /// Where the state directory lies, if not in the temporary directory.
    pub state_dir: Option<PathBuf>,
}

impl Setup {
    /// With these lines of `mount.toml` after the paths.
    pub fn with(config: &str) -> Self {
        Setup { config: config.to_owned(), state_dir: None }
    }

    /// Makes the state directory and mounts, with an agency.
    #[track_caller]
    pub fn mount(&self) -> Mount {
        let mount = self.prepare();
        mount.start();
        mount.evsfs(&["agency", "create"]).ok();
        mount
    }

    /// Makes the state directory and does not mount.
    #[track_caller]
    pub fn prepare(&self) -> Mount {
        let directory = tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap();
        // Other uids must be able to reach the mountpoint.
        run("chmod", &["0755", directory.path().to_str().unwrap()]).ok();
        let state_dir = self.state_dir.clone().unwrap_or_else(|| directory.path().join("state"));
        std::fs::create_dir(directory.path().join("mnt")).unwrap();
        let config = format!(
            "mountpoint = \"{}\"\nstate_dir = \"{}\"\n{}",
            directory.path().join("mnt").display(),
            state_dir.display(),
            with_kernel_under_test(&self.config)
        );
        std::fs::write(directory.path().join("mount.toml"), config).unwrap();
        let mount = Mount { directory, state_dir };
        mount.evsfs_plain(&["init", "-c", mount.config_path().to_str().unwrap()]).ok();
        mount
    }
}

/// A state directory and its mount; unmounted, and its daemon ended, when dropped.
pub struct Mount {
    directory: TempDir,
    state_dir: PathBuf,
}

impl Mount {
    /// A mount as a new user makes it.
    #[track_caller]
    pub fn new() -> Mount {
        Setup::default().mount()
    }

    /// Starts the daemon; returns when the mount answers.
    #[track_caller]
    pub fn start(&self) {
        self.try_start().ok();
    }

    /// Starts the daemon, which may be refused.
    pub fn try_start(&self) -> Output {
        self.evsfs_plain(&["mount", "-c", self.config_path().to_str().unwrap()])
    }

    /// Unmounts; returns when the daemon has ended.
    #[track_caller]
    pub fn stop(&self) {
        self.evsfs_plain(&["umount", self.mountpoint().to_str().unwrap()]).ok();
    }

    /// The daemon's process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let status = self.json(&["status"]);
        u32::try_from(status["pid"].as_u64().unwrap()).unwrap()
    }

    /// Kills the daemon as a crash would, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self) {
        let pid = self.pid();
        run("kill", &["-9", &pid.to_string()]).ok();
        wait_until("the daemon is gone", || !is_running(pid));
    }

    /// Runs `evsfs` with these arguments on this mount; destructive verbs are confirmed.
    pub fn evsfs(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["--mount", self.mountpoint_str()];
        all.extend_from_slice(arguments);
        self.evsfs_plain(&all)
    }

    /// Runs `evsfs` with exactly these arguments.
    pub fn evsfs_plain(&self, arguments: &[&str]) -> Output {
        run(EVSFS, arguments)
    }

    /// The answer of `evsfs ... --json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend_from_slice(arguments);
        serde_json::from_str(&self.evsfs(&all).ok()).unwrap()
    }

    /// The answer to a request without parameters, asked on the control file: what `evsfs ... --json`
    /// shows, without a process for it.
    #[track_caller]
    pub fn ask(&self, operation: &str) -> serde_json::Value {
        use std::io::{Read, Write};
        let control = self.control("control");
        let mut file = std::fs::File::options().read(true).write(true).open(control).unwrap();
        let mut answer = Vec::new();
        file.write_all(format!("{{\"op\":\"{operation}\"}}\n").as_bytes()).unwrap();
        file.read_to_end(&mut answer).unwrap();
        serde_json::from_slice::<serde_json::Value>(&answer).unwrap()["ok"].take()
    }

    /// Creates and attaches a disk; `options` are those of `disk create` after the size.
    #[track_caller]
    pub fn attached_disk(&self, name: &str, size: &str, options: &[&str]) -> PathBuf {
        let mut all = vec!["disk", "create", name, "--size", size];
        all.extend_from_slice(options);
        self.evsfs(&all).ok();
        self.evsfs(&["disk", "attach", name]).ok();
        self.mountpoint().join(name)
    }

    /// Runs a command as another user; `program` is looked up in PATH.
    pub fn as_uid(&self, uid: u32, program: &str, arguments: &[&str]) -> Output {
        let uid = uid.to_string();
        let mut all =
            vec!["--reuid", uid.as_str(), "--regid", uid.as_str(), "--clear-groups", program];
        all.extend_from_slice(arguments);
        run("setpriv", &all)
    }

    /// The built program.
    pub fn program(&self) -> &'static str {
        EVSFS
    }

    /// The mountpoint.
    pub fn mountpoint(&self) -> PathBuf {
        self.directory.path().join("mnt")
    }

    fn mountpoint_str(&self) -> &'static str {
        // Leaked: a few bytes a test, so that argument lists can borrow it.
        Box::leak(self.mountpoint().to_str().unwrap().to_owned().into_boxed_str())
    }

    /// A file of the control directory.
    pub fn control(&self, path: &str) -> PathBuf {
        self.mountpoint().join(".evs").join(path)
    }

    /// Writes a command into a control file.
    pub fn write_control(&self, path: &str, command: &str) -> std::io::Result<()> {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().write(true).open(self.control(path))?;
        file.write_all(command.as_bytes())
    }

    /// The value in a control file, without its newline.
    #[track_caller]
    pub fn read_control(&self, path: &str) -> String {
        std::fs::read_to_string(self.control(path)).unwrap().trim_end_matches('\n').to_owned()
    }

    /// The state directory.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The temporary directory, for files of the test.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The payload of a disk.
    #[track_caller]
    pub fn payload(&self, name: &str) -> PathBuf {
        let disk = self.json(&["disk", "show", name]);
        self.state_dir.join("disks").join(disk["id"].as_str().unwrap()).join("payload")
    }

    /// A file in the scratch directory that nobody else can read.
    pub fn secret_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.scratch().join(name);
        let _ = std::fs::remove_file(&path);
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(content).unwrap();
        path
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.directory.path().join("mount.toml")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mountpoint = self.mountpoint();
        let mountpoint = mountpoint.to_str().unwrap_or_default();
        if run("mountpoint", &["-q", mountpoint]).code == 0 {
            run(EVSFS, &["umount", mountpoint, "--force"]);
        }
        // A daemon that died leaves a mount that mountpoint(1) cannot look at.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        if mounts.contains(&format!(" {mountpoint} ")) {
            run("umount", &["-l", mountpoint]);
        }
        if self.state_dir.starts_with("/dev/shm") {
            let _ = std::fs::remove_dir_all(&self.state_dir);
        }
    }
}

/// Whether a process lives; one that has ended with all its threads and was not waited for does
/// not.
pub fn is_running(pid: u32) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&at_once)) == Ok(0)
}

/// Waits for something that takes a moment.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
