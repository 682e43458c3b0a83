//! What ties an image to a managed node goes, from every place that the agent knows, and nothing else does.

use std::process::Command;

use cardsmith::prepare::{Class, Plan, Severity, Step, View};
use cardsmith::strip::{AGENT, Keep, Strip, StripStep};

use crate::support::host_tree::{self, HostTree, carry_out};
use crate::support::mounted::Mounted;
use crate::support::volume::Volume;
use crate::support::{PiImage, instance_id, need_builder, need_root, run};

const NODE: &str = "mi-0123456789abcdef0";
const CONFIG: &str = "/var/lib/amazon/ssm/runtimeconfig/identity_config.json";
const CREDENTIALS: &str = "/root/.aws/credentials";
const TEMPORARY: &str = "aws_access_key_id     = ASIAX\naws_secret_access_key = s1\naws_session_token     = t1\n";
const LONG_LIVED: &str = "aws_access_key_id = AKIAX\naws_secret_access_key = s2\n";

fn proposed(root: &HostTree, boot: &HostTree, strip: &Strip) -> Plan {
    host_tree::proposed(&StripStep::agent(strip), root, boot).unwrap()
}

/// Plans and carries out; the plan of the result must be empty.
fn strip(root: &HostTree) -> Plan {
    let boot = HostTree::boot();
    let plan = proposed(root, &boot, &Strip::default());
    carry_out(&plan, root, &boot);
    assert_eq!(proposed(root, &boot, &Strip::default()).edits.len(), 0, "stripping twice strips nothing more");
    plan
}

fn warnings(plan: &Plan) -> Vec<&str> {
    plan.findings.iter().filter(|found| found.severity == Severity::Warning).map(|found| found.text.as_str()).collect()
}

fn identity_config(file: &str, profile: &str) -> String {
    format!(
        "{{\"SchemaVersion\":\"1.1\",\"InstanceId\":\"{NODE}\",\"IdentityType\":\"OnPrem\",\"ShareFile\":\"{file}\",\"ShareProfile\":\"{profile}\"}}"
    )
}

/// Every place where the agent keeps something of a registered life (amazon-ssm-agent,
/// `agent/appconfig/constants_unix.go`).
const STATE: &[&str] = &[
    "Vault/Manifest",
    "Vault/Store/RegistrationKey",
    "Vault/Store/InstanceFingerprint",
    "Vault/EC2Manifest",
    "Vault/Store/EC2RegistrationKey",
    "registration",
    "runtimeconfig/identity_config.json",
    "credentials",
    "mi-0123456789abcdef0/document/state/completed/c",
    "mi-0123456789abcdef0/document/orchestration/c/_script.sh",
    "mi-0123456789abcdef0/session/orchestration/s/Standard_Stream/ipcTempFile.log",
    "mi-0123456789abcdef0/inventory/custom/x.json",
    "mi-0123456789abcdef0/channels/health/x",
    "i-0123456789abcdef0/document/association/a",
    "cluster_taskid_runtimeid/document/state/completed/c",
    "ipc/health",
    "session/mux.sock",
    "daemons/d.json",
    "localcommands/submitted/l.json",
    "download/x",
    "update/amazon-ssm-agent/updatecontext.json",
    "update.lock",
    "locks/packages/p",
    "inventory/custom/site.json",
];
const KEPT: &[&str] = &["packages/p/1.0/install.sh", "manifests/p.json", "plugins/x"];

