//! Scaled dot-product attention through a mask, with rotary positions. On a processor it is one operation that never holds
//! more than a block of queries times their keys: the forward pass keeps the logarithm of each softmax denominator, the
//! backward pass computes the probabilities again from it (Dao et al. 2022, arXiv 2205.14135, algorithms 1 and 4).

use candle_core::{D, Result, Tensor, bail};

use super::crew::Part;
use super::host::with_values;
use super::mask::{Mask, Seen};
use super::matrix::multiply;
use super::position_bias::PositionBias;
use super::rope::{AllAngles, Angles, Rotation};
use super::shape::{Put, Shape};
use super::tape::{Numbers, Value, single};
use super::vector::{self, dot, exp, widest};

/// Softmax over the last dimension. The maximum is a constant to the gradient: it cancels, and candle would otherwise
/// differentiate it.
///
/// # Errors
/// The device fails.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    let peak = logits.max_keepdim(D::Minus1)?.detach();
    let exponentials = logits.broadcast_sub(&peak)?.exp()?;
    exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)
}

/// `x [B, T, H·K]` by heads: `[B, H, T, K]`.
fn by_head(x: &Tensor, num_heads: usize) -> Result<Tensor> {
    let (batch, length, inner) = x.dims3()?;
    x.reshape((batch, length, num_heads, inner / num_heads))?.transpose(1, 2)?.contiguous()
}

/// Attention logits before any mask and bias: q kᵀ / √K for `q [B, T, H·K]` and `k [B, S, H·K]`, each turned if it has a
/// rotation. Gives `[B, H, T, S]`.
///
/// # Errors
/// Shapes do not fit, or the device fails.
#[expect(clippy::cast_precision_loss, reason = "head sizes are small")]
pub fn logits(q: &Tensor, k: &Tensor, num_heads: usize, [of_q, of_k]: [Option<&Rotation>; 2]) -> Result<Tensor> {
    let turned = |x: &Tensor, rotation: Option<&Rotation>| {
        let x = by_head(x, num_heads)?;
        rotation.map_or_else(|| Ok(x.clone()), |rotation| rotation.apply(&x))
    };
    let (q, k) = (turned(q, of_q)?, turned(k, of_k)?);
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    (q * scale)?.matmul(&k.transpose(2, 3)?)
}

/// How queries look at keys.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Heads that share the width.
    pub num_heads: usize,
    /// Who sees whom.
    pub mask: &'a Mask,
    /// Turn queries and keys, in self-attention.
    pub rotations: [Option<&'a Rotation>; 2],
    /// Added to the logits.
    pub bias: Option<&'a PositionBias>,
}

/// Attention: softmax(q kᵀ / √K + bias + mask) v for `q [B, T, H·K]`, `k` and `v [B, S, H·K]` (Vaswani et al. 2017, arXiv
/// 1706.03762, eq. 1), queries and keys turned if there is a rotation. Gives `[B, T, H·K]`. Its products are in f32 in every
/// precision of a run: they are small, and rounding would cost as much as it saves.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn attend(q: &Value, k: &Value, v: &Value, sight: Sight<'_>) -> Result<Value> {
    let inputs = [q, k, v];
    if !q.is_hosted() {
        let mixed = plain(inputs, sight)?;
        return Ok(single(Value::elsewhere(&inputs, [mixed])));
    }
    let attend = Attend::new(inputs.map(Value::tensor), sight)?;
    let (mixed, denominators) = with_values(inputs.map(Value::tensor), |[q, k, v]| attend.forward(q, k, v))?;
    let mixed = Tensor::from_vec(mixed, q.tensor().shape(), q.tensor().device())?;
    let ([q, k, v], places, kept) = (inputs.map(|x| x.tensor().clone()), inputs.map(Value::place), mixed.clone());
    let back = move |numbers: &mut Numbers, [slope]: [Vec<f32>; 1], part: &Part| {
        let (slopes, of_biases) = with_values([&q, &k, &v, &kept], |[q, k, v, mixed]| {
            attend.backward([q, k, v], mixed, &denominators, &slope)
        })?;
        if let Some(bias) = &attend.bias {
            bias.add_slopes(part, &of_biases)?;
        }
        places.into_iter().zip(slopes).for_each(|(place, slope)| numbers.give(place, slope));
        Ok(())
    };
    Ok(single(Value::record(&inputs, [mixed], back)))
}

