"""Losses of 200 AdamW steps of a tiny model of each architecture in PyTorch, written from the papers and independent of
trilab: `python3 tests/reference/training.py > tests/reference/losses.json`. tests/training.rs trains trilab's model from
the same weights on the same batches and compares. Weights and tokens are formulas, so that no file can get lost:
w[k] = 0.3 sin(0.7 k + 0.013 k^2 + s), gains 1 + 0.2 sin(...), with s the sum of the bytes of the tensor's name;
token t of row b of step i is (31 b + 17 i + t (1 + (b + i) mod 5)) mod V."""
import json

import torch
import torch.nn.functional as F

D, HIDDEN, H, K, L, V, T, B, STEPS, THETA, EPSILON = 32, 48, 3, 8, 2, 61, 24, 4, 200, 10_000.0, 1e-6
torch.set_num_threads(1)


def formula(name, *shape):
    k = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)
    wave = torch.sin(0.7 * k + 0.013 * k * k + sum(name.encode()))
    values = 1 + 0.2 * wave if len(shape) == 1 else 0.3 * wave
    return values.float().reshape(shape).requires_grad_()


def weights(architecture):
    found = {}

    def add(name, *shape):
        found[name + ".weight"] = formula(name + ".weight", *shape)

    def stack(name, cross):
        for layer in range(L):
            block = f"{name}.layers.{layer}"
            for part in ["attention"] + ["cross_attention"] * cross:
                add(f"{block}.{part}_norm", D)
                for projection in ("q_proj", "k_proj", "v_proj"):
                    add(f"{block}.{part}.{projection}", H * K, D)
                add(f"{block}.{part}.o_proj", D, H * K)
            add(f"{block}.mlp_norm", D)
            add(f"{block}.mlp.gate_proj", HIDDEN, D)
            add(f"{block}.mlp.up_proj", HIDDEN, D)
            add(f"{block}.mlp.down_proj", D, HIDDEN)
        add(f"{name}.norm", D)

    add("embedding", V, D)
    if architecture == "ED":
        stack("encoder", False)
    stack("decoder", architecture == "ED")
    add("head", V, D)
    return found


def rotate(x):  # Su et al. 2021, halves against each other; x [B, H, T, K]
    angle = torch.arange(x.shape[2])[:, None] * THETA ** (-2 * torch.arange(K // 2) / K)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def forward(w, tokens, prefix=None, source=None):
    def norm(x, name):  # Zhang & Sennrich 2019
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPSILON) * w[name + ".weight"]

    def attention(x, memory, mask, name, turn):
        def heads(y, part):
            return (y @ w[f"{name}.{part}.weight"].T).reshape(B, -1, H, K).transpose(1, 2)

        q, k, v = heads(x, "q_proj"), heads(memory, "k_proj"), heads(memory, "v_proj")
        if turn:
            q, k = rotate(q), rotate(k)
        logits = (q @ k.transpose(2, 3) / K**0.5).masked_fill(~mask, -torch.inf)
        return (logits.softmax(-1) @ v).transpose(1, 2).reshape(B, -1, H * K) @ w[f"{name}.o_proj.weight"].T

    def stack(ids, mask, name, memory=None):
        x = w["embedding.weight"][ids]
        for layer in range(L):
            block = f"{name}.layers.{layer}"
            y = norm(x, f"{block}.attention_norm")
            x = x + attention(y, y, mask, f"{block}.attention", True)
            if memory is not None:
                y = norm(x, f"{block}.cross_attention_norm")
                x = x + attention(y, memory, torch.tensor(True), f"{block}.cross_attention", False)
            y = norm(x, f"{block}.mlp_norm")
            gate, up = (y @ w[f"{block}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
            x = x + (F.silu(gate) * up) @ w[f"{block}.mlp.down_proj.weight"].T
        return norm(x, f"{name}.norm")

    i = torch.arange(T)
    causal = (i[None, :] <= i[:, None])[None, None]
    if prefix is not None:
        inside = i[None, :] < prefix[:, None]
        causal = causal | (inside[:, None, :, None] & inside[:, None, None, :])
    memory = None if source is None else stack(source, torch.tensor(True), "encoder")
    return stack(tokens, causal, "decoder", memory) @ w["head.weight"].T


def train(architecture):
    w = weights(architecture)
    groups = [
        {"params": [p for p in w.values() if p.dim() == 2], "weight_decay": 0.1},
        {"params": [p for p in w.values() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step in range(STEPS):
        b, t = torch.arange(B)[:, None], torch.arange(2 * T + 1)[None]
        stream = (31 * b + 17 * step + t * (1 + (b + step) % 5)) % V
        if architecture == "ED":
            logits = forward(w, stream[:, T : 2 * T], source=stream[:, :T])
            targets = stream[:, T + 1 :]
        else:
            prefix = 6 + torch.arange(B) if architecture == "ND" else None
            logits = forward(w, stream[:, :T], prefix)
            targets = stream[:, 1 : T + 1].clone()
            if prefix is not None:
                targets[torch.arange(T)[None] + 1 < prefix[:, None]] = -100
        loss = F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


print(json.dumps({architecture: train(architecture) for architecture in ("CD", "ND", "ED")}))
