//! Logins over SSH, by the host's own client, from outside.
#![allow(
    clippy::disallowed_methods,
    reason = "starts the ssh client in a throwaway namespace; it changes nothing on the machine"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use probe::Outside;
use serde::{Deserialize, Serialize};

/// The ssh client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) program: PathBuf,
    /// This program, which answers a password prompt.
    pub(crate) answers: PathBuf,
}

/// How an attempt to log in ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "detail")]
pub(crate) enum Attempt {
    /// Logged in; what the command printed.
    Succeeded(String),
    /// Refused by the server: the last thing that the client said.
    Refused(String),
    /// No connection.
    Unreachable(String),
}

/// The ways of logging in that a server offers, as the client names them when it gives up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "detail")]
pub(crate) enum Offered {
    /// `publickey`, `password`, `keyboard-interactive` and others.
    Methods(Vec<String>),
    /// The server let the account in without asking anything.
    OpenDoor,
    /// It could not be asked.
    Unreachable(String),
}

/// The words that are tried first by those who guess.
const GUESSES: &[&str] = &["123456", "password", "root"];

/// Asks a server for its ways of logging in to an account.
pub(crate) fn methods(
    outside: &Outside,
    client: &Client,
    account: &str,
    server: SocketAddr,
) -> Result<Offered, probe::Error> {
    let mut command = client.command(account, server);
    command.args(["-o", "BatchMode=yes", "-o", "PreferredAuthentications=none"]).args([
        "--",
        &host(server),
        "true",
    ]);
    let output = outside.run(move || command.output())?;
    Ok(match attempt(output) {
        Attempt::Succeeded(_) => Offered::OpenDoor,
        Attempt::Refused(text) => Offered::Methods(methods_in(&text)),
        Attempt::Unreachable(text) => Offered::Unreachable(text),
    })
}

/// Tries the passwords that everybody tries.
pub(crate) fn guess_passwords(
    outside: &Outside,
    client: &Client,
    account: &str,
    server: SocketAddr,
) -> Result<(usize, Attempt), probe::Error> {
    let mut tried = 0;
    let mut last = Attempt::Unreachable("not tried".to_owned());
    for guess in GUESSES {
        let mut command = client.command(account, server);
        command
            .args([
                "-o",
                "PreferredAuthentications=password,keyboard-interactive",
                "-o",
                "PubkeyAuthentication=no",
            ])
            .args(["-o", "NumberOfPasswordPrompts=1", "--", &host(server), "true"])
            .env("SSH_ASKPASS", &client.answers)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("DISPLAY", "none")
            .env("GABION_ANSWER", guess);
        let output = outside.run(move || command.output())?;
        tried += 1;
        last = attempt(output);
        let offered = match &last {
            Attempt::Refused(text) => methods_in(text).iter().any(|method| method != "publickey"),
            Attempt::Succeeded(_) | Attempt::Unreachable(_) => false,
        };
        if !offered {
            break;
        }
    }
    Ok((tried, last))
}

/// Logs in with a key and runs a command.
pub(crate) fn log_in_by_key(
    outside: &Outside,
    client: &Client,
    account: &str,
    server: SocketAddr,
    key: &Path,
    run: &str,
) -> Result<Attempt, probe::Error> {
    let mut command = client.command(account, server);
    command
        .args([
            "-o",
            "BatchMode=yes",
            "-o",
            "PreferredAuthentications=publickey",
            "-o",
            "IdentitiesOnly=yes",
            "-i",
        ])
        .arg(key)
        .args(["--", &host(server), run]);
    let output = outside.run(move || command.output())?;
    Ok(attempt(output))
}

impl Client {
    /// The machine's own client, where it has one.
    pub(crate) fn of(facts: &host::Facts, answers: Option<PathBuf>) -> Option<Self> {
        let program = facts.system.programs.get("ssh")?.clone();
        Some(Self { program, answers: answers.unwrap_or_default() })
    }

    fn command(&self, account: &str, server: SocketAddr) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=15"])
            .args(["-o", "ControlPath=none", "-o", "ForwardAgent=no"])
            .args(["-p", &server.port().to_string(), "-l", account]);
        command
    }
}

fn host(server: SocketAddr) -> String {
    server.ip().to_string()
}

fn attempt(output: std::io::Result<Output>) -> Attempt {
    let output = match output {
        Ok(output) => output,
        Err(error) => return Attempt::Unreachable(error.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default().trim().to_owned();
    if output.status.success() {
        return Attempt::Succeeded(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    // 255 is the client's own failure; anything else is the command's.
    if output.status.code() != Some(255) {
        return Attempt::Succeeded(last);
    }
    if said.contains("Permission denied") || said.contains("Too many authentication failures") {
        return Attempt::Refused(last);
    }
    Attempt::Unreachable(last)
}

/// The list in `Permission denied (publickey,password).`
fn methods_in(text: &str) -> Vec<String> {
    let list = text.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(list, _)| list);
    list.split(',').filter(|method| !method.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::methods_in;

    #[test]
    fn the_methods_are_read_from_what_the_client_says_when_it_gives_up() {
        let text = "admin@192.0.2.1: Permission denied (publickey,keyboard-interactive).";
        assert_eq!(methods_in(text), ["publickey", "keyboard-interactive"]);
        assert!(methods_in("Connection closed").is_empty());
    }
}
