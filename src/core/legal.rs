//! Which architecture meets which objective, and which parts make a model. The refusals carry their reason and the nearest
//! choice that is legal.

use super::architecture::{Architecture, Layout};
use super::model::{AttentionDirection, ModelSpec, Position};
use super::objective::{Objective, ObjectiveSpec, Task};

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
pub fn check(architecture: Architecture, objective: &ObjectiveSpec) -> Result<(), Illegal> {
    let layout = architecture.layout();
    let name = objective.objective;
    let inputs = if objective.loss_on_inputs { " with loss on inputs" } else { "" };
    let refuse =
        |reason, nearest: String| Err(Illegal { cell: format!("{architecture}:{name}{inputs}"), reason, nearest });
    for part in objective.parts() {
        match task(layout, part.task) {
            Ok(()) => {}
            Err((reason, Nearest::Objective(nearest))) => return refuse(reason, format!("{architecture}:{nearest}")),
            Err((reason, Nearest::Architecture(nearest))) => {
                // Another part of a mixture may stand against it.
                let carries =
                    |one: &Architecture| objective.parts().iter().all(|part| task(one.layout(), part.task).is_ok());
                let nearest = [nearest].into_iter().chain(Architecture::ALL).find(carries);
                let cell =
                    nearest.map_or_else(|| format!("none with all of {name}'s tasks"), |one| format!("{one}:{name}"));
                return refuse(reason, cell);
            }
        }
        if objective.loss_on_inputs {
            let without = format!("{architecture}:{name} with loss_on_inputs = false");
            match (layout, part.task) {
                (Layout::EncoderDecoder, _) => {
                    return refuse("an encoder predicts nothing, so its inputs cannot carry loss", without);
                }
                (Layout::Encoder, _) | (_, Task::BlankTokens | Task::BlankSentences | Task::BlankDocument) => {
                    return refuse("what is not hidden is read in its own place, so it cannot carry loss", without);
                }
                (Layout::Decoder { prefix: false }, Task::PrefixLm) if name == Objective::PrefixLm => {
                    return refuse(
                        "where all is causal and carries loss, it is full language modelling",
                        "CD:FLM".to_owned(),
                    );
                }
                (Layout::Decoder { .. }, _) => {}
            }
        }
    }
    Ok(())
}

/// Whether `architecture` can be trained with `objective` as it usually is, for screens that show all cells. What a mixture of
/// one's own lists is not known here: it counts as legal.
///
/// # Errors
/// As for [`check`].
pub fn usual(architecture: Architecture, objective: Objective) -> Result<(), Illegal> {
    check(architecture, &ObjectiveSpec::new(objective, (0.15, 3.0), false, &[]))
}

enum Nearest {
    Objective(Objective),
    Architecture(Architecture),
}

const fn task(layout: Layout, task: Task) -> Result<(), (&'static str, Nearest)> {
    match (layout, task) {
        (Layout::Encoder, Task::MaskedLm)
        | (Layout::Decoder { prefix: true }, Task::BlankTokens | Task::BlankSentences | Task::BlankDocument)
        | (Layout::Decoder { prefix: false }, Task::FullLm)
        | (
            Layout::Decoder { .. } | Layout::EncoderDecoder,
            Task::PrefixLm | Task::Suffix | Task::SpanCorruption | Task::IidDenoising | Task::Prompted,
        ) => Ok(()),
        (Layout::Decoder { prefix: true }, Task::FullLm) => Err((
            "a bidirectional prefix needs a split, and full language modelling has none",
            Nearest::Objective(Objective::PrefixLm),
        )),
        (Layout::EncoderDecoder, Task::FullLm) => Err((
            "full language modelling leaves nothing for the encoder to read",
            Nearest::Objective(Objective::PrefixLm),
        )),
        (Layout::Encoder, _) => Err((
            "an encoder-only model sees every token it reads, so it can only restore what is masked in its place",
            Nearest::Objective(Objective::MaskedLm),
        )),
        (Layout::Decoder { .. } | Layout::EncoderDecoder, Task::MaskedLm) => Err((
            "tokens are masked in their places for a stack that sees both ways; a decoder restores them as targets",
            Nearest::Objective(Objective::IidDenoising),
        )),
        (
            Layout::Decoder { prefix: false } | Layout::EncoderDecoder,
            Task::BlankTokens | Task::BlankSentences | Task::BlankDocument,
        ) => Err((
            "blanks are filled behind a text that sees itself both ways, in one stack",
            Nearest::Architecture(Architecture::NonCausalDecoder),
        )),
    }
}

