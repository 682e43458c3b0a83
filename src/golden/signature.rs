//! Who made a golden image: a detached SSH signature of its manifest, `FILE.manifest.json.sig`.
//!
//! The manifest holds the digest of the image's file, of its block map and of every run of bytes that goes to a card, so
//! that a signature of the manifest covers all of them. The format is OpenSSH's own (`ssh-keygen -Y`, PROTOCOL.sshsig):
//! anybody checks it without cardsmith, and keys in an agent or in hardware sign with `ssh-keygen -Y sign`.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use ssh_key::authorized_keys::ConfigOptsIter;
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use zeroize::Zeroizing;

use crate::read_limited::read_limited;

/// What the signature is for (`ssh-keygen -Y verify -n`): one for something else does not count.
pub const NAMESPACE: &str = "cardsmith-manifest";

/// No key file, list of signers or signature is larger, in bytes.
pub(super) const FILE_LIMIT: u64 = 1 << 20;

/// Why there is no signature, or why one does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A key file cannot be used.
    #[error("cannot use the key {path}: {what}", path = path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why not. Never anything of its content.
        what: String,
        /// The next step.
        next: &'static str,
    },
    /// There is no signature.
    #[error("{manifest} is not signed: there is no {signature}", manifest = manifest.display(), signature = signature.display())]
    Missing {
        /// The manifest.
        manifest: PathBuf,
        /// Where its signature should be.
        signature: PathBuf,
    },
    /// The signature cannot be read, or is none.
    #[error("{signature} is not a signature of ssh-keygen or cardsmith: {what}", signature = signature.display())]
    Unreadable {
        /// Which file.
        signature: PathBuf,
        /// Why.
        what: String,
    },
    /// Somebody else signed.
    #[error("{manifest} was signed by another key: {signer}", manifest = manifest.display())]
    OtherKey {
        /// The manifest.
        manifest: PathBuf,
        /// Fingerprint of the key that signed.
        signer: String,
    },
    /// It signs something else: the manifest was changed after it was signed, or the signature is of another file.
    #[error("the signature of {manifest} does not hold: the manifest is not as it was when it was signed", manifest = manifest.display())]
    Altered {
        /// The manifest.
        manifest: PathBuf,
    },
    /// It was made for another purpose.
    #[error("the signature of {manifest} is for {found:?}, not for {NAMESPACE:?}", manifest = manifest.display())]
    Purpose {
        /// The manifest.
        manifest: PathBuf,
        /// Its namespace.
        found: String,
    },
    /// The key could not sign.
    #[error("could not sign with {path}: {what}", path = path.display())]
    Sign {
        /// The key.
        path: PathBuf,
        /// Why not.
        what: String,
    },
}

impl SignatureError {
    /// What the person can do next.
    pub fn help(&self) -> &'static str {
        match self {
            SignatureError::Key { next, .. } => next,
            SignatureError::Missing { .. } => {
                "make it with `cardsmith golden --sign KEY`, or with `ssh-keygen -Y sign -n cardsmith-manifest -f KEY`"
            }
            SignatureError::Purpose { .. } => "sign with `ssh-keygen -Y sign -n cardsmith-manifest -f KEY`",
            SignatureError::Sign { .. } => "nothing was written",
            _ => {
                "take the manifest and its signature from where they were made, and ask there if they still do not fit"
            }
        }
    }
}

