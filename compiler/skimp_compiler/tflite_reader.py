"""Reads a .tflite file into the graph, and says in one line why it cannot."""

import math
from pathlib import Path

import numpy as np
import tflite
from flatbuffers import number_types

from skimp_compiler.graph import Graph, ModelError, Op, Quant, Tensor
from skimp_compiler.supported import check_supported

__all__ = ["check_supported", "read_tflite"]

_DTYPES = {
    tflite.TensorType.FLOAT32: np.dtype(np.float32),
    tflite.TensorType.INT32: np.dtype(np.int32),
    tflite.TensorType.UINT8: np.dtype(np.uint8),
    tflite.TensorType.INT64: np.dtype(np.int64),
    tflite.TensorType.INT16: np.dtype(np.int16),
    tflite.TensorType.INT8: np.dtype(np.int8),
    tflite.TensorType.BOOL: np.dtype(np.bool_),
    tflite.TensorType.FLOAT16: np.dtype(np.float16),
    tflite.TensorType.FLOAT64: np.dtype(np.float64),
    tflite.TensorType.UINT16: np.dtype(np.uint16),
    tflite.TensorType.UINT32: np.dtype(np.uint32),
    tflite.TensorType.UINT64: np.dtype(np.uint64),
}

_TYPE_NAMES = {code: name for name, code in vars(tflite.TensorType).items() if name.isupper()}

_KINDS = {
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "depthwise",
    "AVERAGE_POOL_2D": "avg_pool",
    "MAX_POOL_2D": "max_pool",
    "CONCATENATION": "concat",
    "RESIZE_NEAREST_NEIGHBOR": "resize_nearest",
}
"""Operators whose kind is not simply their name in lower case."""

_NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if name.isupper()}
_PADDING = {tflite.Padding.SAME: "same", tflite.Padding.VALID: "valid"}
_ACTIVATION = {
    tflite.ActivationFunctionType.NONE: "none",
    tflite.ActivationFunctionType.RELU: "relu",
    tflite.ActivationFunctionType.RELU6: "relu6",
    tflite.ActivationFunctionType.RELU_N1_TO_1: "relu_n1_to_1",
}


