//! The steps of a promotion: which mode comes next, and whether it puts more trust in the service.
//!
//! For [`super`] and for `banyan plan`. Pure.

use crate::config::{Config, Mode, Owner, Percent, Route};

/// A change of a route's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The mode it is in.
    pub from: Mode,
    /// The mode it goes to.
    pub to: Mode,
}

/// Why there is no next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The service serves all of it.
    #[error("the service serves all of it already; there is no further step")]
    AtTheEnd,
    /// It goes where the data is.
    #[error("it is served by whoever holds the data of {0}; `banyan handover {0}` moves that")]
    WithTheData(String),
    /// There is nobody to promote it to.
    #[error("module {0} has no service; add service = \"UPSTREAM\" to [modules.{0}]")]
    NoService(String),
    /// Writes go with the data.
    #[error(
        "it matches {0}, which may change data; writes move with the data of the module, not by promotion. Give the reads a \
         route of their own, or set the mode to service once the service accepts the writes"
    )]
    IsWrite(String),
}

impl Step {
    /// Whether the service will answer clients whom the monolith answers now; only such a step needs a certificate.
    pub fn raises_trust(self) -> bool {
        trust(self.to) > trust(self.from)
    }
}

/// The share of clients, in hundredths of a percent, whom the service answers.
fn trust(mode: Mode) -> u16 {
    match mode {
        Mode::Monolith | Mode::Shadow => 0,
        Mode::Canary(percent) => percent.threshold(),
        // Whoever has the data may be the service, from one moment to the next.
        Mode::Service | Mode::ByOwner => 10_000,
    }
}

/// The next step of a route's promotion: shadow, each share of the canary, the service.
pub fn next(config: &Config, route: &Route) -> Result<Step, Obstacle> {
    let module = &config.modules[route.module];
    if module.service.is_none() {
        return Err(Obstacle::NoService(module.name.clone()));
    }
    if let Some(method) = route.rule.methods.unsafe_one() {
        return Err(Obstacle::IsWrite(method.to_owned()));
    }
    let steps = &config.promotion.steps;
    let above = |share: Percent| steps.iter().copied().find(|step| *step > share);
    let to = match route.mode {
        Mode::Monolith => Mode::Shadow,
        Mode::Shadow => steps.first().map_or(Mode::Service, |first| Mode::Canary(*first)),
        Mode::Canary(share) => above(share).map_or(Mode::Service, Mode::Canary),
        Mode::Service => return Err(Obstacle::AtTheEnd),
        Mode::ByOwner => return Err(Obstacle::WithTheData(module.name.clone())),
    };
    Ok(Step { from: route.mode, to })
}

/// The mode of a route that is taken back: the side that has all the data answers. For reads of a service that owns the
/// data, that is still the monolith, whose copy follows; a write can only go to the owner.
pub fn back(config: &Config, route: &Route) -> Option<Step> {
    let module = &config.modules[route.module];
    let is_write = route.rule.methods.unsafe_one().is_some();
    let goes_with_data =
        module.writes == Owner::Service || module.handover.is_some() || route.mode == Mode::ByOwner;
    let stays = route.mode == Mode::Monolith || (is_write && goes_with_data);
    (!stays).then_some(Step {
        from: route.mode,
        to: Mode::Monolith,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(routes: &str, module: &str) -> Config {
        let text = format!(
            "[router]\n[upstreams]\nmonolith = \"http://a\"\ns = \"http://b\"\n[promotion]\nsteps = [5, 50]\n\
             [modules.m]\n{module}\n{routes}"
        );
        Config::parse("test.toml", text.as_bytes()).unwrap()
    }

    fn route(rule: &str, mode: &str) -> String {
        format!("[[modules.m.routes]]\nname = \"r\"\nmatch = \"{rule}\"\nmode = {mode}\n")
    }

    fn next_of(rule: &str, mode: &str) -> Result<Step, Obstacle> {
        let config = config(&route(rule, mode), "service = \"s\"\nwrites = \"service\"");
        next(&config, &config.routes[0])
    }

    #[test]
    fn a_promotion_goes_through_every_step_and_ends() {
        let to = |mode: &str| next_of("GET /a", mode).map(|step| (step.to.to_string(), step.raises_trust()));
        let step = |mode: &str, raises| Ok((mode.to_owned(), raises));
        assert_eq!(to("\"monolith\""), step("shadow", false));
        assert_eq!(to("\"shadow\""), step("canary 5 %", true));
        assert_eq!(to("\"canary\"\npercent = 5"), step("canary 50 %", true));
        assert_eq!(to("\"canary\"\npercent = 7"), step("canary 50 %", true));
        assert_eq!(to("\"canary\"\npercent = 99"), step("service", true));
        assert_eq!(to("\"service\""), Err(Obstacle::AtTheEnd));
    }

    #[test]
    fn writes_and_modules_without_a_service_are_not_promoted() {
        assert_eq!(
            next_of("GET,POST /a", "\"monolith\""),
            Err(Obstacle::IsWrite("POST".to_owned()))
        );
        let config = config(&route("GET /a", "\"monolith\""), "");
        assert_eq!(
            next(&config, &config.routes[0]),
            Err(Obstacle::NoService("m".to_owned()))
        );
    }

    #[test]
    fn whatever_is_taken_back_goes_to_the_monolith_but_writes_stay_with_the_data() {
        let back_of = |rule: &str, mode: &str, owner: &str| {
            let config = config(
                &route(rule, mode),
                &format!("service = \"s\"\nwrites = \"{owner}\""),
            );
            back(&config, &config.routes[0]).map(|step| step.to)
        };
        assert_eq!(back_of("GET /a", "\"service\"", "monolith"), Some(Mode::Monolith));
        assert_eq!(back_of("GET /a", "\"shadow\"", "monolith"), Some(Mode::Monolith));
        assert_eq!(back_of("GET /a", "\"monolith\"", "monolith"), None);
        assert_eq!(back_of("POST /a", "\"service\"", "service"), None);
    }
}
