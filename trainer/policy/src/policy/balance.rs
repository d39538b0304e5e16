//! Loads of experts, and load balancing by biases instead of an auxiliary loss.

/// Adds `loads` to `sum`, which may be empty.
pub fn add_loads(sum: &mut Vec<Vec<u64>>, loads: &[Vec<u64>]) {
    if sum.is_empty() {
        *sum = loads.to_vec();
        return;
    }
    for (sum, loads) in sum.iter_mut().flatten().zip(loads.iter().flatten()) {
        *sum += loads;
    }
}

/// Moves each expert's bias by `speed`: down if its load is above the mean, up if it is below.
/// Source: DeepSeek-V3 §2.1.2, auxiliary-loss-free load balancing.
pub fn balance_biases(biases: &mut [Vec<f32>], loads: &[Vec<u64>], speed: f32) {
    for (biases, loads) in biases.iter_mut().zip(loads) {
        let total: u64 = loads.iter().sum();
        for (bias, load) in biases.iter_mut().zip(loads) {
            *bias += match (load * loads.len() as u64).cmp(&total) {
                std::cmp::Ordering::Less => speed,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => -speed,
            };
        }
    }
}

/// The greatest load divided by the mean load, in the worst layer; `None` without experts.
pub fn load_max_over_mean(loads: &[Vec<u64>]) -> Option<f64> {
    loads
        .iter()
        .filter_map(|loads| {
            let total: u64 = loads.iter().sum();
            let top = loads.iter().max()?;
            (total > 0).then(|| *top as f64 * loads.len() as f64 / total as f64)
        })
        .reduce(f64::max)
}

/// Each expert's share of its layer's choices, to four digits: one list per sparse layer.
pub fn load_shares(loads: &[Vec<u64>]) -> Vec<Vec<f64>> {
    let shares = |loads: &Vec<u64>| {
        let total = loads.iter().sum::<u64>().max(1) as f64;
        loads.iter().map(|load| (*load as f64 / total * 1e4).round() / 1e4).collect()
    };
    loads.iter().map(shares).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::experts::RoutingRule;

    #[test]
    fn biases_move_by_the_sign_of_the_load() {
        let mut biases = vec![vec![0.5, 0.5, 0.5, 0.5]];
        balance_biases(&mut biases, &[vec![4, 2, 2, 0]], 0.125);
        assert_eq!(biases, [[0.375, 0.5, 0.5, 0.625]]);
        balance_biases(&mut biases, &[vec![3, 3, 3, 3]], 0.125);
        assert_eq!(biases, [[0.375, 0.5, 0.5, 0.625]]);
        assert_eq!(load_max_over_mean(&[vec![4, 2, 2, 0], vec![1, 1, 1, 1]]), Some(2.0));
        assert_eq!(load_max_over_mean(&[]), None);
        assert_eq!(
            load_shares(&[vec![4, 2, 2, 0], vec![0, 0]]),
            [vec![0.5, 0.25, 0.25, 0.0], vec![0.0, 0.0]]
        );
    }

    #[test]
    fn a_skewed_router_comes_to_balance_by_bias_alone() {
        let rule = RoutingRule { experts: 16, chosen: 2, normalise: true, scale: 1.0 };
        let mut biases = vec![vec![0.0; 16]];
        let mut stream = thinkling_datasets::seed::Stream::at("skewed router", 0, &[]);
        let mut last = Vec::new();
        for step in 0..3000 {
            // Expert 0 is liked best, expert 15 least, by more than chance.
            let affinities: Vec<f32> = (0..256 * 16)
                .map(|at| (0.5 + 0.02 * (8.0 - (at % 16) as f64) + 0.05 * stream.normal()) as f32)
                .collect();
            let mut choices = vec![0; 256 * 2];
            rule.choose(&affinities, &biases[0], &mut choices);
            let mut loads = vec![vec![0; 16]];
            choices.iter().for_each(|choice| loads[0][usize::from(*choice)] += 1);
            if step >= 2900 {
                last.push(loads[0].clone());
            }
            balance_biases(&mut biases, &loads, 0.001);
        }
        let sums: Vec<u64> = (0..16).map(|expert| last.iter().map(|loads| loads[expert]).sum()).collect();
        let violation = load_max_over_mean(&[sums]).unwrap() - 1.0;
        assert!(violation < 0.1, "{violation}");
    }
}
