//! `status`, `status --watch` and `top`.

use crate::support::{Mount, Needs, Setup, trial, wait_until};
use libtest_mimic::Trial;
use rustix::termios::Winsize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("status_shows_keys_that_will_be_gone_and_what_helps", Needs::Fuse, of_keys),
        trial("status_shows_disks_that_were_not_attached_again", Needs::Fuse, of_disks),
        trial("status_shows_records_that_are_damaged", Needs::Fuse, of_damage),
        trial("status_is_shown_again_and_again", Needs::Fuse, again_and_again),
        trial("top_without_a_terminal_is_one_table", Needs::Fuse, one_table),
        trial("top_on_a_terminal_goes_on_until_q", Needs::Fuse, on_a_terminal),
        trial("top_leaves_the_terminal_as_it_was_also_when_killed", Needs::Fuse, when_killed),
        trial("status_is_watched_on_a_terminal", Needs::Fuse, status_on_a_terminal),
    ]
}

fn of_keys() {
    let mount = Mount::new();
    assert!(!mount.evsfs(&["status"]).ok().contains('!'));
    mount.evsfs(&["key", "create", "old"]).ok();
    mount.evsfs(&["key", "schedule-deletion", "old", "--days", "9", "--yes"]).ok();
    let shown = mount.evsfs(&["status"]).ok();
    assert!(shown.contains("\n! key old: will be deleted in 9 days ("), "{shown}");
    assert!(shown.contains("  fix: evsfs key cancel-deletion old\n"), "{shown}");
    let need = &mount.json(&["status"])["attention"][0];
    assert_eq!((&need["about"], &need["name"]), (&"key".into(), &"old".into()));
    // The remedy is one.
    mount.evsfs(&["key", "cancel-deletion", "old"]).ok();
    assert!(!mount.evsfs(&["status"]).ok().contains('!'));
}

fn of_disks() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    mount.evsfs(&["key", "disable", "finance"]).ok();
    mount.stop();
    mount.start();
    let shown = mount.evsfs(&["status"]).ok();
    assert!(shown.contains("\n! disk db: not attached again: "), "{shown}");
    assert!(shown.contains("key \"finance\" is disabled"), "{shown}");
    let metrics = mount.read_control("metrics");
    assert!(metrics.contains("evsfs_disk_faulty{disk=\"db\"} 1\n"), "{metrics}");
    mount.evsfs(&["key", "enable", "finance"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert!(!mount.evsfs(&["status"]).ok().contains('!'));
}

fn of_damage() {
    let mount = Mount::new();
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--unencrypted"]).ok();
    let id = mount.json(&["disk", "show", "db"])["id"].as_str().unwrap().to_owned();
    mount.stop();
    let record = mount.state_dir().join("disks").join(&id).join("disk.toml");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, text.replace("\"db\"", "\"dc\"")).unwrap();
    mount.start();
    let shown = mount.evsfs(&["status"]).ok();
    assert!(shown.contains(&format!("\n! disk {id}: is not served: ")), "{shown}");
    let log = std::fs::read_to_string(mount.state_dir().join("daemon.log")).unwrap();
    assert!(log.contains(&format!("event=not-served disk={id} code=EVSFS.integrity")), "{log}");
}

fn again_and_again() {
    let mount = Mount::new();
    let watch = |more: &[&str]| {
        let mountpoint = mount.mountpoint();
        let mut all = vec!["--mount", mountpoint.to_str().unwrap(), "status", "--watch", "0.5"];
        all.extend_from_slice(more);
        Command::new(mount.program()).args(all).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut people = watch(&[]);
    let mut lines = BufReader::new(people.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().filter(|line| line.starts_with("mount:")).take(3).count(), 3);
    end(people);
    let mut programs = watch(&["--json"]);
    let lines = BufReader::new(programs.stdout.take().unwrap()).lines().map(Result::unwrap);
    for line in lines.take(3) {
        let status: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(status["disks"].is_array());
    }
    end(programs);
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Writes to a disk until it is dropped.
struct Load {
    stop: Arc<Mutex<bool>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(mount: &Mount) -> Load {
        let path = mount.mountpoint().join("db");
        let stop = Arc::new(Mutex::new(false));
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            let file = File::options().write(true).open(path).unwrap();
            for block in (0..256_u64).cycle() {
                if *asked.lock().unwrap() {
                    return;
                }
                file.write_all_at(&[7; 4096], block * 4096).unwrap();
            }
        });
        Load { stop, thread: Some(thread) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        let _ = self.thread.take().unwrap().join();
    }
}

fn busy() -> Mount {
    let mount = Setup::with("[mount]\ncache = \"none\"\n").mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    mount.evsfs(&["disk", "create", "spare", "--size", "1M", "--unencrypted"]).ok();
    mount
}

fn one_table() {
    let mount = busy();
    let load = Load::on(&mount);
    let shown = mount.evsfs(&["top", "--once", "-i", "0.5"]).ok();
    let piped = mount.evsfs(&["top", "-i", "0.5", "--sort", "name"]).ok();
    drop(load);
    for shown in [&shown, &piped] {
        assert!(!shown.contains('\x1b'), "{shown:?}");
        assert!(shown.contains("2 disks, 1 attached  1 key"), "{shown}");
        let row = shown.lines().find(|line| line.starts_with("db ")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..4], ["db", "in-use", "finance", "0"], "{row}");
        // Bytes a second, and requests a second.
        assert!(cells[4].ends_with(['K', 'M', 'G']) && cells[6] != "0", "{row}");
        assert!(cells[9].ends_with('s') && cells.last() == Some(&"0"), "{row}");
        assert!(shown.lines().any(|line| line.starts_with("spare ")), "{shown}");
    }
}

