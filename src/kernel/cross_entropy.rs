//! Cross-entropy of chosen targets, of logits or straight from the states that are projected to them.

use candle_core::{D, DType, Result, Tensor, bail};

use super::crew::Part;
use super::host::{all_hosted, with_values};
use super::linear::{self, projection};
use super::matrix::{Factor, Projection};
use super::shape::Put;
use super::tape::{Numbers, Value, single};
use super::vector::{exp, largest, sum_of, widest};
use super::weight::Weight;
use crate::core::Precision;

/// Negative log-likelihoods in nats of `targets [N]` (u32) under `logits [N, V]`. Gives `[N]`.
///
/// # Errors
/// Shapes do not fit, a target is outside the vocabulary, or the device fails.
pub fn negative_log_likelihood(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let peak = logits.max_keepdim(D::Minus1)?.detach();
    let shifted = logits.broadcast_sub(&peak)?; // [N, V]
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?; // [N, 1]
    let chosen = shifted.gather(&targets.unsqueeze(1)?, 1)?; // [N, 1]
    (log_sum - chosen)?.squeeze(1)
}

/// A position that carries loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Its row of the states.
    pub row: u32,
    /// The token that is right.
    pub token: u32,
    /// What its negative log-likelihood counts.
    pub weight: f32,
}

/// What a step makes small, and what of it is the model's loss.
pub struct ProjectedLoss {
    /// Σ weight · (negative log-likelihood in nats + `z_loss` · ln²Z); a scalar.
    pub total: Value,
    /// Σ weight · negative log-likelihood in nats; a scalar.
    pub nll: Tensor,
}

/// Σ weight · (negative log-likelihood in nats + `z_loss` · ln²Z) of `targets`, each after its row of `states [N, D]`, under the logits
/// `states · headᵀ` with `head [V, D]` and Z the sum of their exponentials (z-loss: Chowdhery et al. 2022, arXiv 2204.02311,
/// §5). On a processor the logits are made, used and forgotten a few rows at a time.
///
/// # Errors
/// Shapes do not fit, a target is outside the vocabulary, or the device fails.
pub fn projected_loss(states: &Value, head: &Weight, targets: &[Target], z_loss: f64) -> Result<ProjectedLoss> {
    if !states.is_hosted() {
        let head = (states.seen(head), head.precision());
        let [total, nll] = plain(states.tensor(), (&head.0, head.1), targets, z_loss)?;
        return Ok(ProjectedLoss { total: single(Value::elsewhere(&[states], [total])), nll: nll.detach() });
    }
    let loss = Loss::new(states, head, targets, z_loss)?;
    let Slopes { total, nll, of_states, of_head } = with_values([states.tensor()], |[states]| loss.forward(states))?;
    #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
    let scalar = |sum: f64| Tensor::new(sum as f32, states.tensor().device());
    let (total, nll) = (scalar(total)?, scalar(nll)?);
    let (place, head) = (states.place(), head.clone());
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], part: &Part| {
        let factor = slope.first().copied().unwrap_or(0.0);
        head.add(part, |target, how| {
            let pairs = target.iter_mut().zip(&of_head);
            widest!(match how {
                Put::Replace => pairs.for_each(|(target, slope)| *target = slope * factor),
                Put::Add => pairs.for_each(|(target, slope)| *target += slope * factor),
            },);
            Ok(())
        })?;
        let mut of_states = of_states;
        widest!(of_states.iter_mut().for_each(|slope| *slope *= factor),);
        numbers.give(place, of_states);
        Ok(())
    };
    Ok(ProjectedLoss { total: single(Value::record(&[states], [total], back)), nll })
}

/// The reference: with z-loss and without.
///
/// # Errors
/// As for [`projected_loss`].
fn plain(
    states: &Tensor,
    (head, precision): (&Tensor, Precision),
    targets: &[Target],
    z_loss: f64,
) -> Result<[Tensor; 2]> {
    let rows = Tensor::from_iter(targets.iter().map(|target| target.row), states.device())?;
    let tokens: Vec<u32> = targets.iter().map(|target| target.token).collect();
    let weights: Vec<f32> = targets.iter().map(|target| target.weight).collect();
    let tokens = Tensor::from_vec(tokens, targets.len(), states.device())?;
    let weights = Tensor::from_vec(weights, targets.len(), states.device())?.to_dtype(states.dtype())?;
    let logits = linear::plain(&states.index_select(&rows, 0)?, head, precision)?;
    let nll = (negative_log_likelihood(&logits, &tokens)? * &weights)?;
    let mut total = nll.clone();
    if z_loss > 0.0 {
        let peak = logits.max_keepdim(D::Minus1)?.detach();
        let log_sum = (logits.broadcast_sub(&peak)?.exp()?.sum_keepdim(D::Minus1)?.log()? + peak)?.squeeze(1)?;
        total = (total + ((log_sum.sqr()? * z_loss)? * weights)?)?;
    }
    Ok([total.sum_all()?, nll.sum_all()?])
}

