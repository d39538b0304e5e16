//! The exponential and its kin, in a form that compilers turn into vector code.

/// `e^x` to about one unit in the last place on [-87, 88]; 0 below, saturated above. NaN stays NaN.
///
/// Source: Cody–Waite reduction by ln 2 in two parts, then the Taylor polynomial of degree 7 on [-ln 2 / 2, ln 2 / 2].
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 · 2^23 rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let power = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let rest = (clamped - power * 0.693_359_4) + power * 2.121_944_4e-4;
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * rest + coefficient;
    }
    // The range above keeps the exponent's bits in bounds, and a cast of NaN to an integer is 0.
    let scale = f32::from_bits(((power as i32 + 127) << 23) as u32);
    if x < -87.3 { 0.0 } else { sum * scale }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_as_exact_as_float32_allows() {
        for step in -8600..8700 {
            let x = step as f32 * 0.01 + 0.001;
            let (ours, exact) = (f64::from(super::exp(x)), f64::from(x).exp());
            assert!(((ours - exact) / exact).abs() < 3e-7, "{x}: {ours} {exact}");
        }
        assert_eq!(super::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(super::exp(0.0), 1.0);
        assert!(super::exp(f32::NAN).is_nan());
    }
}
