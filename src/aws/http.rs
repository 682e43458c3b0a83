//! What every conversation with AWS stands on: the HTTP client under the SDK, and the runtime that waits for it.

use std::io;

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use tokio::runtime::Runtime;

/// A runtime that lives on whichever thread waits for it: the tool has no other asynchronous work.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The SDK's client, with the proxy variables respected (its own default ignores them) and the system's certificates or
/// those of `SSL_CERT_FILE`.
pub(crate) fn http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        // ring, not the SDK's own aws-lc: it is in the program anyway and needs no C toolchain of its own.
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}
