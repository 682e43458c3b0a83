//! The first-boot registration: the unit and the script, as systemd, shellcheck and two shells see them. The script runs
//! in a chroot with busybox and a made-up agent; what it leaves on the disk is what counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use cardsmith::prepare::{Plan, Step, View};
use cardsmith::provision::register::{ACTIVATION_FILE, Register, SCRIPT, UNIT};

use crate::support::host_tree::{HostTree, carry_out};
use crate::support::{need, need_root, path};

const CODE: &str = "S3cret/Activation+Code==";
const ID: &str = "11112222-3333-4444-8555-666677778888";
const NODE: &str = "mi-0123456789abcdef0";
const STATUS: &str = "/boot/firmware/cardsmith-status.txt";
const VAULT_KEY: &str = "/var/lib/amazon/ssm/Vault/Store/RegistrationKey";
const REGISTRATION: &str = "/var/lib/amazon/ssm/registration";

fn proposed(root: &HostTree, boot: &HostTree) -> Plan {
    let mut view = View::new(root, boot);
    view.enter(Register.name());
    Register.propose(&mut view).unwrap();
    view.into_plan()
}

/// A card with the agent, the registration unit, and an activation.
struct Card {
    root: HostTree,
}

/// What the made-up agent does with `-register`: writes and prints as the real one.
const AGENT: &str = r#"#!/bin/sh
vault=/var/lib/amazon/ssm/Vault/Store
echo "$@" >>/agent-was-called
grep -q . /etc/machine-id || exit 9
mkdir -p $vault
echo '{"instanceID":"","region":"","privateKey":"NEW"}' >$vault/RegistrationKey
"#;

const SUCCEEDS: &str = r#"
printf '{"instanceID":"mi-0123456789abcdef0","region":"eu-west-1","instanceType":"","privateKey":"NEW"}' >$vault/RegistrationKey
printf '{"ManagedInstanceID":"mi-0123456789abcdef0","Region":"eu-west-1"}' >/var/lib/amazon/ssm/registration
echo '2025-10-01 INFO Successfully registered the instance with AWS SSM using Managed instance-id: mi-0123456789abcdef0'
"#;

fn refuses(code: &str) -> String {
    format!(
        "echo '2025-10-01 ERROR Registration failed due to error registering the instance with AWS SSM. {code}: '\nexit 1\n"
    )
}

/// A program of this machine with its libraries, for a chroot.
fn put_program(root: &HostTree, name: &str, place: &str) {
    let found = Command::new("which").arg(name).env("PATH", path()).output().unwrap().stdout;
    let program = String::from_utf8(found).unwrap().trim().to_owned();
    let libraries = Command::new("ldd").arg(&program).output().unwrap().stdout;
    for library in String::from_utf8_lossy(&libraries).split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.host(library);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
    let _ = fs::remove_file(root.host(place));
    fs::copy(program, root.host(place)).unwrap();
}

impl Card {
    fn new(agent: &str) -> Option<Card> {
        if !need("busybox") || !need_root() {
            return None;
        }
        let (root, boot) = (HostTree::root(), HostTree::boot());
        root.file("/etc/machine-id", 0o444, "0123456789abcdef0123456789abcdef\n")
            .file("/boot/firmware/cmdline.txt", 0o644, "console=tty1\n")
            .file("/run/systemd/timesync/synchronized", 0o644, "")
            .file("/usr/bin/amazon-ssm-agent", 0o755, format!("{AGENT}{agent}"))
            .file(
                "/bin/systemctl",
                0o755,
                "#!/bin/sh\necho \"$@\" >>/systemctl-was-called\n[ \"$1\" != is-active ] || [ -e /agent-runs ]\n",
            )
            .directory("/dev")
            .directory("/tmp");
        carry_out(&proposed(&root, &boot), &root, &boot);
        put_program(&root, "busybox", "/bin/busybox");
        for applet in
            "sh cat date dd echo grep head mkdir mktemp mv rm sed sleep sync tail timeout touch tr wc cut".split(' ')
        {
            root.link(&format!("/bin/{applet}"), "busybox");
        }
        // Devices are made by the kernel; plain files do where the script only reads zeros or throws away.
        for (name, minor) in [("null", "3"), ("zero", "5")] {
            let made = Command::new("mknod")
                .args(["-m", "666"])
                .arg(root.host(&format!("/dev/{name}")))
                .args(["c", "1", minor])
                .status();
            assert!(made.unwrap().success());
        }
        let card = Card { root };
        card.activate(&format!("id={ID}\ncode={CODE}\nregion=eu-west-1\nname=kiosk-0001\n"));
        Some(card)
    }

