//! What stands ready at boot: this program at a path that stays, and the units or scripts that start it.

use std::path::PathBuf;

use host::facts::Init;

use super::draft::{Draft, Reason, WantedFile};
use super::{PlanError, Program};
use crate::action::{Action, Before, Owner, Risk};

/// Where the program is installed: root's own, in sudo's secure path, left alone by package managers.
pub const PROGRAM: &str = "/usr/local/sbin/gabion";
pub(super) const RECOVER_NAME: &str = "gabion-recover";
pub(super) const RECOVER_UNIT: &str = "/etc/systemd/system/gabion-recover.service";
pub(super) const RECOVER_LINK: &str = "/etc/systemd/system/sysinit.target.wants/gabion-recover.service";
pub(super) const RECOVER_SCRIPT: &str = "/etc/init.d/gabion-recover";
/// Folders of `SysV` and `OpenRC` in which a link makes a script start early in the boot.
pub(super) const RUNLEVEL_LINKS: &[&str] = &["/etc/rcS.d/S00", "/etc/rc.d/rc3.d/S00", "/etc/runlevels/boot/"];

/// The path of the link that starts a script in a runlevel.
pub(super) fn runlevel_link(prefix: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("{prefix}{name}"))
}

/// Undoing at boot comes before the network, the packet filter and sshd, so that nothing unconfirmed is ever in force.
const RECOVER_UNIT_TEXT: &str = "\
# Written by gabion.
[Unit]
Description=Undo what was not confirmed before this boot
Documentation=man:gabion(8)
DefaultDependencies=no
RequiresMountsFor=/var/lib/gabion /usr/local/sbin /etc
After=local-fs.target systemd-remount-fs.service
Before=gabion-firewall.service network-pre.target sysinit.target ssh.service sshd.service shutdown.target
# What loads rules of others at boot reads files that are put back here.
Before=ufw.service firewalld.service nftables.service netfilter-persistent.service iptables.service ip6tables.service
Wants=network-pre.target
Conflicts=shutdown.target
ConditionPathExists=/var/lib/gabion/transactions

[Service]
Type=oneshot
RemainAfterExit=yes
# The second is there while a change is open, and outlives the first.
ExecStart=/bin/sh -c 'for program in /usr/local/sbin/gabion /var/lib/gabion/transactions/*/gabion; do \\
    if [ -x $$program ]; then exec $$program recover --boot; fi; done; exit 1'
TimeoutStartSec=90

[Install]
WantedBy=sysinit.target
";

const REASON: Reason<'static> =
    Reason { why: "an unconfirmed change is undone at the next boot", controls: &[], risk: Risk::None };

/// Installs the program and has it recover at boot.
pub(super) fn draw_recovery(draft: &mut Draft<'_>, program: &Program) -> Result<(), PlanError> {
    install_program(draft, program);
    let service = Service {
        name: RECOVER_NAME,
        unit: RECOVER_UNIT,
        unit_text: RECOVER_UNIT_TEXT,
        link: RECOVER_LINK,
        script: RECOVER_SCRIPT,
        summary: "undo what was not confirmed before this boot",
        command: "recover --boot",
    };
    service.draw(draft, REASON)
}

fn install_program(draft: &mut Draft<'_>, program: &Program) {
    let path = PathBuf::from(PROGRAM);
    let before = match &program.installed {
        Before::File(digest) if *digest == program.digest => return,
        Before::Absent | Before::File(_) | Before::Symlink(_) => program.installed.clone(),
    };
    let reason = Reason { why: "the boot units and `sudo gabion confirm` need a path that stays", ..REASON };
    let action = Action::InstallProgram { path, digest: program.digest.clone(), before };
    draft.step(action, "this program, mode 0755".to_owned(), reason);
}

/// A command of this program that is started once, early in the boot.
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) unit_text: &'a str,
    pub(super) link: &'a str,
    pub(super) script: &'a str,
    pub(super) summary: &'a str,
    pub(super) command: &'a str,
}

impl Service<'_> {
    /// Writes and enables it in the manner of the host's init system.
    pub(super) fn draw(&self, draft: &mut Draft<'_>, reason: Reason<'_>) -> Result<(), PlanError> {
        match draft.facts.system.init.known() {
            Some(Init::Systemd) => self.draw_unit(draft, reason),
            Some(Init::SysV | Init::OpenRc | Init::Upstart) => self.draw_script(draft, reason),
            Some(Init::None) => {
                draft.note(format!(
                    "no init system runs here: nothing starts `gabion {}` at boot",
                    self.command
                ));
                Ok(())
            }
            None => Err(PlanError::Unknown {
                what: "the init system".to_owned(),
                reason: draft.facts.system.init.unknown().unwrap_or_default().to_owned(),
            }),
        }
    }

    fn draw_unit(&self, draft: &mut Draft<'_>, reason: Reason<'_>) -> Result<(), PlanError> {
        let unit = WantedFile {
            path: self.unit.into(),
            contents: self.unit_text.into(),
            mode: 0o644,
            owner: Owner::Root,
        };
        let written = draft.file(unit, reason)?;
        let linked = draft.symlink(self.link.as_ref(), self.unit, reason)?;
        if written || linked {
            let reason = Reason { why: "systemd reads the new unit", ..reason };
            draft.step(Action::ReloadUnits, String::new(), reason);
        }
        Ok(())
    }

    fn draw_script(&self, draft: &mut Draft<'_>, reason: Reason<'_>) -> Result<(), PlanError> {
        let script = WantedFile {
            path: self.script.into(),
            contents: self.script_text().into_bytes(),
            mode: 0o755,
            owner: Owner::Root,
        };
        draft.file(script, reason)?;
        for prefix in RUNLEVEL_LINKS {
            let folder = runlevel_folder(prefix);
            if draft.facts.file(folder).entry().is_some() {
                draft.symlink(&runlevel_link(prefix, self.name), self.script, reason)?;
            }
        }
        Ok(())
    }

    /// A script that `SysV`, the compatibility layer of Upstart and `OpenRC` all start.
    fn script_text(&self) -> String {
        let Self { name, summary, command, .. } = self;
        format!(
            "#!/bin/sh\n# Written by gabion.\n### BEGIN INIT INFO\n# Provides:          {name}\n\
             # Required-Start:    mountkernfs $local_fs\n# Required-Stop:\n# X-Start-Before:    networking\n\
             # Default-Start:     S\n# Default-Stop:\n# Short-Description: {summary}\n### END INIT INFO\n\
             case \"$1\" in\n    start|restart|force-reload) exec /usr/local/sbin/gabion {command} ;;\n\
             \x20   stop|status) exit 0 ;;\n    *) echo \"usage: $0 start\" >&2; exit 2 ;;\nesac\n"
        )
    }
}

fn runlevel_folder(prefix: &str) -> &str {
    prefix.rsplit_once('/').map_or(prefix, |(folder, _)| folder)
}
