//! Every key of the file in one table: what it takes, what holds without it, what it is for.
//!
//! For `banyan reference`, which prints it as the page in the book. The tests hold the table to the code: a section knows the
//! same keys as the table has for it, a default in the table is the one in force, and the page is what the table says.

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What holds without it, as the file would say it; absent if nothing does, or if it must be there.
    pub default: Option<&'static str>,
    /// What it is for.
    pub about: &'static str,
}

/// One section.
#[derive(Debug, Clone, Copy)]
pub struct SectionKeys {
    /// Its head, as the file has it.
    pub head: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order in which they are worth reading.
    pub keys: &'static [Key],
}

const fn key(
    name: &'static str,
    takes: &'static str,
    default: Option<&'static str>,
    about: &'static str,
) -> Key {
    Key {
        name,
        takes,
        default,
        about,
    }
}

/// All sections. A table reads best with a row on a line.
#[rustfmt::skip]
pub const SECTIONS: &[SectionKeys] = &[
    SectionKeys {
        head: "[router]",
        about: "How the router itself behaves. It must be there, and may be empty. Addresses, `workers`, `keep_alive`, \
                `max_connections`, `shutdown_timeout`, `state` and `admin_token_file` are read at the start only.",
        keys: &[
            key("listen", "address", Some("\"127.0.0.1:8080\""), "Where clients connect."),
            key("admin", "address", Some("\"127.0.0.1:8081\""), "Where operators connect."),
            key("admin_token_file", "file", Some("\"banyan-token\""), "The file with the operators' token. A relative path means beside the config file. It is made at the start if it is missing."),
            key("admin_hosts", "list of hosts", Some("[]"), "Names by which the operators' port may be asked, beside addresses and `localhost`; others are refused, so that no web page can reach it."),
            key("state", "database", Some("\"sqlite:banyan-state.db\""), "Where evidence and audit log are kept: `sqlite:FILE` (relative means beside the config file) or `postgres://…`, which several routers can share."),
            key("workers", "1 to 1024", None, "Threads that serve requests. Without it, as many as there are cores."),
            key("host", "`preserve` or `upstream`", Some("\"preserve\""), "Which `Host` upstreams see: the client's, or their own address."),
            key("trusted_proxies", "list of networks", Some("[]"), "Peers whose `X-Forwarded-*` and `Forwarded` are believed."),
            key("tester_header", "header", None, "The request header by which a tester chooses a side for a safe request: its value is `monolith` or `service`. Without it nobody can."),
            key("connect_timeout", "duration", Some("\"2s\""), "How long opening a connection to an upstream may take."),
            key("response_timeout", "duration", Some("\"60s\""), "How long an upstream may take to the head of its answer, over all attempts."),
            key("idle_timeout", "duration", Some("\"300s\""), "How long an exchange may stand still in the middle of a body."),
            key("header_timeout", "duration", Some("\"10s\""), "How long a client may take to send the head of a request."),
            key("request_timeout", "duration", None, "How long a whole exchange may take. Without it there is no such limit."),
            key("keep_alive", "duration", Some("\"75s\""), "How long a client's connection may rest between two requests."),
            key("pool_idle_timeout", "duration", Some("\"4s\""), "How long a connection to an upstream may rest before it is closed; keep it below the upstream's own limit."),
            key("shutdown_timeout", "duration", Some("\"30s\""), "How long running exchanges may go on after a stop signal."),
            key("drain_delay", "duration", Some("\"0s\""), "How long new connections are still taken after a stop signal, while `/health/ready` says no already."),
            key("handover_socket", "file", None, "Where a successor asks for the ports. Without it, beside the config file."),
            key("max_header_bytes", "1024 to 126976", Some("32768"), "The longest head of a request."),
            key("max_body_bytes", "number", None, "The longest body of a request. Without it there is no limit."),
            key("max_connections", "1 to 1000000", Some("20000"), "The most connections from clients at a time."),
            key("max_connections_per_client", "1 to 1000000", None, "The most connections of one peer at a time."),
            key("rate_limit", "rate, such as `100/s`", None, "How many requests one client may send on average."),
            key("rate_burst", "1 to 1000000", None, "How many of them may come at once. Without it, as many as come in a second."),
            key("tls", "section `[router.tls]`", None, "A second port for clients, with TLS and HTTP/2."),
        ],
    },
    SectionKeys {
        head: "[router.tls]",
        about: "A port with TLS beside the plain one. The files are read again when they change.",
        keys: &[
            key("listen", "address", None, "Where clients connect; must be there."),
            key("certificate", "file", None, "The certificate and those that lead to its root, in PEM; must be there."),
            key("key", "file", None, "The private key in PEM; must be there."),
        ],
    },
    SectionKeys {
        head: "[upstreams]",
        about: "What requests can be sent to, each a name of yours and its URL: `catalog = \"http://127.0.0.1:8101\"`, or up to 64 \
                URLs of servers that do the same: `catalog = [\"http://10.0.0.1:8101\", \"http://10.0.0.2:8101\"]`. \
                One of them must be called `monolith`; it serves everything that no route moves.",
        keys: &[],
    },
    SectionKeys {
        head: "[modules.NAME]",
        about: "A part of the monolith that is being moved.",
        keys: &[
            key("service", "upstream", None, "The upstream that takes it over. Without it its routes can only be in mode `monolith`."),
            key("writes", "`monolith` or `service`", Some("\"monolith\""), "Who accepts writes, and so holds the data that the other side follows."),
            key("auto", "`true` or `false`", Some("false"), "Whether its routes are promoted on their certificates and taken back on a breach without being asked."),
            key("handover", "section", None, "Where its two sides are asked for the pen; who accepts writes is then the pen's affair, and `writes` only says where to begin."),
            key("routes", "list of sections", None, "Its routes."),
        ],
    },
    SectionKeys {
        head: "[modules.NAME.handover]",
        about: "How the module's data is handed over between the monolith and the service, and back. See *The hand-over protocol*.",
        keys: &[
            key("monolith", "URL", None, "Where the monolith serves the protocol; must be there."),
            key("service", "URL", None, "Where the service does; must be there."),
            key("token_file", "file", Some("\"handover-token\""), "The file with the token that both sides know. A relative path means beside the config file."),
            key("hold", "duration", Some("\"2s\""), "How long a write may wait while nobody may write."),
            key("hold_requests", "1 to 1000000", Some("1000"), "How many writes may wait."),
            key("hold_bytes", "size", Some("\"16MiB\""), "How much memory the kept bodies of the module's writes may take together. A write that finds no room is not kept, and does not wait."),
            key("replay_bytes", "size", Some("\"1MiB\""), "The longest body that is kept, so that a write can be sent to the holder after the other side has refused it. A longer one is sent once."),
        ],
    },
    SectionKeys {
        head: "[[modules.NAME.routes]]",
        about: "One route. Which of several matching routes counts is decided as in the Kubernetes Gateway API, whatever their order.",
        keys: &[
            key("name", "name", None, "Its name, unique in the file; must be there."),
            key("match", "methods and path", None, "Such as `GET,HEAD /api/products/{sku}`; `*` is any method, `{*rest}` all that is left of the path. Must be there."),
            key("mode", "mode", None, "Who serves it: `monolith`, `shadow`, `canary`, `service` or `by-owner`, which is whoever holds the module's data; must be there."),
            key("percent", "0 to 100", None, "The share of clients that a canary sends to the service."),
            key("sticky", "`header:NAME`, `cookie:NAME` or `client`", Some("\"client\""), "What keeps a client on its side of a canary."),
            key("host", "host", None, "The host it applies to: `shop.example.com`, or `*.example.com`. Without it, every host."),
            key("sample", "0 to 100", Some("100"), "The share of the monolith's answers that are compared, in modes `shadow` and `canary`."),
            key("fallback", "`true` or `false`", Some("true"), "Whether the monolith answers a safe request that the service failed, as long as it owns the data."),
            key("compare", "section", None, "Rules of comparison on top of those of `[compare]`; the same keys but for `noise_…`."),
        ],
    },
    SectionKeys {
        head: "[shadow]",
        about: "How copies of requests are made.",
        keys: &[
            key("timeout", "duration", Some("\"5s\""), "How long a copy may take."),
            key("concurrency", "1 to 1024", Some("8"), "Copies under way at the same time; half as many differences may be asked again at the same time."),
            key("queue", "1 to 100000", Some("1000"), "Copies that may wait for their turn; what comes on top is dropped and counted."),
            key("memory", "size", Some("\"32MiB\""), "What answers that wait to be compared may take up, all together."),
            key("max_body", "size", Some("\"1MiB\""), "The longest body that is compared."),
            key("recheck_after", "duration", Some("\"1s\""), "How long to wait before a difference is asked again."),
            key("noise_sample", "0 to 100", Some("5"), "The share of copies for which the monolith is asked a second time, to learn what differs by itself."),
        ],
    },
    SectionKeys {
        head: "[compare]",
        about: "What a comparison looks at, for every route. Places in JSON are written as in JSONPath: `$.items[*].price`, `$..updated_at`.",
        keys: &[
            key("headers", "list of headers", None, "The headers that are compared. Without it, those on which a client's behaviour depends."),
            key("ignore", "list of places", Some("[]"), "Places that are not compared, with all that is below them."),
            key("unordered", "list of places", Some("[]"), "Places whose arrays are compared without regard to order."),
            key("tolerance", "places with a number or a share", Some("{}"), "How far apart numbers may be: `{ \"$.price\" = 0.01, \"$.rating\" = \"1%\" }`."),
            key("null_is_absent", "`true` or `false`", Some("false"), "Whether a member that is `null` counts as absent."),
            key("redact", "list of places", Some("[]"), "Places whose values are never shown, beside those whose names look secret."),
            key("noise_relative", "0 to 100", Some("20"), "A field is no noise if it differs more often between the sides than within the monolith, by more than this, in percent of their sum …"),
            key("noise_absolute", "0 to 100", Some("0.03"), "… and by more than this, in percent of all comparisons."),
            key("noise_least", "1 to 1000000", Some("20"), "How often the monolith must have been asked twice before anything counts as noise."),
        ],
    },
    SectionKeys {
        head: "[certificate]",
        about: "What evidence a step needs that puts more trust in a service. Shares are judged by their upper bound (Clopper–Pearson), so little evidence never passes.",
        keys: &[
            key("min_comparisons", "number", Some("1000"), "Pairs of answers that must have been compared."),
            key("min_per_class", "number", Some("20"), "The same for each class of status that matters."),
            key("class_share", "0 to 100", Some("1"), "The share of the monolith's answers from which on a class of status matters."),
            key("min_span", "duration", Some("\"10m\""), "Time that must lie between the first and the last comparison."),
            key("max_age", "duration", Some("\"5m\""), "How long ago the last comparison may be."),
            key("max_mismatch", "0 to 100", Some("0.5"), "The share of pairs that may differ."),
            key("max_mismatches", "number", Some("0"), "The number of pairs that may differ."),
            key("max_unseen", "0 to 100", Some("20"), "The share of pairs that may be without a verdict."),
            key("max_errors", "0 to 100", Some("1"), "The share of the service's answers that may be errors."),
            key("max_latency_ratio", "1 to 1000", Some("1.5"), "How many times as long as the monolith the service may take, at the 99th percentile."),
            key("latency_slack", "duration", Some("\"5ms\""), "A difference that is no matter, whatever the ratio."),
            key("min_latencies", "number", Some("200"), "Answers of each side whose latency must be known."),
            key("require_build", "`true` or `false`", Some("false"), "Whether both sides must name their build in `x-build-id`."),
            key("confidence", "0 to 100", Some("95"), "The confidence of the bounds, one-sided."),
            key("ttl", "duration", Some("\"60m\""), "How long a certificate is good for."),
        ],
    },
    SectionKeys {
        head: "[promotion]",
        about: "In which steps routes are promoted, and what takes those of automatic modules back.",
        keys: &[
            key("steps", "list of shares", Some("[1, 10, 25, 50]"), "The shares of the canary between `shadow` and `service`."),
            key("interval", "duration", Some("\"10m\""), "How long a route of an automatic module stays at each step at the least."),
            key("min_requests", "number", Some("20"), "Requests without which nothing is judged."),
            key("max_errors", "0 to 100", Some("5"), "The share of the service's answers that may be errors."),
            key("max_mismatch", "0 to 100", Some("2"), "The share of pairs that may differ."),
            key("max_latency_ratio", "1 to 1000", Some("2"), "How many times as long as the monolith the service may take, at the 90th percentile."),
            key("latency_slack", "duration", Some("\"5ms\""), "A difference that is no matter, whatever the ratio."),
        ],
    },
    SectionKeys {
        head: "[fallback]",
        about: "What happens when a service fails.",
        keys: &[
            key("attempt_timeout", "duration", Some("\"5s\""), "How long a service may take before the monolith is asked instead."),
            key("retry_ratio", "0 to 100", Some("50"), "Requests that may be put to the monolith in addition, as a share of all."),
            key("retry_floor", "0 to 100000", Some("10"), "The same, whatever their share, per second and worker."),
            key("circuit_failures", "1 to 1000000", Some("5"), "How many more failures than successes open a service's circuit, and so for copies, which have one of their own."),
            key("circuit_pause", "duration", Some("\"5s\""), "How long a circuit stays open before one request tries again."),
        ],
    },
    SectionKeys {
        head: "[ejection]",
        about: "When an address of an upstream that has several is left alone. A failure is no connection, no answer in time, or a 5xx.",
        keys: &[
            key("failures", "1 to 1000000", Some("5"), "Failures in a row after which it is."),
            key("pause", "duration", Some("\"5s\""), "For how long, the first time; twice as long the second time, and so on. Then one request tries again."),
            key("max_pause", "duration", Some("\"5m\""), "For how long at the most. An address that has been well for as long begins anew."),
            key("max_share", "0 to 100", Some("50"), "The share of an upstream's addresses that may be left alone at the same time. One may be in any case, unless this is 0; the last one never is."),
        ],
    },
    SectionKeys {
        head: "[telemetry]",
        about: "Spans for an OpenTelemetry collector. All but `sample` is read at the start only. Headers for the collector, such as a \
                token, come from the environment: `OTEL_EXPORTER_OTLP_HEADERS`.",
        keys: &[
            key("otlp", "URL", None, "The collector's base URL for OTLP over HTTP, such as `http://127.0.0.1:4318`. Without it nothing is recorded, and `traceparent` passes unchanged."),
            key("sample", "0 to 100", Some("100"), "The share of traces begun here that are recorded. If the caller sends a `traceparent`, its sampled flag decides."),
            key("service_name", "text", Some("\"banyan\""), "The router's name among what the collector keeps."),
            key("queue", "1 to 100000", Some("2048"), "Requests whose spans may wait to be sent; what comes on top is dropped and counted."),
            key("batch_delay", "duration", Some("\"1s\""), "How long spans wait for others to be sent with."),
            key("timeout", "duration", Some("\"5s\""), "How long the collector may take for a batch, over all attempts."),
        ],
    },
    SectionKeys {
        head: "[flags]",
        about: "The feature flags of the monolith, which reads them from the same file. The router leaves them alone.",
        keys: &[],
    },
];

