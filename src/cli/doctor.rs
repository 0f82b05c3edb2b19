//! `evsfs doctor`: is this machine, and a configuration, fit for mounting?

use super::failure::{Failure, Outcome};
use super::line::{Line, Style};
use super::refusal::one_line;
use super::session::Session;
use super::watch_args::DoctorArgs;
use crate::config::locate;
use crate::daemon::{self, Check, Health};
use serde_json::json;

/// Shows what was looked at, and ends with exit code 1 if something keeps a mount from working.
pub(super) fn run(session: &mut Session<'_>, args: &DoctorArgs) -> Outcome {
    if let [module, token] = args.probe_token.as_slice() {
        let token = token.to_string_lossy();
        return session.print(&daemon::probe_token(module.as_ref(), &token));
    }
    let checks = daemon::checkup(&locate(args.config.as_deref())?);
    let count = |health| checks.iter().filter(|check| check.health == health).count();
    let (warned, failed) = (count(Health::Warn), count(Health::Fail));
    let value = json!({ "checks": checks, "warnings": warned, "failures": failed });
    let in_colour = session.shows_colours();
    session.answer(&value, |_| shown(&checks, in_colour))?;
    match failed {
        0 => Ok(()),
        // All there is to say has been said.
        _ => Err(Failure::Told(1)),
    }
}

fn shown(checks: &[Check], in_colour: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for area in checks.chunk_by(|a, b| a.area == b.area) {
        lines.push(Line::default().with(Style::Strong, area[0].area));
        for check in area {
            let (style, health) = match check.health {
                Health::Ok => (Style::Good, "ok"),
                Health::Warn => (Style::Warning, "warn"),
                Health::Fail => (Style::Bad, "FAIL"),
            };
            let mut line = Line::plain("  ").with(style, &format!("{health:4}"));
            line.push(Style::Plain, &format!("  {:width$}  ", check.name));
            line.push(Style::Plain, &one_line(&check.message));
            lines.push(line);
            if let Some(remedy) = &check.remedy {
                let remedy = format!("{:8}{:width$}  fix: {}", "", "", one_line(remedy));
                lines.push(Line::default().with(Style::Faint, &remedy));
            }
        }
        lines.push(Line::default());
    }
    lines.push(summary(checks));
    lines.iter().map(|line| line.ansi(usize::MAX, in_colour) + "\n").collect()
}

/// `17 looked at: 15 well, 1 warning, 1 failure`
fn summary(checks: &[Check]) -> Line {
    let count = |health| checks.iter().filter(|check| check.health == health).count();
    let mut line = Line::plain(&format!("{} looked at", checks.len()));
    let (warned, failed) = (count(Health::Warn), count(Health::Fail));
    if warned + failed == 0 {
        return line.with(Style::Good, ", all well");
    }
    line.push(Style::Plain, &format!(": {} well", count(Health::Ok)));
    for (count, what, style) in
        [(warned, "warning", Style::Warning), (failed, "failure", Style::Bad)]
    {
        if count > 0 {
            line.push(Style::Plain, ", ");
            line.push(style, &format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_stand_under_their_areas_with_what_helps_below() {
        let check = |area, name, health, message: &str, remedy: Option<&str>| Check {
            area,
            name,
            health,
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let checks = [
            check("machine", "kernel", Health::Ok, "Linux 6.12", None),
            check("machine", "clock", Health::Warn, "not synchronised", Some("chronyd")),
            check("keys", "hsm", Health::Fail, "no token", Some("connect it")),
        ];
        let expected = "\
machine
  ok    kernel  Linux 6.12
  warn  clock   not synchronised
                fix: chronyd

keys
  FAIL  hsm     no token
                fix: connect it

3 looked at: 1 well, 1 warning, 1 failure
";
        assert_eq!(shown(&checks, false), expected);
        assert!(shown(&checks[..1], false).ends_with("1 looked at, all well\n"));
        assert!(shown(&checks, true).contains("\x1b[1;31mFAIL\x1b[0m"));
    }
}
