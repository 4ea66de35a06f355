//! What of the form's choices cannot be trained, with the reason: cells, and parts of models that do not go together.
//! Promises: every refusal that the choices alone decide is here before anything is asked of the server; reasons that cells
//! share are told once. Must not know: how they are drawn.

use crate::core::study::HeadDim;
use crate::core::{Architecture, ModelSpec, Objective, ObjectiveSpec, Position, legal};

use super::form::{Field, Form};
use super::form_text::{head_dims, positive};
use super::text_field::TextField;

/// Cells, or models, that are refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `ED:FLM`, or `CD` for a model.
    pub names: Vec<String>,
    /// In a sentence.
    pub reason: String,
}

/// Fields that decide what a model is.
const OF_MODEL: [Field; 8] = [
    Field::Preset,
    Field::DModel,
    Field::NumLayers,
    Field::NumHeads,
    Field::HeadDim,
    Field::Family,
    Field::Positions,
    Field::Looks,
];
/// Names told one by one.
const MOST_NAMES: usize = 4;
/// Sizes that are looked at: the form looks again at every key.
const MOST_SHAPES: usize = 1000;

impl Refused {
    /// `ED:FLM EDS:FLM: full language modelling leaves nothing …`.
    #[must_use]
    pub fn told(&self) -> String {
        let more = self.names.len().saturating_sub(MOST_NAMES);
        let names: Vec<&str> = self.names.iter().take(MOST_NAMES).map(String::as_str).collect();
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        format!("{}{more}: {}", names.join(" "), self.reason)
    }
}

/// Put names with one reason together, `first` before the others.
fn grouped(all: impl IntoIterator<Item = (String, String, String)>, first: impl Fn(&str) -> bool) -> Vec<Refused> {
    let mut groups: Vec<(String, Refused)> = Vec::new();
    for (name, key, reason) in all {
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) if group.names.contains(&name) => {}
            // The reason goes with the name that stands before it.
            Some((_, group)) if first(&name) && !group.names.iter().any(|name| first(name)) => {
                group.names.insert(0, name);
                group.reason = reason;
            }
            Some((_, group)) => group.names.push(name),
            None => groups.push((key, Refused { names: vec![name], reason })),
        }
    }
    groups.sort_by_key(|(_, group)| !group.names.iter().any(|name| first(name)));
    groups.into_iter().map(|(_, group)| group).collect()
}

impl Form {
    /// Chosen cells that cannot be trained, each with the reason.
    #[must_use]
    pub fn illegal(&self) -> Vec<legal::Illegal> {
        if !self.lineages().is_empty() {
            return Vec::new();
        }
        let cells = self.architectures.iter().flat_map(|a| self.objectives.iter().map(move |o| (*a, *o)));
        cells.filter_map(|(a, o)| legal::check(a, &self.objective_spec(o)).err()).collect()
    }

    fn objective_spec(&self, objective: Objective) -> ObjectiveSpec {
        let settings = &self.base.objective;
        let shares = (settings.noise_density, settings.mean_noise_span_length);
        let on_inputs = settings.loss_on_inputs.iter().all(|on_inputs| *on_inputs);
        ObjectiveSpec::new(objective, shares, on_inputs, &settings.mixture)
    }

    /// Legal cells chosen.
    #[must_use]
    pub fn legal_cells(&self) -> usize {
        self.architectures.len() * self.objectives.len() - self.illegal().len()
    }

