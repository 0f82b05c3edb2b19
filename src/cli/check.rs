//! `evsfs check`: a state directory that is not mounted.

use super::args::CheckArgs;
use super::failure::Outcome;
use super::refusal::one_line;
use super::secret_source::with_secret;
use super::session::Session;
use crate::config::{Config, locate};
use crate::daemon;
use crate::daemon::{CheckMode, CheckReport, Finding, Mending};
use crate::error::{Error, ErrorKind};
use serde_json::{Value, json};

/// Checks the state directory, shows what is wrong, and ends with exit code 7 if anything is.
pub(super) fn run(session: &mut Session<'_>, args: &CheckArgs) -> Outcome {
    let config = Config::load(&locate(args.config.as_deref())?)?;
    let needed = daemon::needed_secret(&config);
    let mode = match (args.repair, args.accept) {
        (_, true) => CheckMode::Accept,
        (true, false) if !args.dry_run => CheckMode::Repair,
        (_, false) => CheckMode::Look,
    };
    let report = with_secret(session, &args.secret, needed, |_, secret| {
        Ok(daemon::check(&config, secret.as_ref(), mode)?)
    })?;
    let value = json!({ "checked": report.checked, "findings": findings(&report) });
    session.answer(&value, |_| shown(&report, args.dry_run))?;
    // A dry run ends as the repair would.
    let is_left = |finding: &&Finding| match finding.mending {
        Mending::Done => false,
        Mending::Possible => !args.dry_run,
        Mending::ByHand => true,
    };
    let left = report.findings.iter().filter(is_left).count();
    let count = match left {
        0 => return Ok(()),
        1 => "1 problem was".to_owned(),
        several => format!("{several} problems were"),
    };
    let remedy = if args.dry_run {
        "the fix under each, and evsfs check --repair for what it says it would repair"
    } else if args.repair {
        "the fix under each: --repair has mended what can be mended without loss"
    } else {
        "evsfs check --repair, or the fix under each"
    };
    Err(Error::new(
        ErrorKind::Integrity,
        format!("{count} found in {}", config.state_dir.display()),
    )
    .remedy(remedy)
    .into())
}

fn findings(report: &CheckReport) -> Vec<Value> {
    let finding = |finding: &Finding| {
        json!({
            "file": finding.file.to_string_lossy(),
            "problem": finding.problem,
            "remedy": finding.remedy,
            "repairable": finding.mending != Mending::ByHand,
            "repaired": finding.mending == Mending::Done,
        })
    };
    report.findings.iter().map(finding).collect()
}

fn shown(report: &CheckReport, is_dry_run: bool) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&format!(
            "{}: {}\n  {}\n",
            one_line(&finding.file.to_string_lossy()),
            one_line(&finding.problem),
            match finding.mending {
                Mending::Done => "repaired".to_owned(),
                Mending::Possible if is_dry_run => "would be repaired".to_owned(),
                Mending::Possible | Mending::ByHand =>
                    format!("fix: {}", one_line(&finding.remedy)),
            }
        ));
    }
    let outcome = match report.findings.len() {
        0 => "all sound".to_owned(),
        count => format!("{count} with a problem"),
    };
    text.push_str(&format!("{} checked, {outcome}\n", report.checked));
    text
}
