//! The precision of matrix products.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matmul::bfloat16_unit;

/// The precision of products with weights. Weights, sums, moments, the training forward's attention and all other operations
/// are float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Float32 operands.
    #[default]
    Float32,
    /// Each operand is the sum of two bfloat16: three products, float32 sums.
    Bf16x3,
    /// Operands rounded to bfloat16, also in the decoder's attention and its cache of keys and values.
    Bf16,
}

/// The precision of matrix products in a recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Precision")]
pub enum AskedPrecision {
    /// Float32 operands.
    #[default]
    Float32,
    /// Two bfloat16 parts, three products.
    Bf16x3,
    /// Rounded to bfloat16.
    Bf16,
    /// The faster of the first two on this machine.
    Auto,
}

impl AskedPrecision {
    /// The precision on this machine, available or not.
    pub fn here(self) -> Precision {
        match self {
            Self::Float32 => Precision::Float32,
            Self::Bf16x3 => Precision::Bf16x3,
            Self::Bf16 => Precision::Bf16,
            Self::Auto => Precision::automatic(),
        }
    }
}

impl From<Precision> for AskedPrecision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Float32 => Self::Float32,
            Precision::Bf16x3 => Self::Bf16x3,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// A precision that this machine's processor has no instructions for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "this processor cannot compute `{wanted}` products: they need AMX tiles or AVX-512 with bfloat16; it has {has} (with `THINKLING_BFLOAT16=widened` in the environment it \
     rounds as asked and multiplies in float32, without being faster for it)"
)]
pub struct Unavailable {
    /// The requested precision.
    pub wanted: &'static str,
    /// The precisions that it has.
    pub has: String,
}

impl Precision {
    /// Every precision, the most exact first.
    pub const ALL: [Self; 3] = [Self::Float32, Self::Bf16x3, Self::Bf16];

    /// The name in recipes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bf16x3 => "bf16x3",
            Self::Bf16 => "bf16",
        }
    }

    /// The instructions that compute it on this machine; `None` where there are none.
    pub fn instructions(self) -> Option<&'static str> {
        match self {
            Self::Float32 => Some(super::InstructionSet::detected().name()),
            Self::Bf16x3 | Self::Bf16 => bfloat16_unit(),
        }
    }

    /// This precision, if the machine supports it. It is never replaced silently.
    pub fn available(self) -> Result<Self, Unavailable> {
        if self.instructions().is_some() {
            return Ok(self);
        }
        let has: Vec<String> = Self::ALL
            .iter()
            .filter(|precision| precision.instructions().is_some())
            .map(|precision| format!("`{}`", precision.name()))
            .collect();
        Err(Unavailable { wanted: self.name(), has: has.join(", ") })
    }

    /// The precision of the decoder's cache and of the products that read it.
    pub fn of_cache(self) -> Self {
        if self == Self::Bf16x3 { Self::Float32 } else { self }
    }

    /// The meaning of `auto` on this machine: `bf16x3` where tiles make it faster than float32.
    pub fn automatic() -> Self {
        if bfloat16_unit() == Some("amx") { Self::Bf16x3 } else { Self::Float32 }
    }
}