    fn activate(&self, text: &str) {
        self.root.file(ACTIVATION_FILE, 0o600, text);
    }

    /// One start of the unit.
    fn start(&self) -> Output {
        let out = Command::new("chroot").arg(self.root.path()).arg(SCRIPT).env("PATH", path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(!said.contains(CODE), "the code was printed: {said}");
        out
    }

    fn starts_with_exit(&self, code: i32) -> String {
        let out = self.start();
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(code), "{said}");
        said
    }

    fn status(&self) -> String {
        let status = self.root.text_of(STATUS).unwrap_or_default();
        assert!(!status.contains(CODE));
        status
    }

    fn attempts(&self) -> usize {
        self.root.text_of("/agent-was-called").unwrap_or_default().lines().count()
    }

    fn systemctl(&self) -> Vec<String> {
        self.root.text_of("/systemctl-was-called").unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn code_is_nowhere(&self) {
        let hit = Command::new("grep")
            .args(["-rlF", CODE, "--exclude=agent-was-called"])
            .arg(self.root.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&hit.stdout), "");
    }
}

#[test]
fn a_card_registers_once_and_destroys_its_activation() {
    let Some(card) = Card::new(SUCCEEDS) else { return };
    card.starts_with_exit(0);
    assert_eq!(
        card.root.text_of("/agent-was-called").unwrap(),
        format!("-register -y -code {CODE} -id {ID} -region eu-west-1\n")
    );
    assert!(!card.root.has(ACTIVATION_FILE));
    assert!(!card.root.has("/var/lib/cardsmith/register"));
    card.code_is_nowhere();
    let status = card.status();
    for part in ["Card: kiosk-0001\n", &format!("registered as {NODE}"), "Time: 2"] {
        assert!(status.contains(part), "{status}");
    }
    assert_eq!(card.systemctl().last().unwrap(), "--no-block start amazon-ssm-agent.service");
    // Without its condition systemd would not start it again; it does nothing if somebody else does.
    card.starts_with_exit(0);
    assert_eq!(card.attempts(), 1);
}

#[test]
fn an_agent_that_runs_is_stopped_before_the_card_registers() {
    let Some(card) = Card::new(SUCCEEDS) else { return };
    card.root.file("/agent-runs", 0o644, "");
    card.starts_with_exit(0);
    let unit = "amazon-ssm-agent.service";
    let expected = [format!("is-active --quiet {unit}"), format!("stop {unit}"), format!("--no-block start {unit}")];
    assert_eq!(card.systemctl(), expected);
}

#[test]
fn the_snap_of_the_agent_registers_too() {
    let Some(card) = Card::new("") else { return };
    fs::remove_file(card.root.host("/usr/bin/amazon-ssm-agent")).unwrap();
    card.root.file("/snap/amazon-ssm-agent/1/amazon-ssm-agent", 0o755, format!("{AGENT}{SUCCEEDS}"));
    card.root.link("/snap/amazon-ssm-agent/current", "1");
    card.starts_with_exit(0);
    assert_eq!(card.systemctl().last().unwrap(), "--no-block start snap.amazon-ssm-agent.amazon-ssm-agent.service");
}

