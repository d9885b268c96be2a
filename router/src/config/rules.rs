//! What the parts of the file must be to each other.
//!
//! For [`super::Config::parse`]: names that must exist, names that must not be used twice, values that make sense together
//! only, and routes that must not claim the same request.

use std::collections::HashMap;

use super::document::{Document, ModeOf, ModuleEntry, RouteEntry, suggestion};
use super::reader::{At, Reader};
use super::values::Percent;
use super::{Config, MONOLITH, Mode, Module, Owner, Route, Upstream};
use crate::compare::Rules;
use crate::table;

/// Builds the config; `None` if a mistake has left holes in it.
pub(super) fn check(reader: &Reader<'_>, mut document: Document, hash: String) -> Option<Config> {
    check_addresses(reader, &document);
    let upstreams = check_upstreams(reader, &document);
    let known: Vec<&str> = document
        .upstreams
        .iter()
        .map(|(name, _)| name.value.as_str())
        .collect();
    let mut modules = Vec::new();
    let mut routes = Vec::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut complete = true;
    let all = &document.compare.rules;
    for (index, entry) in document.modules.iter_mut().enumerate() {
        let compare: Vec<Rules> = entry.routes.iter_mut().map(|route| route.rules(all)).collect();
        let module = check_module(reader, entry, &known);
        for (route, compare) in entry.routes.iter().zip(compare) {
            check_name(reader, route, &mut names);
            let checked = check_route(reader, entry, route, (index, compare));
            complete &= checked.is_some();
            routes.extend(checked);
        }
        modules.push(module);
    }
    check_overlaps(reader, &document);
    complete.then_some(Config {
        hash,
        router: document.router.settings,
        shadow: document.shadow,
        noise: document.compare.noise,
        certificate: document.certificate,
        promotion: document.promotion,
        fallback: document.fallback,
        ejection: document.ejection,
        telemetry: document.telemetry,
        upstreams,
        modules,
        routes,
    })
}

fn check_addresses(reader: &Reader<'_>, document: &Document) {
    let settings = &document.router.settings;
    let clash = settings.listen == settings.admin && settings.listen.port() != 0;
    if let (true, Some(at)) = (
        clash,
        document.router.admin.as_ref().or(document.router.listen.as_ref()),
    ) {
        reader.wrong(
            at,
            format!("listen and admin are both {}", at.value),
            "give admin a port of its own",
        );
    }
}

fn check_upstreams(reader: &Reader<'_>, document: &Document) -> Vec<Upstream> {
    let has_monolith = document.upstreams.iter().any(|(name, _)| name.value == MONOLITH);
    // An absent section has been complained about as such.
    if !has_monolith && !document.upstreams_at.is_empty() {
        let reason = format!("there is no upstream `{MONOLITH}`, which serves all that no route moves");
        reader.fault(
            &document.upstreams_at,
            "upstreams",
            reason,
            "add monolith = \"http://HOST:PORT\"",
        );
    }
    document
        .upstreams
        .iter()
        .filter_map(|(_, upstream)| upstream.clone())
        .collect()
}

fn check_module(reader: &Reader<'_>, entry: &ModuleEntry, known: &[&str]) -> Module {
    let mut service = None;
    if let Some(at) = &entry.service {
        service = known.iter().position(|name| *name == at.value);
        if at.value == MONOLITH {
            reader.wrong(
                at,
                "the monolith is named as the service that replaces it".to_owned(),
                "name the upstream of the extracted service",
            );
        } else if service.is_none() {
            let reason = format!("unknown upstream \"{}\"", at.value);
            reader.wrong(
                at,
                reason,
                format!("add it to [upstreams]; {}", suggestion(&at.value, known)),
            );
        }
    }
    Module {
        name: entry.name.value.clone(),
        service,
        writes: entry.writes,
        auto: entry.auto,
        handover: entry.handover.clone(),
    }
}

fn check_name(reader: &Reader<'_>, route: &RouteEntry, names: &mut HashMap<String, usize>) {
    let Some(name) = &route.name else { return };
    if let Some(first) = names.get(&name.value) {
        let reason = format!(
            "the route name \"{}\" is already used on line {first}",
            name.value
        );
        reader.wrong(
            name,
            reason,
            "give each route a name of its own: logs and commands go by it",
        );
    } else {
        names.insert(name.value.clone(), reader.line(name.span.start));
    }
}