/// Whether the parts of a model go together.
///
/// # Errors
/// The reason, with the key to change.
pub fn model(spec: &ModelSpec) -> Result<(), String> {
    let ModelSpec { architecture, position, num_heads, head_dim, num_layers, .. } = *spec;
    if position == Position::Rope && (head_dim == 0 || !head_dim.is_multiple_of(2)) {
        return Err(format!(
            "heads of {head_dim}, and rotary embeddings turn pairs; set an even model.head_dim, or another model.position"
        ));
    }
    let refuse = |reason: &str, more: &str| {
        Err(format!(
            "{} and {architecture}: {reason}; set model.position = \"rope\", {more}\"learned\" or \"none\"",
            position.word()
        ))
    };
    match (position, architecture) {
        (Position::Alibi | Position::T5Bias, Architecture::MergedEncoderDecoder) => {
            return refuse(
                "merged attention looks at two texts in one softmax, and between them there is no distance",
                "",
            );
        }
        (Position::Alibi, _) if architecture.has_encoder() => {
            let more = "\"t5_bias\", ";
            return refuse("ALiBi is not defined for cross-attention: between two texts there is no distance", more);
        }
        (Position::Alibi | Position::T5Bias, _) if spec.block_positions > 0 => {
            return refuse(
                "the places of blanks are looked up in two tables, and a bias by the distance of rows would tell their order",
                "",
            );
        }
        (Position::Rope | Position::T5Bias | Position::Alibi | Position::Learned | Position::None, _) => {}
    }
    if architecture == Architecture::HalfEncoderDecoder && !num_layers.is_multiple_of(2) {
        return Err(format!("model.num_layers {num_layers} cannot be halved; make it even"));
    }
    match spec.direction {
        AttentionDirection::Both => Ok(()),
        AttentionDirection::MixedHeads | AttentionDirection::AlternatingLayers
            if !architecture.has_bidirectional_stack() =>
        {
            Err(format!(
                "a head that looks at what follows would see the targets of {architecture}; model.direction = \"{}\" is \
                 for EO and for encoders that see both ways: ED, EDS, EDH, EDM",
                spec.direction
            ))
        }
        AttentionDirection::MixedHeads if !num_heads.is_multiple_of(2) => {
            Err(format!("model.num_heads {num_heads} cannot be halved between two directions; make it even"))
        }
        AttentionDirection::AlternatingLayers if spec.depths().0.max(spec.depths().1) < 2 => {
            Err("one layer cannot alternate between two directions; raise model.num_layers, or use \"mixed_heads\""
                .to_owned())
        }
        AttentionDirection::MixedHeads | AttentionDirection::AlternatingLayers => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::MixturePart;

    fn of(objective: Objective, loss_on_inputs: bool) -> ObjectiveSpec {
        ObjectiveSpec::new(objective, (0.15, 3.0), loss_on_inputs, &[])
    }

    #[test]
    fn each_architecture_has_its_objectives() {
        let legal = |architecture| {
            let all = Objective::ALL.into_iter().filter(|objective| *objective != Objective::Mixture);
            let fits = all.filter(|objective| check(architecture, &of(*objective, false)).is_ok());
            fits.map(Objective::label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(legal(Architecture::CausalDecoder), "FLM PLM MLM IID UL2 UL2R MTF FT");
        assert_eq!(legal(Architecture::NonCausalDecoder), "PLM MLM IID GLM UL2 UL2R MTF FT");
        for architecture in Architecture::ALL.into_iter().filter(|architecture| architecture.has_encoder()) {
            assert_eq!(legal(architecture), "PLM MLM IID UL2 UL2R MTF FT", "{architecture}");
        }
        assert_eq!(legal(Architecture::EncoderOnly), "BERT");
    }

    #[test]
    fn the_table_of_the_readme_is_this_one() {
        let shown: Vec<Objective> = Objective::ALL.into_iter().filter(|one| *one != Objective::Mixture).collect();
        let line = |name: &str, cells: Vec<&str>| format!("| {name} | {} |\n", cells.join(" | "));
        let mut table = line("", shown.iter().map(|one| one.label()).collect()).replacen("|  |", "| |", 1);
        table += &format!("|{}\n", "---|".repeat(shown.len() + 1));
        for architecture in Architecture::ALL {
            let mark = |one: &Objective| match (check(architecture, &of(*one, false)).is_ok(), one.is_prompted()) {
                (true, false) => "●",
                (true, true) => "○",
                (false, _) => "·",
            };
            table += &line(architecture.label(), shown.iter().map(mark).collect());
        }
        assert!(include_str!("../../README.md").contains(&table), "the table is now\n{table}");
    }

    #[test]
    fn refusals_name_what_would_do() {
        let refused =
            |architecture, objective, inputs| check(architecture, &of(objective, inputs)).unwrap_err().nearest;
        assert_eq!(refused(Architecture::NonCausalDecoder, Objective::FullLm, false), "ND:PLM");
        assert_eq!(refused(Architecture::CausalDecoder, Objective::BlankInfilling, false), "ND:GLM");
        assert_eq!(refused(Architecture::CausalDecoder, Objective::MaskedLm, false), "CD:IID");
        assert_eq!(refused(Architecture::EncoderOnly, Objective::SpanCorruption, false), "EO:BERT");
        let nearest = refused(Architecture::EncoderDecoder, Objective::PrefixLm, true);
        assert_eq!(nearest, "ED:PLM with loss_on_inputs = false");
        assert!(check(Architecture::EncoderOnly, &of(Objective::MaskedLm, true)).is_err());
        assert_eq!(refused(Architecture::CausalDecoder, Objective::PrefixLm, true), "CD:FLM");
        assert!(check(Architecture::CausalDecoder, &of(Objective::SpanCorruption, true)).is_ok());
        let mixture = [Task::FullLm, Task::BlankTokens].map(|task| MixturePart {
            task,
            weight: 1.0,
            noise_density: 0.15,
            mean_noise_span_length: 3.0,
            mode: None,
            rolled: false,
        });
        let both = ObjectiveSpec::new(Objective::Mixture, (0.15, 3.0), false, &mixture);
        let illegal = check(Architecture::CausalDecoder, &both).unwrap_err();
        assert_eq!(illegal.nearest, "none with all of MIX's tasks", "{illegal}");
    }
}
