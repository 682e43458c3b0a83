//! What CI runs, run here: `scripts/ci-golden` as a user without rights, and the files that call it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::golden::ACCEPT;
use crate::support::binary::names_in;
use crate::support::pi_image::PiImage;
use crate::support::{need, need_builder, need_root, run};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the script as nobody, who has no right on anything but what everybody may read and one directory.
fn as_nobody(dir: &Path, recipe: &Path, more: &[(&str, &str)]) -> Output {
    let program = dir.join("cardsmith");
    fs::copy(env!("CARGO_BIN_EXE_cardsmith"), &program).unwrap();
    let script = dir.join("ci-golden");
    fs::copy(root().join("scripts/ci-golden"), &script).unwrap();
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(dir));
    // Its own, not everybody's: where anybody may write, no cache is kept.
    std::os::unix::fs::chown(dir, Some(65_534), Some(65_534)).unwrap();
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]);
    command.arg(&script).arg(recipe).arg(dir.join("out")).current_dir("/");
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir.join("home")).env("CARDSMITH", &program);
    command.envs(more.iter().copied()).output().unwrap()
}

#[test]
fn the_ci_script_makes_and_audits_a_golden_image_without_any_right() {
    if !need_builder() || !need_root() || !need("setpriv") || !need("ssh-keygen") {
        return;
    }
    let image = PiImage::fresh().build();
    let recipe = image.recipe(ACCEPT);
    let named = recipe.with_file_name("kiosk.toml");
    fs::rename(&recipe, &named).unwrap();
    let key = image.beside("key");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let more = [("CARDSMITH_SIGN_KEY", key.to_str().unwrap()), ("CARDSMITH_BUILDER", "https://ci.example.org/golden")];
    let output = as_nobody(image.dir(), &named, &more);
    assert!(output.status.success(), "{output:?}");
    let files = [
        "kiosk.bmap",
        "kiosk.img.zst",
        "kiosk.intoto.json",
        "kiosk.manifest.json",
        "kiosk.manifest.json.sig",
        "kiosk.sarif",
        "kiosk.sha256",
    ];
    assert_eq!(names_in(&image.beside("out")), files);
    let text = fs::read_to_string(image.beside("out/kiosk.intoto.json")).unwrap();
    assert!(text.contains("https://ci.example.org/golden"));
    run(Command::new("sha256sum").args(["-c", "kiosk.sha256"]).current_dir(image.beside("out")));
    // A second run replaces nothing unless it is told to.
    assert_eq!(as_nobody(image.dir(), &named, &more).status.code(), Some(2));
}

#[test]
fn what_the_audit_finds_ends_the_job_with_3_and_everything_is_kept_to_be_looked_at() {
    if !need_builder() || !need_root() || !need("setpriv") {
        return;
    }
    let image = PiImage::lived_in().build();
    let recipe = image.recipe("[sudo]\nnopasswd = \"keep\"\nlockout = \"accept\"\n");
    let output = as_nobody(image.dir(), &recipe, &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let sarif: serde_json::Value =
        serde_json::from_slice(&fs::read(image.beside("out/recipe.sarif")).unwrap()).unwrap();
    assert!(!sarif["runs"][0]["results"].as_array().unwrap().is_empty());
    assert!(image.beside("out/recipe.manifest.json").exists());

    // A recipe with a mistake is found before anything is made.
    let bad = image.beside("bad.toml");
    fs::write(&bad, "name = \"bad\"\n[image]\nsource = \"base.img\"\npassword = \"x\"\n").unwrap();
    assert_eq!(as_nobody(image.dir(), &bad, &[]).status.code(), Some(2));
    assert!(names_in(&image.beside("out")).iter().all(|name| !name.starts_with("bad")));
}

/// The workflow and the action as PyYAML reads them: every expression names what is there, every script is good shell.
#[test]
fn workflow_and_action_are_sound_and_call_what_the_tests_run() {
    if !need("python3") || !need("shellcheck") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let judge = r##"
import json, re, sys, yaml
flow = yaml.safe_load(open(sys.argv[1])); action = yaml.safe_load(open(sys.argv[2]))
assert action["runs"]["using"] == "composite"
steps = action["runs"]["steps"]; ids = {s["id"] for s in steps if "id" in s}
for step in steps:
    assert set(step) <= {"name", "id", "if", "shell", "env", "run", "uses", "with"}, step
    assert step.get("shell") == "bash" and step["name"]
for name, output in action["outputs"].items():
    step, field = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}", output["value"]).groups()
    assert step in ids and field == name
    assert any(f'echo "{field}=' in s.get("run", "") for s in steps), field
used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(action["runs"])))
assert used == set(action["inputs"]), used
# Nothing that a pull request controls is pasted into a shell: it comes by the environment.
for step in steps + flow["jobs"]["golden"]["steps"]:
    assert "${{" not in step.get("run", ""), step
assert set(flow) == {"name", True, "permissions", "jobs"} and flow["permissions"] == {"contents": "read"}
job = flow["jobs"]["golden"]
assert job["runs-on"] == "ubuntu-latest" and "container" not in job
assert job["permissions"] == {"contents": "read", "security-events": "write"}
ours = [s for s in job["steps"] if s.get("uses") == "./"]
assert len(ours) == 1 and set(ours[0]["with"]) <= set(action["inputs"])
uses = [s["uses"] for s in job["steps"] if "uses" in s]
assert all(re.fullmatch(r"\./|[\w-]+/[\w./-]+@v\d+", use) for use in uses), uses
assert any("upload-sarif" in use for use in uses) and any("upload-artifact" in use for use in uses)
print("\n".join("#!/bin/bash\n" + s["run"] for s in steps if "run" in s))
"##;
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", judge]).args([root().join(".github/workflows/golden.yml"), root().join("action.yml")]);
    let scripts = run(&mut python).stdout;
    assert!(String::from_utf8_lossy(&scripts).contains("scripts/ci-golden"));
    let script = dir.path().join("steps.sh");
    fs::write(&script, scripts).unwrap();
    run(Command::new("shellcheck").args(["-s", "bash", "-e", "SC2096,SC1128"]).arg(&script));
    run(Command::new("shellcheck").arg(root().join("scripts/ci-golden")));
}

/// One file that runs wherever a libc is: what the linker put into the program, as readelf shows it.
#[test]
fn the_program_needs_no_library_beyond_libc() {
    if !need("readelf") {
        return;
    }
    let out = run(Command::new("readelf").args(["-d", "-W", env!("CARGO_BIN_EXE_cardsmith")])).stdout;
    let text = String::from_utf8_lossy(&out);
    let needed: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{needed:?}");
    let known = ["libc.so.", "libm.so.", "libgcc_s.so.", "libpthread.so.", "libdl.so.", "librt.so.", "ld-linux"];
    assert!(needed.iter().all(|name| known.iter().any(|known| name.starts_with(known))), "{needed:?}");
}