/// How likely a token is after some state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Negative log-likelihood, nats.
    pub nll: f32,
    /// Whether no token is likelier.
    pub greedy: bool,
}

/// A row of the states, and a token.
pub type Asked = (u32, u32);

/// How likely each asked token is under the logits `states · headᵀ` of its row, for `states [N, D]` and `head [V, D]`; no
/// gradient.
///
/// # Errors
/// A row or token does not exist, shapes do not fit, or the device fails.
pub fn likelihoods(states: &Tensor, head: &Weight, asked: &[Asked]) -> Result<Vec<Likelihood>> {
    if !all_hosted(&[states]) {
        return plain_likelihoods(states, &head.tensor().detach(), head.precision(), asked);
    }
    let ((rows, width), (vocabulary, _)) = (states.dims2()?, head.tensor().dims2()?);
    if let Some((row, token)) = asked.iter().find(|(row, token)| *row as usize >= rows || *token as usize >= vocabulary)
    {
        bail!("token {token} after state {row} is asked of {rows} states and a vocabulary of {vocabulary}");
    }
    let mut found = vec![Likelihood { nll: 0.0, greedy: false }; asked.len()];
    let mut order: Vec<(usize, Asked)> = asked.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, (row, _))| *row);
    let mut wanted: Vec<u32> = order.iter().map(|(_, (row, _))| *row).collect();
    wanted.dedup();
    let mut order = order.into_iter().peekable();
    let (mut logits, precision) = (vec![0.0; ROWS.min(wanted.len()) * vocabulary], head.precision());
    let mut room = vec![0.0; ROWS * width];
    let mut read = |states: &[f32], head: &Factor<'_>| {
        for rows in wanted.chunks(ROWS) {
            let own = gathered(states, rows.iter().copied(), width, &mut room)?;
            let projection = Projection { rows: rows.len(), input: width, out: vocabulary };
            projection.product(&mut logits, Put::Replace, &Factor::of(own, precision), head);
            for (row, logits) in rows.iter().zip(logits.chunks_exact(vocabulary)) {
                let (peak, denominator) = widest!(log_sum(logits),);
                while let Some((at, (_, token))) = order.next_if(|(_, (asked, _))| asked == row) {
                    let logit = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
                    if let Some(found) = found.get_mut(at) {
                        *found = Likelihood { nll: denominator - logit, greedy: logit >= peak };
                    }
                }
            }
        }
        Ok(())
    };
    with_values([&states.contiguous()?], |[states]| head.with_factor(|head| read(states, head)))?;
    Ok(found)
}

/// The reference.
///
/// # Errors
/// As for [`likelihoods`].
pub fn plain_likelihoods(
    states: &Tensor,
    head: &Tensor,
    precision: Precision,
    asked: &[Asked],
) -> Result<Vec<Likelihood>> {
    let (rows, tokens): (Vec<u32>, Vec<u32>) = asked.iter().copied().unzip();
    let rows = Tensor::from_vec(rows, asked.len(), states.device())?;
    let logits = linear::plain(states, head, precision)?.index_select(&rows, 0)?; // [asked, V]
    let likeliest = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
    let targets = Tensor::from_slice(&tokens, asked.len(), states.device())?;
    let nll = negative_log_likelihood(&logits, &targets)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let scores = nll.into_iter().zip(likeliest).zip(tokens);
    Ok(scores.map(|((nll, likeliest), token)| Likelihood { nll, greedy: likeliest == token }).collect())
}

/// The largest logit, and ln Σ exp(logit).
#[inline(always)]
fn log_sum(logits: &[f32]) -> (f32, f32) {
    let peak = largest(logits);
    (peak, peak + sum_of(logits, logits, |logit, _| exp(logit - peak)).ln())
}

/// Rows whose logits exist at the same time.
const ROWS: usize = 128;

