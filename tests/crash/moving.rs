//! `evsfs hsm migrate` is killed before each of its system calls.

use crate::support::{Mount, Needs, run, trial};
use crate::token::Token;
use crate::trouble::{
    Amount, CHANGING_CALLS, EVERY_CALL, Injection, Ledger, SECTOR, Strace, calls_in,
};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const DISK_BYTES: usize = 1 << 20;
/// Of how many calls the short form tries one: a move takes long, and makes many.
const SHORT_STEP: usize = 20;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "a_move_to_a_token_that_is_killed_at_any_call_is_not_begun_or_can_be_finished",
        Needs::RootAndToken(&["strace"]),
        a_move_to_a_token_that_is_killed_at_any_call_is_not_begun_or_can_be_finished,
    )]
}

/// A state directory with a disk, to be moved to a token.
struct Rig {
    mount: Mount,
    token: Token,
    template: PathBuf,
    tokens: PathBuf,
}

/// Where SoftHSM2 has its tokens.
fn tokens() -> PathBuf {
    PathBuf::from(std::env::var_os("EVSFS_TEST_TOKENS").unwrap()).join("tokens")
}

impl Rig {
    #[track_caller]
    fn new() -> Rig {
        let (mount, token) = (Mount::new(), Token::new());
        let file = mount.attached_disk("db", "1M", &["--encrypted"]);
        let content = Ledger::content(1, 0, DISK_BYTES / SECTOR, 1);
        let open = std::fs::File::options().write(true).open(file).unwrap();
        open.write_all_at(&content, 0).unwrap();
        drop(open);
        mount.stop();
        let text = std::fs::read_to_string(mount.config_path()).unwrap();
        let (template, tokens) = (mount.scratch().join("template"), mount.scratch().join("tokens"));
        run("cp", &["-a", self::tokens().to_str().unwrap(), tokens.to_str().unwrap()]).ok();
        let rig = Rig { template, tokens, mount, token };
        std::fs::write(rig.to(), format!("{text}\n{}", rig.token.config())).unwrap();
        run("cp", &["-a", rig.state_dir(), rig.template.to_str().unwrap()]).ok();
        rig
    }

    fn to(&self) -> PathBuf {
        self.mount.scratch().join("token.toml")
    }

    fn state_dir(&self) -> &str {
        self.mount.state_dir().to_str().unwrap()
    }

    fn restore(&self) {
        let tokens = tokens();
        for (from, to) in [
            (self.template.to_str().unwrap(), self.state_dir()),
            (self.tokens.to_str().unwrap(), tokens.to_str().unwrap()),
        ] {
            std::fs::remove_dir_all(to).unwrap();
            run("cp", &["-a", from, to]).ok();
        }
    }

    /// Moves the keys to its end or its kill; the exit code.
    fn migrate(&self, calls: &str, injection: Option<(Injection, &str)>) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let (from, to) = (self.mount.config_path(), self.to());
        let arguments =
            ["hsm", "migrate", "-c", from.to_str().unwrap(), "--to", to.to_str().unwrap()];
        let mut child =
            Strace::start(calls, injection, &self.trace(), &[], self.mount.program(), &arguments);
        let status = child.wait().unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    fn trace(&self) -> PathBuf {
        self.mount.scratch().join("trace")
    }

    /// The disk holds what it must, and the state directory nothing else, with this configuration.
    #[track_caller]
    fn check(&self, config: &std::path::Path, when: &str) {
        let config = config.to_str().unwrap();
        self.mount.evsfs_plain(&["mount", "-c", config]).ok();
        let content = std::fs::read(self.mount.mountpoint().join("db")).unwrap();
        Ledger::filled(1, DISK_BYTES).must_hold(when, &content);
        self.mount.evsfs(&["audit", "verify"]).ok();
        self.mount.stop();
        let checked = self.mount.evsfs_plain(&["check", "-c", config]);
        assert_eq!(checked.code, 0, "{when}: {}{}", checked.stdout, checked.stderr);
        for left in ["moving", "moved"] {
            assert!(!self.mount.state_dir().join(left).exists(), "{when}: {left} was left");
        }
    }
}

fn a_move_to_a_token_that_is_killed_at_any_call_is_not_begun_or_can_be_finished() {
    let rig = Rig::new();
    assert_eq!(rig.migrate(Amount::of(CHANGING_CALLS, EVERY_CALL), None), 0);
    let calls = calls_in(&rig.trace());
    rig.check(&rig.to(), "undisturbed");
    let (mut stayed, mut finished, mut lost) = (0, 0, 0);
    for call in calls.iter().step_by(Amount::of(SHORT_STEP, 1)) {
        let when = format!("killed at {call}");
        rig.restore();
        let counted = call.number.to_string();
        if rig.migrate(&call.name, Some((Injection::Kill, &counted))) == 0 {
            continue;
        }
        let old =
            rig.mount.evsfs_plain(&["mount", "-c", rig.mount.config_path().to_str().unwrap()]);
        if old.code == 0 {
            rig.mount.stop();
            rig.check(&rig.mount.config_path(), &when);
            stayed += 1;
        }
        // Whatever was done: with the next attempt it is done, or it was done before.
        let (from, to) = (rig.mount.config_path(), rig.to());
        let again = rig.mount.evsfs_plain(&[
            "hsm",
            "migrate",
            "-c",
            from.to_str().unwrap(),
            "--to",
            to.to_str().unwrap(),
        ]);
        if again.code == 8 {
            // SoftHSM2 writes its files in place, and loses an object or all when it is killed at
            // that. Until all records have been written the keys are where they were.
            assert_eq!(old.code, 0, "{when}: {again:?}");
            lost += 1;
            continue;
        }
        assert!(matches!(again.code, 0 | 3), "{when}: {again:?}");
        rig.check(&rig.to(), &when);
        finished += 1;
    }
    eprintln!(
        "hsm migrate: {} calls, {stayed} kills left all as it was, {finished} were made good, \
         {lost} lost the token",
        calls.len()
    );
    assert!(stayed > lost && finished > stayed / 2);
}
