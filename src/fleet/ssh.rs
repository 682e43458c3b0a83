//! `fleet ssh-config`: a block for `~/.ssh/config` with which `ssh CARD` goes through Session Manager.

use std::fmt::Write as _;

use super::FleetError;
use super::status::CardStatus;

/// What the block is made with.
pub struct SshOptions<'a> {
    /// The user on the cards.
    pub user: &'a str,
    /// sshd's port on the cards.
    pub port: u16,
    /// The AWS profile, where not the default one.
    pub profile: Option<&'a str>,
    /// The region of `Host mi-*`; a card's own is known.
    pub region: Option<&'a str>,
}

/// The block. Cards that have no node are left out with a remark.
///
/// Every host has one single `ProxyCommand` with the document named: without it SSM opens a shell where ssh expects
/// another sshd, and a command chained behind another one (`sh -c "a && b"`) loses ssh's standard input to the first.
///
/// # Errors
/// When an option would break out of its place in the file.
pub fn config(lines: &[CardStatus], options: &SshOptions<'_>) -> Result<String, FleetError> {
    plain("--user", options.user)?;
    options.profile.map_or(Ok(()), |profile| plain("--profile", profile))?;
    options.region.map_or(Ok(()), |region| plain("--region", region))?;

    let mut text =
        String::from("# Made by `cardsmith fleet ssh-config`. Needs the AWS CLI and its session-manager-plugin.\n");
    let mut regions: Vec<&str> = Vec::new();
    for line in lines {
        let region = line.region.as_deref().unwrap_or_default();
        let Some(node) = &line.node else {
            // A remark, so that nobody wonders where the card is.
            let _ = writeln!(text, "# {}: {}", line.card, line.condition.as_str());
            continue;
        };
        // These come from outside: a node's id from AWS, a region from a file, a name from a ledger.
        if [&node.id, region, &line.card].iter().any(|text| plain("", text).is_err()) {
            continue;
        }
        if !regions.contains(&region) {
            regions.push(region);
        }
        host(&mut text, &line.card, Some(&node.id), region, options);
    }
    // `mi-*` cannot know its region: one block for it where there is one region, or where one was given.
    let only = if let [region] = regions.as_slice() { Some(*region) } else { None };
    match options.region.or(only) {
        Some(region) => host(&mut text, "mi-*", None, region, options),
        None => text.push_str("# Host mi-* is left out: give --region, the cards are in several or in none\n"),
    }
    Ok(text)
}

fn host(text: &mut String, pattern: &str, node: Option<&str>, region: &str, options: &SshOptions<'_>) {
    let _ = write!(text, "\nHost {pattern}\n");
    if let Some(node) = node {
        let _ = writeln!(text, "    HostName {node}");
    }
    let profile = options.profile.map(|profile| format!(" --profile {profile}")).unwrap_or_default();
    let _ = write!(
        text,
        "    User {}\n    Port {}\n    ProxyCommand aws ssm start-session --target %h --document-name \
         AWS-StartSSHSession --parameters portNumber=%p --region {region}{profile}\n",
        options.user, options.port
    );
}

/// Only what neither ssh (`%`, `"`) nor the shell that runs the command would read as something else.
fn plain(what: &str, text: &str) -> Result<(), FleetError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.@+=-".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(legal) {
        return Err(FleetError::Usage(format!(
            "{what} {text:?} cannot stand in an ssh configuration: only letters, digits and _.@+=-"
        )));
    }
    Ok(())
}
