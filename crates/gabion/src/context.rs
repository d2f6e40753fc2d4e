//! What every verb starts from: the policy, the facts, and where output goes.

use std::path::{Path, PathBuf};

use host::{Facts, Host, Source};
use policy::Policy;

use crate::cli::{BARE_POLICY, Global, POLICY};
use crate::error::{Failure, usage};
use crate::import;
use crate::output::Output;
use crate::suggest::{Asked, Suggestion, suggest};

/// What every verb starts from.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) policy_file: PathBuf,
    policy_was_named: bool,
    /// `--policy` was said, with or without a file.
    pub(crate) policy_was_asked_for: bool,
}

/// Where a policy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File(PathBuf),
    /// There is no file: it is the one that `init` would write.
    Suggested,
}

/// A host seen through its policy.
pub(crate) struct Subject {
    pub(crate) facts: Facts,
    pub(crate) policy: Policy,
    pub(crate) origin: Origin,
}

impl Context {
    pub(crate) fn new(global: &Global, output: Output) -> Self {
        let is_bare = global.policy.as_os_str() == BARE_POLICY;
        let policy_file = if is_bare { PathBuf::from(POLICY) } else { global.policy.clone() };
        let policy_was_named = policy_file != Path::new(POLICY);
        Self { output, policy_file, policy_was_named, policy_was_asked_for: is_bare || policy_was_named }
    }

    /// The policy file's policy, or `None` where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is no policy; a file that was named on the command line must be there.
    pub(crate) fn policy(&self) -> Result<Option<Policy>, Failure> {
        let text = match read_capped(&self.policy_file, MOST_POLICY) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.policy_was_named => {
                return Ok(None);
            }
            Err(source) => return Err(Failure::Read { path: self.policy_file.clone(), source }),
        };
        Ok(Some(policy::parse(&text, &self.policy_file)?))
    }

    /// The policy for a host: a tree of files has its own, unless another was named.
    ///
    /// # Errors
    /// As [`Context::policy`].
    pub(crate) fn policy_of(&self, host: &dyn Host) -> Result<Option<Policy>, Failure> {
        if self.policy_was_named || host.source() == Source::Live {
            return self.policy();
        }
        match host.read(&self.policy_file) {
            Ok(bytes) => Ok(Some(policy::parse(&String::from_utf8_lossy(&bytes), &self.policy_file)?)),
            Err(host::Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a host and its policy; where there is no policy, the one that `init` would write.
    ///
    /// # Errors
    /// The policy is wrong.
    pub(crate) fn subject(&self, host: &dyn Host) -> Result<Subject, Failure> {
        if let Some(policy) = self.policy_of(host)? {
            let facts = collect(host, Some(&policy));
            return Ok(Subject { facts, policy, origin: Origin::File(self.policy_file.clone()) });
        }
        let subject = self.suggested(collect(host, None), Some(host));
        // What a suggested administrator owns was not asked for the first time.
        let facts = if subject.policy.admins.is_empty() {
            subject.facts
        } else {
            collect(host, Some(&subject.policy))
        };
        Ok(Subject { facts, ..subject })
    }

    /// Puts saved facts and a policy together.
    ///
    /// # Errors
    /// The policy is wrong.
    pub(crate) fn with_facts(&self, facts: Facts) -> Result<Subject, Failure> {
        Ok(match self.policy()? {
            Some(policy) => Subject { facts, policy, origin: Origin::File(self.policy_file.clone()) },
            None => self.suggested(facts, None),
        })
    }

    /// The policy that fits the facts, and says so.
    fn suggested(&self, facts: Facts, host: Option<&dyn Host>) -> Subject {
        let mut suggestion = suggest(&facts, &Asked::default());
        if let Some(host) = host {
            import::adopt(host, &facts, &mut suggestion);
        }
        let Suggestion { policy, notes, .. } = suggestion;
        let missing = self.policy_file.display();
        self.output
            .note(&format!("There is no {missing}: this uses the policy that `gabion init` would write."));
        notes.iter().for_each(|note| self.output.note(note));
        Subject { facts, policy, origin: Origin::Suggested }
    }
}

/// Bytes of a policy file that are read at most.
const MOST_POLICY: u64 = 1 << 20;

/// Reads a text file, a pipe too, that a person named; one without an end is not read to the end of the memory.
pub(crate) fn read_capped(path: &Path, most: u64) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        let why = format!("more than {most} bytes: this is not the file that is meant");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

/// Reads the facts that this policy asks for.
pub(crate) fn collect(host: &dyn Host, policy: Option<&Policy>) -> Facts {
    let default = Policy::default();
    let policy = policy.unwrap_or(&default);
    let wanted = host::Wanted {
        extra_files: change::plan::managed_paths(policy),
        programs: change::plan::shells(policy),
        admins: policy.admins.iter().map(|admin| admin.name.clone()).collect(),
    };
    host::collect(host, &wanted)
}

/// Fails where the program does not run as root, saying how.
pub(crate) fn need_root(verb: &str) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(usage(format!("`gabion {verb}` needs root"), format!("run it as `sudo gabion {verb}`")))
}
