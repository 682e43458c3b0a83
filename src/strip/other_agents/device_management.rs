//! Device management and updates.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("mender", "the Mender device's key: all cards would be one device", Secret)
        .at(&["/var/lib/mender/mender-agent.pem", "/data/mender/mender-agent.pem"])
        .stays(Warning)
        .named(&["mender", "other-agents"])
        .back("mender-auth makes a new key at its next start; the server must accept the device")
        .source("mendersoftware/mender, src/client_shared/conf.hpp; src/mender-auth/cli/actions.cpp (DoBootstrap)")
        .example("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKx9Wz3Lq7Vt\n-----END PRIVATE KEY-----\n"),
    rule("mender-state", "Mender's database, with the login of the old device", Secret)
        .at(&[
            "/var/lib/mender/mender-store",
            "/var/lib/mender/mender-store-lock",
            "/data/mender/mender-store",
            "/data/mender/mender-store-lock",
        ])
        .stays(Warning)
        .named(&["mender-state", "mender", "other-agents"])
        .back("mender makes it again, but forgets which artifact is installed")
        .source(
            "mendersoftware/mender, src/mender-update/context/context.cpp; \
             Documentation/automatic-bootstrap-artifact.md",
        )
        .example("\0\0authtoken\0eyJhbGciOiJSUzI1NiJ9.x7Kq2Wz9Lv"),
    rule("mender-tenant", "the tenant token with which Mender devices are added to an account", Secret)
        .at(&["/etc/mender/mender.conf", "/var/lib/mender/mender.conf", "/data/mender/mender.conf"])
        .named_only()
        .named(&["mender-tenant", "logins"])
        .back("wanted where every card shall ask to be accepted")
        .source("mender-docs, Client installation, Configuration options, TenantToken")
        .example("{\"ServerURL\":\"https://hosted.mender.io\",\"TenantToken\":\"eyJhbGciOi9Kz3Wq7Lv4Xp8\"}"),
    rule("balena", "balena's device id and API keys: all cards would be one device", Identity)
        .at(&["boot:/config.json", "/mnt/boot/config.json", "/resin-boot/config.json"])
        .with_text(&[r#""(uuid|deviceApiKey|apiKey)"\s*:\s*"[^"]"#])
        .named_only()
        .named(&["balena", "other-agents"])
        .back("a config.json of the fleet, without uuid and deviceApiKey, enrols each card")
        .source("balena-os/os-config, src/args.rs; meta-balena, README.md, config.json")
        .example("{\"uuid\":\"a4f1c9e27b\",\"deviceApiKey\":\"f7c1e9a3b5d2084e6f1a9c7b\"}"),
    rule("rauc-hawkbit", "the hawkBit target's name and token: the server would see one device", Secret)
        .at(&["/etc/rauc-hawkbit-updater/config.conf", "/etc/rauc-hawkbit-updater/*.key"])
        .named_only()
        .named(&["rauc-hawkbit", "other-agents", "logins"])
        .back("target_name and auth_token of its own for each card")
        .source("rauc/rauc-hawkbit-updater, config.conf.example; README.md")
        .example("[client]\ntarget_name = pi-old\nauth_token = bhVahL1Il1shie2aj2poojeC\n"),
    rule("swupdate", "SWUpdate's device id and token at the update server", Secret)
        .at(&["/etc/swupdate.cfg", "/etc/swupdate/swupdate.cfg", "/etc/swupdate/conf.d", "/etc/ssl/sslkey"])
        .named_only()
        .named(&["swupdate", "other-agents", "logins"])
        .back("id and targettoken of its own for each card")
        .source("swupdate, doc/source/suricatta.rst; doc/source/hawkbit-setup.rst")
        .example("suricatta :\n{\n  id = \"pi-old\";\n  targettoken = \"9Kz3Wq7Lv4Xp8Tn2Rb6M\";\n};\n"),
    rule("teleport", "the Teleport node's id and certificates: all cards would be one node", Identity)
        .at(&["/var/lib/teleport/host_uuid", "/var/lib/teleport/proc"])
        .stays(Warning)
        .named(&["teleport", "other-agents"])
        .back("teleport makes a new id and joins again with the token of teleport.yaml, if that is still good")
        .source("gravitational/teleport, lib/auth/join (host_uuid in the data dir); Teleport log, sqlite.db in proc")
        .example("3dc8b175-8f60-48c2-91c1-596c94c60abe"),
    rule("teleport-token", "the token with which Teleport joins", Secret)
        .at(&["/etc/teleport.yaml", "/etc/teleport/token"])
        .named_only()
        .named(&["teleport-token", "logins"])
        .back("wanted where every card shall join by itself")
        .source("Teleport docs, configuration reference, auth_token and join_params")
        .example("teleport:\n  auth_token: 647f8821923da38098c7761f056f9ae2\n"),
    rule("salt", "the Salt minion's id and key: the master would see one minion", Identity)
        .at(&["/etc/salt/minion_id", "/etc/salt/pki/minion"])
        .stays(Warning)
        .named(&["salt", "other-agents"])
        .back("salt-minion takes its id from the host name and makes a new key; the master must accept it")
        .source("Salt docs, minion configuration, id, pki_dir; gist gravyboat/e6b93a6c1e6f9a776062")
        .example("kiosk-old-4f9a1c7e2b8d6053.example.org"),
    rule("salt-cache", "what the Salt master sent to the old minion, pillar included", Secret)
        .at(&["/var/cache/salt/minion"])
        .cleared(Warning)
        .named(&["salt-cache", "salt", "other-agents"])
        .back("the minion fetches it again")
        .source("Salt docs, minion configuration, cachedir")
        .example_in("proc/x.p", "pillar: z7Kq2Wx9Lv4Tp8Rn1Mb6"),
    rule("puppet", "the Puppet agent's certificate and key: the server would see one node", Secret)
        .at(&[
            "/etc/puppetlabs/puppet/ssl",
            "/var/lib/puppet/ssl",
            "/etc/puppet/ssl",
            "/opt/puppetlabs/puppet/cache/client_data",
        ])
        .stays(Warning)
        .named(&["puppet", "other-agents"])
        .back("the agent asks for a new certificate, which somebody signs; each card needs its own certname")
        .source("puppetlabs/puppet, lib/puppet/defaults.rb (ssldir, hostprivkey); Debian puppet-agent")
        .example_in(
            "private_keys/pi-old.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIJKAIBAAKCAgEAx7Wz2Kq9LvTs\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("chef", "the Chef client's key and name: the server would see one node", Secret)
        .at(&["/etc/chef/client.pem", "/etc/chef/*/client.pem", "/etc/chef/chef_guid", "/etc/cinc/client.pem"])
        .stays(Warning)
        .named(&["chef", "other-agents"])
        .back("chef-client makes a new one where validation.pem is there, else `knife bootstrap`")
        .source("chef/chef, chef-config/lib/chef-config/config.rb (client_key, chef_guid_path)")
        .example("-----BEGIN RSA PRIVATE KEY-----\nMIIEpQIBAAKCAQEA1Zk8Wq3LxVtP\n-----END RSA PRIVATE KEY-----\n"),
    rule(
        "chef-validation",
        "Chef keys that are not the node's own: the one that adds nodes, and the data bags' secret",
        Secret,
    )
    .at(&["/etc/chef/validation.pem", "/etc/chef/*validator.pem", "/etc/chef/encrypted_data_bag_secret"])
    .stays(Warning)
    .named(&["chef-validation", "chef", "logins"])
    .back("wanted where every card shall register by itself")
    .source("chef/chef, chef-config/lib/chef-config/config.rb (validation_key, encrypted_data_bag_secret)")
    .example("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu9Xq4WzLk7Tv\n-----END RSA PRIVATE KEY-----\n"),
    rule("cfengine", "the CFEngine host's key: the hub would see one host", Secret)
        .at(&[
            "/var/cfengine/ppkeys/localhost.priv",
            "/var/cfengine/ppkeys/localhost.pub",
            "/var/lib/cfengine3/ppkeys/localhost.priv",
            "/var/lib/cfengine3/ppkeys/localhost.pub",
        ])
        .stays(Warning)
        .named(&["cfengine", "other-agents"])
        .back("`cf-key`, then `cf-agent --bootstrap` on each card")
        .source("cfengine/core, libpromises/keyring.c; cf-key(8)")
        .example(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nx8Kq3Wz7Lv2TpRn9\n-----END RSA PRIVATE \
             KEY-----\n",
        ),
    rule("rudder", "the Rudder node's id, key and certificate: the server would see one node", Identity)
        .at(&[
            "/opt/rudder/etc/uuid.hive",
            "/opt/rudder/etc/ssl",
            "/var/rudder/cfengine-community/ppkeys",
            "/var/backups/rudder",
        ])
        .stays(Warning)
        .named(&["rudder", "other-agents"])
        .back("`rudder agent reinit` gives the card a new identity; the server must accept it")
        .source("rudder-packages, rudder-agent/SOURCES/rudder-agent-postinst and -prerm")
        .example("b1f7c9e2-4d8f-46a0-93a5-c7e9b1d2f684"),
    rule("ubuntu-pro", "the Ubuntu Pro machine token: all cards would be one machine of the subscription", Secret)
        .at(&["/var/lib/ubuntu-advantage/private/machine-token.json", "/var/lib/ubuntu-advantage/machine-token.json"])
        .stays(Warning)
        .named(&["ubuntu-pro", "other-agents"])
        .back("`pro attach TOKEN` on each card")
        .source("ubuntu-pro-client, uaclient/defaults.py, uaclient/files/machine_token.py")
        .example("{\"machineToken\":\"M1Zk8Wq3Lx7VtPs4RbYd9Nc2\",\"machineTokenInfo\":{}}"),
    rule("landscape", "Landscape's registration of the computer", Identity)
        .at(&["/var/lib/landscape/client/broker.bpickle", "/var/lib/landscape/client/broker.bpickle.old"])
        .stays(Warning)
        .named(&["landscape", "other-agents"])
        .back("`landscape-config` on each card")
        .source("landscape-client, landscape/client/broker/service.py; debian/landscape-client.postinst")
        .example("ds12:registrationds9:secure-idu40:9Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd5Hc0Jf;;"),
    rule("landscape-key", "the key with which computers register at Landscape", Secret)
        .at(&["/etc/landscape/client.conf", "/var/snap/landscape-client/common/etc/landscape-client.conf"])
        .named_only()
        .named(&["landscape-key", "logins"])
        .back("wanted where every card shall ask to be accepted")
        .source("landscape-client, debian/landscape-client.config (registration_key)")
        .example("[client]\ncomputer_title = pi-old\nregistration_key = w7Kq2Zx9Lv4Tp8Rn1Mb6\n"),
    rule("snapd", "snapd's device key and serial: all cards would be one device of the store", Identity)
        .at(&["/var/lib/snapd/device/private-keys-v1", "/var/lib/snapd/save/device/private-keys-v1"])
        .stays(Warning)
        .named(&["snapd", "other-agents"])
        .back("nothing simple: its serial is also in state.json, and snapd breaks when only one of them goes")
        .source("snapd, asserts/fskeypairmgr.go, dirs/dirs.go (SnapDeviceDir, SnapDeviceSaveDir)")
        .example_in("Zq8Xk2Wv7LpTs4Rn9Mb1", "type: private-key\n\nxcFGBFz9Kq3Wv7Lx2TpRs8\n"),
    rule("portainer", "Portainer's users and the key of its edge agent: all cards would be one environment", Secret)
        .at(&[
            "/var/lib/docker/volumes/portainer_data/_data/portainer.db",
            "/var/lib/docker/volumes/portainer_data/_data/portainer.key",
            "/var/lib/docker/volumes/*/_data/agent_edge_key",
            "/var/snap/docker/common/var-lib-docker/volumes/portainer_data/_data/portainer.db",
        ])
        .stays(Warning)
        .named(&["portainer", "other-agents", "logins"])
        .back("an edge id of its own for each card; users must be made again")
        .source("portainer/agent, agent.go (EdgeKeyFile, DefaultDataPath); Portainer, portainer_data volume")
        .example("íÚ\u{c}íuser admin $2a$10$q7Kz2Wx9Lv4Tp8Rn1Mb6Yd"),
    rule("basicstation", "the LoRaWAN gateway's key at its network server", Secret)
        .at(&[
            "/etc/basicstation/tc.key",
            "/etc/basicstation/cups.key",
            "/etc/basicstation/tc.crt",
            "/opt/basicstation/tc.key",
            "/opt/ttn-station/config/tc.key",
        ])
        .stays(Warning)
        .named(&["basicstation", "other-agents"])
        .back("a gateway key of its own for each card")
        .source("LoRa Basics Station docs, credentials files (tc.key, cups.key)")
        .example("Authorization: Bearer NNSXS.9Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd5Hc0Jf\r\n"),
    rule("lxd", "the LXD server's key: clients and clusters would take all cards for one server", Secret)
        .at(&[
            "/var/snap/lxd/common/lxd/server.key",
            "/var/snap/lxd/common/lxd/server.crt",
            "/var/snap/lxd/common/lxd/cluster.key",
            "/var/snap/lxd/common/lxd/cluster.crt",
            "/var/lib/lxd/server.key",
            "/var/lib/lxd/server.crt",
        ])
        .stays(Warning)
        .named(&["lxd", "other-agents"])
        .back("lxd makes a new key when both files are missing; clients must trust it again")
        .source("LXD, /var/snap/lxd/common/lxd/server.key (made by lxd init)")
        .example("-----BEGIN EC PRIVATE KEY-----\nMIGkAgEBBDAq7Kz2Wx9Lv4Tp8Rn1\n-----END EC PRIVATE KEY-----\n"),
    rule("corosync", "the key of a Corosync cluster, which all its nodes share", Secret)
        .at(&["/etc/corosync/authkey"])
        .stays(Note)
        .named(&["corosync", "logins"])
        .back("wanted where every card shall join the cluster")
        .source("corosync-keygen(8)")
        .example("\u{1c}q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5"),
    rule("containerd-uuid", "the id of the containerd instance", Identity)
        .at(&[
            "/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid",
            "/var/lib/docker/containerd/daemon/io.containerd.grpc.v1.introspection/uuid",
            "/var/lib/rancher/*/agent/containerd/io.containerd.grpc.v1.introspection/uuid",
        ])
        .removed(Note)
        .named(&["containerd-uuid", "other-agents"])
        .back("containerd makes a new one when it is first asked")
        .source("containerd, plugins/services/introspection/local.go (getUUID)")
        .example("0b8e4c7a-91d3-4f25-8a6e-c2f7d1b9e053"),
    rule("consul-node-id", "the Consul agent's node id: all cards would be one node", Identity)
        .at(&["/opt/consul/node-id", "/opt/consul/data/node-id", "/var/lib/consul/node-id", "/var/consul/node-id"])
        .removed(Error)
        .named(&["consul-node-id", "consul", "other-agents"])
        .back("the agent makes a new one at its next start")
        .source("hashicorp/consul, agent (filepath.Join(config.DataDir, \"node-id\"))")
        .example("9c2e7f41-5a8b-4d03-b6e9-1f7d3c8a2b54"),
    rule("consul", "what the Consul agent keeps of its cluster: gossip keys, ACL tokens, members", Secret)
        .at(&[
            "/opt/consul/serf",
            "/opt/consul/data/serf",
            "/var/lib/consul/serf",
            "/opt/consul/acl-tokens.json",
            "/opt/consul/data/acl-tokens.json",
            "/var/lib/consul/acl-tokens.json",
        ])
        .stays(Warning)
        .named(&["consul", "other-agents"])
        .back("the agent joins again with the encrypt key and retry_join of its configuration")
        .source("Consul docs, agent configuration, encrypt, enable_token_persistence; serf folder of the data dir")
        .example_in("local.keyring", "[\"pUqJrVyVRj5jsiYEkM9Kz3Wq7Lv4Xp8T=\"]"),
    rule("vault-agent", "the role and secret id with which Vault Agent logs in, and tokens that it wrote", Secret)
        .at(&[
            "/etc/vault.d/*role*",
            "/etc/vault.d/*secret*",
            "/etc/vault/*role*",
            "/etc/vault/*secret*",
            "/etc/vault-agent*/*role*",
            "/etc/vault-agent*/*secret*",
            "~/.vault-token",
        ])
        .stays(Warning)
        .named(&["vault-agent", "logins"])
        .back("a secret id of its own for each card")
        .source(
            "Vault docs, Agent, auto-auth, approle (role_id_file_path, secret_id_file_path); vault login, \
             ~/.vault-token",
        )
        .example("b7e1c9f3-4a8d-4026-93f5-d1c7e9b2a684"),
    rule(
        "thin-edge",
        "the thin-edge.io device's certificate and key: all cards would be one device in the cloud",
        Secret,
    )
    .at(&["/etc/tedge/device-certs"])
    .stays(Warning)
    .named(&["thin-edge", "other-agents"])
    .back("`tedge cert create --device-id` on each card")
    .source("thin-edge.io docs, tedge cert; device.key_path")
    .example_in(
        "tedge-private-key.pem",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG7Kz3Wq9Xv\n-----END PRIVATE KEY-----\n",
    ),
    rule("aktualizr", "the device that aktualizr or aktualizr-lite registered: all cards would be one device", Secret)
        .at(&["/var/sota/sql.db", "/var/sota/*.pem", "/var/sota/import"])
        .stays(Warning)
        .named(&["aktualizr", "other-agents"])
        .back("`lmp-device-register` on each card")
        .source(
            "aktualizr, storage config (sqldb_path, client.pem); FoundriesFactory docs, \
             lmp-device-auto-register",
        )
        .example("SQLite format 3\0tls_creds client_pkey MIGHAgEA9Kz3Wq7Lv4Xp8"),
    rule("qbee", "the qbee device's key and its bootstrap key: all cards would be one device", Secret)
        .at(&["/etc/qbee/ppkeys/qbee.key", "/etc/qbee/ppkeys/qbee.cert", "/etc/qbee/qbee-agent.json"])
        .stays(Warning)
        .named(&["qbee", "other-agents"])
        .back("`qbee-agent bootstrap -k KEY` on each card")
        .source("qbee-io/qbee-agent, DefaultConfigDir; ppkeys/qbee.key")
        .example("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBz9Kq3Xw7LvTs4P\n-----END EC PRIVATE KEY-----\n"),
    rule("jumpcloud", "the JumpCloud system's key and id: all cards would be one system", Secret)
        .at(&["/opt/jc/client.key", "/opt/jc/client.crt", "/opt/jc/jcagent.conf"])
        .stays(Warning)
        .named(&["jumpcloud", "other-agents"])
        .back("JumpCloud's install command with the connect key enrols each card")
        .source("JumpCloud API docs, system context (client.key); JumpCloud cookbook")
        .example("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA6Wq9Kz2XvLtR\n-----END RSA PRIVATE KEY-----\n"),
    rule("meshcentral", "the MeshCentral agent's certificate: all cards would be one node", Secret)
        .at(&[
            "/usr/local/mesh_services/meshagent/meshagent.db",
            "/usr/local/mesh_services/*/*.db",
            "/usr/local/mesh/meshagent.db",
            "/opt/tacticalmesh/meshagent.db",
        ])
        .stays(Warning)
        .named(&["meshcentral", "other-agents"])
        .back("meshagent makes a new one at its next start, and joins the group of its .msh file")
        .source("MeshAgent, agent database (SelfNodeCert); MeshCentral docs, agents")
        .example("SelfNodeCert\x0000\tq7Kz2Wx9Lv4Tp8Rn1Mb6"),
    rule("glpi-agent", "the inventory agent's device id: all cards would be one computer", Identity)
        .at(&["/var/lib/glpi-agent/*.dump", "/var/lib/fusioninventory-agent/*.dump", "/var/snap/glpi-agent/*/*.dump"])
        .removed(Error)
        .named(&["glpi-agent", "other-agents"])
        .back("the agent makes a new id of host name and time at its next run")
        .source("glpi-agent, lib/GLPI/Agent.pm (deviceid), lib/GLPI/Agent/Storage.pm")
        .example("pst0\u{4}\u{b}deviceid kiosk-old-2024-03-19-10-42-57q7Kz2Wx9"),
];
