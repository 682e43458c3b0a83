//! The agent on a card: from a real Debian package, for the right architecture, installed without a network; the unit and
//! the script as systemd, shellcheck and dpkg see them.

use std::path::{Path, PathBuf};
use std::process::Command;

use cardsmith::digest::Sha256Digest;
use cardsmith::prepare::{Plan, Step, StepError, View};
use cardsmith::provision::agent::{InstallAgent, PACKAGE_ON_CARD};
use cardsmith::recipe::LoadedRecipe;
use cardsmith::recipe::schema::Agent;

use crate::support::host_tree::{HostTree, carry_out};
use crate::support::{need, need_root, path};

const UNIT: &str = "/etc/systemd/system/cardsmith-install-agent.service";
const SCRIPT: &str = "/usr/local/lib/cardsmith/install-agent";

fn executable(path: &Path) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// A package like the agent's. Its postinst does what the real one does: enable and start, and wait for that.
fn package(dir: &Path, name: &str, version: &str, architecture: &str, compression: &str) -> PathBuf {
    let tree = dir.join("tree");
    let _ = std::fs::remove_dir_all(&tree);
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(tree.join("usr/bin")).unwrap();
    std::fs::write(tree.join("usr/bin/amazon-ssm-agent"), "#!/bin/sh\n").unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: x <x@example.org>\n\
         Description: stand-in for the agent\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let postinst = tree.join("DEBIAN/postinst");
    std::fs::write(
        &postinst,
        "#!/bin/sh\nset -e\necho \"offline=$SYSTEMD_OFFLINE\" >/postinst-ran\nsystemctl start amazon-ssm-agent\n",
    )
    .unwrap();
    executable(&postinst);
    let deb = dir.join(format!("{name}-{compression}.deb"));
    let out = Command::new("dpkg-deb")
        .args([&format!("-Z{compression}"), "--root-owner-group", "--build"])
        .arg(&tree)
        .arg(&deb)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    deb
}

fn recipe(dir: &Path, package: Option<&Path>, activation: bool) -> LoadedRecipe {
    let text = "name = \"x\"\n[image]\nsource = \"x.img\"\n".to_owned()
        + if activation { "[activation]\nfrom = \"file\"\npath = \"a.csv\"\n" } else { "" };
    let at = dir.join("x.toml");
    std::fs::write(&at, text).unwrap();
    let mut loaded = cardsmith::recipe::load(&at).unwrap();
    loaded.recipe.agent = package.map(|package| Agent {
        package: package.file_name().unwrap().into(),
        sha256: Sha256Digest::of(&std::fs::read(package).unwrap()),
    });
    loaded
}

fn stanza(package: &str, version: &str, architecture: &str) -> String {
    format!("Package: {package}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: {version}\n\n")
}

fn image(status: &str) -> HostTree {
    let root = HostTree::root();
    root.file("/var/lib/dpkg/status", 0o644, stanza("dpkg", "1.22.6", "arm64") + status);
    root
}

fn propose(root: &HostTree, loaded: &LoadedRecipe) -> Result<Plan, StepError> {
    let boot = HostTree::boot();
    let mut view = View::new(root, &boot);
    view.enter("agent");
    InstallAgent::new(loaded).propose(&mut view)?;
    Ok(view.into_plan())
}

fn says(plan: &Plan, what: &str) -> bool {
    plan.findings.iter().any(|finding| finding.text.contains(what))
}

#[test]
fn the_package_waits_on_the_card_for_the_first_boot() {
    if !need("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for compression in ["gzip", "xz", "zstd", "none"] {
        let deb = package(dir.path(), "amazon-ssm-agent", "3.3.4000.0-1", "arm64", compression);
        let (root, boot) = (image(""), HostTree::boot());
        let plan =
            propose(&root, &recipe(dir.path(), Some(&deb), true)).unwrap_or_else(|e| panic!("{compression}: {e}"));
        carry_out(&plan, &root, &boot);
        assert_eq!(std::fs::read(root.host(PACKAGE_ON_CARD)).unwrap(), std::fs::read(&deb).unwrap());
        assert_eq!((root.mode(PACKAGE_ON_CARD), root.mode(SCRIPT), root.mode(UNIT)), (0o600, 0o755, 0o644));
        assert_eq!(root.mode("/var/lib/cardsmith"), 0o700);
        assert!(root.has("/etc/systemd/system/multi-user.target.wants/cardsmith-install-agent.service"));
        assert!(says(&plan, "the agent 3.3.4000.0-1 (arm64) is installed at the first boot"));
    }
}

