//! Configurations and connections to ask both sides about.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sshd_config::{Connection, Keyword, ValueType, Version};

use super::oracle::USERS;
use super::random::Random;
use super::values::{Arguments, Values};

/// A configuration of several files.
pub struct Case {
    pub main: String,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

pub struct Generator<'a> {
    pub random: &'a mut Random,
    pub version: Version,
    /// The directory of this case, without a slash at its end.
    pub dir: String,
    /// Some lines are wrong.
    pub dirty: bool,
    global_subsystems: usize,
    /// The file being written will be included, perhaps from within a block.
    included: bool,
    /// Keywords that come again and again, so that lines of the same keyword meet.
    favourites: Vec<Keyword>,
}

impl<'a> Generator<'a> {
    pub fn new(random: &'a mut Random, version: Version, dir: &str) -> Self {
        let dirty = random.chance(20);
        let favourites = (0..8).map(|_| Keyword::ALL[random.below(Keyword::ALL.len())]).collect();
        Self { random, version, dir: dir.to_owned(), dirty, global_subsystems: 0, included: true, favourites }
    }

    /// Makes some keywords frequent.
    pub fn favour(&mut self, keywords: &[Keyword]) {
        self.favourites = keywords.to_vec();
    }

    pub fn case(&mut self) -> Case {
        let mut files = BTreeMap::new();
        let drop_ins = self.random.below(4);
        for index in 0..drop_ins {
            let name = self.random.pick(&["10-a", "20-b", "50-c", "2-d", "B-e", "b-f"]);
            let text = self.text(3, true, index > 0);
            files.insert(PathBuf::from(format!("{}/d/{name}{index}.conf", self.dir)), text.into_bytes());
        }
        let inner = self.text(3, true, false);
        files.insert(PathBuf::from(format!("{}/inner/x.conf", self.dir)), inner.into_bytes());
        self.included = false;
        let lines = 2 + self.random.below(25);
        let text = format!("HostKey /etc/ssh/key\n{}", self.text(lines, true, true));
        let main = format!("{}/sshd_config", self.dir);
        files.insert(PathBuf::from(&main), text.into_bytes());
        Case { main, files }
    }

    /// Lines of one file: directives, then perhaps blocks.
    fn text(&mut self, lines: usize, blocks: bool, includes: bool) -> String {
        let mut text = String::new();
        let mut in_match = false;
        for _ in 0..lines {
            if blocks && self.random.chance(if in_match { 25 } else { 12 }) {
                in_match = true;
                text += &self.match_line();
            } else if includes && self.random.chance(12) {
                text += &self.include();
            } else if self.random.chance(8) {
                text += self.random.pick(&[
                    "\n",
                    "  \t\n",
                    "# comment\n",
                    "   # PermitRootLogin yes\n",
                    "#\n",
                    "\r\n",
                    "\u{c}\n",
                ]);
            } else {
                text += &self.directive(in_match);
            }
        }
        if self.random.chance(10) {
            text.pop();
        }
        text
    }

    fn include(&mut self) -> String {
        let dir = &self.dir;
        let patterns = [
            format!("{dir}/d/*.conf"),
            format!("{dir}/d/[12]*.conf"),
            format!("../..{dir}/d/*-?[0-9].conf"),
            format!("{dir}/inner/x.conf"),
            format!("{dir}/none/*.conf"),
            format!("{dir}/d/*-a*.conf {dir}/inner/*"),
        ];
        let pattern = patterns[self.random.below(patterns.len())].clone();
        self.line("Include", &Arguments::Raw(pattern))
    }

    fn directive(&mut self, in_match: bool) -> String {
        let keyword = self.keyword(in_match);
        // Given one number, sshd before 10.3 takes what happens to lie in memory for IPv6.
        let undefined = keyword == Keyword::PerSourceNetBlockSize && self.version < Version::new(10, 3);
        let bad = self.dirty && !undefined && self.random.chance(12);
        let mut values = Values { random: self.random, version: self.version };
        let arguments = if bad { values.bad() } else { values.of(keyword) };
        let name = self.name(keyword);
        self.line(&name, &arguments)
    }

