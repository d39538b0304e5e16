//! The precision of matrix products.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matmul::bfloat16_unit;

/// How exact the products with weights are. Weights, sums, moments, the training forward's attention and all that is not a
/// product are float32 in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Operands as they are.
    #[default]
    Float32,
    /// Each operand as the sum of two bfloat16; three products, float32 sums.
    Bf16x3,
    /// Operands rounded to bfloat16, and the decoder's cache of keys and values with what is multiplied with it.
    Bf16,
}

/// The precision of matrix products, as a recipe asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Precision")]
pub enum AskedPrecision {
    /// As they are.
    #[default]
    Float32,
    /// Two bfloat16 parts, three products.
    Bf16x3,
    /// Rounded to bfloat16.
    Bf16,
    /// The fastest of the first two on this machine.
    Auto,
}

impl AskedPrecision {
    /// What it stands for on this machine, available or not.
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
    "this processor cannot compute `{wanted}` products: {lacks}; it has {has} (with `THINKLING_BFLOAT16=widened` in the environment it \
     rounds as asked and multiplies in float32, without being faster for it)"
)]
pub struct Unavailable {
    /// What was asked for.
    pub wanted: &'static str,
    /// What it would take.
    pub lacks: &'static str,
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

    /// The instructions that this machine computes it with; `None` where it lacks them.
    pub fn instructions(self) -> Option<&'static str> {
        match self {
            Self::Float32 => Some(super::InstructionSet::detected().name()),
            Self::Bf16x3 | Self::Bf16 => bfloat16_unit(),
        }
    }

    /// Itself, where the machine has it.
    ///
    /// # Errors
    /// Names the precisions that the machine has. Nothing is ever computed in another one in silence.
    pub fn available(self) -> Result<Self, Unavailable> {
        if self.instructions().is_some() {
            return Ok(self);
        }
        let has: Vec<String> = Self::ALL
            .iter()
            .filter(|precision| precision.instructions().is_some())
            .map(|precision| format!("`{}`", precision.name()))
            .collect();
        Err(Unavailable {
            wanted: self.name(),
            lacks: "they need AMX tiles or AVX-512 with bfloat16",
            has: has.join(", "),
        })
    }

    /// That of the decoder's cache, which `bf16` alone halves, and of the products that read it.
    pub fn of_cache(self) -> Self {
        if self == Self::Bf16x3 { Self::Float32 } else { self }
    }

    /// What `auto` stands for on this machine: `bf16x3` where there are tiles, which make it faster than float32.
    pub fn automatic() -> Self {
        if bfloat16_unit() == Some("amx") { Self::Bf16x3 } else { Self::Float32 }
    }
}
