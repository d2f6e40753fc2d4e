//! The SSH server of the copy: the machine's own sshd with the copy's configuration, or a stand-in where there is none.
#![allow(
    clippy::disallowed_methods,
    reason = "runs inside the copy alone: what is written there lands in memory"
)]

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use host::Facts;

use super::stand_ins::{self, Arrivals};

/// What answers on the SSH ports of the copy.
pub(super) enum Server {
    /// The machine's own sshd; it ends with process 1 of the copy.
    Real { ports: Vec<u16> },
    /// Something that takes connections and nothing more.
    StandIn { port: u16, why: String },
}

impl Server {
    /// Starts it.
    pub(super) fn start(machine: &Facts) -> Self {
        let port = controls::filter::ssh_ports(machine).first().copied().unwrap_or(22);
        let stand_in = |why: String| {
            let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
            let (listening, datagrams) = (stand_ins::accept(at), stand_ins::echo(at, &Arrivals::default()));
            let why = match listening.or(datagrams) {
                Ok(()) => why,
                Err(error) => format!("{why}, and nothing could stand in for it: {error}"),
            };
            Self::StandIn { port, why }
        };
        let Some(Some(program)) = machine.ssh.program.known() else {
            return stand_in("there is no SSH server on this machine".to_owned());
        };
        match start_sshd(program, &machine.ssh.main_file, machine) {
            Ok(ports) => Self::Real { ports },
            Err(why) => stand_in(format!("the SSH server of this machine does not start in the copy: {why}")),
        }
    }

    /// The ports on which it answers.
    pub(super) fn ports(&self) -> Vec<u16> {
        match self {
            Self::Real { ports } => ports.clone(),
            Self::StandIn { port, .. } => vec![*port],
        }
    }

    /// Whether logins can be tried on it.
    pub(super) fn is_real(&self) -> bool {
        matches!(self, Self::Real { .. })
    }
}

fn start_sshd(program: &Path, main_file: &Path, machine: &Facts) -> Result<Vec<u16>, String> {
    fs::create_dir_all("/run/sshd").map_err(|error| error.to_string())?;
    let empty = PathBuf::from("/var/empty/sshd");
    if empty.parent().is_some_and(Path::is_dir) && !empty.exists() {
        fs::create_dir(&empty).map_err(|error| error.to_string())?;
    }
    // A machine whose keys are made at its first boot has none yet.
    if let Some(keygen) = machine.system.programs.get("ssh-keygen") {
        let _sshd_says_what_is_missing =
            Command::new(keygen).arg("-A").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    let ports = controls::filter::ssh_ports(machine);
    let mut command = Command::new(program);
    command.arg("-D");
    // As the machine starts it: a server with a file of its own is told apart from the one that a reload is for.
    if main_file != Path::new("/etc/ssh/sshd_config") {
        command.arg("-f").arg(main_file);
    }
    // A socket unit hands its own ports over; without one they must be said.
    if has_active_socket(machine) {
        for port in &ports {
            command.args(["-p", &port.to_string()]);
        }
    }
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Ok(Some(status)) = process.try_wait() {
            return Err(format!("it ended at once ({status})"));
        }
        let answers = |ip: std::net::IpAddr| {
            ports.iter().any(|port| {
                TcpStream::connect_timeout(&SocketAddr::new(ip, *port), Duration::from_millis(200)).is_ok()
            })
        };
        if answers(Ipv4Addr::LOCALHOST.into()) || answers(Ipv6Addr::LOCALHOST.into()) {
            return Ok(ports);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _it_never_answered = process.kill();
    Err("it did not answer within half a minute".to_owned())
}

fn has_active_socket(machine: &Facts) -> bool {
    let units = machine.ssh.units.known().map(Vec::as_slice).unwrap_or_default();
    units.iter().any(|unit| unit.name.ends_with(".socket") && unit.active == "active")
}