/// The reference.
///
/// # Errors
/// As for [`attend`].
pub fn plain([q, k, v]: [&Value; 3], sight: Sight<'_>) -> Result<Tensor> {
    let Sight { num_heads, mask, rotations, bias } = sight;
    let mut logits = logits(q.tensor(), k.tensor(), num_heads, rotations)?;
    if let Some(bias) = bias {
        let (_, _, queries, keys) = logits.dims4()?;
        logits = logits.broadcast_add(&bias.plain(q, queries, keys)?)?;
    }
    let mask = mask.additive(num_heads)?.to_dtype(logits.dtype())?;
    let mixed = softmax(&logits.broadcast_add(&mask)?)?.matmul(&by_head(v.tensor(), num_heads)?)?; // [B, H, T, K]
    mixed.transpose(1, 2)?.reshape(q.tensor().shape())
}

/// Queries that are worked on together.
const BLOCK: usize = 64;

struct Attend {
    sizes: Sizes,
    num_heads: usize,
    mask: Mask,
    rotations: [Option<Rotation>; 2],
    bias: Option<PositionBias>,
    /// The biases of each head by distance, from the last query's first key on; empty if there are none.
    biases: Vec<f32>,
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    inner: usize,
    head: usize,
}

impl Sizes {
    #[expect(clippy::cast_precision_loss, reason = "head sizes are small")]
    fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }

    /// Where one head of one row begins in a tensor of `length` positions, and how it lies there.
    fn place(&self, row: usize, head: usize, length: usize) -> (usize, Shape) {
        (row * length * self.inner + head * self.head, Shape::apart(length, self.head, self.inner))
    }
}

/// One head of one row: where its queries and keys lie, and how they turn.
struct Head<'a> {
    row: usize,
    number: usize,
    turns: [Option<Angles<'a>>; 2],
    queries: (usize, Shape),
    keys: (usize, Shape),
}

/// A block of queries and the keys that any of them sees.
#[derive(Clone, Copy)]
struct Block<'m> {
    first: usize,
    seen: &'m [Seen],
    from: usize,
    to: usize,
}

fn blocks(seen: &[Seen]) -> impl Iterator<Item = Block<'_>> {
    seen.chunks(BLOCK).enumerate().map(|(number, seen)| {
        let from = seen.iter().map(|seen| seen.run.0).min().unwrap_or(0) as usize;
        let to = seen.iter().map(|seen| seen.run.1).max().unwrap_or(0) as usize;
        Block { first: number * BLOCK, seen, from, to }
    })
}

/// What a query sees of the keys of its block, counted from the first of them.
#[derive(Clone, Copy)]
struct Window {
    first: usize,
    last: usize,
    hidden: (usize, usize),
}

impl Window {
    /// Does `hide` to everything in `row` that is not seen, but for what is before and behind.
    #[inline(always)]
    fn hide(self, row: &mut [f32], value: f32) {
        if self.hidden.0 < self.hidden.1 {
            row.get_mut(self.hidden.0..self.hidden.1).unwrap_or_default().fill(value);
        }
    }
}

impl Block<'_> {
    const fn width(&self) -> usize {
        self.to - self.from
    }

    /// Every row of `of` with what its query sees of it.
    fn rows<'a>(&'a self, of: &'a mut [f32]) -> impl Iterator<Item = (&'a mut [f32], Window)> {
        let place = |key: u32| (key as usize).saturating_sub(self.from);
        of.chunks_exact_mut(self.width()).zip(self.seen).map(move |(row, Seen { run, hidden })| {
            let hidden = (place(hidden.0), place(hidden.1));
            (row, Window { first: place(run.0), last: place(run.1), hidden })
        })
    }
}

/// The numbers of `all` from `at` on.
fn from(all: &[f32], at: usize) -> &[f32] {
    all.get(at..).unwrap_or_default()
}

fn from_mut(all: &mut [f32], at: usize) -> &mut [f32] {
    all.get_mut(at..).unwrap_or_default()
}