def read_tflite(path: str | Path) -> Graph:
    """Return the network of a .tflite file.

    Raises
    ------
    ModelError
        No such file, not a .tflite, truncated, more than one subgraph, dynamic shapes, or tensors
        whose contents numpy cannot hold (4 bits, strings, sparse or outside the flatbuffer).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a .tflite file (no TFL3 mark); export the network as one")
    try:
        return _read(path, data)
    except ModelError:
        raise
    except Exception as error:  # flatbuffers trusts its offsets: damage ends in any exception
        raise ModelError(
            f"{path}: damaged or truncated .tflite ({len(data)} bytes); get the file again"
        ) from error


def _read(path: Path, data: bytes) -> Graph:
    model = tflite.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise ModelError(
            f"{path}: {model.SubgraphsLength()} subgraphs; skimp runs networks with one"
        )
    subgraph = model.Subgraphs(0)
    tensors = [
        _tensor(path, model, subgraph.Tensors(i), i, len(data))
        for i in range(subgraph.TensorsLength())
    ]
    ops = [_op(model, subgraph.Operators(i), i) for i in range(subgraph.OperatorsLength())]
    graph = Graph(
        name=path.stem,
        tensors=tensors,
        ops=ops,
        inputs=tuple(int(i) for i in subgraph.InputsAsNumpy()),
        outputs=tuple(int(i) for i in subgraph.OutputsAsNumpy()),
    )
    for op in ops:
        for index in op.inputs + op.outputs:
            if not -1 <= index < len(tensors):
                raise ModelError(
                    f"{path}: damaged .tflite: {graph.op_name(op)} names tensor {index}"
                )
    return graph


def _tensor(path, model, tensor, index, file_bytes) -> Tensor:
    shape = tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    name = (tensor.Name() or b"").decode(errors="replace")
    where = f"{path}: tensor {index} ({' '.join(name.split())})"
    if tensor.Type() not in _DTYPES:
        kind = _TYPE_NAMES.get(tensor.Type(), tensor.Type())
        raise ModelError(f"{where} is of type {kind}; skimp runs INT8 networks")
    dtype = _DTYPES[tensor.Type()]
    if any(n <= 0 for n in shape):
        raise ModelError(f"{where} has the dynamic shape {shape}; export it with a fixed one")
    if tensor.Sparsity() is not None:
        raise ModelError(f"{where} is stored sparse; export the network with dense weights")
    contents = None
    buffer = model.Buffers(tensor.Buffer())
    if buffer.Offset() > 1:
        raise ModelError(f"{where} lies outside the flatbuffer; files above 2 GB are not supported")
    length = buffer.DataLength()
    if length:
        raw = buffer.DataAsNumpy()
        count = math.prod(shape)
        if length > file_bytes or len(raw) != length or length != count * dtype.itemsize:
            raise ModelError(
                f"{path}: damaged or truncated .tflite: tensor {index} has {length} bytes of data "
                f"for shape {shape}"
            )
        contents = np.frombuffer(raw.tobytes(), dtype).reshape(shape)
    return Tensor(
        index=index,
        name=name,
        shape=shape,
        dtype=dtype,
        quant=_quant(tensor.Quantization()),
        data=contents,
    )


def _quant(quantization) -> Quant | None:
    if quantization is None or not quantization.ScaleLength():
        return None
    scale = np.array(quantization.ScaleAsNumpy(), np.float32)
    zero_point = np.zeros(scale.size, np.int64)
    if quantization.ZeroPointLength():
        zero_point[:] = quantization.ZeroPointAsNumpy()
    return Quant(scale=scale, zero_point=zero_point, axis=int(quantization.QuantizedDimension()))


def _builtin_code(code) -> int:
    """Number of an operator: the larger of the old 8-bit and the new 32-bit field, as in TFLite.

    The new field is read by hand: the binding's BuiltinCode() answers with the old one wherever
    the new one is below 127, also in files that leave the old one out.
    """
    table = code._tab
    offset = table.Offset(10)
    new = table.Get(number_types.Int32Flags, offset + table.Pos) if offset else 0
    return max(new, code.DeprecatedBuiltinCode())


def _op(model, operator, index) -> Op:
    code = model.OperatorCodes(operator.OpcodeIndex())
    builtin = _builtin_code(code)
    name = _NAMES.get(builtin, f"operator_{builtin}")
    if name == "CUSTOM":
        name = (code.CustomCode() or b"custom").decode(errors="replace")
    kind = _KINDS.get(name, name.lower())
    options = operator.BuiltinOptions()
    attrs = {}
    if kind in _OPTIONS and options is not None:
        table_type, read = _OPTIONS[kind]
        table = table_type()
        table.Init(options.Bytes, options.Pos)
        attrs = read(table)
    elif kind in _OPTIONS:
        attrs = dict(_DEFAULTS.get(kind, {}))
    inputs = operator.InputsAsNumpy() if operator.InputsLength() else ()
    return Op(
        index=index,
        kind=kind,
        inputs=tuple(int(i) for i in inputs),
        outputs=tuple(int(i) for i in operator.OutputsAsNumpy()),
        attrs=attrs,
    )


def _activation(table) -> str:
    code = table.FusedActivationFunction()
    return _ACTIVATION.get(code, f"activation_{code}")


def _conv(table) -> dict:
    return {
        "stride_h": table.StrideH(),
        "stride_w": table.StrideW(),
        "dilation_h": table.DilationHFactor(),
        "dilation_w": table.DilationWFactor(),
        "padding": _PADDING[table.Padding()],
        "activation": _activation(table),
    }


def _pool(table) -> dict:
    return {
        "filter_h": table.FilterHeight(),
        "filter_w": table.FilterWidth(),
        "stride_h": table.StrideH(),
        "stride_w": table.StrideW(),
        "padding": _PADDING[table.Padding()],
        "activation": _activation(table),
    }


def _only_activation(table) -> dict:
    return {"activation": _activation(table)}


_DEFAULTS = {
    "add": {"activation": "none"},
    "sub": {"activation": "none"},
    "mul": {"activation": "none"},
    "mean": {"keep_dims": False},
    "softmax": {"beta": 1.0},
    "fully_connected": {"activation": "none", "keep_num_dims": False},
}
"""Attributes of operators that came without an options table."""

_OPTIONS = {
    "conv": (tflite.Conv2DOptions, _conv),
    "depthwise": (
        tflite.DepthwiseConv2DOptions,
        lambda table: _conv(table) | {"multiplier": table.DepthMultiplier()},
    ),
    "avg_pool": (tflite.Pool2DOptions, _pool),
    "max_pool": (tflite.Pool2DOptions, _pool),
    "add": (tflite.AddOptions, _only_activation),
    "sub": (tflite.SubOptions, _only_activation),
    "mul": (tflite.MulOptions, _only_activation),
    "fully_connected": (
        tflite.FullyConnectedOptions,
        lambda table: _only_activation(table) | {"keep_num_dims": bool(table.KeepNumDims())},
    ),
    "concat": (
        tflite.ConcatenationOptions,
        lambda table: _only_activation(table) | {"axis": table.Axis()},
    ),
    "mean": (tflite.ReducerOptions, lambda table: {"keep_dims": bool(table.KeepDims())}),
    "softmax": (tflite.SoftmaxOptions, lambda table: {"beta": float(table.Beta())}),
    "resize_nearest": (
        tflite.ResizeNearestNeighborOptions,
        lambda table: {
            "align_corners": bool(table.AlignCorners()),
            "half_pixel_centers": bool(table.HalfPixelCenters()),
        },
    ),
}
