"""Networks by name or file, and the names of their classes."""

from pathlib import Path

from skimp_compiler.graph import Graph
from skimp_compiler.tflite_reader import check_supported, read_tflite
from skimp_compiler.zoo import BUILTIN, default_input, labels, path_of

__all__ = ["input_path_of", "load_model", "model_labels"]


def load_model(name: str) -> tuple[Graph, Path]:
    """Return the graph and the file of a .tflite path or a built-in network's name.

    Raises
    ------
    ModelError
        No such network, or one that skimp cannot run.
    """
    path = path_of(name) if name in BUILTIN else Path(name)
    graph = read_tflite(path)
    check_supported(graph)
    return graph, path


def model_labels(name: str, graph: Graph) -> list[str] | None:
    """Return class names where they are known: ImageNet's, with or without a background class."""
    size = graph.tensors[graph.outputs[0]].shape[-1]
    if name in BUILTIN:
        return labels(name)
    if size in (1000, 1001):
        return ["background"] * (size - 1000) + labels(next(iter(BUILTIN)))
    return None


def input_path_of(model: str, input_path: str | None) -> str | None:
    """Return where the input comes from: a built-in network has one of its own. None: noise."""
    return default_input(model) if input_path is None and model in BUILTIN else input_path
