//! The exponential and the sigmoid, in a form that the compiler vectorises.

use super::multiply_add;

/// `e^x` to about one unit in the last place on [-87, 88]; 0 below, saturated above. NaN stays NaN.
/// Source: Cody–Waite reduction by ln 2 in two parts, then the Taylor polynomial of degree 7 on [-ln 2 / 2, ln 2 / 2].
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Adding this rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let rounded = multiply_add::<FUSED>(clamped, std::f32::consts::LOG2_E, ROUND);
    let power = rounded - ROUND;
    let rest = multiply_add::<FUSED>(power, -0.693_359_4, clamped);
    let rest = multiply_add::<FUSED>(power, 2.121_944_4e-4, rest);
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = multiply_add::<FUSED>(sum, rest, coefficient);
    }
    // The shift moves the lowest nine bits of the power to the exponent and drops the others.
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.3 { 0.0 } else { sum * scale }
}

#[inline(always)]
pub(super) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

#[cfg(test)]
mod tests {
    fn check(exp: impl Fn(f32) -> f32) {
        for step in -8600..8700 {
            let x = step as f32 * 0.01 + 0.001;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(((ours - exact) / exact).abs() < 3e-7, "{x}: {ours} {exact}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan() && exp(1000.0).is_finite());
    }

    #[test]
    fn it_is_as_exact_as_float32_allows() {
        check(super::exp::<false>);
        check(super::exp::<true>);
    }
}
