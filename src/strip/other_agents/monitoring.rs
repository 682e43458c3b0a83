//! Monitoring and security.

use crate::prepare::Class::{Identity, Log, Secret};
use crate::strip::rule::Severity::{Error, Note, Warning};
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule("zabbix", "the Zabbix agent's pre-shared key or TLS key: the server would know all cards by one", Secret)
        .at(&[
            "/etc/zabbix/*.psk",
            "/etc/zabbix/*.key",
            "/etc/zabbix/*/*.psk",
            "/etc/zabbix/*/*.key",
            "/var/lib/zabbix/*.psk",
        ])
        .stays(Warning)
        .named(&["zabbix", "other-agents"])
        .back("`openssl rand -hex 32` on each card; Hostname= in the agent's configuration must differ too")
        .source("Zabbix docs, Encryption, Using pre-shared keys (TLSPSKFile)")
        .example("7f1c9e3ab5d2084e6f1a9c7bd3e5f80124a6c8e0"),
    rule("datadog-ipc", "the token and certificate with which the Datadog agent's processes talk", Secret)
        .at(&["/etc/datadog-agent/auth_token", "/etc/datadog-agent/ipc_cert.pem"])
        .removed(Warning)
        .named(&["datadog-ipc", "datadog", "other-agents"])
        .back("the agent makes both again at its next start")
        .source("datadog-agent, pkg/api/security (auth_token), ipc_cert.pem; nixpkgs, datadog-agent service")
        .example("d41f8c7a9e2b6035f7a1c8e2d9b4f6037a5c1e9b"),
    rule("datadog", "the Datadog API key, and a hostname if one is set", Secret)
        .at(&[
            "/etc/datadog-agent/datadog.yaml",
            "/etc/datadog-agent/*.yaml",
            "/etc/datadog-agent/environment",
            "/etc/dd-agent/datadog.conf",
        ])
        .named_only()
        .named(&["datadog", "logins", "other-agents"])
        .back("wanted where every card shall report; without `hostname:` each uses its own")
        .source("Datadog docs, Agent configuration files; config_template.yaml (api_key, hostname)")
        .example("api_key: 4f9a1c7e2b8d6053a1f7c9e2b4d8f601\nhostname: kiosk-old\n"),
    rule("newrelic", "the New Relic licence key", Secret)
        .at(&["/etc/newrelic-infra.yml", "/etc/newrelic-infra/newrelic-infra.yml"])
        .named_only()
        .named(&["newrelic", "logins", "other-agents"])
        .back("wanted where every card shall report; display_name must not be set")
        .source("newrelic/infrastructure-agent, assets/examples/infrastructure/newrelic-infra-template.yml.example")
        .example("license_key: eu01xx9Kz3Wq7Lv4Xp8Tn2Rb6Ms1PdNRAL\n"),
    rule("newrelic-data", "what the New Relic agent remembers of the old host", Identity)
        .at(&["/var/db/newrelic-infra/data"])
        .cleared(Warning)
        .named(&["newrelic-data", "newrelic", "other-agents"])
        .back("the agent asks for its entity again and sends its inventory anew")
        .source("newrelic/infrastructure-agent, internal/agent/delta/store.go (last_entityID), pkg/config/config.go")
        .example_in("last_entityID", "8214736509128374650 kiosk-old-4f9a1c7e"),
    rule("netdata", "the Netdata node's id: parents and cloud would take all cards for one node", Identity)
        .at(&[
            "/var/lib/netdata/registry/netdata.public.unique.id",
            "/opt/netdata/var/lib/netdata/registry/netdata.public.unique.id",
            "/var/lib/netdata/status-netdata.json",
            "/var/cache/netdata/status-netdata.json",
            "/opt/netdata/var/lib/netdata/status-netdata.json",
            "/opt/netdata/var/cache/netdata/status-netdata.json",
        ])
        .removed(Error)
        .named(&["netdata", "other-agents"])
        .back("netdata makes a new id at its next start; the status files would bring the old one back")
        .source("netdata, docs/learn/vm-templates.md; docs/learn/node-identities.md")
        .example("1a4f7c9e-2b8d-46a0-93a5-c7e9b1d2f684"),
    rule("netdata-history", "Netdata's metrics and node data of the old machine", Log)
        .at(&[
            "/var/cache/netdata/netdata-meta.db*",
            "/var/cache/netdata/context-meta.db*",
            "/var/cache/netdata/dbengine*",
            "/opt/netdata/var/cache/netdata/netdata-meta.db*",
            "/opt/netdata/var/cache/netdata/context-meta.db*",
            "/opt/netdata/var/cache/netdata/dbengine*",
        ])
        .removed(Note)
        .named(&["netdata-history", "netdata", "logs"])
        .back("netdata starts new databases")
        .source("netdata, docs/learn/vm-templates.md, Files to Delete")
        .example("SQLite format 3\0host kiosk-old 1a4f7c9e2b8d46a093a5c7e9"),
    rule("netdata-cloud", "Netdata's claim of the node in the cloud, with its private key", Secret)
        .at(&["/var/lib/netdata/cloud.d", "/opt/netdata/var/lib/netdata/cloud.d"])
        .stays(Warning)
        .named(&["netdata-cloud", "netdata", "other-agents"])
        .back("with a token in claim.conf the agent claims itself at its next start")
        .source("netdata, docs/learn/vm-templates.md; docs/learn/unclaim-reclaim-node.md")
        .example_in(
            "private.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpQIBAAKCAQEAz9Kq3Xw7LvTs\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("netdata-stream", "keys with which Netdata streams, and the token that claims nodes", Secret)
        .at(&[
            "/etc/netdata/stream.conf",
            "/etc/netdata/claim.conf",
            "/opt/netdata/etc/netdata/stream.conf",
            "/opt/netdata/etc/netdata/claim.conf",
        ])
        .named_only()
        .named(&["netdata-stream", "netdata", "logins"])
        .back("wanted where every card shall report by itself")
        .source("netdata, docs/learn/vm-templates.md (Keep claim.conf)")
        .example("[global]\n  token = 9Kz3Wq7Lv4Xp8Tn2Rb6Ms1Pd5Hc0Jf\n"),
    rule("elastic-agent", "the Elastic Agent's enrolment: all cards would be one agent of the fleet", Secret)
        .at(&[
            "/opt/Elastic/Agent/fleet.enc",
            "/opt/Elastic/Agent/fleet.enc.lock",
            "/opt/Elastic/Agent/vault",
            "/opt/Elastic/Agent/data/elastic-agent-*/state.enc",
            "/etc/elastic-agent/fleet.enc",
            "/etc/elastic-agent/fleet.enc.lock",
            "/etc/elastic-agent/vault",
            "/var/lib/elastic-agent/data/elastic-agent-*/state.enc",
            "/opt/Elastic/Endpoint/state",
        ])
        .stays(Warning)
        .named(&["elastic-agent", "other-agents"])
        .back("`elastic-agent enroll --url --enrollment-token` on each card")
        .source(
            "elastic-agent, internal/pkg/agent/application/paths/files.go and paths.go; \
             dev-tools/packaging/templates/linux",
        )
        .example("v2\0\u{7}\u{1f}q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5"),
    rule("beats", "the id of Filebeat, Metricbeat and their like: all cards would be one beat", Identity)
        .at(&["/var/lib/*beat/meta.json"])
        .removed(Warning)
        .named(&["beats", "other-agents"])
        .back("the beat makes a new id at its next start")
        .source("elastic/beats, libbeat (meta.json in path.data)")
        .example("{\"uuid\":\"c7e9b1d2-f684-46a0-93a5-1a4f7c9e2b8d\",\"first_start\":\"2024-03-19T10:42:57Z\"}"),
    rule("splunk-forwarder-guid", "the Splunk forwarder's GUID: the deployment server would see one client", Identity)
        .at(&["/opt/splunkforwarder/etc/instance.cfg", "/opt/splunk/etc/instance.cfg"])
        .removed(Error)
        .named(&["splunk-forwarder-guid", "splunk-forwarder", "other-agents"])
        .back("Splunk makes a new GUID at its next start")
        .source(
            "Splunk docs, Make a universal forwarder part of a host image (clone-prep-clear-config); \
             instance.cfg",
        )
        .example("[general]\nguid = 8F1C9E3A-B5D2-4084-E6F1-A9C7BD3E5F80\n"),
    rule(
        "splunk-forwarder",
        "the Splunk forwarder's secret, the passwords that it encrypts, and the old host's name",
        Secret,
    )
    .at(&[
        "/opt/splunkforwarder/etc/auth/splunk.secret",
        "/opt/splunkforwarder/etc/passwd",
        "/opt/splunkforwarder/etc/auth/server.pem",
        "/opt/splunkforwarder/etc/system/local",
    ])
    .stays(Warning)
    .named(&["splunk-forwarder", "logins", "other-agents"])
    .back("`splunk clone-prep-clear-config` before the image is made clears what Splunk makes anew")
    .source("Splunk docs, Make a universal forwarder part of a host image; splunk.secret")
    .example("q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf0PsGt"),
    rule("alloy", "the random id of Grafana Alloy or the Grafana Agent", Identity)
        .at(&[
            "/var/lib/alloy/data/alloy_seed.json",
            "/var/lib/grafana-agent/agent_seed.json",
            "/var/lib/grafana-agent-flow/agent_seed.json",
            "/etc/grafana-agent/agent_seed.json",
        ])
        .removed(Note)
        .named(&["alloy", "other-agents"])
        .back("Alloy makes a new one at its next start")
        .source(
            "grafana/alloy, internal/alloyseed/alloyseed.go; packaging/deb/alloy.service; Grafana Agent docs, \
             data collection",
        )
        .example("{\"UID\":\"5d3f1a9c-7b2e-48d6-a0f4-c9e7b1d2f684\",\"version\":\"v1.3.0\"}"),
    rule("telegraf", "what Telegraf sends to and with which token, and the old host's name if it is set there", Secret)
        .at(&[
            "/etc/telegraf/telegraf.conf",
            "/etc/telegraf/telegraf.d/*",
            "/etc/telegraf.conf",
            "/etc/default/telegraf",
        ])
        .with_text(&[r#"^\s*(token|password|api_?key|secret\w*)[ \t]*=[ \t]*["\'][^"\'$@]{4,}"#])
        .named_only()
        .named(&["telegraf", "logins"])
        .back("wanted where every card shall report; `hostname = \"\"` makes each use its own")
        .source("telegraf, docs/CONFIGURATION.md (agent hostname, token, /etc/default/telegraf)")
        .example("[[outputs.influxdb_v2]]\n  token = \"x7Kq2Wz9Lv4Tp8Rn1Mb6Yd3Hc5Jf==\"\n"),
    rule("osquery", "osquery's database, with the node key of its enrolment: all cards would be one host", Secret)
        .at(&["/var/osquery/osquery.db", "/var/osquery/osquery.db.backup", "/var/lib/osquery/osquery.db"])
        .stays(Warning)
        .named(&["osquery", "other-agents"])
        .back("osqueryd enrols anew at its next start where an enroll secret is configured")
        .source("osquery, docs/wiki/deployment/remote.md; docs/wiki/installation/cli-flags.md (database_path)")
        .example_in("000004.log", "nodeKey q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3H"),
    rule("fleet-orbit", "the node keys of Fleet's agent: all cards would be one host", Secret)
        .at(&["/opt/orbit/secret-orbit-node-key.txt", "/opt/orbit/osquery.db", "/opt/orbit/identifier"])
        .stays(Warning)
        .named(&["fleet-orbit", "other-agents"])
        .back("orbit enrols anew at its next start with the enroll secret")
        .source("fleetdm/fleet, orbit enrolment (secret-orbit-node-key.txt), osquery node key in osquery.db")
        .example("Zq8Xk2Wv7LpTs4Rn9Mb1Yd6Hc3Jf5Gt0"),
    rule("fleet-secret", "the secret with which hosts enrol at Fleet", Secret)
        .at(&["/opt/orbit/secret.txt", "/etc/default/orbit"])
        .stays(Note)
        .named(&["fleet-secret", "fleet-orbit", "logins"])
        .back("wanted where every card shall enrol by itself")
        .source("fleetdm/fleet, fleetd packages (/opt/orbit/secret.txt, /etc/default/orbit)")
        .example("w9Kz3Xq7Lv4Wp8Tn2Rb6Ms1Pd5Hc0Jf8"),
    rule("crowdstrike", "the CrowdStrike sensor's agent id: all cards would be one host", Identity)
        .at(&["/opt/CrowdStrike/falconstore", "/var/lib/crowdstrike/falconstore"])
        .stays(Warning)
        .named(&["crowdstrike", "other-agents"])
        .back("`falconctl -d -f --aid` before the image is made; removing the file also loses the customer id")
        .source("CrowdStrike falcon-operator, FalconStoreFile; falconctl, --aid")
        .example("\u{1}\0aid 4f9a1c7e2b8d6053a1f7c9e2b4d8f601"),
    rule("sentinelone", "the SentinelOne agent's id: all cards would be one agent", Identity)
        .at(&["/opt/sentinelone/configuration"])
        .stays(Warning)
        .named(&["sentinelone", "other-agents"])
        .back("install the agent on each card with the site's token")
        .source("SentinelOne agent, /opt/sentinelone/configuration (basic.conf, install_config)")
        .example_in("basic.conf", "{\"mgmt_device_uuid\":\"7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80\"}"),
    rule("wazuh", "the Wazuh or OSSEC agent's key: the manager would see one agent", Secret)
        .at(&["/var/ossec/etc/client.keys", "/var/ossec/etc/sslagent.key", "/var/ossec/etc/authd.pass"])
        .stays(Warning)
        .named(&["wazuh", "other-agents"])
        .back("the agent enrols anew where enrolment is configured, else `agent-auth -m MANAGER`")
        .source("wazuh, src/init/inst-functions.sh (client.keys); Wazuh docs, agent enrollment, authd.pass")
        .example("004 kiosk-old any 9f2b7c4e1a8d6035e7f1b3c5d7e9f10a2b4c6d8e\n"),
    rule("checkmk", "the Checkmk agent's registration: the site would see one host", Secret)
        .at(&["/var/lib/cmk-agent/registered_connections.json"])
        .stays(Warning)
        .named(&["checkmk", "other-agents"])
        .back("`cmk-agent-ctl register` on each card")
        .source("Checkmk docs, Monitoring Linux, agent controller, files and directories")
        .example("{\"push\":{},\"pull\":{\"x/y\":{\"private_key\":\"MIIEvAIBADANBgkq9Kz3Wq7Lv4Xp\"}}}"),
    rule("icinga2", "the Icinga agent's certificate and key, and a certificate authority if there is one", Secret)
        .at(&["/var/lib/icinga2/certs", "/var/lib/icinga2/ca", "/etc/icinga2/pki"])
        .stays(Warning)
        .named(&["icinga2", "other-agents"])
        .back("`icinga2 node setup` with a ticket on each card")
        .source("Icinga 2 docs, Distributed Monitoring, /var/lib/icinga2/certs")
        .example_in(
            "kiosk-old.key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIJKQIBAAKCAgEAw7Kq3Xz9LvTs\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("nessus-agent", "the Tenable Nessus agent's id: all cards would be one host", Identity)
        .at(&["/etc/tenable_tag", "/opt/nessus_agent/var/nessus/uuid"])
        .stays(Warning)
        .named(&["nessus-agent", "other-agents"])
        .back("the agent makes a new tag; `nessuscli agent link` on each card")
        .source("Nessus Agent, /etc/tenable_tag and var/nessus/uuid (removed to avoid conflicts of cloned hosts)")
        .example("4f9a1c7e2b8d6053a1f7c9e2b4d8f601"),
    rule("qualys", "the Qualys agent's host id: all cards would be one host", Identity)
        .at(&["/etc/qualys/hostid", "/etc/qualys/cloud-agent/setup/uuid"])
        .stays(Warning)
        .named(&["qualys", "other-agents"])
        .back("`qualys-cloud-agent.sh ActivationId= CustomerId=` on each card")
        .source("Qualys cloud agent puppet module, hostid_path (/etc/qualys/hostid)")
        .example("7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80"),
    rule("rapid7", "the Rapid7 Insight agent's id: all cards would be one host", Identity)
        .at(&["/opt/rapid7/ir_agent/components/bootstrap/common/bootstrap.cfg"])
        .stays(Warning)
        .named(&["rapid7", "other-agents"])
        .back("the vendor has this file removed before an image is made, and the agent not started again")
        .source("Rapid7 Insight Agent, bootstrap.cfg (Client-ID), golden images")
        .example("{\"Client-ID\":\"4f9a1c7e2b8d6053a1f7c9e2b4d8f601\"}"),
    rule("dynatrace", "Dynatrace OneAgent's host id and its tenant's token", Secret)
        .at(&[
            "/var/lib/dynatrace/oneagent/agent/config/ruxithost.id",
            "/var/lib/dynatrace/oneagent/agent/config/deployment.conf",
            "/var/lib/dynatrace/oneagent/agent/config/certificates",
        ])
        .stays(Warning)
        .named(&["dynatrace", "other-agents"])
        .back("install OneAgent on each card")
        .source("Dynatrace docs, OneAgent disk requirements; dynatrace-operator, ruxithost.id, deployment.conf")
        .example("0x4f9a1c7e2b8d6053a1f7"),
    rule("defender", "the file that puts machines into Microsoft Defender for Endpoint", Secret)
        .at(&["/etc/opt/microsoft/mdatp/mdatp_onboard.json"])
        .stays(Note)
        .named(&["defender", "other-agents"])
        .back("wanted where every card shall be put in")
        .source("Microsoft Defender for Endpoint docs, deploy on Linux, mdatp_onboard.json")
        .example("{\"onboardingInfo\":\"{\\\"orgId\\\":\\\"7c1f9e3a-b5d2-4084-e6f1-a9c7bd3e5f80\\\"}\"}"),
    rule("graylog-sidecar", "the Graylog sidecar's id: all cards would be one collector", Identity)
        .at(&["/etc/graylog/sidecar/node-id", "/etc/graylog/collector-sidecar/collector-id"])
        .removed(Error)
        .named(&["graylog-sidecar", "other-agents"])
        .back("the sidecar makes a new id at its next start")
        .source("Graylog2/collector-sidecar, sidecar-example.yml (node_id: file:/etc/graylog/sidecar/node-id)")
        .example("6033137e-d56b-47fc-9762-cd699c11a5a9"),
    rule(
        "crowdsec",
        "the CrowdSec machine's logins, its own and that at the central API: all cards would be one machine",
        Secret,
    )
    .at(&[
        "/etc/crowdsec/local_api_credentials.yaml",
        "/etc/crowdsec/online_api_credentials.yaml",
        "/etc/crowdsec/bouncers/*.yaml*",
    ])
    .stays(Warning)
    .named(&["crowdsec", "other-agents", "logins"])
    .back("`cscli machines add -a --force` and `cscli capi register` on each card")
    .source("crowdsec, package scripts (cscli machines add -a); config (credentials_path)")
    .example("login: 82929df7ee394b73b81252fe3b4e50203\npassword: x9Kz3Wq7Lv4Tp8Rn2Mb6\n"),
    rule("snmpd", "the SNMP engine's id and the keys of its users", Secret)
        .at(&["/var/lib/snmp/snmpd.conf", "/var/lib/net-snmp/snmpd.conf"])
        .stays(Warning)
        .named(&["snmpd", "other-agents", "logins"])
        .back("snmpd makes a new engine id; users must be made again with net-snmp-create-v3-user")
        .source("snmpd.conf(5), persistent files (oldEngineID, usmUser); net-snmp-create-v3-user(1)")
        .example("usmUser 1 3 0x80001f8880 \"kiosk\" 0x4f9a1c7e2b8d6053a1f7c9e2\noldEngineID 0x80001f88804f9a1c7e\n"),
    rule("beszel-agent", "what the Beszel agent keeps, with the fingerprint that its hub knows it by", Identity)
        .at(&["/var/lib/beszel-agent"])
        .stays(Warning)
        .named(&["beszel-agent", "other-agents"])
        .back("the agent makes a new fingerprint; the hub must accept the card")
        .source("Beszel, agent data directory /var/lib/beszel-agent")
        .example_in("fingerprint", "4f9a1c7e2b8d6053a1f7c9e2b4d8f601"),
    rule(
        "urbackup",
        "the UrBackup client's passwords and the servers that it trusts: all cards would be one client",
        Secret,
    )
    .at(&[
        "/usr/local/var/urbackup/pw.txt",
        "/usr/local/var/urbackup/pw_change.txt",
        "/usr/local/var/urbackup/server_idents.txt",
        "/usr/local/var/urbackup/tokens",
        "/usr/local/var/urbackup/data/settings.cfg",
        "/var/urbackup/pw.txt",
        "/var/urbackup/server_idents.txt",
        "/var/urbackup/tokens",
        "/var/urbackup/data/settings.cfg",
    ])
    .stays(Warning)
    .named(&["urbackup", "other-agents", "logins"])
    .back("install the client on each card")
    .source("UrBackup client, pw.txt, tokens, server_idents.txt under /usr/local/var/urbackup")
    .example("q7Kz2Wx9Lv4Tp8Rn1Mb6Yd3Hc5Jf"),
    rule("bacula-client", "passwords of a Bacula or Bareos client, and its name", Secret)
        .at(&[
            "/etc/bacula/bacula-fd.conf",
            "/etc/bareos/bareos-fd.conf",
            "/etc/bareos/bareos-fd.d/director",
            "/etc/bacula/common_default_passwords",
        ])
        .named_only()
        .named(&["bacula-client", "other-agents", "logins"])
        .back("a name and password of its own for each card")
        .source("Bacula docs, Client/File daemon configuration (Name, Password)")
        .example("Director {\n  Name = backup-dir\n  Password = \"x9Kz3Wq7Lv4Tp8Rn2Mb6\"\n}\n"),
    rule("nut", "passwords of the UPS daemon", Secret)
        .at(&["/etc/nut/upsd.users", "/etc/nut/upsmon.conf"])
        .with_text(&[r"^\s*password[ \t]*=[ \t]*\S", r"^\s*MONITOR[ \t]+\S+[ \t]+\d+[ \t]+\S+[ \t]+\S+"])
        .named_only()
        .named(&["nut", "logins"])
        .back("wanted where every card watches the same UPS")
        .source("upsd.users(5); upsmon.conf(5), MONITOR")
        .example("[upsmon]\n  password = x9Kz3Wq7Lv4Tp8Rn2Mb6\n"),
    rule(
        "log-shipper-passwords",
        "keys with which Fluent Bit, Beats, Grafana Agent, Alloy, Promtail, Vector, collectd or rsyslog send \
         what they see",
        Secret,
    )
    .at(&[
        "/etc/fluent-bit/*.conf",
        "/etc/fluent-bit/*.yaml",
        "/etc/filebeat/filebeat.yml",
        "/etc/metricbeat/metricbeat.yml",
        "/etc/grafana-agent.yaml",
        "/etc/grafana-agent.river",
        "/etc/alloy/*",
        "/etc/promtail/*",
        "/etc/vector/*",
        "/etc/rsyslog.conf",
        "/etc/rsyslog.d/*",
        "/etc/collectd/collectd.conf",
        "/etc/collectd/collectd.conf.d/*",
    ])
    .with_text(&[
        r#"^\s*-?[ \t]*["']?[\w.-]*(api_?key|password|passwd|bearer_token|ingestion_key|token)["']?[ \t]*[=: \t][ \t]*["']?[^\s"'$%{<]{8,}"#,
        r"\[[0-9a-f]{8}-[0-9a-f-]{27}@\d{4,6}\b",
    ])
    .named_only()
    .named(&["log-shipper-passwords", "logins"])
    .back("wanted where every card shall report")
    .source("Fluent Bit docs, Outputs (HTTP_Passwd); Filebeat docs, output.elasticsearch: api_key; Grafana \
             Alloy docs, prometheus.remote_write: basic_auth; collectd.conf(5), Password; Loggly docs, rsyslog")
    .example("metrics:\n  password: glc_MhiC7ExbSkhq88RpiMC8qa0BNmH6VFM4L2ca\n"),
    rule(
        "grafana",
        "Grafana's database, with logins, sessions and passwords of data sources",
        Secret,
    )
    .at(&["/var/lib/grafana/grafana.db"])
    .stays(Warning)
    .named(&["grafana", "logins"])
    .back("Grafana makes an empty one; dashboards made by hand are lost")
    .source("Grafana docs, Configure Grafana: [database] path, [security] secret_key")
    .example("SQLite format 3\0user admin hwfjHaE3SKvXH17YdaKQny6Fia7qtwrX"),
    rule(
        "influxdb",
        "InfluxDB's logins and tokens",
        Secret,
    )
    .at(&[
        "/var/lib/influxdb/influxd.bolt",
        "/var/lib/influxdb/influxd.sqlite",
        "/var/lib/influxdb/meta/meta.db",
    ])
    .stays(Warning)
    .named(&["influxdb", "logins"])
    .back("`influx setup`; only together with the data, which no longer belongs to anybody")
    .source("InfluxDB v2 docs, InfluxDB file system layout (influxd.bolt); v1 docs, [meta] dir")
    .example("boltdb authorizations N9z33yEPdsszupioXDfBUsUDJgZ36PiNecE9uIwA=="),
    rule(
        "monit-id",
        "Monit's id: M/Monit would take all cards for one host",
        Identity,
    )
    .at(&["/var/lib/monit/id", "~/.monit.id"])
    .removed(Warning)
    .named(&["monit-id", "other-agents"])
    .back("Monit makes a new id at its next start")
    .source("Monit, monitrc, set idfile; Debian monitrc (/var/lib/monit/id)")
    .example("ac271596b69aca7e810a8ab4c7e90943\n"),
    rule(
        "monit-password",
        "the password of Monit's own web page, of its mail server or of M/Monit",
        Secret,
    )
    .at(&["/etc/monit/monitrc", "/etc/monitrc", "/etc/monit/conf.d/*", "/etc/monit/conf-enabled/*"])
    .with_text(&[
        r#"^[^#\n]*\ballow[ \t]+["']?[a-z_][^\s"':@]*["']?:["']?[^\s"':]{3,}"#,
        r#"^[^#\n]*\bset[ \t]+m/?monit[ \t]+["']?https?://[^/\s:@]+:[^/\s@]+@"#,
        r#"^[^#\n]*\bpassword[ \t]+["']?[^\s"']{3,}"#,
    ])
    .named_only()
    .named(&["monit-password", "logins"])
    .back("wanted where every card has the page")
    .source("Monit manual, Monit httpd: allow user:password; set mailserver; set mmonit")
    .example("set httpd port 2812\n  allow admin:YHi4g2GH9aifUlon0JnUKVOg\n"),
    rule(
        "snmp-communities",
        "SNMP communities and users, with which others read or change the machine",
        Secret,
    )
    .at(&[
        "/etc/snmp/snmpd.conf",
        "/etc/snmp/snmpd.conf.d/*",
        "/etc/snmp/snmp.conf",
        "/etc/snmp/snmptrapd.conf",
    ])
    .with_text(&[
        r#"^\s*(ro|rw)community6?[ \t]+["\']?(?:[^p\s#"\']|p[^u\s])\S*"#,
        r"^\s*com2sec6?[ \t]+(-Cn[ \t]+\S+[ \t]+)?\S+[ \t]+\S+[ \t]+(?:[^p\s]|p[^u\s])\S*",
        r"^\s*createUser[ \t]+\S+",
        r"^\s*def(AuthPassphrase|PrivPassphrase|Passphrase|Community)[ \t]+\S+",
    ])
    .named_only()
    .named(&["snmp-communities", "logins"])
    .back("wanted where the monitoring asks every card alike")
    .source("snmpd.conf(5), rocommunity, com2sec, createUser; snmp.conf(5), defPassphrase")
    .example("agentaddress udp:161\nrocommunity emlicdDOQeQ1cekEtIKfFh8g\n"),
];
