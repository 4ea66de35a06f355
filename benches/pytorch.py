"""The presets of `trilab bench train` in PyTorch, for comparison on the same machine:
    python3 benches/pytorch.py --preset small --arch cd --threads 2 [--bf16] [--compile]
prints one line of JSON with the fields of `trilab bench train --json`. Needs `pip install torch`."""
import argparse
import json
import os
import resource
import statistics
import time

options = argparse.ArgumentParser()
options.add_argument("--preset", choices=["tiny", "small", "medium"], default="tiny")
options.add_argument("--arch", choices=["cd", "nd", "ed"], default="cd")
options.add_argument("--threads", type=int, default=2)
options.add_argument("--seconds", type=float, default=3.0)
options.add_argument("--bf16", action="store_true", help="autocast")
options.add_argument("--compile", action="store_true", help="torch.compile")
options = options.parse_args()

import torch  # noqa: E402  (its import is part of the time to the first step)
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(options.threads)
torch.manual_seed(0)
LAYERS, D, HEADS, HIDDEN, VOCAB, LENGTH, ROWS = {
    "tiny": (4, 128, 4, 512, 256, 128, 16),
    "small": (6, 256, 8, 1024, 4096, 256, 16),
    "medium": (8, 512, 8, 2048, 8192, 256, 8),
}[options.preset]
K = D // HEADS


def linear(into, out):
    return nn.Linear(into, out, bias=False)


def heads(x):
    return x.unflatten(-1, (HEADS, K)).transpose(1, 2)


angle = torch.arange(LENGTH)[:, None] * 10_000.0 ** (-2 * torch.arange(K // 2) / K)
COS, SIN = angle.cos(), angle.sin()


def rotate(x):
    a, b = x.chunk(2, -1)
    return torch.cat([a * COS - b * SIN, b * COS + a * SIN], -1)


class Attention(nn.Module):
    def __init__(self, cross):
        super().__init__()
        self.cross, self.norm, self.out = cross, nn.RMSNorm(D, eps=1e-6), linear(D, D)
        self.q, self.kv = linear(D, D), linear(D, 2 * D)

    def forward(self, x, mask, causal, memory=None):
        y = self.norm(x)
        k, v = map(heads, self.kv(memory if self.cross else y).chunk(2, -1))
        q = heads(self.q(y))
        if not self.cross:
            q, k = rotate(q), rotate(k)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return x + self.out(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.gate = nn.RMSNorm(D, eps=1e-6), linear(D, HIDDEN)
        self.up, self.down = linear(D, HIDDEN), linear(HIDDEN, D)

    def forward(self, x):
        y = self.norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Stack(nn.Module):
    def __init__(self, cross):
        super().__init__()
        self.own = nn.ModuleList(Attention(False) for _ in range(LAYERS))
        self.other = nn.ModuleList(Attention(True) for _ in range(LAYERS * cross))
        self.mlps, self.norm = nn.ModuleList(Mlp() for _ in range(LAYERS)), nn.RMSNorm(D, eps=1e-6)

    def forward(self, x, mask=None, causal=False, memory=None):
        for layer in range(LAYERS):
            x = self.own[layer](x, mask, causal)
            if memory is not None:
                x = self.other[layer](x, None, False, memory)
            x = self.mlps[layer](x)
        return self.norm(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(VOCAB, D), linear(D, VOCAB)
        self.decoder = Stack(options.arch == "ed")
        self.encoder = Stack(False) if options.arch == "ed" else None

    def forward(self, tokens, mask, source):
        memory = None if source is None else self.encoder(self.embedding(source))
        return self.head(self.decoder(self.embedding(tokens), mask, options.arch != "nd", memory))


def batch():
    stream, mask, source = torch.randint(VOCAB, (ROWS, LENGTH + 1)), None, None
    tokens, targets = stream[:, :-1], stream[:, 1:].clone()
    if options.arch == "nd":
        prefix, place = torch.randint(LENGTH // 4, 3 * LENGTH // 4, (ROWS, 1, 1)), torch.arange(LENGTH)
        mask = ((place <= place[:, None]) | (place < prefix))[:, None]
        targets[place < prefix[:, 0] - 1] = -100
    if options.arch == "ed":
        source = torch.randint(VOCAB, (ROWS, LENGTH))
    return tokens, targets, mask, source


model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1)
run = torch.compile(model) if options.compile else model


def loss():
    tokens, targets, mask, source = batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        logits = run(tokens, mask, source)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def step():
    optimizer.zero_grad()
    value = loss()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return value.item()


def timed(work, seconds):
    times, began = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def age():
    with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
        began = int(stat.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(uptime.read().split()[0]) - began


step()
first_step_s = age()
step(), step()
step_s = timed(step, options.seconds)
rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.no_grad():
    loss()
    score_s = timed(loss, options.seconds / 3)
print(json.dumps({
    "lib": "torch", "arch": options.arch, "config": options.preset, "threads": options.threads,
    "params": sum(p.numel() for p in model.parameters()), "step_ms": step_s * 1e3,
    "train_tok_s": ROWS * LENGTH / step_s, "eval_tok_s": ROWS * LENGTH / score_s,
    "rss_mb": rss_mb, "first_step_s": first_step_s,
}))
