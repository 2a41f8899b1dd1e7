"""Writes a graph as a .tflite file, so that LiteRT can judge networks that were made here."""

import flatbuffers
import numpy as np
import tflite

from skimp_compiler.graph import Graph, Op, Tensor
from skimp_compiler.tflite_reader import _ACTIVATION, _DTYPES, _KINDS, _PADDING

__all__ = ["write_tflite"]

_SCHEMA_VERSION = 3
_DTYPE_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_PADDING_CODES = {name: code for code, name in _PADDING.items()}
_ACTIVATION_CODES = {name: code for code, name in _ACTIVATION.items()}
_OPERATOR_NAMES = {kind: name for name, kind in _KINDS.items()}
_VERSIONS = {
    "fully_connected": 4,
    "conv": 3,
    "depthwise": 3,
    "resize_nearest": 3,
    "reshape": 1,
    "hard_swish": 1,
}
"""Operator versions for int8; all others are 2."""


def write_tflite(graph: Graph) -> bytes:
    """Return the bytes of a .tflite file with the graph's tensors in the same order.

    Parameters
    ----------
    graph : Graph
        Operators of the kinds that `tflite_reader.KINDS` names.
    """
    # Room for all constants at once: a builder that grows copies what it has.
    constants = sum(tensor.data.nbytes for tensor in graph.tensors if tensor.is_const)
    b = flatbuffers.Builder(constants + (1 << 16))
    buffers = [_buffer(b, None)]
    tensors = []
    for tensor in graph.tensors:
        number = 0
        if tensor.data is not None:
            number = len(buffers)
            buffers.append(_buffer(b, tensor))
        tensors.append(_tensor(b, tensor, number))
    codes = sorted({op.kind for op in graph.ops})
    operators = [_operator(b, op, codes.index(op.kind)) for op in graph.ops]
    subgraph = _subgraph(b, graph, tensors, operators)
    operator_codes = [_operator_code(b, kind) for kind in codes]

    description = b.CreateString("skimp")
    code_vector = _offsets(b, tflite.ModelStartOperatorCodesVector, operator_codes)
    subgraph_vector = _offsets(b, tflite.ModelStartSubgraphsVector, [subgraph])
    buffer_vector = _offsets(b, tflite.ModelStartBuffersVector, buffers)
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, _SCHEMA_VERSION)
    tflite.ModelAddOperatorCodes(b, code_vector)
    tflite.ModelAddSubgraphs(b, subgraph_vector)
    tflite.ModelAddDescription(b, description)
    tflite.ModelAddBuffers(b, buffer_vector)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(memoryview(b.Bytes)[b.Head() :])


def _offsets(b, start, items) -> int:
    start(b, len(items))
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def _vector(b, values, dtype) -> int:
    return b.CreateNumpyVector(np.ascontiguousarray(values, dtype).reshape(-1))


def _buffer(b, tensor: Tensor | None) -> int:
    data = None
    if tensor is not None:
        raw = memoryview(np.ascontiguousarray(tensor.data).reshape(-1).view(np.uint8))
        # Kernels want weights aligned to 16 bytes.
        b.StartVector(1, len(raw), 16)
        b.head -= len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw
        data = b.EndVector()
    tflite.BufferStart(b)
    if data is not None:
        tflite.BufferAddData(b, data)
    return tflite.BufferEnd(b)


def _tensor(b, tensor: Tensor, buffer: int) -> int:
    name = b.CreateString(tensor.name)
    shape = _vector(b, tensor.shape, np.int32) if tensor.shape else None
    quantization = None
    if tensor.quant is not None:
        scale = _vector(b, tensor.quant.scale, np.float32)
        zero_point = _vector(b, tensor.quant.zero_point, np.int64)
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        tflite.QuantizationParametersAddZeroPoint(b, zero_point)
        tflite.QuantizationParametersAddQuantizedDimension(b, tensor.quant.axis)
        quantization = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    if shape is not None:
        tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, _DTYPE_CODES[np.dtype(tensor.dtype)])
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddName(b, name)
    if quantization is not None:
        tflite.TensorAddQuantization(b, quantization)
    return tflite.TensorEnd(b)


