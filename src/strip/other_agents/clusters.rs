//! Containers and clusters.

use crate::prepare::Class::{Identity, Secret};
use crate::strip::rule::Severity::Warning;
use crate::strip::rule::{Rule, rule};

/// The rules.
pub const RULES: &[Rule] = &[
    rule(
        "docker-engine-id",
        "the id of the Docker engine, which Swarm and monitoring tell machines apart by",
        Identity,
    )
    .at(&["/var/lib/docker/engine-id", "/etc/docker/key.json", "/var/snap/docker/common/var-lib-docker/engine-id"])
    .removed(Warning)
    .named(&["docker-engine-id", "other-agents"])
    .back("dockerd makes a new one at its next start")
    .source("moby, daemon/id.go (LoadOrCreateID); docker/swarm #1472 (/etc/docker/key.json)")
    .example("7e1c9a54-3b82-4f6d-a0e7-92d5b8c1f364"),
    rule(
        "docker-swarm",
        "the swarm that the Docker engine is in, with the node's key: all cards would be one node",
        Secret,
    )
    .at(&["/var/lib/docker/swarm", "/var/snap/docker/common/var-lib-docker/swarm"])
    .stays(Warning)
    .named(&["docker-swarm", "other-agents"])
    .back("`docker swarm join --token` on each card")
    .source("moby, daemon/cluster/cluster.go (swarm, docker-state.json)")
    .example_in(
        "certificates/swarm-node.key",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIHs7Xq2Wz9LvKp4T\n-----END EC PRIVATE KEY-----\n",
    ),
    rule("k3s-agent", "the k3s node's password and keys: all cards would be one node", Secret)
        .at(&[
            "/etc/rancher/node",
            "/var/lib/rancher/k3s/agent/*.key",
            "/var/lib/rancher/k3s/agent/*.crt",
            "/var/lib/rancher/k3s/agent/*.kubeconfig",
            "/var/lib/rancher/rke2/agent/*.key",
            "/var/lib/rancher/rke2/agent/*.crt",
            "/var/lib/rancher/rke2/agent/*.kubeconfig",
        ])
        .stays(Warning)
        .named(&["k3s-agent", "k3s", "other-agents"])
        .back(
            "the agent makes a password and asks for certificates when it joins with the token; each card \
             needs its own host name",
        )
        .source("K3s docs, architecture, How Agent Node Registration Works; k3s, pkg/server/router.go")
        .example_in("password", "f9257fac6572145560669d61bce6e8fd"),
    rule(
        "k3s-server",
        "a k3s server's certificate authority, tokens and database: each card would be the same cluster",
        Secret,
    )
    .at(&[
        "/var/lib/rancher/k3s/server/tls",
        "/var/lib/rancher/k3s/server/cred",
        "/var/lib/rancher/k3s/server/db",
        "/var/lib/rancher/k3s/server/*token",
        "/etc/rancher/k3s/k3s.yaml",
        "/var/lib/rancher/rke2/server/tls",
        "/var/lib/rancher/rke2/server/cred",
        "/var/lib/rancher/rke2/server/db",
        "/var/lib/rancher/rke2/server/*token",
        "/etc/rancher/rke2/rke2.yaml",
    ])
    .stays(Warning)
    .named(&["k3s-server", "k3s", "other-agents"])
    .back("k3s makes a new cluster when all of it is gone; what ran in the old one must be applied again")
    .source("K3s docs, reference; k3s-io/k3s, pkg/server/router.go (node-passwd)")
    .example_in(
        "server-ca.key",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIDz8Kq4Xw1LvPs7T\n-----END EC PRIVATE KEY-----\n",
    ),
    rule("k3s-token", "the token with which k3s joins: whoever has a card can join the cluster", Secret)
        .at(&[
            "/etc/systemd/system/k3s*.service.env",
            "/etc/rancher/k3s/config.yaml",
            "/etc/rancher/k3s/config.yaml.d",
            "/etc/rancher/rke2/config.yaml",
        ])
        .named_only()
        .named(&["k3s-token", "k3s", "logins"])
        .back("wanted where every card shall join by itself")
        .source("get.k3s.io install script (K3S_TOKEN in k3s.service.env); K3s docs, /etc/rancher/k3s/config.yaml")
        .example("K3S_TOKEN='K10c86aa13c7::node:2e373dca319a0525745fd8b3'\n"),
    rule("kubelet", "the kubelet's key and certificate: all cards would be one node of the cluster", Secret)
        .at(&[
            "/etc/kubernetes/kubelet.conf",
            "/etc/kubernetes/bootstrap-kubelet.conf",
            "/var/lib/kubelet/pki",
            "/var/lib/kubelet/kubeconfig",
            "/var/lib/kubelet/bootstrap-kubeconfig",
        ])
        .stays(Warning)
        .named(&["kubelet", "kubernetes", "other-agents"])
        .back("`kubeadm join` on each card")
        .source("Kubernetes docs, kubeadm implementation details; aws/eks-hybrid, internal/certificate")
        .example("users:\n- user:\n    client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0\n"),
    rule("kubeadm", "a control plane's certificate authority, admin logins and database", Secret)
        .at(&[
            "/etc/kubernetes/pki",
            "/etc/kubernetes/admin.conf",
            "/etc/kubernetes/super-admin.conf",
            "/etc/kubernetes/controller-manager.conf",
            "/etc/kubernetes/scheduler.conf",
            "/var/lib/etcd",
        ])
        .stays(Warning)
        .named(&["kubeadm", "kubernetes", "other-agents"])
        .back("`kubeadm init` or `kubeadm join --control-plane`")
        .source("Kubernetes docs, kubeadm, Certificates and kubeconfig files")
        .example_in(
            "ca.key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAz3Wq9Kx7LvTp\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule("k0s", "k0s' keys, its join token and database: all cards would be one node", Secret)
        .at(&[
            "/var/lib/k0s/pki",
            "/var/lib/k0s/kubelet.conf",
            "/var/lib/k0s/kubelet-bootstrap.conf",
            "/var/lib/k0s/kubelet/pki",
            "/var/lib/k0s/db",
            "/var/lib/k0s/etcd",
            "/etc/k0s/*token*",
        ])
        .stays(Warning)
        .named(&["k0s", "kubernetes", "other-agents"])
        .back("`k0s install worker --token-file` on each card")
        .source("k0sproject/k0s, pkg/config/cfgvars.go; docs/k0s-multi-node.md")
        .example_in(
            "ca.key",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAw8Xk2Zq6LvRt\n-----END RSA PRIVATE KEY-----\n",
        ),
    rule(
        "microk8s",
        "MicroK8s' certificate authority, tokens and database: each card would be the same cluster",
        Secret,
    )
    .at(&[
        "/var/snap/microk8s/*/certs",
        "/var/snap/microk8s/*/credentials",
        "/var/snap/microk8s/*/var/kubernetes/backend",
    ])
    .stays(Warning)
    .named(&["microk8s", "kubernetes", "other-agents"])
    .back("install the snap on each card, or `microk8s refresh-certs` there")
    .source("canonical/microk8s, microk8s-resources/actions/common/utils.sh")
    .example_in(
        "ca.key",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAq4Lx9Wz2KvTs\n-----END RSA PRIVATE KEY-----\n",
    ),
    rule("nomad", "the Nomad client's id and secret: all cards would be one node", Identity)
        .at(&[
            "/opt/nomad/data/client",
            "/opt/nomad/client",
            "/var/lib/nomad/client",
            "/opt/nomad/data/server",
            "/opt/nomad/server",
            "/var/lib/nomad/server",
        ])
        .stays(Warning)
        .named(&["nomad", "other-agents"])
        .back("nomad makes a new id when its client folder is empty")
        .source(
            "hashicorp/nomad, client/client.go (client-id, secret-id); \
             .release/linux/package/etc/nomad.d/nomad.hcl",
        )
        .example_in("secret-id", "d4a9f1c7-62b8-4e35-b0d1-8c7f2a95e613"),
];
