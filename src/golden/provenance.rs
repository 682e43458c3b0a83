//! How a golden image came about, for tools that judge supply chains: an in-toto statement (v1) with a SLSA provenance
//! (v1). It says nothing that is not in the manifest, and so no time, host or user: the same inputs give the same bytes.

use serde_json::{Value, json};

use super::manifest::Manifest;
use super::outputs::Outputs;
use crate::digest::Sha256Digest;
use crate::printable::json_text;

/// What is made how: the meaning of the parameters below.
const BUILD_TYPE: &str = "https://github.com/cardsmith/cardsmith/golden@v1";

/// Who is said to have made it, where nobody says otherwise.
pub const BUILDER: &str = "https://github.com/cardsmith/cardsmith";

/// The statement about the files of a golden image; `texts` are the finished block map and manifest.
pub fn statement(manifest: &Manifest, outputs: &Outputs, bmap: &str, text: &str, builder: &str) -> String {
    let name = |path: &std::path::Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file =
        |path: &std::path::Path, digest: Sha256Digest| json!({ "name": name(path), "digest": { "sha256": digest } });
    let mut subjects: Vec<Value> =
        manifest.image.file_sha256.iter().map(|digest| file(&outputs.image, *digest)).collect();
    subjects.push(file(&outputs.bmap, Sha256Digest::of(bmap.as_bytes())));
    subjects.push(file(&outputs.manifest, Sha256Digest::of(text.as_bytes())));
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "recipe": manifest.recipe },
                // `SOURCE_DATE_EPOCH` is not in the recipe, so the clock is told on its own.
                "internalParameters": { "clock": manifest.clock },
                "resolvedDependencies": dependencies(manifest),
            },
            "runDetails": {
                "builder": { "id": builder, "version": { "cardsmith": manifest.cardsmith } },
            },
        },
    });
    json_text(&format!("{statement:#}\n"))
}

/// Everything that went in: the recipe, the base image, the agent's package, added files. A secret file is never in a
/// golden image, and what has no digest in the manifest is not named.
fn dependencies(manifest: &Manifest) -> Vec<Value> {
    let one = |name: &str, digest: Sha256Digest| json!({ "name": name, "digest": { "sha256": digest } });
    let mut base = one(&manifest.base.source, manifest.base.sha256);
    // A path of the machine that built it is no address for anybody else.
    if let Some(base) = base.as_object_mut().filter(|_| manifest.base.source.contains("://")) {
        base.insert("uri".to_owned(), manifest.base.source.clone().into());
    }
    let mut found = vec![one("recipe", manifest.recipe_sha256), base];
    if let Some(agent) = &manifest.recipe.agent {
        found.push(one(&agent.package.to_string_lossy(), agent.sha256));
    }
    for file in &manifest.recipe.files {
        let made = manifest.edits.iter().find(|edit| edit.step == "files" && edit.path == file.path);
        if let (Some(digest), Some(source)) = (made.and_then(|edit| edit.sha256), &file.source) {
            found.push(one(&source.to_string_lossy(), digest));
        }
    }
    found
}
