//! DescribeCluster: the only broker.

use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use super::{Broker, NODE, answer, text};
use crate::wire::{Reply, Request};

/// Describes the broker as its cluster.
pub(super) fn describe(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: DescribeClusterRequest| {
        let own = DescribeClusterBroker::default()
            .with_broker_id(NODE)
            .with_host(text(broker.advertised.ip().to_string()))
            .with_port(broker.advertised.port().into());
        DescribeClusterResponse::default()
            .with_endpoint_type(asked.endpoint_type)
            .with_cluster_id(text(broker.log.cluster_id()))
            .with_controller_id(NODE)
            .with_brokers(vec![own])
            .with_cluster_authorized_operations(i32::MIN)
    })
}
