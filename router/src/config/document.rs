//! The sections of the file as typed values, each still knowing where it stands.
//!
//! For [`super::rules`], which holds them against each other. What can be judged by looking at one value alone (a type, a
//! range, a spelling) is judged here.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::comparison::{self, Comparison, OfRoute};
use super::edge::{Edge, read_edge};
use super::handover::{self, Handover};
use super::policy::{self, Fallback, Shadow};
use super::reader::{At, Reader, Section, closest};
use super::telemetry::{self, Telemetry};
use super::trust::{self, Promotion};
use super::upstreams::{self, Ejection, Upstream};
use super::values::{self, Complaint, Percent, Sticky};
use super::{HostPolicy, Mode, Owner, Settings};
use crate::certificate::Bounds;
use crate::compare::Rules;
use crate::table::{HostPattern, MatchRule};

/// The whole file.
pub(super) struct Document {
    pub(super) router: RouterEntry,
    pub(super) shadow: Shadow,
    pub(super) compare: Comparison,
    pub(super) certificate: Bounds,
    pub(super) promotion: Promotion,
    pub(super) fallback: Fallback,
    pub(super) ejection: Ejection,
    pub(super) telemetry: Telemetry,
    pub(super) upstreams_at: Range<usize>,
    /// A name whose URL was refused stands here without one, so that uses of it are not called unknown.
    pub(super) upstreams: Vec<(At<String>, Option<Upstream>)>,
    pub(super) modules: Vec<ModuleEntry>,
}

/// The `[router]` section, and where it names its addresses.
pub(super) struct RouterEntry {
    pub(super) settings: Settings,
    pub(super) listen: Option<At<SocketAddr>>,
    pub(super) admin: Option<At<SocketAddr>>,
}

/// One `[modules.NAME]`.
pub(super) struct ModuleEntry {
    pub(super) name: At<String>,
    pub(super) service: Option<At<String>>,
    pub(super) writes: Owner,
    pub(super) auto: bool,
    pub(super) handover: Option<Handover>,
    pub(super) routes: Vec<RouteEntry>,
}

/// One `[[modules.NAME.routes]]`.
pub(super) struct RouteEntry {
    pub(super) at: At<()>,
    pub(super) name: Option<At<String>>,
    pub(super) rule: Option<At<MatchRule>>,
    pub(super) host: Option<At<HostPattern>>,
    pub(super) mode: Option<At<ModeOf>>,
    pub(super) percent: Option<At<Option<Percent>>>,
    pub(super) sticky: Sticky,
    pub(super) sample: Percent,
    pub(super) fallback: bool,
    pub(super) compare: Option<OfRoute>,
}

impl RouteEntry {
    /// How the route's answers are compared, given what holds for all.
    pub(super) fn rules(&mut self, all: &Rules) -> Rules {
        self.compare
            .take()
            .map_or_else(|| all.clone(), |own| own.on_top_of(all))
    }
}

/// A mode, once its share is known.
pub(super) type ModeOf = fn(Percent) -> Mode;

/// Reads the document; `None` when the TOML itself is broken.
pub(super) fn read(reader: &Reader<'_>) -> Option<Document> {
    let table = reader.parse()?;
    let root = Section::new(reader, String::new(), table.get_ref(), 0..0);
    let missing = |name: &str, remedy: &str| {
        if !table.get_ref().contains_key(name) {
            reader.fault(&(0..0), "", format!("the section [{name}] is missing"), remedy);
        }
    };
    missing("router", "add [router], empty if the defaults suit");
    missing(
        "upstreams",
        "add [upstreams] with monolith = \"http://HOST:PORT\"",
    );
    let router = root.section("router").map(|section| read_router(reader, section));
    let shadow = policy::shadow(reader, root.section("shadow"));
    let compare = comparison::section(reader, root.section("compare"));
    let certificate = trust::certificate(reader, root.section("certificate"));
    let promotion = trust::promotion(reader, root.section("promotion"));
    let fallback = policy::fallback(reader, root.section("fallback"));
    let ejection = upstreams::ejection(reader, root.section("ejection"));
    let telemetry = telemetry::telemetry(reader, root.section("telemetry"));
    let listed = root.section("upstreams");
    let modules = root.section("modules");
    // The monolith reads its feature flags from the same file; they are not the router's to judge.
    root.accept("flags");
    root.finish();
    Some(Document {
        router: router.unwrap_or_else(|| RouterEntry {
            settings: defaults(),
            listen: None,
            admin: None,
        }),
        shadow,
        compare,
        certificate,
        promotion,
        fallback,
        ejection,
        telemetry,
        upstreams_at: listed.as_ref().map_or(0..0, |section| section.span().clone()),
        upstreams: listed
            .map(|section| upstreams::upstreams(reader, &section))
            .unwrap_or_default(),
        modules: modules
            .map(|section| read_modules(reader, &section))
            .unwrap_or_default(),
    })
}

