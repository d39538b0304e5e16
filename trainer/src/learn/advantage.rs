//! Advantages from the rewards of a group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The scale of advantages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdvantageScale {
    /// Divides by the group's standard deviation (GRPO).
    GroupStd,
    /// Only subtracts the group's mean (Dr. GRPO).
    GroupMean,
}

/// The kind of standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StdKind {
    /// Divides by the group size minus one.
    Sample,
    /// Divides by the group size.
    Population,
}

/// The advantage settings of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdvantageSettings {
    /// The scale of advantages.
    pub advantage: AdvantageScale,
    /// Added to the standard deviation.
    #[schemars(range(min = 0.0))]
    pub advantage_epsilon: f64,
    /// The kind of standard deviation.
    pub std_kind: StdKind,
}

impl AdvantageSettings {
    /// The advantage of each member of a group: `(R - mean) / (deviation + epsilon)`.
    ///
    /// If all rewards of a group are equal, its advantages are exactly 0. Source: DeepSeekMath (arXiv 2402.03300) §4.1.2;
    /// Dr. GRPO (arXiv 2503.20783) without the division. TRL and verl use the sample's deviation.
    pub fn advantages(&self, rewards: &[f64]) -> Vec<f64> {
        if is_flat(rewards) {
            return vec![0.0; rewards.len()];
        }
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let squares = rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>();
        let scale = match (self.advantage, self.std_kind) {
            (AdvantageScale::GroupMean, _) => 1.0,
            (_, StdKind::Sample) => (squares / (count - 1.0)).sqrt() + self.advantage_epsilon,
            (_, StdKind::Population) => (squares / count).sqrt() + self.advantage_epsilon,
        };
        rewards.iter().map(|reward| (reward - mean) / scale).collect()
    }
}

impl Default for AdvantageSettings {
    fn default() -> Self {
        Self { advantage: AdvantageScale::GroupStd, advantage_epsilon: 1e-4, std_kind: StdKind::Sample }
    }
}

/// Whether all rewards of a group are equal, so that all advantages are 0.
pub fn is_flat(rewards: &[f64]) -> bool {
    rewards.windows(2).all(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The advantages of a correct and of a wrong answer where `right` of `size` are correct.
    fn binary(size: usize, right: usize, (advantage, std_kind): (AdvantageScale, StdKind)) -> (f64, f64) {
        let rewards: Vec<f64> = (0..size).map(|at| f64::from(at < right)).collect();
        let advantages =
            AdvantageSettings { advantage, std_kind, advantage_epsilon: 0.0 }.advantages(&rewards);
        assert!(advantages.iter().sum::<f64>().abs() < 1e-12);
        (advantages[0], advantages[size - 1])
    }

    #[test]
    fn binary_groups_have_the_published_values() {
        let sample = (AdvantageScale::GroupStd, StdKind::Sample);
        let population = (AdvantageScale::GroupStd, StdKind::Population);
        let one = (AdvantageScale::GroupMean, StdKind::Sample);
        for (size, right, spread, best, worst) in [
            (16, 1, population, 3.872983, -0.258199),
            (16, 1, sample, 3.75, -0.25),
            (8, 1, population, 2.645751, -0.377964),
            (8, 1, sample, 2.474874, -0.353553),
            (16, 8, sample, 0.968246, -0.968246),
            (4, 2, sample, 0.866025, -0.866025),
            (16, 1, one, 0.9375, -0.0625),
        ] {
            let (a, b) = binary(size, right, spread);
            assert!((a - best).abs() < 1e-6 && (b - worst).abs() < 1e-6, "{size} {right}: {a} {b}");
        }
    }

    #[test]
    fn the_epsilon_is_added_to_the_deviation() {
        for (std_kind, deviation) in [(StdKind::Sample, 0.5_f64.sqrt()), (StdKind::Population, 0.5)] {
            let settings =
                AdvantageSettings { advantage: AdvantageScale::GroupStd, std_kind, advantage_epsilon: 0.25 };
            let expected = 0.5 / (deviation + 0.25);
            assert_eq!(settings.advantages(&[1.0, 0.0]), [expected, -expected]);
        }
    }

    #[test]
    fn a_flat_group_teaches_nothing() {
        assert_eq!(AdvantageSettings::default().advantages(&[0.3; 5]), [0.0; 5]);
        assert_eq!(AdvantageSettings::default().advantages(&[1.0]), [0.0]);
        assert!(is_flat(&[]) && !is_flat(&[0.0, 0.5]));
    }
}
