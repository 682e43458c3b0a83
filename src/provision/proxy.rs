//! The step that carries out `[proxy]`: a drop-in for the agent's unit. The registration copies the environment of the
//! agent's drop-ins (step `register`), so that both go the same way.

use crate::fs::{Attributes, FsError, ImagePath, Tree};
use crate::prepare::{Class, Content, Step, StepError, View, Volume};
use crate::recipe::schema::{Proxy, Recipe};

const UNITS: &str = "/etc/systemd/system";
const AGENT: &str = "amazon-ssm-agent.service";
const SNAP: &str = "snap.amazon-ssm-agent.amazon-ssm-agent.service";
/// Later than what the image may bring: the last value of a variable counts.
const DROP_IN: &str = "90-cardsmith-proxy.conf";

/// Gives the agent its proxy.
pub struct SetProxy<'r> {
    recipe: &'r Recipe,
    proxy: &'r Proxy,
}

impl<'r> SetProxy<'r> {
    /// As `[proxy]` says.
    pub fn new(recipe: &'r Recipe, proxy: &'r Proxy) -> SetProxy<'r> {
        SetProxy { recipe, proxy }
    }
}

impl Step for SetProxy<'_> {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn propose(&self, view: &mut View<'_>) -> Result<(), StepError> {
        let is_there = |path: &str| -> Result<bool, FsError> {
            Ok(view.root().stat(&view.root().resolve(&ImagePath::new(path)?)?)?.is_some())
        };
        let has_snap = is_there(&format!("{UNITS}/{SNAP}"))?;
        let has_agent = is_there("/usr/bin/amazon-ssm-agent")? || self.recipe.agent.is_some();
        if !has_agent && !has_snap {
            view.block("[proxy] is for the agent, and neither the image nor the recipe has one");
            return Ok(());
        }
        for unit in [(AGENT, has_agent), (SNAP, has_snap)].into_iter().filter(|(_, there)| *there).map(|(unit, _)| unit)
        {
            let path = ImagePath::new(format!("{UNITS}/{unit}.d/{DROP_IN}")).map_err(FsError::from)?;
            let content = Content::Bytes(text(self.proxy).into_bytes());
            let why = "the agent reaches AWS through the proxy, and so does the registration";
            let source = "AWS Systems Manager, \"Configure SSM Agent to use a proxy\"";
            view.write(
                Volume::Root,
                &path,
                content,
                Attributes::root(0o644),
                Class::Configuration.because(why, source),
            )?;
        }
        Ok(())
    }
}

/// Go's net/http, and so the agent, reads the lower-case names first.
fn text(proxy: &Proxy) -> String {
    let mut text = "# Put here by cardsmith, because of [proxy] in the recipe.\n[Service]\n".to_owned();
    let no_proxy = (!proxy.no_proxy.is_empty()).then(|| proxy.no_proxy.join(","));
    for (name, value) in [("http_proxy", &proxy.http), ("https_proxy", &proxy.https), ("no_proxy", &no_proxy)] {
        if let Some(value) = value {
            // A unit's % begins a specifier.
            text.push_str(&format!("Environment=\"{name}={}\"\n", value.replace('%', "%%")));
        }
    }
    text
}