/// `count` numbers of `all` from `at` on.
fn span(all: &[f32], at: usize, count: usize) -> &[f32] {
    all.get(at..at + count).unwrap_or_default()
}

/// One head of one row of `all`, turned and times `factor`, row after row in `into`.
#[inline(always)]
fn gather(into: &mut [f32], all: &[f32], (start, shape): (usize, Shape), turn: Option<Angles<'_>>, factor: f32) {
    for (position, target) in into.chunks_exact_mut(shape.columns).enumerate() {
        let at = start + position * shape.row_stride;
        let source = span(all, at, shape.columns);
        target.iter_mut().zip(source).for_each(|(target, source)| *target = source * factor);
        if let Some(turn) = turn {
            turn.rotate(target, position);
        }
    }
}

/// The reverse: `source` turned back and times `factor` into its place in `all`.
#[inline(always)]
fn scatter(all: &mut [f32], (start, shape): (usize, Shape), source: &mut [f32], turn: Option<Angles<'_>>, factor: f32) {
    for (position, source) in source.chunks_exact_mut(shape.columns).enumerate() {
        if let Some(turn) = turn {
            turn.rotate_back(source, position);
        }
        let at = start + position * shape.row_stride;
        let target = all.get_mut(at..at + shape.columns).unwrap_or_default();
        target.iter_mut().zip(source).for_each(|(target, source)| *target = *source * factor);
    }
}

impl Attend {
    fn new([q, k, v]: [&Tensor; 3], Sight { num_heads, mask, rotations, bias }: Sight<'_>) -> Result<Self> {
        let ([batch, queries, inner], [_, keys, _]) = (q.dims(), k.dims()) else {
            bail!("queries and keys have three dimensions")
        };
        let (rows, masked_queries, masked_keys) = mask.dims();
        let fits = (masked_queries, masked_keys) == (*queries, *keys) && (rows == 1 || rows == *batch);
        let same = k.dims() == [*batch, *keys, *inner] && v.dims() == k.dims();
        let biased = bias.is_none_or(|bias| bias.fits(num_heads, *queries, *keys));
        if !same || !fits || !biased || num_heads == 0 || inner % num_heads != 0 {
            bail!("queries {:?}, keys {:?}, values {:?} and a mask of {:?} do not fit", q, k, v, mask.dims());
        }
        let sizes = Sizes { batch: *batch, queries: *queries, keys: *keys, inner: *inner, head: inner / num_heads };
        let (bias, rotations) = (bias.cloned(), rotations.map(Option::<&Rotation>::cloned));
        let biases = bias.as_ref().map_or_else(|| Ok(Vec::new()), PositionBias::by_distance)?;
        Ok(Self { sizes, num_heads, mask: mask.clone(), rotations, bias, biases })
    }

    /// Room for the turned queries and keys of one head of one row.
    fn turned(&self) -> [Vec<f32>; 2] {
        [self.sizes.queries, self.sizes.keys].map(|length| vec![0.0; length * self.sizes.head])
    }

