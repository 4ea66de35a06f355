"""Logits, gradients and AdamW steps of every architecture, position, MLP, norm, embedding and direction in PyTorch,
written from the papers and independent of trilab: `python3 tests/reference/cells.py tests/reference` writes cells.json
(settings, batches, losses) and cells.safetensors (`{cell}/logits`, `{cell}/gradient/{parameter}` of the first step,
before clipping, `{cell}/after/{parameter}` after three steps); with `--check` it also asserts who sees whom. Any two
values of two settings that can meet do meet in some cell. Computed in float64, stored in float32. Weights are formulas:
w[k] = 0.3 sin(0.7 k + 0.013 k^2 + s), gains 1 + 0.2 sin(...), biases 0.2 sin(...), s the sum of the name's bytes."""
import itertools
import json
import math
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

D, HIDDEN, H, K, V, THETA, EPSILON, MAX_POSITIONS = 16, 20, 4, 6, 29, 10_000.0, 1e-6, 12
STEPS, RATE, BETAS, TINY, DECAY, CLIP, Z_LOSS = 3, 2e-3, (0.9, 0.95), 1e-8, 0.1, 1.0, 1e-3
BUCKETS, FARTHEST, TYPE = 32, 128, torch.float64
torch.set_num_threads(1)

SETTINGS = {
    "architecture": ("CD", "ND", "ED", "EDS", "EDH", "EDC", "EDM", "EO"),
    "position": ("rope", "t5_bias", "alibi", "learned", "none"),
    "mlp": ("swiglu", "geglu", "gelu", "relu"),
    "norm": ("rms_norm", "layer_norm"),
    "tied_embeddings": (False, True),
    "direction": ("both", "mixed_heads", "alternating_layers"),
}
PRESETS = (("rope", "swiglu", "rms_norm", False, "both"), ("t5_bias", "geglu", "rms_norm", True, "both"))
ALONE = {"CD": "causal", "ND": "prefix", "EO": "full"}  # architectures of one stack, and what it sees
BLANKS = (  # GLM (Du et al. 2022): second positions, inside a blank
    ("ND", "rope", "geglu", "layer_norm", True, "both"), ("ND", "learned", "gelu", "layer_norm", False, "both"),
)


def legal(architecture, position, mlp, norm, tied, direction):
    if position == "alibi" and architecture not in ALONE or position == "t5_bias" and architecture == "EDM":
        return False
    return direction == "both" or architecture not in ("CD", "ND", "EDC")


def cover():
    """The presets, then whatever adds the most pairs, the first of equals."""
    def pairs(cell):
        return set(itertools.combinations(enumerate(cell), 2))

    cells = [cell for cell in itertools.product(*SETTINGS.values()) if legal(*cell)]
    chosen = [cell for cell in cells if cell[1:] in PRESETS]
    missing = set().union(*map(pairs, cells)).difference(*map(pairs, chosen))
    while missing:
        chosen.append(max(cells, key=lambda cell: len(pairs(cell) & missing)))
        missing -= pairs(chosen[-1])
    return sorted(chosen, key=cells.index)


def model(*cell):
    sizes = {"vocab_size": V, "d_model": D, "d_ff": HIDDEN, "num_layers": 4 if cell[0] == "EDH" else 2, "num_heads": H}
    numbers = {"head_dim": K, "rope_theta": THETA, "norm_epsilon": EPSILON, "max_positions": MAX_POSITIONS}
    return dict(zip(SETTINGS, cell)) | sizes | numbers


def filling(m):
    return m | {"block_positions": 6}


def depth(m):
    return m["num_layers"] // 2 if m["architecture"] == "EDH" else m["num_layers"]