def _operator_code(b, kind: str) -> int:
    name = _OPERATOR_NAMES.get(kind, kind.upper())
    code = getattr(tflite.BuiltinOperator, name)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
    tflite.OperatorCodeAddVersion(b, _VERSIONS.get(kind, 2))
    tflite.OperatorCodeAddBuiltinCode(b, code)
    return tflite.OperatorCodeEnd(b)


def _operator(b, op: Op, code: int) -> int:
    inputs = _vector(b, op.inputs, np.int32)
    outputs = _vector(b, op.outputs, np.int32)
    options = _options(b, op)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if options is not None:
        kind, table = options
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, kind))
        tflite.OperatorAddBuiltinOptions(b, table)
    return tflite.OperatorEnd(b)


def _subgraph(b, graph: Graph, tensors, operators) -> int:
    name = b.CreateString(graph.name)
    inputs = _vector(b, graph.inputs, np.int32)
    outputs = _vector(b, graph.outputs, np.int32)
    tensor_vector = _offsets(b, tflite.SubGraphStartTensorsVector, tensors)
    operator_vector = _offsets(b, tflite.SubGraphStartOperatorsVector, operators)
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensor_vector)
    tflite.SubGraphAddInputs(b, inputs)
    tflite.SubGraphAddOutputs(b, outputs)
    tflite.SubGraphAddOperators(b, operator_vector)
    tflite.SubGraphAddName(b, name)
    return tflite.SubGraphEnd(b)


_TABLES = {
    "conv": ("Conv2DOptions", "padding strides dilation activation"),
    "depthwise": ("DepthwiseConv2DOptions", "padding strides dilation activation multiplier"),
    "avg_pool": ("Pool2DOptions", "padding strides filter activation"),
    "max_pool": ("Pool2DOptions", "padding strides filter activation"),
    "fully_connected": ("FullyConnectedOptions", "activation keep_num_dims"),
    "add": ("AddOptions", "activation"),
    "sub": ("SubOptions", "activation"),
    "mul": ("MulOptions", "activation"),
    "concat": ("ConcatenationOptions", "axis activation"),
    "mean": ("ReducerOptions", "keep_dims"),
    "softmax": ("SoftmaxOptions", "beta"),
    "resize_nearest": ("ResizeNearestNeighborOptions", "align_corners half_pixel_centers"),
    "pad": ("PadOptions", ""),
    "reshape": ("ReshapeOptions", ""),
    "transpose": ("TransposeOptions", ""),
    "quantize": ("QuantizeOptions", ""),
    "dequantize": ("DequantizeOptions", ""),
    "hard_swish": ("HardSwishOptions", ""),
}
"""Options table of each kind and the groups of attributes that it holds."""

_FIELDS = {
    "padding": (("Padding", lambda a: _PADDING_CODES[a["padding"]]),),
    "strides": (("StrideW", lambda a: a["stride_w"]), ("StrideH", lambda a: a["stride_h"])),
    "dilation": (
        ("DilationWFactor", lambda a: a.get("dilation_w", 1)),
        ("DilationHFactor", lambda a: a.get("dilation_h", 1)),
    ),
    "filter": (("FilterWidth", lambda a: a["filter_w"]), ("FilterHeight", lambda a: a["filter_h"])),
    "activation": (
        ("FusedActivationFunction", lambda a: _ACTIVATION_CODES[a.get("activation", "none")]),
    ),
    "multiplier": (("DepthMultiplier", lambda a: a["multiplier"]),),
    "keep_num_dims": (("KeepNumDims", lambda a: a.get("keep_num_dims", False)),),
    "axis": (("Axis", lambda a: a["axis"]),),
    "keep_dims": (("KeepDims", lambda a: a["keep_dims"]),),
    "beta": (("Beta", lambda a: a["beta"]),),
    "align_corners": (("AlignCorners", lambda a: a["align_corners"]),),
    "half_pixel_centers": (("HalfPixelCenters", lambda a: a["half_pixel_centers"]),),
}


def _options(b, op: Op):
    """Return the name and the offset of the operator's options table, or None."""
    if op.kind not in _TABLES:
        return None
    table, groups = _TABLES[op.kind]
    getattr(tflite, f"{table}Start")(b)
    for group in groups.split():
        for field, value in _FIELDS[group]:
            getattr(tflite, f"{table}Add{field}")(b, value(op.attrs))
    return table, getattr(tflite, f"{table}End")(b)
