//! What every conversation with AWS stands on: the HTTP client, and the runtime that waits for it.

use std::io;

use aws_sdk_ssm::config::{SharedAsyncSleep, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use tokio::runtime::Runtime;

/// A runtime that lives on whichever thread waits for it: the tool has no other asynchronous work.
pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The client for the SDK.
pub(super) fn http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        connector(settings.cloned(), components.and_then(|components| components.sleep_impl()))
    })
}

/// What carries single requests. The SDK's client is made of these.
///
/// It respects the proxy variables, which the SDK's own default ignores, and goes by the system's certificates or
/// those of `SSL_CERT_FILE`: benches stand behind proxies that open TLS.
pub(super) fn connector(settings: Option<HttpConnectorSettings>, sleep: Option<SharedAsyncSleep>) -> Connector {
    let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
    connector.set_connector_settings(settings);
    // Without something to sleep with, the timeouts of `settings` would be ignored.
    connector.set_sleep_impl(sleep);
    // ring, not the SDK's own aws-lc: it is in the program anyway and needs no C toolchain of its own.
    connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
}