#[test]
fn an_agent_of_the_same_version_is_not_installed_again() {
    if !need("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let deb = package(dir.path(), "amazon-ssm-agent", "3.3.1-1", "arm64", "gzip");
    let root = image(&stanza("amazon-ssm-agent", "3.3.1-1", "arm64"));
    root.file("/usr/bin/amazon-ssm-agent", 0o755, "");
    let plan = propose(&root, &recipe(dir.path(), Some(&deb), true)).unwrap();
    assert!(plan.edits.is_empty() && says(&plan, "the image has the agent 3.3.1-1 already"));
    let root = image(&stanza("amazon-ssm-agent", "3.2.0-1", "arm64"));
    root.file("/usr/bin/amazon-ssm-agent", 0o755, "");
    let plan = propose(&root, &recipe(dir.path(), Some(&deb), true)).unwrap();
    assert!(!plan.edits.is_empty() && says(&plan, "the agent 3.2.0-1 of the image becomes 3.3.1-1"));
}

#[test]
fn a_wrong_package_is_refused() {
    if !need("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let deb = |name: &str, architecture: &str| package(dir.path(), name, "1-1", architecture, "gzip");
    let refused = |root: &HostTree, loaded: &LoadedRecipe, says: &str| {
        let error = propose(root, loaded).err().expect(says);
        assert!(error.to_string().contains(says), "{error} does not say {says:?}");
        assert!(
            matches!(&error, StepError::HostFile { next, .. } | StepError::Refused { next, .. } if !next.is_empty())
        );
    };
    let amd64 = deb("amazon-ssm-agent", "amd64");
    refused(&image(""), &recipe(dir.path(), Some(&amd64), true), "is for amd64, the image is arm64");
    let other = deb("some-other-agent", "arm64");
    refused(&image(""), &recipe(dir.path(), Some(&other), true), "\"some-other-agent\", not the agent");
    let right = deb("amazon-ssm-agent", "arm64");
    let mut changed = recipe(dir.path(), Some(&right), true);
    changed.recipe.agent.as_mut().unwrap().sha256 = Sha256Digest::of(b"another");
    refused(&image(""), &changed, "the recipe says");
    let text = dir.path().join("text.deb");
    std::fs::write(&text, "not a package").unwrap();
    refused(&image(""), &recipe(dir.path(), Some(&text), true), "is no Debian package");
    let half = dir.path().join("half.deb");
    std::fs::write(&half, &std::fs::read(&right).unwrap()[..100]).unwrap();
    refused(&image(""), &recipe(dir.path(), Some(&half), true), "ends too early");
    let mut missing = recipe(dir.path(), Some(&right), true);
    missing.recipe.agent.as_mut().unwrap().package = "missing.deb".into();
    refused(&image(""), &missing, "cannot be read");
    let snap = image("");
    snap.link("/snap/amazon-ssm-agent/current", "7993");
    refused(&snap, &recipe(dir.path(), Some(&right), true), "as a snap");
}

#[test]
fn a_32_bit_agent_on_a_64_bit_image_is_legal_but_said() {
    if !need("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let deb = package(dir.path(), "amazon-ssm-agent", "1-1", "armhf", "gzip");
    let loaded = recipe(dir.path(), Some(&deb), true);
    assert!(says(&propose(&image(""), &loaded).unwrap(), "without libc6:armhf"));
    assert!(says(&propose(&image(&stanza("libc6", "2.41", "armhf")), &loaded).unwrap(), "that works"));
}

#[test]
fn the_architecture_is_known_without_dpkg_too() {
    if !need("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let deb = package(dir.path(), "amazon-ssm-agent", "1-1", "arm64", "gzip");
    let loaded = recipe(dir.path(), Some(&deb), true);
    let with_machine = |machine: u8| {
        let root = HostTree::root();
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(18, 0);
        elf.extend([machine, 0, 1, 0]);
        root.file("/usr/bin/dash", 0o755, elf).link("/usr/bin/sh", "dash").link("/bin", "usr/bin");
        root
    };
    assert!(propose(&with_machine(0xb7), &loaded).is_ok());
    assert!(propose(&with_machine(0x3e), &loaded).is_err());
    assert!(says(&propose(&HostTree::root(), &loaded).unwrap(), "does not say which architecture"));
}

#[test]
fn without_a_package_the_image_must_have_an_agent() {
    let dir = tempfile::tempdir().unwrap();
    let Err(StepError::Refused { what, next }) = propose(&image(""), &recipe(dir.path(), None, true)) else {
        panic!("cards without an agent were planned")
    };
    assert!(what.contains("no SSM agent") && next.contains("[agent]"), "{what} {next}");
    assert!(propose(&image(""), &recipe(dir.path(), None, false)).unwrap().edits.is_empty());
    for place in ["/usr/bin/amazon-ssm-agent", "/var/lib/snapd/seed/snaps/amazon-ssm-agent_7993.snap"] {
        let root = image("");
        root.file(place, 0o755, "");
        let plan = propose(&root, &recipe(dir.path(), None, true)).unwrap();
        assert!(plan.edits.is_empty() && says(&plan, "the agent"), "{place}");
    }
}

#[test]
fn systemd_and_shellcheck_find_nothing_wrong() {
    if !(need("systemd-analyze") && need("shellcheck") && need("dpkg-deb")) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let deb = package(dir.path(), "amazon-ssm-agent", "1-1", "arm64", "gzip");
    let (root, boot) = (image(""), HostTree::boot());
    carry_out(&propose(&root, &recipe(dir.path(), Some(&deb), true)).unwrap(), &root, &boot);
    let check = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let out = Command::new(program).args(arguments).env("PATH", path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success() && said.trim().is_empty(), "{program}: {said}");
    };
    check("shellcheck", &["--shell=sh".as_ref(), "--severity=style".as_ref(), root.host(SCRIPT).as_os_str()]);
    // --root would need a whole system; the unit's program is looked up on this machine instead.
    let unit = std::fs::read_to_string(root.host(UNIT)).unwrap().replace(SCRIPT, &root.host(SCRIPT).to_string_lossy());
    let copy = dir.path().join("cardsmith-install-agent.service");
    std::fs::write(&copy, unit).unwrap();
    check("systemd-analyze", &["verify".as_ref(), "--man=no".as_ref(), copy.as_os_str()]);
}

/// This machine's root under an overlay, in namespaces without a network: the script installs with the real dpkg, and
/// nothing of this machine changes.
const SANDBOX: &str = r#"
set -eu
stage=$1 top=$1/top
mkdir -p "$top"
mount -t tmpfs none "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/root"
mount --rbind /dev "$top/root/dev"
mount -t proc proc "$top/root/proc"
mkdir -p "$top/root/var/lib/cardsmith" "$top/root/boot/firmware"
cp "$stage/agent.deb" "$top/root/var/lib/cardsmith/amazon-ssm-agent.deb"
cp "$stage/script" "$top/root/install-agent"
: >"$top/root/boot/firmware/cmdline.txt"
set +e
chroot "$top/root" /install-agent
echo "exit=$?"
chroot "$top/root" dpkg-query --show --showformat 'installed=${db:Status-Status} ${Version}\n' amazon-ssm-agent
[ -e "$top/root/usr/bin/amazon-ssm-agent" ] && echo program=there
[ -e "$top/root/var/lib/cardsmith/amazon-ssm-agent.deb" ] && echo package=kept
cat "$top/root/postinst-ran" "$top/root/boot/firmware/cardsmith-agent.txt"
"#;

fn first_boot(stage: &Path) -> String {
    std::fs::write(stage.join("sandbox.sh"), SANDBOX).unwrap();
    std::fs::write(stage.join("script"), include_str!("../src/provision/agent/install-agent")).unwrap();
    executable(&stage.join("script"));
    let out = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh"])
        .arg(stage.join("sandbox.sh"))
        .arg(stage)
        .env("PATH", path())
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn the_script_installs_with_the_real_dpkg_and_leaves_nothing_behind() {
    if !(need("dpkg-deb") && need("unshare") && need_root()) {
        return;
    }
    let native = Command::new("dpkg").arg("--print-architecture").output().unwrap();
    let native = String::from_utf8(native.stdout).unwrap().trim().to_owned();
    let stage = tempfile::tempdir().unwrap();
    let deb = package(stage.path(), "amazon-ssm-agent", "3.3.1-1", &native, "xz");
    std::fs::rename(deb, stage.path().join("agent.deb")).unwrap();
    let said = first_boot(stage.path());
    for expected in [
        "exit=0",
        "installed=installed 3.3.1-1",
        "program=there",
        "offline=1",
        "What happened: The agent 3.3.1-1 is installed.",
    ] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    assert!(!said.contains("package=kept"), "{said}");
    assert!(!Path::new("/usr/bin/amazon-ssm-agent").exists(), "this machine was changed");
}

#[test]
fn a_package_that_cannot_be_installed_now_is_kept_and_a_broken_one_gives_up() {
    if !(need("dpkg-deb") && need("unshare") && need_root()) {
        return;
    }
    let stage = tempfile::tempdir().unwrap();
    // The script enables the architecture; libc6 for it is then missing, and no network brings it.
    let deb = package(stage.path(), "amazon-ssm-agent", "3.3.1-1\nDepends: libc6", "s390x", "xz");
    std::fs::rename(deb, stage.path().join("agent.deb")).unwrap();
    let said = first_boot(stage.path());
    assert!(
        said.contains("exit=75") && said.contains("package=kept") && said.contains("could not be installed"),
        "{said}"
    );
    std::fs::write(stage.path().join("agent.deb"), "broken").unwrap();
    let said = first_boot(stage.path());
    assert!(said.contains("exit=78") && said.contains("Next step: Write the card again."), "{said}");
}
