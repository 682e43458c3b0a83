//! The step that sees to it that a card has the agent: from a package beside the recipe, which is put on the card and
//! installed at its first boot without a network, or because the image has it already.

mod deb;
mod present;

use std::path::Path;

use crate::digest::Sha256Digest;
use crate::fs::{Attributes, FsError, ImagePath};
use crate::prepare::{Class, Content, Step, StepError, View, Volume};
use crate::recipe::LoadedRecipe;
use crate::recipe::schema::Agent;
use crate::units::ByteSize;
use deb::Control;

const UNIT: &str = "cardsmith-install-agent.service";
const UNITS: &str = "/etc/systemd/system";
const SCRIPT: &str = "/usr/local/lib/cardsmith/install-agent";
/// Where the package waits for the first boot.
pub const PACKAGE_ON_CARD: &str = "/var/lib/cardsmith/amazon-ssm-agent.deb";
const UNIT_TEXT: &str = include_str!("cardsmith-install-agent.service");
const SCRIPT_TEXT: &str = include_str!("install-agent");
const PACKAGE: &str = "amazon-ssm-agent";
const SOURCE: &str = "the recipe, [agent] package";

/// Sees to it that a card has the agent.
pub struct InstallAgent<'r> {
    loaded: &'r LoadedRecipe,
}

impl<'r> InstallAgent<'r> {
    /// As `[agent]` and `[activation]` of the recipe say.
    pub fn new(loaded: &'r LoadedRecipe) -> InstallAgent<'r> {
        InstallAgent { loaded }
    }
}

impl Step for InstallAgent<'_> {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        match &self.loaded.recipe.agent {
            Some(agent) => self.install_package(view, agent),
            None => self.accept_installed_agent(view),
        }
    }
}

impl InstallAgent<'_> {
    /// Without a package, the image must hold an agent, where cards are to register.
    fn accept_installed_agent(&self, view: &mut View<'_>) -> Result<(), StepError> {
        match present::agent(view)? {
            Some(found) => {
                view.note(found.to_string());
                Ok(())
            }
            None if self.loaded.recipe.activation.is_none() => Ok(()),
            None => Err(StepError::Refused {
                what: "the image has no SSM agent (neither /usr/bin/amazon-ssm-agent nor the snap), and the recipe brings \
                       none, so no card could register"
                    .to_owned(),
                next: "add [agent] with package = \"amazon-ssm-agent_arm64.deb\" and its sha256 to the recipe, or take an \
                       image that has the agent, or leave [activation] out"
                    .to_owned(),
            }),
        }
    }

    fn install_package(&self, view: &mut View<'_>, agent: &Agent) -> Result<(), StepError> {
        let path = self.loaded.beside(&agent.package);
        let (size, control) = read_package(&path, agent.sha256)?;
        if control.package != PACKAGE {
            return Err(host_file(
                &path,
                format!("is the package {:?}, not the agent", control.package),
                "name the package amazon-ssm-agent in [agent]",
            ));
        }
        check_architecture(view, &path, &control)?;
        match present::agent(view)? {
            Some(present::Found::Package { version }) if version == control.version => {
                view.note(format!("the image has the agent {version} already: the package is not needed"));
                return Ok(());
            }
            Some(present::Found::Package { version }) => {
                view.note(format!("the agent {version} of the image becomes {} at the first boot", control.version));
            }
            Some(present::Found::Snap { .. }) => {
                return Err(StepError::Refused {
                    what: "the image has the agent as a snap, and the package refuses to be installed beside it"
                        .to_owned(),
                    next: "leave [agent] out of the recipe and use the snap, or remove the snap from the base image"
                        .to_owned(),
                });
            }
            Some(present::Found::Program) | None => {}
        }
        self.place(view, agent, path, size)?;
        view.note(format!(
            "the agent {} ({}) is installed at the first boot; no network is needed for that",
            control.version, control.architecture
        ));
        Ok(())
    }

    fn place(&self, view: &mut View<'_>, agent: &Agent, path: std::path::PathBuf, size: u64) -> Result<(), FsError> {
        let class = Class::Configuration;
        let on_card = ImagePath::new(PACKAGE_ON_CARD)?;
        if let Some(directory) = on_card.parent() {
            // 0700: nobody but root may put another package there before root installs it.
            let why = "holds the agent's package until it is installed";
            view.directory(Volume::Root, &directory, Attributes::root(0o700), class.because(why, SOURCE))?;
        }
        // Not read into memory: it has tens of megabytes. It is digested again when it is copied.
        let content = Content::HostFile { path, size: ByteSize(size), sha256: agent.sha256 };
        let why = "the agent's package; removed when it is installed";
        view.write(Volume::Root, &on_card, content, Attributes::root(0o600), class.because(why, SOURCE))?;
        let text = |text: &str| Content::Bytes(text.as_bytes().to_vec());
        let why = "installs the agent at the first boot";
        view.write(Volume::Root, SCRIPT, text(SCRIPT_TEXT), Attributes::root(0o755), class.because(why, SOURCE))?;
        let unit = ImagePath::new(format!("{UNITS}/{UNIT}"))?;
        let why = "starts the installation while the package is there";
        view.write(Volume::Root, &unit, text(UNIT_TEXT), Attributes::root(0o644), class.because(why, SOURCE))?;
        let link = ImagePath::new(format!("{UNITS}/multi-user.target.wants/{UNIT}"))?;
        view.symlink(&link, &unit, class.because("enables it", "systemctl(1), enable"))?;
        Ok(())
    }
}