#[test]
fn everything_the_agent_keeps_of_its_node_goes_and_content_stays() {
    let root = HostTree::root();
    for name in STATE.iter().chain(KEPT) {
        root.file(&format!("/var/lib/amazon/ssm/{name}"), 0o600, "{}");
    }
    for log in ["amazon-ssm-agent.log", "errors.log.1", "audits/amazon-ssm-agent-audit-2025-10-01", "ssm-setup-cli.log"]
    {
        root.file(&format!("/var/log/amazon/ssm/{log}"), 0o600, NODE);
    }
    root.file("/var/lib/cardsmith/activation", 0o600, "code=x")
        .file("/usr/bin/amazon-ssm-agent", 0o755, "elf")
        .file("/etc/amazon/ssm/amazon-ssm-agent.json.template", 0o644, "{}")
        .file("/etc/sudoers.d/ssm-agent-users", 0o440, "ssm-user ALL=(ALL) NOPASSWD:ALL\n")
        .file("/var/lib/other", 0o644, "x");
    strip(&root);
    let left = Command::new("find").args([".", "-type", "f"]).current_dir(root.path()).output().unwrap();
    let mut left: Vec<String> = String::from_utf8(left.stdout).unwrap().lines().map(|l| l[1..].to_owned()).collect();
    left.sort();
    let mut expected: Vec<String> = KEPT.iter().map(|name| format!("/var/lib/amazon/ssm/{name}")).collect();
    expected.extend(
        [
            "/etc/amazon/ssm/amazon-ssm-agent.json.template",
            "/etc/sudoers.d/ssm-agent-users",
            "/usr/bin/amazon-ssm-agent",
            "/var/lib/other",
        ]
        .map(String::from),
    );
    expected.sort();
    assert_eq!(left, expected);
    assert!(root.has("/var/log/amazon/ssm"), "the agent's log directory stays");
    assert!(!root.has("/var/lib/amazon/ssm/Vault") && !root.has("/var/lib/amazon/ssm/cluster_taskid_runtimeid"));
}

#[test]
fn every_edit_says_why_and_where_that_is_known_from() {
    let root = HostTree::root();
    for name in STATE {
        root.file(&format!("/var/lib/amazon/ssm/{name}"), 0o600, "{}");
    }
    let plan = strip(&root);
    assert!(!plan.edits.is_empty());
    for edit in &plan.edits {
        assert!(
            !edit.reason.text.is_empty() && !edit.reason.source.is_empty() && edit.reason.step == "ssm",
            "{}",
            edit.path
        );
        assert!(edit.before.is_none(), "{} shows what it held", edit.path);
    }
    let vault = plan.edits.iter().find(|edit| edit.path.as_bytes().ends_with(b"/Vault")).unwrap();
    assert_eq!(vault.reason.class, Class::Secret);
    for rule in AGENT.iter().flat_map(|subject| subject.rules) {
        for place in rule.places {
            assert!(["/", "~/", "boot:/"].iter().any(|start| place.starts_with(start)), "{}: {place}", rule.id);
        }
        assert!(!rule.places.is_empty() && !rule.what.contains('\n') && !rule.source.is_empty(), "{}", rule.id);
    }
}

#[test]
fn a_fresh_image_has_nothing_to_strip() {
    let root = HostTree::root();
    root.file("/usr/bin/amazon-ssm-agent", 0o755, "elf").directory("/var/log/amazon/ssm").file(
        CREDENTIALS,
        0o600,
        format!("[default]\n{LONG_LIVED}"),
    );
    let plan = strip(&root);
    assert_eq!((plan.edits.len(), plan.findings.len()), (0, 0));
}

#[test]
fn only_the_agents_section_leaves_the_credentials_file() {
    let root = HostTree::root();
    let rest = format!("# mine\n[backup]\n{LONG_LIVED}\n[ default2 ]\nregion = x\n");
    root.file(CONFIG, 0o600, identity_config(CREDENTIALS, "")).file(
        CREDENTIALS,
        0o640,
        format!("[default]\n{TEMPORARY}{rest}"),
    );
    // A comment above the next section belongs to the section before it, as far as an INI file says.
    let expected = rest.strip_prefix("# mine\n").unwrap();
    let plan = strip(&root);
    assert_eq!(root.text_of(CREDENTIALS).unwrap(), expected);
    assert_eq!(root.mode(CREDENTIALS), 0o640);
    let edit = plan.edits.iter().find(|edit| edit.path.to_string() == CREDENTIALS).unwrap();
    assert!(matches!(
        &edit.change,
        cardsmith::prepare::Change::Write { content: cardsmith::prepare::Content::Secret(_), .. }
    ));
}

