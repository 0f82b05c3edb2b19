//! `evsfs check`: a state directory that is not mounted.

use super::args::CheckArgs;
use super::failure::Outcome;
use super::refusal::one_line;
use super::session::Session;
use crate::config::{Config, locate};
use crate::daemon;
use crate::daemon::CheckReport;
use crate::error::{Error, ErrorKind};
use serde_json::{Value, json};

/// Checks the state directory, shows what is wrong, and ends with exit code 7 if anything is.
pub(super) fn run(session: &mut Session<'_>, args: &CheckArgs) -> Outcome {
    let config = Config::load(&locate(args.config.as_deref())?)?;
    let report = daemon::check(&config, args.repair)?;
    let value = json!({ "checked": report.checked, "findings": findings(&report) });
    session.answer(&value, |_| shown(&report))?;
    if report.findings.is_empty() {
        return Ok(());
    }
    let count = match report.findings.len() {
        1 => "1 problem was".to_owned(),
        several => format!("{several} problems were"),
    };
    let remedy = if args.repair {
        "see the fix under each; what --repair mended is gone at the next check"
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
    let finding = |finding: &daemon::Finding| {
        json!({
            "file": finding.file.to_string_lossy(),
            "problem": finding.problem,
            "remedy": finding.remedy,
        })
    };
    report.findings.iter().map(finding).collect()
}

fn shown(report: &CheckReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&format!(
            "{}: {}\n  fix: {}\n",
            one_line(&finding.file.to_string_lossy()),
            one_line(&finding.problem),
            one_line(&finding.remedy)
        ));
    }
    let outcome = match report.findings.len() {
        0 => "all sound".to_owned(),
        count => format!("{count} with a problem"),
    };
    text.push_str(&format!("{} checked, {outcome}\n", report.checked));
    text
}