#[test]
fn a_throttled_or_unreachable_service_is_tried_again_and_the_activation_stays() {
    for what in [
        "ThrottlingException",
        "RequestError: send request failed caused by: dial tcp: lookup ssm.eu-west-1.amazonaws.com: no such host",
    ] {
        let Some(card) = Card::new(&refuses(what)) else { return };
        card.starts_with_exit(75);
        card.starts_with_exit(75);
        assert_eq!(card.attempts(), 2);
        assert!(card.root.text_of(ACTIVATION_FILE).unwrap().contains(CODE));
        assert!(card.status().contains("tries again"), "{}", card.status());
        // The network comes back.
        card.root.file("/usr/bin/amazon-ssm-agent", 0o755, format!("{AGENT}{SUCCEEDS}"));
        card.starts_with_exit(0);
        card.code_is_nowhere();
    }
}

#[test]
fn an_answer_that_will_not_change_ends_the_attempts_until_there_is_a_new_activation() {
    for what in ["InvalidActivation", "ActivationExpired", "RegistrationLimitExceeded", "InstanceAlreadyRegistered"] {
        let Some(card) = Card::new(&refuses(what)) else { return };
        card.starts_with_exit(78);
        assert!(card.status().contains(what) && card.status().contains("Next step: "), "{}", card.status());
        let said = card.status();
        card.starts_with_exit(78);
        assert_eq!(card.attempts(), 1, "given up means that AWS is not asked again");
        assert_eq!(card.status(), said);
        assert!(card.root.has(ACTIVATION_FILE));
        card.root.file("/usr/bin/amazon-ssm-agent", 0o755, format!("{AGENT}{SUCCEEDS}"));
        card.activate(
            "id=99992222-3333-4444-8555-666677778888\ncode=another/code\nregion=eu-west-1\nname=kiosk-0001\n",
        );
        card.starts_with_exit(0);
    }
}

#[test]
fn a_lost_answer_is_told_from_an_activation_that_somebody_else_used() {
    let Some(card) = Card::new(&refuses("RegistrationLimitExceeded")) else { return };
    card.starts_with_exit(78);
    assert!(!card.status().contains("answer was lost"), "{}", card.status());

    let Some(card) = Card::new(&refuses("InternalServerError")) else { return };
    card.starts_with_exit(75);
    card.root.file("/usr/bin/amazon-ssm-agent", 0o755, format!("{AGENT}{}", refuses("RegistrationLimitExceeded")));
    card.starts_with_exit(78);
    assert!(card.status().contains("answer was lost"), "{}", card.status());
}

#[test]
fn a_power_cut_after_registering_neither_strands_the_card_nor_registers_it_twice() {
    // Each is a moment at which the power goes: what the disk then holds.
    type Cut = fn(&Card);
    let cuts: [(&str, Cut); 4] = [
        ("before the activation was destroyed", |_| {}),
        ("before the agent wrote its last file", |card| fs::remove_file(card.root.host(REGISTRATION)).unwrap()),
        ("while the agent wrote its last file", |card| fs::write(card.root.host(REGISTRATION), "").unwrap()),
        ("after the activation was zeroed", |card| fs::write(card.root.host(ACTIVATION_FILE), [0; 120]).unwrap()),
    ];
    for (when, cut) in cuts {
        let Some(card) = Card::new(SUCCEEDS) else { return };
        let activation = card.root.text_of(ACTIVATION_FILE).unwrap();
        card.starts_with_exit(0);
        card.activate(&activation);
        card.root.file(&format!("/var/lib/cardsmith/register/attempt-{ID}"), 0o600, "");
        cut(&card);
        fs::remove_file(card.root.host("/systemctl-was-called")).unwrap();
        card.starts_with_exit(0);
        assert_eq!(card.attempts(), 1, "{when}");
        assert!(!card.root.has(ACTIVATION_FILE), "{when}");
        let registration: serde_json::Value = serde_json::from_str(&card.root.text_of(REGISTRATION).unwrap()).unwrap();
        assert_eq!(registration, serde_json::json!({"ManagedInstanceID": NODE, "Region": "eu-west-1"}), "{when}");
        assert_eq!(card.systemctl(), ["--no-block start amazon-ssm-agent.service"], "{when}");
        assert!(card.status().contains(NODE), "{when}");
    }
}