    fn keyword(&mut self, in_match: bool) -> Keyword {
        let lenient = self.dirty && self.random.chance(8);
        loop {
            let from = if self.random.chance(60) { self.favourites.as_slice() } else { Keyword::ALL };
            let keyword = from[self.random.below(from.len())];
            let known = keyword.since() <= self.version;
            let placed = !in_match || keyword.allowed_in_match(self.version);
            let special =
                matches!(keyword.value_type(), ValueType::Include | ValueType::Match | ValueType::RDomain);
            // Where a block defines more subsystems than the main part these may crash, or not.
            let overruns = self.version >= Version::new(9, 5) && self.version < Version::new(10, 3);
            let unsound = keyword == Keyword::Subsystem && (in_match || self.included) && overruns;
            if keyword == Keyword::Subsystem
                && self.version < Version::new(9, 5)
                && self.global_subsystems > 0
                && !self.dirty
            {
                continue;
            }
            if !special && !unsound && (known || lenient) && (placed || lenient) {
                if keyword == Keyword::Subsystem {
                    self.global_subsystems += 1;
                }
                return keyword;
            }
        }
    }

    /// The keyword in some spelling.
    fn name(&mut self, keyword: Keyword) -> String {
        let alias = match keyword {
            Keyword::KbdInteractiveAuthentication => "ChallengeResponseAuthentication",
            Keyword::PubkeyAcceptedAlgorithms => "PubkeyAcceptedKeyTypes",
            Keyword::HostbasedAcceptedAlgorithms => "HostbasedAcceptedKeyTypes",
            Keyword::TcpKeepAlive => "KeepAlive",
            _ => keyword.name(),
        };
        let name = if self.random.chance(20) { alias } else { keyword.name() };
        if self.dirty && self.random.chance(2) {
            return self
                .random
                .pick(&["UseLogin", "Colour", "RSAAuthentication", "Protocol", "PermitRootLogins"])
                .to_owned();
        }
        match self.random.below(8) {
            0 => name.to_lowercase(),
            1 => name.to_uppercase(),
            _ => name.to_owned(),
        }
    }

    fn match_line(&mut self) -> String {
        if self.random.chance(6) {
            let all = self.random.pick(&["all", "All", "all # x"]).to_owned();
            return self.line("Match", &Arguments::Raw(all));
        }
        let count = 1 + self.random.below(3);
        let criteria: Vec<String> = (0..count).map(|_| self.criterion()).collect();
        let separator = self.random.pick(&[" ", "  ", "\t"]);
        self.line("Match", &Arguments::Raw(criteria.join(separator)))
    }

    fn criterion(&mut self) -> String {
        const USERS: &[&str] = &[
            "root", "alice", "*", "b*", "!root", "al?ce", "svc_*", "deploy", "mallory", "*,!bob", "!alice,*",
            "ROOT", "r*t",
        ];
        const GROUPS: &[&str] =
            &["wheel", "staff", "*", "!staff", "w*", "wheel,!no-ssh", "www-data", "users"];
        const ADDRESSES: &[&str] = &[
            "10.0.0.0/8",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/32",
            "192.0.2.*",
            "*",
            "!10.1.2.3",
            "10.1.2.3",
            "*,!192.0.2.0/25",
            "fe80::/10",
            "127.0.0.1",
            "10.1.2.?",
            "::1",
        ];
        const HOSTS: &[&str] = &[
            "*.example.org",
            "client.example.org",
            "*",
            "!*.example.org,*",
            "CLIENT.*",
            "localhost",
            "10.1.2.3",
        ];
        let (name, value) = match self.random.below(if self.version >= Version::new(9, 9) { 10 } else { 8 }) {
            0 | 1 => ("User", self.random.list(USERS, 2, ",")),
            2 => ("Group", self.random.list(GROUPS, 2, ",")),
            3 => ("Address", self.random.list(ADDRESSES, 3, ",")),
            4 => ("LocalAddress", self.random.list(ADDRESSES, 2, ",")),
            5 => ("LocalPort", self.random.pick(&["22", "2222", "ssh"]).to_owned()),
            6 => ("Host", self.random.list(HOSTS, 2, ",")),
            7 => ("RDomain", self.random.list(&["vrf-red", "vrf-*", "blue", "!blue"], 2, ",")),
            8 => return "invalid-user".to_owned(),
            _ => ("Version", self.random.pick(&["OpenSSH_9*", "OpenSSH_10*", "*Debian*", "*"]).to_owned()),
        };
        let value = if self.dirty && self.random.chance(6) {
            self.random.pick(&["", "10.0.0.1/8", "\"", "#", "a=b", ",", "70000", "10.0.0.0/40"]).to_owned()
        } else {
            value
        };
        let name = match self.random.below(6) {
            0 => name.to_lowercase(),
            1 => name.to_uppercase(),
            _ => name.to_owned(),
        };
        match self.random.below(12) {
            0 => format!("{name}={value}"),
            1 => format!("{name} \"{value}\""),
            2 if self.dirty => format!("{name} = {value}"),
            3 if self.dirty => format!("{name} '{value}'"),
            4 if self.dirty => format!("\"{name}\" {value}"),
            _ => format!("{name} {value}"),
        }
    }