#[test]
fn a_credentials_file_with_nothing_else_goes_whole() {
    for (file, profile, section) in [(CREDENTIALS, "", "default"), ("/home/pi/.aws/credentials", "fleet", "fleet")] {
        let root = HostTree::root();
        root.file(CONFIG, 0o600, identity_config(file, profile)).file(
            file,
            0o600,
            format!("[{section}]\n{TEMPORARY}\n"),
        );
        strip(&root);
        assert!(!root.has(file), "{file}");
    }
}

#[test]
fn greengrass_keys_go_by_the_name_of_their_section() {
    let root = HostTree::root();
    root.file(CREDENTIALS, 0o600, format!("[default]\n{LONG_LIVED}[ssm-iot-gg]\n{TEMPORARY}"));
    strip(&root);
    assert_eq!(root.text_of(CREDENTIALS).unwrap(), format!("[default]\n{LONG_LIVED}"));
}

#[test]
fn without_a_word_of_the_agent_only_temporary_keys_are_taken_for_its_own() {
    // Registered, but identity_config.json is missing, empty after a power cut, or names nothing.
    for config in [None, Some(String::new()), Some("{}".to_owned())] {
        for (keys, goes) in [(TEMPORARY, true), (LONG_LIVED, false), ("region = eu-west-1\n", false)] {
            let root = HostTree::root();
            root.file("/var/lib/amazon/ssm/registration", 0o600, "{}").file(
                CREDENTIALS,
                0o600,
                format!("[default]\n{keys}"),
            );
            if let Some(text) = &config {
                root.file(CONFIG, 0o600, text);
            }
            let plan = strip(&root);
            assert_eq!(!root.has(CREDENTIALS), goes, "{config:?} {keys}");
            assert!(goes || warnings(&plan).iter().any(|text| text.contains("long-lived")), "{config:?} {keys}");
        }
    }
    // Not an image of the agent: somebody's own temporary keys are not ours to judge.
    let root = HostTree::root();
    root.file(CREDENTIALS, 0o600, format!("[default]\n{TEMPORARY}"));
    strip(&root);
    assert!(root.has(CREDENTIALS));
}

#[test]
fn a_share_file_that_leads_elsewhere_stays_inside_the_image() {
    let root = HostTree::root();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), format!("[default]\n{TEMPORARY}")).unwrap();
    root.file(CONFIG, 0o600, identity_config(outside.path().to_str().unwrap(), ""));
    root.link("/root/.aws", &format!("../../../../../../../..{}", outside.path().parent().unwrap().display()));
    strip(&root);
    assert_eq!(std::fs::read_to_string(outside.path()).unwrap(), format!("[default]\n{TEMPORARY}"));
    for bad in ["relative/path", "/a/../b"] {
        let root = HostTree::root();
        root.file(CONFIG, 0o600, identity_config(bad, ""));
        assert!(warnings(&strip(&root)).iter().any(|text| text.contains("not an absolute path")), "{bad}");
    }
}

#[test]
fn settings_stay_without_the_identities_in_them() {
    let path = "/etc/amazon/ssm/amazon-ssm-agent.json";
    let text = "{\n  \"Agent\": {\"Region\": \"eu-west-1\"},\n  \"Identity\": {\n    \"ConsumptionOrder\": [\"OnPrem\"],\n    \"CustomIdentities\": [{\"InstanceID\": \"mi-0\"}]\n  },\n  \"Mds\": {\"StopTimeoutMillis\": 20000.50}\n}\n";
    let root = HostTree::root();
    root.file(path, 0o600, text);
    strip(&root);
    assert_eq!(
        root.text_of(path).unwrap(),
        text.replace(",\n    \"CustomIdentities\": [{\"InstanceID\": \"mi-0\"}]", "")
    );
    assert_eq!(root.mode(path), 0o600);

    for (text, warned) in [
        ("{\"Identity\": {\"CustomIdentities\": [", true),
        ("{\"Identity\": []}", false),
        ("[]", false),
        ("{\"Identity\":{\"CustomIdentities\":[]}}", false),
    ] {
        let root = HostTree::root();
        root.file(path, 0o644, text);
        let plan = strip(&root);
        assert_eq!(root.text_of(path).unwrap(), text);
        assert_eq!(!warnings(&plan).is_empty(), warned, "{text}");
    }
}

