//! What a forward pass leaves behind so that its gradients can be found: a value knows its place on a tape, an operation
//! leaves a step that turns the slopes of its outputs into those of its inputs. On a processor slopes are plain numbers,
//! moved where there is one of them and added in place where there are more, and each step frees what it kept as soon as it
//! is done. Elsewhere the plain references run, and candle's own graph is the record.
//! Must not know: which operations there are.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, bail};

use super::crew::Part;
use super::host::all_hosted;
use super::shape::Put;
use super::vector::add;
use super::weight::Weight;

type Back = Box<dyn FnOnce(&mut Numbers, &Part) -> Result<()>>;

#[derive(Default)]
struct Record {
    values: usize,
    steps: Vec<Back>,
}

/// The record of one forward pass, on one thread.
#[derive(Clone)]
pub struct Tape {
    record: Rc<RefCell<Record>>,
    part: Rc<Part>,
}

/// A tensor on its way through a model.
#[derive(Clone)]
pub struct Value {
    tensor: Tensor,
    place: Option<(Tape, usize)>,
}

/// Where the slope of a value is gathered; nowhere if it is not on the tape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(Option<usize>);

/// Slopes of the values of a tape, by place.
pub(super) struct Numbers(Vec<Option<Vec<f32>>>);

/// The slopes of values after a backward pass.
pub struct Slopes(Found);

enum Found {
    Hosted(Numbers),
    Elsewhere(GradStore),
}

impl Tape {
    /// An empty record of the work of `part`.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { record: Rc::default(), part: Rc::new(part) }
    }

    /// An empty record of work that nobody shares.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(Part::alone())
    }

    /// A value whose slope can be asked for.
    #[must_use]
    pub fn value(&self, tensor: &Tensor) -> Value {
        let mut record = self.record.borrow_mut();
        record.values += 1;
        Value { tensor: tensor.clone(), place: Some((self.clone(), record.values - 1)) }
    }

    /// Walks back from a scalar `loss`: adds its slope by each of `weights` to their gradients, and gives those by the values.
    ///
    /// # Errors
    /// `loss` is not a number on this tape, another thread that shares a weight has failed, or the device fails.
    pub fn backward<'w>(self, loss: &Value, weights: impl Iterator<Item = &'w Weight>) -> Result<Slopes> {
        if loss.tensor.elem_count() != 1 {
            bail!("a loss is a single number, not {:?}", loss.tensor.shape());
        }
        if loss.is_hosted() {
            return self.backward_all(std::slice::from_ref(loss));
        }
        let mut store = loss.tensor.backward()?;
        for weight in weights {
            if let Some(slope) = store.remove(weight.tensor()) {
                weight.add_elsewhere(slope)?;
            }
        }
        self.part.done();
        Ok(Slopes(Found::Elsewhere(store)))
    }

    /// Walks back from the sum of all numbers of `outputs`, which are on the processor.
    ///
    /// # Errors
    /// One is not on this tape, another thread that shares a weight has failed, or an operation fails.
    pub fn backward_all(self, outputs: &[Value]) -> Result<Slopes> {
        let Record { values, steps } = self.record.take();
        let mut numbers = Numbers(vec![None; values]);
        for output in outputs {
            match &output.place {
                Some((tape, place)) if Rc::ptr_eq(&tape.record, &self.record) && output.is_hosted() => {
                    numbers.give(Place(Some(*place)), vec![1.0; output.tensor.elem_count()]);
                }
                _ => bail!("a value to walk back from is not on this tape"),
            }
        }
        steps.into_iter().rev().try_for_each(|step| step(&mut numbers, &self.part))?;
        self.part.done();
        Ok(Slopes(Found::Hosted(numbers)))
    }
}

impl Slopes {
    /// That of `value`, in its shape; none if the loss does not depend on it.
    ///
    /// # Errors
    /// The device fails.
    pub fn of(&self, value: &Value) -> Result<Option<Tensor>> {
        match &self.0 {
            Found::Elsewhere(store) => Ok(store.get(&value.tensor).cloned()),
            Found::Hosted(numbers) => {
                let held = value.place().0.and_then(|place| numbers.0.get(place)).and_then(Option::as_ref);
                held.map(|held| Tensor::from_slice(held, value.tensor.shape(), value.tensor.device())).transpose()
            }
        }
    }
}