fn check_route(
    reader: &Reader<'_>,
    module: &ModuleEntry,
    route: &RouteEntry,
    (index, compare): (usize, Rules),
) -> Option<Route> {
    let mode = route
        .mode
        .as_ref()
        .and_then(|mode| check_mode(reader, module, route, mode));
    Some(Route {
        name: route.name.as_ref()?.value.clone(),
        module: index,
        line: reader.line(route.at.span.start),
        host: route.host.as_ref().map(|host| host.value.clone()),
        rule: route.rule.as_ref()?.value.clone(),
        mode: mode?,
        sticky: route.sticky.clone(),
        sample: route.sample,
        fallback: route.fallback,
        compare,
    })
}

fn check_mode(
    reader: &Reader<'_>,
    module: &ModuleEntry,
    route: &RouteEntry,
    mode: &At<ModeOf>,
) -> Option<Mode> {
    let percent = route.percent.as_ref().and_then(|percent| percent.value);
    // Which mode it is does not depend on the share, so any share will do to ask.
    let built = (mode.value)(percent.unwrap_or(Percent::ZERO));
    let is_canary = matches!(built, Mode::Canary(_));
    match (&route.percent, is_canary) {
        (Some(at), false) => {
            let reason = format!("percent has no meaning in mode \"{}\"", built.word());
            reader.wrong(at, reason, "remove it, or use mode = \"canary\"");
        }
        (None, true) => {
            reader.wrong(
                mode,
                "mode \"canary\" without percent".to_owned(),
                "add percent = 0 to 100",
            );
        }
        _ => {}
    }
    if built != Mode::Monolith && module.service.is_none() {
        let reason = format!(
            "mode \"{}\", but the module {} has no service",
            built.word(),
            module.name.value
        );
        let remedy = format!("add service = \"UPSTREAM\" to [modules.{}]", module.name.value);
        reader.wrong(mode, reason, remedy);
    }
    check_conditions(reader, module, route, mode, built);
    Some(built)
}

/// What each mode asks of the methods that the route matches. A service that does not own the data can answer reads only.
fn check_conditions(
    reader: &Reader<'_>,
    module: &ModuleEntry,
    route: &RouteEntry,
    at: &At<ModeOf>,
    mode: Mode,
) {
    let unsafe_method = route
        .rule
        .as_ref()
        .and_then(|rule| rule.value.methods.unsafe_one());
    let Some(method) = unsafe_method else { return };
    let (condition, remedy) = match mode {
        Mode::Monolith | Mode::ByOwner => return,
        // Where there is a pen, the file only says where to begin.
        Mode::Service if module.writes == Owner::Service || module.handover.is_some() => return,
        Mode::Service => (
            format!(
                "the service does not accept the writes of module {}",
                module.name.value
            ),
            format!(
                "hand the data over first and say writes = \"service\" in [modules.{0}] (or add [modules.{0}.handover], and the pen decides), \
                 or match GET only",
                module.name.value
            ),
        ),
        Mode::Shadow | Mode::Canary(_) => (
            "only safe methods can be served by two sides".to_owned(),
            "give writes a route of their own in mode \"monolith\" or \"service\"".to_owned(),
        ),
    };
    let reason = format!(
        "mode \"{}\" on a route that matches {method}: {condition}",
        mode.word()
    );
    reader.wrong(at, reason, remedy);
}

/// Judges every readable rule, even of routes that are wrong in other respects.
fn check_overlaps(reader: &Reader<'_>, document: &Document) {
    let routes = document.modules.iter().flat_map(|module| &module.routes);
    let ruled: Vec<_> = routes
        .filter_map(|route| Some((route, route.rule.as_ref()?)))
        .collect();
    let rulings: Vec<_> = ruled
        .iter()
        .map(|(route, rule)| (route.host.as_ref().map(|host| &host.value), &rule.value))
        .collect();
    for overlap in table::overlaps(&rulings) {
        let (first, second) = (&ruled[overlap.first], ruled[overlap.second].1);
        let name = first
            .0
            .name
            .as_ref()
            .map(|name| format!(" of route {}", name.value))
            .unwrap_or_default();
        let lines = (reader.line(first.1.span.start), reader.line(second.span.start));
        let reason = format!(
            "`{}` on line {} and `{}`{name} on line {} {}",
            second.value, lines.1, first.1.value, lines.0, overlap.reason
        );
        reader.wrong(second, reason, overlap.remedy);
    }
}