#[test]
fn what_would_have_run_as_root_is_said_without_its_arguments() {
    let root = HostTree::root();
    root.file(
        "/var/lib/amazon/ssm/daemons/cw.json",
        0o600,
        "{\"Name\":\"cw\",\"Command\":\"/opt/run --password hunter2\"}",
    )
    .file("/var/lib/amazon/ssm/localcommands/doc.json", 0o600, "{}");
    let plan = strip(&root);
    let said = warnings(&plan).join("\n");
    assert!(said.contains("cw.json") && said.contains("/opt/run") && said.contains("doc.json"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn custom_inventory_stays_where_the_recipe_keeps_it() {
    let root = HostTree::root();
    let (own, of_node) = (
        "/var/lib/amazon/ssm/inventory/custom/site.json",
        "/var/lib/amazon/ssm/mi-0123456789abcdef0/inventory/custom/x.json",
    );
    root.file(own, 0o600, "{}").file(of_node, 0o600, "{}");
    let boot = HostTree::boot();
    let plan = proposed(&root, &boot, &Strip { keep: vec![Keep::named("inventory").unwrap()], ..Strip::default() });
    carry_out(&plan, &root, &boot);
    assert!(root.has(own) && !root.has(of_node));
    assert!(warnings(&plan).iter().any(|text| text.contains(of_node)));
}

#[test]
fn the_status_of_an_earlier_card_leaves_the_boot_partition() {
    let (root, boot) = (HostTree::root(), HostTree::boot());
    boot.file("/cardsmith-status.txt", 0o644, NODE).file("/cmdline.txt", 0o644, "x");
    carry_out(&proposed(&root, &boot, &Strip::default()), &root, &boot);
    assert!(!boot.has("/cardsmith-status.txt") && boot.has("/cmdline.txt"));
}

#[test]
fn hostile_names_and_sizes_do_not_stop_the_step() {
    let root = HostTree::root();
    root.file("/var/lib/amazon/ssm/mi-\u{1b}[31mred/x", 0o600, "x")
        .file("/var/lib/amazon/ssm/unknown-thing/x", 0o600, "x")
        .file(CONFIG, 0o600, "[".repeat(100_000))
        .file(CREDENTIALS, 0o600, "x".repeat(2 << 20))
        .file("/etc/amazon/ssm/amazon-ssm-agent.json", 0o600, "x".repeat(2 << 20))
        .directory("/var/lib/amazon/ssm/registration");
    root.link("/var/log/amazon", "/var/log/amazon");
    let boot = HostTree::boot();
    let mut view = View::new(&root, &boot);
    // Links in a circle lead to nothing, so there is nothing to strip behind them.
    StripStep::agent(&Strip::default()).propose(&mut view).unwrap();
    std::fs::remove_file(root.host("/var/log/amazon")).unwrap();
    let plan = strip(&root);
    assert!(warnings(&plan).iter().any(|text| text.contains("unknown-thing")));
    assert!(plan.edits.iter().all(|edit| !edit.path.to_string().contains('\u{1b}')));
}

#[test]
fn the_node_that_a_real_image_was_is_in_no_file_afterwards() {
    if !need_builder() || !need_root() {
        return;
    }
    for spec in [PiImage::lived_in(), PiImage::lived_in().snap_agent()] {
        let image = spec.build();
        let root = HostTree::root();
        let mounted = Mounted::read_only(&Volume::root_of(image.path()));
        run(Command::new("cp").arg("-a").arg(mounted.path().join(".")).arg(root.path()));
        // The copy does not carry the append-only flag; that it goes all the same is the file system's own test.
        let plan = strip(&root);
        assert!(plan.findings.iter().any(|found| found.text.contains(instance_id())));
        for place in ["/var/lib/amazon", "/var/log/amazon", "/etc/amazon", "/root/.aws"] {
            let hit = Command::new("grep").args(["-rlF", instance_id()]).arg(root.host(place)).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&hit.stdout), "", "{place}");
            let names = Command::new("find").arg(root.host(place)).args(["-name", "mi-*"]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&names.stdout), "", "{place}");
        }
        assert!(root.text_of(CREDENTIALS).unwrap().starts_with("[backup]\n"));
    }
}
