"""The judge: LiteRT's reference kernels, every tensor of a network."""

from pathlib import Path

import numpy as np

from skimp_compiler.graph import ModelError

__all__ = ["run_litert"]


def run_litert(path: str | Path, inputs: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Return every tensor that LiteRT holds after one run with its reference kernels.

    The reference kernels are the definition of TFLite's arithmetic; optimised ones differ.

    Raises
    ------
    ModelError
        LiteRT is not installed, refuses the file or the inputs.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise ModelError("ai-edge-litert is not installed: pip install ai-edge-litert") from error
    try:
        interpreter = Interpreter(
            model_path=str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: LiteRT refuses it: {str(error).splitlines()[0]}") from error
    details = interpreter.get_input_details()
    if len(details) != len(inputs):
        raise ModelError(f"{path}: takes {len(details)} inputs, not {len(inputs)}")
    try:
        for detail, value in zip(details, inputs):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: LiteRT cannot run it: {str(error).splitlines()[0]}") from error
    tensors = {}
    for detail in interpreter.get_tensor_details():
        try:
            tensors[detail["index"]] = interpreter.get_tensor(detail["index"])
        except ValueError:
            continue  # scratch tensors without contents
    return tensors