/// `evsfs` on a terminal of its own.
struct OnTerminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<String>>,
    terminal: OwnedFd,
}

impl OnTerminal {
    fn start(mount: &Mount, arguments: &[&str]) -> OnTerminal {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let open = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let terminal = OwnedFd::from(open());
        resize(&terminal, 100, 24);
        let child = Command::new(mount.program())
            .arg("--mount")
            .arg(mount.mountpoint())
            .args(arguments)
            .envs([("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8")])
            .env_remove("NO_COLOR")
            .stdin(open())
            .stdout(open())
            .spawn()
            .unwrap();
        let keyboard = File::from(keyboard);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut screen, seen) = (keyboard.try_clone().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(len @ 1..) = screen.read(&mut buffer) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..len]));
            }
        });
        OnTerminal { child, keyboard, shown, terminal }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What was shown since the last frame began.
    fn frame(&self) -> String {
        let shown = self.shown.lock().unwrap();
        shown.rsplit("\x1b[H").next().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        wait_until(text, || self.frame().contains(text));
    }

    fn is_raw(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.terminal).unwrap().local_modes;
        !modes.contains(rustix::termios::LocalModes::ICANON)
    }

    fn ends(&mut self) -> Option<i32> {
        let mut code = None;
        wait_until("it ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).unwrap();
}

fn on_a_terminal() {
    let mount = busy();
    let _load = Load::on(&mount);
    let mut top = OnTerminal::start(&mount, &["top", "-i", "0.5"]);
    top.shows("\x1b[1mdb ");
    top.shows("READ/s▾");
    top.shows("every 500ms");
    assert!(top.is_raw());
    // Every row is written over the one before, none is cleared before that: nothing flickers.
    wait_until("the frame has 24 rows", || top.frame().matches("\r\n").count() == 23);
    assert!(!top.shown.lock().unwrap().contains("\x1b[2J"));
    top.press("n");
    top.shows("DISK▾");
    top.press("n");
    top.shows("DISK▴");
    top.press("+");
    top.shows("every 1s");
    top.press(" ");
    top.shows("paused");
    top.press("h");
    top.shows("away with this");
    resize(&top.terminal, 60, 12);
    wait_until("the frame has 12 rows", || top.frame().matches("\r\n").count() == 11);
    assert!(!top.frame().contains("STATUS"), "{:?}", top.frame());
    top.press("q");
    assert_eq!(top.ends(), Some(0));
    assert!(!top.is_raw());
    wait_until("the screen is back", || top.shown.lock().unwrap().ends_with("\x1b[?1049l"));
}

fn when_killed() {
    let mount = busy();
    let mut top = OnTerminal::start(&mount, &["top"]);
    top.shows("db");
    crate::support::run("kill", &["-TERM", &top.child.id().to_string()]).ok();
    assert_eq!(top.ends(), Some(0));
    assert!(!top.is_raw());
    wait_until("the screen is back", || top.shown.lock().unwrap().ends_with("\x1b[?1049l"));
    // The mount goes away while it is watched.
    let mut top = OnTerminal::start(&mount, &["top", "-i", "0.5"]);
    top.shows("db");
    mount.stop();
    assert_eq!(top.ends(), Some(11));
    assert!(!top.is_raw());
}

fn status_on_a_terminal() {
    let mount = busy();
    let mut status = OnTerminal::start(&mount, &["status", "--watch", "0.5"]);
    status.shows("disks:   2, 1 attached");
    mount.evsfs(&["disk", "detach", "db", "--yes"]).ok();
    status.shows("disks:   2, 0 attached");
    status.press("\x1b[B");
    status.press("q");
    assert_eq!(status.ends(), Some(0));
    assert!(!status.is_raw());
}
