//! The smallest Pingora proxy: `pingora-peer LISTEN-PORT UPSTREAM-PORT`, one worker.
use std::sync::Arc;

use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct Peer(u16);

#[async_trait::async_trait]
impl ProxyHttp for Peer {
    type CTX = ();
    fn new_ctx(&self) {}
    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(("127.0.0.1", self.0), false, String::new())))
    }
}

fn main() {
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().expect("a port")).collect();
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 128, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, conf);
    server.bootstrap();
    let mut proxy = http_proxy_service(&Arc::clone(&server.configuration), Peer(ports[1]));
    proxy.add_tcp(&format!("127.0.0.1:{}", ports[0]));
    server.add_service(proxy);
    server.run_forever();
}