/// The page of the book.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Every key of the config file\n\nThis page is printed by `banyan reference`; a test holds it to the code.\n\n\
         Durations are written `500ms`, `2s`, `5m` or `1h`, sizes `512KiB` or `2MiB`, addresses `127.0.0.1:8080`. An unknown \
         key is an error, and so is a value out of its range: `banyan check` names line, mistake and remedy.\n",
    );
    for section in SECTIONS {
        page.push_str(&format!("\n## `{}`\n\n{}\n", section.head, section.about));
        if section.keys.is_empty() {
            continue;
        }
        page.push_str("\n| key | takes | without it | what it is for |\n|---|---|---|---|\n");
        for key in section.keys {
            let default = key
                .default
                .map_or("–".to_owned(), |default| format!("`{default}`"));
            page.push_str(&format!(
                "| `{}` | {} | {default} | {} |\n",
                key.name, key.takes, key.about
            ));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// A file in which each section has one line of the test's own.
    fn file(head: &str, line: &str) -> String {
        let at = |this: &str| if this == head { line } else { "" };
        format!(
            "[router]\n{}\n{}\n[upstreams]\nmonolith = \"http://a\"\ns = \"http://b\"\n[modules.m]\nservice = \"s\"\n{}\n{}\n\
             [[modules.m.routes]]\nname = \"r\"\nmatch = \"GET /a\"\nmode = \"shadow\"\n{}\n[shadow]\n{}\n[compare]\n{}\n\
             [certificate]\n{}\n[promotion]\n{}\n[fallback]\n{}\n[ejection]\n{}\n[telemetry]\n{}\n",
            at("[router]"),
            match head {
                "[router.tls]" => format!(
                    "[router.tls]\nlisten = \"127.0.0.1:1\"\ncertificate = \"a\"\nkey = \"b\"\n{line}"
                ),
                _ => String::new(),
            },
            at("[modules.NAME]"),
            match head {
                "[modules.NAME.handover]" =>
                    format!("[modules.m.handover]\nmonolith = \"http://a\"\nservice = \"http://b\"\n{line}"),
                _ => String::new(),
            },
            at("[[modules.NAME.routes]]"),
            at("[shadow]"),
            at("[compare]"),
            at("[certificate]"),
            at("[promotion]"),
            at("[fallback]"),
            at("[ejection]"),
            at("[telemetry]"),
        )
    }

    #[test]
    fn every_section_knows_the_keys_that_the_table_has() {
        for section in SECTIONS.iter().filter(|section| !section.keys.is_empty()) {
            let text = file(section.head, "zzzzzzzzzzzz = 1");
            let refused = Config::parse("f", text.as_bytes()).unwrap_err().to_string();
            let known = refused.rsplit_once("known here: ").unwrap().1;
            let mut known: Vec<&str> = known.lines().next().unwrap().split(", ").collect();
            let mut told: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
            known.sort_unstable();
            told.sort_unstable();
            assert_eq!(known, told, "{}", section.head);
        }
    }

    #[test]
    fn the_defaults_are_those_in_force() {
        let shown = |text: &str| {
            let mut config = Config::parse("f", text.as_bytes()).unwrap();
            config.hash.clear();
            config.routes.iter_mut().for_each(|route| route.line = 0);
            format!("{config:?}")
        };
        for section in SECTIONS {
            let plain = shown(&file(section.head, ""));
            for key in section.keys {
                let Some(default) = key.default else { continue };
                let said = shown(&file(section.head, &format!("{} = {default}", key.name)));
                assert_eq!(said, plain, "{} {}", section.head, key.name);
            }
        }
    }

    #[test]
    fn the_page_of_the_book_is_what_the_table_says() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/config.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/src/reference/config.md is not current: banyan reference > docs/src/reference/config.md"
        );
    }
}