def weights(m):
    found = {}

    def add(name, *shape):
        k = torch.arange(math.prod(shape), dtype=torch.float64)
        wave = torch.sin(0.7 * k + 0.013 * k * k + sum(name.encode()))
        wave = 0.2 * wave if name.endswith(".bias") else 1 + 0.2 * wave if len(shape) == 1 else 0.3 * wave
        found[name] = wave.float().to(TYPE).reshape(shape).requires_grad_()

    def norm(name):
        for part in ["weight"] + ["bias"] * (m["norm"] == "layer_norm"):
            add(f"{name}.{part}", D)

    def stack(name, blocks, cross):
        for block in (f"{name}.layers.{layer}" for layer in range(blocks)):
            for part in ["attention"] + ["cross_attention"] * cross:
                norm(f"{block}.{part}_norm")
                for projection in ("q_proj", "k_proj", "v_proj"):
                    add(f"{block}.{part}.{projection}.weight", H * K, D)
                add(f"{block}.{part}.o_proj.weight", D, H * K)
            norm(f"{block}.mlp_norm")
            for part in ["gate"] * (m["mlp"] in ("swiglu", "geglu")) + ["up"]:
                add(f"{block}.mlp.{part}_proj.weight", HIDDEN, D)
            add(f"{block}.mlp.down_proj.weight", D, HIDDEN)
        norm(f"{name}.norm")
        if m["position"] == "t5_bias":
            add(f"{name}.position_bias.weight", H, BUCKETS)

    add("embedding.weight", V, D)
    if m["position"] == "learned":
        add("position_embedding.weight", MAX_POSITIONS, D)
    if m.get("block_positions"):
        add("block_position_embedding.weight", m["block_positions"], D)
    alone = m["architecture"] in ALONE
    if not alone:
        stack("encoder", 0 if m["architecture"] == "EDS" else depth(m), False)
    stack("decoder", depth(m), not alone and m["architecture"] != "EDM")
    if not m["tied_embeddings"]:
        add("head.weight", V, D)
    return found