fn defaults() -> Settings {
    Settings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(300),
        header_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        // actix and Node close their idle connections after 5 s; ours must be gone before.
        pool_idle_timeout: Duration::from_secs(4),
        shutdown_timeout: Duration::from_secs(30),
        max_header_bytes: 32 * 1024,
        max_connections: 20_000,
        host: HostPolicy::Preserve,
        trusted_proxies: Vec::new(),
        state: "sqlite:banyan-state.db".to_owned(),
        admin_token_file: PathBuf::from("banyan-token"),
        admin_hosts: Vec::new(),
        tester_header: None,
        edge: Edge::default(),
    }
}

fn read_router(reader: &Reader<'_>, section: Section<'_>) -> RouterEntry {
    let mut settings = defaults();
    let listen = judged(reader, section.text("listen"), values::address);
    let admin = judged(reader, section.text("admin"), values::address);
    set(&mut settings.listen, listen.as_ref());
    set(&mut settings.admin, admin.as_ref());
    let count = |key, range| judged(reader, section.number(key), |text| values::whole(text, range));
    set(&mut settings.workers, count("workers", 1..=1024).as_ref());
    let time = |key| judged(reader, section.text(key), values::duration);
    set(&mut settings.connect_timeout, time("connect_timeout").as_ref());
    set(&mut settings.response_timeout, time("response_timeout").as_ref());
    set(&mut settings.idle_timeout, time("idle_timeout").as_ref());
    set(&mut settings.header_timeout, time("header_timeout").as_ref());
    set(&mut settings.keep_alive, time("keep_alive").as_ref());
    set(
        &mut settings.pool_idle_timeout,
        time("pool_idle_timeout").as_ref(),
    );
    set(&mut settings.shutdown_timeout, time("shutdown_timeout").as_ref());
    // The server below keeps at most 128 KiB of a head, so more cannot be promised.
    set(
        &mut settings.max_header_bytes,
        count("max_header_bytes", 1024..=126_976).as_ref(),
    );
    set(
        &mut settings.max_connections,
        count("max_connections", 1..=1_000_000).as_ref(),
    );
    set(
        &mut settings.host,
        judged(reader, section.text("host"), host_policy).as_ref(),
    );
    let networks = section.texts("trusted_proxies").into_iter();
    let networks = networks.filter_map(|text| judged(reader, Some(text), values::network));
    settings.trusted_proxies = networks.map(|network| network.value).collect();
    set(
        &mut settings.state,
        judged(reader, section.text("state"), values::database).as_ref(),
    );
    if let Some(file) = section.text("admin_token_file") {
        settings.admin_token_file = file.value.into();
    }
    let hosts = section.texts("admin_hosts").into_iter();
    let hosts = hosts.filter_map(|text| judged(reader, Some(text), values::host_name));
    settings.admin_hosts = hosts.map(|host| host.value).collect();
    let tester = judged(reader, section.text("tester_header"), values::header_name);
    settings.tester_header = tester.map(|name| name.value);
    settings.edge = read_edge(reader, &section);
    section.finish();
    RouterEntry {
        settings,
        listen,
        admin,
    }
}

fn host_policy(text: &str) -> Result<HostPolicy, Complaint> {
    match text {
        "preserve" => Ok(HostPolicy::Preserve),
        "upstream" => Ok(HostPolicy::Upstream),
        _ => Err((
            format!("unknown host policy \"{text}\""),
            "write \"preserve\" or \"upstream\"".to_owned(),
        )),
    }
}