    /// Every head of every row: its number, where its queries and keys are, and how they turn.
    fn heads<'a>(&self, angles: [Option<AllAngles<'a>>; 2]) -> impl Iterator<Item = Head<'a>> {
        let (sizes, num_heads) = (self.sizes, self.num_heads);
        let all = (0..sizes.batch).flat_map(move |row| (0..num_heads).map(move |number| (row, number)));
        all.map(move |(row, number)| {
            let of = |length: usize| sizes.place(row, number, length);
            let turns = angles.map(|angles| angles.map(|angles| angles.of(row)));
            Head { row, number, turns, queries: of(sizes.queries), keys: of(sizes.keys) }
        })
    }

    /// Turns the queries and keys of a head into their room; queries are scaled for their products.
    fn turn(&self, head: &Head<'_>, [of_q, of_k]: &mut [Vec<f32>; 2], [q, k]: [&[f32]; 2]) {
        widest!({
            let [turn_q, turn_k] = head.turns;
            gather(of_q, q, head.queries, turn_q, self.sizes.scale());
            gather(of_k, k, head.keys, turn_k, 1.0);
        });
    }

    /// Where the biases of a query of a block for the block's keys are: nowhere if there are none.
    fn distances(&self, head: usize, block: Block<'_>, number: usize) -> std::ops::Range<usize> {
        let all = self.sizes.queries + self.sizes.keys - 1;
        let from = head * all + block.from + self.sizes.queries - 1 - (block.first + number);
        if self.biases.is_empty() { usize::MAX..usize::MAX } else { from..from + block.width() }
    }

    /// The angles of queries and of keys, for `work`.
    fn with_angles<R>(&self, work: impl FnOnce([Option<AllAngles<'_>>; 2]) -> Result<R>) -> Result<R> {
        let [of_q, of_k] = &self.rotations;
        Rotation::with_angles(of_q.as_ref(), |of_q| Rotation::with_angles(of_k.as_ref(), |of_k| work([of_q, of_k])))
    }

    /// What each query mixes, and ln Σ exp(logit) of every row, head and query, `[B, H, T]`.
    fn forward(&self, q: &[f32], k: &[f32], v: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let sizes = self.sizes;
        let mut mixed = vec![0.0; q.len()];
        let mut denominators = Vec::with_capacity(sizes.batch * self.num_heads * sizes.queries);
        let (mut turned, mut scores) = (self.turned(), vec![0.0; BLOCK * sizes.keys]);
        self.with_angles(|angles| {
            for head in self.heads(angles) {
                self.turn(&head, &mut turned, [q, k]);
                let ([turned_q, turned_k], (at_q, _), (at_k, _)) = (&turned, head.queries, head.keys);
                for block in blocks(self.mask.row(head.row, head.number, self.num_heads)) {
                    let count = block.seen.len();
                    let shape = Shape::rows(count, block.width());
                    let queries = (from(turned_q, block.first * sizes.head), Shape::rows(count, sizes.head));
                    let keys = (from(turned_k, block.from * sizes.head), Shape::rows(block.width(), sizes.head));
                    let scores = scores.get_mut(..count * block.width()).unwrap_or_default();
                    multiply((scores, shape), Put::Replace, queries, (keys.0, keys.1.transposed()));
                    widest!({
                        for (number, (scores, window)) in block.rows(scores).enumerate() {
                            if let Some(biases) = self.biases.get(self.distances(head.number, block, number)) {
                                scores.iter_mut().zip(biases).for_each(|(score, bias)| *score += bias);
                            }
                            denominators.push(normalize(scores, window));
                        }
                    },);
                    let values = (
                        from(v, at_k + block.from * sizes.inner),
                        Shape::apart(block.width(), sizes.head, sizes.inner),
                    );
                    let target = from_mut(&mut mixed, at_q + block.first * sizes.inner);
                    let into = Shape::apart(count, sizes.head, sizes.inner);
                    multiply((target, into), Put::Replace, (scores, shape), values);
                }
            }
            Ok((mixed, denominators))
        })
    }

    /// The slopes of queries, keys, values and biases. With P = softmax(S), S = q kᵀ / √K, O = P v and D = Σ dO ⊙ O by query:
    /// dv = Pᵀ dO, dS = P ⊙ (dO vᵀ − D), dq = dS k / √K, dk = dSᵀ q / √K.
    fn backward(
        &self,
        [q, k, v]: [&[f32]; 3],
        mixed: &[f32],
        denominators: &[f32],
        grad: &[f32],
    ) -> Result<([Vec<f32>; 3], Vec<f32>)> {
        let sizes = self.sizes;
        let mut of_biases = vec![0.0; self.biases.len()];
        let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
        let (mut turned, mut turned_slopes) = (self.turned(), self.turned());
        let (mut scores, mut slopes) = (vec![0.0; BLOCK * sizes.keys], vec![0.0; BLOCK * sizes.keys]);
        let mut denominators = denominators.iter();
        self.with_angles(|angles| {
            for head in self.heads(angles) {
                self.turn(&head, &mut turned, [q, k]);
                let ([turned_q, turned_k], [turned_dq, turned_dk]) = (&turned, &mut turned_slopes);
                turned_dk.fill(0.0);
                for block in blocks(self.mask.row(head.row, head.number, self.num_heads)) {
                    let count = block.seen.len();
                    let shape = Shape::rows(count, block.width());
                    let narrow = Shape::rows(count, sizes.head);
                    let wide = Shape::rows(block.width(), sizes.head);
                    let queries = (from(turned_q, block.first * sizes.head), narrow);
                    let keys = (from(turned_k, block.from * sizes.head), wide);
                    let scores = scores.get_mut(..count * block.width()).unwrap_or_default();
                    let slopes = slopes.get_mut(..count * block.width()).unwrap_or_default();
                    multiply((scores, shape), Put::Replace, queries, (keys.0, keys.1.transposed()));
                    let at_q = head.queries.0 + block.first * sizes.inner;
                    let at_k = head.keys.0 + block.from * sizes.inner;
                    let upstream = (from(grad, at_q), Shape::apart(count, sizes.head, sizes.inner));
                    let values = (from(v, at_k), Shape::apart(block.width(), sizes.head, sizes.inner));
                    multiply((slopes, shape), Put::Replace, upstream, (values.0, values.1.transposed()));
                    widest!({
                        for (number, ((scores, window), slopes)) in
                            block.rows(scores).zip(slopes.chunks_exact_mut(block.width())).enumerate()
                        {
                            let denominator = denominators.next().copied().unwrap_or(f32::INFINITY);
                            let at = at_q + number * sizes.inner;
                            let own = dot(span(grad, at, sizes.head), span(mixed, at, sizes.head));
                            let distances = self.distances(head.number, block, number);
                            if let Some(biases) = self.biases.get(distances.clone()) {
                                scores.iter_mut().zip(biases).for_each(|(score, bias)| *score += bias);
                            }
                            lean(scores, slopes, window, denominator, own);
                            if let Some(sums) = of_biases.get_mut(distances) {
                                sums.iter_mut().zip(&*slopes).for_each(|(sum, slope)| *sum += slope);
                            }
                        }
                    },);
                    let into_v = Shape::apart(block.width(), sizes.head, sizes.inner);
                    multiply((from_mut(&mut dv, at_k), into_v), Put::Add, (scores, shape.transposed()), upstream);
                    let turned = from_mut(turned_dq, block.first * sizes.head);
                    multiply((turned, narrow), Put::Replace, (slopes, shape), keys);
                    let turned = from_mut(turned_dk, block.from * sizes.head);
                    multiply((turned, wide), Put::Add, (slopes, shape.transposed()), queries);
                }
                widest!({
                    let [turn_q, turn_k] = head.turns;
                    scatter(&mut dq, head.queries, turned_dq, turn_q, sizes.scale());
                    scatter(&mut dk, head.keys, turned_dk, turn_k, 1.0);
                },);
            }
            Ok(([dq, dk, dv], of_biases))
        })
    }
}

/// Makes probabilities of one row of scores: the softmax over what is seen, 0 elsewhere. Gives the logarithm of its
/// denominator.
#[inline(always)]
fn normalize(scores: &mut [f32], window: Window) -> f32 {
    window.hide(scores, f32::NEG_INFINITY);
    let (before, rest) = scores.split_at_mut(window.first);
    let (seen, after) = rest.split_at_mut(window.last - window.first);
    before.fill(0.0);
    after.fill(0.0);
    let denominator = vector::softmax(seen, 1.0);
    // The exponential of −∞ is not quite 0.
    window.hide(scores, 0.0);
    denominator
}

/// Makes probabilities of one row of scores again, and of the slopes dO vᵀ the gradient of the scores.
#[inline(always)]
fn lean(scores: &mut [f32], slopes: &mut [f32], window: Window, denominator: f32, own: f32) {
    let Window { first, last, .. } = window;
    for unseen in [&mut *scores, &mut *slopes] {
        unseen.get_mut(..first).unwrap_or_default().fill(0.0);
        unseen.get_mut(last..).unwrap_or_default().fill(0.0);
    }
    // Slices, not adaptors: those are not always inlined, and so not compiled for the processor at hand.
    let seen = scores.get_mut(first..last).unwrap_or_default();
    for (score, slope) in seen.iter_mut().zip(slopes.get_mut(first..last).unwrap_or_default()) {
        *score = exp(*score - denominator);
        *slope = *score * (*slope - own);
    }
    window.hide(scores, 0.0);
    window.hide(slopes, 0.0);
}
