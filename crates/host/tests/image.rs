//! Trees of files, some of them hostile, read as images.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests build images of their own")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use host::facts::{Content, EntryKind, FileFact, Init, PackageManager, PasswordState};
use host::{Error, Facts, Host, Image, Kind, Query, Recorded, Source, Wanted, collect};

/// An image in a directory of its own.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A small Debian.
    fn debian() -> Self {
        Self::new()
            .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n")
            .file("etc/hostname", "web1\n")
            .file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbin:x:2:2::/bin:/usr/sbin/nologin\ndeploy:x:1000:1000::/home/deploy:/bin/bash\n")
            .file("etc/group", "root:x:0:\nsudo:x:27:deploy\ndeploy:x:1000:\n")
            .file("etc/shadow", "root:*:20000:0:99999:7:::\ndeploy:!:20000:0:90:7::20500:\n")
            .file("etc/sudoers", "Defaults env_reset, targetpw\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n")
            .file("etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nMatch User deploy\n  AuthorizedKeysFile /etc/ssh/keys/%u\n")
            .file("etc/ssh/sshd_config.d/50-cloud.conf", "PasswordAuthentication yes\n")
            .file("etc/ssh/ssh_host_ed25519_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
            .file("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA root@web1\n")
            .file("etc/ssh/keys/deploy", "ssh-ed25519 BBBB deploy\n")
            .file("home/deploy/.ssh/authorized_keys", "ssh-ed25519 CCCC deploy\n")
            .file("usr/lib/systemd/systemd", "\x7fELF")
            .file("usr/lib/systemd/system/ssh.service", "[Service]\n")
            .file("usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n")
            .file("etc/systemd/system/ssh.socket.d/port.conf", "[Socket]\nListenStream=\nListenStream=2222\n")
            .file("usr/lib/systemd/system/nftables.service", "[Service]\n")
            .file("var/lib/dpkg/status", "")
            .program("usr/bin/apt-get")
            .program("usr/sbin/sshd")
            .link("usr/sbin/init", "/lib/systemd/systemd")
            .link("lib", "usr/lib")
            .link("sbin", "usr/sbin")
            .link("etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")
            .link("etc/systemd/system/sysinit.target.wants/nftables.service", "/lib/systemd/system/nftables.service")
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.at(path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        self
    }

    fn program(self, path: &str) -> Self {
        let tree = self.file(path, "#!/bin/sh\ntouch /tmp/must-never-run\n");
        fs::set_permissions(tree.at(path), Permissions::from_mode(0o755)).unwrap();
        tree
    }

    fn mode(self, path: &str, mode: u32) -> Self {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(self, path: &str, target: &str) -> Self {
        symlink(target, self.at(path)).unwrap();
        self
    }

    fn fifo(self, path: &str) -> Self {
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, self.at(path), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        self
    }

    fn without(self, path: &str) -> Self {
        fs::remove_file(self.at(path)).unwrap();
        self
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn image(&self) -> Image {
        Image::open(self.0.path()).unwrap()
    }

    fn facts(&self) -> Facts {
        collect(&self.image(), &Wanted::default())
    }
}

fn read(image: &Image, path: &str) -> Result<String, Error> {
    image.read(Path::new(path)).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_debian_image_is_read_whole() {
    let tree = Tree::debian();
    let facts = tree.facts();
    assert_eq!(facts.source, Source::Image);
    assert_eq!(facts.system.hostname.known().unwrap(), "web1");
    assert_eq!(facts.system.os.known().unwrap().version.as_deref(), Some("12"));
    assert_eq!(facts.system.init.known(), Some(&Init::Systemd));
    assert_eq!(facts.system.packages.known(), Some(&PackageManager::Apt));
    assert_eq!(facts.system.admin_group.known().unwrap(), "sudo");
    assert_eq!(facts.ssh.program.known().unwrap().as_deref(), Some(Path::new("/usr/sbin/sshd")));
    assert_eq!(facts.problems, []);

    let shadow = facts.accounts.shadow.known().unwrap();
    assert_eq!(
        (&shadow[1].password, shadow[1].max_age, shadow[1].expires),
        (&PasswordState::Locked, Some(90), Some(20_500))
    );
    let deploy = facts.sudo["deploy"].known().unwrap();
    assert!(deploy.all && !deploy.no_password && !deploy.confirmed_by_sudo);
    assert_eq!(deploy.decided_by.as_deref(), Some("/etc/sudoers:3"));
    assert_eq!(facts.sudoers.defaults[0].name, "targetpw");
    assert!(!facts.sudo.contains_key("bin"), "it cannot log in");
}

#[test]
fn the_configuration_of_sshd_its_keys_and_units_are_found() {
    let facts = Tree::debian().facts();
    let files: Vec<_> = facts.ssh.config_files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(files, ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/50-cloud.conf"]);
    let places = &facts.ssh.authorized_keys["deploy"];
    let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(
        places,
        ["/etc/ssh/keys/deploy", "/home/deploy/.ssh/authorized_keys", "/home/deploy/.ssh/authorized_keys2"]
    );
    assert_eq!(
        facts.file("/home/deploy/.ssh/authorized_keys").bytes(),
        Some(&b"ssh-ed25519 CCCC deploy\n"[..])
    );
    for above in ["/home/deploy/.ssh", "/home/deploy", "/home", "/"] {
        assert!(facts.file(above).entry().is_some(), "{above}");
    }
    assert_eq!(facts.file("/home/deploy/.ssh/authorized_keys2"), &FileFact::Absent);
    assert_eq!(facts.file("/never/looked/at"), &FileFact::NotLookedAt);

    let units = facts.system.units.known().unwrap();
    let unit = |name: &str| units.iter().find(|unit| unit.name == name).unwrap();
    assert_eq!((unit("ssh.service").enabled.as_str(), unit("ssh.service").loaded), ("enabled", true));
    assert_eq!(unit("ssh.socket").enabled, "disabled");
    assert_eq!(unit("ssh.socket").listens, ["2222"]);
    assert!(!unit("sshd.service").loaded);
    let managers = facts.firewall.managers.known().unwrap();
    assert_eq!(managers.len(), 1);
    assert_eq!((managers[0].name.as_str(), managers[0].enabled), ("nftables.service", true));
}

#[test]
fn what_only_a_running_machine_has_is_unknown_and_nothing_is_run() {
    let tree = Tree::debian();
    let facts = tree.facts();
    for unknown in [
        facts.ssh.dump.unknown(),
        facts.ssh.servers.unknown(),
        facts.network.listeners.unknown(),
        facts.firewall.ruleset.unknown(),
        facts.sudoers.check.unknown(),
        facts.way_in.unknown(),
        facts.system.kernel.unknown(),
    ] {
        assert!(unknown.unwrap().contains("does not run"), "{unknown:?}");
    }
    assert_eq!(tree.image().ask(&Query::VisudoCheck), Err(Error::NotRunning("visudo")));
}

#[test]
fn no_secret_is_kept() {
    let tree = Tree::debian().file("root/key", "x\n-----BEGIN RSA PRIVATE KEY-----\nAAAA\n");
    let wanted = Wanted { extra_files: vec!["/etc/shadow".into(), "/root/key".into()], ..Wanted::default() };
    let facts = collect(&tree.image(), &wanted);
    for path in ["/etc/shadow", "/root/key", "/etc/ssh/ssh_host_ed25519_key"] {
        assert_eq!(facts.file(path).bytes(), None, "{path}");
        assert!(facts.file(path).entry().is_some(), "{path}");
    }
    assert!(
        facts.file("/root/key").entry().unwrap().content_unknown.as_deref().unwrap().contains("private key")
    );
}

#[test]
fn hashes_in_passwd_are_not_kept_either() {
    let tree = Tree::debian().file("etc/passwd", "root:$1$salt$0123456789012345678901:0:0::/root:/bin/sh\n");
    let facts = tree.facts();
    assert_eq!(facts.file("/etc/passwd").bytes(), None);
    assert_eq!(facts.accounts.users.known().unwrap().len(), 1);
}

#[test]
fn links_resolve_below_the_root_and_never_leave_it() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "secret of the reading machine").unwrap();
    let outside = secret.path().display().to_string();
    let tree = Tree::new()
        .file("etc/inside", "inside")
        .link("etc/absolute", "/etc/inside")
        .link("etc/climbing", "../../../../../../../../etc/inside")
        .link("etc/escape", &outside)
        .link("etc/escape-by-climbing", &format!("../../../../../../../..{outside}"))
        .link("etc/directory", "/")
        .link("etc/loop", "loop")
        .link("etc/magic", "/proc/self/root/etc/passwd");
    let image = tree.image();
    for path in
        ["/etc/inside", "/etc/absolute", "/etc/climbing", "/etc/directory/etc/inside", "/../etc/inside"]
    {
        assert_eq!(read(&image, path).as_deref(), Ok("inside"), "{path}");
        assert_eq!(image.resolve(Path::new(path)).unwrap(), Path::new("/etc/inside"), "{path}");
    }
    for path in ["/etc/escape", "/etc/escape-by-climbing", "/etc/magic", "/etc/loop"] {
        assert!(read(&image, path).is_err(), "{path}");
        assert!(image.resolve(Path::new(path)).is_err(), "{path}");
        assert_eq!(image.metadata(Path::new(path)).unwrap().kind, Kind::Symlink, "{path}");
    }
    assert_eq!(image.read_link(Path::new("/etc/absolute")).unwrap(), Path::new("/etc/inside"));
    assert!(matches!(image.read_link(Path::new("/etc/inside")), Err(Error::NotALink(_))));
    assert!(matches!(image.read(Path::new("etc/inside")), Err(Error::NotAbsolute(_))));
}

#[test]
fn pipes_devices_and_directories_are_refused_without_waiting() {
    let tree = Tree::debian().without("etc/passwd").fifo("etc/passwd").link("etc/to-pipe", "passwd");
    let image = tree.image();
    for path in ["/etc/passwd", "/etc/to-pipe", "/etc"] {
        assert!(matches!(image.read(Path::new(path)), Err(Error::NotAFile { .. })), "{path}");
    }
    let facts = tree.facts();
    assert!(facts.accounts.users.unknown().unwrap().contains("not a regular file"));
    assert!(facts.sudo.is_empty());
}

#[test]
fn a_file_bigger_than_the_limit_is_an_error_and_not_a_part_of_itself() {
    let tree = Tree::debian();
    fs::File::create(tree.at("etc/shells")).unwrap().set_len(1 << 40).unwrap();
    let image = tree.image();
    assert!(matches!(image.read(Path::new("/etc/shells")), Err(Error::TooBig { cap: 1_048_576, .. })));
    assert!(matches!(image.read_at_most(Path::new("/etc/hostname"), 4), Err(Error::TooBig { cap: 4, .. })));
    assert_eq!(image.read_at_most(Path::new("/etc/hostname"), 5).unwrap(), b"web1\n");
    assert!(tree.facts().accounts.shells.unknown().unwrap().contains("bigger than"));
}

#[test]
fn malformed_lines_are_named_and_the_others_stay() {
    let tree = Tree::debian()
        .file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nbr\xffken:x:1:1::/:/bin/sh\nshort:x:2\nbad:x:-1:2::/:/bin/sh\n+nis::::::\n\n# note\nok:x:5:5::/:/bin/sh\n")
        .file("etc/shadow", "root:*:a:::::\nok:*:1:2:3:4:5:6:\n");
    let facts = tree.facts();
    let names: Vec<_> = facts.accounts.users.known().unwrap().iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["root", "ok"]);
    let at = |path: &str| {
        let problems = facts.problems.iter().filter(|problem| problem.path == Path::new(path));
        problems.map(|problem| problem.line.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(at("/etc/passwd"), [2, 3, 4, 5]);
    assert_eq!(at("/etc/shadow"), [1]);
}

#[test]
fn missing_files_are_unknown_never_empty() {
    let facts = Tree::debian().without("etc/shadow").without("etc/group").without("etc/sudoers").facts();
    assert!(facts.accounts.shadow.unknown().is_some());
    assert!(facts.accounts.groups.unknown().is_some());
    assert_eq!(facts.file("/etc/shadow"), &FileFact::Absent);
    assert!(facts.system.admin_group.unknown().is_some());
    assert!(!facts.sudo["deploy"].known().unwrap().all, "without sudoers nobody may do anything");
    let empty = Tree::new().facts();
    assert!(empty.accounts.users.unknown().is_some() && empty.system.packages.unknown().is_some());
    assert_eq!(empty.ssh.program.known(), Some(&None));
}

#[test]
fn sudoers_drop_ins_are_read_in_order_but_for_names_with_a_dot_or_tilde() {
    let tree = Tree::debian()
        .file("etc/sudoers.d/20-b", "deploy ALL=(ALL) NOPASSWD: ALL\n")
        .file("etc/sudoers.d/10-a", "deploy ALL=(ALL) ALL\n")
        .file("etc/sudoers.d/30.off", "deploy ALL=(ALL) !ALL\n")
        .file("etc/sudoers.d/40~", "deploy ALL=(ALL) !ALL\n");
    let facts = tree.facts();
    let deploy = facts.sudo["deploy"].known().unwrap();
    assert!(deploy.no_password);
    assert_eq!(deploy.decided_by.as_deref(), Some("/etc/sudoers.d/20-b:1"));
    assert_eq!(facts.sudoers.files.known().unwrap().len(), 3);
}

#[test]
fn a_drop_in_that_sudo_would_refuse_makes_all_of_it_unknown() {
    let tree =
        Tree::debian().file("etc/sudoers.d/open", "deploy ALL=(ALL) ALL\n").mode("etc/sudoers.d/open", 0o666);
    let facts = tree.facts();
    assert!(facts.sudo["deploy"].unknown().unwrap().contains("/etc/sudoers.d/open"));
    assert!(facts.problems.iter().any(|problem| problem.path.ends_with("open")));
    let broken = Tree::debian().file("etc/sudoers.d/broken", "\n\nthis is no rule\n").facts();
    assert!(broken.sudo["deploy"].unknown().unwrap().contains("/etc/sudoers.d/broken:3"));
}

#[test]
fn a_key_file_that_leads_out_of_the_home_is_not_laid_open() {
    let tree = Tree::debian()
        .without("home/deploy/.ssh/authorized_keys")
        .file("root/notes", "for root only\n")
        .link("home/deploy/.ssh/authorized_keys", "/root/notes");
    let facts = tree.facts();
    let entry = facts.file("/home/deploy/.ssh/authorized_keys").entry().unwrap();
    assert_eq!(entry.kind, EntryKind::Symlink("/root/notes".into()));
    assert_eq!(entry.resolved.as_deref(), Some(Path::new("/root/notes")));
    assert!(entry.content.is_none() && entry.content_unknown.is_some());
    assert_eq!(facts.file("/root/notes").bytes(), None);
}

#[test]
fn a_link_to_a_configuration_file_gives_its_bytes_and_where_it_leads() {
    let tree = Tree::debian()
        .without("etc/ssh/sshd_config")
        .file("srv/sshd_config", "Port 2222\n")
        .link("etc/ssh/sshd_config", "../../srv/sshd_config");
    let facts = tree.facts();
    assert_eq!(facts.file("/etc/ssh/sshd_config").bytes(), Some(&b"Port 2222\n"[..]));
    assert_eq!(facts.file("/srv/sshd_config").entry().unwrap().kind, EntryKind::File);
}

#[test]
fn paths_that_a_plan_wants_are_read_with_what_stands_above() {
    let tree = Tree::debian().file("etc/gabion/policy.toml", "[ssh]\n");
    let extra_files = ["/etc/gabion/policy.toml", "/etc/none/at/all", "/etc/gabion"].map(Into::into).to_vec();
    let facts = collect(&tree.image(), &Wanted { extra_files, ..Wanted::default() });
    assert_eq!(facts.file("/etc/gabion/policy.toml").bytes(), Some(&b"[ssh]\n"[..]));
    assert_eq!(
        facts.file("/etc/gabion").entry().unwrap().names.as_deref(),
        Some(&["policy.toml".to_owned()][..])
    );
    assert_eq!(facts.file("/etc/none/at/all"), &FileFact::Absent);
    assert_eq!(facts.file("/etc/none"), &FileFact::Absent);
}

#[test]
fn recorded_facts_are_replayed_as_they_were_taken() {
    let tree = Tree::debian().file("etc/ssh/sshd_config.d/latin.conf", b"# caf\xe9\n");
    let facts = tree.facts();
    let text = Recorded::new(facts.clone()).save().unwrap();
    let recorded = Recorded::load(&text).unwrap();
    assert_eq!(collect(&recorded, &Wanted::default()), facts);
    assert_eq!(recorded.read(Path::new("/etc/ssh/sshd_config.d/latin.conf")).unwrap(), b"# caf\xe9\n");
    assert!(matches!(recorded.read(Path::new("/nobody/looked")), Err(Error::NotRecorded(_))));
    assert!(matches!(recorded.metadata(Path::new("/etc/nologin")), Err(Error::NotFound(_))));
    assert_eq!(recorded.glob("/etc/ssh/sshd_config.d/*.conf").len(), 2);
    assert!(matches!(Recorded::load("{}"), Err(Error::NotFacts(_))));
}

#[test]
fn names_that_are_not_text_are_left_out_and_said_so() {
    use std::os::unix::ffi::OsStrExt as _;
    let tree = Tree::debian();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.conf");
    fs::write(tree.at("etc/ssh/sshd_config.d").join(name), "Port 1\n").unwrap();
    let facts = tree.facts();
    assert!(facts.problems.iter().any(|problem| problem.what.contains("not UTF-8")));
    assert!(Recorded::new(facts).save().is_ok());
}

#[test]
fn systems_without_systemd_are_told_by_what_init_is() {
    let openrc =
        Tree::new().file("sbin/openrc", "").file("bin/busybox", "").link("sbin/init", "/bin/busybox");
    assert_eq!(openrc.facts().system.init.known(), Some(&Init::OpenRc));
    let sysv = Tree::new()
        .file("sbin/init", "")
        .file("etc/init.d/ssh", "")
        .link("etc/rc2.d/S20ufw", "../init.d/ufw")
        .link("etc/rc2.d/S01ssh", "../init.d/ssh");
    let facts = sysv.facts();
    assert_eq!(facts.system.init.known(), Some(&Init::SysV));
    assert_eq!(facts.firewall.managers.known().unwrap()[0].name, "ufw");
    let upstart = Tree::new().file("sbin/init", "").file("etc/init/ssh.conf", "");
    assert_eq!(upstart.facts().system.init.known(), Some(&Init::Upstart));
    assert_eq!(Tree::new().facts().system.init.known(), Some(&Init::None));
}

#[test]
fn what_sudo_grants_is_judged_again_when_the_facts_are_changed() {
    let mut facts = Tree::debian().file("etc/sudoers.d/extra", "Defaults !authenticate\n").facts();
    assert!(facts.sudo["deploy"].known().unwrap().no_password);
    let unchanged = facts.clone();
    host::judge_sudo_again(&mut facts);
    assert_eq!(facts.sudo["deploy"], unchanged.sudo["deploy"]);

    let Some(FileFact::Present(entry)) = facts.files.get_mut(Path::new("/etc/sudoers.d/extra")) else {
        panic!("it was not read");
    };
    entry.content = Some(Content(b"deploy ALL=(ALL) !ALL\n".to_vec()));
    host::judge_sudo_again(&mut facts);
    assert!(!facts.sudo["deploy"].known().unwrap().all);
}
