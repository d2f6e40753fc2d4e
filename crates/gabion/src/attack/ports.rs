//! What can be reached: TCP ports, UDP ports, echo requests.

use std::collections::BTreeSet;
use std::net::IpAddr;

use probe::reach::Patience;
use probe::scan::{self, Answer, Scan};
use probe::{Outside, reach as single};
use serde::{Deserialize, Serialize};

/// One address of the host and the source it is probed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
}

/// What was seen at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Reach {
    pub(crate) tcp: Scan,
    pub(crate) udp: Vec<UdpPort>,
    pub(crate) ping: bool,
}

/// What a UDP port answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct UdpPort {
    pub(crate) port: u16,
    pub(crate) answer: Answer,
}

/// What should answer at one address: its silence is doubted before it is believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShouldAnswer {
    pub(crate) tcp: BTreeSet<u16>,
    pub(crate) ping: bool,
}

/// The first four bytes are a DNS query's head, so that more than an echo has reason to answer.
const PAYLOAD: &[u8] = b"\x67\x61\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01";

/// Probes one address.
pub(crate) fn reach(
    outside: &Outside,
    target: Target,
    up_to: u16,
    udp: &[u16],
    should_answer: ShouldAnswer,
) -> Result<Reach, probe::Error> {
    let Target { from, to } = target;
    let udp = udp.to_vec();
    outside.run(move || {
        let tcp = scan::tcp(from, to, 1..=up_to, &should_answer.tcp)?;
        let ping = single::ping(from, to, Patience::for_answer(should_answer.ping))?;
        // Most services have nothing to say to this payload: silence is what should be expected.
        let ask = |port: u16| {
            single::udp(from, to, port, PAYLOAD, Patience::Brief).map(|answer| UdpPort { port, answer })
        };
        let udp = udp.into_iter().map(ask).collect::<Result<_, _>>()?;
        Ok(Reach { tcp, udp, ping })
    })?
}