/// Where the signature of a manifest lies: where `ssh-keygen -Y sign` puts it.
pub fn signature_path(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// A private key, ready to sign. It has no `Debug`, and is wiped when it is dropped.
pub struct Signer {
    key: PrivateKey,
    path: PathBuf,
}

impl Signer {
    /// The file of the key.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a private key as `ssh-keygen` writes it. `passphrase` is asked once, where the key has one.
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn open(
        path: &Path,
        passphrase: &mut dyn FnMut() -> std::io::Result<SecretString>,
    ) -> Result<Signer, SignatureError> {
        let bad = |what: &str, next| SignatureError::Key { path: path.to_owned(), what: what.to_owned(), next };
        let text = Zeroizing::new(read_file(path).map_err(|error| bad(&error.to_string(), "nothing was written"))?);
        // KEY and KEY.pub lie side by side: the usual mistake has an answer of its own.
        if PublicKey::from_openssh(String::from_utf8_lossy(&text).trim()).is_ok() {
            let next = "give the file without .pub; for a key in an agent or in hardware, make the image without `--sign` and \
                        run `ssh-keygen -Y sign -n cardsmith-manifest -f KEY.pub FILE.manifest.json`";
            return Err(bad("it is a public key", next));
        }
        let not_a_key = "make one with `ssh-keygen -t ed25519 -f KEY`";
        // The parser's own message is dropped: it could quote from the file.
        let key = PrivateKey::from_openssh(text.as_slice())
            .map_err(|_| bad("it is not a private key of OpenSSH of a kind that can sign here", not_a_key))?;
        let key = match key.is_encrypted() {
            false => key,
            true => {
                let secret = passphrase().map_err(|error| bad(&error.to_string(), PASSPHRASE_HELP))?;
                let opened = key.decrypt(secret.expose_secret());
                opened.map_err(|_| bad("the passphrase is not its passphrase", PASSPHRASE_HELP))?
            }
        };
        let kinds =
            "ed25519 and ECDSA nistp256 keys sign here; other kinds with `ssh-keygen -Y sign -n cardsmith-manifest`";
        // Said now, not after minutes of work.
        key.sign(NAMESPACE, HashAlg::Sha512, b"").map_err(|_| bad("keys of its kind do not sign here", kinds))?;
        Ok(Signer { key, path: path.to_owned() })
    }

    /// The signature of `manifest`, as the text of its file.
    ///
    /// # Errors
    /// [`SignatureError::Sign`].
    pub fn sign(&self, manifest: &[u8]) -> Result<String, SignatureError> {
        let failed = |error: ssh_key::Error| SignatureError::Sign { path: self.path.clone(), what: error.to_string() };
        // SHA-512, as `ssh-keygen -Y sign` takes it: nobody can tell the two ways apart.
        let signature = self.key.sign(NAMESPACE, HashAlg::Sha512, manifest).map_err(failed)?;
        signature.to_pem(LineEnding::LF).map_err(failed)
    }

    /// The public key's fingerprint, `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }
}

const PASSPHRASE_HELP: &str = "run it at a terminal, or set CARDSMITH_SIGN_PASSPHRASE; nothing was written";

/// The public keys whose signatures count.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
}

