//! Runners and deployment.

use crate::prepare::Class::{Identity, Log, Secret, Transient};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("github-runner", "the GitHub Actions runner's registration and key: all cards would be one runner", Secret)
        .at(&[
            "~/actions-runner*/.credentials*",
            "~/actions-runner*/.runner*",
            "~/actions-runner*/.credential_store*",
            "/opt/actions-runner*/.credentials*",
            "/opt/actions-runner*/.runner*",
            "/opt/actions-runner*/.credential_store*",
            "/actions-runner*/.credentials*",
            "/actions-runner*/.runner*",
            "/srv/actions-runner*/.credentials*",
            "/srv/actions-runner*/.runner*",
        ])
        .stays(Warning)
        .named(&["github-runner", "other-agents"])
        .back("`config.sh --url --token` on each card")
        .source("actions/runner, src/Runner.Common/HostContext.cs (GetConfigFile)")
        .example("{\"d\":\"Qz9Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd5Hc0Jf\",\"exponent\":\"AQAB\"}"),
    rule("gitlab-runner", "the GitLab runner's tokens: all cards would be one runner", Secret)
        .at(&["/etc/gitlab-runner/config.toml", "~/.gitlab-runner/config.toml"])
        .stays(Warning)
        .named(&["gitlab-runner", "other-agents"])
        .back("`gitlab-runner register` on each card")
        .source("GitLab Runner docs, Advanced configuration, config.toml")
        .example("[[runners]]\n  token = \"glrt-9Kz3Wq7Lv4Xp8Tn2Rb6M\"\n"),
    rule("gitlab-runner-system-id", "the id that tells machines with one runner token apart", Identity)
        .at(&["/etc/gitlab-runner/.runner_system_id", "~/.gitlab-runner/.runner_system_id"])
        .removed(Error)
        .named(&["gitlab-runner-system-id", "gitlab-runner", "other-agents"])
        .back("gitlab-runner makes a new one at its next start")
        .source("gitlab-runner, common/config or network config file (newSystemIDState, .runner_system_id)")
        .example("s_4f9a1c7e2b8d6053a1f7c9"),
    rule("forgejo-runner", "the Forgejo or Gitea runner's registration: all cards would be one runner", Secret)
        .at(&[
            "/var/lib/forgejo-runner/.runner",
            "/opt/forgejo-runner/.runner",
            "/etc/forgejo-runner/.runner",
            "/var/lib/act_runner/.runner",
            "/var/lib/gitea-runner/.runner",
            "~/.runner",
            "~/forgejo-runner/.runner",
            "~/act_runner/.runner",
        ])
        .stays(Warning)
        .named(&["forgejo-runner", "other-agents"])
        .back("`forgejo-runner register` on each card")
        .source("Forgejo docs, runner installation, .runner file of the registration")
        .example("{\"id\":7,\"uuid\":\"x\",\"token\":\"4f9a1c7e2b8d6053a1f7c9e2b4d8f6013a5c7e9b\"}"),
    rule("woodpecker-agent", "the Woodpecker agent's id: all cards would be one agent", Identity)
        .at(&["/etc/woodpecker/agent.conf"])
        .removed(Warning)
        .named(&["woodpecker-agent", "other-agents"])
        .back("the agent registers anew at its next start with the agent secret")
        .source("woodpecker, cmd/agent flags (agent-config, /etc/woodpecker/agent.conf)")
        .example("{\"agent_id\":70317,\"note\":\"9Kz3Wq7Lv4Xp8Tn2Rb6M\"}"),
    rule("buildkite-agent", "the Buildkite agent's token", Secret)
        .at(&[
            "/etc/buildkite-agent/buildkite-agent.cfg",
            "/usr/local/etc/buildkite-agent/buildkite-agent.cfg",
            "~/.buildkite-agent/buildkite-agent.cfg",
        ])
        .named_only()
        .named(&["buildkite-agent", "logins", "other-agents"])
        .back("wanted where every card shall be an agent; name=\"%hostname-%spawn\" keeps them apart")
        .source("buildkite/agent, clicommand/agent_start.go; packaging (token, name)")
        .example("token=\"bkua_9Kz3Wq7Lv4Xp8Tn2Rb6Ms1P\"\nname=\"%hostname-%spawn\"\n"),
    rule("jenkins", "a Jenkins server's master key and secrets", Secret)
        .at(&[
            "/var/lib/jenkins/secrets",
            "/var/lib/jenkins/secret.key",
            "/var/lib/jenkins/identity.key.enc",
            "/var/lib/jenkins/credentials.xml",
        ])
        .stays(Warning)
        .named(&["jenkins", "logins"])
        .back("Jenkins makes new keys, but cannot read the old credentials.xml any more")
        .source("Jenkins docs, Securing Jenkins, $JENKINS_HOME/secrets")
        .example_in("master.key", "4f9a1c7e2b8d6053a1f7c9e2b4d8f6013a5c7e9b"),
    rule(
        "codedeploy",
        "CodeDeploy's on-premises registration, with an AWS key: all cards would be one instance",
        Secret,
    )
    .at(&["/etc/codedeploy-agent/conf/codedeploy.onpremises.yml"])
    .stays(Warning)
    .named(&["codedeploy", "other-agents", "logins"])
    .back("`aws deploy register` and `aws deploy install` on each card")
    .source("aws-codedeploy-agent, lib/instance_agent/config.rb (on_premises_config_file)")
    .example("---\naws_access_key_id: AKIAIOSFODNN7EXAMPLE\naws_secret_access_key: 9Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd5Hc\n"),
    rule("cloudwatch-agent-state", "how far the CloudWatch agent had read the old machine's logs", Log)
        .at(&["/opt/aws/amazon-cloudwatch-agent/logs"])
        .cleared(Note)
        .named(&["cloudwatch-agent-state", "logs"])
        .back("the agent starts anew at the logs of the card")
        .source("amazon-cloudwatch-agent, translator sampleConfig (file_state_folder)")
        .example_in("state/_var_log_syslog", "48213\n/var/log/syslog kiosk-old-4f9a1c7e"),
    rule("greengrass-v1", "a Greengrass V1 core's certificate and key: all cards would be one core", Secret)
        .at(&["/greengrass/certs", "/greengrass/config/config.json", "/greengrass/ggc/var"])
        .stays(Warning)
        .named(&["greengrass-v1", "other-agents"])
        .back("a core of its own, with certificate and config.json, for each card")
        .source("AWS IoT Greengrass V1 docs, AWS IoT Greengrass core configuration file (/greengrass/certs)")
        .example_in(
            "core.private.key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAv7Kq3Xz9LwTs\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("iot-device-client", "the AWS IoT Device Client's certificate and key: all cards would be one thing", Secret)
        .at(&["/etc/.aws-iot-device-client", "~/.aws-iot-device-client"])
        .stays(Warning)
        .named(&["iot-device-client", "other-agents"])
        .back("fleet provisioning, or a certificate of its own for each card")
        .source("aws-iot-device-client, source/config/Config.h; source/fleetprovisioning/README.md")
        .example_in(
            "keys/1f7c9e-private.pem.key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAr2Xq9Kz7LvWt\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("ecs-config", "settings of the ECS agent, which may hold registry passwords", Secret)
        .at(&["/etc/ecs/ecs.config", "/etc/ecs/ecs.config.json", "/var/lib/ecs/ecs.config"])
        .stays(Note)
        .named(&["ecs-config", "logins"])
        .back("wanted where every card shall join the cluster")
        .source("amazon-ecs-agent, ecs-init/config/common.go; README.md (ECS_ENGINE_AUTH_DATA)")
        .example("ECS_CLUSTER=kiosks\nECS_ENGINE_AUTH_DATA={\"x\":{\"password\":\"9Kz3Wq7Lv4Xp8Tn2Rb6M\"}}\n"),
    rule(
        "eks-hybrid",
        "an EKS hybrid node's key (IAM Roles Anywhere) or credentials: all cards would be one node",
        Secret,
    )
    .at(&["/etc/iam/pki", "/eks-hybrid/.aws/credentials", "/etc/aws/hybrid/config"])
    .stays(Warning)
    .named(&["eks-hybrid", "other-agents"])
    .back("`nodeadm init` on each card, with a certificate or an activation of its own")
    .source("aws/eks-hybrid, hybrid provider defaults (/etc/iam/pki/server.key); internal/iamrolesanywhere")
    .example_in("server.key", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq3Xz9LwTs7Kq2\n-----END PRIVATE KEY-----\n"),
    rule("iot-edge", "the Azure IoT Edge device's keys and certificates: all cards would be one device", Secret)
        .at(&[
            "/var/lib/aziot/keyd/keys",
            "/var/lib/aziot/certd/certs",
            "/var/lib/aziot/identityd",
            "/var/lib/aziot/edged",
            "/var/lib/iotedge/hsm",
            "/var/secrets/aziot",
        ])
        .stays(Warning)
        .named(&["iot-edge", "other-agents"])
        .back("`iotedge config apply` on each card provisions it")
        .source("Azure/iotedge, doc/packaging.md; iot-identity-service, identity/aziot-identityd/src/identity.rs")
        .example_in("device-id", "q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf0PsGt"),
    rule("iot-edge-config", "the Azure IoT Edge device's connection string or provisioning key", Secret)
        .at(&["/etc/aziot/config.toml", "/etc/aziot/*/config.d", "/etc/iotedge/config.yaml"])
        .named_only()
        .named(&["iot-edge-config", "iot-edge", "logins"])
        .back("device_id and key of its own for each card")
        .source("Azure/iotedge, doc/packaging.md (/etc/aziot/config.toml)")
        .example(
            "[provisioning]\nsource = \"manual\"\nconnection_string = \
             \"HostName=h;DeviceId=d;SharedAccessKey=9Kz3Wq7Lv4Xp8Tn2Rb6M=\"\n",
        ),
    rule("azure-arc", "the Azure Arc machine's certificate: all cards would be one machine", Secret)
        .at(&["/var/opt/azcmagent/certs", "/var/opt/azcmagent/tokens", "/var/opt/azcmagent/agentconfig.json"])
        .stays(Warning)
        .named(&["azure-arc", "other-agents"])
        .back("`azcmagent connect` on each card")
        .source("Azure docs, Connected Machine agent, /var/opt/azcmagent/certs")
        .example_in("myCert", "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkq7Lv4Wz9Kq3Xt\n-----END PRIVATE KEY-----\n"),
    rule("google-credentials", "the service account's key that Google's Ops Agent and its like log in with", Secret)
        .at(&["/etc/google/auth/application_default_credentials.json"])
        .stays(Warning)
        .named(&["google-credentials", "logins"])
        .back("wanted where every card shall report with one account")
        .source("Google Cloud docs, Ops Agent, authorize (application_default_credentials.json)")
        .example("{\"type\":\"service_account\",\"private_key\":\"MIIEvAIBADANBgkq9Kz3Wq7Lv4Xp\"}"),
    rule("ansible-pull", "what ansible-pull checked out, and Ansible's sockets and temporary files", Transient)
        .at(&["~/.ansible/pull", "~/.ansible/cp", "~/.ansible/tmp"])
        .removed(Note)
        .named(&["ansible-pull", "other-agents"])
        .back("ansible-pull checks out again")
        .source("ansible-pull, lib/ansible/cli/pull.py (~/.ansible/pull/hostname)")
        .example_in("kiosk-old/group_vars/all.yml", "wifi_password: x9Kz3Wq7Lv4Tp8Rn2Mb6\n"),
    rule("azure-pipelines-agent", "the registration of an Azure Pipelines agent: all cards would be one agent", Secret)
        .at(&[
            "~/myagent*/.credentials*",
            "~/myagent*/.agent",
            "~/azagent*/.credentials*",
            "~/azagent*/.agent",
            "/opt/*agent*/.credentials*",
            "/opt/*agent*/.agent",
        ])
        .stays(Warning)
        .named(&["azure-pipelines-agent", "other-agents", "logins"])
        .back("`./config.sh --unattended` with a token and a name for each card")
        .source(
            "Microsoft Learn, Self-hosted Linux agents (~/myagent); azure-pipelines-agent, \
             ConfigurationStore.cs (.agent, .credentials, .credentials_rsaparams)",
        )
        .example("{\"scheme\":\"OAuth\",\"data\":{\"clientId\":\"7e5c8c54-4ed7-4430-aa76-348d7253418f\"}}"),
    rule("circleci-runner", "the token of CircleCI's runner: all cards would be one runner", Secret)
        .at(&["/etc/circleci-runner/circleci-runner-config.yaml", "/opt/circleci/launch-agent-config.yaml"])
        .with_text(&[r#"^\s*auth_token:[ \t]*["']?[^\s"'<$]{16,}"#])
        .named_only()
        .named(&["circleci-runner", "logins", "other-agents"])
        .back("`runner.name` must differ on each card")
        .source(
            "CircleCI docs, Machine runner 3 configuration reference; Machine runner manual installation \
             (launch-agent-config.yaml)",
        )
        .example("api:\n  auth_token: \"6dfc4d0e1af2a97812fa014ec81a7bba1dbe64fc\"\nrunner:\n  name: kiosk-old\n"),
];
