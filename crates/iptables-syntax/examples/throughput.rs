//! How many rules a second are parsed on one core: `cargo run --release -p iptables-syntax --example throughput [FILE]`.
//! Without a file, 100,000 rules in the manner of real dumps.
#![allow(clippy::print_stdout, reason = "it says what it measured")]

use std::fmt::Write as _;

use iptables_syntax::{Family, Mode, parse_save};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => sample(100_000).into_bytes(),
    };
    let mut best = f64::MAX;
    let mut rules = 0;
    for _ in 0..20 {
        let start = on_cpu()?;
        let (save, _) = parse_save(&text, Family::Ipv4, Mode::Lenient)?;
        best = best.min(on_cpu()? - start);
        rules = save.rules().count();
    }
    let rate = f64::from(u32::try_from(rules)?) / best;
    println!("{rules} rules in {:.1} ms: {rate:.0} rules/s", best * 1000.0);
    Ok(())
}

/// Seconds that this thread has had of a core: others on the machine do not count.
fn on_cpu() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let microseconds: u32 = (text.split(' ').next().unwrap_or("").parse::<u64>()? / 1000).try_into()?;
    Ok(f64::from(microseconds) / 1e6)
}

/// Rules of the kinds that dumps consist of.
fn sample(count: usize) -> String {
    let mut text =
        String::from("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:web - [0:0]\n");
    for index in 0..count {
        let (a, b, port) = (index / 256 % 256, index % 256, index % 65_535 + 1);
        let _ = match index % 8 {
            0 => writeln!(text, "-A INPUT -s 10.{a}.{b}.0/24 -i eth0 -p tcp -m tcp --dport {port} -j ACCEPT"),
            1 => writeln!(text, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            2 => writeln!(text, "-A INPUT -s 192.0.{a}.{b}/32 -j DROP"),
            3 => writeln!(
                text,
                "-A FORWARD -i eth0 -o br{b} -p udp -m udp --dport {port} -m comment --comment \"a remark\" -j web"
            ),
            4 => writeln!(
                text,
                "-A INPUT -p tcp -m state --state NEW -m multiport --dports 22,80,443,{port} -j ACCEPT"
            ),
            5 => writeln!(
                text,
                "-A INPUT -m limit --limit 5/min -j LOG --log-prefix \"denied: \" --log-level 7"
            ),
            6 => writeln!(
                text,
                "-A web ! -s 172.16.{a}.{b}/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j RETURN"
            ),
            _ => writeln!(
                text,
                "-A INPUT -d 198.51.{a}.{b}/32 -p icmp -m icmp --icmp-type 8 -j REJECT --reject-with icmp-port-unreachable"
            ),
        };
    }
    text.push_str("COMMIT\n");
    text
}
