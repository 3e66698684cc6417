"""Pools over windows and over the whole map."""

from models.translation.keras.call import Call, Layer
from models.translation.keras.records import Records, windowed


def global_pool(kind: str) -> Layer:
    def pooled(records: Records, call: Call) -> int:
        batch, *_, channels = records.shape(call.inputs[0])
        shape = (batch, 1, 1, channels) if call.config.get("keepdims") else (batch, channels)
        axes = records.constant([1, 2], whole=True)
        return records.step(kind, [call.inputs[0], axes], shape, call.name)

    return pooled


def pool(kind: str) -> Layer:
    def pooled(records: Records, call: Call) -> int:
        window = call.pair("pool_size", 2)
        stride = call.pair("strides") if call.config.get("strides") else window
        padding = str(call.config.get("padding", "valid")).upper()
        batch, height, width, channels = records.shape(call.inputs[0])
        shape = (
            batch,
            windowed(height, window[0], stride[0], padding),
            windowed(width, window[1], stride[1], padding),
            channels,
        )
        options = {"window": window, "stride": stride, "padding": padding}
        return records.step(kind, [call.inputs[0]], shape, call.name, **options)

    return pooled
