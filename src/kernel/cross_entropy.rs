//! Cross-entropy of chosen targets, of logits or straight from the states that are projected to them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp2, D, DType, Layout, Result, Shape, Tensor, bail};

use super::host::{all_hosted, given, gradient_of, values, with_values};
use super::linear::linear;
use super::matrix::{Projection, Put};
use super::vector::{exp, largest, softmax, sum_of, widest};

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
    /// The token that is right.
    pub token: u32,
    /// What its negative log-likelihood counts.
    pub weight: f32,
}

/// Σ weight · negative log-likelihood in nats of `targets`, one per row of `states [N, D]`, under the logits `states · headᵀ`
/// with `head [V, D]`. Gives a scalar. On a processor the logits are made, used and forgotten a few rows at a time.
///
/// # Errors
/// Shapes do not fit, a target is outside the vocabulary, or the device fails.
pub fn projected_loss(states: &Tensor, head: &Tensor, targets: Vec<Target>) -> Result<Tensor> {
    if !all_hosted(&[states, head]) {
        plain(states, head, &targets)
    } else if states.track_op() || head.track_op() {
        let operation = ProjectedLoss { targets, gradients: Mutex::default() };
        states.contiguous()?.apply_op2(&head.contiguous()?, operation)
    } else {
        let asked: Vec<Asked> = (0..).zip(targets.iter().map(|target| target.token)).collect();
        let found = likelihoods(states, head, &asked)?;
        let weighted =
            found.iter().zip(&targets).map(|(found, target)| f64::from(found.nll) * f64::from(target.weight));
        #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
        Tensor::new(weighted.sum::<f64>() as f32, states.device())
    }
}

/// The reference.
///
/// # Errors
/// As for [`projected_loss`].
pub fn plain(states: &Tensor, head: &Tensor, targets: &[Target]) -> Result<Tensor> {
    let tokens: Vec<u32> = targets.iter().map(|target| target.token).collect();
    let weights: Vec<f32> = targets.iter().map(|target| target.weight).collect();
    let tokens = Tensor::from_vec(tokens, targets.len(), states.device())?;
    let weights = Tensor::from_vec(weights, targets.len(), states.device())?.to_dtype(states.dtype())?;
    (negative_log_likelihood(&linear(states, head)?, &tokens)? * weights)?.sum_all()
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
pub fn likelihoods(states: &Tensor, head: &Tensor, asked: &[Asked]) -> Result<Vec<Likelihood>> {
    if !all_hosted(&[states, head]) {
        return plain_likelihoods(states, head, asked);
    }
    let ((rows, width), (vocabulary, _)) = (states.dims2()?, head.dims2()?);
    if let Some((row, token)) = asked.iter().find(|(row, token)| *row as usize >= rows || *token as usize >= vocabulary)
    {
        bail!("token {token} after state {row} is asked of {rows} states and a vocabulary of {vocabulary}");
    }
    let mut found = vec![Likelihood { nll: 0.0, greedy: false }; asked.len()];
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_by_key(|at| asked.get(*at).map(|(row, _)| *row));
    let mut order =
        order.into_iter().filter_map(|at| asked.get(at).map(|(row, token)| (at, *row as usize, *token))).peekable();
    let mut logits = vec![0.0; rows.min(ROWS) * vocabulary];
    with_values([&states.contiguous()?, &head.contiguous()?], |[states, head]| {
        for first in (0..rows).step_by(ROWS) {
            let count = ROWS.min(rows - first);
            let own = states.get(first * width..).unwrap_or_default();
            let projection = Projection { rows: count, input: width, out: vocabulary };
            projection.product(&mut logits, Put::Replace, own, head);
            for (number, row) in logits.chunks_exact(vocabulary).take(count).enumerate() {
                let asks = |ask: &(usize, usize, u32)| ask.1 == first + number;
                let mut denominator = None;
                while let Some((at, _, token)) = order.next_if(asks) {
                    let (peak, denominator) = *denominator.get_or_insert_with(|| widest(|| log_sum(row)));
                    let logit = row.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
                    if let Some(found) = found.get_mut(at) {
                        *found = Likelihood { nll: denominator - logit, greedy: logit >= peak };
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The reference.
///
/// # Errors
/// As for [`likelihoods`].
pub fn plain_likelihoods(states: &Tensor, head: &Tensor, asked: &[Asked]) -> Result<Vec<Likelihood>> {
    let (rows, tokens): (Vec<u32>, Vec<u32>) = asked.iter().copied().unzip();
    let rows = Tensor::from_vec(rows, asked.len(), states.device())?;
    let logits = linear(states, head)?.index_select(&rows, 0)?; // [asked, V]
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

struct ProjectedLoss {
    targets: Vec<Target>,
    /// Gradients by states and head of the loss, made with it: the logits would have to be made again later.
    gradients: Mutex<(Vec<f32>, Vec<f32>)>,
}

impl ProjectedLoss {
    fn gradients(&self) -> MutexGuard<'_, (Vec<f32>, Vec<f32>)> {
        self.gradients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CustomOp2 for ProjectedLoss {
    fn name(&self) -> &'static str {
        "projected-loss"
    }

    #[expect(clippy::cast_possible_truncation, reason = "f32 is meant")]
    fn cpu_fwd(&self, states: &CpuStorage, ls: &Layout, head: &CpuStorage, lh: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((rows, width), (vocabulary, _)) = (ls.shape().dims2()?, lh.shape().dims2()?);
        let (states, head) = (values((states, ls))?, values((head, lh))?);
        if rows != self.targets.len() || head.len() != vocabulary * width {
            bail!("{} targets and a head {:?} do not fit {rows} states of {width}", self.targets.len(), lh.shape());
        }
        let mut logits = vec![0.0; rows.min(ROWS) * vocabulary];
        let (mut of_states, mut of_head) = (vec![0.0; states.len()], vec![0.0; head.len()]);
        let mut loss = 0.0_f64;
        let parts = self.targets.chunks(ROWS).zip(states.chunks(ROWS * width)).zip(of_states.chunks_mut(ROWS * width));
        for ((targets, own), of_own) in parts {
            let projection = Projection { rows: targets.len(), input: width, out: vocabulary };
            projection.product(&mut logits, Put::Replace, own, head);
            for (row, target) in logits.chunks_exact_mut(vocabulary).zip(targets) {
                let Some(chosen) = row.get(target.token as usize).copied() else {
                    bail!("token {} is outside a vocabulary of {vocabulary}", target.token)
                };
                let denominator = widest(|| softmax(row, target.weight));
                loss += f64::from(target.weight) * f64::from(denominator - chosen);
                if let Some(chosen) = row.get_mut(target.token as usize) {
                    *chosen -= target.weight;
                }
            }
            projection.to_input(of_own, &logits, head);
            projection.to_weight(&mut of_head, &logits, own);
        }
        *self.gradients() = (of_states, of_head);
        Ok(given(vec![loss as f32], ()))
    }

    fn bwd(
        &self,
        states: &Tensor,
        head: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (mut of_states, mut of_head) = std::mem::take(&mut *self.gradients());
        let factor = grad.to_scalar::<f32>()?;
        widest(|| of_states.iter_mut().chain(&mut of_head).for_each(|slope| *slope *= factor));
        Ok((gradient_of(states, of_states)?, gradient_of(head, of_head)?))
    }
}
