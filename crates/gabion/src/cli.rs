//! What the user may type. Arguments only: nothing here reads the machine or decides anything.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

/// Secure a Linux server: see what is wrong, rehearse the change, apply it so that it undoes itself unless confirmed, prove it.
#[derive(Debug, Parser)]
#[command(name = "gabion", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the policy file is unless another is named.
pub(crate) const POLICY: &str = "/etc/gabion/policy.toml";

/// What `--policy` without a file stands for: the same path, told apart by its spelling.
pub(crate) const BARE_POLICY: &str = "/etc/gabion/./policy.toml";

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The policy file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        num_args = 0..=1,
        default_value = POLICY,
        default_missing_value = BARE_POLICY
    )]
    pub(crate) policy: PathBuf,
    /// Print JSON on standard output; nothing is ever asked
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

/// The verbs, in the order in which one uses them.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a commented policy that fits this host
    Init(Init),
    /// Find what is wrong on this host, or in a tree of files
    Audit(Audit),
    /// Show the exact change that `apply` would make
    Plan,
    /// Apply to a throwaway copy of this machine and attack it, before and after
    Rehearse(Rehearse),
    /// Make the change; over SSH it undoes itself unless confirmed from a new login
    Apply(Apply),
    /// Keep what was applied; from a login newer than the apply
    Confirm(Confirm),
    /// Undo a transaction
    Rollback(Rollback),
    /// List the transactions of this host
    History,
    /// Send real packets to this host and compare what happens with the policy
    Verify(Verify),
    /// Say what becomes of a packet and why; or what a finding or a key of the policy means
    Explain(Explain),
    /// Finish or undo what a crash or a reboot left open; run at boot
    Recover(Recover),
    /// The policy file itself
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// The packet filter
    #[command(subcommand)]
    Firewall(FirewallVerb),
    /// Keys for logging in
    #[command(subcommand)]
    Ssh(SshVerb),
    /// Print what is known of this host, as JSON that `audit --facts` reads
    Facts(FactsOf),
    /// Print generated reference pages
    #[command(name = "__reference", hide = true)]
    Reference { page: String },
    /// Wait for a deadline and roll back; started by `apply` where there is no systemd
    #[command(name = "__undo-timer", hide = true)]
    UndoTimer { transaction: String },
    /// A stage of `rehearse`
    #[command(name = "__rehearsal", hide = true)]
    Rehearsal { stage: String },
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// An administrator to be: the account's name; made by `apply` where it is missing
    #[arg(long, value_name = "NAME")]
    pub(crate) admin: Vec<String>,
    /// A public key for the administrator: the line itself, or a file that holds it
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// Write over a policy that is there (the old one is kept beside it)
    #[arg(long)]
    pub(crate) force: bool,
    /// Print it instead of writing it
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Judge the tree of files at DIR instead of this machine
    #[arg(long, value_name = "DIR", conflicts_with = "facts")]
    pub(crate) root: Option<PathBuf>,
    /// Judge facts saved by `gabion facts`
    #[arg(long, value_name = "FILE")]
    pub(crate) facts: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// Also scan every TCP port of both families (default: those that matter and a sample)
    #[arg(long)]
    pub(crate) all_ports: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Undo unless confirmed within this many seconds; by default 120 over SSH, and no confirmation on a console
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..=86_400))]
    pub(crate) confirm_within: Option<u32>,
    /// Do not ask before starting (there is nothing to ask where standard input is no terminal)
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Return once it is applied instead of waiting for the confirmation
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The transaction; by default the one that waits
    pub(crate) transaction: Option<String>,
    /// Confirm from the console of the machine, without a new login
    #[arg(long)]
    pub(crate) from_console: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The transaction; by default the newest that is in force
    pub(crate) transaction: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "REASON", hide = true)]
    pub(crate) because: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only TCP ports up to this one
    #[arg(long, value_name = "PORT", default_value_t = 65_535)]
    pub(crate) up_to: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A packet's protocol (tcp, udp, icmp), a finding (SH1), or a key of the policy (ssh.root-login)
    pub(crate) subject: String,
    /// From which address; a stranger's unless named
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<IpAddr>,
    /// To which address; this host's unless named
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<IpAddr>,
    /// To which port
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// From which port
    #[arg(long, value_name = "PORT")]
    pub(crate) source_port: Option<u16>,
    /// The ICMP type; an echo request unless named
    #[arg(long = "type", value_name = "NUMBER")]
    pub(crate) icmp_type: Option<u8>,
    /// The interface it comes in by
    #[arg(long = "in", value_name = "INTERFACE")]
    pub(crate) input: Option<String>,
    /// The interface it leaves by
    #[arg(long, value_name = "INTERFACE")]
    pub(crate) out: Option<String>,
    /// What connection tracking says of it
    #[arg(long, value_name = "STATE", default_value = "new")]
    pub(crate) state: PacketState,
    /// It passes through this host
    #[arg(long, conflicts_with = "output")]
    pub(crate) forward: bool,
    /// This host sends it
    #[arg(long)]
    pub(crate) output: bool,
    /// Ask the rules in this file (iptables-save, or saved by gabion), and not the kernel; twice for IPv4 and IPv6
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    pub(crate) ruleset: Vec<PathBuf>,
    /// Ask the kernel, also where it has no rules; `--policy` asks what the policy would load
    #[arg(long)]
    pub(crate) live: bool,
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PacketState {
    New,
    Established,
    Related,
    Invalid,
    Untracked,
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Started by the boot: what was waiting for a confirmation is undone
    #[arg(long)]
    pub(crate) boot: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Read the policy and say what is wrong with it
    Check,
    /// Print its JSON schema
    Schema,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FirewallVerb {
    /// Load the saved ruleset; run at boot before the network is up
    Load,
    /// Show what the kernel runs: numbered lines with counters, and what others put beside them
    Show(ShowFirewall),
    /// Whether the kernel runs what was applied last, and what it does not
    Status(FirewallStatus),
    /// Show live which rule takes which packet
    Trace(Trace),
    /// Take over what another firewall is configured to do, with an account of every line of it
    Import(ImportFirewall),
    /// Print the policy's rules for a host that has only iptables or nft
    Export(ExportFirewall),
    /// Add a rule behind the others of its chain
    Append(EditRule),
    /// Add a rule where the numbered line stands
    Insert(EditRule),
    /// Put a rule in the place of the numbered line
    Replace(EditRule),
    /// Take the numbered line away
    Delete(DeleteRule),
    /// Whether two rulesets do the same with every packet, and a packet if not
    Compare(CompareFirewall),
    /// List from where which services are reached, by a ruleset
    Reach(ReachFirewall),
    /// Find the rules that can never match, and which rules hide them
    Shadowed(ShadowedFirewall),
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Only this protocol
    pub(crate) protocol: Option<TraceProtocol>,
    /// Only from this address or network
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub(crate) from: Option<IpNet>,
    /// Only to this address or network
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub(crate) to: Option<IpNet>,
    /// Only to this port
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Only from this port
    #[arg(long, value_name = "PORT")]
    pub(crate) source_port: Option<u16>,
    /// Only what comes in by this interface
    #[arg(long = "in", value_name = "INTERFACE")]
    pub(crate) input: Option<String>,
    /// End after this many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) seconds: Option<u32>,
    /// End after this many packets
    #[arg(long, value_name = "PACKETS")]
    pub(crate) count: Option<u32>,
}

/// What a trace can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceProtocol {
    Tcp,
    Udp,
    Icmp,
}