impl TrustedKeys {
    /// Reads a public key (`KEY.pub`), several of them, or an `allowed_signers` file (ssh-keygen(1), ALLOWED SIGNERS).
    /// Everybody in it may sign. An option that limits a key in a way that is not understood here is an error, not ignored.
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn open(path: &Path) -> Result<TrustedKeys, SignatureError> {
        const NEXT: &str = "give the public key (KEY.pub), or an allowed_signers file as ssh-keygen(1) describes it";
        let bad = |what: String| SignatureError::Key { path: path.to_owned(), what, next: NEXT };
        let text = Zeroizing::new(read_file(path).map_err(|error| bad(error.to_string()))?);
        let text = std::str::from_utf8(&text).map_err(|_| bad("it is not a text file".to_owned()))?;
        // It would parse no better than other wrong files, but whoever passes it on should know what it is.
        if text.contains("PRIVATE KEY-----") {
            return Err(bad("it is a private key".to_owned()));
        }
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match trusted_key(line) {
                Ok(Some(key)) => keys.push(key),
                Ok(None) => {}
                Err(what) => return Err(bad(format!("line {number} {what}"))),
            }
        }
        match keys.is_empty() {
            true => Err(bad("it holds no key that may sign manifests".to_owned())),
            false => Ok(TrustedKeys { keys }),
        }
    }

    /// Whether `signature` is one of these keys' and of exactly these bytes. Returns the key's fingerprint.
    ///
    /// # Errors
    /// [`SignatureError`]; the names are for messages.
    pub fn check(&self, manifest: &Path, bytes: &[u8], signature: &[u8]) -> Result<String, SignatureError> {
        let unreadable = |what: &dyn std::fmt::Display| SignatureError::Unreadable {
            signature: signature_path(manifest),
            what: what.to_string(),
        };
        // Editors and mail add blank lines, the reader of the library takes none.
        let signature = SshSig::from_pem(signature.trim_ascii()).map_err(|error| unreadable(&error))?;
        let signer = PublicKey::from(signature.public_key().clone()).fingerprint(HashAlg::Sha256).to_string();
        // Who signed is asked before what: of an unknown key it does not matter whether its signature holds.
        let Some(key) = self.keys.iter().find(|key| key.key_data() == signature.public_key()) else {
            return Err(SignatureError::OtherKey { manifest: manifest.to_owned(), signer });
        };
        // A signature that the same key gave to a mail or a git commit must not pass for one of a manifest.
        if signature.namespace() != NAMESPACE {
            let found = signature.namespace().chars().take(80).collect();
            return Err(SignatureError::Purpose { manifest: manifest.to_owned(), found });
        }
        key.verify(NAMESPACE, bytes, &signature)
            .map_err(|_| SignatureError::Altered { manifest: manifest.to_owned() })?;
        Ok(signer)
    }

    /// Reads the signature beside `manifest` and checks it against these bytes of the manifest.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn check_beside(&self, manifest: &Path, bytes: &[u8]) -> Result<String, SignatureError> {
        let path = signature_path(manifest);
        let signature = match read_file(&path) {
            Ok(signature) => signature,
            // Unsigned is not the same as unreadable: the next steps differ.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SignatureError::Missing { manifest: manifest.to_owned(), signature: path });
            }
            Err(error) => return Err(SignatureError::Unreadable { signature: path, what: error.to_string() }),
        };
        self.check(manifest, bytes, &signature)
    }
}

/// The key of a line, which may be a plain public key or one of `allowed_signers`: principals, options, key. `None` for
/// a key that is not meant for manifests.
fn trusted_key(line: &str) -> Result<Option<PublicKey>, String> {
    const NO_KEY: &str =
        "holds no public key of a kind that is understood here (ed25519, ECDSA nistp256, and their hardware kinds)";
    if let Ok(key) = line.parse::<PublicKey>() {
        return supported(key).map(Some);
    }
    // Who a principal is does not matter: everybody in the file may sign.
    let (_principals, rest) = line.split_once([' ', '\t']).ok_or(NO_KEY)?;
    let rest = rest.trim_start();
    if let Ok(key) = rest.parse::<PublicKey>() {
        return supported(key).map(Some);
    }
    let (options, key) = split_options(rest).ok_or(NO_KEY)?;
    let key = supported(key.parse::<PublicKey>().map_err(|_| NO_KEY)?)?;
    for option in ConfigOptsIter::new(options).map_err(|_| "has options that cannot be read".to_owned())? {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            // A plain list: a pattern would have to be matched the way that OpenSSH matches it.
            "namespaces" if !value.contains(['*', '?', '!']) => {
                if !value.split(',').any(|namespace| namespace == NAMESPACE) {
                    return Ok(None);
                }
            }
            _ => {
                // `cert-authority` or `valid-before` narrow a key; to skip one would trust more than the file says.
                return Err(format!(
                    "limits its key with {name:?}, which cardsmith does not judge: check with `ssh-keygen -Y verify` instead"
                ));
            }
        }
    }
    Ok(Some(key))
}

/// Options end at the first blank outside of quotes.
fn split_options(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        !quoted && (c == ' ' || c == '\t')
    })?;
    Some((text.get(..end)?, text.get(end..)?.trim_start()))
}

fn supported(key: PublicKey) -> Result<PublicKey, String> {
    use ssh_key::{Algorithm, EcdsaCurve};
    match key.algorithm() {
        Algorithm::Ed25519
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256
        | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 } => Ok(key),
        // Other kinds parse, but nothing here can check them. Said now, it is not mistaken for a bad signature.
        other => {
            Err(format!("holds a key of the kind {other}, whose signatures cardsmith does not check: use ed25519"))
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    // A FIFO would wait for a writer for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    read_limited(std::fs::File::open(path)?, FILE_LIMIT)
}
