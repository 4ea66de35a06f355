//! Root-mean-square normalisation.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};

use super::host::{all_hosted, given, gradient_of, values, with_values};
use super::vector::{dot, widest};

/// RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4): `x / √(mean(x²) + ε) ⊙ gain`, for `x [.., D]`, `gain [D]`.
///
/// # Errors
/// Shapes differ, or the device fails.
pub fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    if all_hosted(&[x, gain]) {
        x.contiguous()?.apply_op2(&gain.contiguous()?, RmsNorm { epsilon, scales: OnceLock::new() })
    } else {
        plain(x, gain, epsilon)
    }
}

/// The reference.
///
/// # Errors
/// Shapes do not fit, or the device fails.
pub fn plain(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?; // [.., 1]
    x.broadcast_div(&(mean_square + epsilon)?.sqrt()?)?.broadcast_mul(gain)
}

struct RmsNorm {
    epsilon: f64,
    /// 1 / √(mean(x²) + ε) of every row, kept for the gradient.
    scales: OnceLock<Vec<f32>>,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "widths are small; f32 is meant")]
    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, gain: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, gain) = (values((x, lx))?, values((gain, lg))?);
        let width = gain.len();
        if width == 0 || lx.shape().dims().last() != Some(&width) {
            bail!("a gain of {width} does not fit {:?}", lx.shape());
        }
        let mut normed = Vec::with_capacity(x.len());
        let mut scales = Vec::with_capacity(x.len() / width);
        widest(|| {
            for row in x.chunks_exact(width) {
                let scale = 1.0 / (dot(row, row) / width as f32 + self.epsilon as f32).sqrt();
                normed.extend(row.iter().zip(gain).map(|(x, gain)| x * scale * gain));
                scales.push(scale);
            }
        });
        drop(self.scales.set(scales));
        Ok(given(normed, lx.shape().clone()))
    }

    /// With s = 1/√(mean(x²) + ε) and h = g ⊙ gain: dx = s·h − x·s³·(h·x)/D, and dgain = Σ g ⊙ x·s.
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    fn bwd(&self, x: &Tensor, gain: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(scales) = self.scales.get() else { bail!("the backward pass came before the forward pass") };
        let width = gain.elem_count();
        let (mut dx, mut dgain) = (Vec::with_capacity(x.elem_count()), vec![0.0_f32; width]);
        let mut lean = vec![0.0_f32; width];
        with_values([x, gain, &grad.contiguous()?], |[x, gain, grad]| {
            widest(|| {
                for ((x, grad), s) in x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(scales) {
                    let targets = lean.iter_mut().zip(&mut dgain);
                    for (((lean, sum), (x, grad)), gain) in targets.zip(x.iter().zip(grad)).zip(gain) {
                        *lean = grad * gain;
                        *sum += grad * x * s;
                    }
                    let pull = dot(&lean, x) * s * s * s / width as f32;
                    dx.extend(lean.iter().zip(x).map(|(h, x)| s * h - x * pull));
                }
            });
            Ok(())
        })?;
        Ok((gradient_of(x, dx)?, gradient_of(gain, dgain)?))
    }
}