#[test]
fn a_vault_that_says_nothing_is_no_registration() {
    for vault in ["", "{\"instanceID\":\"\",\"region\":\"\"}", "{\"instanceID\":"] {
        let Some(card) = Card::new(SUCCEEDS) else { return };
        // A stale registration file, as -register -clear and failed registrations leave it.
        card.root.file(VAULT_KEY, 0o600, vault).file(
            REGISTRATION,
            0o600,
            "{\"ManagedInstanceID\":\"mi-0000000000000old0\",\"Region\":\"eu-west-1\"}",
        );
        card.starts_with_exit(0);
        assert_eq!(card.attempts(), 1, "{vault:?}");
    }
}

#[test]
fn a_card_that_was_registered_by_hand_does_not_use_its_activation() {
    let Some(card) = Card::new(SUCCEEDS) else { return };
    card.root.file(
        VAULT_KEY,
        0o600,
        "{\n  \"instanceID\" : \"mi-0a0a0a0a0a0a0a0a0\",\n  \"region\":\"eu-west-1\"\n}\n",
    );
    card.starts_with_exit(0);
    assert_eq!(card.attempts(), 0);
    assert!(card.status().contains("registered before, as mi-0a0a0a0a0a0a0a0a0"), "{}", card.status());
    card.code_is_nowhere();
}

#[test]
fn a_malformed_activation_is_never_run_and_never_tried() {
    let evil = [
        String::new(),
        format!("id={ID}\ncode=$(touch /owned)\nregion=eu west\n"),
        format!("id={ID}\ncode={CODE}\nregion=eu-west-1/../../x\n"),
        format!("id={ID}; touch /owned\ncode={CODE}\nregion=eu-west-1\n"),
        format!("code={CODE}\nregion=eu-west-1\n"),
        format!("touch /owned\nid=$(touch /owned)\ncode=`touch /owned`\nregion={CODE}\n"),
        "\0".repeat(200),
        "{\"id\": 1}".to_owned(),
    ];
    for text in evil {
        let Some(card) = Card::new(SUCCEEDS) else { return };
        card.activate(&text);
        card.starts_with_exit(78);
        assert_eq!(card.attempts(), 0, "{text:?}");
        assert!(!card.root.has("/owned"), "{text:?}");
        assert!(card.status().contains("cannot be read"), "{text:?}: {}", card.status());
        assert!(card.root.has(ACTIVATION_FILE), "only a registered card loses its activation");
    }
}

#[test]
fn odd_characters_of_a_code_reach_the_agent_as_they_are() {
    for code in ["-a/b+c==", "a*b?c[d]", "$HOME`x`\"'\\n", "=x=y"] {
        let Some(card) = Card::new(SUCCEEDS) else { return };
        card.root.file(
            "/usr/bin/amazon-ssm-agent",
            0o755,
            format!("#!/bin/sh\nprintf '%s' \"$4\" >/code\n{AGENT}{SUCCEEDS}"),
        );
        card.activate(&format!("region=eu-west-1\nname=a\nid={ID}\ncode={code}"));
        card.starts_with_exit(0);
        assert_eq!(card.root.text_of("/code").unwrap(), code);
    }
}

