//! The audit: what it finds on a lived-in image, that a golden image passes, and how it says so.

use std::collections::BTreeSet;

use crate::support::binary::Home;
use crate::support::host_tree::HostTree;
use crate::support::pi_image::{PiImage, Spec};
use crate::support::root_image::audited;
use crate::support::{need, need_builder, need_root};

/// The rules that fired, from the audit's events.
fn rules_of(home: &Home, args: &[&str], image: &std::path::Path, exit: i32) -> BTreeSet<String> {
    let image = image.to_str().unwrap();
    let run = home.run(["--json", "audit", image].iter().chain(args)).exits(exit);
    run.named("finding").iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

fn assert_finds(spec: Spec, rule: &str) {
    let image = spec.build();
    let found = rules_of(&Home::new(), &[], image.path(), 3);
    assert!(found.contains(rule), "{rule} was not found, only {found:?}");
}

#[test]
fn a_lived_in_image_breaks_the_rules_that_it_should() {
    if !need_builder() {
        return;
    }
    let image = PiImage::lived_in().build();
    let before = image.digest();
    let found = rules_of(&Home::new(), &[], image.path(), 3);
    for rule in [
        "ssm-registration",
        "ssm-vault",
        "ssm-credentials",
        "ssm-instance-state",
        "ssm-logs",
        "activation-code",
        "machine-id",
        "host-keys",
        "random-seed",
        "sudo-nopasswd",
        "ssm-agent-users",
        "bash-history",
        "python-history",
        "less-history",
        "logs",
        "journal",
        "dhclient-leases",
        "cloud-init-state",
        "networkmanager-wifi",
        "wpa-supplicant-wifi",
        "authorized-keys",
    ] {
        assert!(found.contains(rule), "{rule} was not found, only {found:?}");
    }
    assert!(!found.contains("residue"), "residue is only looked for with --deep");
    assert_eq!(image.digest(), before, "an audit wrote to the image");
}

#[test]
fn an_audit_says_what_but_never_the_secret() {
    if !need_builder() {
        return;
    }
    let image = PiImage::lived_in().build();
    let home = Home::new();
    for args in [vec!["audit"], vec!["--json", "audit"], vec!["audit", "--deep"]] {
        let run = home.run(args.into_iter().chain([image.path().to_str().unwrap()])).exits(3);
        for needle in image.needles().into_iter().chain(image.operators_needles()) {
            // Ids and paths are named, they say which node it was; keys, codes and tokens are not.
            let secret = ["key", "code", "token", "psk", "password"].iter().any(|word| needle.name.contains(word));
            if secret {
                run.never_says(&String::from_utf8_lossy(&needle.bytes));
            }
        }
    }
}

#[test]
fn deleting_by_hand_leaves_residue_that_only_a_deep_audit_sees() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().hand_cleaned().build();
    let home = Home::new();
    let shallow = rules_of(&home, &[], image.path(), 3);
    assert!(!shallow.contains("ssm-vault"), "{shallow:?}");
    assert!(rules_of(&home, &["--deep"], image.path(), 3).contains("residue"));
}

#[test]
fn an_unclean_file_system_is_found_and_still_read() {
    if !need_builder() || !need_root() {
        return;
    }
    let image = PiImage::lived_in().power_cut().build();
    let found = rules_of(&Home::new(), &[], image.path(), 3);
    assert!(found.contains("fs-unclean") && found.contains("ssm-vault"), "{found:?}");
}

#[test]
fn a_vault_from_another_machine_id_is_a_clone() {
    if need_builder() {
        assert_finds(
            PiImage::lived_in().file("/etc/machine-id", 0o444, "ffffffffffffffffffffffffffffffff\n"),
            "ssm-clone",
        );
    }
}

