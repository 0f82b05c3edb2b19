//! Units of the service manager, and what it is told.

use crate::support::{Mount, Needs, Setup, run, trial, wait_until};
use libtest_mimic::Trial;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_units_pass_systemd_analyze",
            Needs::RootAnd(&["systemd-analyze"]),
            the_units_pass_systemd_analyze,
        ),
        trial(
            "the_service_manager_is_told_of_the_life_of_a_mount",
            Needs::Fuse,
            the_service_manager_is_told_of_the_life_of_a_mount,
        ),
        trial(
            "a_mount_in_the_background_tells_no_service_manager",
            Needs::Fuse,
            a_mount_in_the_background_tells_no_service_manager,
        ),
        trial(
            "a_passphrase_comes_from_the_credentials_of_the_unit",
            Needs::Fuse,
            a_passphrase_comes_from_the_credentials_of_the_unit,
        ),
    ]
}

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd")
}

fn the_units_pass_systemd_analyze() {
    // It wants to find the program the units start.
    let scratch = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_evsfs");
    let mut files = Vec::new();
    for (unit, instance) in [
        ("evsfs@.service", "evsfs@mount.service"),
        ("evsfs-sleep@.service", "evsfs-sleep@mnt-evs.service"),
    ] {
        let text = std::fs::read_to_string(units().join(unit)).unwrap();
        assert!(text.contains("/usr/bin/evsfs "), "{unit}");
        let file = scratch.path().join(instance);
        std::fs::write(&file, text.replace("/usr/bin/evsfs", program)).unwrap();
        files.push(file.to_str().unwrap().to_owned());
    }
    let mut arguments = vec!["verify", "--man=no", "--recursive-errors=no"];
    arguments.extend(files.iter().map(String::as_str));
    let said = run("systemd-analyze", &arguments);
    assert!(said.code == 0 && !said.stderr.contains("evsfs"), "{said:?}");
}

/// What a service manager would hear of a mount in the foreground.
struct Manager {
    socket: UnixDatagram,
    daemon: Child,
    heard: Vec<String>,
}

impl Manager {
    fn start(mount: &Mount, variables: &[(&str, &str)]) -> Manager {
        let path = mount.scratch().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let daemon = Command::new(mount.program())
            .args(["mount", "--foreground", "-c"])
            .arg(mount.config_path())
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "400000")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Manager { socket, daemon, heard: Vec::new() }
    }

    /// Waits until a line is heard.
    #[track_caller]
    fn hears(&mut self, line: &str) {
        let mut buffer = [0; 4096];
        loop {
            if self.heard.iter().any(|heard| heard == line) {
                self.heard.clear();
                return;
            }
            let len = self
                .socket
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("no {line:?}: {error}; heard {:?}", self.heard));
            let text = std::str::from_utf8(&buffer[..len]).unwrap();
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }

    fn terminate(&self) {
        run("kill", &["-TERM", &self.daemon.id().to_string()]).ok();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn the_service_manager_is_told_of_the_life_of_a_mount() {
    let mount = Setup::default().prepare();
    let mut manager = Manager::start(&mount, &[]);
    manager.hears("READY=1");
    mount.evsfs(&["agency", "create"]).ok();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    manager.hears("STATUS=1 disks attached");
    mount.evsfs(&["disk", "suspend", "db"]).ok();
    manager.hears("STATUS=1 disks attached, 1 of them suspended");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    manager.terminate();
    manager.hears("STOPPING=1");
    assert!(manager.daemon.wait().unwrap().success());
    assert!(!mount.mountpoint().join(".evs").exists());
    // A daemon that is killed while it looks at its own mount leaves nobody hanging.
    let mut manager = {
        std::fs::remove_file(mount.scratch().join("notify")).unwrap();
        Manager::start(&mount, &[("WATCHDOG_USEC", "2000")])
    };
    manager.hears("WATCHDOG=1");
    manager.daemon.kill().unwrap();
    wait_until("the daemon is gone", || manager.daemon.try_wait().unwrap().is_some());
}

fn a_mount_in_the_background_tells_no_service_manager() {
    let mount = Setup::default().prepare();
    let path = mount.scratch().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mounted = Command::new(mount.program())
        .args(["mount", "-c"])
        .arg(mount.config_path())
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(mounted.success());
    mount.stop();
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 64]).is_err());
}

/// As `LoadCredential=evsfs-passphrase:...` gives it.
fn a_passphrase_comes_from_the_credentials_of_the_unit() {
    use std::os::unix::fs::PermissionsExt;
    let mount = Setup::default().prepare();
    let credentials = mount.scratch().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let file = credentials.join("evsfs-passphrase");
    std::fs::write(&file, "correct horse battery staple\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    std::fs::remove_dir_all(mount.state_dir()).unwrap();
    let config = mount.config_path();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[kms]\npassphrase = true\n")).unwrap();
    let file = file.to_str().unwrap();
    let init = ["init", "-c", config.to_str().unwrap(), "--root-key", "passphrase"];
    mount.evsfs_plain(&[&init[..], &["--passphrase-file", file]].concat()).ok();
    let directory = credentials.to_str().unwrap();
    let mut manager = Manager::start(&mount, &[("CREDENTIALS_DIRECTORY", directory)]);
    manager.hears("READY=1");
    manager.terminate();
    manager.hears("STOPPING=1");
    assert!(manager.daemon.wait().unwrap().success());
}