fn read_modules(reader: &Reader<'_>, section: &Section<'_>) -> Vec<ModuleEntry> {
    let modules = section.entries().into_iter().filter_map(|(name, value)| {
        plain(reader, &name, "module");
        let DeValue::Table(table) = value.get_ref() else {
            let reason = format!("the module `{}` is not a table", name.value);
            reader.fault(
                &value.span(),
                &name.key,
                reason,
                format!("write [modules.{}]", name.value),
            );
            return None;
        };
        let section = Section::new(reader, name.key.clone(), table, name.span.clone());
        let service = section.text("service");
        let service = service.map(|text| At {
            value: text.value.to_owned(),
            key: text.key,
            span: text.span,
        });
        let writes = judged(reader, section.text("writes"), values::owner);
        let auto = section.flag("auto").is_some_and(|auto| auto.value);
        let handover = handover::read(reader, section.section("handover"));
        let routes = section
            .tables("routes")
            .into_iter()
            .map(|route| read_route(reader, route))
            .collect();
        section.finish();
        Some(ModuleEntry {
            name,
            service,
            writes: writes.map_or(Owner::Monolith, |writes| writes.value),
            auto,
            handover,
            routes,
        })
    });
    modules.collect()
}

fn read_route(reader: &Reader<'_>, section: Section<'_>) -> RouteEntry {
    let at = At {
        value: (),
        key: section.key("match"),
        span: section.span().clone(),
    };
    let name = section.required("name", "give the route a name, such as name = \"get-product\"");
    let name = name.map(|text| At {
        value: text.value.to_owned(),
        key: text.key,
        span: text.span,
    });
    if let Some(name) = &name {
        plain(reader, name, "route");
    }
    let rule = section.required(
        "match",
        "say what it matches, such as match = \"GET /api/products/{sku}\"",
    );
    let mode = section.required(
        "mode",
        "say who serves it: monolith, shadow, canary, service or by-owner",
    );
    let percent = section.number("percent").map(|text| {
        let (key, span) = (text.key.clone(), text.span.clone());
        let value = judged(reader, Some(text), Percent::parse).map(|percent| percent.value);
        At { value, key, span }
    });
    let sticky = judged(reader, section.text("sticky"), Sticky::parse);
    let sample = judged(reader, section.number("sample"), Percent::parse);
    let fallback = section.flag("fallback");
    let compare = comparison::of_route(reader, section.section("compare"));
    let entry = RouteEntry {
        at,
        name,
        rule: judged(reader, rule, MatchRule::parse),
        host: judged(reader, section.text("host"), HostPattern::parse),
        mode: judged(reader, mode, values::mode),
        percent,
        sticky: sticky.map_or(Sticky::Client, |sticky| sticky.value),
        sample: sample.map_or(Percent::ALL, |sample| sample.value),
        fallback: fallback.is_none_or(|fallback| fallback.value),
        compare,
    };
    section.finish();
    entry
}

/// Judges a value by its parser and notes the complaint, if there is one.
pub(super) fn judged<T>(
    reader: &Reader<'_>,
    read: Option<At<&str>>,
    judge: impl FnOnce(&str) -> Result<T, Complaint>,
) -> Option<At<T>> {
    let At { value, key, span } = read?;
    match judge(value) {
        Ok(value) => Some(At { value, key, span }),
        Err((reason, remedy)) => {
            reader.fault(&span, &key, reason, remedy);
            None
        }
    }
}

pub(super) fn set<T: Clone>(setting: &mut T, read: Option<&At<T>>) {
    if let Some(read) = read {
        *setting = read.value.clone();
    }
}

pub(super) fn plain(reader: &Reader<'_>, name: &At<String>, what: &str) {
    if !values::is_plain_name(&name.value) {
        let reason = format!("\"{}\" cannot name a {what}", name.value);
        reader.wrong(name, reason, "use up to 64 letters, digits, `-`, `_` or `.`");
    }
}

/// A remedy for a name that stands nowhere.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    match closest(name, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}
