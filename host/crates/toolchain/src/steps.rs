//! Steps that a reader can follow: what is done, and how long it took.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What went wrong, in words for the reader.
pub type Outcome<T = ()> = Result<T, String>;

/// Runs a step between its title and its time.
///
/// # Errors
/// That of the work.
pub fn step<T>(title: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    eprintln!("==> {title}");
    let start = Instant::now();
    let done = work();
    let word = if done.is_ok() { "done" } else { "failed" };
    eprintln!("    {word} in {}", show(start.elapsed()));
    done
}

/// Says one line below a step's title.
pub fn note(text: &str) {
    eprintln!("    {text}");
}

/// Runs a command with its output on the terminal; failure is an error that
/// names the command.
///
/// # Errors
/// The command fails, or cannot be started.
pub fn run(command: &mut Command) -> Outcome {
    let shown = describe(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(error) => Err(format!("`{shown}` cannot be started: {error}")),
    }
}

/// Runs a command whose output matters only if it fails.
///
/// # Errors
/// The command fails, with its last lines, or cannot be started.
pub fn run_quietly(command: &mut Command) -> Outcome {
    let shown = describe(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!(
        "`{shown}` failed: {}\n{}",
        output.status,
        last.join("\n")
    ))
}

/// The standard output of a command that succeeds, without its last line end.
#[must_use]
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

fn describe(command: &Command) -> String {
    let mut text = program_name(command);
    for argument in command.get_args() {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

/// The program without its folder: where cargo stands says nothing.
fn program_name(command: &Command) -> String {
    let path = std::path::Path::new(command.get_program());
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// A time as people read it: `0.4 s`, `1 min 20 s`.
fn show(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(show(Duration::from_millis(420)), "0.4 s");
        assert_eq!(show(Duration::from_secs(80)), "1 min 20 s");
    }

    #[test]
    fn failure_names_the_command_without_its_folder() {
        let failed = run(&mut Command::new("/bin/false"));
        assert!(failed.unwrap_err().starts_with("`false` failed"));
        let failed = run(Command::new("/nowhere/tool").arg("x"));
        assert!(
            failed
                .unwrap_err()
                .starts_with("`tool x` cannot be started")
        );
        let failed = run_quietly(Command::new("sh").args(["-c", "echo no >&2; exit 3"]));
        assert!(failed.unwrap_err().ends_with("\nno"));
    }

    #[test]
    fn output_is_that_of_success_only() {
        assert_eq!(
            output_of(Command::new("echo").arg("hi")),
            Some("hi".to_owned())
        );
        assert_eq!(output_of(&mut Command::new("false")), None);
    }
}