#[test]
fn an_activation_on_a_golden_image_is_an_error_and_on_a_card_it_must_be_private() {
    if !need_builder() {
        return;
    }
    let home = Home::new();
    let open = PiImage::fresh().file("/var/lib/cardsmith/activation", 0o644, "code=x\n").build();
    let private = PiImage::fresh().file("/var/lib/cardsmith/activation", 0o600, "code=x\n").build();
    assert!(rules_of(&home, &[], private.path(), 3).contains("activation-file"));
    assert!(rules_of(&home, &["--card"], open.path(), 3).contains("activation-file"));
    assert!(!rules_of(&home, &["--card"], private.path(), 3).contains("activation-file"));
}

#[test]
fn allowed_rules_do_not_fail_and_unknown_ones_are_refused() {
    if !need_builder() {
        return;
    }
    let image = PiImage::fresh().build();
    let home = Home::new();
    let all: Vec<String> = rules_of(&home, &[], image.path(), 3).into_iter().collect();
    rules_of(&home, &["--allow", &all.join(",")], image.path(), 0);
    let run = home.run(["audit", image.path().to_str().unwrap(), "--allow", "no-such-rule"]).fails_with(2);
    run.says("no-such-rule");
}

#[test]
fn every_rule_by_hand_and_of_the_table_has_an_id_of_its_own_and_a_page() {
    let home = Home::new();
    let rules: Vec<_> = cardsmith::audit::rules().collect();
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rules.len(), "two rules have the same id");
    assert!(ids.len() > 200, "{}", ids.len());

    let run = home.run(["--json", "audit", "--explain", "all"]).succeeds();
    let listed: Vec<String> = run.named("rule").iter().map(|rule| rule["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, rules.iter().map(|rule| rule.id).collect::<Vec<_>>());
    let text = home.run(["audit", "--explain", "all"]).succeeds();
    for rule in &rules {
        assert!(text.out.lines().any(|line| line.split_whitespace().next() == Some(rule.id)), "{}", rule.id);
        let page = rule.page();
        let remedy = page.split("Remedy:").nth(1).unwrap_or_else(|| panic!("{}: {page}", rule.id));
        assert!(remedy.trim().len() > 10 && !remedy.contains("[\"\"]"), "{}: {page}", rule.id);
        assert!(!rule.title.is_empty() && !rule.title.ends_with('.'), "{}: {}", rule.id, rule.title);
    }
    // One of each sort through the binary.
    for id in ["ssm-clone", "tailscale"] {
        let page = home.run(["audit", "--explain", id]).succeeds();
        assert!(page.out.contains("Remedy:"), "{}", page.out);
    }
    home.run(["audit", "--explain", "no-such-rule"]).fails_with(2).says("no-such-rule");
}

#[test]
fn every_row_of_the_table_is_told_of_by_some_rule_unless_it_is_wanted() {
    let ids: BTreeSet<&str> = cardsmith::audit::rules().map(|rule| rule.id).collect();
    let mut rows = BTreeSet::new();
    for row in cardsmith::strip::rules() {
        assert!(rows.insert(row.id), "two rows are called {}", row.id);
        let is_wanted = row.fate == cardsmith::strip::Fate::Wanted;
        assert!(ids.contains(row.audited_as) || is_wanted, "nothing tells of {}, as {}", row.id, row.audited_as);
    }
}

#[test]
fn what_the_finder_finds_is_accepted_by_its_name_in_the_recipe() {
    if !need_builder() {
        return;
    }
    // Put together here, so that nobody's scanner takes this file for a leak.
    let (kind, body) = ("PRIVATE KEY", "MIIEvQIBADANBgkqhkiG9w0B".repeat(8));
    let key = format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
    let image = PiImage::fresh().file("/opt/acme/blob", 0o644, &key).build();
    let home = Home::new();
    let found = |recipe: &std::path::Path| {
        let args = ["--json", "audit", image.path().to_str().unwrap(), "--recipe", recipe.to_str().unwrap()];
        let run = home.run(args);
        run.never_says("MIIEvQIBADANBgkqhkiG9w0B");
        let findings = run.named("finding");
        let finding = findings.iter().find(|finding| finding["rule"] == "private-key-files").unwrap().clone();
        assert!(finding.to_string().contains("/opt/acme/blob"), "{finding}");
        finding["allowed"].as_bool().unwrap()
    };
    assert!(!found(&image.recipe("")));
    assert!(found(&image.recipe("[strip]\nkeep = [\"secrets-in-files\"]\n")));
}

#[test]
fn sarif_names_every_finding_and_its_rule() {
    if !need_builder() {
        return;
    }
    let image = PiImage::lived_in().build();
    let home = Home::new();
    let file = home.path("audit.sarif");
    let run = home.run(["--json", "audit", image.path().to_str().unwrap(), "--sarif", file.to_str().unwrap()]).exits(3);
    let sarif: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), run.named("finding").len());
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
}

