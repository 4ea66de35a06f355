"""Log-likelihoods of a tiny model of each architecture in float64 NumPy, written from the papers and independent of
trilab: `python3 tests/reference/forward.py > tests/reference/values.json`. tests/evaluation.rs gives trilab the same
weights and compares. Weights are a formula, so that no file can get lost:
w[k] = 0.5 sin(0.7 k + 0.013 k^2 + s), gains 1 + 0.2 sin(...), with s the sum of the bytes of the tensor's name."""
import json

import numpy as np

D, F, H, K, L, TEXT, LIMIT, THETA, EPSILON = 16, 24, 2, 8, 2, 280, 20, 10_000.0, 1e-6
END, START, V = TEXT, TEXT + 1, TEXT + 3 + 128
X0 = V - 1


def weight(name, *shape):
    k = np.arange(int(np.prod(shape)), dtype=np.float64)
    wave = np.sin(0.7 * k + 0.013 * k * k + sum(name.encode()))
    return (1 + 0.2 * wave if len(shape) == 1 else 0.5 * wave).reshape(shape)


def norm(x, name):  # Zhang & Sennrich 2019
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * weight(name + ".weight", D)


def rotate(x):  # Su et al. 2021, halves against each other; x [H, T, K]
    angle = np.arange(x.shape[1])[:, None] * THETA ** (-2 * np.arange(K // 2) / K)
    a, b = x[..., : K // 2], x[..., K // 2 :]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def attention(x, memory, seen, name, turn):
    def heads(y, part):
        return (y @ weight(f"{name}.{part}.weight", H * K, D).T).reshape(len(y), H, K).transpose(1, 0, 2)

    q, k, v = heads(x, "q_proj"), heads(memory, "k_proj"), heads(memory, "v_proj")
    if turn:
        q, k = rotate(q), rotate(k)
    logits = np.where(seen, q @ k.transpose(0, 2, 1) / np.sqrt(K), -np.inf)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    y = (p / p.sum(-1, keepdims=True)) @ v
    return y.transpose(1, 0, 2).reshape(len(x), H * K) @ weight(f"{name}.o_proj.weight", D, H * K).T


def stack(tokens, seen, name, memory=None):
    x = weight("embedding.weight", V, D)[tokens]
    for layer in range(L):
        block = f"{name}.layers.{layer}"
        y = norm(x, f"{block}.attention_norm")
        x = x + attention(y, y, seen, f"{block}.attention", True)
        if memory is not None:
            y = norm(x, f"{block}.cross_attention_norm")
            x = x + attention(y, memory, np.ones((len(x), len(memory)), bool), f"{block}.cross_attention", False)
        y = norm(x, f"{block}.mlp_norm")
        gate, up = (y @ weight(f"{block}.mlp.{part}_proj.weight", F, D).T for part in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weight(f"{block}.mlp.down_proj.weight", D, F).T
    return norm(x, f"{name}.norm")


def row(architecture, form, context, continuation):
    """What encoder and decoder read before the first prediction, and how much of it sees itself both ways."""
    n = len(continuation)
    if architecture == "ED":
        if form == "plain":
            return (context[-LIMIT:] if context else [END]), [START], 0
        return context[-(LIMIT - 2) :] + [X0, END], [START, X0], 0
    if form == "plain":
        read = [START] + context[-(LIMIT - n) :]
        return None, read, len(read) if architecture == "ND" else 0
    read = [START] + context[-(LIMIT - 3 - n) :] + [X0, END, X0]
    return None, read, len(read) - 1 if architecture == "ND" else 0


def log_likelihood(architecture, form, context, continuation):
    encoder, read, prefix = row(architecture, form, context, continuation)
    tokens = read + continuation[:-1]
    at = np.arange(len(tokens))
    seen = (at[None, :] <= at[:, None]) | ((at[None, :] < prefix) & (at[:, None] < prefix))
    memory = None if encoder is None else stack(encoder, np.ones((len(encoder), len(encoder)), bool), "encoder")
    logits = stack(tokens, seen, "decoder", memory) @ weight("head.weight", V, D).T
    own = logits[len(read) - 1 :]
    peak = own.max(-1)
    total = peak + np.log(np.exp(own - peak[:, None]).sum(-1))
    return float(sum(own[i, t] - total[i] for i, t in enumerate(continuation)))


cases = []
for architecture in ("CD", "ND", "ED"):
    for form in ("plain", "sentinel"):
        for context, continuation in (
            ([5, 17, 200, 3], [9, 44]),
            ([], [1, 2, 3]),
            ([(7 * i * i + 3 * i) % TEXT for i in range(40)], [100, 101, 279]),
        ):
            value = log_likelihood(architecture, form, context, continuation)
            case = {"architecture": architecture, "form": form, "context": context, "continuation": continuation}
            cases.append(case | {"log_likelihood": value})
print(json.dumps(cases, indent=1))
