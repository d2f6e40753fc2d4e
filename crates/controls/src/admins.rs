//! Which accounts count as administrators.

use host::{Fact, Facts};
use policy::Policy;

/// The login names of the accounts that administer this host: those that the policy names, in its order; where it
/// names none, every account but root that sudo lets run everything, in the order of passwd(5).
pub fn admins(facts: &Facts, policy: &Policy) -> Vec<String> {
    if !policy.admins.is_empty() {
        return policy.admins.iter().map(|admin| admin.name.clone()).collect();
    }
    let Some(users) = facts.accounts.users.known() else {
        return Vec::new();
    };
    let has_all = |name: &str| matches!(facts.sudo.get(name), Some(Fact::Known(listing)) if listing.all);
    users.iter().filter(|user| user.uid != 0 && has_all(&user.name)).map(|user| user.name.clone()).collect()
}
