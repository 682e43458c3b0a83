//! Day two, against the fake service: what the binary says of cards whose nodes registered, were lost, or never came.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::aws_activations::Bench;
use crate::support::binary::{Home, Run};
use crate::support::fake_ssm::{FakeRole, Fault, REGION};

const RECIPE: &str = "name = \"kiosk\"\n[image]\nsource = \"x.img\"\n[activation]\nfrom = \"aws\"\n\
    region = \"eu-west-1\"\nrole = \"ssm-managed-instance\"\n[card]\nname = \"kiosk-{serial:04}\"\n";

/// The binary, on the bench's ledger and against its AWS.
fn cardsmith(bench: &Bench, args: &[&str]) -> Run {
    cardsmith_with(bench, args, &[])
}

fn cardsmith_with(bench: &Bench, args: &[&str], env: &[(&str, &str)]) -> Run {
    let home = Home::new();
    std::fs::write(home.path("kiosk.toml"), RECIPE).unwrap();
    let mut command = home.command(args);
    command.arg("--ledger").arg(bench.dir.path().join("ledger.sqlite3"));
    command.env("CARDSMITH_AWS_TIMEOUT", "2").envs(bench.aws.env()).envs(env.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// `n` cards, made and verified.
fn cards(n: usize) -> Bench {
    let bench = Bench::new();
    let said = bench.run(n, &[]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    bench
}

/// Card number `n` boots.
fn boot(bench: &Bench, n: usize) -> String {
    let activation = bench.aws.live().into_iter().find(|a| a.name == format!("kiosk-{n:04}")).unwrap();
    bench.aws.register(&activation.id, &activation.code).unwrap()
}

fn conditions(run: &Run) -> Vec<String> {
    run.named("card").iter().map(|line| line["condition"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn status_tells_of_every_card_whether_it_came_up() {
    let bench = cards(4);
    let node = boot(&bench, 1);
    boot(&bench, 2);
    bench.aws.state().nodes[1].ping = "ConnectionLost".into();
    let third = bench.aws.live()[2].id.clone();
    bench.aws.state().activations.iter_mut().find(|a| a.id == third).unwrap().deleted = true;

    let run = cardsmith(&bench, &["fleet", "status", "--json"]).succeeds();
    assert_eq!(conditions(&run), ["online", "lost", "deleted", "waiting"]);
    assert_eq!(run.named("card")[0]["node"]["id"], Value::from(node.clone()));
    let run = cardsmith(&bench, &["fleet", "status"]).succeeds();
    assert!(run.out.contains(&node) && run.out.contains("3.3.987.0"), "{}", run.out);
    run.says("kiosk-0003: retire it and write the card again");

    bench.aws.advance(Duration::from_secs(8 * 86_400));
    let run = cardsmith(&bench, &["fleet", "status", "--json", "kiosk"]).succeeds();
    assert_eq!(conditions(&run)[3], "expired");
    assert!(conditions(&cardsmith(&bench, &["fleet", "status", "--json", "other"]).succeeds()).is_empty());
}

#[test]
fn an_activation_that_a_stranger_used_is_reported() {
    let bench = Bench::new();
    bench.aws.fail("DeleteActivation", 0, 20, Fault::DropRequest);
    bench.run(1, &[("BENCH_FAIL", "1")]);
    boot(&bench, 1);
    let run = cardsmith(&bench, &["fleet", "status", "--json"]).exits(3);
    assert_eq!(conditions(&run), ["stranger"]);

    // A node that registered before the card was made is not that card either.
    let bench = cards(1);
    boot(&bench, 1);
    bench.aws.state().nodes[0].registered -= 3600.0;
    let run = cardsmith(&bench, &["fleet", "status"]).exits(3);
    run.says("registered before the card was made");
}

#[test]
fn watching_ends_when_all_are_online() {
    let bench = cards(2);
    boot(&bench, 1);
    let home = Home::new();
    let mut command = home.command(["fleet", "status", "--watch", "--interval", "1", "--json", "--ledger"]);
    command.arg(bench.dir.path().join("ledger.sqlite3")).envs(bench.aws.env()).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    while bench.aws.count("DescribeInstanceInformation") < 2 {
        std::thread::sleep(Duration::from_millis(50));
    }
    boot(&bench, 2);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let run = Run { code: Some(0), out: text, err: String::new() };
    assert_eq!(conditions(&run), ["online", "waiting", "online", "online"]);
}

#[test]
fn a_fleet_of_more_nodes_than_fit_on_one_page_is_seen_whole() {
    let bench = Bench::new();
    let said = bench.run(60, &[]);
    assert_eq!(said.code(), Some(0), "{}", said.text());
    for n in 1..=60 {
        boot(&bench, n);
    }
    bench.aws.state().page = Some(7);
    let run = cardsmith(&bench, &["fleet", "status", "--json"]).succeeds();
    assert_eq!(conditions(&run), vec!["online"; 60]);
}

#[test]
fn openssh_reads_the_ssh_configuration_the_way_it_is_meant() {
    let bench = cards(2);
    let node = boot(&bench, 1);
    let run = cardsmith(&bench, &["fleet", "ssh-config", "--user", "admin", "--profile", "fleet"]).succeeds();
    assert!(run.out.contains("# kiosk-0002: waiting for its first boot"), "{}", run.out);
    assert!(!run.out.contains("Host kiosk-0002"));
    if crate::support::need("ssh") {
        let file = bench.dir.path().join("config");
        std::fs::write(&file, &run.out).unwrap();
        let of = |host: &str| {
            let output = Command::new("ssh").arg("-F").arg(&file).args(["-G", host]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let proxy = "proxycommand aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters \
            portNumber=%p --region eu-west-1 --profile fleet";
        for host in ["kiosk-0001", &node] {
            let says = of(host);
            assert!(says.contains(&format!("hostname {node}\n")), "{says}");
            assert!(says.contains("user admin\n") && says.contains(proxy), "{says}");
        }
        assert!(!of("elsewhere.example").contains("proxycommand"));
    }
    cardsmith(&bench, &["fleet", "ssh-config", "--profile", "x; rm -rf ~"]).fails_with(2);
}

/// The policies are what a reader of IAM's grammar expects: statements with unique Sids, known keys, ARNs of 6 parts.
#[test]
fn policies_are_narrow_and_well_formed() {
    let bench = Bench::new();
    for (flag, actions) in [("--operator", 8), ("--bench", 6), ("--admin", 9)] {
        let run = cardsmith(&bench, &["fleet", "policy", "kiosk.toml", flag, "--account", "123456789012"]).succeeds();
        let policy: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(policy["Version"], "2012-10-17");
        assert!(run.out.len() < 6144, "IAM's limit of a managed policy");
        let mut count = 0;
        let mut sids = Vec::new();
        for statement in policy["Statement"].as_array().unwrap() {
            let sid = statement["Sid"].as_str().unwrap();
            assert!(sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !sids.contains(&sid));
            sids.push(sid);
            let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
            assert!(statement.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
            let list = |key: &str| match &statement[key] {
                Value::Array(list) => list.clone(),
                one => vec![one.clone()],
            };
            count += list("Action").len();
            assert!(list("Action").iter().all(|a| !a.as_str().unwrap().contains('*')), "{statement}");
            for resource in list("Resource") {
                let resource = resource.as_str().unwrap();
                assert!(resource == "*" || resource.splitn(6, ':').count() == 6, "{resource}");
            }
        }
        assert_eq!(count, actions, "{flag}");
        match flag {
            "--operator" => assert!(run.out.contains("\"ssm:resourceTag/Recipe\": \"kiosk\"")),
            "--bench" => assert!(run.out.contains("arn:aws:iam::123456789012:role/ssm-managed-instance")),
            _ => {}
        }
    }
    cardsmith(&bench, &["fleet", "policy", "kiosk.toml"]).fails_with(2);
    cardsmith(&bench, &["fleet", "policy", "kiosk.toml", "--bench", "--account", "12"]).fails_with(2);
}

fn levels(run: &Run) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    run.named("finding").iter().map(|finding| (text(&finding["id"]), text(&finding["level"]))).collect()
}

fn has(run: &Run, id: &str, level: &str) -> bool {
    levels(run).contains(&(id.to_owned(), level.to_owned()))
}

#[test]
fn the_role_check_finds_what_would_keep_nodes_from_working() {
    let bench = Bench::new();
    let check = || cardsmith(&bench, &["fleet", "check-role", "kiosk.toml", "--json"]);
    let set = |role: FakeRole| bench.aws.state().roles.insert("ssm-managed-instance".into(), role);

    let run = check().exits(3);
    assert!(has(&run, "trust", "problem") && run.out.contains("there is no role"), "{}", run.out);

    set(FakeRole::assumed_by("ec2.amazonaws.com", &["AmazonSSMManagedInstanceCore"]));
    let run = check().exits(3);
    assert!(has(&run, "trust", "problem") && run.out.contains("Quick Setup"), "{}", run.out);
    assert!(has(&run, "core-policy", "good") && has(&run, "tier", "advice") && has(&run, "patching", "advice"));

    set(FakeRole::assumed_by("ssm.amazonaws.com", &["CloudWatchAgentServerPolicy"]));
    let run = check().exits(3);
    assert!(has(&run, "core-policy", "problem") && has(&run, "session-logs", "good"), "{}", run.out);

    let mut role = FakeRole::assumed_by("ssm.amazonaws.com", &["AmazonSSMPatchAssociation"]);
    let inline = r#"{"Statement":{"Effect":"Allow","Action":["ssm:*","ssmmessages:*"],"Resource":"*"}}"#;
    role.inline.push(("own".into(), inline.into()));
    set(role);
    bench.aws.state().tier = "advanced".into();
    let run = check().succeeds();
    assert!(has(&run, "core-policy", "good") && has(&run, "tier", "good"), "{}", run.out);

    for operation in ["GetRole", "GetServiceSetting"] {
        let code = if operation == "GetRole" { "AccessDenied" } else { "AccessDeniedException" };
        bench.aws.fail_next(operation, Fault::Refuse(code, "not authorized"));
    }
    let run = check().exits(3);
    assert!(has(&run, "trust", "unknown") && has(&run, "tier", "unknown"), "{}", run.out);
    assert!(run.out.contains("cardsmith fleet policy RECIPE --admin"), "{}", run.out);
}

#[test]
fn retiring_deregisters_deletes_and_marks_and_asks_first() {
    let bench = cards(2);
    let node = boot(&bench, 1);
    let run = cardsmith(&bench, &["fleet", "retire", "kiosk-0001"]).fails_with(2);
    run.says("nobody is there to be asked");
    assert_eq!((bench.aws.live().len(), bench.aws.nodes().len()), (2, 1), "nothing was changed");

    let run = cardsmith(&bench, &["fleet", "retire", "kiosk-0001", "--yes"]).succeeds();
    assert!(run.out.contains(&node), "{}", run.out);
    assert_eq!(bench.aws.live().iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["kiosk-0002"]);
    assert!(bench.aws.nodes().is_empty());
    let run = cardsmith(&bench, &["fleet", "status", "--json"]).succeeds();
    assert_eq!(conditions(&run), ["retired", "waiting"]);
    assert_eq!(bench.ledger().next_serials("kiosk", 1).unwrap(), [3], "its number stays its own");

    cardsmith(&bench, &["fleet", "retire", "kiosk-0001", "--yes"]).succeeds();
    cardsmith(&bench, &["fleet", "retire", "kiosk-0009", "--yes"]).fails_with(2).says("has no card kiosk-0009");
}

#[test]
fn a_retirement_that_aws_refused_half_way_is_finished_by_repeating_it() {
    let bench = cards(1);
    boot(&bench, 1);
    bench.aws.fail_next("DeregisterManagedInstance", Fault::Refuse("AccessDeniedException", "no"));
    cardsmith(&bench, &["fleet", "retire", "kiosk-0001", "--yes"]).fails_with(1).says("run the same command again");
    let run = cardsmith(&bench, &["fleet", "status"]).succeeds();
    run.says("its node is still there");
    cardsmith(&bench, &["fleet", "retire", "kiosk-0001", "--yes"]).succeeds();
    assert!(bench.aws.nodes().is_empty() && bench.aws.live().is_empty());
}

#[test]
fn activations_are_listed_with_card_state_and_use() {
    let bench = cards(2);
    boot(&bench, 2);
    let run = cardsmith(&bench, &["activations", "list", "--json"]).succeeds();
    let of = |run: &Run, key: &str| {
        run.named("activation").iter().map(|activation| activation[key].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(&run, "used"), [Value::from(false), Value::from(true)]);
    assert_eq!(of(&run, "card"), ["kiosk-0001", "kiosk-0002"]);
    assert_eq!(of(&run, "state"), ["held", "held"]);
    assert_eq!(of(&run, "region"), [REGION, REGION]);
    let run = cardsmith_with(&bench, &["activations", "list"], &[("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")]);
    let run = run.succeeds();
    run.says("were used is not known");
    assert!(run.out.contains("held") && run.out.contains('?'), "{}", run.out);
    assert!(cardsmith(&bench, &["activations", "list", "--open"]).succeeds().out.contains("no activations"));
    for code in bench.aws.codes() {
        run.never_says(&code);
    }
}

#[test]
fn rows_are_imported_once_and_listed_without_their_codes() {
    let bench = Bench::new();
    let file = bench.dir.path().join("rows.csv");
    let code = "Zq9/+Secret0Code1Never2Shown";
    let id = "7c2f0c0e-2d1c-4b7e-9a51-3f6f0c4d8e21";
    std::fs::write(&file, format!("activation_id,activation_code,region\n{id},{code},eu-west-1\n")).unwrap();
    let import = || cardsmith(&bench, &["activations", "import", file.to_str().unwrap()]).succeeds();
    assert!(import().out.contains("1 rows, 1 of them new"));
    assert!(import().out.contains("1 rows, 0 of them new"));
    let run = cardsmith(&bench, &["activations", "list"]).succeeds();
    assert!(run.out.contains(id) && run.out.contains("free"), "{}", run.out);
    run.never_says(code);
    let ledger = std::fs::read(bench.dir.path().join("ledger.sqlite3")).unwrap();
    assert!(!ledger.windows(code.len()).any(|window| window == code.as_bytes()));
    cardsmith(&bench, &["activations", "release", id]).fails_with(1);
}

#[test]
fn a_sweep_shows_first_and_leaves_other_benches_alone() {
    let bench = Bench::new();
    bench.aws.issue("sign-0001", "cardsmith run=11111111-1111-4111-8111-111111111111 card=sign-0001 serial=1");
    bench.aws.fail("DeleteActivation", 0, 20, Fault::DropRequest);
    bench.run(1, &[("BENCH_FAIL", "1")]);
    let run = cardsmith(&bench, &["activations", "sweep"]).fails_with(1);
    run.says("must still be deleted");
    bench.aws.no_more_faults();

    let run = cardsmith(&bench, &["activations", "sweep", "--dry-run"]).succeeds();
    assert!(run.out.contains("1 activations to delete"), "{}", run.out);
    run.says("come from another bench");
    assert_eq!(bench.aws.live().len(), 2, "nothing was done");
    cardsmith(&bench, &["activations", "sweep"]).succeeds();
    assert_eq!(bench.aws.live().iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["sign-0001"]);
}

/// A role with more policies than one answer has, asked for through refusals that pass.
#[test]
fn the_role_check_reads_every_page_and_tries_again_what_may_pass() {
    let bench = Bench::new();
    let mut role = FakeRole::assumed_by("ssm.amazonaws.com", &["A", "B", "C", "D", "AmazonSSMManagedInstanceCore"]);
    let inline = r#"{"Statement":{"Effect":"Allow","Action":"logs:*","Resource":"*"}}"#;
    role.inline.extend(["a+b", "c=d", "own"].map(|name| (name.to_owned(), inline.to_owned())));
    bench.aws.state().roles.insert("ssm-managed-instance".into(), role);
    bench.aws.state().page = Some(2);
    bench.aws.fail_next("GetRole", Fault::InternalError);
    bench.aws.fail_next("GetRole", Fault::DropRequest);
    bench.aws.fail_next("ListRolePolicies", Fault::Refuse("Throttling", "Rate exceeded"));
    bench.aws.fail_next("GetRolePolicy", Fault::HalfAnswer);
    let run = cardsmith(&bench, &["fleet", "check-role", "kiosk.toml", "--json"]).succeeds();
    assert!(has(&run, "core-policy", "good") && has(&run, "session-logs", "good"), "{}", run.out);
    assert_eq!(bench.aws.count("GetRole"), 3);
    assert_eq!((bench.aws.count("ListAttachedRolePolicies"), bench.aws.count("ListRolePolicies")), (3, 3));

    // A denial is final, and is not asked for again.
    bench.aws.fail_next("GetRole", Fault::Refuse("AccessDenied", "no"));
    cardsmith(&bench, &["fleet", "check-role", "kiosk.toml", "--json"]).exits(3);
    assert_eq!(bench.aws.count("GetRole"), 4);
}