impl Numbers {
    /// The slope of an output, which no one else will ask for; zeros if nothing came back to it.
    pub(super) fn take(&mut self, place: usize, count: usize) -> Vec<f32> {
        self.0.get_mut(place).and_then(Option::take).unwrap_or_else(|| vec![0.0; count])
    }

    /// Adds `slope` to that at `place`.
    pub(super) fn give(&mut self, place: Place, slope: Vec<f32>) {
        match place.0.and_then(|place| self.0.get_mut(place)) {
            None => {}
            Some(Some(held)) => add(held, &slope),
            Some(held) => *held = Some(slope),
        }
    }

    /// Lets `work` put a slope of `count` numbers at `place`, or add it to what is there.
    pub(super) fn put(&mut self, place: Place, count: usize, work: impl FnOnce(&mut [f32], Put)) {
        match place.0.and_then(|place| self.0.get_mut(place)) {
            None => {}
            Some(Some(held)) => work(held, Put::Add),
            Some(held) => work(held.insert(vec![0.0; count]), Put::Replace),
        }
    }
}

impl Value {
    /// A constant: no gradient goes back to it.
    #[must_use]
    pub fn constant(tensor: &Tensor) -> Self {
        Self { tensor: tensor.detach(), place: None }
    }

    /// Its tensor.
    #[must_use]
    pub const fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Sizes of its dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// The same numbers in another shape.
    ///
    /// # Errors
    /// The shape has another number of elements.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        Ok(Self { tensor: self.tensor.reshape(shape)?, place: self.place.clone() })
    }

    /// Whether an operation on it is on the record.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.place.is_some()
    }

    /// The tensor of `weight` as a plain reference uses it beside this value: without a record if this has none.
    pub(super) fn seen(&self, weight: &Weight) -> Tensor {
        if self.is_recorded() { weight.tensor().clone() } else { weight.tensor().detach() }
    }

    /// Whether the fused operations work on it: f32, row after row, in the processor's memory.
    pub(super) fn is_hosted(&self) -> bool {
        all_hosted(&[&self.tensor])
    }

    /// Where its slope is gathered.
    pub(super) fn place(&self) -> Place {
        Place(self.place.as_ref().map(|(_, place)| *place))
    }

    /// The values of an operation of `inputs`: `outputs`, with the step that takes their slopes back, if any input is on the
    /// record.
    pub(super) fn record<const N: usize>(
        inputs: &[&Self],
        outputs: [Tensor; N],
        back: impl FnOnce(&mut Numbers, [Vec<f32>; N], &Part) -> Result<()> + 'static,
    ) -> [Self; N] {
        let Some(tape) = inputs.iter().find_map(|input| input.place.as_ref()).map(|(tape, _)| tape) else {
            return outputs.map(|tensor| Self { tensor, place: None });
        };
        tape.step(outputs, back)
    }

    /// What the plain reference made of `inputs`: candle keeps the record of it.
    pub(super) fn elsewhere<const N: usize>(inputs: &[&Self], outputs: [Tensor; N]) -> [Self; N] {
        let tape = inputs.iter().find_map(|input| input.place.as_ref()).map(|(tape, _)| tape);
        outputs.map(|tensor| Self { tensor, place: tape.map(|tape| (tape.clone(), 0)) })
    }
}

impl Tape {
    /// `outputs` with the step that takes their slopes back.
    pub(super) fn step<const N: usize>(
        &self,
        outputs: [Tensor; N],
        back: impl FnOnce(&mut Numbers, [Vec<f32>; N], &Part) -> Result<()> + 'static,
    ) -> [Value; N] {
        let counts: [usize; N] = std::array::from_fn(|at| outputs.get(at).map_or(0, Tensor::elem_count));
        let values = outputs.map(|tensor| self.value(&tensor));
        let first = values.first().and_then(|value| value.place().0).unwrap_or(0);
        self.record.borrow_mut().steps.push(Box::new(move |numbers, part| {
            let slopes = std::array::from_fn(|at| numbers.take(first + at, counts.get(at).copied().unwrap_or(0)));
            back(numbers, slopes, part)
        }));
        values
    }
}

/// The only value of an operation.
pub(super) fn single([value]: [Value; 1]) -> Value {
    value
}
