"""Writes tiny_hmr2.ckpt: a network of 72 thousand numbers in the form in which Lightning saves HMR2.0.

The options are a real OmegaConf object and the counters real dictionaries of Lightning's. The
weights are random, on a coarse grid; the mean is an upright figure that fills the crop, from which
the decoder strays little, so a capture with it ends well. Needs omegaconf 2.3.0, which nothing else here does:

    python -m venv /tmp/maker && /tmp/maker/bin/pip install omegaconf==2.3.0 torch==2.13.0 numpy==1.26.4
    /tmp/maker/bin/python tests/data/checkpoints/make_tiny_hmr2.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import OmegaConf

DIM, DECODER, INNER, MLP, PATCHES = 64, 32, 32, 32, 12

BACKBONE = {
    "pos_embed": (1, PATCHES + 1, DIM),
    "patch_embed.proj.weight": (DIM, 3, 8, 8),
    "patch_embed.proj.bias": (DIM,),
    "blocks.0.norm1.weight": (DIM,),
    "blocks.0.norm1.bias": (DIM,),
    "blocks.0.attn.qkv.weight": (3 * DIM, DIM),
    "blocks.0.attn.qkv.bias": (3 * DIM,),
    "blocks.0.attn.proj.weight": (DIM, DIM),
    "blocks.0.attn.proj.bias": (DIM,),
    "blocks.0.norm2.weight": (DIM,),
    "blocks.0.norm2.bias": (DIM,),
    "blocks.0.mlp.fc1.weight": (4 * DIM, DIM),
    "blocks.0.mlp.fc1.bias": (4 * DIM,),
    "blocks.0.mlp.fc2.weight": (DIM, 4 * DIM),
    "blocks.0.mlp.fc2.bias": (DIM,),
    "last_norm.weight": (DIM,),
    "last_norm.bias": (DIM,),
}
LAYER = "transformer.transformer.layers.0"
HEAD = {
    "init_body_pose": (1, 144),
    "init_betas": (1, 10),
    "init_cam": (1, 3),
    "transformer.pos_embedding": (1, 1, DECODER),
    "transformer.to_token_embedding.weight": (DECODER, 1),
    "transformer.to_token_embedding.bias": (DECODER,),
    f"{LAYER}.0.norm.weight": (DECODER,),
    f"{LAYER}.0.norm.bias": (DECODER,),
    f"{LAYER}.0.fn.to_qkv.weight": (3 * INNER, DECODER),
    f"{LAYER}.0.fn.to_out.0.weight": (DECODER, INNER),
    f"{LAYER}.0.fn.to_out.0.bias": (DECODER,),
    f"{LAYER}.1.norm.weight": (DECODER,),
    f"{LAYER}.1.norm.bias": (DECODER,),
    f"{LAYER}.1.fn.to_kv.weight": (2 * INNER, DIM),
    f"{LAYER}.1.fn.to_q.weight": (INNER, DECODER),
    f"{LAYER}.1.fn.to_out.0.weight": (DECODER, INNER),
    f"{LAYER}.1.fn.to_out.0.bias": (DECODER,),
    f"{LAYER}.2.norm.weight": (DECODER,),
    f"{LAYER}.2.norm.bias": (DECODER,),
    f"{LAYER}.2.fn.net.0.weight": (MLP, DECODER),
    f"{LAYER}.2.fn.net.0.bias": (MLP,),
    f"{LAYER}.2.fn.net.3.weight": (DECODER, MLP),
    f"{LAYER}.2.fn.net.3.bias": (DECODER,),
    "decpose.weight": (144, DECODER),
    "decpose.bias": (144,),
    "decshape.weight": (10, DECODER),
    "decshape.bias": (10,),
    "deccam.weight": (3, DECODER),
    "deccam.bias": (3,),
}


def main() -> None:
    """Write the file beside this one."""
    generator = torch.Generator().manual_seed(0)
    shapes = {f"backbone.{key}": shape for key, shape in BACKBONE.items()}
    shapes |= {f"smpl_head.{key}": shape for key, shape in HEAD.items()}
    weights = {
        key: torch.randint(-8, 9, shape, generator=generator).float() / 64
        for key, shape in shapes.items()
    }
    for key in weights:
        if ".dec" in key:
            weights[key] /= 64
    weights["smpl_head.init_body_pose"] = torch.tensor([[1.0, 0.0, 0.0, 0.0, 1.0, 0.0] * 24])
    # The camera looks along +Z with Y down: the root turns half round the axis to the side.
    weights["smpl_head.init_body_pose"][0, 4] = -1.0
    weights["smpl_head.init_cam"] = torch.tensor([[0.9, 0.0, 0.0]])
    weights["smpl_head.init_betas"] = torch.zeros(1, 10)
    decoder = {"depth": 1, "heads": 2, "dim_head": 16, "mlp_dim": MLP, "context_dim": DIM}
    options = OmegaConf.create(
        {
            "GENERAL": {"PRECISION": 16, "SIZE": "${MODEL.IMAGE_SIZE}", "LR": 1e-5},
            "MODEL": {
                "IMAGE_SIZE": 256,
                "IMAGE_MEAN": [0.485, 0.456, 0.406],
                "SMPL_HEAD": {"TYPE": "transformer_decoder", "TRANSFORMER_DECODER": decoder},
                "PRETRAINED_WEIGHTS": None,
            },
        }
    )
    content = {
        "epoch": 35,
        "global_step": 1000000,
        "pytorch-lightning_version": "1.8.1",
        "state_dict": {"initialized": torch.tensor(True), **weights},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(1.5), "dirpath": "."}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "hparams_name": "cfg",
        "hyper_parameters": {"cfg": options},
    }
    torch.save(content, Path(__file__).with_name("tiny_hmr2.ckpt"))


if __name__ == "__main__":
    main()
