"""Writes a sheet of made-up pictures, for people to look at before they train on them.

    python -m models.data.contact_sheet MOTION --out sheet.png

MOTION is the folder that `python -m models.mocap` writes. Each row is a clip; a picture has its skeleton image
beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from .clips import ClipSource
from .motion import MotionBank
from .pictures import PictureConfig, PictureMaker


def make_sheet(source: ClipSource, maker: PictureMaker, step: int, B: int, T: int) -> np.ndarray:
    """(B·H, T·2·W, 3) uint8 RGB: the batch of a step, a row for each clip."""
    made = maker.make(source.batch(step, B, T), step)
    both = torch.cat([made.image, made.skeleton], -1)  # (B, T, 3, H, 2W)
    rows, columns = both.shape[3] * B, both.shape[4] * T
    return both.permute(0, 3, 1, 4, 2).reshape(rows, columns, 3).cpu().numpy()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("motion", type=Path, help="folder of retargeted motion")
    parser.add_argument("--out", type=Path, required=True, help="the .png to write")
    parser.add_argument("--clips", type=int, default=6, help="rows")
    parser.add_argument("--frames", type=int, default=4, help="frames of each clip")
    parser.add_argument("--step", type=int, default=0, help="which batch")
    parser.add_argument("--seed", type=int, default=0, help="of everything")
    parser.add_argument("--shrink", type=int, default=1, help="divides 256×192")
    parser.add_argument("--device", default="cpu", help="torch's word for it")
    options = parser.parse_args()
    import cv2

    source = ClipSource(MotionBank.read(options.motion), seed=options.seed, device=options.device)
    config = PictureConfig(size_hw=(256 // options.shrink, 192 // options.shrink))
    maker = PictureMaker(config, options.seed, options.device)
    sheet = make_sheet(source, maker, options.step, options.clips, options.frames)
    cv2.imwrite(str(options.out), sheet[..., ::-1])


if __name__ == "__main__":
    main()