/// Some rows of `states`, where they lie if they follow each other, else in `room`.
fn gathered<'s>(
    states: &'s [f32],
    rows: impl ExactSizeIterator<Item = u32> + Clone,
    width: usize,
    room: &'s mut [f32],
) -> Result<&'s [f32]> {
    let (count, first) = (rows.len(), rows.clone().next().unwrap_or(0) as usize);
    if (first..).zip(rows.clone()).all(|(place, row)| row as usize == place) {
        return match states.get(first * width..(first + count) * width) {
            Some(own) => Ok(own),
            None => bail!("states {first} to {} of {} are asked for", first + count, states.len() / width.max(1)),
        };
    }
    for (row, target) in rows.zip(room.chunks_exact_mut(width)) {
        let from = row as usize * width;
        let Some(own) = states.get(from..from + width) else { bail!("state {row} is asked for and does not exist") };
        target.copy_from_slice(own);
    }
    Ok(room.get(..count * width).unwrap_or_default())
}

/// The loss of some targets, and its slopes.
struct Loss<'a> {
    projection: Projection,
    head: &'a Weight,
    targets: &'a [Target],
    z_loss: f32,
    recorded: bool,
}

/// A loss with its slopes by states and head, made with it: the logits would have to be made again later. They are empty if
/// nobody will ask.
#[derive(Default)]
struct Slopes {
    total: f64,
    nll: f64,
    of_states: Vec<f32>,
    of_head: Vec<f32>,
}

impl<'a> Loss<'a> {
    #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
    fn new(states: &Value, head: &'a Weight, targets: &'a [Target], z_loss: f64) -> Result<Self> {
        let projection = projection(states.dims(), head)?;
        if let Some(lost) = targets.iter().find(|target| target.row as usize >= projection.rows) {
            bail!("a target after state {} does not fit {} states", lost.row, projection.rows);
        }
        Ok(Self { projection, head, targets, z_loss: z_loss as f32, recorded: states.is_recorded() })
    }

    fn forward(&self, states: &[f32]) -> Result<Slopes> {
        let (precision, Projection { rows, input, out }) = (self.head.precision(), self.projection);
        let mut logits = vec![0.0; rows.min(ROWS) * out];
        let mut slopes = Slopes::default();
        if self.recorded {
            slopes.of_states = vec![0.0; rows * input];
            slopes.of_head = vec![0.0; out * input];
        }
        self.head.with_factor(|head| {
            let (mut room, mut slope) = (vec![0.0; ROWS.min(rows) * input], vec![0.0; ROWS.min(rows) * input]);
            for (number, targets) in self.targets.chunks(ROWS).enumerate() {
                let own = gathered(states, targets.iter().map(|target| target.row), input, &mut room)?;
                let (own, projection) =
                    (Factor::of(own, precision), Projection { rows: targets.len(), ..self.projection });
                let logits = logits.get_mut(..targets.len() * out).unwrap_or_default();
                projection.product(logits, Put::Replace, &own, head);
                for (row, target) in logits.chunks_exact_mut(out).zip(targets) {
                    let (nll, squared) = self.bend(row, *target)?;
                    slopes.nll += nll;
                    slopes.total += nll + squared;
                }
                if self.recorded {
                    let logits = Factor::of(logits, precision);
                    projection.to_input(&mut slope, Put::Replace, &logits, head);
                    for (target, slope) in targets.iter().zip(slope.chunks_exact(input)) {
                        let from = target.row as usize * input;
                        let of_row = slopes.of_states.get_mut(from..from + input).unwrap_or_default();
                        of_row.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += slope);
                    }
                    let how = if number == 0 { Put::Replace } else { Put::Add };
                    projection.to_weight(&mut slopes.of_head, how, &logits, &own);
                }
            }
            Ok(())
        })?;
        Ok(slopes)
    }

    /// Negative log-likelihood and z-loss of one target under the logits of its row, which become their slopes:
    /// weight · (p·(1 + 2 z ln Z) − 1 at the target).
    fn bend(&self, logits: &mut [f32], target: Target) -> Result<(f64, f64)> {
        let Some(chosen) = logits.get(target.token as usize).copied() else {
            bail!("token {} is outside a vocabulary of {}", target.token, logits.len())
        };
        let Target { token, weight, .. } = target;
        let log_sum = widest!({
            let (peak, log_sum) = log_sum(logits);
            if self.recorded {
                let factor = weight * (1.0 + 2.0 * self.z_loss * log_sum);
                let rest = log_sum - peak;
                logits.iter_mut().for_each(|logit| *logit = factor * exp(*logit - peak - rest));
            }
            log_sum
        },);
        if let Some(chosen) = logits.get_mut(token as usize) {
            *chosen -= weight;
        }
        let squared = f64::from(self.z_loss) * f64::from(log_sum) * f64::from(log_sum);
        Ok((f64::from(weight) * f64::from(log_sum - chosen), f64::from(weight) * squared))
    }
}