    /// One line with its white space, quotes and comment.
    fn line(&mut self, name: &str, arguments: &Arguments) -> String {
        let indent = self.random.pick(&["", "", "", "    ", "\t", " \r"]);
        let separator = self.random.pick(&[" ", " ", " ", "  ", "\t", "=", " = ", "= ", " =", " \t "]);
        let name = if self.random.chance(2) { format!("\"{name}\"") } else { name.to_owned() };
        let separator = if name.starts_with('"') { " " } else { separator };
        let text = match arguments {
            Arguments::Raw(text) => text.clone(),
            Arguments::Words(words) => {
                let between = self.random.pick(&[" ", " ", "  ", "\t"]);
                words.iter().map(|word| self.quoted(word)).collect::<Vec<_>>().join(between)
            }
        };
        let comment =
            if self.random.chance(5) { self.random.pick(&[" # why", "\t#", " #x \"y"]) } else { "" };
        let end = self.random.pick(&["\n", "\n", "\n", " \n", "\r\n", "\t \n", "\u{c}\n"]);
        let line = format!("{indent}{name}{separator}{text}{comment}{end}");
        if self.dirty && self.random.chance(2) { format!("={line}") } else { line }
    }

    fn quoted(&mut self, word: &str) -> String {
        let needs = word.is_empty() || word.contains([' ', '\t', '#', '"', '\'']);
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
        match self.random.below(10) {
            0 => format!("\"{escaped}\""),
            1 if !word.contains('\'') => format!("'{word}'"),
            2 if needs && !word.is_empty() => {
                escaped.replace(' ', "\\ ").replace('\'', "\\'").replace('#', "\"#\"")
            }
            _ if needs => format!("\"{escaped}\""),
            _ => word.to_owned(),
        }
    }

    pub fn connection(&mut self) -> Connection {
        let user = if self.random.chance(12) { None } else { Some(USERS[self.random.below(USERS.len())]) };
        let (user, groups) = user.map_or(("mallory", &[][..]), |(user, groups)| (user, groups));
        let address = self.random.pick(&[
            "10.1.2.3",
            "192.0.2.5",
            "192.0.2.200",
            "2001:db8::5",
            "::1",
            "fe80::1",
            "203.0.113.9",
        ]);
        let local = self.random.pick(&["10.1.2.3", "192.0.2.1", "2001:db8::1", "127.0.0.1"]);
        let host = self.random.pick(&["client.example.org", "Client.Example.ORG", "other.test", address]);
        Connection {
            user: Some(user.to_owned()),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            host: Some(host.to_owned()),
            address: Some(address.parse().unwrap()),
            local_address: Some(local.parse().unwrap()),
            local_port: Some(if self.random.chance(60) { 22 } else { 2222 }),
            rdomain: self.random.chance(40).then(|| self.random.pick(&["vrf-red", "blue"]).to_owned()),
            invalid_user: self.version >= Version::new(9, 9) && self.random.chance(15),
        }
    }
}