#[test]
fn a_card_without_agent_machine_id_or_time_says_so_and_tries_again() {
    let Some(card) = Card::new(SUCCEEDS) else { return };
    fs::remove_file(card.root.host("/usr/bin/amazon-ssm-agent")).unwrap();
    card.starts_with_exit(75);
    assert!(card.status().contains("agent is not installed"));

    for id in ["", "uninitialized\n", "0123\n"] {
        let Some(card) = Card::new(SUCCEEDS) else { return };
        fs::remove_file(card.root.host("/etc/machine-id")).unwrap();
        card.root.file("/etc/machine-id", 0o444, id);
        card.starts_with_exit(75);
        assert_eq!(card.attempts(), 0, "{id:?}");
        assert!(card.status().contains("machine id"));
    }

    // The wait for the clock ends, and the attempt is made all the same.
    let Some(card) = Card::new(SUCCEEDS) else { return };
    fs::remove_file(card.root.host("/run/systemd/timesync/synchronized")).unwrap();
    fs::remove_file(card.root.host("/bin/sleep")).unwrap();
    card.root.file("/bin/sleep", 0o755, "#!/bin/sh\necho $1 >>/slept\n");
    card.starts_with_exit(0);
    let slept: u32 = card.root.text_of("/slept").unwrap().lines().map(|line| line.parse::<u32>().unwrap()).sum();
    assert_eq!(slept, 120);
    assert!(card.status().contains("not synchronised"));
}

#[test]
fn a_boot_partition_that_cannot_be_written_does_not_stop_the_registration() {
    let Some(card) = Card::new(SUCCEEDS) else { return };
    // Root may write anywhere, but not into a directory in the place of the file.
    card.root.directory("/boot/firmware/cardsmith-status.new/x");
    let said = card.starts_with_exit(0);
    assert!(said.contains("cannot be written"), "{said}");
    assert!(!card.root.has(ACTIVATION_FILE));

    let Some(card) = Card::new(SUCCEEDS) else { return };
    fs::remove_dir_all(card.root.host("/boot")).unwrap();
    card.starts_with_exit(0);
}

#[test]
fn what_the_agent_prints_never_carries_the_code_on() {
    let Some(card) =
        Card::new(&format!("echo \"error: bad code $4 given\"\necho \"$@\" >&2\n{}", refuses("InternalServerError")))
    else {
        return;
    };
    let said = card.starts_with_exit(75);
    assert!(said.contains("is not shown"), "{said}");
}

#[test]
fn the_same_script_runs_under_dash() {
    if !need("dash") {
        return;
    }
    let Some(card) = Card::new(SUCCEEDS) else { return };
    put_program(&card.root, "dash", "/bin/sh");
    card.starts_with_exit(0);
    card.code_is_nowhere();
    card.activate(&"\0".repeat(64));
    card.starts_with_exit(0);
    assert_eq!(card.attempts(), 1);
    let Some(card) = Card::new(&refuses("InvalidActivation")) else { return };
    put_program(&card.root, "dash", "/bin/sh");
    card.root.directory("/boot/firmware/cardsmith-status.new/x");
    card.starts_with_exit(78);
}

fn verify(root: &HostTree, unit: &str) -> String {
    let out = Command::new("systemd-analyze")
        .arg("verify")
        .arg(format!("--root={}", root.path().display()))
        .arg(unit)
        .output()
        .unwrap();
    format!("{:?} {}{}", out.status.code(), String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn systemd_and_shellcheck_have_nothing_to_say() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    carry_out(&proposed(&root, &boot), &root, &boot);
    assert_eq!(root.mode(SCRIPT), 0o755);
    assert_eq!(root.mode(&format!("/etc/systemd/system/{UNIT}")), 0o644);
    let link = fs::read_link(root.host(&format!("/etc/systemd/system/multi-user.target.wants/{UNIT}"))).unwrap();
    assert_eq!(link, Path::new(&format!("/etc/systemd/system/{UNIT}")));
    if need("shellcheck") {
        for script in [SCRIPT, "../src/prepare/identity/host-keys"] {
            let place = if script.starts_with("..") {
                Path::new(env!("CARGO_MANIFEST_DIR")).join(&script[3..])
            } else {
                root.host(script)
            };
            let out = Command::new("shellcheck").args(["-s", "sh"]).arg(place).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), "");
        }
    }
    if need("systemd-analyze") {
        // What every system has, so that only our own mistakes are left to be found.
        for target in
            ["network-online", "multi-user", "time-set", "sysinit", "basic", "shutdown", "first-boot-complete"]
        {
            root.file(&format!("/usr/lib/systemd/system/{target}.target"), 0o644, "[Unit]\nDescription=x\n");
        }
        for unit in ["systemd-machine-id-commit", "amazon-ssm-agent", "cardsmith-install-agent"] {
            root.file(
                &format!("/usr/lib/systemd/system/{unit}.service"),
                0o644,
                "[Service]\nExecStart=/usr/bin/true\n",
            );
        }
        root.file("/usr/bin/true", 0o755, "#!/bin/sh\n");
        assert_eq!(verify(&root, UNIT), "Some(0) ");
        assert_eq!(verify(&root, "amazon-ssm-agent.service"), "Some(0) ");
        // The oracle does find mistakes.
        fs::set_permissions(root.host(SCRIPT), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(verify(&root, UNIT).contains("not executable"));
    }
}

