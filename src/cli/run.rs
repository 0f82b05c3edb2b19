//! From arguments to an exit code.

use super::args::{Args, Command, MountArgs};
use super::client::{ControlFile, Transport};
use super::failure::{Failure, Outcome};
use super::prompt::{ProcessTerminal, Terminal};
use super::refusal::{three_lines, usage};
use super::session::Session;
use super::{
    agency, audit, backup, bench, check, disk, doctor, events, hsm, image, init, job, key, manual,
    mount, mount_helper, server, status, top, umount,
};
use clap::Parser;
use clap::error::ErrorKind as Usage;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code of a usage error (INTERFACE section 4).
const EXIT_USAGE: u8 = 2;
/// The exit code of a bug.
const EXIT_INTERNAL: u8 = 1;

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let code =
        std::panic::catch_unwind(|| main(std::env::args_os().collect())).unwrap_or(EXIT_INTERNAL);
    let _ = std::io::Write::flush(&mut std::io::stdout());
    crate::daemon::end_process(code)
}

fn main(arguments: Vec<OsString>) -> u8 {
    if arguments.first().is_some_and(|called| mount_helper::is_meant(called)) {
        return mount_helper::exit_code_of_mount(help_mount(arguments));
    }
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return not_a_command(&error),
    };
    if let Command::Mount(mount_args @ MountArgs { child: true, .. }) = &args.command {
        return mount::run_as_child(mount_args);
    }
    if let Command::Mount(MountArgs { unmounter: true, mountpoint: Some(path), .. }) = &args.command
    {
        return crate::daemon::serve_unmounts(path);
    }
    let mut control = ControlFile::of(named_mount(&args));
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    perform(&args, &mut control, &mut ProcessTerminal, &mut stdout, &mut stderr)
}

/// Mounts for mount(8), silently unless asked.
fn help_mount(arguments: Vec<OsString>) -> u8 {
    let plan = match mount_helper::plan(arguments) {
        Ok(plan) => plan,
        Err(error) => return not_a_command(&error),
    };
    let (mut shown, mut silent, mut stderr) =
        (std::io::stdout(), std::io::sink(), std::io::stderr());
    let stdout: &mut dyn Write = if plan.is_verbose { &mut shown } else { &mut silent };
    let mut control = ControlFile::of(None);
    perform(&plan.args, &mut control, &mut ProcessTerminal, stdout, &mut stderr)
}

/// Runs one command in the given surroundings and returns its exit code.
fn perform(
    args: &Args,
    daemon: &mut dyn Transport,
    terminal: &mut dyn Terminal,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> u8 {
    let mut session = Session { global: &args.global, daemon, terminal, stdout, stderr };
    match dispatch(&mut session, &args.command) {
        // Who closed the pipe has seen enough, as `head` has.
        Ok(()) | Err(Failure::OutputClosed) => 0,
        Err(Failure::Told(code)) => code,
        Err(Failure::Refused(refusal)) => {
            let text = three_lines(&args.command.undone(), &refusal, args.command.path());
            // The exit code still says it when stderr cannot.
            let _ = stderr.write_all(text.as_bytes());
            refusal.exit_code()
        }
    }
}

fn dispatch(session: &mut Session<'_>, command: &Command) -> Outcome {
    match command {
        Command::Init(args) => init::run(session, args),
        Command::Mount(args) => mount::run(session, args),
        Command::Umount(args) => umount::run(session, args),
        Command::Status(args) => status::run(session, args),
        Command::Top(args) => top::run(session, args),
        Command::Doctor(args) => doctor::run(session, args),
        Command::Disk(command) => disk::run(session, command),
        Command::Key(command) => key::run(session, command),
        Command::Audit(command) => audit::run(session, command),
        Command::Image(command) => image::run(session, command),
        Command::Server(command) => server::run(session, command),
        Command::Backup(command) => backup::run(session, command),
        Command::Job(command) => job::run(session, command),
        Command::Events { count } => events::run(session, *count),
        Command::Hsm(command) => hsm::run(session, command),
        Command::Agency(command) => agency::run(session, *command),
        Command::Check(args) => check::run(session, args),
        Command::Bench(args) => bench::run(session, args),
        Command::Completions { shell } => manual::print_completions(session, *shell),
        Command::Man { directory } => manual::write_pages(session, directory),
    }
}

/// The mount named by an option, or by the argument of the command that has one.
fn named_mount(args: &Args) -> Option<PathBuf> {
    match &args.command {
        Command::Umount(umount) => umount.mountpoint.clone().or_else(|| args.global.mount.clone()),
        _ => args.global.mount.clone(),
    }
}

/// Help and version on stdout, anything else in three lines on stderr.
fn not_a_command(error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        Usage::DisplayHelp | Usage::DisplayVersion => {
            match std::io::stdout().write_all(text.as_bytes()) {
                Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => EXIT_INTERNAL,
                _ => 0,
            }
        }
        Usage::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = std::io::stderr().write_all(text.as_bytes());
            EXIT_USAGE
        }
        _ => {
            let _ = std::io::stderr().write_all(usage(&text).as_bytes());
            EXIT_USAGE
        }
    }
}

