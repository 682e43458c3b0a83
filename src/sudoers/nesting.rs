//! How deep aliases stand in one another.

use std::collections::BTreeMap;

use super::policy::{AliasKind, AliasMembers, CommandName, Name, Policy};

/// So deep aliases are followed; sudo has no limit but its stack. What is deeper is a problem of the policy
/// ([`super::ProblemKind::NotFollowed`]).
pub(super) const DEEPEST_ALIAS: usize = 256;

type Key = (AliasKind, Vec<u8>);

impl Policy {
    /// An alias in which others stand deeper than they are followed, if there is one.
    pub(super) fn too_deep(&self) -> Option<&[u8]> {
        let inner = self.aliases.iter().map(|(key, members)| (key, named(key.0, members))).collect();
        let mut walk = Walk { inner, known: BTreeMap::new() };
        self.aliases.keys().find(|key| walk.depth(key, 0) > DEEPEST_ALIAS).map(|(_, name)| name.as_slice())
    }
}

struct Walk<'a> {
    inner: BTreeMap<&'a Key, Vec<Key>>,
    /// `None` while it is being looked at: an alias within itself counts as not defined, as in sudo.
    known: BTreeMap<Key, Option<usize>>,
}

impl Walk<'_> {
    /// How many aliases stand in one another from this one on; more than [`DEEPEST_ALIAS`] are not counted.
    fn depth(&mut self, key: &Key, above: usize) -> usize {
        if let Some(known) = self.known.get(key) {
            return known.unwrap_or_default();
        }
        let Some(members) = self.inner.get(key).cloned().filter(|_| above <= DEEPEST_ALIAS) else {
            // Not defined, or so deep that whoever asked is too deep already.
            return usize::from(above > DEEPEST_ALIAS);
        };
        self.known.insert(key.clone(), None);
        let below = members.iter().map(|member| self.depth(member, above + 1)).max().unwrap_or_default();
        self.known.insert(key.clone(), Some(below.saturating_add(1)));
        below.saturating_add(1)
    }
}

/// The aliases that an alias names.
fn named(kind: AliasKind, members: &AliasMembers) -> Vec<Key> {
    match members {
        AliasMembers::Names(members) => members
            .iter()
            .filter_map(|member| match &member.name {
                Name::Alias(name) => Some((kind, name.clone())),
                _ => None,
            })
            .collect(),
        AliasMembers::Commands(members) => members
            .iter()
            .filter_map(|member| match &member.name {
                CommandName::Alias(name) => Some((kind, name.clone())),
                _ => None,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: usize) -> String {
        let links = (0..length).map(|n| format!("User_Alias A{n} = A{}\n", n + 1));
        links.chain([format!("User_Alias A{length} = zoe\nA0 ALL = ALL\n")]).collect()
    }

    #[test]
    fn a_chain_of_aliases_is_followed_or_said() {
        assert_eq!(Policy::of_text("x", chain(DEEPEST_ALIAS - 1).as_bytes()).too_deep(), None);
        assert!(Policy::of_text("x", chain(DEEPEST_ALIAS).as_bytes()).too_deep().is_some());
        assert!(Policy::of_text("x", chain(2_000).as_bytes()).too_deep().is_some());
        // Within itself, as sudo has it: not defined, and no matter how deep.
        assert_eq!(Policy::of_text("x", b"User_Alias A = B\nUser_Alias B = A\nA ALL = ALL\n").too_deep(), None);
        // The same the other way round: nothing hangs on the order.
        let reversed: String = chain(2_000).lines().rev().map(|line| format!("{line}\n")).collect();
        assert!(Policy::of_text("x", reversed.as_bytes()).too_deep().is_some());
        assert_eq!(Policy::of_text("x", b"User_Alias A = B, C\nUser_Alias B = C\nA ALL = ALL\n").too_deep(), None);
    }
}
