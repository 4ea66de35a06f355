//! Which architecture meets which objective. The refusals carry their reason and the nearest cell that is legal.

use super::spec::{Architecture, Objective};

/// Why a cell cannot be trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cell} is not a legal cell: {reason}; nearest legal cell: {nearest}")]
pub struct Illegal {
    /// `ND:FLM`.
    pub cell: String,
    /// In a sentence.
    pub reason: &'static str,
    /// `ND:PLM`.
    pub nearest: String,
}

/// Whether `architecture` can be trained with `objective`.
///
/// # Errors
/// The reason, with the nearest legal cell.
pub fn check(architecture: Architecture, objective: Objective, loss_on_inputs: bool) -> Result<(), Illegal> {
    let refuse = |reason, nearest: Objective, note: &str| {
        Err(Illegal {
            cell: format!("{architecture}:{objective}{}", if loss_on_inputs { " with loss on inputs" } else { "" }),
            reason,
            nearest: format!("{architecture}:{nearest}{note}"),
        })
    };
    match (architecture, objective) {
        (Architecture::NonCausalDecoder, Objective::FullLm) => refuse(
            "a bidirectional prefix needs a split, and full language modelling has none",
            Objective::PrefixLm,
            "",
        ),
        (Architecture::EncoderDecoder, Objective::FullLm) => {
            refuse("full language modelling leaves nothing for the encoder to read", Objective::PrefixLm, "")
        }
        (Architecture::EncoderDecoder, Objective::PrefixLm | Objective::SpanCorruption) if loss_on_inputs => refuse(
            "an encoder predicts nothing, so its inputs cannot carry loss",
            objective,
            " with loss_on_inputs = false",
        ),
        (Architecture::CausalDecoder, Objective::FullLm | Objective::PrefixLm | Objective::SpanCorruption)
        | (
            Architecture::NonCausalDecoder | Architecture::EncoderDecoder,
            Objective::PrefixLm | Objective::SpanCorruption,
        ) => Ok(()),
    }
}

/// What each objective looks like from each architecture, for the composer.
#[must_use]
pub const fn describe_architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::CausalDecoder => "one stack, each position sees only the past",
        Architecture::NonCausalDecoder => "one stack, the prefix sees itself both ways",
        Architecture::EncoderDecoder => {
            "two stacks: the encoder reads both ways, the decoder writes; about twice the parameters"
        }
    }
}

/// The objective in a sentence, for the composer.
#[must_use]
pub const fn describe_objective(objective: Objective) -> &'static str {
    match objective {
        Objective::FullLm => "predict every next token; all positions carry loss",
        Objective::PrefixLm => "predict what follows a random split; half of the positions carry loss",
        Objective::SpanCorruption => "restore removed spans (15 %, mean 3); about 18 % of the positions carry loss",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_of_nine_cells_are_legal() {
        let legal = Architecture::ALL
            .iter()
            .flat_map(|a| Objective::ALL.iter().map(move |o| check(*a, *o, false).is_ok()))
            .filter(|ok| *ok)
            .count();
        assert_eq!(legal, 7);
        let refused = check(Architecture::NonCausalDecoder, Objective::FullLm, false).unwrap_err();
        assert_eq!(refused.nearest, "ND:PLM");
        assert!(check(Architecture::EncoderDecoder, Objective::PrefixLm, true).is_err());
        assert!(check(Architecture::CausalDecoder, Objective::PrefixLm, true).is_ok());
    }
}
