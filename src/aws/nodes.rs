//! Managed nodes, as SSM describes them.

use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter};
use serde::Serialize;

use super::error::AwsError;
use super::ssm::Ssm;

/// One filter of DescribeInstanceInformation takes 100 values at most, and one answer has 50 nodes at most: 50 ids, with
/// one node each, come back on one page.
const IDS_PER_QUESTION: usize = 50;

/// A managed node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// `mi-…`
    pub id: String,
    /// The activation that it registered with.
    pub activation_id: String,
    /// Its name at SSM, from the activation.
    pub name: String,
    /// Its host name, from the agent.
    pub host_name: String,
    /// `Online`, `ConnectionLost` or `Inactive`.
    pub ping: String,
    /// Last heard of, in seconds since 1970.
    pub last_ping: Option<i64>,
    /// The agent's version.
    pub agent_version: String,
    /// Registered, in seconds since 1970.
    pub registered: Option<i64>,
    /// Its address, as the agent sees it.
    pub address: String,
}

impl From<InstanceInformation> for Node {
    fn from(info: InstanceInformation) -> Node {
        Node {
            id: info.instance_id.unwrap_or_default(),
            // In small letters, as everywhere here: files may have them in capitals.
            activation_id: info.activation_id.unwrap_or_default().to_ascii_lowercase(),
            name: info.name.unwrap_or_default(),
            host_name: info.computer_name.unwrap_or_default(),
            ping: info.ping_status.map(|ping| ping.as_str().to_owned()).unwrap_or_default(),
            last_ping: info.last_ping_date_time.map(|time| time.secs()),
            agent_version: info.agent_version.unwrap_or_default(),
            registered: info.registration_date.map(|time| time.secs()),
            address: info.ip_address.unwrap_or_default(),
        }
    }
}

impl Ssm {
    /// The nodes that registered with one of these activations.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn nodes_of(&self, activations: &[&str]) -> Result<Vec<Node>, AwsError> {
        const DOING: &str = "ask for nodes";
        let mut nodes = Vec::new();
        for ids in activations.chunks(IDS_PER_QUESTION) {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            let filter = InstanceInformationStringFilter::builder().key("ActivationIds").set_values(Some(ids)).build();
            let filter = filter.map_err(|error| AwsError::before_sending(DOING, "Filter", error.to_string()))?;
            let pages = self.client.describe_instance_information().filters(filter).max_results(50);
            let pages = pages.into_paginator().items().send();
            let found = self.wait(DOING, pages.collect::<Result<Vec<_>, _>>())?;
            nodes.extend(found.into_iter().map(Node::from));
        }
        Ok(nodes)
    }

    /// Deregisters a managed node. One that is not there is as good as deregistered.
    ///
    /// # Errors
    /// When AWS refuses or cannot be reached.
    pub fn deregister(&self, node: &str) -> Result<(), AwsError> {
        let call = self.client.deregister_managed_instance().instance_id(node).send();
        match self.wait(&format!("deregister node {node}"), call) {
            Ok(_) => Ok(()),
            // Somebody was quicker, or an answer of ours got lost.
            Err(error) if error.code.as_deref() == Some("InvalidInstanceId") => Ok(()),
            Err(error) => Err(error),
        }
    }
}
