//! `evsfs mount`: start a daemon and wait until its mount answers.
//!
//! The daemon is this program started again with `--child`. It writes one line on its stdout when
//! the mount answers or cannot be made, in the form of an answer of the control file, and then lets
//! go of the terminal; the parent waits for that line and passes on what it says.

use super::args::MountArgs;
use super::client::read_answer;
use super::daemon_log;
use super::failure::{Failure, Outcome};
use super::secret_source;
use super::secret_source::with_secret;
use super::session::Session;
use crate::config::{Config, locate};
use crate::daemon;
use crate::daemon::{Ready, SecretText};
use crate::error::{Error, ErrorKind, Refusal, Result};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The log of a daemon that has let go of its terminal, in the state directory.
const LOG: &str = "daemon.log";

/// Words of mount(8) that mean nothing here: what they ask for is so already, is for others, or is about
/// what no file in the mount is. `ro` is not among them: it would be believed.
const IGNORED_OPTIONS: [&str; 31] = [
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "exec",
    "noexec",
    "async",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "_netdev",
    "nofail",
];

/// Mounts, as `args` say, in the foreground or by a child.
pub(super) fn run(session: &mut Session<'_>, args: &MountArgs) -> Outcome {
    let config = configuration(args)?;
    if args.fake {
        let value = json!({ "mountpoint": config.mountpoint.to_string_lossy() });
        return session
            .answer(&value, |_| format!("{} would be mounted\n", config.mountpoint.display()));
    }
    if args.foreground {
        daemon_log::start();
    }
    with_secret(session, &args.secret, daemon::needed_secret(&config), |session, secret| {
        if !args.foreground {
            return start(session, &config, args, secret);
        }
        let mut told = Ok(());
        let user = daemon::ServiceUser::become_for(&config)?;
        daemon::serve(config.clone(), user, secret, &mut |ready| told = announce(session, &ready))?;
        told
    })
}

/// Serves as the child of [`run`]: the line on stdout is for the parent, not for people.
pub(super) fn run_as_child(args: &MountArgs) -> u8 {
    match serve_detached(args) {
        Ok(()) => 0,
        Err(error) => {
            log::error!("event=daemon_failed error={error}");
            let refusal = Refusal::from(&error);
            // After the mount has answered, stdout is /dev/null and the log has the last word.
            let _ = write_line(&json!({ "error": refusal }));
            refusal.exit_code()
        }
    }
}

fn serve_detached(args: &MountArgs) -> Result<()> {
    let config = configuration(args)?;
    let secret = secret_source::receive(daemon::needed_secret(&config))?;
    // Fails only for the leader of a process group, who then has no terminal to leave anyway.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/").map_err(|cause| Error::io("changing to /", cause))?;
    let user = daemon::ServiceUser::become_for(&config)?;
    // Before the mount answers, so that the log has the start too and the terminal none of it. A
    // state directory that is missing is for `serve` to refuse.
    daemon_log::start_in(config.state_dir.join(LOG));
    daemon::serve(config, user, secret, &mut |ready| {
        let line = json!({ "ok": value_of(&ready) });
        if let Err(error) = write_line(&line).and_then(|()| silence_stdout()) {
            log::warn!("event=parent_gone error={error}");
        }
    })
}

fn configuration(args: &MountArgs) -> Result<Config> {
    let mut config = Config::load(&locate(args.config.as_deref())?)?;
    if let Some(path) = &args.mountpoint {
        let path = std::path::absolute(path)
            .map_err(|cause| Error::io(format!("finding the directory of {path:?}"), cause))?;
        config = config.with_mountpoint(path)?;
    }
    apply_options(&mut config, &args.options)?;
    Ok(config)
}

/// Whether an option of `-o` is taken, or ignored on purpose.
pub(super) fn is_known(option: &str) -> bool {
    option.is_empty() || option == "allow_other" || is_ignored(option)
}

fn is_ignored(option: &str) -> bool {
    let prefixes = ["x-", "X-", "user=", "comment="];
    IGNORED_OPTIONS.contains(&option) || prefixes.iter().any(|start| option.starts_with(start))
}

fn apply_options(config: &mut Config, options: &[String]) -> Result<()> {
    for option in options.iter().map(String::as_str).filter(|option| !option.is_empty()) {
        match option {
            "allow_other" => config.mount.allow_other = true,
            _ if is_ignored(option) => {}
            _ => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("mount option {option:?} is unknown"),
                )
                .remedy(
                    "use -o allow_other; disks are made read-only by disk attach --read-only",
                ));
            }
        }
    }
    Ok(())
}

/// Starts the child, gives it the secret and passes on its line.
fn start(
    session: &mut Session<'_>,
    config: &Config,
    args: &MountArgs,
    secret: Option<SecretText>,
) -> Outcome {
    let starting = |cause| Error::io("starting the daemon", cause);
    let file = std::path::absolute(&config.file).map_err(starting)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("evsfs").args(["mount", "--child", "-c"]).arg(file);
    // A service manager that started this process waits for this process, not for its child.
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
        command.env_remove(variable);
    }
    for option in &args.options {
        command.args(["-o", option]);
    }
    command.arg("--").arg(&config.mountpoint);
    command.stdin(secret_source::child_stdin(secret.as_ref())).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(starting)?;
    secret_source::hand_over(secret, child.stdin.take())?;
    let mut line = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_until(b'\n', &mut line).map_err(starting)?;
    }
    if !line.is_empty() {
        let value = read_answer(&line)?;
        return session.answer(&value, |_| told(&config.mountpoint, &value["pid"]));
    }
    let status = child.wait().map_err(starting)?;
    let message = format!("the daemon ended before the mount answered ({status})");
    let log = config.state_dir.join(LOG);
    Err(Failure::from(
        Error::new(ErrorKind::Internal, message)
            .remedy(format!("read {}, or try evsfs mount --foreground", log.display())),
    ))
}

fn announce(session: &mut Session<'_>, ready: &Ready) -> Outcome {
    let value = value_of(ready);
    session.answer(&value, |value| told(&ready.mountpoint, &value["pid"]))
}

fn told(mountpoint: &Path, pid: &Value) -> String {
    format!("mounted {} (pid {pid})\n", mountpoint.display())
}

fn value_of(ready: &Ready) -> Value {
    json!({ "pid": ready.pid, "mountpoint": ready.mountpoint.to_string_lossy() })
}

fn write_line(value: &Value) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(format!("{value}\n").as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|cause| Error::io("telling the parent", cause))
}

fn silence_stdout() -> Result<()> {
    rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(rustix::stdio::dup2_stdout)
        .map_err(|cause| Error::io("letting go of stdout", cause.into()))
}

#[cfg(test)]
mod tests {
    use super::apply_options;
    use crate::config::Config;
    use std::path::Path;

    fn options(words: &str) -> crate::error::Result<bool> {
        let mut config = Config::parse(Config::example(), Path::new("/f")).unwrap();
        let words: Vec<String> = words.split(',').map(str::to_owned).collect();
        apply_options(&mut config, &words).map(|()| config.mount.allow_other)
    }

    #[test]
    fn words_of_fstab_are_ignored_and_unknown_ones_refused() {
        assert!(options("rw,allow_other,_netdev,x-systemd.automount,nofail,").unwrap());
        assert!(
            !options("defaults,noauto,user,user=me,nosuid,dev,X-mount.mkdir,comment=a").unwrap()
        );
        for word in ["ro", "remount", "allow_root", "default_permissions", "alow_other"] {
            let error = options(word).unwrap_err();
            assert_eq!(error.kind().exit_code(), 2);
            assert!(error.message().contains(word));
        }
    }
}