def rotate(x, positions):  # Su et al. 2021, halves against each other; x [B, H, T, K]
    angle = positions[:, None, :, None].to(TYPE) * THETA ** (-2 * torch.arange(K // 2, dtype=TYPE) / K)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def bucket(distance, bidirectional):  # Raffel et al. 2020 and its code; distance = key - query
    count, first = BUCKETS, 0
    if bidirectional:
        count, first, distance = BUCKETS // 2, (distance > 0) * (BUCKETS // 2), distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    near = count // 2
    far = torch.log(distance.clamp(min=1) / near) / math.log(FARTHEST / near) * (count - near)
    return first + torch.where(distance < near, distance, (near + far.long()).clamp(max=count - 1))


def forward(m, w, batch):
    """Logits [rows, decoder length, V]."""
    kind, gated, zero = m["architecture"], m["mlp"] in ("swiglu", "geglu"), torch.zeros((), dtype=TYPE)

    def norm(x, name):
        if m["norm"] == "layer_norm":  # Ba et al. 2016
            x = x - x.mean(-1, keepdim=True)
        x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPSILON) * w[f"{name}.weight"]  # Zhang & Sennrich 2019
        return x + w[f"{name}.bias"] if m["norm"] == "layer_norm" else x

    def mlp(x, name):  # Shazeer 2020
        act = {"swiglu": F.silu, "relu": F.relu}.get(m["mlp"], lambda y: F.gelu(y, approximate="tanh"))
        up = x @ w[f"{name}.up_proj.weight"].T
        inner = act(x @ w[f"{name}.gate_proj.weight"].T) * up if gated else act(up)
        return inner @ w[f"{name}.down_proj.weight"].T

    def heads(x, name):
        return (x @ w[f"{name}.weight"].T).unflatten(-1, (H, K)).transpose(1, 2)

    def attend(q, k, v, sees, bias, name):
        logits = (q @ k.transpose(2, 3) / K**0.5 + bias).masked_fill(~sees, -torch.inf)
        return (logits.softmax(-1) @ v).transpose(1, 2).flatten(2) @ w[f"{name}.o_proj.weight"].T

    def same(queries, keys):  # [rows, 1, queries, keys]
        return queries["segments"][:, None, :, None] == keys["segments"][:, None, None, :]

    def visible(query, key, rule, layer):
        back, ahead, prefix = key <= query, key >= query, batch["prefix_lengths"][:, None, None, None]
        rules = {
            "causal": back, "prefix": back | ((key < prefix) & (query < prefix)),  # Wang et al. 2022
            "both": back | ahead, "alternating_layers": back if layer % 2 == 0 else ahead,
            "mixed_heads": torch.where((torch.arange(H) < H // 2)[:, None, None], back, ahead),
        }
        return rules[m["direction"] if rule == "full" else rule]

    def stack(name, blocks, side, rule, memory=None, source=None):
        x, bias, t = w["embedding.weight"][side["tokens"]], zero, torch.arange(side["tokens"].shape[1])
        query, key = t[:, None], t[None, :]
        if m["position"] == "learned":
            x = x + w["position_embedding.weight"][side["positions"]]
        if m.get("block_positions"):
            x = x + w["block_position_embedding.weight"][side["block_positions"]]
        if m["position"] == "t5_bias":
            bias = w[f"{name}.position_bias.weight"][:, bucket(key - query, rule != "causal")]
        if m["position"] == "alibi":  # Press et al. 2022
            bias = -(2.0 ** (-8 * torch.arange(1, H + 1, dtype=TYPE) / H))[:, None, None] * (key - query).abs()
        for layer in range(depth(m)):
            block = f"{blocks}.layers.{layer}"
            own, cross = f"{block}.attention", f"{block}.cross_attention"
            y = norm(x, f"{own}_norm")
            q, k, v = (heads(y, f"{own}.{part}_proj") for part in "qkv")
            if m["position"] == "rope":
                q, k = rotate(q, side["positions"]), rotate(k, side["positions"])
            sees = same(side, side) & visible(query, key, rule, layer)
            if source and kind == "EDM":  # T5Gemma 2: one softmax over both
                k = torch.cat([heads(memory, f"{own}.k_proj"), k], 2)
                v = torch.cat([heads(memory, f"{own}.v_proj"), v], 2)
                sees = torch.cat([same(side, source), sees], 3)
            x = x + attend(q, k, v, sees, bias, own)
            if source and kind != "EDM":
                q = heads(norm(x, f"{cross}_norm"), f"{cross}.q_proj")
                k, v = heads(memory, f"{cross}.k_proj"), heads(memory, f"{cross}.v_proj")
                sees = same(side, source)
                x = x + attend(q, k, v, sees | ~sees.any(-1, keepdim=True), zero, cross)  # lonely padding sees all
            x = x + mlp(norm(x, f"{block}.mlp_norm"), f"{block}.mlp")
        return norm(x, f"{name}.norm")

    if kind in ALONE:
        x = stack("decoder", "decoder", batch["decoder"], ALONE[kind])
    else:
        blocks, rule = "decoder" if kind == "EDS" else "encoder", "causal" if kind == "EDC" else "full"
        memory = stack("encoder", blocks, batch["encoder"], rule)
        x = stack("decoder", "decoder", batch["decoder"], "causal", memory, batch["encoder"])
    return x @ w["embedding.weight"].T / D**0.5 if m["tied_embeddings"] else x @ w["head.weight"].T


def batches():
    """A digit is a token's segment, 0 is padding; then how many halves its prediction counts."""
    def side(lines, step):
        rows = [[int(digit) for digit in line] for line in lines]
        positions = torch.tensor([[(t - row.index(s)) * (s > 0) for t, s in enumerate(row)] for row in rows])
        segments, r, t = torch.tensor(rows), torch.arange(len(rows))[:, None], torch.arange(len(rows[0]))
        tokens = (5 * r + step * t + t * t + 3) % V * (segments > 0)
        return {"length": len(rows[0]), "tokens": tokens, "positions": positions, "segments": segments}

    def batch(lines, halves, prefixes, source=None):
        own = side(lines, 3)
        counts = torch.tensor([[int(digit) / 2 for digit in line] for line in halves], dtype=TYPE)
        targets = own["tokens"].roll(-1, 1)
        if prefixes[0] == len(lines[0]):  # denoising in place: what counts is hidden
            targets, own["tokens"] = own["tokens"], own["tokens"].masked_fill(counts > 0, V - 1)
        found = {"rows": len(lines), "decoder": own, "encoder": side(source, 8) if source else None, "targets": targets}
        return found | {"loss_weights": counts, "prefix_lengths": torch.tensor(prefixes)}

    causal, prefixed = ["0222022201", "2220222022", "2202220000"], ["0002022201", "0000002200", "2202222020"]
    blanks = batch(["1111111111", "1111111110"], ["0000022222", "0000002220"], (5, 6))
    blanks["decoder"]["positions"] = torch.tensor([[0, 1, 2, 3, 4, 3, 3, 3, 1, 1], [0, 1, 2, 3, 4, 5, 2, 2, 2, 0]])
    blanks["decoder"]["block_positions"] = torch.tensor([[0] * 5 + [1, 2, 3, 1, 2], [0] * 6 + [1, 2, 3, 0]])
    short, denoising = ["02220100", "22202220", "22022202"], ["0200020001", "2000200020", "0002000200"]
    source = ["111111111", "111112220", "111111000"]
    return {
        "decoder": batch(["1111111111", "1111222222", "1111111000"], causal, (0, 0, 0)),
        "prefix": batch(["1111111111", "1111111100", "1111222220"], prefixed, (4, 7, 0)),
        "encoder_decoder": batch(["11111100", "11122220", "11111111"], short, (0, 0, 0), source),
        "blanks": blanks,
        "encoder": batch(["1111111111", "1111122220", "1111111100"], denoising, (10, 10, 10)),
    }


def layout(m):
    return "blanks" if m.get("block_positions") else {"CD": "decoder", "ND": "prefix", "EO": "encoder"}.get(m["architecture"], "encoder_decoder")


def train(m, batch):
    w = weights(m)
    groups = [{"params": [p for p in w.values() if p.dim() == n], "weight_decay": DECAY * (n == 2)} for n in (1, 2)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=TINY)
    losses, tensors = [], {}
    for step in range(STEPS):
        logits = forward(m, w, batch)
        normalizer = logits.logsumexp(-1)
        costs = normalizer - logits.gather(-1, batch["targets"][..., None])[..., 0] + Z_LOSS * normalizer**2
        loss = (batch["loss_weights"] * costs).sum() / batch["loss_weights"].sum()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            tensors["logits"] = logits.detach()
            tensors |= {f"gradient/{name}": p.grad.clone() for name, p in w.items()}
        torch.nn.utils.clip_grad_norm_(w.values(), CLIP)
        optimizer.step()
        losses.append(loss.item())
    return losses, tensors | {f"after/{name}": p.detach() for name, p in w.items()}


@torch.no_grad()
def check():
    """Who sees whom, by changing one token after the other."""
    laws = {
        "causal": lambda query, key, _: key <= query, "ahead": lambda query, key, _: key >= query,
        "full": lambda query, key, _: query >= 0,
        "prefix": lambda query, key, prefix: (key <= query) | ((key < prefix) & (query < prefix)),
    }

    def obeys(m, w, batch, name, law):
        before, own, keys = forward(m, w, batch), batch["decoder"]["segments"], batch[name]["segments"]
        query, prefix = torch.arange(own.shape[1])[None], batch["prefix_lengths"][:, None]
        for key in range(keys.shape[1]):
            tokens = batch[name]["tokens"].clone()
            tokens[:, key] = (tokens[:, key] + 1) % V
            after = forward(m, w, batch | {name: batch[name] | {"tokens": tokens}})
            want = laws[law](query, key, prefix) & (own == keys[:, key : key + 1])
            assert (((after - before).abs().amax(-1) > 1e-9) == want)[own > 0].all(), (m, name, key)

    for m in [model(*cell) for cell in cover()] + [filling(model(*cell)) for cell in BLANKS]:
        w, batch = weights(m), batches()[layout(m)]
        obeys(m, w, batch, "decoder", ALONE.get(m["architecture"], "causal"))
        if batch["encoder"]:
            obeys(m, w, batch, "encoder", "full")
    for direction, silent, law in (  # one layer, and of mixed heads one half, looks one way
        ("alternating_layers", (), "causal"), ("mixed_heads", (2, 3), "causal"), ("mixed_heads", (0, 1), "ahead"),
    ):
        m = model("EO", "none", "relu", "rms_norm", False, direction) | {"num_layers": 1}
        w = weights(m)
        w["decoder.layers.0.attention.v_proj.weight"].view(H, K, D)[list(silent)] = 0
        obeys(m, w, batches()["encoder"], "decoder", law)


def main(folder):
    layouts, cells, tensors = batches(), [], {}
    models = [model(*cell) for cell in cover()] + [filling(model(*cell)) for cell in BLANKS]
    for place, m in enumerate(models):
        name = f"c{place:02}"
        losses, found = train(m, layouts[layout(m)])
        cells.append({"name": name, "model": m, "batch": layout(m), "loss": losses[0], "losses": losses})
        tensors |= {f"{name}/{key}": values.float().contiguous() for key, values in found.items()}
    report = {"z_loss": Z_LOSS, "steps": STEPS, "learning_rate": RATE, "betas": BETAS, "epsilon": TINY}
    report |= {"weight_decay": DECAY, "clip": CLIP, "batches": layouts, "cells": cells}
    with open(f"{folder}/cells.json", "w") as file:
        json.dump(report, file, default=lambda tensor: tensor.flatten().tolist())
    save_file(tensors, f"{folder}/cells.safetensors")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    main(sys.argv[1])
