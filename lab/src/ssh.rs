//! Logins into a host by the real OpenSSH client.

use crate::error::{Doing, Result};
use crate::net::{HOST_V4, Wire};
use crate::process::{Output, PATIENCE, Running, run};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How a login proves who it is. Only this way is tried.
#[derive(Debug, Clone, Copy)]
pub enum Auth<'a> {
    /// The private key in this file.
    Key(&'a Path),
    /// This password, as `password` or `keyboard-interactive`.
    Password(&'a str),
    /// Nothing at all (`none`): what an account without a password lets in.
    Nothing,
}

/// A login to be made. A failed one is an [`Output`] with status 255 and the client's words on standard error.
#[derive(Debug, Clone)]
#[must_use = "a login is made by `run`, `run_tty` or `session`"]
pub struct Ssh<'a> {
    wire: &'a Wire,
    dir: &'a Path,
    user: &'a str,
    auth: Auth<'a>,
    from: Option<IpAddr>,
    to: IpAddr,
    port: u16,
    options: Vec<String>,
}

impl<'a> Ssh<'a> {
    pub(crate) fn new(wire: &'a Wire, dir: &'a Path, user: &'a str, auth: Auth<'a>) -> Self {
        Self { wire, dir, user, auth, from: None, to: HOST_V4.into(), port: 22, options: Vec::new() }
    }

    /// The source address, any of the same IP version as the target's. The default is the outside's own.
    pub fn from(mut self, address: impl Into<IpAddr>) -> Self {
        self.from = Some(address.into());
        self
    }

    /// The address logged in to. The default is [`HOST_V4`].
    pub fn to(mut self, address: impl Into<IpAddr>) -> Self {
        self.to = address.into();
        self
    }

    /// The port. The default is 22.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// A further `-o` option of the client, as `ServerAliveInterval=1`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Logs in and runs `command` by the account's shell, without a terminal.
    ///
    /// # Errors
    /// Where the client cannot be started, or runs for over two minutes.
    pub fn run(&self, command: &str) -> Result<Output> {
        self.run_with(command, b"", PATIENCE)
    }

    /// Logs in and runs `command` on `input`, for at most `limit`.
    ///
    /// # Errors
    /// As [`Ssh::run`].
    pub fn run_with(&self, command: &str, input: &[u8], limit: Duration) -> Result<Output> {
        run(self.client()?.arg("-T").arg(self.destination()).arg(command), input, limit)
    }

    /// Logs in and runs `command` on a terminal (`ssh -tt`). Its two streams then come as one, with CR LF.
    ///
    /// # Errors
    /// As [`Ssh::run`].
    pub fn run_tty(&self, command: &str) -> Result<Output> {
        run(self.client()?.arg("-tt").arg(self.destination()).arg(command), b"", PATIENCE)
    }

    /// Logs in on a terminal, to an interactive shell that stays open: type with [`Running::send`], read with
    /// [`Running::expect`]; [`Running::kill`] closes the terminal as a lost connection does.
    ///
    /// # Errors
    /// Where the client cannot be started.
    pub fn session(&self) -> Result<Running> {
        Running::start_interactive(self.client()?.arg("-tt").arg(self.destination()))
    }

    /// Starts `command` by a login without a terminal, and returns at once.
    ///
    /// # Errors
    /// Where the client cannot be started.
    pub fn spawn(&self, command: &str) -> Result<Running> {
        Running::start_interactive(self.client()?.arg("-T").arg(self.destination()).arg(command))
    }

    fn destination(&self) -> String {
        format!("{}@{}", self.user, self.to)
    }

    fn client(&self) -> Result<Command> {
        let mut ssh = self.wire.outside().command("ssh");
        ssh.args(["-F", "none", "-p", &self.port.to_string()]);
        let known = format!("UserKnownHostsFile={}", self.dir.join("known_hosts").display());
        let plain = ["StrictHostKeyChecking=accept-new", "GlobalKnownHostsFile=none", "IdentityAgent=none"];
        let patience =
            ["ConnectTimeout=30", "NumberOfPasswordPrompts=1", "LogLevel=ERROR", "UpdateHostKeys=no"];
        options(&mut ssh, &plain);
        options(&mut ssh, &patience);
        options(&mut ssh, &[&known]);
        if let Some(from) = self.from {
            self.wire.adopt(from)?;
            ssh.arg("-b").arg(from.to_string());
        }
        self.authenticate(&mut ssh)?;
        self.options.iter().for_each(|option| options(&mut ssh, &[option]));
        Ok(ssh)
    }

    fn authenticate(&self, ssh: &mut Command) -> Result<()> {
        match self.auth {
            Auth::Key(path) => {
                options(ssh, &["PreferredAuthentications=publickey", "IdentitiesOnly=yes", "BatchMode=yes"]);
                ssh.arg("-i").arg(path);
            }
            Auth::Password(password) => {
                let methods = "PreferredAuthentications=password,keyboard-interactive";
                options(ssh, &[methods, "PubkeyAuthentication=no"]);
                ssh.env("SSH_ASKPASS", self.askpass()?).env("SSH_ASKPASS_REQUIRE", "force");
                ssh.env("LAB_PASSWORD", password);
            }
            Auth::Nothing => options(ssh, &["PreferredAuthentications=none", "BatchMode=yes"]),
        }
        Ok(())
    }

    /// The program that ssh asks for the password instead of the terminal.
    fn askpass(&self) -> Result<PathBuf> {
        let path = self.dir.join("askpass");
        if !path.exists() {
            let new = self.dir.join(format!("askpass.{:?}", std::thread::current().id()));
            fs::write(&new, "#!/bin/sh\nprintf '%s\\n' \"$LAB_PASSWORD\"\n").doing("write", &new)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(0o700)).doing("make executable", &new)?;
            fs::rename(&new, &path).doing("rename", &path)?;
        }
        Ok(path)
    }
}

fn options(ssh: &mut Command, options: &[&str]) {
    for option in options {
        ssh.args(["-o", option]);
    }
}
