"""Logits, losses and gradients of Hugging Face's own LLaMA and T5 v1.1, so that trilab's presets can be held against
the models they are named after: `python3 tests/reference/families.py > tests/reference/families.json`, with
transformers 5. Weights are the formulas of cells.py under trilab's names. Float64, but both families take their norms
in float32, and LLaMA its angles and softmax. The loss is the mean cross-entropy; gradients have eight digits."""
import json
import math

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

D, HIDDEN, H, K, L, V, THETA, EPSILON, MAX_POSITIONS, ROWS = 16, 20, 4, 6, 2, 29, 10_000.0, 1e-6, 40, 2
BUCKETS, FARTHEST = 32, 128
torch.set_num_threads(1)


def formula(name, shape):
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    wave = torch.sin(0.7 * k + 0.013 * k * k + sum(name.encode()))
    return (1 + 0.2 * wave if len(shape) == 1 else 0.3 * wave).float().double().reshape(shape)


def side(length, step):
    r, t = torch.arange(ROWS)[:, None], torch.arange(length)
    tokens = (5 * r + step * t + t * t + 3) % V
    return {"length": length, "tokens": tokens, "positions": t.repeat(ROWS, 1), "segments": torch.ones_like(tokens)}


def model(architecture, position, mlp):
    return {
        "architecture": architecture, "vocab_size": V, "d_model": D, "d_ff": HIDDEN, "num_layers": L, "num_heads": H,
        "head_dim": K, "rope_theta": THETA, "norm_epsilon": EPSILON, "position": position, "mlp": mlp,
        "norm": "rms_norm", "tied_embeddings": False, "direction": "both", "max_positions": MAX_POSITIONS,
    }


def llama():
    """The model, and per parameter of it: trilab's name, theirs over ours, and whether it is our transpose."""
    config = LlamaConfig(
        vocab_size=V, hidden_size=D, intermediate_size=HIDDEN, num_hidden_layers=L, num_attention_heads=H,
        num_key_value_heads=H, head_dim=K, rms_norm_eps=EPSILON, max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": THETA}, hidden_act="silu", tie_word_embeddings=False,
        attention_bias=False, mlp_bias=False, attention_dropout=0.0, attn_implementation="eager",
    )
    names = {"model.embed_tokens": "embedding", "model.norm": "decoder.norm", "lm_head": "head"}
    for layer in range(L):
        theirs, ours = f"model.layers.{layer}", f"decoder.layers.{layer}"
        names[f"{theirs}.input_layernorm"] = f"{ours}.attention_norm"
        names |= {f"{theirs}.self_attn.{part}_proj": f"{ours}.attention.{part}_proj" for part in "qkvo"}
        names[f"{theirs}.post_attention_layernorm"] = f"{ours}.mlp_norm"
        names |= {f"{theirs}.mlp.{part}_proj": f"{ours}.mlp.{part}_proj" for part in ("gate", "up", "down")}
    return LlamaForCausalLM(config), {theirs: (ours, 1.0, False) for theirs, ours in names.items()}


def t5():
    """As llama(). T5 does not divide its attention logits by sqrt(K): its q takes that up."""
    config = T5Config(
        vocab_size=V, d_model=D, d_kv=K, d_ff=HIDDEN, num_layers=L, num_decoder_layers=L, num_heads=H, dropout_rate=0.0,
        relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=FARTHEST, layer_norm_epsilon=EPSILON,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, attn_implementation="eager",
    )
    found = T5ForConditionalGeneration(config)
    found.lm_head.weight = torch.nn.Parameter(torch.empty(V, D))  # v5 builds it tied, whatever the configuration says
    assert not found.config.scale_decoder_outputs
    names = {"shared": ("embedding", 1.0, False), "lm_head": ("head", 1.0, False)}
    for stack, parts in (
        ("encoder", (("SelfAttention", "attention"),)),
        ("decoder", (("SelfAttention", "attention"), ("EncDecAttention", "cross_attention"))),
    ):
        table = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"
        names[table] = (f"{stack}.position_bias", 1.0, True)
        names[f"{stack}.final_layer_norm"] = (f"{stack}.norm", 1.0, False)
        for layer in range(L):
            theirs, ours = f"{stack}.block.{layer}.layer", f"{stack}.layers.{layer}"
            for place, (their_part, part) in enumerate(parts):
                names[f"{theirs}.{place}.layer_norm"] = (f"{ours}.{part}_norm", 1.0, False)
                for letter, factor in zip("qkvo", (K**-0.5, 1.0, 1.0, 1.0)):
                    names[f"{theirs}.{place}.{their_part}.{letter}"] = (f"{ours}.{part}.{letter}_proj", factor, False)
            last = f"{theirs}.{len(parts)}"
            names[f"{last}.layer_norm"] = (f"{ours}.mlp_norm", 1.0, False)
            for their_part, part in (("wi_0", "gate"), ("wi_1", "up"), ("wo", "down")):
                names[f"{last}.DenseReluDense.{their_part}"] = (f"{ours}.mlp.{part}_proj", 1.0, False)
    return found, names


def answers(family, settings, decoder_length, encoder_length=None):
    network, names = family()
    network = network.double().train()
    parameters = dict(network.named_parameters())
    assert set(parameters) == {f"{name}.weight" for name in names}, set(parameters) ^ {f"{n}.weight" for n in names}
    with torch.no_grad():
        for theirs, (ours, factor, transposed) in names.items():
            target = parameters[f"{theirs}.weight"]
            weight = formula(f"{ours}.weight", target.T.shape if transposed else target.shape)
            target.copy_(factor * (weight.T if transposed else weight))
    decoder, encoder = side(decoder_length, 3), encoder_length and side(encoder_length, 8)
    targets = (decoder["tokens"] * 7 + 1) % V
    if encoder:
        found = network(input_ids=encoder["tokens"], decoder_input_ids=decoder["tokens"], use_cache=False)
    else:
        found = network(input_ids=decoder["tokens"], use_cache=False)
    loss = F.cross_entropy(found.logits.reshape(-1, V), targets.reshape(-1))
    loss.backward()
    def gradient(theirs, factor, transposed):
        whole = factor * parameters[f"{theirs}.weight"].grad
        whole = whole.T if transposed else whole
        return [float(f"{value:.7e}") for value in whole.flatten().tolist()]

    gradients = {
        f"{ours}.weight": gradient(theirs, factor, transposed) for theirs, (ours, factor, transposed) in names.items()
    }
    batch = {"rows": ROWS, "decoder": decoder, "encoder": encoder, "targets": targets}
    batch |= {"loss_weights": torch.ones(targets.shape), "prefix_lengths": [0] * ROWS}
    found = {"logits": found.logits.detach(), "loss": loss.item(), "gradients": gradients}
    return {"model": settings, "batch": batch, "z_loss": 0.0} | found


print(json.dumps({
    "llama": answers(llama, model("CD", "rope", "swiglu"), 12),
    "t5": answers(t5, model("ED", "t5_bias", "geglu"), 24, 40),  # so far that the wide buckets count
}, default=lambda tensor: tensor.flatten().tolist()))
