//! What looks like a secret in files that people and services made. No table is complete; this finds what no row names.

use std::collections::HashSet;

use ext4_view::FileType;

use crate::audit::error::AuditError;
use crate::audit::finding::Severity;
use crate::audit::looked_through::LookedThrough;
use crate::audit::options::AuditOptions;
use crate::audit::path_stat::PathStat;
use crate::audit::reader::AuditImage;
use crate::audit::rule::{Found, Look, Rule};
use crate::audit::secret_forms::form_in;
use crate::strip::forms::scope;

/// `private-key-files`
pub const PRIVATE_KEYS: Rule = Rule {
    id: "private-key-files",
    severity: Severity::Error,
    title: "private keys in files that no other rule names",
    deep: false,
    look: Look::Code(private_keys),
    text: "\
Looks through the files that no package brought in /etc, /root, /home, /opt, /srv, /data, /usr/local, /var/lib,
/var/spool, /var/backups, /var/www and /var/opt, and through the boot partition, for private keys: PEM, OpenSSH, PKCS#8, PGP, PuTTY, OpenVPN, age. Keys in the places of other rules are told of there.

Whoever has one card has the key.

Remedy: `[strip] remove = [\"/path\"]` in the recipe; where every card shall have it, `keep = [\"secrets-in-files\"]`.",
};

/// `secrets-in-files`
pub const SECRETS: Rule = Rule {
    id: crate::strip::SECRETS_IN_FILES,
    severity: Severity::Warning,
    title: "tokens and passwords in files that no other rule names",
    deep: false,
    look: Look::Code(secrets),
    text: "\
Looks through the same files as private-key-files for tokens, in the forms that the well-known scanners agree on (AWS,
GitHub, GitLab, Slack, Google, npm, PyPI, Tailscale and many more), for passwords in addresses, and for small files that
only root may read and no package brought. Names of files and kinds are told, never what stands there.

Remedy: `[strip] remove = [\"/path\"]` in the recipe; where every card shall have it, `keep = [\"secrets-in-files\"]`.",
};

/// `not-searched`
pub const NOT_SEARCHED: Rule = Rule {
    id: "not-searched",
    severity: Severity::Note,
    title: "large files of which only the beginning was looked through for secrets",
    deep: false,
    look: Look::Code(not_searched),
    text: "\
private-key-files and secrets-in-files read the first MiB of each file, where keys and settings are. This says of how
many files that was not the whole.

Remedy: look at such files yourself, or remove what no card needs with `[strip] remove`.",
};

fn not_searched(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let walk = image.looked_through(look_through)?;
    if walk.beginnings > 0 {
        let files = if walk.beginnings == 1 { "file" } else { "files" };
        found("image".into(), format!("{} {files}", walk.beginnings));
    }
    Ok(())
}

fn private_keys(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let walk = image.looked_through(look_through)?;
    for (path, kind, _) in walk.secrets.iter().filter(|(_, _, is_key)| *is_key) {
        found(path.as_slice().into(), format!("holds a {kind}"));
    }
    Ok(())
}

fn secrets(image: &AuditImage, _: &AuditOptions, found: Found<'_>) -> Result<(), AuditError> {
    let walk = image.looked_through(look_through)?;
    for (path, kind, _) in walk.secrets.iter().filter(|(_, _, is_key)| !*is_key) {
        found(path.as_slice().into(), (*kind).to_owned());
    }
    if walk.too_deep > 0 {
        let text =
            format!("{} folders are deeper than {}: they were not looked through", walk.too_deep, scope::DEEPEST);
        found("image".into(), text);
    }
    if walk.left_out > 0 {
        let text =
            format!("{} files were not looked through: more than {} would take too long", walk.left_out, walk.files);
        found("image".into(), text);
    }
    Ok(())
}

