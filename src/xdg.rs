//! The directories of one person, by the XDG Base Directory Specification.

use std::env;
use std::path::PathBuf;

/// Where cardsmith keeps what should outlive a run but is not worth a backup elsewhere (the ledger):
/// `$XDG_STATE_HOME/cardsmith`, else `~/.local/state/cardsmith`. `None` without a home directory.
pub fn state_directory() -> Option<PathBuf> {
    directory("XDG_STATE_HOME", ".local/state")
}

/// Where cardsmith keeps what can be made again (decoded images): `$XDG_CACHE_HOME/cardsmith`, else
/// `~/.cache/cardsmith`. `None` without a home directory.
pub fn cache_directory() -> Option<PathBuf> {
    directory("XDG_CACHE_HOME", ".cache")
}

/// Where cardsmith keeps what a person set up (the bench): `$XDG_CONFIG_HOME/cardsmith`, else `~/.config/cardsmith`.
/// `None` without a home directory.
pub fn config_directory() -> Option<PathBuf> {
    directory("XDG_CONFIG_HOME", ".config")
}

fn directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    choose(env::var_os(variable).map(PathBuf::from), env::var_os("HOME").map(PathBuf::from), below_home)
}

fn choose(set: Option<PathBuf>, home: Option<PathBuf>, below_home: &str) -> Option<PathBuf> {
    // The specification has relative values ignored: where they lead would depend on where the command was started.
    let absolute = |path: Option<PathBuf>| path.filter(|path| path.is_absolute());
    Some(absolute(set).or_else(|| Some(absolute(home)?.join(below_home)))?.join("cardsmith"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_counts_and_relative_values_do_not() {
        let chosen = |set: Option<&str>, home: Option<&str>| {
            choose(set.map(PathBuf::from), home.map(PathBuf::from), ".cache").map(|path| path.display().to_string())
        };
        assert_eq!(chosen(Some("/c"), Some("/home/pi")).as_deref(), Some("/c/cardsmith"));
        assert_eq!(chosen(Some("/c"), None).as_deref(), Some("/c/cardsmith"));
        for ignored in [None, Some(""), Some("c"), Some("./c")] {
            assert_eq!(chosen(ignored, Some("/home/pi")).as_deref(), Some("/home/pi/.cache/cardsmith"));
            assert_eq!(chosen(ignored, Some("pi")), None);
            assert_eq!(chosen(ignored, None), None);
        }
    }
}