    /// All that is refused, what the field with the focus has to do with first.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        // What a lineage is refused for is said on the review page.
        if !self.lineages().is_empty() {
            return Vec::new();
        }
        let here = self.focus.titles().map_or("", |_| self.focus.label());
        let of_it = |name: &str| name.split([':', ' ']).any(|part| part == here);
        let cells = self.illegal().into_iter().map(|illegal| {
            let reason = format!("{}; nearest: {}", illegal.reason, illegal.nearest);
            (illegal.cell, illegal.reason.to_owned(), reason)
        });
        let mut all = grouped(cells, of_it);
        let models = grouped(self.refused_models(), of_it);
        let at = if OF_MODEL.contains(&self.focus) { 0 } else { all.len() };
        all.splice(at..at, models);
        all
    }

    /// Parts of models that do not go together: whose, a key that is the same for the same reason, the reason.
    fn refused_models(&self) -> Vec<(String, String, String)> {
        let positions: Vec<Position> = match &self.positions {
            Some(axis) => axis.0.clone(),
            None => self.family.iter().map(|family| family.parts().0).collect(),
        };
        let parts = || positions.iter().flat_map(|position| self.looks.iter().map(move |looks| (*position, *looks)));
        let shapes = self.shapes();
        let mut found = Vec::new();
        for architecture in &self.architectures {
            let blanks = self.objectives.iter().find(|objective| self.has_blanks(*architecture, **objective));
            let wholes = std::iter::once((architecture.to_string(), 0));
            let of_blanks = blanks.map(|objective| (format!("{architecture}:{objective}"), 1));
            for (name, block_positions) in wholes.chain(of_blanks) {
                for (position, direction) in parts() {
                    for shape in &shapes {
                        let of_size = ModelSpec::of_size(*architecture, 1, *shape);
                        let spec = ModelSpec { position, direction, block_positions, ..of_size };
                        found.extend(legal::model(&spec).err().map(|reason| {
                            // The reason is the same whatever it calls the architecture.
                            (name.clone(), reason.replace(&format!(" of {architecture};"), ";"), reason)
                        }));
                    }
                }
            }
        }
        // What a model is refused for, its cells need not be refused for again.
        let known: Vec<(String, String)> =
            found.iter().map(|(name, key, _): &(String, String, String)| (name.clone(), key.clone())).collect();
        let whole = |name: &str, key: &str| {
            let model = name.split(':').next().filter(|model| *model != name);
            model.is_some_and(|model| known.iter().any(|(other, of)| other == model && of == key))
        };
        found.retain(|(name, key, _)| !whole(name, key));
        found
    }

    /// The sizes that are chosen, as far as they can be read: width, hidden width, depth, heads, size of a head. If they are
    /// very many, the first of them; the plan refuses the others.
    fn shapes(&self) -> Vec<[usize; 5]> {
        let text = |field| self.text(field).map(TextField::text).unwrap_or_default();
        let sizes = |field| positive(&text(field), "").map(|axis| axis.0).unwrap_or_default();
        let dims = head_dims(&text(Field::HeadDim)).map(|axis| axis.0).unwrap_or_default();
        let (mut shapes, mut looked) = (Vec::new(), 0);
        for d_model in sizes(Field::DModel) {
            for num_layers in sizes(Field::NumLayers) {
                for num_heads in sizes(Field::NumHeads) {
                    shapes.extend(dims.iter().filter_map(|dim| {
                        let head_dim = match dim {
                            HeadDim::Fixed(size) => Some(*size),
                            // The plan has a reason of its own for what cannot be divided.
                            HeadDim::Standard(_) => d_model.is_multiple_of(num_heads).then(|| d_model / num_heads),
                        };
                        head_dim.map(|head_dim| [d_model, 4 * d_model, num_layers, num_heads, head_dim])
                    }));
                    looked += 1;
                    if looked.max(shapes.len()) > MOST_SHAPES {
                        return shapes;
                    }
                }
            }
        }
        shapes
    }

    fn has_blanks(&self, architecture: Architecture, objective: Objective) -> bool {
        let spec = self.objective_spec(objective);
        legal::check(architecture, &spec).is_ok() && spec.parts().iter().any(|part| part.task.has_blanks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_told_once_and_begins_with_the_name_that_is_looked_at() {
        let named = |name: &str, reason: &str| (name.to_owned(), reason.to_owned(), format!("{reason} of {name}"));
        let all = ["ED:FLM", "EDS:FLM", "EDH:FLM", "EDC:FLM", "EDM:FLM"].map(|name| named(name, "nothing is read"));
        let mut all = all.to_vec();
        all.push(named("ND:FLM", "no split"));
        let groups = grouped(all.clone(), |name| name.starts_with("EDM:"));
        assert_eq!(groups[0].told(), "EDM:FLM ED:FLM EDS:FLM EDH:FLM +1: nothing is read of EDM:FLM");
        let groups = grouped(all, |name| name.starts_with("ND:"));
        assert_eq!(groups.iter().map(|group| group.names.len()).collect::<Vec<_>>(), [1, 5]);
    }
}
