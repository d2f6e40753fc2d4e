//! Arguments for each type of value, most of them good.

use sshd_config::{Family, Keyword, ValueType, Version};

use super::random::Random;

const USERS: &[&str] =
    &["root", "alice", "b*", "svc_?eb", "*", "deploy", "nobody", "!alice", "al*ce", "ROOT"];
const GROUPS: &[&str] = &["wheel", "staff", "w*", "no-*", "www-data", "users", "!staff", "ro?t"];
const CIPHERS: &[&str] = &[
    "aes128-ctr",
    "aes256-ctr",
    "aes128-cbc",
    "3des-cbc",
    "chacha20-poly1305@openssh.com",
    "aes256-gcm@openssh.com",
];
const MACS: &[&str] =
    &["hmac-sha2-256", "hmac-sha1", "umac-64@openssh.com", "hmac-md5-96", "hmac-sha2-512-etm@openssh.com"];
const KEXES: &[&str] = &[
    "curve25519-sha256",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
    "ecdh-sha2-nistp256",
    "sntrup761x25519-sha512@openssh.com",
];
const GSS_KEXES: &[&str] = &["gss-group14-sha256-", "gss-gex-sha1-", "gss-curve25519-sha256-"];
const KEYS: &[&str] = &[
    "ssh-ed25519",
    "rsa-sha2-512",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ssh-*",
    "*-cert-v01@openssh.com",
    "ecdsa-*",
    "sk-ssh-ed25519@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];
const TIMES: &[&str] = &["0", "30", "2m", "1h30m", "1D", "90s", "1w2d", "5M", "1m5", "600"];
const PATHS: &[&str] = &["/etc/issue.net", "none", "NONE", "~/x", "rel/path", "/a b/c", "/x%u", "~//y"];
const WORDS: &[&str] = &["nobody", "none", "sshd", "a b", "x#y", "None", "%u", "\"q\""];

pub struct Values<'a> {
    pub random: &'a mut Random,
    pub version: Version,
}

/// Arguments, to be quoted where needed, or the rest of a line as it is.
pub enum Arguments {
    Words(Vec<String>),
    Raw(String),
}

