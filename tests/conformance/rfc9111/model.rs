//! Random exchanges through a node, on a clock that is moved by hand, compared
//! with a reference model: what the model forbids is never served, and what it
//! says can be reused is never asked for again, unless a doubt that it names
//! applies. Each case is a list of steps on two URIs of its own.
//!
//! Every test run has the same cases, so that it fails for what was changed and for nothing
//! else. `VERGE_MODEL_CASES=N` looks for new ones, `VERGE_MODEL_SEED=N` for those of one seed.

mod exchange;
mod judge;
mod known;
mod origin;
mod reference;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;
use world::World;

/// The seeds of every test run.
const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// Cases of a seed unless the environment says otherwise.
const CASES: u32 = 150;

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs the cases of a seed; what fails is told by its shortest form.
fn run(runtime: &Runtime, world: &World, seed: u64, cases: u32) {
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let outcome = TestRunner::new_with_rng(config, rng).run(&exchange::steps(), |steps| {
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

#[test]
fn random_exchanges_are_answered_as_the_reference_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::start());
    let (seed, cases) = (
        number_in("VERGE_MODEL_SEED"),
        number_in("VERGE_MODEL_CASES"),
    );
    let seeds = match (seed, cases) {
        (Some(seed), _) => vec![seed],
        (None, Some(_)) => vec![verge_base::Random::system().next_u64()],
        (None, None) => SEEDS.to_vec(),
    };
    for seed in seeds {
        let cases = cases.map_or(CASES, |cases| u32::try_from(cases).unwrap());
        run(&runtime, &world, seed, cases);
    }
}
