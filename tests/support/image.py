"""A container image of the programs, made without a container engine: a layer on an image that the cluster has."""

import asyncio
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BASE = "docker.io/library/cfbox:test"
"""Debian with the python3 that the tests run on as well."""
SOCKET = "/run/kube-local/containerd.sock"
_HOME = "opt/diego-medic"


async def load_image(name: str, folder: Path) -> None:
    """Installs the project and what it needs into a layer, and gives the image to the cluster's containerd."""
    site = folder / "site"
    await _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(site)),
        *("--constraint", str(REPOSITORY / "constraints.txt"), str(REPOSITORY)),
    )
    base, image = folder / "base.tar", folder / "image.tar"
    await _run(*_ctr("images", "export", str(base), BASE))
    await asyncio.to_thread(_pack, site, base, image, name)
    await _run(*_ctr("images", "import", str(image)))


def _ctr(*arguments: str) -> Sequence[str]:
    return ("ctr", "--address", SOCKET, "--namespace", "k8s.io", *arguments)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0, f"{command}: {printed.decode()}"


def _pack(site: Path, base: Path, image: Path, name: str) -> None:
    layer = _layer(site)
    with tarfile.open(base) as given, tarfile.open(image, "w") as made:
        (manifest,) = json.loads(_member(given, "manifest.json"))
        config = json.loads(_member(given, manifest["Config"]))
        config["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
        config.pop("history", None)
        environment = config["config"].get("Env", [])
        config["config"] = {"Env": [*environment, f"PYTHONPATH=/{_HOME}", "PYTHONDONTWRITEBYTECODE=1"]}
        blobs = {path: _member(given, path) for path in manifest["Layers"]}
        contents = {"config.json": json.dumps(config).encode(), **blobs, "programs.tar": layer}
        layers = [*manifest["Layers"], "programs.tar"]
        contents["manifest.json"] = json.dumps(
            [{"Config": "config.json", "RepoTags": [name], "Layers": layers}]
        ).encode()
        for path, content in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))


def _layer(site: Path) -> bytes:
    """The packages, and the console scripts for the image's own Python."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(site, arcname=_HOME, filter=lambda entry: None if entry.name.endswith("__pycache__") else entry)
        for script in (site / "bin").glob("diego-*"):
            _, _, body = script.read_text().partition("\n")
            content = f"#!/usr/bin/python3\n{body}".encode()
            entry = tarfile.TarInfo(f"usr/local/bin/{script.name}")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _member(tar: tarfile.TarFile, path: str) -> bytes:
    file = tar.extractfile(path)
    assert file is not None, path
    return file.read()