impl Values<'_> {
    /// Arguments of a keyword that sshd should take, though some it will not.
    pub fn of(&mut self, keyword: Keyword) -> Arguments {
        let words = match keyword.value_type() {
            ValueType::Flag => vec![self.cased(&["yes", "no"])],
            ValueType::Choice(choices) => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                vec![self.cased(&words)]
            }
            ValueType::Count => vec![self.pick(&["0", "1", "3", "10", "2048", "+5", "2147483647", "007"])],
            ValueType::Seconds => vec![self.pick(TIMES)],
            ValueType::SecondsOrNone => {
                vec![if self.random.chance(30) { self.cased(&["none"]) } else { self.pick(TIMES) }]
            }
            ValueType::Mode => vec![self.pick(&["0177", "177", "0", "0777", "022"])],
            ValueType::Path => vec![self.path(keyword)],
            ValueType::AgentSocket => {
                vec![self.pick(&["none", "user:.ssh/agent", "shared:/run/agents", "/tmp/agent", "user:"])]
            }
            ValueType::PathAsWritten => vec![self.pick(PATHS)],
            ValueType::Word => vec![self.word(keyword)],
            ValueType::Rest => {
                return Arguments::Raw(self.pick(&[
                    "/bin/true",
                    "none",
                    "NONE",
                    "internal-sftp -l INFO",
                    "echo \"a  b\" # c",
                    "x\ty",
                    "Debian 'x'",
                ]));
            }
            ValueType::Command => {
                return Arguments::Raw(self.pick(&[
                    "/usr/bin/keys %u",
                    "none",
                    "None",
                    "/bin/k \"a b\"",
                    "/bin/k # c",
                ]));
            }
            ValueType::Algorithms(family) => vec![self.algorithms(family)],
            ValueType::Startups => {
                vec![self.pick(&["10", "10:30:100", "5:50:5", "1:1:1", "100:100:200", "7x", "+3:4:9"])]
            }
            ValueType::NetBlock => vec![self.pick(&["32:128", "24:64", "0:0", "16:48"])],
            ValueType::SourceStartups => vec![self.pick(&["none", "5", "0", "2147483647"])],
            ValueType::Penalties => self.penalties(),
            ValueType::Networks => {
                vec![self.pick(&["10.0.0.0/8", "192.0.2.1,2001:db8::/32", "none", "10.*", "!10.0.0.0/8,*"])]
            }
            ValueType::Qos => self.some(
                &[
                    "af21",
                    "CS1",
                    "ef",
                    "lowdelay",
                    "throughput",
                    "reliability",
                    "none",
                    "le",
                    "0",
                    "16",
                    "32",
                    "255",
                    "cs0",
                ],
                2,
            ),
            ValueType::Rekey => self.rekey(),
            ValueType::Tunnel => vec![self.pick(&["yes", "no", "point-to-point", "ethernet"])],
            ValueType::UserEnvironment => vec![self.pick(&["yes", "no", "LANG,LC_*", "FOO"])],
            ValueType::PubkeyOptions => {
                self.some(&["none", "touch-required", "verify-required", "Touch-Required"], 2)
            }
            ValueType::RDomain => vec!["none".to_owned()],
            ValueType::Port => vec![self.pick(&["22", "2222", "ssh", "65535", "+80"])],
            ValueType::ListenAddress => vec![self.pick(&[
                "0.0.0.0",
                "::",
                "127.0.0.1:2022",
                "[::1]:22",
                "192.0.2.1",
                "2001:db8::1",
                "[2001:db8::2]",
                "10.1:ssh",
                "0x7f.1",
            ])],
            ValueType::Files => vec![self.pick(&["/etc/ssh/key", "/etc/ssh/none_key", "rel_key", "~/key"])],
            ValueType::Subsystem => self.subsystem(),
            ValueType::UserPatterns => self.user_patterns(),
            ValueType::Patterns => self.some(GROUPS, 3),
            ValueType::EnvironmentNames => self.some(&["LANG", "LC_*", "EDITOR", "X?", "!LANG"], 3),
            ValueType::Environment => self.some(&["A=1", "B=two words", "A=3", "C=", "B=x=y"], 3),
            ValueType::FileList => {
                self.some(&[".ssh/authorized_keys", "/etc/keys/%u", "none", "~/k", "a b"], 3)
            }
            ValueType::Methods => self.methods(),
            ValueType::Timeouts => self.timeouts(),
            ValueType::Targets => self.targets(keyword),
            ValueType::LogVerbose => {
                if self.random.chance(20) {
                    vec!["none".to_owned()]
                } else {
                    self.some(&["kex.c:*:1000", "*:kex_exchange_identification():*", "packet.c:*"], 2)
                }
            }
            ValueType::Include | ValueType::Match => Vec::new(),
        };
        Arguments::Words(words)
    }

    /// Arguments that sshd should refuse, or that are at the edge.
    pub fn bad(&mut self) -> Arguments {
        let odd = self.pick(&[
            "",
            "maybe",
            "-1",
            "99999999999",
            "yes no",
            "10:x:y",
            "/x",
            "a=b",
            "!x",
            "none",
            "5x",
            "any",
            "0x10",
            " 5",
            "1.5k",
            "10.0.0.1/8",
            "user@10.0.0.1/8",
            "*",
            "+",
            "-",
            "^",
            "-*",
            "+nope",
            "1:2:3:4",
            "[::1",
            "65536",
            "1G 1x",
            "publickey,nope",
        ]);
        if self.random.chance(20) {
            return Arguments::Raw(odd);
        }
        let mut words = vec![odd];
        if self.random.chance(30) {
            words.push(self.pick(&["extra", "", "none", "any"]));
        }
        Arguments::Words(words)
    }

    fn pick(&mut self, from: &[&str]) -> String {
        self.random.pick(from).to_owned()
    }

    fn some(&mut self, from: &[&str], most: usize) -> Vec<String> {
        let count = 1 + self.random.below(most);
        (0..count).map(|_| self.pick(from)).collect()
    }

    /// A word in some case.
    fn cased(&mut self, from: &[&str]) -> String {
        let word = self.pick(from);
        match self.random.below(8) {
            0 => word.to_uppercase(),
            1 => word[..1].to_uppercase() + &word[1..],
            _ => word,
        }
    }

    fn path(&mut self, keyword: Keyword) -> String {
        match keyword {
            Keyword::SecurityKeyProvider => self.pick(&["internal", "INTERNAL", "/usr/lib/sk.so", "none"]),
            Keyword::HostKeyAgent => self.pick(&["none", "NONE"]),
            _ => self.pick(PATHS),
        }
    }

    fn word(&mut self, keyword: Keyword) -> String {
        match keyword {
            Keyword::ChrootDirectory => self.pick(&["/srv/%u", "none", "NONE", "%h"]),
            _ => self.pick(WORDS),
        }
    }

    fn algorithms(&mut self, family: Family) -> String {
        let names = match family {
            Family::Cipher => CIPHERS,
            Family::Mac => MACS,
            Family::Kex => KEXES,
            Family::GssKex => return self.random.list(GSS_KEXES, 2, ","),
            Family::Key | Family::Signature => KEYS,
        };
        let list = self.random.list(names, 3, ",");
        match self.random.below(6) {
            0 => format!("+{list}"),
            1 => format!("-{list}"),
            2 => format!("^{list}"),
            3 => self.pick(&["-*sha1*,*cbc*", "-ssh-rsa*", "-*", "-aes128-*,!aes128-ctr"]),
            _ => list,
        }
    }

    fn penalties(&mut self) -> Vec<String> {
        if self.random.chance(25) {
            return vec![self.cased(&["yes", "no"])];
        }
        let newest: &[&str] =
            if self.version >= Version::new(10, 3) { &["invaliduser:2", "authfail:0.5s"] } else { &[] };
        let known = [
            "crash:90",
            "authfail:5s",
            "noauth:1",
            "grace-exceeded:1m",
            "refuseconnection:10",
            "max:600",
            "min:15",
            "max-sources4:100",
            "max-sources6:5",
            "overflow:deny-all",
            "overflow6:permissive",
            "overflow:permissive",
        ];
        let all: Vec<&str> = known.iter().chain(newest).copied().collect();
        self.some(&all, 4)
    }

    fn rekey(&mut self) -> Vec<String> {
        let mut words = vec![self.pick(&["default", "1G", "500M", "16", "0", "1.5k", "4K", "1.25G"])];
        if self.random.chance(50) {
            words.push(self.pick(&["none", "1h", "3600", "0"]));
        }
        words
    }

    fn subsystem(&mut self) -> Vec<String> {
        let mut words = vec![self.pick(&["sftp", "netconf", "x"])];
        words.extend(self.some(&["/usr/lib/openssh/sftp-server", "internal-sftp"], 1));
        if self.random.chance(50) {
            words.extend(self.some(&["-f", "AUTH", "a b", "it's"], 3));
        }
        words
    }

    fn user_patterns(&mut self) -> Vec<String> {
        let mut words = self.some(USERS, 3);
        if self.random.chance(30) {
            words.push(self.pick(&[
                "alice@10.0.0.0/8",
                "root@192.0.2.?",
                "*@*.example.org,!10.1.2.3",
                "a@b@10.0.0.1",
            ]));
        }
        words
    }

    fn methods(&mut self) -> Vec<String> {
        if self.random.chance(15) {
            return vec!["any".to_owned()];
        }
        self.some(
            &[
                "publickey",
                "publickey,password",
                "keyboard-interactive:pam",
                "publickey,keyboard-interactive",
                "password",
                "hostbased",
                "none",
            ],
            2,
        )
    }

    fn timeouts(&mut self) -> Vec<String> {
        if self.random.chance(25) {
            return vec![self.cased(&["none"])];
        }
        self.some(&["session:*=1h", "*=5m", "x11-connection=0", "agent-connection=10"], 3)
    }

    fn targets(&mut self, keyword: Keyword) -> Vec<String> {
        if self.random.chance(25) {
            return vec![self.pick(&["any", "none"])];
        }
        let mut words = self.some(&["localhost:80", "[::1]:443", "*:*", "10.0.0.1:ssh", "host:8080"], 3);
        if keyword == Keyword::PermitListen && self.random.chance(50) {
            words.push(self.pick(&["8080", "*"]));
        }
        words
    }
}
