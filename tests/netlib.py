"""Single-operator networks with random shapes and numbers, for tests of every executor."""

import numpy as np

from skimp_compiler.graph import Graph, Op, Quant, Tensor

KINDS = (
    "conv depthwise fully_connected add sub mul avg_pool max_pool mean pad concat reshape "
    "transpose softmax logistic resize_nearest quantize dequantize hard_swish"
).split()

ACTIVATIONS = ("none", "relu", "relu6", "relu_n1_to_1")
ZERO_POINTS = (-128, 127, 0, -1, 1)


class Net:
    """Builds a graph tensor by tensor.

    Parameters
    ----------
    rng : np.random.Generator
    name : str
    """

    def __init__(self, rng, name="net"):
        self.rng = rng
        self.graph = Graph(name=name, tensors=[], ops=[], inputs=(), outputs=())

    def tensor(self, shape, *, dtype=np.int8, scale=None, zero_point=None, data=None, axis=0):
        scale = np.atleast_1d(np.float32(self.scale() if scale is None else scale))
        if zero_point is None:
            zero_point = self.zero_point() if dtype == np.int8 else 0
        quant = Quant(scale=scale, zero_point=np.full(scale.size, zero_point, np.int64), axis=axis)
        if dtype in (np.float32,):
            quant = None
        index = len(self.graph.tensors)
        self.graph.tensors.append(
            Tensor(
                index=index,
                name=f"t{index}",
                shape=tuple(int(n) for n in shape),
                dtype=np.dtype(dtype),
                quant=quant,
                data=data,
            )
        )
        return index

    def plain(self, values, dtype=np.int32):
        """A constant that is not quantised: pads, axes, shapes."""
        data = np.asarray(values, dtype)
        index = len(self.graph.tensors)
        self.graph.tensors.append(
            Tensor(index=index, name=f"t{index}", shape=data.shape, dtype=data.dtype, data=data)
        )
        return index

    def scale(self):
        return float(self.rng.choice([0.5, 0.05, 0.004, self.rng.uniform(0.001, 1.0)]))

    def zero_point(self):
        return int(self.rng.choice([*ZERO_POINTS, self.rng.integers(-128, 128)]))

    def activation(self):
        return str(self.rng.choice(ACTIVATIONS))

    def weights(self, shape):
        """Per-channel weights: random, extreme, or with dead channels."""
        kind = self.rng.integers(4)
        if kind == 0:
            return self.rng.choice(np.array([-127, 127], np.int8), shape)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        if kind == 1:
            values[self.rng.random(shape) < 0.7] = 0
        return values

    def bias(self, num, scale):
        kind = self.rng.integers(4)
        if kind == 0:
            values = self.rng.integers(-(1 << 30), 1 << 30, num)
        else:
            values = self.rng.integers(-5000, 5000, num)
        return self.tensor(
            (num,), dtype=np.int32, scale=scale, zero_point=0, data=values.astype(np.int32)
        )

    def op(self, kind, inputs, outputs, **attrs):
        self.graph.ops.append(
            Op(
                index=len(self.graph.ops),
                kind=kind,
                inputs=tuple(inputs),
                outputs=tuple(outputs),
                attrs=attrs,
            )
        )

    def done(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = tuple(inputs), tuple(outputs)
        return self.graph


def conv_net(
    rng,
    *,
    height,
    width,
    c,
    k,
    r,
    s,
    stride=(1, 1),
    padding="same",
    depthwise=False,
    activation=None,
    in_zp=None,
    multiplier=1,
):
    """A convolution; `k` is ignored where depthwise."""
    net = Net(rng, "depthwise" if depthwise else "conv")
    x = net.tensor((1, height, width, c), zero_point=in_zp)
    k = c * multiplier if depthwise else k
    scales = rng.uniform(0.0005, 0.02, k)
    shape = (1, r, s, k) if depthwise else (k, r, s, c)
    w = net.tensor(
        shape, scale=scales, zero_point=0, data=net.weights(shape), axis=3 if depthwise else 0
    )
    if rng.integers(6) == 0:
        net.graph.tensors[w].quant.scale[0] = 1e-30  # a multiplier of 0
    b = net.bias(k, net.graph.tensors[x].scale * scales)
    if padding == "same":
        p, q = -(-height // stride[0]), -(-width // stride[1])
    else:
        p, q = (height - r) // stride[0] + 1, (width - s) // stride[1] + 1
    y = net.tensor((1, p, q, k))
    attrs = dict(
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h=1,
        dilation_w=1,
        padding=padding,
        activation=net.activation() if activation is None else activation,
    )
    if depthwise:
        attrs["multiplier"] = multiplier
    net.op("depthwise" if depthwise else "conv", (x, w, b), (y,), **attrs)
    return net.done((x,), (y,))


def pool_net(rng, *, kind, height, width, c, r, s, stride=(1, 1), padding="same"):
    net = Net(rng, kind)
    x = net.tensor((1, height, width, c))
    if padding == "same":
        p, q = -(-height // stride[0]), -(-width // stride[1])
    else:
        p, q = (height - r) // stride[0] + 1, (width - s) // stride[1] + 1
    quant = net.graph.tensors[x]
    y = net.tensor((1, p, q, c), scale=quant.scale, zero_point=quant.zero_point)
    net.op(
        kind,
        (x,),
        (y,),
        filter_h=r,
        filter_w=s,
        stride_h=stride[0],
        stride_w=stride[1],
        padding=padding,
        activation=net.activation(),
    )
    return net.done((x,), (y,))


def _border_conv(rng):
    """What the host folds (few channels, a kernel row), or 1x1 with a stride on odd sizes."""
    size = lambda low, high: int(rng.integers(low, high + 1))
    if rng.integers(2):
        return conv_net(
            rng,
            height=size(3, 13),
            width=size(7, 16),
            c=size(1, 4),
            k=size(1, 35),
            r=size(1, 3),
            s=size(3, 7),
            stride=(size(1, 4), size(1, 4)),
            padding=str(rng.choice(["same", "valid"])),
        )
    return conv_net(
        rng,
        height=size(0, 5) * 2 + 1,
        width=size(0, 6) * 2 + 1,
        c=size(1, 40),
        k=size(1, 35),
        r=1,
        s=1,
        stride=(size(1, 3), 2),
        padding=str(rng.choice(["same", "valid"])),
    )


def random_net(rng, kind):
    """One operator of a kind with everything else random."""
    size = lambda high: int(rng.integers(1, high + 1))
    height, width, c = size(9), size(11), size(21)
    if kind == "conv" and rng.integers(3) == 0:
        return _border_conv(rng)
    if kind in ("conv", "depthwise"):
        r, s = size(min(5, height)), size(min(5, width))
        return conv_net(
            rng,
            height=height,
            width=width,
            c=c,
            k=size(35),
            r=r,
            s=s,
            stride=(size(3), size(3)),
            padding=str(rng.choice(["same", "valid"])),
            depthwise=kind == "depthwise",
            multiplier=int(rng.choice([1, 1, 2, 3])),
        )
    if kind in ("avg_pool", "max_pool"):
        return pool_net(
            rng,
            kind=kind,
            height=height,
            width=width,
            c=c,
            r=size(min(4, height)),
            s=size(min(4, width)),
            stride=(size(3), size(3)),
            padding=str(rng.choice(["same", "valid"])),
        )
    net = Net(rng, kind)
    shape = (1, height, width, c)
    if kind == "fully_connected":
        x = net.tensor((1, c))
        k = size(40)
        scale = float(rng.uniform(0.0005, 0.02))
        w = net.tensor((k, c), scale=scale, zero_point=0, data=net.weights((k, c)))
        b = net.bias(k, net.graph.tensors[x].scale * scale)
        y = net.tensor((1, k))
        net.op(kind, (x, w, b), (y,), activation=net.activation(), keep_num_dims=False)
        return net.done((x,), (y,))
    if kind in ("add", "sub", "mul"):
        a = net.tensor(shape)
        if rng.integers(3) == 0:
            value = rng.integers(-128, 128, (1,)).astype(np.int8)
            b = net.tensor((1,), data=value)
            inputs = (a,)
        else:
            b = net.tensor(shape)
            inputs = (a, b)
        y = net.tensor(shape)
        net.op(kind, (a, b), (y,), activation=net.activation())
        return net.done(inputs, (y,))
    x = net.tensor(shape)
    quant = net.graph.tensors[x]
    same = dict(scale=quant.scale, zero_point=quant.zero_point)
    if kind == "mean":
        axes = [[1, 2], [1], [2]][rng.integers(3)]
        keep = bool(rng.integers(2))
        kept = [1 if a in axes else n for a, n in enumerate(shape)]
        out = kept if keep else [n for a, n in enumerate(shape) if a not in axes]
        y = net.tensor(out)
        net.op(kind, (x, net.plain(axes)), (y,), keep_dims=keep)
    elif kind == "pad":
        amounts = np.zeros((4, 2), np.int32)
        amounts[1:3] = rng.integers(0, 4, (2, 2))
        y = net.tensor([n + int(sum(p)) for n, p in zip(shape, amounts)], **same)
        net.op(kind, (x, net.plain(amounts)), (y,))
    elif kind == "concat":
        c2 = size(20)
        x2 = net.tensor((1, height, width, c2), **same)
        y = net.tensor((1, height, width, c + c2), **same)
        net.op(kind, (x, x2), (y,), axis=3, activation="none")
        return net.done((x, x2), (y,))
    elif kind == "reshape":
        out = [(1, height * width * c), (1, width, height, c), (1, height * width, 1, c)][
            rng.integers(3)
        ]
        y = net.tensor(out, **same)
        net.op(kind, (x, net.plain(out)), (y,))
    elif kind == "transpose":
        order = [[0, 3, 1, 2], [0, 2, 1, 3]][rng.integers(2)]
        y = net.tensor([shape[a] for a in order], **same)
        net.op(kind, (x, net.plain(order)), (y,))
    elif kind == "resize_nearest":
        out = size(12), size(12)
        align, half = [(False, False), (True, False), (False, True)][rng.integers(3)]
        y = net.tensor((1, *out, c), **same)
        net.op(kind, (x, net.plain(out)), (y,), align_corners=align, half_pixel_centers=half)
    elif kind in ("softmax", "logistic"):
        y = net.tensor(shape, scale=1 / 256, zero_point=-128)
        net.op(kind, (x,), (y,), **({"beta": 1.0} if kind == "softmax" else {}))
    elif kind == "quantize":
        choice = rng.integers(3)
        if choice == 0:
            net.graph.tensors[x].dtype = np.dtype(np.float32)
            net.graph.tensors[x].quant = None
        elif choice == 1:
            net.graph.tensors[x].dtype = np.dtype(np.uint8)
            net.graph.tensors[x].quant.zero_point[0] += 128
        y = net.tensor(shape)
        net.op(kind, (x,), (y,))
    elif kind == "dequantize":
        y = net.tensor(shape, dtype=np.float32)
        net.op(kind, (x,), (y,))
    elif kind == "hard_swish":
        # LiteRT refuses an output scale of a 128th of the input's or less.
        y = net.tensor(shape, scale=max(net.scale(), net.graph.tensors[x].scale / 100))
        net.op(kind, (x,), (y,))
    else:
        raise ValueError(kind)
    return net.done((x,), (y,))


def random_inputs(rng, graph):
    """Inputs with many zero points and extremes."""
    inputs = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if tensor.dtype == np.float32:
            inputs.append(rng.normal(0, 3, tensor.shape).astype(np.float32))
            continue
        info = np.iinfo(tensor.dtype)
        values = rng.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype)
        kind = rng.integers(4)
        if kind == 0:
            values[rng.random(tensor.shape) < 0.6] = tensor.zero_point
        elif kind == 1:
            values = rng.choice(np.array([info.min, info.max], tensor.dtype), tensor.shape)
        elif kind == 2 and len(tensor.shape) == 4:
            values[:, ::2] = tensor.zero_point  # all-zero rows
        inputs.append(values)
    return inputs
