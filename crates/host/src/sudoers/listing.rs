//! What `sudo -l -U NAME` prints.

use crate::facts::SudoListing;

use super::{evaluate, parse};

/// Reads the answer of `sudo -l -U NAME`; a user that may not run sudo has an empty listing.
pub(crate) fn parse_listing(text: &str) -> Result<SudoListing, String> {
    if text.lines().any(|line| line.contains("is not allowed to run sudo")) {
        return Ok(SudoListing::default());
    }
    let (defaults, rules) = text
        .split_once("may run the following commands")
        .ok_or_else(|| "an answer of sudo that is not known".to_owned())?;
    let mut commands = Vec::new();
    for line in rules.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()) {
        commands.extend(parse::listed(line)?);
    }
    // A default that asks for no password is listed apart from the rules.
    let authenticate = defaults.split([',', ' ', '\n']).rfind(|word| word.ends_with("authenticate"));
    let mut listing = evaluate::evaluate_listed(&commands, authenticate != Some("!authenticate"))?;
    listing.decided_by = None;
    listing.no_password_rules.clear();
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_sudo_is_read() {
        let text = "Matching Defaults entries for a on h:\n    env_reset, use_pty\n\n\
                    User a may run the following commands on h:\n    (ALL : ALL) ALL\n    (root) NOPASSWD: /bin/ls\n";
        let listing = parse_listing(text).unwrap();
        assert!(listing.all && listing.any && !listing.no_password);
        assert!(
            parse_listing("User a is not allowed to run sudo on h.\n").unwrap() == SudoListing::default()
        );
        assert!(parse_listing("sudo: a password is required\n").is_err());
        let by_default = text.replace("use_pty", "!authenticate");
        assert!(parse_listing(&by_default).unwrap().no_password);
        let without_password = text.replace("ALL) ALL", "ALL) NOPASSWD: ALL");
        assert!(parse_listing(&without_password).unwrap().no_password);
    }
}