/// One line for a bug, in place of a backtrace.
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let what = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let line = format!("evsfs: internal error at {place}: {what}; please report it");
    let _ = writeln!(std::io::stderr(), "{}", super::refusal::one_line(&line));
}

#[cfg(test)]
mod tests {
    use super::{Args, perform};
    use crate::cli::client::Transport;
    use crate::cli::prompt::Terminal;
    use crate::daemon::SecretText;
    use crate::error::Result;
    use clap::Parser;
    use std::collections::VecDeque;
    use std::path::PathBuf;

    /// A daemon that gives prepared answers and keeps the requests.
    #[derive(Default)]
    struct Fake {
        answers: VecDeque<&'static str>,
        requests: Vec<serde_json::Value>,
    }

    impl Transport for Fake {
        fn mountpoint(&mut self) -> Result<PathBuf> {
            Ok(PathBuf::from("/mnt/evs"))
        }

        fn exchange(&mut self, line: &str) -> Result<Vec<u8>> {
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
            self.requests.push(serde_json::from_str(line).unwrap());
            Ok(self.answers.pop_front().expect("a prepared answer").as_bytes().to_vec())
        }
    }

    /// Somebody who types one thing and remembers what was asked, or nobody.
    struct Person {
        types: Option<&'static str>,
        asked: String,
    }

    impl Terminal for Person {
        fn is_interactive(&self) -> bool {
            self.types.is_some()
        }

        fn ask(&mut self, question: &str) -> Result<String> {
            self.asked.push_str(question);
            Ok(self.types.expect("nobody is asked without a terminal").to_owned())
        }

        fn ask_secret(&mut self, question: &str) -> Result<SecretText> {
            SecretText::read_line(&mut self.ask(question)?.as_bytes(), "a test")
        }
    }

    struct Ran {
        code: u8,
        stdout: String,
        stderr: String,
        requests: Vec<serde_json::Value>,
        asked: String,
    }

