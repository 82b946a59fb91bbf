"""A network small enough for tests, with weights from a seed: it moves, but knows nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from extpose_blender.engine.lift.extpose.checkpoint import TrainedFor
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.weights_file import write_weights

TINY = {
    "embed_dim": 64, "depth": 2, "num_heads": 4, "decoder_dim": 32, "decoder_depth": 1,
    "decoder_heads": 2, "decoder_dim_head": 16, "decoder_mlp_dim": 48,
}  # fmt: skip


def tiny_network(body: str = "smpl", seed: int = 0, **choices: object) -> ExtPose:
    """A network whose mean pose is upright and faces the camera, a little moved by what it sees."""
    torch.manual_seed(seed)
    net = ExtPose(ExtPoseConfig.from_dict({**TINY, "body": body, **choices})).eval()
    pose = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(net.config.num_joints, 1)
    pose[0] = torch.tensor([1.0, 0, 0, 0, -1, 0])
    with torch.no_grad():
        net.head.init_cam.copy_(torch.tensor([[0.9, 0.0, 0.0]]))
        mean = net.head.init_body_pose if body == "smpl" else net.head.init_hand_pose
        mean.copy_(pose.reshape(1, -1))
        for readout in (net.head.decpose, net.head.decshape, net.head.deccam):
            readout.weight.mul_(0.3)
            readout.bias.mul_(0.1)
    return net


def write_tiny_weights(
    path: Path, streams: str = "both", frames: int = 16, **choices: object
) -> Path:
    """Its weights as a file of ours."""
    trained = TrainedFor(streams, frames, "open", "GPL-3.0-or-later", "a seed")
    write_weights(path, tiny_network(**choices), trained)
    return path
