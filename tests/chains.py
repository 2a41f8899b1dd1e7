"""Random networks of several operators: views, folds, branches, host operators between."""

import numpy as np
from netlib import Net

_ORDERS = ([0, 3, 1, 2], [0, 2, 3, 1], [0, 2, 1, 3], [0, 1, 3, 2])
_BY_RANK = {
    2: "table requantise fully_connected fully_connected unflatten".split(),
    3: "table requantise binary mean_rows to_map".split(),
    4: (
        "table requantise conv conv depthwise pool pad pad mean transpose binary concat flatten "
        "merge_rows softmax resize conv_add conv_add conv_table add_of_adds point"
    ).split(),
}


class Chain:
    """Builds a network operator by operator; each method adds one and returns its output.

    Parameters
    ----------
    rng : np.random.Generator
    """

    def __init__(self, rng):
        self.rng = rng
        self.net = Net(rng, "chain")
        shape = (1, *(int(rng.integers(1, 12)) for _ in range(2)), int(rng.integers(1, 30)))
        # Now and then a picture: few channels, which the host folds into a convolution.
        self.picture = rng.random() < 0.25
        if self.picture:
            shape = (1, *(int(rng.integers(7, 16)) for _ in range(2)), int(rng.integers(1, 5)))
        self.live = [self.net.tensor(shape)]

    def graph(self):
        """Return a network of two to eight operators."""
        graph, rng = self.net.graph, self.rng
        if self.picture:
            x = self.live[0]
            self.live.append(self._picture_conv(x, graph.tensors[x].shape))
        for _ in range(int(rng.integers(2, 9))):
            recent = rng.random() < 0.8
            x = self.live[-1] if recent else self.live[int(rng.integers(len(self.live)))]
            shape = graph.tensors[x].shape
            kind = str(rng.choice(_BY_RANK[len(shape)]))
            out = getattr(self, f"_{kind}")(x, shape)
            if out is not None:
                self.live.append(out)
        if not graph.ops:
            self.live.append(self._table(self.live[0], graph.tensors[self.live[0]].shape))
        return self._done()

    def _done(self):
        """The network from the first tensor to all that nobody reads."""
        graph = self.net.graph
        read = {index for op in graph.ops for index in op.inputs}
        outputs = [index for op in graph.ops for index in op.outputs if index not in read]
        return self.net.done((self.live[0],), outputs)

    def _same(self, x, shape):
        """A tensor with the scale of another."""
        tensor = self.net.graph.tensors[x]
        return self.net.tensor(shape, scale=tensor.scale, zero_point=tensor.zero_point)

    def _scales(self, num):
        """Weight scales; now and then too large for the hardware's shifts."""
        if self.rng.random() < 0.1:
            return np.full(num, 1000.0)
        return self.rng.uniform(0.0005, 0.02, num)

    def _table(self, x, shape):
        y = self.net.tensor(shape, scale=1 / 256, zero_point=-128)
        self.net.op("logistic", (x,), (y,))
        return y

    def _requantise(self, x, shape):
        y = self.net.tensor(shape)
        self.net.op("quantize", (x,), (y,))
        return y

    def _softmax(self, x, shape):
        y = self.net.tensor(shape, scale=1 / 256, zero_point=-128)
        self.net.op("softmax", (x,), (y,), beta=1.0)
        return y

    def _window(self, shape, largest):
        rng = self.rng
        r, s = (int(rng.integers(1, min(largest, n) + 1)) for n in shape[1:3])
        stride = tuple(int(n) for n in rng.integers(1, 4, 2))
        padding = str(rng.choice(["same", "valid", "valid"]))
        sizes = zip(shape[1:3], (r, s), stride)
        if padding == "same":
            out = [-(-n // step) for n, _, step in sizes]
        else:
            out = [(n - kernel) // step + 1 for n, kernel, step in sizes]
        return r, s, out, dict(stride_h=stride[0], stride_w=stride[1], padding=padding)

    def _conv(self, x, shape, depthwise=False, k=None, window=None):
        net = self.net
        r, s, out, attrs = self._window(shape, 5) if window is None else window
        if k is None:
            k = shape[3] if depthwise else int(self.rng.integers(1, 40))
        scales = self._scales(k)
        size = (1, r, s, k) if depthwise else (k, r, s, shape[3])
        w = net.tensor(
            size, scale=scales, zero_point=0, data=net.weights(size), axis=3 if depthwise else 0
        )
        b = net.bias(k, net.graph.tensors[x].scale * scales)
        y = net.tensor((1, *out, k))
        attrs |= dict(dilation_h=1, dilation_w=1, activation=net.activation())
        attrs |= dict(multiplier=1) if depthwise else {}
        net.op("depthwise" if depthwise else "conv", (x, w, b), (y,), **attrs)
        return y

    def _depthwise(self, x, shape):
        return self._conv(x, shape, depthwise=True)

    def _sized(self, shape, r, s, stride, padding):
        """A window as `_window` returns it."""
        if padding == "same":
            out = [-(-n // step) for n, step in zip(shape[1:3], stride)]
        else:
            out = [(n - kernel) // step + 1 for n, kernel, step in zip(shape[1:3], (r, s), stride)]
        return r, s, out, dict(stride_h=stride[0], stride_w=stride[1], padding=padding)

    def _picture_conv(self, x, shape):
        r, s = (int(n) for n in self.rng.integers(3, 8, 2))
        stride = tuple(int(n) for n in self.rng.integers(1, 5, 2))
        padding = str(self.rng.choice(["same", "valid"]))
        return self._conv(x, shape, window=self._sized(shape, r, s, stride, padding))

    def _point(self, x, shape):
        """1x1, every second pixel."""
        return self._conv(x, shape, window=self._sized(shape, 1, 1, (2, 2), "same"))

    def _conv_add(self, x, shape):
        """A convolution whose result is added to what is already there: fused."""
        depthwise = bool(self.rng.integers(3) == 0)
        r, s = (int(self.rng.integers(1, min(3, n) + 1)) for n in shape[1:3])
        y = self._conv(
            x, shape, depthwise=depthwise, k=None if depthwise else shape[3],
            window=self._sized(shape, r, s, (1, 1), "same"),
        )  # fmt: skip
        if self.rng.integers(3) == 0:
            self.live.append(y)  # perhaps somebody else wants it too
        z = self.net.tensor(shape)
        operands = (x, y) if self.rng.integers(2) else (y, x)
        kind = str(self.rng.choice(["add", "add", "sub"]))
        self.net.op(kind, operands, (z,), activation=self.net.activation())
        return z

    def _conv_table(self, x, shape):
        """hard_swish or logistic behind a convolution: fused."""
        y = self._conv(x, shape, depthwise=bool(self.rng.integers(3) == 0))
        shape = self.net.graph.tensors[y].shape
        if self.rng.integers(2):
            return self._table(y, shape)
        # LiteRT has no result where the output scale is far smaller than the input's.
        scale = max(self.net.scale(), self.net.graph.tensors[y].scale / 64)
        z = self.net.tensor(shape, scale=scale)
        self.net.op("hard_swish", (y,), (z,))
        return z

    def _add_of_adds(self, x, shape):
        """Two sums and their sum: nobody's drain has room for all of it."""
        first, second = self._binary(x, shape), self._binary(x, shape)
        y = self.net.tensor(shape)
        self.net.op("add", (first, second), (y,), activation=self.net.activation())
        return y

    def _pool(self, x, shape):
        r, s, out, attrs = self._window(shape, 12)
        y = self._same(x, (1, *out, shape[3]))
        kind = str(self.rng.choice(["avg_pool", "max_pool"]))
        activation = self.net.activation()
        self.net.op(kind, (x,), (y,), filter_h=r, filter_w=s, activation=activation, **attrs)
        return y

    def _pad(self, x, shape):
        amounts = np.zeros((4, 2), np.int32)
        amounts[1:3] = self.rng.integers(0, 4, (2, 2))
        y = self._same(x, [n + int(sum(pair)) for n, pair in zip(shape, amounts)])
        self.net.op("pad", (x, self.net.plain(amounts)), (y,))
        return y

    def _mean(self, x, shape):
        axes = [[1, 2], [1], [2], [3], [2, 3]][self.rng.integers(5)]
        keep = bool(self.rng.integers(2))
        left = [1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes]
        y = self.net.tensor(left)
        self.net.op("mean", (x, self.net.plain(axes)), (y,), keep_dims=keep)
        return y

    def _mean_rows(self, x, shape):
        y = self.net.tensor((shape[0], shape[2]))
        self.net.op("mean", (x, self.net.plain([1])), (y,), keep_dims=False)
        return y

    def _transpose(self, x, shape):
        order = _ORDERS[self.rng.integers(len(_ORDERS))]
        y = self._same(x, [shape[a] for a in order])
        self.net.op("transpose", (x, self.net.plain(order)), (y,))
        return y

    def _partner(self, accept):
        """Another tensor, or the same one, that fits."""
        found = [t for t in self.live if accept(self.net.graph.tensors[t])]
        return found[int(self.rng.integers(len(found)))]

    def _binary(self, x, shape):
        y = self.net.tensor(shape)
        other = self._partner(lambda t: t.shape == shape)
        kind = str(self.rng.choice(["add", "sub", "mul"]))
        self.net.op(kind, (x, other), (y,), activation=self.net.activation())
        return y

    def _concat(self, x, shape):
        mine = self.net.graph.tensors[x]
        other = self._partner(
            lambda t: (
                t.shape[:-1] == shape[:-1]
                and (t.scale, t.zero_point) == (mine.scale, mine.zero_point)
            )
        )
        channels = shape[-1] + self.net.graph.tensors[other].shape[-1]
        y = self._same(x, (*shape[:-1], channels))
        self.net.op("concat", (x, other), (y,), axis=3, activation="none")
        return y

    def _reshape(self, x, shape):
        y = self._same(x, shape)
        self.net.op("reshape", (x, self.net.plain(shape)), (y,))
        return y

    def _flatten(self, x, shape):
        return self._reshape(x, (1, int(np.prod(shape))))

    def _unflatten(self, x, shape):
        return self._reshape(x, (1, 1, *shape))

    def _to_map(self, x, shape):
        return self._reshape(x, (1, shape[0] * shape[1], 1, shape[2]))

    def _merge_rows(self, x, shape):
        pixels = shape[1] * shape[2]
        three = self.rng.random() < 0.5
        return self._reshape(x, (1, pixels, shape[3]) if three else (1, pixels, 1, shape[3]))

    def _fully_connected(self, x, shape):
        net, k = self.net, int(self.rng.integers(1, 30))
        scale = float(self._scales(1)[0])
        w = net.tensor((k, shape[1]), scale=scale, zero_point=0, data=net.weights((k, shape[1])))
        b = net.bias(k, net.graph.tensors[x].scale * scale)
        y = net.tensor((shape[0], k))
        net.op("fully_connected", (x, w, b), (y,), activation=net.activation(), keep_num_dims=False)
        return y

    def _resize(self, x, shape):
        size = tuple(int(n) for n in self.rng.integers(1, 9, 2))
        y = self._same(x, (1, *size, shape[3]))
        self.net.op(
            "resize_nearest", (x, self.net.plain(size)), (y,), align_corners=False,
            half_pixel_centers=False,
        )  # fmt: skip
        return y


def random_chain(rng):
    """Return a network of several random operators."""
    return Chain(rng).graph()


class Blocks(Chain):
    """Blocks of mobile networks: layers that go side by side, with what may lie between them."""

    def graph(self):
        """Return a network of one to three blocks."""
        rng = self.rng
        shape = (1, *(int(n) for n in rng.integers(1, 21, 2)), int(rng.integers(1, 41)))
        self.net = Net(rng, "blocks")
        self.live = [self.net.tensor(shape)]
        for _ in range(int(rng.integers(1, 4))):
            self._block()
        if self._chance(0.4):
            self._head()
        return self._done()

    def _head(self):
        """As a classifier's: 1x1, the mean of all pixels, 1x1."""
        x = self.live[-1]
        y = self._one_by_one(x, int(self.rng.integers(1, 61)))
        y = self._mean(y, self._shape(y))
        if len(self._shape(y)) == 4:
            y = self._one_by_one(y, int(self.rng.integers(1, 40)))
        self.live.append(y)

    def _shape(self, x):
        return self.net.graph.tensors[x].shape

    def _one_by_one(self, x, k):
        return self._conv(
            x, self._shape(x), k=k, window=self._sized(self._shape(x), 1, 1, (1, 1), "same")
        )

    def _chance(self, probability):
        return self.rng.random() < probability

    def _block(self):
        rng = self.rng
        x = y = self.live[-1]
        if self._chance(0.8):
            y = self._one_by_one(y, int(rng.integers(1, 61)))
            self.live.append(y)
        if self._chance(0.15):
            self.live.append(self._table(y, self._shape(y)))  # somebody else reads it, too
        if self._chance(0.3):
            y = self._pad(y, self._shape(y))
        for _ in range(1 + self._chance(0.2)):
            shape = self._shape(y)
            size = int(rng.choice([2, 3, 3, 5, 7]))
            r, s = (min(size, n) for n in shape[1:3])
            stride = (1, 1) if self._chance(0.6) else tuple(int(n) for n in rng.integers(1, 4, 2))
            padding = str(rng.choice(["same", "same", "valid"]))
            window = self._sized(shape, r, s, stride, padding)
            y = self._conv(y, shape, depthwise=True, window=window)
        if self._chance(0.2):
            y = self._table(y, self._shape(y))
        if self._chance(0.15):
            y = self._pool(y, self._shape(y))
        fits = self._shape(y)[:3] == self._shape(x)[:3]
        y = self._one_by_one(y, self._shape(x)[3] if fits else int(rng.integers(1, 61)))
        if self._shape(y) == self._shape(x) and self._chance(0.6):
            z = self.net.tensor(self._shape(x))
            operands = (x, y) if rng.integers(2) else (y, x)
            self.net.op("add", operands, (z,), activation=self.net.activation())
            y = z
        self.live.append(y)


def random_blocks(rng):
    """Return a network of blocks of 1x1 and depthwise convolutions."""
    return Blocks(rng).graph()
