//! Where amazon-ssm-agent keeps what ties an image to one managed node. Paths are those of its source, and the same for
//! the Debian package and the snap, which is not confined.

use crate::prepare::Class::{Code, Configuration, Identity, Log, Secret, Transient};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("ssm-vault", "the vault: private key and instance id of the registration, and the hardware fingerprint, \
        which the agent would use again when it registers", Secret)
        .at(&["/var/lib/amazon/ssm/Vault"])
        .removed(Error)
        .audited_as("ssm-vault")
        .back("registering makes a new one")
        .source("agent/managedInstances/vault/fsvault/fsvault.go, registration/instance_info.go, \
            fingerprint/fingerprint.go")
        .example_in("Store/RegistrationKey", "{\"instanceID\":\"mi-0123456789abcdef0\",\"privateKey\":\"TUlJRXBBSUJBQUtDQVFFQXVxL3dXeFo4OEpqcWtrTk9GRkpLc1E9PQ==\"}"),
    rule("ssm-registration", "managed node id and region of the registration: every card would be that node", Identity)
        .at(&["/var/lib/amazon/ssm/registration", "/var/lib/amazon/ssm/runtimeconfig"])
        .removed(Error)
        .audited_as("ssm-registration")
        .back("registering makes a new one")
        .source("core/agent_parser.go; common/runtimeconfig/identity_runtimeconfig.go")
        .example("a line of words that only this file has: 7f3c9b12d0"),
    rule("ssm-shared-keys", "temporary AWS keys that the agent shares, in the file and section that \
        identity_config.json names; only that section goes, and the file where nothing else is in it", Secret)
        .at(&["/root/.aws/credentials"])
        .part(Error)
        .audited_as("ssm-credentials")
        .back("the agent gets new ones when it is registered")
        .source("agent/managedInstances/sharedCredentials/shared_Credentials.go, \
            common/runtimeconfig/identity_runtimeconfig.go")
        .example("[ssm-iot-gg]
aws_access_key_id = ASIAQ3EGRT5UVWXYZ2AB
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYq1w2e3r4t5
aws_session_token = IQoJb3JpZ2luX2VjEJ7//////////wEaCXVzLWVhc3QtMSJHMEUCIQDx
"),
    rule("ssm-old-credentials", "temporary AWS keys of agents 3.2.0 to 3.2.1241", Secret)
        .at(&["/var/lib/amazon/ssm/credentials"])
        .removed(Error)
        .audited_as("ssm-credentials")
        .back("later agents keep none there")
        .source("agent/appconfig/constants_unix.go, core/app/credentialrefresher/credentialrefresher.go")
        .example("aws_access_key_id = ASIAQ3EGRT5UVWXYZ2CD
aws_session_token = IQoJb3JpZ2luX2VjEJ7xyzABCDEFG0123456789abcdefghijklmnop
"),
    rule("ssm-instance-state", "what one node or instance did: documents, commands with their parameters and output, \
        session transcripts", Secret)
        .at(&["/var/lib/amazon/ssm/mi-*", "/var/lib/amazon/ssm/i-*"])
        .removed(Error)
        .back("the agent makes it anew")
        .source("agent/framework/coremanager/coremanager.go")
        .example_in("document/state/current/aws.ssm.1b2c", "{\"Parameters\":{\"commands\":[\"echo \
            hunter2-Correct-Horse\"]}}"),
    rule("ssm-other-identities", "folders of other identities (ECS tasks, custom identities), known by the document \
        or session folder in them", Secret)
        .at(&["/var/lib/amazon/ssm/*/document", "/var/lib/amazon/ssm/*/session"])
        .part(Error)
        .back("the agent makes it anew")
        .source("agent/framework/coremanager/coremanager.go, common/identity/availableidentities")
        .example_in("state/current/cmd", "echo correct-horse-battery-staple-42"),
    rule("ssm-custom-identity", "identities in the agent's settings, which every card would claim; the rest of the \
        settings stays", Identity)
        .at(&["/etc/amazon/ssm/amazon-ssm-agent.json"])
        .with_text(&[r#""CustomIdentities"\s*:\s*\[\s*[^\]\s]"#])
        .part(Error)
        .source("agent/appconfig/contracts.go")
        .example("{\"Profile\":{\"ShareCreds\":true},\"Identity\":{\"CustomIdentities\":[{\"InstanceID\":\"mi-0fedcba9876543210\"}]}}"),
    rule("ssm-commands", "documents and programs that the agent runs as root when it finds them: every card would \
        run them", Code)
        .at(&["/var/lib/amazon/ssm/daemons", "/var/lib/amazon/ssm/localcommands"])
        .removed(Warning)
        .back("put what every card shall run into the recipe")
        .source("agent/appconfig/constants_unix.go, agent/plugins/configuredaemon")
        .example_in("one.json", "{\"Command\":\"/opt/kiosk/start --token Qm9vdC1vZi1kYWVtb24\"}"),
    rule("ssm-inventory", "the operator's own inventory, which may describe the machine that the image came from", Identity)
        .at(&["/var/lib/amazon/ssm/inventory/custom"])
        .removed(Warning)
        .named(&["inventory"])
        .back("[[file]] brings the inventory that cards shall have")
        .source("agent/appconfig/constants_unix.go")
        .example_in("rack.json", "{\"SchemaVersion\":\"1.0\",\"Content\":{\"serial\":\"100000003d1d1c36\"}}"),
    rule("ssm-runtime", "sockets, messages and locks of processes that ran, and what was fetched for them", Transient)
        .at(&[
            "/var/lib/amazon/ssm/ipc", "/var/lib/amazon/ssm/session", "/var/lib/amazon/ssm/channels",
            "/var/lib/amazon/ssm/download", "/var/lib/amazon/ssm/update", "/var/lib/amazon/ssm/update.lock",
            "/var/lib/amazon/ssm/locks",
        ])
        .removed(Note)
        .back("the agent makes it anew")
        .source("common/message/model_unix.go; agent/session/plugins/port/port_mux.go; \
            common/channel/utils/common.go; agent/appconfig/constants_unix.go")
        .example("a line of words that only this file has: 7f3c9b12d0"),
    rule("ssm-packages", "packages and plugins that were installed by the agent, and what it logs: content, not \
        identity", Configuration)
        .at(&[
            "/var/lib/amazon/ssm/packages", "/var/lib/amazon/ssm/manifests", "/var/lib/amazon/ssm/plugins",
            "/etc/amazon/ssm/seelog.xml",
        ])
        .wanted()
        .source("agent/appconfig/constants_unix.go")
        .example("a line of words that only this file has: 7f3c9b12d0"),
    rule("ssm-logs", "the agent's logs and audit trail, with the node's id, its commands and its sessions", Log)
        .at(&["/var/log/amazon/ssm"])
        .cleared(Warning)
        .named(&["logs"])
        .back("the agent makes it anew")
        .source("agent/log/logger/log_unix.go, agent/log/seelog_unix.xml")
        .example_in("amazon-ssm-agent.log", "2026-01-02 INFO Successfully registered the instance mi-0123456789abcdef0
"),
    rule("cardsmith-state", "activation and state of the card that the image was read back from", Secret)
        .at(&["/var/lib/cardsmith"])
        .removed(Error)
        .audited_as("activation-file")
        .back("`cardsmith flash` gives each card its own")
        .source("cardsmith, step register")
        .example_in("activation", "{\"id\":\"9f8e7d6c-1234-4abc-9def-0123456789ab\",\"code\":\"Zm9vYmFyMTIzNDU2Nzg5MA\"}"),
    rule("cardsmith-status", "what the card that the image was read back from said of its registration", Log)
        .at(&["boot:/cardsmith-status.txt"])
        .removed(Note)
        .back("the first boot writes it")
        .source("cardsmith, step register")
        .example("registered as mi-0123456789abcdef0 at 2026-01-02T03:04:05Z
"),
    rule("ecs-agent", "state and logs of the ECS agent (ECS Anywhere registers by SSM), with the container \
        instance's id", Identity)
        .at(&["/var/lib/ecs/data", "/var/log/ecs"])
        .cleared(Warning)
        .back("the ECS agent registers each card as a new container instance")
        .source("amazon-ecs-agent, ECS_DATADIR; amazon-ecs-init")
        .example_in("ecs_agent_data.json", "{\"ContainerInstanceArn\":\"arn:aws:ecs:eu-west-1:123456789012:container-instance/9a8b7c6d5e4f\"}"),
];
