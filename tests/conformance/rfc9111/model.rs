//! Random exchanges through a node, on a clock that is moved by hand, compared
//! with a reference model: what the model forbids is never served, and what it
//! says can be reused is never asked for again, unless a doubt that it names
//! applies. Each case is a list of steps on two URIs of its own.
//!
//! `VERGE_MODEL_SEED=N` runs the cases of one seed, `VERGE_MODEL_CASES=N` so many.

mod exchange;
mod judge;
mod known;
mod origin;
mod reference;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use world::World;

/// Cases unless the environment says otherwise.
const CASES: u32 = 256;

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_exchanges_are_answered_as_the_reference_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::start());
    let seed =
        number_in("VERGE_MODEL_SEED").unwrap_or_else(|| verge_base::Random::system().next_u64());
    let cases = number_in("VERGE_MODEL_CASES").map_or(CASES, |cases| cases as u32);
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&exchange::steps(), |steps| {
        let run = runtime.block_on(world.run(&steps));
        run.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => {
            let lines: Vec<_> = steps.iter().map(|step| format!("  {step:?}")).collect();
            panic!("VERGE_MODEL_SEED={seed}: {why}\nof\n{}", lines.join("\n"));
        }
        Err(TestError::Abort(why)) => panic!("VERGE_MODEL_SEED={seed}: {why}"),
    }
}
