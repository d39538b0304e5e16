//! Rewards to advantages, group by group.

/// Which standard deviation a group is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// With `n - 1` in the denominator, as TRL and verl.
    Sample,
    /// With `n`.
    Population,
    /// None: advantages are differences of rewards (Dr. GRPO).
    One,
}

/// The advantage of each member of a group: `(R - mean) / (deviation + epsilon)`.
///
/// A group whose rewards are all equal has advantages of exactly 0. Source: DeepSeekMath (arXiv 2402.03300) §4.1.2;
/// Dr. GRPO (arXiv 2503.20783) leaves the division out.
pub fn group_advantages(rewards: &[f64], spread: Spread, epsilon: f64) -> Vec<f64> {
    if is_flat(rewards) {
        return vec![0.0; rewards.len()];
    }
    let count = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / count;
    let squares = rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>();
    let scale = match spread {
        Spread::Sample => (squares / (count - 1.0)).sqrt() + epsilon,
        Spread::Population => (squares / count).sqrt() + epsilon,
        Spread::One => 1.0,
    };
    rewards.iter().map(|reward| (reward - mean) / scale).collect()
}

/// Whether all rewards of a group are equal, so that it teaches nothing.
pub fn is_flat(rewards: &[f64]) -> bool {
    rewards.windows(2).all(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The advantages of a right and of a wrong answer where `right` of `size` are right.
    fn binary(size: usize, right: usize, spread: Spread) -> (f64, f64) {
        let rewards: Vec<f64> = (0..size).map(|at| f64::from(at < right)).collect();
        let advantages = group_advantages(&rewards, spread, 0.0);
        assert!(advantages.iter().sum::<f64>().abs() < 1e-12);
        (advantages[0], advantages[size - 1])
    }

    #[test]
    fn binary_groups_have_the_published_values() {
        for (size, right, spread, best, worst) in [
            (16, 1, Spread::Population, 3.872983, -0.258199),
            (16, 1, Spread::Sample, 3.75, -0.25),
            (8, 1, Spread::Population, 2.645751, -0.377964),
            (8, 1, Spread::Sample, 2.474874, -0.353553),
            (16, 8, Spread::Sample, 0.968246, -0.968246),
            (4, 2, Spread::Sample, 0.866025, -0.866025),
            (16, 1, Spread::One, 0.9375, -0.0625),
        ] {
            let (a, b) = binary(size, right, spread);
            assert!((a - best).abs() < 1e-6 && (b - worst).abs() < 1e-6, "{size} {right}: {a} {b}");
        }
    }

    #[test]
    fn a_flat_group_teaches_nothing() {
        assert_eq!(group_advantages(&[0.3; 5], Spread::Sample, 0.0), [0.0; 5]);
        assert_eq!(group_advantages(&[1.0], Spread::Sample, 0.0), [0.0]);
        assert!(is_flat(&[]) && !is_flat(&[0.0, 0.5]));
    }
}