/// An address is the network of it alone.
fn network(text: &str) -> Result<IpNet, String> {
    let network =
        text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
    network.map_err(|_| "neither an address nor a network such as 192.0.2.0/24".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct ImportFirewall {
    #[command(flatten)]
    pub(crate) source: ImportSource,
    /// Put it into the policy file, in the place of its entries and settings of `[firewall]`; the old file is kept beside it
    #[arg(long)]
    pub(crate) write: bool,
}

/// What to take over.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ImportSource {
    /// A file of iptables-save
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ufw", "firewalld", "live"])]
    pub(crate) iptables: Option<PathBuf>,
    /// A file of ip6tables-save
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ufw", "firewalld", "live"])]
    pub(crate) ip6tables: Option<PathBuf>,
    /// A file for nft, which reads it in a throwaway network namespace
    #[arg(long, value_name = "FILE", conflicts_with_all = ["iptables", "ip6tables", "ufw", "firewalld", "live"])]
    pub(crate) nft: Option<PathBuf>,
    /// ufw, as configured below DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "/", conflicts_with_all = ["firewalld", "live"])]
    pub(crate) ufw: Option<PathBuf>,
    /// firewalld, as configured below DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "/", conflicts_with = "live")]
    pub(crate) firewalld: Option<PathBuf>,
    /// The rules that the kernel runs now: those of iptables, or else those of nft
    #[arg(long)]
    pub(crate) live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportFirewall {
    /// For which program
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: ExportFormat,
}

/// A program that loads rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// For iptables-restore.
    Iptables,
    /// For ip6tables-restore.
    Ip6tables,
    /// For nft -f.
    Nft,
}

#[derive(Debug, Args)]
pub(crate) struct FirewallStatus {
    /// Stay, and tell each change with who made it
    #[arg(long, conflicts_with = "keep")]
    pub(crate) watch: bool,
    /// Take what others do to packets now as known: it is no drift any more
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowFirewall {
    /// Only what concerns this family
    #[arg(long, value_name = "FAMILY")]
    pub(crate) family: Option<IpFamily>,
    /// Only this chain: INPUT, FORWARD, OUTPUT, or any chain of the kernel
    #[arg(long, value_name = "NAME")]
    pub(crate) chain: Option<String>,
    /// Every rule of the kernel with its handle and counters, of every table
    #[arg(long)]
    pub(crate) all: bool,
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpFamily {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Args)]
pub(crate) struct CompareFirewall {
    /// A file of iptables-save or of gabion (two with a comma between for IPv4 and IPv6), `policy` or `live`
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// The other one
    #[arg(value_name = "B")]
    pub(crate) second: String,
    /// Compare one family alone
    #[arg(long, value_name = "FAMILY")]
    pub(crate) family: Option<IpFamily>,
    /// Compare prerouting and postrouting too, where addresses are translated
    #[arg(long)]
    pub(crate) all_hooks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReachFirewall {
    /// A file of iptables-save or of gabion (two with a comma between for IPv4 and IPv6), `policy` or `live`
    #[arg(value_name = "RULESET", default_value = "live")]
    pub(crate) ruleset: String,
    /// Of packets to this host, through it, or from it
    #[arg(long, value_name = "HOOK", default_value = "input")]
    pub(crate) hook: ReachHook,
}

/// Where packets are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReachHook {
    Input,
    Forward,
    Output,
}

#[derive(Debug, Args)]
pub(crate) struct ShadowedFirewall {
    /// A file of iptables-save or of gabion (two with a comma between for IPv4 and IPv6), `policy` or `live`
    #[arg(value_name = "RULESET", default_value = "live")]
    pub(crate) ruleset: String,
}

/// A rule for the policy and the kernel.
#[derive(Debug, Args)]
pub(crate) struct EditRule {
    #[command(flatten)]
    pub(crate) options: EditOptions,
    /// The chain (default: INPUT), the number that `show` gives a line, and the rule: `INPUT 9 -p tcp --dport 8080 -j ACCEPT`,
    /// or `allow tcp/8080 from 192.0.2.0/24 limit 30/minute comment TEXT`, or `deny` and `reject` likewise
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "[CHAIN] [NUMBER] RULE"
    )]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteRule {
    #[command(flatten)]
    pub(crate) options: EditOptions,
    /// The chain (default: INPUT), and the number that `show` gives the line
    #[arg(required = true, num_args = 1.., value_name = "[CHAIN] NUMBER")]
    pub(crate) words: Vec<String>,
}

/// How an edit is made. Options stand before the chain.
#[derive(Debug, Args)]
pub(crate) struct EditOptions {
    #[command(flatten)]
    pub(crate) apply: Apply,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SshVerb {
    /// Make a key pair: Ed25519, or RSA where asked
    Keygen(Keygen),
    /// Put your public key on a host, as ssh-copy-id does; safe to repeat
    InstallKey(InstallKey),
}

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Where to write the private key
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// RSA with this many bits instead of Ed25519
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u16).range(3072..=16_384))]
    pub(crate) rsa: Option<u16>,
    /// Comment of the key
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// No passphrase (there is none either where there is no terminal to ask on)
    #[arg(long)]
    pub(crate) no_passphrase: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InstallKey {
    /// Where to
    #[arg(value_name = "USER@HOST")]
    pub(crate) destination: String,
    /// The public key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Port of the server
    #[arg(long, short)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct FactsOf {
    /// Read the tree of files at DIR instead of this machine
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}