fn host_file(path: &Path, what: impl Into<String>, next: &str) -> StepError {
    StepError::HostFile { path: path.to_owned(), what: what.into(), next: next.to_owned() }
}

/// Size and control file of the package, once its digest is what the recipe says.
fn read_package(path: &Path, wanted: Sha256Digest) -> Result<(u64, Control), StepError> {
    let unreadable = |error: std::io::Error| {
        host_file(
            path,
            format!("cannot be read ({error})"),
            "put the agent's .deb beside the recipe, or correct [agent] package",
        )
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(host_file(path, "is no regular file", "name the agent's .deb in [agent] package"));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let (found, size) = Sha256Digest::of_all(file).map_err(unreadable)?;
    // Before anything in it is read: what the recipe does not mean is not taken apart.
    if found != wanted {
        return Err(host_file(
            path,
            format!("has the SHA-256 {found}, the recipe says {wanted}"),
            "fetch the package again; if it is a newer one that you trust, write its digest into [agent] sha256",
        ));
    }
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
    let control = deb::control(&mut file).map_err(|what| {
        host_file(path, what, "name the agent's .deb (not an .rpm, .snap or archive) in [agent] package")
    })?;
    Ok((size, control))
}

fn check_architecture(view: &mut View<'_>, path: &Path, control: &Control) -> Result<(), StepError> {
    let Some(image) = present::architecture(view)? else {
        view.warn(format!(
            "the image does not say which architecture it is: whether the agent's package ({}) fits was not checked",
            control.architecture
        ));
        return Ok(());
    };
    if control.architecture == image.native || control.architecture == "all" {
        return Ok(());
    }
    // 32-bit programs run on the 64-bit Pi, and AWS's instructions for Raspberry Pi OS install just that.
    if control.architecture == "armhf" && image.native == "arm64" {
        if image.has_armhf_libc {
            view.note("the agent's package is for armhf, the image for arm64 with libc6:armhf: that works");
        } else {
            view.warn(
                "the agent's package is for armhf, the image for arm64 without libc6:armhf, which the package needs: \
                 without a network it cannot be installed. Take the arm64 package, or put libc6:armhf into the image",
            );
        }
        return Ok(());
    }
    Err(host_file(
        path,
        format!("is for {}, the image is {}", control.architecture, image.native),
        &format!("fetch the agent's package for {}", image.native),
    ))
}
