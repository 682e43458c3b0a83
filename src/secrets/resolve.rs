//! From references to values.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::{Zeroize as _, Zeroizing};

use super::{CardSecrets, Secret, SecretError, psk};
use crate::aws::Ssm;
use crate::progress::Progress;
use crate::read_limited::read_limited_into;
use crate::recipe::{Recipe, SecretRef};

/// No secret that a recipe names is larger, in bytes.
const LARGEST: u64 = 64 << 10;
const WIFI_PSK: &str = "[network.wifi] psk";

/// Looks up every secret that the recipe names. `beside` is the directory that its paths count from.
///
/// # Errors
/// [`SecretError`] for the first one that is missing or cannot be used; nothing was written or consumed.
pub fn resolve(recipe: &Recipe, beside: &Path, progress: &dyn Progress) -> Result<CardSecrets, SecretError> {
    let mut secrets = CardSecrets::default();
    let Some(wifi) = recipe.network.as_ref().and_then(|network| network.wifi.as_ref()) else { return Ok(secrets) };
    let region = recipe.activation.as_ref().and_then(|activation| activation.region.as_deref());
    let found = look_up(WIFI_PSK, &wifi.psk, beside, region, progress)?;
    // Now: a card with a key that no network takes never comes online to say so.
    psk::check(found.expose()).map_err(|what| SecretError::Unfit {
        key: WIFI_PSK,
        place: wifi.psk.to_string(),
        what,
    })?;
    secrets.wifi_psk = Some(found);
    Ok(secrets)
}

fn look_up(
    key: &'static str,
    reference: &SecretRef,
    beside: &Path,
    region: Option<&str>,
    progress: &dyn Progress,
) -> Result<Secret, SecretError> {
    match reference {
        SecretRef::Env(name) => {
            let missing = |what| SecretError::Env { key, name: name.clone(), what };
            // Set and empty is a script's unset variable far more often than an empty secret.
            let value = std::env::var_os(name).ok_or_else(|| missing("is not set"))?;
            let value = value.into_string().map_err(|_| missing("is not text"))?;
            if value.is_empty() { Err(missing("is empty")) } else { Ok(Secret::new(value)) }
        }
        SecretRef::File(path) => from_file(key, &beside.join(path), progress),
        SecretRef::SsmParameter(name) => {
            let failed = |source| SecretError::Parameter { key, name: name.clone(), source };
            let service = Ssm::connect_anywhere(region).map_err(failed)?;
            let parameter = service.parameter(name).map_err(failed)?;
            if !parameter.encrypted {
                progress.warn(&format!(
                    "the SSM parameter {name} is a String, which every reader of the account sees; a SecureString is \
                     what secrets are kept in"
                ));
            }
            Ok(Secret::new(parameter.value))
        }
    }
}

fn from_file(key: &'static str, path: &Path, progress: &dyn Progress) -> Result<Secret, SecretError> {
    let failed = |what: String| SecretError::File { key, path: path.to_owned(), what };
    let unreadable = |error: std::io::Error| failed(format!("cannot be read: {error}"));
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        // A FIFO would wait for its writer for ever, and a device may never end.
        return Err(failed("is not a regular file".to_owned()));
    }
    // A warning and not an error: file systems without modes (FAT, some mounts) show every file as open to all.
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        progress.warn(&format!(
            "{} holds a secret, and others than you can read or change it (mode {mode:04o}): chmod 600",
            path.display()
        ));
    }
    // Wiped when dropped. Room for any passphrase from the start: growing would leave copies behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    read_limited_into(file, LARGEST, &mut bytes).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => failed("is too large for a secret (over 64 KiB)".to_owned()),
        _ => unreadable(error),
    })?;
    let Ok(text) = std::str::from_utf8(&bytes) else { return Err(failed("is not text".to_owned())) };
    // One line end is the editor's or echo's. More than one may be meant, and the check below says no to them.
    let value = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if value.is_empty() {
        return Err(failed("is empty".to_owned()));
    }
    let secret = Secret::new(value.to_owned());
    bytes.zeroize();
    Ok(secret)
}
