//! Running other programs, and not for ever.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::workspace::Workspace;

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    command
}

/// Runs a command whose output the caller sees as it comes.
pub(crate) fn to_the_end(mut command: Command) -> Outcome {
    let status = command.status().map(Some);
    judge(&command, status)
}

/// As [`to_the_end`], but kills the command after so long.
pub(crate) fn within(limit: Duration, mut command: Command) -> Outcome {
    let status = command.spawn().and_then(|mut child| wait_within(limit, &mut child));
    judge(&command, status)
}

/// The standard output of a command that must succeed.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let shown = show(&command);
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown}: {}\n{}", output.status, errors.trim_end()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{shown}: output that is not UTF-8"))
}

/// Whether this program is there and answers `arguments` with success.
pub(crate) fn is_there(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// The command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// `None` when the time was up. Polls, since waiting with a limit is not in the standard library.
fn wait_within(limit: Duration, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn judge(command: &Command, status: io::Result<Option<ExitStatus>>) -> Outcome {
    match status {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("{}: {status}", show(command))),
        Ok(None) => Err(format!("{}: not done in time, killed", show(command))),
        Err(error) => Err(format!("{}: {error}", show(command))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("bin/cargo");
        command.args(["fmt", "--all"]);
        assert_eq!(show(&command), "cargo fmt --all");
    }

    #[test]
    fn what_is_not_there_is_an_error_with_its_name() {
        let failure = to_the_end(Command::new("no-such-program")).unwrap_err();
        assert!(failure.starts_with("no-such-program: "), "{failure}");
        assert!(!is_there("no-such-program", &[]));
    }

    #[cfg(unix)]
    #[test]
    fn what_takes_too_long_is_killed() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let failure = within(Duration::ZERO, command).unwrap_err();
        assert_eq!(failure, "sleep 1000: not done in time, killed");
    }
}