fn look_through(image: &AuditImage) -> Result<LookedThrough, AuditError> {
    let owned = owned_by_packages(image)?;
    let mut places: Vec<Vec<u8>> = Vec::new();
    // A row that looks into files names only those in which it finds something.
    for row in crate::strip::rules() {
        super::table::look(row, image, &mut |place, _| places.push(place.as_bytes().to_vec()))?;
    }
    let mut named: HashSet<Vec<u8>> = HashSet::new();
    for place in places {
        // What a link leads to is told of by the link's name.
        named.insert(image.settled(&place)?);
        named.insert(place);
    }
    let mut walk = LookedThrough::default();
    let mut ahead: Vec<(Vec<u8>, usize)> =
        scope::LOOKED_IN.iter().map(|place| (place.as_bytes().to_vec(), 0)).collect();
    while let Some((at, depth)) = ahead.pop() {
        if named.contains(&at) || is_below(&at, scope::NOT_IN) {
            continue;
        }
        if depth > scope::DEEPEST {
            walk.too_deep += 1;
            continue;
        }
        for (name, stat) in image.listing(&at)?.iter() {
            let path = [at.as_slice(), b"/", name].concat();
            match stat.kind {
                FileType::Directory if !scope::SKIPPED_NAMES.iter().any(|skipped| name == skipped.as_bytes()) => {
                    ahead.push((path, depth + 1));
                }
                FileType::Regular if !named.contains(&path) => look_at(&mut walk, image, path, stat, &owned)?,
                _ => {}
            }
        }
    }
    for (path, size) in image.boot_files()? {
        let shown = format!("boot:/{path}").into_bytes();
        let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
        let is_firmware = scope::FIRMWARE_ENDINGS.iter().any(|ending| name.ends_with(ending))
            || scope::FIRMWARE_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
        if size == 0 || is_firmware || named.contains(&shown) {
            continue;
        }
        if has_room(&mut walk, size) {
            let content = image.boot_beginning(&path, scope::MOST_OF_A_FILE)?;
            walk.beginnings += usize::from(size > scope::MOST_OF_A_FILE);
            if let Some(form) = form_in(&content).filter(|form| form.is_key || !is_example(path.as_bytes())) {
                walk.secrets.push((shown, form.kind, form.is_key));
            }
        }
    }
    walk.secrets.sort();
    Ok(walk)
}

fn look_at(
    walk: &mut LookedThrough,
    image: &AuditImage,
    path: Vec<u8>,
    stat: &PathStat,
    owned: &HashSet<Vec<u8>>,
) -> Result<(), AuditError> {
    let is_owned = owned.contains(&path);
    let settings = path.starts_with(b"/etc/");
    if stat.size == 0 || (is_owned && !settings) || is_below(&path, scope::PUBLIC_FILES) {
        return Ok(());
    }
    if !has_room(walk, stat.size) {
        return Ok(());
    }
    walk.beginnings += usize::from(!is_owned && stat.size > scope::MOST_OF_A_FILE);
    let content = image.beginning(&path, scope::MOST_OF_A_FILE)?;
    // Among examples and in documentation a token is none; a key is one that everybody has.
    let examples = is_example(&path);
    match form_in(&content) {
        Some(form) if !examples || form.is_key => walk.secrets.push((path, form.kind, form.is_key && !examples)),
        _ if !examples && !is_owned && is_for_root_alone(&path, stat, &content) => {
            walk.secrets.push((path, "only root may read it, and no package brought it", false));
        }
        _ => {}
    }
    Ok(())
}

/// Whether one more file is looked through; one that is not is counted.
fn has_room(walk: &mut LookedThrough, size: u64) -> bool {
    if walk.files >= scope::MOST_FILES || walk.bytes >= scope::MOST_BYTES {
        walk.left_out += 1;
        return false;
    }
    walk.files += 1;
    walk.bytes += size.min(scope::MOST_OF_A_FILE);
    true
}

fn is_for_root_alone(path: &[u8], stat: &PathStat, content: &[u8]) -> bool {
    (16..=64 << 10).contains(&stat.size)
        && stat.mode & 0o077 == 0
        && stat.uid == 0
        && !is_below(path, scope::HARMLESS_ROOT_FILES)
        && (has_secret_name(path) || is_short_noise(content))
}

fn has_secret_name(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_ascii_lowercase();
    scope::SECRET_WORDS.iter().any(|word| memchr::memmem::find(&name, word.as_bytes()).is_some())
}

/// A line or two, with a long word in it that is no word: digits, and many different letters.
fn is_short_noise(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let text = text.trim();
    let is_noise = |word: &str| {
        let kinds: HashSet<u8> = word.bytes().collect();
        word.len() >= 16 && kinds.len() >= 10 && word.bytes().any(|byte| byte.is_ascii_digit())
    };
    text.lines().count() <= 3 && text.split_ascii_whitespace().any(is_noise)
}

/// Whether a file is an example, or a text about something.
fn is_example(path: &[u8]) -> bool {
    let mut parts = path.split(|&byte| byte == b'/').rev();
    let name = parts.next().unwrap_or_default();
    scope::DOCUMENTATION_ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
        || parts.any(|part| scope::EXAMPLE_NAMES.iter().any(|example| part == example.as_bytes()))
}

/// Whether a path is one of these, or below one.
fn is_below(path: &[u8], places: &[&str]) -> bool {
    places.iter().any(|place| match path.strip_prefix(place.as_bytes()) {
        Some(rest) => rest.first().is_none_or(|&byte| byte == b'/'),
        None => false,
    })
}

/// The files of packages below the directories that are looked through.
fn owned_by_packages(image: &AuditImage) -> Result<HashSet<Vec<u8>>, AuditError> {
    let mut owned = HashSet::new();
    for list in image.like("/var/lib/dpkg/info/*.list")? {
        let content = image.beginning(&list, 16 << 20)?;
        let paths = content.split(|&byte| byte == b'\n').filter(|path| is_below(path, scope::LOOKED_IN));
        owned.extend(paths.map(<[u8]>::to_vec));
    }
    Ok(owned)
}