    fn run(line: &str, person: Option<&'static str>, answers: &[&'static str]) -> Ran {
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        let mut fake = Fake { answers: answers.iter().copied().collect(), requests: Vec::new() };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut person = Person { types: person, asked: String::new() };
        let code = perform(&args, &mut fake, &mut person, &mut stdout, &mut stderr);
        assert!(fake.answers.is_empty(), "{line}: not everything was asked");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code,
            stdout: text(stdout),
            stderr: text(stderr),
            requests: fake.requests,
            asked: person.asked,
        }
    }

    #[test]
    fn every_command_asks_for_its_operation_in_the_words_of_the_interface() {
        for (line, request) in [
            (
                "evsfs disk create db --size 10G",
                r#"{"op":"disk.create","name":"db","size":10737418240}"#,
            ),
            (
                "evsfs disk create db --size 1M --unencrypted --sector-size 512 --backing /dev/sdb",
                r#"{"op":"disk.create","name":"db","size":1048576,"encrypted":false,"sector_size":512,"backing":"/dev/sdb"}"#,
            ),
            (
                "evsfs disk create db --from backup:b --key evs/default --no-wait",
                r#"{"op":"disk.create","name":"db","encrypted":true,"key":"evs/default","from":"backup:b"}"#,
            ),
            ("evsfs disk show db", r#"{"op":"disk.show","name":"db"}"#),
            ("evsfs disk attach db", r#"{"op":"disk.attach","name":"db","read_only":false}"#),
            (
                "evsfs disk attach db --read-only",
                r#"{"op":"disk.attach","name":"db","read_only":true}"#,
            ),
            ("evsfs disk detach db", r#"{"op":"disk.detach","name":"db","force":false}"#),
            (
                "evsfs disk detach db --force --yes",
                r#"{"op":"disk.detach","name":"db","force":true}"#,
            ),
            ("evsfs disk extend db --size 2K", r#"{"op":"disk.extend","name":"db","size":2048}"#),
            ("evsfs disk rewrap db", r#"{"op":"disk.rewrap","name":"db"}"#),
            ("evsfs disk delete db --yes", r#"{"op":"disk.delete","name":"db"}"#),
            (
                "evsfs key create a --description d",
                r#"{"op":"key.create","alias":"a","origin":"kms","description":"d"}"#,
            ),
            (
                "evsfs key create a --external",
                r#"{"op":"key.create","alias":"a","origin":"external"}"#,
            ),
            ("evsfs key show evs/default", r#"{"op":"key.show","alias":"evs/default"}"#),
            ("evsfs key enable a", r#"{"op":"key.enable","alias":"a"}"#),
            ("evsfs key disable a", r#"{"op":"key.disable","alias":"a"}"#),
            (
                "evsfs key schedule-deletion a --days 7 --yes",
                r#"{"op":"key.schedule-deletion","alias":"a","days":7}"#,
            ),
            ("evsfs key cancel-deletion a", r#"{"op":"key.cancel-deletion","alias":"a"}"#),
            ("evsfs key rotate a", r#"{"op":"key.rotate","alias":"a"}"#),
            ("evsfs key rotation a on", r#"{"op":"key.rotation","alias":"a","on":true}"#),
            (
                "evsfs key rotation a on --days 90",
                r#"{"op":"key.rotation","alias":"a","on":true,"days":90}"#,
            ),
            ("evsfs key rotation a off", r#"{"op":"key.rotation","alias":"a","on":false}"#),
            ("evsfs key delete-material a --yes", r#"{"op":"key.delete-material","alias":"a"}"#),
            ("evsfs key confirm-deletion a --yes", r#"{"op":"key.confirm-deletion","alias":"a"}"#),
            ("evsfs key set-alias a b", r#"{"op":"key.set-alias","alias":"a","new_alias":"b"}"#),
            ("evsfs key describe a d", r#"{"op":"key.describe","alias":"a","description":"d"}"#),
            ("evsfs agency create", r#"{"op":"agency.create"}"#),
            ("evsfs agency show", r#"{"op":"agency.show"}"#),
            ("evsfs agency delete --yes", r#"{"op":"agency.delete"}"#),
            (
                "evsfs backup create db b --full --limit 200M --no-wait",
                r#"{"op":"backup.create","disk":"db","name":"b","full":true,"incremental":false,"limit":"200M"}"#,
            ),
            ("evsfs backup show b", r#"{"op":"backup.show","name":"b"}"#),
            ("evsfs backup verify b --no-wait", r#"{"op":"backup.verify","name":"b"}"#),
            ("evsfs disk delete d --dry-run", r#"{"op":"disk.delete","name":"d","dry_run":true}"#),
            (
                "evsfs backup delete b --dry-run",
                r#"{"op":"backup.delete","name":"b","dry_run":true}"#,
            ),
            (
                "evsfs key schedule-deletion a --days 7 --dry-run",
                r#"{"op":"key.schedule-deletion","alias":"a","days":7,"dry_run":true}"#,
            ),
            ("evsfs backup delete b --yes --no-wait", r#"{"op":"backup.delete","name":"b"}"#),
            ("evsfs status", r#"{"op":"mount.status"}"#),
        ] {
            let ran = run(line, None, &["{\"ok\":{}}"]);
            assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
            let expected: serde_json::Value = serde_json::from_str(request).unwrap();
            assert_eq!(ran.requests, [expected], "{line}");
            assert_eq!(ran.stderr, "", "{line}");
            let json = run(&format!("{line} --json"), None, &["{\"ok\":{\"a\":1}}"]);
            assert_eq!(json.stdout, "{\n  \"a\": 1\n}\n", "{line}");
        }
    }

    #[test]
    fn an_empty_list_is_silent_on_stdout_and_an_array_in_json() {
        for noun in ["disk", "key"] {
            let ran = run(&format!("evsfs {noun} list"), None, &["{\"ok\":[]}"]);
            assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
            assert!(ran.stderr.starts_with(&format!("no {noun}s yet; create one: evsfs {noun}")));
            let json = run(&format!("evsfs {noun} list --json"), None, &["{\"ok\":[]}"]);
            assert_eq!((json.stdout.as_str(), json.stderr.as_str()), ("[]\n", ""));
        }
    }

    #[test]
    fn a_refusal_of_the_daemon_is_three_lines_and_its_exit_code_also_with_json() {
        let refusal = r#"{"error":{"code":"EVS.2040","kind":"key-unusable","message":"disk \"db\" cannot be attached: key \"finance\" is disabled","remedy":"evsfs key enable finance","cause":"KMS.0209"}}"#;
        for line in ["evsfs disk attach db", "evsfs disk attach db --json"] {
            let ran = run(line, None, &[refusal]);
            assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
            assert_eq!(
                ran.stderr,
                "evsfs: disk \"db\" was not attached\n\
                 key \"finance\" is disabled (EVS.2040, KMS.0209)\n\
                 fix: evsfs key enable finance\n"
            );
        }
    }

    #[test]
    fn a_bad_argument_is_refused_before_the_daemon_is_asked() {
        for line in [
            "evsfs disk show a/b",
            "evsfs disk create db --size 1X",
            "evsfs disk create db --size 1G --sector-size 1024",
            "evsfs disk create db --size 1G --key a.b",
            "evsfs disk create db --from tape:b",
            "evsfs disk delete .. --yes",
            "evsfs key create evs/mine",
            "evsfs key set-alias a evs/b",
        ] {
            let ran = run(line, None, &[]);
            assert_eq!((ran.code, ran.requests.len()), (2, 0), "{line}");
            assert_eq!(ran.stderr.lines().count(), 3, "{line}: {}", ran.stderr);
            assert!(ran.stderr.lines().nth(2).unwrap().starts_with("fix: "), "{line}");
        }
    }

    #[test]
    fn what_destroys_something_wants_the_name_typed_or_yes() {
        // How often the daemon is asked about the object before the question, and after the answer.
        for (line, name, before, after) in [
            ("evsfs disk delete db", "db", 0, 0),
            ("evsfs disk detach db --force", "db", 0, 1),
            ("evsfs key schedule-deletion a --days 7", "a", 1, 0),
            ("evsfs key confirm-deletion a", "a", 1, 0),
            ("evsfs key delete-material a", "a", 1, 0),
            ("evsfs agency delete", "EVSAccessKMS", 0, 0),
        ] {
            const ANSWERS: [&str; 2] = ["{\"ok\":{}}"; 2];
            let nobody = run(line, None, &[]);
            assert_eq!((nobody.code, nobody.requests.len()), (2, 0), "{line}");
            assert!(nobody.stderr.contains("\nfix: say --yes"), "{}", nobody.stderr);
            for typed in ["", "y", "yes", "DB"] {
                let wrong = run(line, Some(typed), &ANSWERS[..before]);
                assert_eq!((wrong.code, wrong.requests.len()), (2, before), "{line} {typed}");
            }
            let asked = before + after;
            let right = run(line, Some(name), &ANSWERS[..=asked]);
            assert_eq!((right.code, right.requests.len()), (0, asked + 1), "{line}");
        }
    }

    /// INTERFACE section 3: long work answers a job, which the command waits for or leaves alone.
    #[test]
    fn a_command_that_begins_a_job_ends_as_the_job_does() {
        let begun = r#"{"ok":{"job":"0f0e0d0c-0b0a-4908-8706-050403020100"}}"#;
        let running = r#"{"ok":{"kind":"rewrap-all","subject":"all data keys","state":"running","unit":"keys","done":1,"total":2}}"#;
        let done = r#"{"ok":{"kind":"rewrap-all","subject":"all data keys","state":"done","unit":"keys","done":2,"total":2}}"#;
        let failed = r#"{"ok":{"state":"failed","error":{"code":"EVS.2040","kind":"key-unusable","message":"1 of 2 data keys were not rewrapped: key \"old\" is disabled","remedy":"evsfs key enable old"}}}"#;
        let ran = run("evsfs disk rewrap --all", None, &[begun, running, done]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, "2 of 2 data keys are under the newest versions of their master keys\n")
        );
        assert_eq!(ran.stderr, "rewrap-all of all data keys: 1 of 2\n");
        assert_eq!(ran.requests[1]["op"], "job.show");
        let ran = run("evsfs disk rewrap --all --limit 5", None, &[begun, failed]);
        assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
        assert!(ran.stderr.contains("(EVS.2040)\nfix: evsfs key enable old\n"), "{}", ran.stderr);
        assert_eq!(
            ran.requests[0],
            serde_json::json!({"op": "disk.rewrap", "all": true, "limit": "5"})
        );
        let ran = run("evsfs disk rewrap --all --no-wait", None, &[begun]);
        assert_eq!(ran.stdout, "0f0e0d0c-0b0a-4908-8706-050403020100\n");
        let cancelled = r#"{"ok":{"state":"cancelled"}}"#;
        let watch = "evsfs job watch 0f0e0d0c-0b0a-4908-8706-050403020100";
        assert_eq!(run(watch, None, &[cancelled]).code, 4);
        assert_eq!(run("evsfs job watch 12", None, &[]).code, 2);
        assert_eq!(run("evsfs disk rewrap db --no-wait", None, &[]).code, 2);
    }

    #[test]
    fn the_versions_of_a_key_are_shown_with_their_dates_and_disks() {
        let key = r#"{"ok":{"alias":"a","version":2,"versions":[{"version":1,"created":"2026-11-24T10:00:00Z","disks":1},{"version":2,"created":"2026-12-24T10:00:00Z","disks":0,"backups":1,"images":2}]}}"#;
        let ran = run("evsfs key show a", None, &[key]);
        let line = ran.stdout.lines().find(|line| line.starts_with("versions:")).unwrap();
        assert!(
            line.ends_with(
                "1 of 2026-11-24 10:00, 1 disk; 2 of 2026-12-24 10:00, 0 disks, 1 backup, 2 images"
            ),
            "{line}"
        );
    }

    #[test]
    fn material_goes_to_the_daemon_wrapped_and_the_import_key_comes_out_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0x5a; 32]).unwrap();
        let path = file.path().display();
        let key = crate::crypto::ImportKey::generate().unwrap();
        let made = serde_json::json!({"ok": {"public_key": key.public_key(), "token": "t"}});
        let made: &'static str = Box::leak(made.to_string().into_boxed_str());
        let line = format!("evsfs key import a --file {path} --expires 2027-12-31");
        let ran = run(&line, None, &[made, "{\"ok\":{}}"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let [parameters, import] = &ran.requests[..] else { panic!("{:?}", ran.requests) };
        let expected = serde_json::json!({"op": "key.import-parameters", "alias": "a"});
        assert_eq!(*parameters, expected);
        let wrapped = crate::crypto::from_hex(import["wrapped"].as_str().unwrap()).unwrap();
        assert_eq!(key.open(&wrapped).unwrap().expose(), &[0x5a; 32]);
        let expected = serde_json::json!({
            "op": "key.import", "alias": "a", "wrapped": import["wrapped"], "token": "t",
            "expires": "2027-12-31",
        });
        assert_eq!(*import, expected);
        // What is no key needs no wrapping to be refused.
        let short = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(short.path(), [0x5a; 31]).unwrap();
        let line = format!("evsfs key import a --file {}", short.path().display());
        assert_eq!(run(&line, None, &["{\"ok\":{}}"]).requests[0]["material"], "5a".repeat(31));
        let line = format!("evsfs key import a --file {path} --wrapped --token t");
        let ran = run(&line, None, &["{\"ok\":{}}"]);
        assert_eq!(ran.requests[0]["wrapped"], "5a".repeat(32));
        assert_eq!(ran.requests[0]["token"], "t");
        let made =
            r#"{"ok":{"public_key":"PEM\n","token":"t","valid_until":"2026-11-25T10:00:00Z"}}"#;
        let ran = run("evsfs key import-parameters a", None, &[made]);
        assert_eq!(ran.stdout, "PEM\n");
        assert!(ran.stderr.contains("token t"), "{}", ran.stderr);
    }

    const KEY: &str = r#"{"ok":{"alias":"a","state":"enabled","disks":["db","logs","web"],"attached_disks":["db"]}}"#;

    #[test]
    fn before_a_key_is_taken_away_a_person_sees_the_disks_under_it() {
        let list =
            "3 disks, 1 attached: db (attached), logs, web. Attached disks go on until detached";
        for (line, typed, question) in [
            ("evsfs key disable a", "y", "Disable it? [y/N] "),
            ("evsfs key schedule-deletion a --days 7", "a", "Type a to go on: "),
            ("evsfs key confirm-deletion a", "a", "Type a to go on: "),
            ("evsfs key delete-material a", "a", "Type a to go on: "),
        ] {
            let ran = run(line, Some(typed), &[KEY, "{\"ok\":{}}"]);
            assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
            assert!(ran.asked.contains(list), "{line}: {}", ran.asked);
            assert!(ran.asked.ends_with(&format!(".\n{question}")), "{line}: {}", ran.asked);
            assert_eq!(ran.requests[0]["op"], "key.show", "{line}");
            let ran = run(line, Some("n"), &[KEY]);
            assert_eq!((ran.code, ran.requests.len()), (2, 1), "{line}");
        }
    }

    #[test]
    fn disabling_a_key_without_disks_or_from_a_script_asks_nothing() {
        let unused = r#"{"ok":{"alias":"a","disks":[],"attached_disks":[]}}"#;
        let ran = run("evsfs key disable a", Some("n"), &[unused, "{\"ok\":{}}"]);
        assert_eq!((ran.code, ran.asked.as_str()), (0, ""));
        for (line, person) in
            [("evsfs key disable a", None), ("evsfs key disable a --yes", Some("n"))]
        {
            let ran = run(line, person, &["{\"ok\":{}}"]);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
        }
    }

    const LOST: &str = r#"{"ok":{"name":"db","attached":true,"key":"a","key_state":"disabled"}}"#;

    #[test]
    fn a_detach_that_cannot_be_undone_asks_a_person_and_warns_a_script() {
        let why =
            "disk \"db\" cannot be attached again: key \"a\" is disabled; fix: evsfs key enable a";
        let ran = run("evsfs disk detach db", Some("y"), &[LOST, LOST]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(ran.asked, format!("{why}\nDetach it? [y/N] "));
        let ran = run("evsfs disk detach db", Some(""), &[LOST]);
        assert_eq!((ran.code, ran.requests.len()), (2, 1));
        for (line, person) in
            [("evsfs disk detach db", None), ("evsfs disk detach db --yes", Some("n"))]
        {
            let ran = run(line, person, &[LOST]);
            assert_eq!(ran.stdout, "disk \"db\" is detached\n", "{line}");
            assert_eq!((ran.code, ran.stderr), (0, format!("{why}\n")), "{line}");
        }
    }

    #[test]
    fn a_key_whose_destruction_waits_for_a_doubted_clock_says_how_to_go_on() {
        let waits = r#"{"ok":{"alias":"a","deletion_waits_until":"2026-11-25T10:00:00Z"}}"#;
        let ran = run("evsfs key show a", None, &[waits]);
        assert!(ran.stdout.contains("deletion-waits-until: 2026-11-25 10:00\n"), "{}", ran.stdout);
        assert!(ran.stderr.contains("evsfs key confirm-deletion a\n"), "{}", ran.stderr);
        let ran = run("evsfs key show a", None, &[r#"{"ok":{"alias":"a"}}"#]);
        assert_eq!(ran.stderr, "");
    }

    const NO_AGENCY: &str = r#"{"error":{"code":"EVS.2143","kind":"no-agency","message":"EVS may not use the KMS yet","remedy":"evsfs agency create"}}"#;

    /// RULES A2: the CLI asks, and does it on yes.
    #[test]
    fn the_first_encryption_offers_to_create_the_agency_and_tries_again_on_yes() {
        for line in ["evsfs disk create db --size 1G", "evsfs disk attach db"] {
            let ran = run(line, Some("y"), &[NO_AGENCY, "{\"ok\":{}}", "{\"ok\":{}}"]);
            assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
            assert_eq!(ran.requests[1]["op"], "agency.create");
            assert_eq!(ran.requests[0], ran.requests[2]);
        }
    }

    /// RULES A2.
    #[test]
    fn without_a_yes_the_agency_is_not_created() {
        for person in [None, Some(""), Some("n"), Some("db")] {
            let ran = run("evsfs disk create db --size 1G", person, &[NO_AGENCY]);
            assert_eq!((ran.code, ran.requests.len()), (6, 1));
            assert!(ran.stderr.ends_with("(EVS.2143)\nfix: evsfs agency create\n"));
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        struct Broken(std::io::ErrorKind);
        impl std::io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let args = Args::try_parse_from(["evsfs", "disk", "show", "db"]).unwrap();
        for (kind, code) in
            [(std::io::ErrorKind::BrokenPipe, 0), (std::io::ErrorKind::StorageFull, 9)]
        {
            let mut fake = Fake { answers: [r#"{"ok":{"name":"db"}}"#].into(), ..Fake::default() };
            let mut stderr = Vec::new();
            let mut person = Person { types: None, asked: String::new() };
            let ended = perform(&args, &mut fake, &mut person, &mut Broken(kind), &mut stderr);
            assert_eq!(ended, code);
            assert_eq!(stderr.is_empty(), code == 0);
        }
    }
}
