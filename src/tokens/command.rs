//! `token_command`: a program whose first line is an access token.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::TokenError;
use crate::reply::header::HeaderText;

/// The program ends within this, or is killed with all that it started.
const PATIENCE: Duration = Duration::from_secs(30);
/// No more of what it prints is kept.
const MOST_BYTES: u64 = 64 * 1024;
/// How many characters of its complaints are told.
const MOST_CHARS: usize = 300;

/// Kills the program's process group, unless it ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL); // none is left: good
        }
    }
}

/// Runs the program, without a shell, and gives the first line that it prints.
///
/// # Errors
/// [`TokenError::Command`], with the end of what it says on stderr.
pub(super) async fn run(command: &[String]) -> Result<SecretString, TokenError> {
    run_within(PATIENCE, command).await.map_err(TokenError::Command)
}

async fn run_within(patience: Duration, command: &[String]) -> Result<SecretString, String> {
    let (program, arguments) = command.split_first().ok_or("it names no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut group = Group(child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = timeout(patience, async { tokio::join!(read(stdout), read(stderr), child.wait()) }).await;
    let Ok((printed, complaint, status)) = ended else {
        return Err(format!("{program} did not end within {} s and was killed", patience.as_secs()));
    };
    group.0 = None;
    let status = status.map_err(|error| format!("{program}: {error}"))?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
        let last = complaint.lines().next_back().unwrap_or("it says nothing on stderr");
        return Err(format!("{program} ended with {status}: {}", HeaderText::new(last, MOST_CHARS).as_str()));
    }
    match printed.split(|byte| *byte == b'\n').next().map(<[u8]>::trim_ascii) {
        Some(line) if !line.is_empty() && line.iter().all(u8::is_ascii_graphic) => {
            Ok(SecretString::from(String::from_utf8_lossy(line).into_owned()))
        }
        _ => Err(format!("{program} printed no token on its first line")),
    }
}

/// Reads to the end, and keeps the beginning.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Zeroizing<Vec<u8>> {
    let mut kept = Zeroizing::new(Vec::new());
    if let Some(mut pipe) = pipe {
        // what cannot be read is missing below
        let _ = (&mut pipe).take(MOST_BYTES).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    kept
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    async fn shell(script: &str) -> Result<String, String> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let token = run_within(Duration::from_secs(20), &command).await?;
        Ok(token.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn its_first_line_is_the_token() {
        assert_eq!(shell("echo ' abc '; echo more; echo noise >&2").await.unwrap(), "abc");
        assert_eq!(shell("echo abc; head -c 1000000 /dev/zero").await.unwrap(), "abc");
        for (script, want) in [
            ("true", "/bin/sh printed no token on its first line"),
            ("echo; echo abc", "/bin/sh printed no token on its first line"),
            ("echo 'a b'", "/bin/sh printed no token on its first line"),
            ("echo abc; exit 3", "/bin/sh ended with exit status: 3: it says nothing on stderr"),
            (
                "echo x >&2; printf 'no \\033[1mlogin' >&2; exit 1",
                "/bin/sh ended with exit status: 1: no [1mlogin",
            ),
        ] {
            assert_eq!(shell(script).await.unwrap_err(), want);
        }
        let missing = ["/nowhere/at/all".to_owned()];
        assert!(run(&missing).await.unwrap_err().to_string().contains("No such file"));
        assert!(run(&[]).await.is_err());
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let command = ["/bin/sh".to_owned(), "-c".to_owned(), script];
        let error = run_within(Duration::from_secs(2), &command).await.unwrap_err();
        assert_eq!(error, "/bin/sh did not end within 2 s and was killed");
        let pid = std::fs::read_to_string(file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        let is_gone = || state().map_or(true, |stat| stat.contains(") Z "));
        for _ in 0..1000 {
            if is_gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", state());
    }
}
