//! Where amazon-ssm-agent keeps what ties an image to one managed node, and what happens to it.
//!
//! Paths are those of the agent's source (`agent/appconfig/constants_unix.go` and the files named in each line); they
//! are compiled in, and the same for the Debian package and the snap, which is not confined.

use crate::prepare::{Action, Class, PathRule};
use crate::recipe::schema::Keep;

use Action::{Clear, Keep as Stay, Remove, StepDecides, Warn};
use Class::{Code, Configuration, Identity, Log, Secret, Transient};

/// The table. Lines are worked through from the top; `StepDecides` lines by code beside this file, before the others.
pub const RULES: &[PathRule] = &[
    PathRule::new(
        "/var/lib/amazon/ssm/Vault",
        "the vault: private key and instance id of the registration (RegistrationKey, EC2RegistrationKey) and the \
         hardware fingerprint, which the agent would use again when it registers",
        Secret,
        Remove,
        "agent/managedInstances/vault/fsvault/fsvault.go, registration/instance_info.go, fingerprint/fingerprint.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/registration",
        "managed node id and region of the registration",
        Identity,
        Remove,
        "core/agent_parser.go",
    ),
    PathRule::new(
        "/root/.aws/credentials",
        "temporary AWS keys that the agent shares, in the file and section that identity_config.json names; only that \
         section goes, and the file where nothing else is in it",
        Secret,
        StepDecides,
        "agent/managedInstances/sharedCredentials/shared_Credentials.go, common/runtimeconfig/identity_runtimeconfig.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/credentials",
        "temporary AWS keys of agents 3.2.0 to 3.2.1241",
        Secret,
        Remove,
        "agent/appconfig/constants_unix.go, core/app/credentialrefresher/credentialrefresher.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/runtimeconfig",
        "which node the agent last was, and where it put its keys",
        Identity,
        Remove,
        "common/runtimeconfig/identity_runtimeconfig.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/mi-*",
        "what one managed node did: documents, commands with their parameters and output, session transcripts",
        Secret,
        Remove,
        "agent/framework/coremanager/coremanager.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/i-*",
        "what one EC2 instance did: documents, commands with their parameters and output, session transcripts",
        Secret,
        Remove,
        "agent/framework/coremanager/coremanager.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/*",
        "folders of other identities (ECS tasks, custom identities), known by the document or session folder in them",
        Secret,
        StepDecides,
        "agent/framework/coremanager/coremanager.go, common/identity/availableidentities",
    ),
    PathRule::new(
        "/etc/amazon/ssm/amazon-ssm-agent.json",
        "the agent's settings stay, without Identity.CustomIdentities",
        Identity,
        StepDecides,
        "agent/appconfig/contracts.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/daemons",
        "commands that the agent starts, as root, whenever it starts",
        Code,
        Remove,
        "agent/appconfig/constants_unix.go, agent/plugins/configuredaemon",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/localcommands",
        "documents that the agent runs when it finds them here",
        Code,
        Remove,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/inventory/custom",
        "the operator's own inventory; it may describe the machine that the image came from",
        Identity,
        Remove,
        "agent/appconfig/constants_unix.go",
    )
    .unless(Keep::Inventory),
    PathRule::new(
        "/var/lib/amazon/ssm/ipc",
        "sockets between the agent's processes",
        Transient,
        Remove,
        "common/message/model_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/session",
        "sockets of port forwarding sessions",
        Transient,
        Remove,
        "agent/appconfig/constants_unix.go, agent/session/plugins/port/port_mux.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/channels",
        "messages between the agent's processes, as files",
        Transient,
        Remove,
        "common/channel/utils/common.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/download",
        "what the agent fetched for updates and documents",
        Transient,
        Remove,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/update",
        "what the agent knows of its last update, with the node's id",
        Transient,
        Remove,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/update.lock",
        "lock of an update that was running",
        Transient,
        Remove,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/locks",
        "locks of package installations that were running",
        Transient,
        Remove,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/packages",
        "packages that Distributor installed: content, not identity",
        Configuration,
        Stay,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/manifests",
        "manifests of those packages",
        Configuration,
        Stay,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/lib/amazon/ssm/plugins",
        "plugins that were installed beside the agent's own",
        Configuration,
        Stay,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/etc/amazon/ssm/seelog.xml",
        "what the agent logs",
        Configuration,
        Stay,
        "agent/appconfig/constants_unix.go",
    ),
    PathRule::new(
        "/var/log/amazon/ssm",
        "the agent's logs and audit trail, with the node's id",
        Log,
        Clear,
        "agent/log/logger/log_unix.go, agent/log/seelog_unix.xml",
    ),
    PathRule::new(
        "/var/lib/cardsmith",
        "activation and state of the card that the image was read back from",
        Secret,
        Remove,
        "cardsmith, step register",
    ),
    PathRule::new(
        "boot:/cardsmith-status.txt",
        "what the card that the image was read back from said of its registration",
        Log,
        Remove,
        "cardsmith, step register",
    ),
    PathRule::new(
        "/var/lib/ecs/data",
        "state of the ECS agent (ECS Anywhere registers by SSM), with the container instance's id",
        Identity,
        Clear,
        "amazon-ecs-agent, /var/lib/ecs/data",
    ),
    PathRule::new("/var/log/ecs", "logs of the ECS agent", Log, Clear, "amazon-ecs-agent, /var/log/ecs"),
    PathRule::new(
        "/greengrass/v2",
        "a Greengrass core device with its own certificate and private key, which cardsmith does not know how to strip",
        Secret,
        Warn,
        "AWS IoT Greengrass V2, root folder",
    ),
];