#[test]
fn what_is_no_image_is_refused_in_words() {
    let home = Home::new();
    let file = home.path("empty.img");
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    home.run(["audit", file.to_str().unwrap()]).fails_with(1).says("partition table");
}

#[test]
fn a_golden_image_passes_and_so_does_a_card_made_from_it() {
    if !need_builder() {
        return;
    }
    for spec in
        [PiImage::lived_in(), PiImage::lived_in().bookworm(), PiImage::lived_in().snap_agent(), PiImage::fresh()]
    {
        let image = spec.build();
        let activation = "[activation]\nfrom = \"file\"\npath = \"activations.csv\"\n";
        let agent = if image.has_agent() { activation } else { "" };
        let recipe = image.recipe(&format!("{}{agent}", crate::golden::ACCEPT));
        let row = "00000000-0000-4000-8000-000000000001,CodeOfTheFirstCard01,eu-west-1";
        std::fs::write(image.beside("activations.csv"), format!("activation_id,activation_code,region\n{row}\n"))
            .unwrap();
        let home = Home::new();
        let (out, card) = (image.beside("golden.img.zst"), image.beside("card.img"));
        home.run(["golden", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]).succeeds();
        // The operator's own long-lived keys are not cardsmith's to remove.
        home.run(["audit", "--deep", "--allow", "aws-keys", out.to_str().unwrap()]).succeeds();
        let manifest = image.beside("golden.manifest.json");
        home.run(["flash", manifest.to_str().unwrap(), "--to", card.to_str().unwrap(), "--yes"]).succeeds();
        home.run(["audit", "--deep", "--card", "--allow", "aws-keys", card.to_str().unwrap()]).succeeds();
    }
}

#[test]
fn what_is_not_read_to_its_end_is_said() {
    if ["sfdisk", "mke2fs", "mkfs.fat", "mcopy"].iter().any(|tool| !need(tool)) {
        return;
    }
    let (root, boot) = (HostTree::root(), HostTree::boot());
    let code = "sudo amazon-ssm-agent -register -code AbCdEfGhIjKlMnOpQrSt -id x\n";
    let nothing = "ls -l /var/log/nothing/of/interest\n";
    // Read to the end, however long it is.
    root.file("/root/.bash_history", 0o600, nothing.repeat(300_000) + code);
    // A file of settings is not: rules that look for a line in it would find none.
    root.file("/etc/ssh/sshd_config", 0o644, "# padding\n".repeat(1_000_000) + "HostKey /etc/hidden_key\n");
    root.file("/etc/hidden_key", 0o600, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let sparse = root.host("/var/log");
    std::fs::create_dir_all(&sparse).unwrap();
    std::fs::File::create(sparse.join("lastlog")).unwrap().set_len(1 << 40).unwrap();
    boot.file("/user-data", 0o644, "#cloud-config\n".repeat(700_000));
    let found = audited(&root, &boot);
    let has = |rule: &str, place: &str| found.iter().any(|(r, p)| r == rule && p == place);
    assert!(has("activation-code", "/root/.bash_history"), "{found:?}");
    for place in ["/etc/ssh/sshd_config", "/var/log/lastlog", "boot:/user-data"] {
        assert!(has("read-in-part", place), "{place}: {found:?}");
    }
}