#[test]
fn the_registration_uses_the_agents_proxy_and_its_password_is_not_shown() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    let drop_in = "/etc/systemd/system/amazon-ssm-agent.service.d/proxy.conf";
    root.file(drop_in, 0o600, "[Service]\nEnvironment=\"https_proxy=http://u:hunter2@proxy:3128\"\nRestartSec=5\n");
    let plan = proposed(&root, &boot);
    carry_out(&plan, &root, &boot);
    let ours = "/etc/systemd/system/cardsmith-register.service.d/10-agent-environment.conf";
    let text = root.text_of(ours).unwrap();
    assert!(text.contains("https_proxy=http://u:hunter2@proxy:3128") && !text.contains("RestartSec"), "{text}");
    assert_eq!(root.mode(ours), 0o600);
    let shown = plan.edits.iter().filter(|edit| edit.before.is_some()).count();
    assert_eq!(shown, 0);
    // A second plan over the result proposes only what nobody may compare.
    let again = proposed(&root, &boot);
    assert!(again.edits.iter().all(|edit| edit.path.to_string() == ours));
}

const RECIPE: &str = r#"name = "kiosk"
[image]
source = "base.img"
[sudo]
lockout = "accept"
[activation]
from = "file"
path = "activations.csv"
"#;

fn plan_of(recipe: &str, root: &HostTree) -> Plan {
    let loaded = cardsmith::recipe::parse(recipe, Path::new("/recipes/kiosk.toml")).unwrap();
    cardsmith::golden::plan(root, &HostTree::boot(), &loaded, cardsmith::fs::clock::Clock { seconds: 0 }).unwrap()
}

#[test]
fn what_the_recipe_adds_is_never_stripped_and_its_proxy_is_used_to_register() {
    let root = HostTree::root();
    root.file("/usr/bin/amazon-ssm-agent", 0o755, "elf");
    let files = r#"
[[file]]
path = "/etc/systemd/system/amazon-ssm-agent.service.d/proxy.conf"
text = "[Service]\nEnvironment=https_proxy=http://proxy:3128\n"
[[file]]
path = "/var/lib/amazon/ssm/inventory/custom/site.json"
text = "{}"
[[file]]
path = "/etc/ssh/ssh_host_ed25519_key"
text = "the same on purpose"
mode = "0600"
"#;
    carry_out(&plan_of(&format!("{RECIPE}{files}"), &root), &root, &HostTree::boot());
    assert!(root.has("/var/lib/amazon/ssm/inventory/custom/site.json") && root.has("/etc/ssh/ssh_host_ed25519_key"));
    let environment = root.text_of("/etc/systemd/system/cardsmith-register.service.d/10-agent-environment.conf");
    assert!(environment.unwrap().contains("https_proxy=http://proxy:3128"));
}

#[test]
fn an_image_for_cards_without_activations_gets_no_registration() {
    let root = HostTree::root();
    root.file("/usr/bin/amazon-ssm-agent", 0o755, "elf");
    let without = RECIPE.split("[activation]").next().unwrap();
    assert!(plan_of(RECIPE, &root).edits.iter().any(|edit| edit.reason.step == "register"));
    assert!(plan_of(without, &root).edits.iter().all(|edit| edit.reason.step != "register"));
}
