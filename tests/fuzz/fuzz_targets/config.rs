//! Arbitrary bytes as a config file: refused with its mistakes or taken, never a panic, and the same each time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use router::config::Config;
use router::snapshot::Snapshot;

fuzz_target!(|data: &[u8]| {
    match (Config::parse("banyan.toml", data), Config::parse("banyan.toml", data)) {
        (Ok(config), Ok(again)) => {
            assert_eq!(config.hash, again.hash);
            // What is valid can be served.
            let _ = Snapshot::new(config);
        }
        (Err(refused), Err(again)) => {
            assert!(!refused.faults.is_empty(), "refused without a reason");
            assert_eq!(refused, again);
            assert!(refused.faults.iter().all(|fault| fault.line > 0 && fault.column > 0), "{refused}");
        }
        _ => unreachable!("taken once and refused once"),
    }
});
